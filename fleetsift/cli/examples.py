"""An example or two of every verb, as its help shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "demo": ("fleetsift demo",),
    "init": ("fleetsift init fleet",),
    "schema": ("fleetsift schema selection > selection.schema.json",),
    "publish": ("fleetsift publish fleet.yaml frames.jsonl", "fleetsift publish fleet.yaml drives --fps 2"),
    "run": ("fleetsift run fleet.yaml", "fleetsift run fleet.yaml --until-end --log json"),
    "status": ("fleetsift status fleet.yaml --watch",),
    "dead-letters": ("fleetsift dead-letters fleet.yaml --out failed.jsonl",),
    "compact": ("fleetsift compact scores --prune",),
    "sql": (
        'fleetsift sql scores "SELECT session_id, count(*) FROM frames GROUP BY 1"',
        "fleetsift sql scores \"FROM rows WHERE status <> 'ok'\" --format csv",
    ),
    "advise": ("fleetsift advise scores", "fleetsift advise fleet.yaml --budget 200 --sensor sensor.txt"),
    "select": (
        "fleetsift select fleet.yaml --out batch",
        "fleetsift select fleet.yaml --strategy coral --continue batch --out second",
    ),
    "online": ("fleetsift online fleet.yaml --per-day 50 --out picks.jsonl",),
    "why": ("fleetsift why fleet.yaml fs-01-000123",),
    "replay": ("fleetsift replay fleet.yaml batch",),
    "report": (
        "fleetsift report fleet.yaml batch --out report.html",
        "fleetsift report fleet.yaml second --against batch",
    ),
    "check": ("fleetsift check ensemble.yaml frames",),
    "bench": (
        "fleetsift bench ensemble.yaml frames",
        "fleetsift bench ensemble.yaml --runtime tensorrt --half --batch 16 --batch 32",
    ),
    "heatmap": ("fleetsift heatmap ensemble.yaml frames --class person --out maps",),
}

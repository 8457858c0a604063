"""The verb that picks as frames arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetsift.cli.stopping import stopping
from fleetsift.cli.words import AsJson, FleetFile, SpecFile, say
from fleetsift.configuration import read_fleet, read_spec
from fleetsift.schemas.selection import SelectionSpec, resolve_files


def online(
    fleet: FleetFile,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The file that picks are appended to, a JSON object a line.")
    ],
    per_day: Annotated[int, typer.Option(min=1, help="How many frames may be picked a day, by captured_at in UTC.")],
    expected: Annotated[
        int, typer.Option(min=1, help="How many frames the first day brings; later ones go by the day before.")
    ] = 1_000,
    spec_file: SpecFile = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop at the store's present end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pick frames as they are published, at once and for good, and say at the end what that cost."""
    from fleetsift.selectors.online.follow import follow_store
    from fleetsift.selectors.online.policy import Pace
    from fleetsift.selectors.online.regret import measure_regret
    from fleetsift.store.views import ScoreStore

    config = read_fleet(fleet)
    spec = resolve_files(read_spec(spec_file, SelectionSpec), spec_file.parent) if spec_file else config.selection
    pace = Pace(per_day=per_day, expected=expected)
    with stopping() as (stop, interrupted):
        followed = follow_store(config.store.path, spec, pace, out, stop=stop, until_end=until_end)
    with ScoreStore(config.store.path) as store:
        regret = measure_regret(store, spec, pace, followed.picked)
    judged, picked, days = followed.judged, len(followed.picked), regret.days
    say(
        as_json,
        {
            "judged": judged,
            "judged_now": followed.judged_now,
            "picked": picked,
            "days": days,
            "out": str(out),
            "offline_picks": regret.offline,
            "ratio": round(regret.ratio, 4),
        },
        f"picked {picked} of {judged} frames ({followed.judged_now} judged now) on {days} days into {out}; worth "
        f"{regret.ratio:.0%} of the {regret.offline} that greedy picks when it knows them all",
    )
    if interrupted.is_set():
        raise KeyboardInterrupt

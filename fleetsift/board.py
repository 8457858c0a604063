"""How far a stream is, as a table in a terminal."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from rich.table import Table
from rich.text import Text

from fleetsift.console import describe_rows
from fleetsift.streaming.operations.status import FleetStatus, PartitionStatus

_COLUMNS = ("partition", "chain end", "lag", "rows/s", "published", "ok", "errors", "rowless")


def status_table(status: FleetStatus) -> Table:
    """A row a partition, and their sum; what asks for somebody's attention is red."""
    title = f"{status.topic}  →  {status.store}"
    caption = f"{status.ensemble_id or 'nothing published yet'}; rows/s over {status.window_s:.0f} s; {status.at}"
    table = Table(title=title, caption=caption, show_footer=True, title_justify="left", caption_justify="left")
    totals = _totals(status)
    for name, footer in zip(_COLUMNS, totals, strict=True):
        left = name in ("errors", "published")
        table.add_column(name, footer=footer, justify="left" if left else "right")
    for partition in status.partitions:
        table.add_row(*_cells(partition, datetime.fromisoformat(status.at)))
    return table


def _cells(partition: PartitionStatus, now: datetime) -> list[str | Text]:
    lag: str | Text = "?" if partition.lag is None else f"{partition.lag:,}"
    return [
        str(partition.partition),
        f"{partition.chain_end:,}",
        Text(f"lost: {partition.lost}", style="red") if partition.lost else lag,
        f"{partition.rows_per_s:,.1f}",
        _ago(partition.published_at, now),
        f"{partition.rows.get('ok', 0):,}",
        Text(describe_rows(_errors(partition.rows)), style="red"),
        f"{partition.rowless_offsets:,}",
    ]


def _totals(status: FleetStatus) -> list[str]:
    rows = sum((Counter(partition.rows) for partition in status.partitions), Counter[str]())
    lags = [partition.lag for partition in status.partitions if partition.lag is not None]
    more = "" if len(lags) == len(status.partitions) else " +"
    newest = max((p.published_at for p in status.partitions if p.published_at), default=None)
    return [
        "all",
        "",
        f"{sum(lags):,}{more}",
        f"{sum(partition.rows_per_s for partition in status.partitions):,.1f}",
        _ago(newest, datetime.fromisoformat(status.at)),
        f"{rows['ok']:,}",
        describe_rows(_errors(rows)),
        f"{sum(partition.rowless_offsets for partition in status.partitions):,}",
    ]


def _errors(rows: dict[str, int]) -> dict[str, int]:
    return {status: count for status, count in rows.items() if status != "ok"}


def _ago(published_at: str | None, now: datetime) -> str:
    if published_at is None:
        return "never"
    seconds = max(0, int((now - datetime.fromisoformat(published_at)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"

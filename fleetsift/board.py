"""How far a stream is, as a table in a terminal: where it does not fit, those partitions that ask for a look."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from rich.table import Table
from rich.text import Text

from fleetsift.console import describe_rows
from fleetsift.streaming.operations.status import FleetStatus, PartitionStatus

_COLUMNS = ("partition", "chain end", "lag", "rows/s", "published", "ok", "errors", "rowless")


def status_table(status: FleetStatus, most: int) -> Table:
    """A row a partition, and their sum; what asks for somebody's attention is red.

    most: rows at most. Where there are more partitions, the worst are shown, and one row sums up all others.
    """
    title = f"{status.topic}  →  {status.store}"
    caption = f"{status.ensemble_id or 'nothing published yet'}; rows/s over {status.window_s:.0f} s; {status.at}"
    table = Table(title=title, caption=caption, show_footer=True, title_justify="left", caption_justify="left")
    now = datetime.fromisoformat(status.at)
    shown, others = _worst(status.partitions, most)
    for name, footer in zip(_COLUMNS, _sums("all", status.partitions, now), strict=True):
        left = name in ("errors", "published")
        table.add_column(name, footer=footer, justify="left" if left else "right")
    for partition in shown:
        table.add_row(*_cells(partition, now))
    if others:
        table.add_row(*_sums(f"{len(others)} others", others, now), style="dim")
    return table


def _worst(partitions: list[PartitionStatus], most: int) -> tuple[list[PartitionStatus], list[PartitionStatus]]:
    """All in their order where they fit; else lost ones, then those whose lag nobody knows, then by lag and errors."""
    if len(partitions) <= most:
        return partitions, []

    def badness(partition: PartitionStatus) -> tuple[bool, bool, int, int]:
        errors = sum(_errors(partition.rows).values())
        return partition.lost is not None, partition.lag is None, partition.lag or 0, errors

    ordered = sorted(partitions, key=badness, reverse=True)
    return ordered[: most - 1], ordered[most - 1 :]


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


def _sums(name: str, partitions: list[PartitionStatus], now: datetime) -> list[str]:
    rows = sum((Counter(partition.rows) for partition in partitions), Counter[str]())
    lags = [partition.lag for partition in partitions if partition.lag is not None]
    more = "" if len(lags) == len(partitions) else " +"
    newest = max((p.published_at for p in partitions if p.published_at), default=None)
    return [
        name,
        "",
        f"{sum(lags):,}{more}",
        f"{sum(partition.rows_per_s for partition in partitions):,.1f}",
        _ago(newest, now),
        f"{rows['ok']:,}",
        describe_rows(_errors(rows)),
        f"{sum(partition.rowless_offsets for partition in partitions):,}",
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

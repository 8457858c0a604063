"""What people see in a terminal: how far a run is, on a line that renews itself, or on a line now and then in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from fleetsift.logs import LogForm, log_style
from fleetsift.schemas.selection import Selection
from fleetsift.streaming.progress import RunProgress

if TYPE_CHECKING:
    # With these come the compiled selectors, which most verbs do not need.
    from fleetsift.selectors.explaining.steps import Change
    from fleetsift.selectors.explaining.why import Answer

log = logging.getLogger(__name__)

_LOG_EVERY_S, _LIVE_EVERY_S = 2.0, 0.25


class Gauge:
    """Shows the progress of a run on standard error; standard output stays free for results."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, transient=True, refresh_per_second=4)
        self._shown_live = self._console.is_terminal and log_style().form is LogForm.HUMAN
        self._recent: list[tuple[float, int]] = []  # (seconds, frames) of the last ten seconds
        self._logged_at = 0.0

    def __enter__(self) -> Gauge:
        if self._shown_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown_live:
            self._live.stop()

    def show(self, progress: RunProgress) -> None:
        """Renew the line."""
        self._recent = [(s, n) for s, n in self._recent if s > progress.elapsed_s - 10]
        self._recent.append((progress.elapsed_s, progress.frames))
        line = describe_progress(progress, self._frames_per_s())
        if self._shown_live:
            self._live.update(Text(line))
        elif progress.elapsed_s - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = progress.elapsed_s
            if log_style().form is LogForm.JSON:
                log.info("progress", extra={"facts": self._facts(progress)})
            else:
                self._console.print(line)

    def _facts(self, progress: RunProgress) -> dict[str, Any]:
        return {
            "rows": progress.rows,
            "frames_per_s": round(self._frames_per_s(), 1),
            "lag": progress.lag,
            "workers": progress.workers,
            "restarts": progress.restarts,
            "elapsed_s": round(progress.elapsed_s, 1),
        }

    def _frames_per_s(self) -> float:
        (began, before), (now, frames) = self._recent[0], self._recent[-1]
        return (frames - before) / (now - began) if now > began else 0.0


def describe_progress(progress: RunProgress, frames_per_s: float) -> str:
    """One line: seconds, frames, speed, lag, what became of the frames."""
    if not progress.frames and progress.lag is None:
        return f"{progress.elapsed_s:6.1f} s   starting {_count(progress.workers, 'worker')}"
    parts = [
        f"{progress.elapsed_s:6.1f} s",
        f"{progress.frames} frames",
        f"{frames_per_s:.1f} frames/s",
        f"lag {'?' if progress.lag is None else progress.lag}",
        describe_rows(progress.rows),
    ]
    if progress.restarts:
        parts.append(_count(progress.restarts, "restart"))
    return "   ".join(part for part in parts if part)


def describe_rows(rows: Mapping[str, int]) -> str:
    """What became of the frames: `ok 597, missing 1`, ok first, the others by how many there are."""
    ordered = sorted(rows.items(), key=lambda item: (item[0] != "ok", -item[1], item[0]))
    return ", ".join(f"{status} {count}" for status, count in ordered if count)


class Steps:
    """Shows how many of some steps are done, on standard error, while a verb goes on."""

    def __init__(self, what: str) -> None:
        self._bar = Progress(
            TextColumn("{task.completed} of {task.total} " + what),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Steps:
        if self._bar.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, done: int, of: int) -> None:
        """Say that so many are done."""
        self._bar.update(self._task, completed=done, total=of)


class Searching:
    """Shows on standard error which selection is tried and how far it is, on a line that renews itself, or on some."""

    def __init__(self, every_s: float | None = None) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, transient=True, refresh_per_second=4)
        default_s = _LIVE_EVERY_S if self._console.is_terminal else _LOG_EVERY_S
        self._every_s = default_s if every_s is None else every_s
        self._began = self._shown_at = time.monotonic()

    def __enter__(self) -> Searching:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, what: str, done: int, of: int) -> None:
        """Say what is tried, and how many of its picks are made."""
        now = time.monotonic()
        if now - self._shown_at < self._every_s:
            return
        self._shown_at = now
        line = f"{now - self._began:6.1f} s   {what}: pick {done} of {of}"
        if self._live.is_started:
            self._live.update(Text(line))
        else:
            self._console.print(line)


def count_up(what: str, every: int = 10_000) -> Callable[[int], None]:
    """Something to call with a growing number: says it now and then on standard error."""
    console = Console(stderr=True, highlight=False)

    def say(number: int) -> None:
        if number % every == 0:
            console.print(f"{number} {what}")

    return say


def describe_selection(selection: Selection, folder: Path) -> str:
    """One line: how many were picked of how many, where they lie, and what could not be met."""
    parts = [f"picked {len(selection.picks)} of {selection.pool_size} {selection.spec.unit}s into {folder}"]
    if selection.shortfall:
        parts.append(f"{selection.shortfall} short of the budget: {_describe_kept_out(selection.blocked_by)}")
    for name, count in selection.owed.items():
        parts.append(f"{name} lacks {count}: {_describe_kept_out(selection.owed_for.get(name, {}))}")
    if unknown := selection.uncounted.get("earlier", 0):
        parts.append(f"{unknown} of {len(selection.earlier)} earlier picks are not in the store, and were not counted")
    return "; ".join(parts)


def _describe_kept_out(by: Mapping[str, int]) -> str:
    """What kept how many candidates out."""
    return ", ".join(f"{name} kept out {count}" for name, count in by.items()) or "the pool holds no more"


def describe_answer(answer: Answer) -> str:
    """One line: what became of a frame, and what would admit it."""
    if answer.rank is not None:
        return f"{answer.frame_id}: picked, as number {answer.rank}"
    if answer.left_out is not None:
        return f"{answer.frame_id}: no candidate, {answer.left_out}"
    if answer.kept_out_by:
        since = "" if answer.kept_out_at is None else f" from pick {answer.kept_out_at} on"
        what = f"kept out by {' and '.join(answer.kept_out_by)}{since}"
    elif answer.last is not None:
        what = f"worth {answer.value:.4g} when the last pick, {answer.last.frame_id}, was worth {answer.last.value:.4g}"
    else:
        what = "free, but nothing was picked"
    alone, together, tried = (
        [_describe_change(change) for change in changes] for changes in (answer.changes, answer.together, answer.tried)
    )
    if admitted := " or ".join(alone) or " and ".join(together):
        return f"{answer.frame_id}: {what}; picked with {admitted}"
    far = f" up to {' and '.join(tried)}" if tried else ""
    end = ", and no more, for it would take too long" if answer.ended else ""
    return f"{answer.frame_id}: {what}; nothing that was tried admits it{far}: {answer.selections} selections{end}"


def _describe_change(change: Change) -> str:
    """Such as `cap camera 3 (now 2)`."""
    if not change.needed:
        return f"no {change.name}"
    doubt = "" if change.surely_least else ", less was not tried out"
    return f"{change.name} {change.needed:.10g} (now {change.now:.10g}{doubt})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""Work beside a run is done now and then and at the end, and whatever it does to itself, the run goes on."""

from __future__ import annotations

import logging

import pytest

from fleetsift.errors import SourceError
from fleetsift.streaming.operations.background import in_background
from fleetsift.streaming.progress import RunProgress
from tests.streaming.running import wait_for


def progress(frames: int) -> RunProgress:
    return RunProgress({"ok": frames}, 0, 1.0, 1, 0)


def test_the_latest_is_worked_on_and_the_last_at_the_end() -> None:
    seen: list[int] = []
    with in_background("work", lambda p: seen.append(p.frames), every_s=0.01) as tell:
        tell(progress(1))
        wait_for(lambda: 1 in seen)
        tell(progress(2))
    assert seen[-1] == 2
    assert sorted(seen) == seen


def test_nothing_is_worked_on_before_anything_is_told() -> None:
    with in_background("work", lambda _: pytest.fail("nothing was told"), every_s=0.01):
        pass


@pytest.mark.parametrize("error", [SourceError("kafka: nobody there"), ValueError("a mistake")])
def test_what_fails_is_logged_and_tried_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    failures = [error, error]
    done: list[int] = []

    def work(latest: RunProgress) -> None:
        if failures:
            raise failures.pop()
        done.append(latest.frames)

    with caplog.at_level(logging.WARNING), in_background("letters", work, every_s=0.01) as tell:
        tell(progress(3))
        wait_for(lambda: bool(done))
    assert [record.getMessage().startswith("letters: ") for record in caplog.records] == [True, True]
    assert set(done) == {3}

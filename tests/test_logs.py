"""One JSON object an event, or a line for people; what a worker says is said by the driver, and no secret by anyone."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from fleetsift.logs import LogForm, LogLevel, LogStyle, configure_logs, keep_events, log_style, say_again

log = logging.getLogger("fleetsift.streaming.some_room")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root, house = logging.getLogger(), logging.getLogger("fleetsift")
    handlers, ours, level, style = list(root.handlers), list(house.handlers), house.level, log_style()
    yield
    configure_logs(style)
    root.handlers[:], house.handlers[:] = handlers, ours
    house.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_machines_get_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogStyle(LogForm.JSON))
    log.debug("nobody asked")
    log.info("published %d rows\nin two lines", 7, extra={"facts": {"partition": 3, "rows": 7}})
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("it failed")
    published, failed = map(json.loads, lines(capsys))
    assert published.pop("time").endswith("Z")
    assert published == {
        "level": "info",
        "logger": "fleetsift.streaming.some_room",
        "message": "published 7 rows\nin two lines",
        "partition": 3,
        "rows": 7,
    }
    assert failed["level"] == "error"
    assert failed["exception"].endswith("ValueError: no")


def test_people_get_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogStyle())
    log.info("all is well")
    log.warning("%s is late", "p3", extra={"facts": {"worker": 2}})
    [line] = lines(capsys)
    assert line.endswith("warning worker 2: p3 is late")


def test_a_level_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogStyle(LogForm.HUMAN, LogLevel.DEBUG))
    log.debug("small talk")
    configure_logs(LogStyle(LogForm.JSON, LogLevel.ERROR))
    log.warning("not so bad")
    [line] = lines(capsys)
    assert line.endswith("debug   small talk")


def test_what_a_worker_keeps_is_said_again_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogStyle(LogForm.HUMAN, LogLevel.INFO))
    keeper = keep_events()
    log.info("done", extra={"facts": {"rows": 5}})
    events = keeper.take()
    assert keeper.take() == []
    capsys.readouterr()
    logging.getLogger("fleetsift").removeHandler(keeper)
    configure_logs(LogStyle(LogForm.JSON))
    say_again(events, {"worker": 1, "partitions": (0, 2)})
    [said] = map(json.loads, lines(capsys))
    assert (said["message"], said["rows"], said["worker"], said["partitions"]) == ("done", 5, 1, [0, 2])


def test_people_hear_of_kafka_where_they_ask_for_more(capsys: pytest.CaptureFixture[str]) -> None:
    client = logging.getLogger("kafka.net.manager")
    for level, heard in ((None, []), (LogLevel.INFO, ["no answer"])):
        configure_logs(LogStyle(LogForm.HUMAN, level))
        client.error("no answer")
        assert [line.split("  ")[-1].strip() for line in lines(capsys)] == [f"{said}" for said in heard]


def test_kafka_is_not_heard_below_info_whoever_turns_it_up(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogStyle(LogForm.JSON, LogLevel.DEBUG))
    parser = logging.getLogger("kafka.protocol.parser")
    before = parser.level
    parser.setLevel(logging.DEBUG)
    try:
        parser.debug("SaslAuthenticate(password=hunter2)")
        parser.info("connected")
    finally:
        parser.setLevel(before)
    [said] = map(json.loads, lines(capsys))
    assert said["message"] == "connected"

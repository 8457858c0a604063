"""How a process says what happens to it: lines for people, or one JSON object a line for machines, on standard error.

What a worker says is told to the driver and said there, with the worker's number and its partitions; so a run has one
log, wherever its workers are. kafka-python's loggers are never heard below INFO: at DEBUG they print passwords.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec


class LogForm(StrEnum):
    """How an event is written."""

    HUMAN = "human"
    JSON = "json"


class LogLevel(StrEnum):
    """From which severity on an event is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class LogStyle:
    """How a run logs; without a level, people read what is wrong, machines everything that happens."""

    form: LogForm = LogForm.HUMAN
    level: LogLevel | None = None

    @property
    def number(self) -> int:
        """The level as `logging` counts it."""
        level = self.level or (LogLevel.INFO if self.form is LogForm.JSON else LogLevel.WARNING)
        return logging.getLevelNamesMapping()[level.upper()]


class LogEvent(msgspec.Struct, frozen=True):
    """One event, as a worker tells it."""

    logger: str
    level: int
    at_s: float  # since the epoch
    message: str
    facts: dict[str, Any]


_ROOT = "fleetsift"
_style = LogStyle()


def log_style() -> LogStyle:
    """How this process logs."""
    return _style


def configure_logs(style: LogStyle, facts: Mapping[str, Any] | None = None) -> None:
    """Write this process's events to standard error from now on, each with some facts; others' from WARNING on.

    Of kafka-python people hear where they ask for `info` or `debug`.
    """
    global _style  # noqa: PLW0603 - a process has one log
    _style = style
    handler = _StandardError()
    handler.setFormatter(_Json(facts or {}) if style.form is LogForm.JSON else _Human(facts or {}))
    handler.addFilter(_keeps_secrets)
    if style.form is LogForm.HUMAN and style.number > logging.INFO:
        handler.addFilter(_not_of_kafka)
    root = logging.getLogger()
    for before in [handler for handler in root.handlers if isinstance(handler, _StandardError)]:
        root.removeHandler(before)
    root.addHandler(handler)
    logging.getLogger(_ROOT).setLevel(style.number)


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was logged as `extra={"facts": …}`."""
    return dict(getattr(record, "facts", {}))


class EventKeeper(logging.Handler):
    """Keeps a process's events until somebody takes them; of too many, the latest."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self._events: deque[LogEvent] = deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        event = LogEvent(record.name, record.levelno, record.created, record.getMessage(), facts_of(record))
        self._events.append(event)

    def take(self) -> list[LogEvent]:
        """The events that nobody has taken yet."""
        return [self._events.popleft() for _ in range(len(self._events))]


def keep_events() -> EventKeeper:
    """Keep what this process's own loggers say from now on."""
    keeper = EventKeeper()
    logging.getLogger(_ROOT).addHandler(keeper)
    return keeper


def say_again(events: Iterable[LogEvent], facts: Mapping[str, Any]) -> None:
    """Log events of another process here, as they were and when they were, with some facts."""
    for event in events:
        logger = logging.getLogger(event.logger)
        if logger.isEnabledFor(event.level):
            said = {"name": event.logger, "levelno": event.level, "levelname": logging.getLevelName(event.level)}
            said |= {"created": event.at_s, "msg": event.message, "facts": event.facts | dict(facts)}
            logger.handle(logging.makeLogRecord(said))


def _keeps_secrets(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO or record.name.partition(".")[0] != "kafka"


def _not_of_kafka(record: logging.LogRecord) -> bool:
    """What a client says of every try is for who asked for more; what it comes to, the stream says."""
    return record.name.partition(".")[0] != "kafka"


class _StandardError(logging.Handler):
    """Whatever standard error is at the moment: a gauge may have put itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


class _Json(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self._facts = dict(facts)

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, logger, message, then what is known besides."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event = {"time": at.replace("+00:00", "Z"), "level": record.levelname.lower(), "logger": record.name}
        event |= {"message": record.getMessage()} | self._facts | facts_of(record)
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(event, enc_hook=str).decode()


class _Human(logging.Formatter):
    """A line for people."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self._facts = dict(facts)

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message, and who says it where that is a worker."""
        facts = self._facts | facts_of(record)
        whose = f"worker {facts['worker']}: " if "worker" in facts else ""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{at} {record.levelname.lower():7} {whose}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

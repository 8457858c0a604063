"""Every error fleetsift raises, as one tree; messages read `owner.field: expected X, got Y; remedy`.

FleetsiftError            a refusal or failure with one clear line; the command line exits with 1
├── ConfigError           a YAML file or an argument that cannot be meant
│   └── MissingExtra      a feature whose package is not installed
├── EnsembleError         a network file that is absent, altered, or not what its ensemble file says
├── SourceError           the broker, topic or manifest cannot be read or written
│   └── PartitionsGivenUp some partitions no longer have what the store goes on from
├── ClusterError          a Ray that cannot be joined or started, or that is gone
├── StoreError            the score store cannot be read or written
│   ├── StoreSilent       the object store gives no answer: it is not there, or not now
│   │   └── OutcomeUnknown to a request to publish: only a look can tell whether it was served
│   └── SegmentCorrupt    a segment whose bytes do not match their own hash
├── QueryError            SQL that DuckDB refuses, or that asks for what user SQL may not do
├── SelectionError        a selection that its pool cannot serve
└── FrameError            one frame that cannot be scored: it becomes a row with a status, never a crash
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetsift.schemas.status import Status


class FleetsiftError(Exception):
    """A refusal or failure that one line explains."""


class ConfigError(FleetsiftError):
    """A configuration or argument that cannot be meant."""


class MissingExtra(ConfigError):
    """A feature whose optional package is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(feature, package, extra)

    def __str__(self) -> str:
        feature, package, extra = self.args
        remedy = f"pip install 'fleetsift[{extra}]', in a clone '.[{extra}]'"
        return f"{feature}: the package {package} is not installed; {remedy}"


class EnsembleError(FleetsiftError):
    """A network file that is absent, altered, or not what its ensemble file says."""


class SourceError(FleetsiftError):
    """The broker, topic or manifest cannot be read or written."""


class PartitionsGivenUp(SourceError):
    """Some partitions no longer have what the store goes on from; `reasons` says why, by partition."""

    def __init__(self, topic: str, reasons: dict[int, str]) -> None:
        super().__init__(topic, reasons)
        self.topic = topic
        self.reasons = reasons

    def __str__(self) -> str:
        each = "; ".join(f"{self.topic}[{partition}]: {reason}" for partition, reason in sorted(self.reasons.items()))
        return (
            f"kafka.topic: expected the records the store goes on from, {each}. The other partitions were read; with "
            "kafka.on_gap: seal what retention has removed is noted and passed over, else start another store"
        )


class ClusterError(FleetsiftError):
    """A Ray that cannot be joined or started, or that is gone."""


class StoreError(FleetsiftError):
    """The score store cannot be read or written."""


class StoreSilent(StoreError):
    """The object store gives no answer: it is not there, or not now."""


class OutcomeUnknown(StoreSilent):
    """A request to publish whose answer was lost: only a look can tell whether it was served."""


class SegmentCorrupt(StoreError):
    """A segment whose bytes do not match their own hash."""


class QueryError(FleetsiftError):
    """SQL that is wrong, or that asks for what user SQL may not do."""


class SelectionError(FleetsiftError):
    """A selection that its pool cannot serve."""


class FrameError(FleetsiftError):
    """One frame that cannot be scored; `status` names the kind of failure for its row."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return self.reason

"""How far a ledger has been judged, and what the policy knew then: a restart judges what came after.

It follows from the ledger and the store, and may be lost at any time: without it all rows of the ledger are judged
again, which comes to the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from fleetsift.errors import SelectionError
from fleetsift.selectors.batches.batch import replace_file
from fleetsift.selectors.online.arrivals import Read
from fleetsift.selectors.online.ledger import Begun, Ledger
from fleetsift.selectors.online.policy import Arrival, Policy


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One arrival, its vector as the bytes of float32."""

    frame_id: str
    session_id: str
    uri: str
    captured_us: int
    score: float
    keys: tuple[str | None, ...]
    balanced: tuple[str | None, ...]
    vector: bytes | None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Of which ledger, after how many of its reads, and the policy's memory."""

    begun: Begun
    reads: int
    reads_hash: str
    judged: int  # frames
    arrived: dict[int, int]  # by day
    picks: tuple[Frame, ...]
    recent: tuple[Frame, ...]

    def belongs_to(self, ledger: Ledger) -> bool:
        """Whether a ledger begins with what was judged and picked here."""
        picked = [frame.frame_id for frame in self.picks]
        return (
            ledger.begun == self.begun
            and _hash(ledger.reads[: self.reads]) == self.reads_hash
            and ledger.picked[: len(picked)] == picked
        )


def write_checkpoint(ledger: Ledger, judged: int, policy: Policy) -> None:
    """Put down, beside a ledger all of whose reads are judged, what its policy knows; raises SelectionError."""
    checkpoint = Checkpoint(
        begun=ledger.begun,
        reads=len(ledger.reads),
        reads_hash=_hash(ledger.reads),
        judged=judged,
        arrived=dict(policy.arrived),
        picks=_frames(policy.picks),
        recent=_frames(policy.recent),
    )
    path = _place(ledger.path)
    try:
        replace_file(path, msgspec.msgpack.encode(checkpoint))
    except OSError as error:
        raise SelectionError(f"{path}: cannot be written, {error.strerror}; choose another place") from error


def read_checkpoint(ledger: Ledger) -> Checkpoint | None:
    """What lies beside a ledger; None where nothing does, or nothing that belongs to it."""
    try:
        checkpoint = msgspec.msgpack.decode(_place(ledger.path).read_bytes(), type=Checkpoint)
    except (OSError, msgspec.MsgspecError):
        return None
    return checkpoint if checkpoint.belongs_to(ledger) else None


def recall(policy: Policy, checkpoint: Checkpoint) -> None:
    """Let a fresh policy know what it knew then."""
    policy.recall(checkpoint.arrived, _arrivals(checkpoint.picks), _arrivals(checkpoint.recent))


def _place(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.checkpoint")


def _hash(reads: Sequence[Read]) -> str:
    return hashlib.blake2b(msgspec.json.encode(reads, order="deterministic"), digest_size=16).hexdigest()


def _frames(arrivals: Iterable[Arrival]) -> tuple[Frame, ...]:
    return tuple(
        Frame(
            *(a.frame_id, a.session_id, a.uri, a.captured_us, a.score, a.keys, a.balanced),
            None if a.vector is None else a.vector.tobytes(),
        )
        for a in arrivals
    )


def _arrivals(frames: Iterable[Frame]) -> list[Arrival]:
    return [
        Arrival(
            *(f.frame_id, f.session_id, f.uri, f.captured_us, f.score, f.keys),
            None if f.vector is None else np.frombuffer(f.vector, np.float32),
            f.balanced,
        )
        for f in frames
    ]

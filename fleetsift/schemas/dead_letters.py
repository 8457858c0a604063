"""A frame or record that could not be scored, as it goes to the dead-letter topic: JSON, its key the position."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetsift.schemas.status import Status


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where it stood, what is wrong with it, and what is known of it."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    ensemble: str
    status: Status
    reason: str
    frame_id: str | None = None
    session_id: str | None = None
    uri: str | None = None
    captured_at: datetime | None = None
    vehicle_id: str | None = None
    camera: str | None = None
    record: Annotated[
        bytes | None,
        Meta(description="Base64 of the record, where it was no message; absent where retention has removed it."),
    ] = None

    @property
    def key(self) -> bytes:
        """The same for the same frame, whoever sends it: who gets it twice can tell."""
        return f"{self.topic}@{self.topic_id}/{self.partition}/{self.offset}/{self.ensemble}".encode()


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Write a dead letter as the JSON that goes on the topic."""
    return msgspec.json.encode(letter)

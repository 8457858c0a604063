"""The soak's fleets are those of the stream's tests."""

from __future__ import annotations

from tests.streaming.conftest import broker, frames_root, new_fleet

__all__ = ["broker", "frames_root", "new_fleet"]

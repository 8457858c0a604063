"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run measures, and for how long."""

    seconds: float  # for the turns of a case, and at least
    turns: int
    frames: int = 4  # in an engine's batch
    toy_members: int = 8
    toy_size: tuple[int, int] = (256, 512)
    scaled_members: tuple[int, ...] = (1, 2, 4, 8, 16)
    scaled_sizes: tuple[tuple[int, int], ...] = ((128, 256), (256, 512), (512, 1024), (1024, 2048))
    camvid: Path | None = SHARED


FULL = Plan(seconds=25, turns=9)
QUICK = Plan(seconds=10, turns=3, scaled_members=(1, 16), scaled_sizes=((128, 256), (512, 1024)))


def short(size: tuple[int, int]) -> str:
    """A size in the name of a figure."""
    return f"{size[0]}x{size[1]}"

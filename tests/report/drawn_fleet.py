"""A small drawn fleet: its references, scores and pictures, and a batch picked from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from fleetsift.errors import FrameError
from fleetsift.report.pictures import Picture
from fleetsift.schemas.fleet import ColumnType, StoreSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.scores import F32, ByClass, FrameScores, RegionGrid, Statistic
from fleetsift.schemas.selection import Cap, Gap, Pick, Selection, SelectionSpec
from fleetsift.schemas.status import Status
from fleetsift.store.chain import Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter

HOSTILE = "<script>document.title='owned'</script><img src=//evil.example/x>"
ENSEMBLE = "drawn-0123456789ab"
CLASSES = ("road", "car", "person")
DECLARED: dict[str, ColumnType] = {"city": "string", "night": "boolean", "speed_kmh": "double", "lanes": "bigint"}
FRAMES = 300
MISSING = "frames/lost.jpg"  # the one picture that cannot be opened
START = datetime(2026, 5, 3, 7, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A store, what was selected from it, and where its pictures come from."""

    store: ScoreStore
    selection: Selection
    picture: Callable[[str], Picture]


def references() -> list[FrameRef]:
    """Sessions of unequal length; what a vehicle does not know, it leaves out."""
    refs = []
    for n in range(FRAMES):
        session = int(12 * (n / FRAMES) ** 2)
        hostile = session == 11
        metadata: dict[str, object] = {
            "speed_kmh": 12.5 + 7 * session + n % 7,
            "lanes": 1 + session % 4,
            "night": session % 3 == 0,
        }
        if session != 4:
            metadata["city"] = HOSTILE if hostile else ("Lyon", "Graz", "Porto")[session % 3]
        refs.append(
            FrameRef(
                position=Position("fleet", 0, n),
                frame_id=f"{HOSTILE}{n}" if hostile else f"frame-{n:04d}",
                session_id=HOSTILE if hostile else f"2026-05-{3 + session:02d}-morning",
                uri=MISSING if n == FRAMES - 1 else f"frames/{n}.jpg",
                captured_at=START + timedelta(hours=5 * session, seconds=n / 2),
                vehicle_id=HOSTILE if hostile else f"van-{session % 5}",
                camera=None if session == 7 else ("front", "rear")[session % 2],
                metadata=metadata,
            )
        )
    return refs


def drawn_scores() -> FrameScores:
    """Numbers such as an ensemble gives: few frames are hard, and the hard ones are hard in one place."""
    random = np.random.default_rng(7)
    mean = random.gamma(2.0, 0.012, FRAMES).astype(np.float32)
    mean[-1] = 0.2

    def statistic(values: F32) -> Statistic:
        return Statistic(values, 6 * values, 4 * values)

    by_class = np.repeat(mean[:, None] / np.float32(3), 3, axis=1)
    cells = np.repeat(mean[:, None], 12, axis=1)
    return FrameScores(
        classes=CLASSES,
        entropy=statistic(3 * mean + 0.05),
        expected_entropy=statistic(2 * mean + 0.05),
        mutual_information=statistic(mean),
        variation_ratio=statistic(mean),
        least_confidence=statistic(mean),
        margin=statistic(mean),
        by_class=ByClass(by_class, by_class, by_class, by_class),
        regions=RegionGrid(3, 4, cells, cells),
        embedding=random.normal(size=(FRAMES, 8)).astype(np.float32),
        problems=(None,) * FRAMES,
    )


def write_store(folder: Path, refs: list[FrameRef], scores: FrameScores, members: int = 4) -> ScoreStore:
    """A store of these rows, opened."""
    namespace = Namespace("fleet", "", ENSEMBLE, CLASSES)
    layout = RowLayout(ENSEMBLE, members=members, metadata=DECLARED)
    writer = StoreWriter(StoreSpec(path=str(folder)), namespace, layout, [0])
    writer.append(refs, scores)
    writer.flush()
    return ScoreStore(folder)


def pick_capped(refs: list[FrameRef], scores: FrameScores, budget: int, most: int) -> Selection:
    """The hardest frames, at most so many of a session, with the receipts a selector writes."""
    picks: list[Pick] = []
    for n in np.argsort(-scores.mutual_information.top):
        ref = refs[n]
        taken = sum(pick.session_id == ref.session_id for pick in picks)
        if taken == most or len(picks) == budget:
            continue
        value = float(scores.mutual_information.top[n])
        picks.append(
            Pick(
                rank=len(picks) + 1,
                frame_id=ref.frame_id or "",
                session_id=ref.session_id or "",
                uri=ref.uri or "",
                value=value * 1.5,
                factors={"mutual_information.top": value, "diversity": 1.5},
                nearest=picks[-1].frame_id if picks else None,
                distance=1.5 if picks else None,
                turn="person" if len(picks) == 2 else None,
                room_left={"session_id": most - taken - 1},
            )
        )
    constraints = (Cap(key="session_id", most=most), Cap(key="camera", most=200), Gap(least_s=1e-6))
    spec = SelectionSpec(budget=budget + 6, constraints=constraints)
    return Selection(spec, ENSEMBLE, FRAMES, tuple(picks), spec.budget - len(picks), {"cap session_id": 41})


def drawn_picture(uri: str) -> Picture:
    """A road under a sky, with one bright disagreement whose place depends on the frame."""
    if uri == MISSING:
        raise FrameError(Status.MISSING, f"nothing at {uri}")
    n = int(uri.removeprefix("frames/").removesuffix(".jpg"))
    rows, columns = np.mgrid[0:180, 0:240].astype(np.float32)
    road = (rows > 80) & (abs(columns - 120) < (rows - 70) * 1.1)
    frame = np.where(rows[..., None] < 80, (150, 190, 225), (96, 128, 84)).astype(np.uint8)
    frame[road] = 84, 84, 90
    frame[100:130, (n * 13) % 200 : (n * 13) % 200 + 30] = 170, 40, 40
    r, q = np.mgrid[0:45, 0:60].astype(np.float32)
    heat = 0.5 * np.exp(-((r - 28) ** 2 + (q - (n * 13) % 200 / 4 - 4) ** 2) / 18)
    return Picture(frame, heat.astype(np.float32))

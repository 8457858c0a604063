"""One row a region: the cells of the grid, each with its scores, its class shares and its box."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fleetsift.errors import StoreError
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.scores import ByClass, FrameScores, RegionGrid, Statistic
from fleetsift.schemas.status import Problem, Status
from fleetsift.store.chain import Namespace
from fleetsift.store.rows import RowLayout
from fleetsift.store.views import ScoreStore
from fleetsift.store.writer import StoreWriter

CLASSES = ("road", 'a "quoted" class')
ROWS, COLUMNS, FRAMES = 2, 3, 5
CELLS = ROWS * COLUMNS


def scores(*, grid: bool = True, shares: bool = True) -> FrameScores:
    """Frames whose means are those of their cells, which are of one size."""
    random = np.random.default_rng(5)
    entropy, information = random.random((2, FRAMES, CELLS)).astype(np.float32)
    argmax = random.dirichlet([1, 1], (FRAMES, CELLS)).astype(np.float32)

    def statistic(cells: np.ndarray) -> Statistic:
        mean = cells.mean(axis=1)
        return Statistic(mean, mean, mean)

    by_class = argmax.mean(axis=1)
    return FrameScores(
        classes=CLASSES,
        entropy=statistic(entropy),
        expected_entropy=statistic(entropy - information),
        mutual_information=statistic(information),
        variation_ratio=None,
        least_confidence=statistic(entropy),
        margin=None,
        by_class=ByClass(by_class, by_class, by_class, by_class),
        regions=RegionGrid(ROWS, COLUMNS, entropy, information, argmax.reshape(FRAMES, -1) if shares else None)
        if grid
        else None,
        embedding=random.normal(size=(FRAMES, 4)).astype(np.float32),
        problems=(None,) * FRAMES,
    )


def without(rows: FrameScores, frame: int) -> FrameScores:
    """The same, but for one frame that could not be scored."""
    problems: list[Problem | None] = [None] * FRAMES
    problems[frame] = Problem(Status.CORRUPT, "half a JPEG")
    return replace(rows, problems=tuple(problems))


def write(path: Path, rows: FrameScores, size: tuple[int, int] | None = None) -> Path:
    """A store of five frames in two sessions, one of them a frame of a video."""
    refs = [
        FrameRef(Position("t", 0, n), f"f-{n}", f"s-{n % 2}", "drive.mp4#frame=7" if n == 3 else f"/{n}.jpg", size=size)
        for n in range(FRAMES)
    ]
    writer = StoreWriter(
        StoreSpec(path=str(path)), Namespace("t", "", "e-0123456789ab", CLASSES), RowLayout("e-0123456789ab", 2), [0]
    )
    writer.append(refs, rows)
    writer.flush()
    return path


def test_every_cell_is_a_row_with_its_own_numbers(tmp_path: Path) -> None:
    given = scores()
    with ScoreStore(write(tmp_path, given), "region") as store:
        rows = store.sql("SELECT * FROM frames ORDER BY frame.frame_id, box.y, box.x").to_arrow_table().to_pylist()
    assert len(rows) == FRAMES * CELLS
    assert given.regions is not None
    assert given.regions.argmax is not None
    for place, row in enumerate(rows):
        n, cell = divmod(place, CELLS)
        r, q = divmod(cell, COLUMNS)
        assert row["frame_id"] == f"f-{n}#region={r},{q}"
        assert (row["frame"]["frame_id"], row["session_id"]) == (f"f-{n}", f"s-{n % 2}")
        assert row["entropy"]["mean"] == given.regions.entropy[n, cell]
        assert row["mutual_information"]["mean"] == given.regions.mutual_information[n, cell]
        assert row["frame"]["entropy"]["mean"] == given.entropy.mean[n]
        shares = given.regions.argmax[n].reshape(CELLS, len(CLASSES))[cell]
        assert list(row["argmax"].values()) == list(shares)
        assert tuple(row["argmax"]) == CLASSES
        np.testing.assert_allclose(row["embedding"][:4], given.embedding[n] / np.linalg.norm(given.embedding[n]), 1e-5)
        assert row["embedding"][4:] == list(shares)
        assert row["box"] == {"x": q / 3, "y": r / 2, "width": 1 / 3, "height": 1 / 2}
        whole = "drive.mp4#frame=7&" if n == 3 else f"/{n}.jpg#"
        assert row["uri"].startswith(f"{whole}xywh=percent:{100 * q / 3:.6g},{50 * r},33.3333,50")


def test_regions_add_up_to_their_frame(tmp_path: Path) -> None:
    with ScoreStore(write(tmp_path, scores()), "region") as store:
        found = store.sql(
            "SELECT any_value(frame.entropy.mean), sum(entropy.mean * box.width * box.height), "
            "any_value(frame.mutual_information.mean), sum(mutual_information.mean * box.width * box.height), "
            "any_value(frame.argmax.road), sum(argmax.road * box.width * box.height), sum(box.width * box.height) "
            "FROM frames GROUP BY frame.frame_id"
        ).fetchall()
    for entropy, of_cells, information, informations, road, roads, area in found:
        assert [of_cells, informations, roads, area] == pytest.approx([entropy, information, road, 1])


def test_a_frame_without_scores_has_no_regions_and_spoils_no_others(tmp_path: Path) -> None:
    with ScoreStore(write(tmp_path, without(scores(), 2)), "region") as store:
        lengths = store.sql("SELECT list_sum(list_transform(embedding[:4], lambda v: v * v)) FROM frames").fetchall()
    assert len(lengths) == (FRAMES - 1) * CELLS
    assert [length for (length,) in lengths] == pytest.approx([1.0] * len(lengths))


def test_rows_of_before_have_no_class_shares_but_regions_all_the_same(tmp_path: Path) -> None:
    with ScoreStore(write(tmp_path, scores(shares=False)), "region") as store:
        (count, size) = store.sql("SELECT count(*), max(len(embedding)) FROM frames").fetchall()[0]
    assert (count, size) == (FRAMES * CELLS, 4)


def test_a_store_without_regions_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected rows with regions"):
        ScoreStore(write(tmp_path, scores(grid=False)), "region")

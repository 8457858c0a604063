"""The bench as its user meets it: a pace for each batch, which batch is large enough, and what keeps it fed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from fleetsift.errors import SourceError
from fleetsift.inspection.bench import Pace, Paces, bench_ensemble
from fleetsift.inspection.table import show_paces
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble
from tests.test_cli import fleetsift


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ensemble(tmp_path_factory.mktemp("ensemble"), [Drawn(m) for m in range(2)])


@pytest.fixture(scope="module")
def drawn(ensemble: Path) -> Paces:
    return bench_ensemble(ensemble, threads=1, batch_sizes=(4, 1, 4))


def frames_in(folder: Path) -> Path:
    for i, pixels in enumerate(draw_frames(5, seed=1)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_each_batch_size_has_a_pace_once_smallest_first(drawn: Paces) -> None:
    assert [pace.batch for pace in drawn.by_batch] == [1, 4]
    assert all(pace.frames_per_s > 0 and pace.opened_s > 0 for pace in drawn.by_batch)
    assert drawn.by_batch[0].peak_mib <= drawn.by_batch[1].peak_mib
    assert (drawn.members, drawn.generated, drawn.loaded_per_s, drawn.loading_threads) == (2, True, None, None)


def test_the_smallest_batch_that_is_about_as_fast_as_any_is_advised(drawn: Paces) -> None:
    def advised(*speeds: float) -> int:
        return replace(drawn, by_batch=tuple(Pace(2**i, 0.1, s, 1) for i, s in enumerate(speeds))).advised.batch

    assert advised(10, 20, 30) == 4
    assert advised(10, 30, 30.5, 30.8) == 2
    assert advised(10, 29, 30.5, 30.8) == 4
    assert advised(30, 20, 10) == 1


def test_threads_that_load_keep_the_advised_batch_fed(drawn: Paces) -> None:
    found = replace(drawn, by_batch=(Pace(8, 0.1, 1000, 1),), loaded_per_s=300)
    assert found.loading_threads == 4
    assert "4 would keep batches of 8 fed" in " ".join(shown(found).split())


def test_frames_that_are_given_are_loaded_and_those_that_cannot_be_are_named(ensemble: Path, tmp_path: Path) -> None:
    (frames_in(tmp_path) / "9.png").write_bytes(b"no picture")
    found = bench_ensemble(ensemble, tmp_path, threads=1, batch_sizes=(2,))
    assert (found.frames, found.generated) == (5, False)
    assert [reason.split(",")[0] for reason in found.left_out.values()] == ["corrupt"]
    assert found.loaded_per_s is not None
    assert found.loaded_per_s > 0
    assert "left out" in shown(found)


def test_nothing_that_can_be_read_is_said_with_its_reason(ensemble: Path, tmp_path: Path) -> None:
    (tmp_path / "9.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match="expected frames, none can be read, 9: corrupt"):
        bench_ensemble(ensemble, tmp_path, threads=1, batch_sizes=(2,))


def test_from_the_command_line_as_a_table_and_as_json(ensemble: Path, tmp_path: Path) -> None:
    table = fleetsift("bench", str(ensemble), "--batch", "2")
    assert "for fleet.yaml: `workers.batch: 2`" in table.stdout
    as_json = fleetsift("bench", str(ensemble), str(frames_in(tmp_path)), "--batch", "2", "--json")
    paces = json.loads(as_json.stdout)
    assert [pace["batch"] for pace in paces["by_batch"]] == [2]
    assert paces["frames"] == 5


def shown(paces: Paces) -> str:
    sink = io.StringIO()
    Console(width=80, file=sink).print(show_paces(paces))
    return sink.getvalue()

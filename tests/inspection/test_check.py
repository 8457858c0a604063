"""The check as its user meets it: what is found, on which frames, and what breaks it."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.camvid import write_camvid
from fleetsift.engines.truth.parity import BOUND, HALF_BOUND
from fleetsift.errors import SourceError
from fleetsift.inspection.agreement import HALF_SPEARMAN, RANKED, Comparison, RankAgreement, broken_ranks
from fleetsift.inspection.check import Findings, check_ensemble
from fleetsift.inspection.sample import CANARIES, KEPT, Sample
from fleetsift.inspection.table import show_findings
from fleetsift.schemas.runtime import RuntimeSpec
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble
from tests.test_cli import fleetsift, refused


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ensemble(tmp_path_factory.mktemp("ensemble"), [Drawn(m) for m in range(3)])


@pytest.fixture(scope="module")
def found(ensemble: Path) -> Findings:
    return check_ensemble(ensemble, threads=1)


def shown(findings: Findings) -> str:
    sink = io.StringIO()
    Console(width=80, file=sink).print(show_findings(findings))
    return sink.getvalue()


def test_a_sound_ensemble_passes(found: Findings) -> None:
    assert found.passed
    assert found.parity.holds
    assert (found.members, found.frame_size, found.resolution) == (3, (16, 24), "native")
    assert (found.frames, found.generated, found.parity.frames) == (CANARIES, True, KEPT)
    assert list(found.frames_per_s) == ["native", "full", "float16"]
    assert min(found.frames_per_s.values()) > 0
    assert 0 < found.highest_information_nats <= math.log(3)


def test_ranks_of_both_sizes_and_of_both_precisions_are_compared(found: Findings) -> None:
    size, precision = found.comparisons
    assert (size.title, precision.title) == ("native against full size", "float32 against float16")
    for comparison in found.comparisons:
        assert tuple(rank.score for rank in comparison.ranks) == RANKED
        for rank in comparison.ranks:
            assert -1 <= rank.kendall_tau_b <= 1
            assert -1 <= rank.spearman <= 1
            assert rank.top_percent_overlap in {0, 1}  # of the highest frame alone, where there are so few
            assert 0 <= rank.top_tenth_overlap <= 1
    assert size.ranks[0].spearman > 0.9  # enlarging hardly changes a mean
    assert min(rank.spearman for rank in precision.ranks) > 0.9


def test_float16_has_bounds_of_its_own(ensemble: Path, tmp_path: Path) -> None:
    found = check_ensemble(ensemble, threads=1, runtime=RuntimeSpec(half=True))
    assert found.passed
    assert found.ensemble_id.endswith("-fp16")
    assert found.parity.bound == HALF_BOUND
    assert BOUND.most < found.parity.worst[1] < HALF_BOUND.most
    assert [comparison.variant for comparison in found.comparisons] == ["full", "float32"]
    assert "on cpu in float16" in shown(found)
    loud = write_ensemble(tmp_path, [Drawn(2, gain=400.0), Drawn(3, gain=400.0)])
    assert [line.split(":")[0] for line in check_ensemble(loud, threads=1, runtime=RuntimeSpec(half=True)).broken]
    assert check_ensemble(loud, threads=1).passed  # in float32 the same networks are as good as any


def test_float16_that_ranks_frames_otherwise_is_refused() -> None:
    ranks = (RankAgreement("entropy.mean", 0.9995, 0.99, 1.0, 1.0), RankAgreement("entropy.max", 0.97, 0.9, 0.0, 0.5))
    half = Comparison("float16 against float32", "float32", ranks, None)
    assert broken_ranks(half, 100) == (
        "ranks: expected float16 to rank 100 frames as float32 does, Spearman 0.99 or more, got 0.970 by entropy.max; "
        "leave the networks in float32"
    )
    assert broken_ranks(half, 3) is None
    assert broken_ranks(replace(half, variant="float16"), 100) is None  # what is asked about is float32
    assert broken_ranks(replace(half, ranks=ranks[:1]), 100) is None


def test_the_tables_fit_a_terminal_and_say_it_all(found: Findings) -> None:
    text = shown(found)
    assert all(name in text for name in (*RANKED, "parity (", "variation_ratio", "frames per second, full size"))
    assert "BROKEN" not in text
    assert "…" not in text


def test_without_the_other_size_there_are_no_ranks_to_compare(tmp_path: Path) -> None:
    members = [Drawn(0, pooled=True), Drawn(1, pooled=True)]
    path = write_ensemble(tmp_path, members, task="classification", output={"full": "logits"}, resolution="full")
    found = check_ensemble(path, threads=1)
    size, precision = found.comparisons
    assert size.ranks == ()
    assert len(precision.ranks) == len(RANKED)
    assert found.passed
    assert set(found.frames_per_s) == {"full", "float16"}
    told = " ".join(shown(found).split())
    assert "no ranks to compare, full against native size: native is not to be had: members[0]" in told


def test_a_network_that_ends_at_its_own_stride_has_a_full_size_too(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1)], output={"full": "none", "native": "native"})
    enlarged, by_itself = (
        check_ensemble(path, threads=1),
        check_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1)]), threads=1),
    )
    assert enlarged.comparisons[0].ranks == by_itself.comparisons[0].ranks != ()


def test_frames_are_those_that_were_named(ensemble: Path, tmp_path: Path) -> None:
    for i, pixels in enumerate(draw_frames(3, (32, 48))):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    counted: list[int] = []
    found = check_ensemble(ensemble, tmp_path, threads=1, on_frame=counted.append)
    assert (found.frames, found.generated, found.parity.frames) == (2, False, 2)
    assert counted == [1, 2]
    assert found.left_out == {"1": "corrupt, PNG: the file is truncated"}
    assert "left out 1: corrupt" in shown(found)
    with pytest.raises(SourceError, match="none can be read, 1: corrupt"):
        check_ensemble(ensemble, tmp_path / "1.png", threads=1)


def test_a_network_that_answers_infinity_breaks_it(tmp_path: Path) -> None:
    path = write_ensemble(tmp_path, [Drawn(0), Drawn(1, breaks_on_white=True)])
    frames = draw_frames(3)
    frames[1] = 255
    for i, pixels in enumerate(frames):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    found = check_ensemble(path, tmp_path, threads=1)
    assert found.problems == 1
    assert found.broken == (
        "finite: expected numbers for every frame, got NaN or infinity on 1 of 3; mend the networks",
    )
    assert all(math.isfinite(rank.spearman) for comparison in found.comparisons for rank in comparison.ranks)


def test_networks_without_numbers_have_no_ranks(tmp_path: Path) -> None:
    found = check_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(1, gain=math.inf)]), threads=1)
    assert found.problems == found.frames
    assert [line.split(":")[0] for line in found.broken] == ["finite"]
    assert found.highest_information_nats == 0
    size, precision = found.comparisons
    assert size.missing == "no frame has numbers from both"
    assert "expected weights up to 65504 for float16" in (precision.missing or "")


def test_one_member_is_ranked_by_entropy_alone_and_its_objects_are_shown(tmp_path: Path) -> None:
    """Its mutual information is rounding: float16 ranks that otherwise, and is not to blame."""
    path = write_ensemble(
        tmp_path,
        [Drawn(0, leading=4)],
        task="detection_heatmap",
        output={"native": "native", "channels": {"boxes": 0, "classes": 4}},
        boxes={"decoding": "fastestdet"},
    )
    found = check_ensemble(path, threads=1, runtime=RuntimeSpec(half=True))
    assert found.passed, found.broken
    ranked = [rank.score for rank in found.comparisons[1].ranks]
    assert ranked == ["entropy.mean", "entropy.max", "entropy.top"]
    text = shown(found)
    assert "objects.uncertainty_least_confidence" in text
    assert "…" not in text


def test_members_that_never_disagree_break_it(tmp_path: Path) -> None:
    found = check_ensemble(write_ensemble(tmp_path, [Drawn(0), Drawn(0)]), threads=1)
    assert [line.split(":")[0] for line in found.broken] == ["mutual_information"]
    assert "BROKEN" in shown(found)


def test_the_frames_that_are_kept_are_spread_evenly() -> None:
    sample = Sample({})
    for i in range(100):
        sample.take(np.full((1, 1, 3), i, np.uint8), i, 100)
    assert [int(pixels[0, 0, 0]) for pixels in sample.kept] == [0, 13, 25, 38, 50, 63, 75, 88]


def test_the_verb_prints_tables_or_json_and_leaves_with_its_verdict(ensemble: Path, tmp_path: Path) -> None:
    done = fleetsift("check", ensemble)
    assert done.returncode == 0, done.stderr
    assert "Spearman" in done.stdout
    silent = write_ensemble(tmp_path, [Drawn(0), Drawn(0)])
    silenced = fleetsift("check", silent, "--json")
    assert silenced.returncode == 1
    assert silenced.stderr.startswith(f"fleetsift: {silent}: mutual_information: expected members that disagree")
    assert silenced.stderr.count("\n") == 1
    findings = json.loads(silenced.stdout)
    assert findings["broken"]
    assert findings["parity"]["deviations"].keys() >= {"entropy.mean", "regions.entropy", "embedding"}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--cuda-graph"], "cuda_graph: expected runtime cuda for it, got cpu; choose another --runtime"),
        (["--plans", "there"], "plans: expected runtime cuda_tensorrt or tensorrt, which build some, got cpu; choose"),
    ],
)
def test_options_that_nothing_would_heed_are_refused(ensemble: Path, options: list[str], line: str) -> None:
    assert line in refused("check", ensemble, *options)


@pytest.mark.slow
def test_a_real_ensemble_on_real_frames(tmp_path: Path, shared_data: Path) -> None:
    path = write_camvid(tmp_path, shared_data, "native")
    manifest = tmp_path / "frames.csv"
    images = sorted((shared_data / "camvid" / "val").iterdir())[::8]
    manifest.write_text("frame_id,session_id,uri\n" + "".join(f"{i.stem},s,{i}\n" for i in images))
    found = check_ensemble(path, manifest)
    assert found.passed
    size, precision = found.comparisons
    assert size.ranks[0].spearman > 0.99
    assert min(rank.spearman for rank in precision.ranks) > HALF_SPEARMAN

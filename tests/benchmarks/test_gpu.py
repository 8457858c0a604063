"""What of the GPU's benchmark can be tried without one: its networks, their cost, the torch engine, its report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from benchmarks.bisenet import Cost, build_bisenet, count_cost
from benchmarks.engines import gpu
from benchmarks.engines.gpu import Card, Case, add_figures, measure_card, time_engine, ways_to_open
from benchmarks.engines.report import Report, as_text
from benchmarks.interpreted import Interpreted
from fleetsift import FrameBatch, open_engine

SMALL = (64, 128)


def test_the_network_has_the_size_that_its_paper_says() -> None:
    """Yu et al. 2021: 21.15 G multiply-adds at 512 x 1024; a head as wide as theirs, and no heads for training."""
    network = build_bisenet(0, (512, 1024))
    cost = count_cost(network)
    assert cost.flops / 2 == pytest.approx(21.15e9, rel=0.2)
    weights = sum(int(np.prod(w.dims)) for w in network.graph.initializer)
    assert weights == pytest.approx(3.4e6, rel=0.2)


def test_what_a_frame_costs_grows_with_its_positions() -> None:
    small, large = (count_cost(build_bisenet(0, size)) for size in (SMALL, (128, 256)))
    assert large.flops == pytest.approx(4 * small.flops, rel=0.01)
    assert large.values == pytest.approx(4 * small.values, rel=0.7)  # weights do not


def test_the_module_answers_as_the_graph_does() -> None:
    network = build_bisenet(3, SMALL)
    images = np.random.default_rng(0).random((2, 3, *SMALL), np.float32)
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, expected in zip(("native", "logits"), session.run(["native", "logits"], {"images": images}), strict=True):
        with torch.inference_mode():
            found = Interpreted(network, name)(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_torch_engine_scores_it_as_the_graph_is_scored(tmp_path: Path) -> None:
    case = Case(members=2, size=SMALL, batch=2, seconds=0)
    frames = np.random.default_rng(0).integers(0, 256, (2, *SMALL, 3), dtype=np.uint8)
    batch = FrameBatch(frames, (None, None))
    with closing(ways_to_open(case, tmp_path, device="cpu")["torch"]()) as engine:
        means = engine.score(batch).entropy.mean
        assert time_engine(engine, case) > 0
    with closing(open_engine(tmp_path / "bisenet.yaml", threads=1)) as engine:
        np.testing.assert_allclose(means, engine.score(batch).entropy.mean, atol=1e-4)


def test_a_device_is_measured() -> None:
    card = measure_card("cpu", side=64, copied_bytes=1 << 16)
    assert card.flops_per_s > 0
    assert card.bytes_per_s > 0


def test_the_report_says_what_share_of_the_card_was_reached() -> None:
    report = Report()
    card = Card("A card", flops_per_s=800e12, bytes_per_s=4e12)
    add_figures(report, Case(), card, Cost(flops=50e9, values=200e6), {"torch": 500.0})
    assert report.figures["gpu_frames_per_s_torch"] == 500
    assert report.figures["gpu_share_of_matrix_rate_torch"] == pytest.approx(0.25)
    assert report.figures["gpu_share_of_bandwidth_torch"] == pytest.approx(0.4)
    assert "50%" in as_text(report)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is here")
def test_without_a_card_it_says_so() -> None:
    report = Report()
    gpu.measure_gpu(report)
    assert not report.figures
    assert report.notes == ["No CUDA GPU is here: the engines on one were not measured"]

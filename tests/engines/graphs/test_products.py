"""Resizing by matrices is the resizing that `Resize` does, which is Pillow's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.graphs.fuse import FRAMES
from fleetsift.engines.graphs.products import resized_by_products, weights
from fleetsift.engines.graphs.reduction import fuse_scores
from fleetsift.engines.runtimes.sessions import open_session
from tests.engines.drawn_networks import Drawn, draw_frames, write_ensemble


@pytest.mark.parametrize(
    ("size", "resized"), [((16, 24), (8, 16)), ((37, 50), (16, 24)), ((360, 480), (256, 480)), ((9, 12), (36, 31))]
)
def test_it_is_pillows(size: tuple[int, int], resized: tuple[int, int]) -> None:
    plane = draw_frames(1, size)[0, :, :, 0].astype(np.float32)
    expected = np.asarray(Image.fromarray(plane).resize(resized[::-1], Image.Resampling.BILINEAR))
    found = weights(size[0], resized[0]) @ plane @ weights(size[1], resized[1]).T
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_graph_says_the_same(tmp_path: Path) -> None:
    smaller = {"height": 8, "width": 16, "channels": "bgr"}
    members = [Drawn(0), Drawn(1, size=(8, 16), spec={"input": smaller})]
    fused = fuse_scores(read_ensemble(write_ensemble(tmp_path, members, resolution="full")))
    written = resized_by_products(fused)
    assert not [a for node in written.graph.node for a in node.attribute if a.name in {"antialias", "axes"} and a.i]
    assert len(written.graph.node) > len(fused.graph.node)
    fed = {FRAMES: draw_frames(2)}
    answers, expected = (open_session(graph, "fused").run(None, fed) for graph in (written, fused))
    for found, wanted in zip(answers, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)

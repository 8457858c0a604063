"""A pickle is a program: in place of a network it is refused, its right hash notwithstanding, and never run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from fleetsift.engines.ensembles.networks import network_sha256, read_network
from fleetsift.errors import EnsembleError


class Marker:
    """Leaves a file behind wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    """Row 34; the marker works, or the test would show nothing."""
    file, ran = tmp_path / "member.onnx", tmp_path / "ran"
    file.write_bytes(pickle.dumps(Marker(ran)))
    with pytest.raises(EnsembleError, match=r"member\.onnx"):
        read_network(file, network_sha256(file))
    assert not ran.exists()
    pickle.loads(file.read_bytes())
    assert ran.exists()

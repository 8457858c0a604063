"""What is read of a network's file, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fleetsift.engines.ensembles.networks import network_sha256, read_network
from fleetsift.errors import EnsembleError
from tests.engines.drawn_networks import Drawn, draw_network


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "networks" / "drawn.onnx"
    path.parent.mkdir()
    onnx.save(draw_network(Drawn()), path)
    return path


def save_with_data_at(file: Path, location: str) -> None:
    """Save a network whose weights lie in another file, and name that file as `location`."""
    network = draw_network(Drawn())
    data = file.parent / "weights.bin"
    onnx.save(network, file, save_as_external_data=True, location=data.name, size_threshold=0)
    network = onnx.load(file, load_external_data=False)
    for tensor in network.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    onnx.save(network, file)


def test_a_whole_file_is_read(file: Path) -> None:
    assert network_sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_network(file, network_sha256(file)) == draw_network(Drawn())


def test_an_altered_file_is_refused(file: Path) -> None:
    expected = network_sha256(file)
    network = onnx.load(file)
    network.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "features.weight")
    )
    onnx.save(network, file)
    with pytest.raises(EnsembleError, match=rf"drawn.onnx sha256: expected {expected}, got {network_sha256(file)}"):
        read_network(file, expected)


@pytest.mark.parametrize("length", [1, 100, 1000])
def test_a_file_that_is_cut_off_is_refused(file: Path, length: int) -> None:
    content = file.read_bytes()[:-length]
    file.write_bytes(content)
    with pytest.raises(EnsembleError, match=r"drawn\.onnx: expected a whole ONNX file"):
        read_network(file, hashlib.sha256(content).hexdigest())


def test_a_missing_file_is_refused(file: Path) -> None:
    file.unlink()
    with pytest.raises(EnsembleError, match=r"drawn\.onnx: expected a network's file, got No such file"):
        read_network(file, "0" * 64)


def test_external_data_beside_the_file_is_read_and_hashed(file: Path) -> None:
    save_with_data_at(file, "weights.bin")
    sha256 = network_sha256(file)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in draw_network(Drawn()).graph.initializer}
    for tensor in read_network(file, sha256).graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), weights[tensor.name])
    data = file.parent / "weights.bin"
    data.write_bytes(data.read_bytes()[::-1])
    with pytest.raises(EnsembleError, match="sha256: expected"):
        read_network(file, sha256)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "inside/../../weights.bin"])
def test_external_data_outside_the_folder_is_refused(file: Path, location: str) -> None:
    save_with_data_at(file, location)
    with pytest.raises(EnsembleError, match="expected external data inside"):
        read_network(file, "0" * 64)


def test_a_link_that_leads_outside_the_folder_is_refused(file: Path, tmp_path: Path) -> None:
    save_with_data_at(file, "weights.bin")
    data = file.parent / "weights.bin"
    data.rename(tmp_path / "elsewhere.bin")
    data.symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(EnsembleError, match="expected external data inside"):
        read_network(file, "0" * 64)


def test_external_data_that_is_missing_is_refused(file: Path) -> None:
    save_with_data_at(file, "weights.bin")
    (file.parent / "weights.bin").unlink()
    with pytest.raises(EnsembleError, match=r"weights\.bin: expected a network's file, got No such file"):
        read_network(file, "0" * 64)

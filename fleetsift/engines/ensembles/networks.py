"""One network's ONNX file: its bytes are verified before they are believed, its weights may not lie elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from fleetsift.engines.ensembles.nodes import tensors
from fleetsift.errors import EnsembleError


def read_network(path: Path, sha256: str) -> onnx.ModelProto:
    """Read a network whose `network_sha256` is known, with its external data.

    Raises EnsembleError where the file is absent, cut off, altered or no ONNX, or where its external data is
    missing or lies outside the file's own folder.
    """
    content = _read(path)
    network = _parse(path, content)
    found = _hash(path, content, network)
    if found != sha256:
        raise EnsembleError(
            f"{path} sha256: expected {sha256}, got {found}; "
            "fetch the file again, or write the new hash into the ensemble file if the network was meant to change"
        )
    try:
        load_external_data_for_model(network, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise EnsembleError(f"{path}: expected whole external data, got {error}; export the network again") from error
    return network


def network_sha256(path: Path) -> str:
    """Hash a network for an ensemble file: the ONNX file, then its external data files in order of name.

    Without external data it is what `sha256sum` prints. Raises EnsembleError as `read_network` does.
    """
    content = _read(path)
    return _hash(path, content, _parse(path, content))


def _hash(path: Path, content: bytes, network: onnx.ModelProto) -> str:
    digest = hashlib.sha256(content)
    for file in sorted(set(_external_files(path, network))):
        digest.update(_read(file))
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnsembleError(f"{path}: expected a network's file, got {error.strerror}; copy it there") from error


def _parse(path: Path, content: bytes) -> onnx.ModelProto:
    network = onnx.ModelProto()
    try:
        network.ParseFromString(content)
    except DecodeError as error:
        raise EnsembleError(f"{path}: expected a whole ONNX file, got {error}; fetch it again") from error
    return network


def _external_files(path: Path, network: onnx.ModelProto) -> Iterator[Path]:
    """The files that hold a network's weights; links are followed before it is judged where they lie."""
    folder = path.parent.resolve()
    for tensor in tensors(network.graph):
        if uses_external_data(tensor):
            location = ExternalDataInfo(tensor).location
            file = (folder / location).resolve()
            if not file.is_relative_to(folder):
                raise EnsembleError(
                    f"{path} {tensor.name}: expected external data inside {folder}, got {location}; "
                    "export the network with its weights beside it"
                )
            yield file

"""The configuration file: paths are meant from its folder, addresses of object stores are left as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetsift.configuration import read_fleet
from fleetsift.errors import ConfigError

FLEET = """
kafka: {brokers: ["localhost:9092"], topic: frames}
frames: {roots: [ROOT, pictures]}
ensemble: ensemble.yaml
store: {path: STORE}
"""


def write(folder: Path, root: str, store: str) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(FLEET.replace("ROOT", root).replace("STORE", store))
    return path


def test_relative_paths_are_meant_from_the_file(tmp_path: Path) -> None:
    spec = read_fleet(write(tmp_path, "/absolute", "scores"))
    assert spec.frames.roots == ("/absolute", str(tmp_path / "pictures"))
    assert spec.store.path == str(tmp_path / "scores")


def test_addresses_are_joined_to_no_folder(tmp_path: Path) -> None:
    spec = read_fleet(write(tmp_path, "gs://bucket/frames/", "s3://bucket/scores"))
    assert spec.frames.roots == ("gs://bucket/frames", str(tmp_path / "pictures"))
    assert spec.store.path == "s3://bucket/scores"


@pytest.mark.parametrize("address", ["s3://KEY:SECRET@bucket/x", "az://box/x?sig=SECRET", "https://SECRET.example/x"])
def test_addresses_with_keys_or_of_other_places_are_refused_unrepeated(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"frames\.roots: expected s3://") as in_roots:
        read_fleet(write(tmp_path, f'"{address}"', "scores"))
    with pytest.raises(ConfigError, match=r"store\.path: expected s3://") as in_store:
        read_fleet(write(tmp_path, "frames", f'"{address}"'))
    assert "SECRET" not in str(in_roots.value) + str(in_store.value)

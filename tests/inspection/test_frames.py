"""Frames named by hand: an image, a folder, a manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fleetsift.errors import SourceError
from fleetsift.inspection.frames import find_frames, open_reader


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    (tmp_path / "drive").mkdir()
    for name in ("b", "a"):
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "drive" / f"{name}.PNG")
    return tmp_path / "drive"


def test_one_image_is_one_frame(drive: Path) -> None:
    [frame] = find_frames(drive / "a.PNG")
    assert frame.frame_id == "a"
    assert open_reader().read(frame.uri).shape == (4, 6, 3)


def test_a_folder_is_its_images_in_order(drive: Path) -> None:
    assert [frame.frame_id for frame in find_frames(drive)] == ["a", "b"]


def test_a_manifest_names_its_frames_itself(drive: Path) -> None:
    manifest = drive / "frames.csv"
    manifest.write_text("frame_id,session_id,uri\nfirst,s,b.PNG\n")
    [frame] = find_frames(manifest)
    assert (frame.frame_id, open_reader().read(frame.uri).shape) == ("first", (4, 6, 3))


def test_what_is_no_frames_is_said(drive: Path) -> None:
    with pytest.raises(SourceError, match="expected a folder of images or a manifest"):
        find_frames(drive / "c.png")

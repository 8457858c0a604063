"""Heat maps as a person meets them: full size, where they belong, on one scale, from the engine's own maps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.camvid import write_camvid
from fleetsift.engines.ensembles.ensemble import at_resolution, read_ensemble
from fleetsift.engines.open import open_ensemble
from fleetsift.errors import ConfigError, SourceError
from fleetsift.heat.overlay import lay_over
from fleetsift.inspection.heatmaps import HeatMap, write_heatmaps
from tests.engines.drawn_networks import Drawn, draw_enlarged_again, draw_frames, write_altered, write_ensemble
from tests.test_cli import fleetsift, refused

SIZE = (60, 90)  # of the frames; the networks take 16 x 24


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ensemble(tmp_path_factory.mktemp("ensemble"), [Drawn(m) for m in range(3)])


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two frames of two drives."""
    folder = tmp_path / "frames"
    for name, pixels in zip(("one/0001", "two/0001"), draw_frames(2, SIZE), strict=True):
        (folder / name).parent.mkdir(parents=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def shown(heat_map: HeatMap) -> np.ndarray:
    """What lies over the frame, without the legend below it."""
    with Image.open(heat_map.file) as image:
        assert image.width == SIZE[1]
        assert image.height > SIZE[0]
        return np.asarray(image)[: SIZE[0]]


def test_each_frame_has_a_map_of_each_quantity_named_after_it(ensemble: Path, frames: Path, tmp_path: Path) -> None:
    looks: list[int] = []
    made = write_heatmaps(ensemble, frames, tmp_path / "out", classes=["car"], on_frame=looks.append)
    assert [heat_map.file.relative_to(tmp_path / "out").as_posix() for heat_map in made.written] == [
        f"{name}.{what}.png"
        for name in ("one/0001", "two/0001")
        for what in ("entropy", "mutual_information", "entropy.car", "mutual_information.car")
    ]
    assert made.left_out == {}
    assert looks == [1, 2, 3, 4]
    assert len({heat_map.brightest_nats for heat_map in made.written}) == 2  # one scale a quantity


def test_the_map_is_that_of_full_size_on_the_common_scale(ensemble: Path, frames: Path, tmp_path: Path) -> None:
    """The ensemble is scored at 8 x 12; what is shown are the networks' own answers at 16 x 24."""
    made = write_heatmaps(ensemble, frames, tmp_path / "out", classes=["person"])
    engine = open_ensemble(at_resolution(read_ensemble(ensemble), "full"), threads=1)
    pixels = draw_frames(2, SIZE)[1]
    maps = engine.maps(np.asarray(Image.fromarray(pixels).resize((24, 16), Image.Resampling.BILINEAR)))
    engine.close()
    shown_maps = (
        maps.entropy,
        maps.mutual_information,
        maps.entropy_by_class[2],
        maps.mutual_information_by_class[2],
    )
    for heat_map, values in zip(made.written[4:], shown_maps, strict=True):
        assert values.shape == (16, 24)
        np.testing.assert_array_equal(shown(heat_map), lay_over(pixels, values, heat_map.brightest_nats))


@pytest.mark.parametrize(
    ("size", "said"), [(SIZE, "logits at 24 x 16, map brought linearly to 90 x 60"), ((16, 24), "logits at 24 x 16")]
)
def test_the_picture_says_of_what_size_its_map_is(
    ensemble: Path, tmp_path: Path, size: tuple[int, int], said: str
) -> None:
    Image.fromarray(draw_frames(1, size)[0]).save(tmp_path / "frame.png")
    for heat_map in write_heatmaps(ensemble, tmp_path / "frame.png", tmp_path / "out").written:
        with Image.open(heat_map.file) as image:
            assert image.info["note"] == f"{read_ensemble(ensemble).ensemble_id}, {said}"


def test_a_map_that_is_not_to_be_had_larger_says_so(tmp_path: Path) -> None:
    """A network whose answer at full size has a size that only running tells, and then it is another."""
    path = write_altered(tmp_path, draw_enlarged_again(), output={"full": "larger", "native": "native"})
    Image.fromarray(draw_frames(1)[0]).save(tmp_path / "frame.png")
    [heat_map] = write_heatmaps(path, tmp_path / "frame.png", tmp_path / "out", quantities=["entropy"]).written
    with Image.open(heat_map.file) as image:
        assert image.info["note"].endswith("logits at 12 x 8, map brought linearly to 24 x 16")


def test_real_frames_are_shown_pixel_by_pixel(tmp_path: Path, shared_data: Path) -> None:
    path = write_camvid(tmp_path, shared_data, "native")
    frame = next((shared_data / "camvid" / "val").glob("*.png"))
    pixels = np.asarray(Image.open(frame).convert("RGB"))
    made = write_heatmaps(path, frame, tmp_path / "out")
    engine = open_ensemble(at_resolution(read_ensemble(path), "full"), threads=1)
    maps = engine.maps(pixels)
    engine.close()
    assert maps.entropy.shape == pixels.shape[:2] == (360, 480)
    for heat_map, values in zip(made.written, (maps.entropy, maps.mutual_information), strict=True):
        with Image.open(heat_map.file) as image:
            picture = np.asarray(image)[:360]
        np.testing.assert_array_equal(picture, lay_over(pixels, values, heat_map.brightest_nats))


def test_one_quantity_of_one_image(ensemble: Path, frames: Path, tmp_path: Path) -> None:
    made = write_heatmaps(ensemble, frames / "one" / "0001.png", tmp_path / "out", quantities=["entropy"])
    [heat_map] = made.written
    assert heat_map.file == tmp_path / "out" / "0001.entropy.png"
    assert 0 < heat_map.brightest_nats <= math.log(3)
    with Image.open(heat_map.file) as image:
        assert image.info["ensemble"].startswith("drawn-")


def test_a_frame_that_cannot_be_read_is_left_out(ensemble: Path, frames: Path, tmp_path: Path) -> None:
    (frames / "one" / "0001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    made = write_heatmaps(ensemble, frames, tmp_path / "out")
    assert made.left_out == {"one/0001": "corrupt, PNG: the file is truncated"}
    assert {heat_map.frame_id for heat_map in made.written} == {"two/0001"}
    with pytest.raises(SourceError, match="none of 1 can be shown, 0001: corrupt"):
        write_heatmaps(ensemble, frames / "one", tmp_path / "out")


@pytest.mark.parametrize("frame_id", ["../../secret", "/etc/passwd", "..", "a:b?*", "é/漢"])
def test_no_name_leads_out_of_the_folder(ensemble: Path, frames: Path, tmp_path: Path, frame_id: str) -> None:
    manifest = tmp_path / "frames.jsonl"
    row = {"frame_id": frame_id, "session_id": "s", "uri": str(frames / "one" / "0001.png")}
    manifest.write_text(json.dumps(row))
    out = tmp_path / "deep" / "out"
    for heat_map in write_heatmaps(ensemble, manifest, out).written:
        assert heat_map.file.resolve().is_relative_to(out)
        assert heat_map.file.is_file()


def test_what_cannot_be_meant_is_refused(ensemble: Path, frames: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected one of road, car, person, got tram"):
        write_heatmaps(ensemble, frames, tmp_path / "out", classes=["tram"])
    (tmp_path / "none.jsonl").touch()
    with pytest.raises(SourceError, match="expected frames, got none"):
        write_heatmaps(ensemble, tmp_path / "none.jsonl", tmp_path / "out")
    with pytest.raises(ConfigError, match="heat maps there would become frames"):
        write_heatmaps(ensemble, frames, frames / "heat")
    Image.fromarray(draw_frames(1)[0]).save(frames / "one" / "0001.jpg")
    with pytest.raises(ConfigError, match="got 2 named one/0001"):
        write_heatmaps(ensemble, frames, tmp_path / "out")


def test_the_verb_lists_what_it_wrote(ensemble: Path, frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = fleetsift("heatmap", ensemble, frames, "--out", out, "--class", "car", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert {Path(heat_map["file"]) for heat_map in made["written"]} == set(out.rglob("*.png"))
    assert [heat_map["of_class"] for heat_map in made["written"][:3]] == [None, None, "car"]
    only = fleetsift("heatmap", ensemble, frames, "--out", out, "--quantity", "entropy")
    assert only.stdout == f"wrote 2 heat maps into {out}\n"
    every = fleetsift("heatmap", ensemble, frames, "--out", tmp_path / "every", "--class", "*")
    assert every.stdout == f"wrote 16 heat maps into {tmp_path / 'every'}\n"
    assert "got tram" in refused("heatmap", ensemble, frames, "--out", out, "--class", "tram")

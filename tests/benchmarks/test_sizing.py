"""The sizing page is what its command writes from the recorded figures, and its sums are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.sizing import CAMVID_PIXELS, Assumed, headrooms, main, need

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
FILES = (RESULTS / "stages.json", RESULTS / "simulation.json")
MEASURED = {f"stage_{stage}_ms": 1.0 for stage in ("parse", "fetch", "decode", "score", "rows", "publish")} | {
    "hot_path_ms": 0.2,
    "bytes_a_message": 200.0,
    "bytes_a_frame": 50_000.0,
    "bytes_a_row": 1_000.0,
}
SIMULATED = {"requests_a_segment": 3.0}


def test_the_page_is_what_the_command_writes(capsys: pytest.CaptureFixture[str]) -> None:
    main([str(file) for file in FILES])
    assert capsys.readouterr().out == (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")


def test_needs_add_up() -> None:
    """A day of 86.4 million frames is a thousand a second."""
    assumed = Assumed(peak=1.0, use=1.0, gpu_frames_per_s=100.0, camera_pixels=CAMVID_PIXELS, partitions_a_worker=4)
    found = need(86_400_000, MEASURED, SIMULATED, assumed)
    assert (found.frames_per_s, found.gpus, found.partitions) == (1000.0, 10, 40)
    assert found.host_cores == pytest.approx(5.0)  # five stages of a millisecond
    assert found.cpu_cores == pytest.approx(1.0)
    assert found.network_gbit_per_s == pytest.approx(0.4)
    assert found.store_gb_a_day == pytest.approx(86.4)
    assert found.files_a_day == 40 * 1440
    assert found.store_requests_per_s == pytest.approx(2.0)


def test_larger_frames_cost_more_to_read_and_nothing_more_to_keep() -> None:
    small = need(10_000_000, MEASURED, SIMULATED, Assumed(camera_pixels=CAMVID_PIXELS))
    large = need(10_000_000, MEASURED, SIMULATED, Assumed(camera_pixels=10 * CAMVID_PIXELS))
    assert large.network_gbit_per_s == pytest.approx(10 * small.network_gbit_per_s)
    assert large.host_cores == pytest.approx(small.host_cores * 23 / 5)
    assert large.store_gb_a_day == small.store_gb_a_day


def test_the_scarcest_part_comes_first() -> None:
    parts = headrooms(need(100_000_000, MEASURED, SIMULATED, Assumed()), MEASURED, Assumed())
    times = [times for _, _, times in parts]
    assert times == sorted(times)
    assert len(times) >= 5


def test_every_row_says_what_it_rests_on() -> None:
    page = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    table = page.partition("| frames a day | from |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) == 10
    assert all(row.split("|")[2].strip("* ").startswith(("assumed", "measured", "simulated")) for row in table)
    resting_on_gpus = [row.split("|")[1].strip() for row in table if "**assumed GPU pace**" in row]
    assert [row.split(",")[0].split(" ")[0] for row in resting_on_gpus] == [
        "GPUs",
        "partitions",
        "segments",
        "requests",
    ]

"""What TensorRT has learned is handed to it again; drawn engines stand for those that need a card."""

from __future__ import annotations

from pathlib import Path

from fleetsift.engines.runtimes.tensorrt_caches import kept_timings, open_context


class DrawnCache:
    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"+"

    def deserialize(self, content: bytes) -> bool:
        self.content = content
        return True


class DrawnConfig:
    """A builder's configuration that refuses what is spoilt, and a runtime's."""

    cache: DrawnCache

    def create_timing_cache(self, content: bytes) -> DrawnCache | None:
        return None if content == b"spoilt" else DrawnCache(content)

    def set_timing_cache(self, cache: DrawnCache, ignore_mismatch: bool) -> None:
        assert not ignore_mismatch
        self.cache = cache

    def get_timing_cache(self) -> DrawnCache:
        return self.cache

    def create_runtime_cache(self) -> DrawnCache:
        return DrawnCache()

    def set_runtime_cache(self, cache: DrawnCache) -> None:
        self.cache = cache


class DrawnEngine:
    """One that compiles on the card, as tensorrt-rtx's do."""

    def create_runtime_config(self) -> DrawnConfig:
        return DrawnConfig()

    def create_execution_context(self, config: DrawnConfig) -> DrawnConfig:
        return config


class OtherEngine:
    def create_execution_context(self) -> str:
        return "a context"


def test_timings_go_from_one_build_to_the_next_and_a_spoilt_file_is_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "plans" / "x.timings"
    for content in (b"+", b"++"):
        with kept_timings(DrawnConfig(), file):
            pass
        assert file.read_bytes() == content
    file.write_bytes(b"spoilt")
    with kept_timings(DrawnConfig(), file):
        pass
    assert file.read_bytes() == b"+"
    assert [path.name for path in file.parent.iterdir()] == ["x.timings"]


def test_without_a_file_no_timings_are_kept() -> None:
    config = DrawnConfig()
    with kept_timings(config, None):
        pass
    assert not hasattr(config, "cache")


def test_kernels_that_were_compiled_are_kept_once_they_have_run(tmp_path: Path) -> None:
    file = tmp_path / "x.kernels"
    _, keep = open_context(DrawnEngine(), file)
    assert not file.exists()
    keep()
    context, keep = open_context(DrawnEngine(), file)
    assert context.cache.content == b"+"
    keep()
    assert file.read_bytes() == b"++"


def test_where_nothing_is_compiled_on_the_card_nothing_is_kept(tmp_path: Path) -> None:
    context, keep = open_context(OtherEngine(), tmp_path / "x.kernels")
    keep()
    assert context == "a context"
    assert list(tmp_path.iterdir()) == []

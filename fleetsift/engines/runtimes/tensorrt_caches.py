"""What TensorRT learns and would learn again: how long kernels take while a plan is built, and, where tensorrt-rtx
compiles kernels on the card that a plan runs on, those kernels.

A cache that does not fit, of another version or card, is TensorRT's to refuse: then it begins with an empty one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def kept_timings(config: Any, file: Path | None) -> Iterator[None]:
    """Let a builder's configuration know the timings in a file, and write back what it knows after the build."""
    if file is None:
        yield
        return
    cache = config.create_timing_cache(_read(file)) or config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    yield
    write_whole(file, bytes(config.get_timing_cache().serialize()))


def open_context(engine: Any, file: Path) -> tuple[Any, Callable[[], None]]:
    """An execution context, and what writes the kernels compiled for it into a file once it has run.

    Only tensorrt-rtx compiles on the card; elsewhere there is nothing to keep.
    """
    if not hasattr(engine, "create_runtime_config"):
        return engine.create_execution_context(), lambda: None
    config = engine.create_runtime_config()
    if not hasattr(config, "create_runtime_cache"):
        return engine.create_execution_context(), lambda: None
    cache = config.create_runtime_cache()
    if content := _read(file):
        cache.deserialize(content)
    config.set_runtime_cache(cache)
    return engine.create_execution_context(config), lambda: write_whole(file, bytes(cache.serialize()))


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, whoever else writes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""

"""Loops as machine code, made at the first call and kept on disk for as long as none of its sources changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compile_and_keep(function: Function, sources: Iterable[Path], **options: Any) -> Function:
    """Compile at the first call, and keep the machine code on disk where some folder for it can be written.

    Numba asks of a function's own file whether it has changed, and of none that is compiled into it: the name it keeps
    the code by therefore says what all of them are.
    sources: every file that the machine code is made of. options: as numba's `njit` has them; the interpreter's lock is
    let go in any case.
    """
    function.__qualname__ = f"{function.__qualname__}-{_hash(tuple(sources))}"
    try:
        return cast(Function, njit(cache=True, nogil=True, **options)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written: compile in every process
        return cast(Function, njit(nogil=True, **options)(function))


@cache
def _hash(files: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]

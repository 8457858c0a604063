"""Machine code for loops over candidates, made at the first call and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compile_cached(function: Function) -> Function:
    """Compile with IEEE arithmetic in the order it is written, so that every machine gives the same bits."""
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder for it can be written: compile in every process
        return cast(Function, numba.njit(nogil=True)(function))

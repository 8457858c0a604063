"""Loops over candidates as machine code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fleetsift.machine_code import compile_and_keep

Function = TypeVar("Function", bound=Callable[..., Any])
SOURCES = (*sorted((Path(__file__).parent / "objectives").glob("*.py")), Path(__file__))


def compile_cached(function: Function) -> Function:
    """Compile with IEEE arithmetic in the order it is written, so that every machine gives the same bits."""
    return compile_and_keep(function, SOURCES)

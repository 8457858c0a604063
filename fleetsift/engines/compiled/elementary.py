"""How loops are compiled, and the exponential and logarithm inside them.

`exp` and `log` are polynomials, because a call into the C library would end a vector loop: of degree 6, fitted to the
exponential by least squares reweighted towards the largest relative error (4e-9 before rounding), and Cephes' for the
logarithm (Stephen Moshier, single precision: relative error below 2e-7). Fused multiply-add is allowed, and nothing
that would assume away NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from fleetsift.engines import rows
from fleetsift.machine_code import compile_and_keep
from fleetsift.schemas import scores

Function = TypeVar("Function", bound=Callable[..., Any])

LOWEST_EXP = np.float32(-80)  # exp is 1.8e-35 there: nothing beside 1, and still no denormal number

_FASTMATH = {"contract", "nsz"}
_intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic

_f32, _i32 = np.float32, np.int32
_HALF, _ONE = _f32(0.5), _f32(1)
_LOG2_E = _f32(1.44269504)
_LN2_HIGH, _LN2_LOW = _f32(0.693359375), _f32(-2.12194440e-4)  # ln 2 in two parts, the first exact in few bits
_LN2 = _f32(0.69314718)
_EXP = [_f32(c) for c in (1.38146e-3, 8.36871e-3, 4.166839e-2, 0.16666521, 0.49999993)]
_WHOLE = _f32(1.5 * 2**23)  # added to a small number, it leaves the nearest whole one in the lowest bits
_LOG = [
    _f32(c)
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
]
_E0, _E1, _E2, _E3, _E4 = _EXP
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = _LOG
_SQRT_HALF_BITS = _i32(0x3F3504F3)
_MANTISSA = _i32(0x7FFFFF)
_MANTISSA_BITS = _i32(23)


def compile_cached(function: Function) -> Function:
    """Compile at the first call, and keep the machine code until a file changes that it is made of."""
    return compile_and_keep(function, _sources(), error_model="numpy", fastmath=_FASTMATH)


@cache
def _sources() -> tuple[Path, ...]:
    """This folder's files, and those that its constants come from."""
    return (*sorted(Path(__file__).parent.glob("*.py")), Path(rows.__file__), Path(scores.__file__))


def inlined(function: Function) -> Function:
    return cast(Function, njit(forceinline=True, error_model="numpy", fastmath=_FASTMATH)(function))


def inlined_sum(function: Function) -> Function:
    """A sum along a row, whose terms the vector units may take in an order of their own."""
    return cast(Function, njit(forceinline=True, error_model="numpy", fastmath=_FASTMATH | {"reassoc"})(function))


@_intrinsic
def _float_of(_typing: Any, _bits: Any) -> Any:
    """The float32 that has these 32 bits."""
    return types.float32(types.int32), lambda _context, builder, _type, args: builder.bitcast(args[0], ir.FloatType())


@_intrinsic
def _bits_of(_typing: Any, _value: Any) -> Any:
    """The 32 bits of a float32."""
    return types.int32(types.float32), lambda _context, builder, _type, args: builder.bitcast(args[0], ir.IntType(32))


@inlined
def exp(z: Any) -> Any:
    """exp z for -80 <= z <= 0.

    z = n ln 2 + r, |r| <= ln 2 / 2. That ln 2 is rounded moves the result by 2e-9 n of itself, and it is small then.
    """
    shifted = z * _LOG2_E + _WHOLE
    r = z - (shifted - _WHOLE) * _LN2
    e = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r * r + r + _ONE
    return _float_of(_bits_of(e) + (_bits_of(shifted) << _MANTISSA_BITS))  # n added to the exponent


@inlined
def log(x: Any) -> Any:
    """Ln x for a normal positive x."""
    bits = _bits_of(x) - _SQRT_HALF_BITS  # x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt 2
    n = _f32(bits >> _MANTISSA_BITS)
    f = _float_of((bits & _MANTISSA) + _SQRT_HALF_BITS) - _ONE
    y = (((((((_L0 * f + _L1) * f + _L2) * f + _L3) * f + _L4) * f + _L5) * f + _L6) * f + _L7) * f + _L8
    y = y * f * f * f + n * _LN2_LOW - _HALF * f * f
    return f + y + n * _LN2_HIGH

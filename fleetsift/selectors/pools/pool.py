"""The pool of a selection: every candidate with what the selection asks of it, as arrays; no store, no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fleetsift.errors import SelectionError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]  # candidates, by their place in the pool
Strings = Any  # a pyarrow string array: two million names in tens of megabytes
NOBODY: Rows = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Key:
    """One value for each of N frames, as a number into its distinct values."""

    codes: NDArray[np.int32]  # (N,) index into `values`, -1 where the value is NULL
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.codes.dtype != np.int32 or self.codes.ndim != 1:
            raise ValueError(f"Key.codes: expected int32 (N,), got {self.codes.dtype} {self.codes.shape}")
        if len(self.codes) and not -1 <= self.codes.min() <= self.codes.max() < len(self.values):
            raise ValueError(f"Key.codes: expected -1 to {len(self.values) - 1}, got others; encode the values again")

    def of(self, value: str) -> Flags:
        """Which frames have a value, (N,)."""
        code = self.values.index(value) if value in self.values else len(self.values)
        return np.asarray(self.codes == code)


@dataclass(frozen=True, slots=True)
class Pool:
    """N frames in the order of their frame_id, so that nothing depends on the order of files or rows.

    Most are candidates. The others are settled: labelled, or picked in an earlier round; they are there to count.
    Every number is finite: a frame that lacks one is no candidate, and is counted in `left_out`.
    """

    ensemble_id: str
    frame_id: Strings  # (N,) increasing by code point, distinct
    session_id: Strings  # (N,)
    uri: Strings  # (N,)
    scores: Mapping[str, F64] = field(default_factory=dict)  # expression -> (N,)
    keys: Mapping[str, Key] = field(default_factory=dict)  # key of a cap or gap -> (N,)
    captured_us: I64 | None = None  # (N,) microseconds since 1970
    class_scores: Mapping[str, F64] = field(default_factory=dict)  # class -> (N,), in the order of their turns
    areas: Mapping[str, Mapping[str, F64]] = field(default_factory=dict)  # struct expression -> class -> (N,)
    embedding: F32 | None = None  # (N, D) C-contiguous
    labelled: Rows = field(default_factory=lambda: NOBODY)  # (L,) labelled frames, increasing
    earlier: Rows = field(default_factory=lambda: NOBODY)  # (E,) picks of earlier rounds, in their order
    rounds: tuple[str, ...] = ()  # frame_ids of all of those, also of frames that are not in here
    given: Mapping[str, F32] = field(default_factory=dict)  # objective or guard -> (K, D), of the frames it names
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason -> frames that are no candidates
    uncounted: Mapping[str, int] = field(default_factory=dict)  # labelled or earlier -> frames named, but not in here

    def __post_init__(self) -> None:
        n = len(self)
        for name in ("session_id", "uri"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"Pool.{name}: expected {n} entries, got {len(getattr(self, name))}")
        _expect_increasing("Pool.frame_id", self.frame_id)
        settled = np.concatenate([self.labelled, self.earlier])
        if len(np.unique(settled)) < len(settled) or (len(settled) and not 0 <= settled.min() <= settled.max() < n):
            raise ValueError(f"Pool.labelled, Pool.earlier: expected distinct rows of {n}; name each frame once")
        for owner, columns in (("scores", self.scores), ("class_scores", self.class_scores), *self.areas.items()):
            for name, values in columns.items():
                _expect_array(f"Pool.{owner}[{name!r}]", values, (n,), np.float64)
                if not np.isfinite(values).all():
                    raise ValueError(f"Pool.{owner}[{name!r}]: expected finite numbers; leave out frames without one")
        if self.captured_us is not None:
            _expect_array("Pool.captured_us", self.captured_us, (n,), np.int64)
        for name, key in self.keys.items():
            if len(key.codes) != n:
                raise ValueError(f"Pool.keys[{name!r}]: expected {n} codes, got {len(key.codes)}")
        if self.embedding is not None:
            d = self.embedding.shape[-1]
            _expect_vectors("Pool.embedding", self.embedding, (n, d))
            for name, given in self.given.items():
                _expect_vectors(f"Pool.given[{name!r}]", given, (len(given), d))

    def __len__(self) -> int:
        return len(self.frame_id)

    @property
    def candidates(self) -> Flags:
        """Who is not settled, (N,)."""
        flags = self.own
        flags[self.earlier] = False
        return flags

    @property
    def own(self) -> Flags:
        """Candidates and earlier picks, (N,): the pool as it was before the first round."""
        flags = np.ones(len(self), np.bool_)
        flags[self.labelled] = False
        return flags

    def score(self, expression: str) -> F64:
        """One score of every candidate, (N,); raises SelectionError where the pool was read without it."""
        if expression not in self.scores:
            raise SelectionError(f"Pool.scores: expected {expression!r}, got {list(self.scores)}; read the pool again")
        return self.scores[expression]

    def key(self, expression: str) -> Key:
        """One key of every candidate; raises SelectionError where the pool was read without it."""
        if expression not in self.keys:
            raise SelectionError(f"Pool.keys: expected {expression!r}, got {list(self.keys)}; read the pool again")
        return self.keys[expression]

    def vectors(self) -> F32:
        """The embedding of every candidate, (N, D); raises SelectionError where the pool was read without it."""
        if self.embedding is None:
            raise SelectionError("Pool.embedding: expected vectors, got none; read the pool again")
        return self.embedding

    def given_vectors(self, name: str) -> F32:
        """The embeddings of the frames that an entry names, (K, D); raises SelectionError where there are none."""
        if name not in self.given:
            raise SelectionError(f"Pool.given: expected {name!r}, got {list(self.given)}; read the pool again")
        return self.given[name]

    def class_areas(self, expression: str) -> Mapping[str, F64]:
        """Every class's area on every candidate, (N,) each; raises SelectionError where the pool was read without."""
        if expression not in self.areas:
            raise SelectionError(f"Pool.areas: expected {expression!r}, got {list(self.areas)}; read the pool again")
        return self.areas[expression]

    def moments(self) -> I64:
        """When every candidate was captured, (N,); raises SelectionError where the pool was read without it."""
        if self.captured_us is None:
            raise SelectionError("Pool.captured_us: expected moments, got none; read the pool for a gap")
        return self.captured_us


def _expect_increasing(name: str, frame_ids: Strings) -> None:
    if frame_ids.type != pa.string() or frame_ids.null_count:
        raise ValueError(f"{name}: expected strings, got {frame_ids.type} with {frame_ids.null_count} nulls")
    if len(frame_ids) > 1 and not pc.all(pc.less(frame_ids[:-1], frame_ids[1:])).as_py():
        raise ValueError(f"{name}: expected distinct names in increasing order; sort them, and keep one row of each")


def _expect_array(name: str, values: NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    if values.shape != shape or values.dtype != dtype or not values.flags.c_contiguous:
        raise ValueError(f"{name}: expected C-contiguous {np.dtype(dtype)} {shape}, got {values.dtype} {values.shape}")


def _expect_vectors(name: str, vectors: F32, shape: tuple[int, ...]) -> None:
    _expect_array(name, vectors, shape, np.float32)
    if not measurable(vectors).all():
        raise ValueError(f"{name}: expected vectors that have a distance in float32; leave out frames without one")


def measurable(vectors: F32) -> NDArray[np.bool_]:
    """Which of N vectors (N, D) have a finite squared distance to each other, computed in float32."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    return np.asarray(
        squares <= np.finfo(np.float32).max / 8
    )  # |a - b|² is at most 4 times the larger |a|²; NaN compares false

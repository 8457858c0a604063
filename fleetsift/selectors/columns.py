"""From the Arrow columns that a store answers with to the arrays of a pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fleetsift.errors import SelectionError
from fleetsift.selectors.pool import F32, F64, I64, Flags, Key, Strings, measurable


def flags(column: Any) -> Flags:
    """Booleans, (N,)."""
    return np.asarray(column.to_numpy(), dtype=np.bool_)


def numbers(column: Any) -> F64:
    """Float64, (N,), NaN where the column is NULL."""
    return np.array(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)


def moments(column: Any) -> I64:
    """Microseconds, (N,), 0 where the column is NULL."""
    return np.array(column.fill_null(0).to_numpy(), dtype=np.int64)


def texts(column: Any) -> Strings:
    """Strings in one piece, (N,)."""
    return pc.cast(column, pa.string()).combine_chunks()


def key(column: Any) -> Key:
    """Codes for the distinct values, numbered as they come, (N,)."""
    encoded = texts(column).dictionary_encode()
    return Key(encoded.indices.fill_null(-1).to_numpy().astype(np.int32), tuple(encoded.dictionary.to_pylist()))


def vectors(column: Any) -> tuple[F32, Flags]:
    """Lists of D floats as (N, D), and which of them are whole: present, of D entries, and not too large for float32.

    Raises SelectionError where none of them has any.
    """
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    size = int(lengths.max(initial=0))
    if len(lengths) and not size:
        raise SelectionError(
            "selection.objectives: expected embeddings, the store has none; name the networks' embedding output in the "
            "ensemble file, or select without diversity, similarity and typicality"
        )
    whole = lengths == size
    matrix = np.zeros((len(lengths), size), np.float32)
    start = 0
    for chunk in column.chunks:  # one after the other: two billion floats do not fit one Arrow array
        present = whole[start : start + len(chunk)]
        flat = chunk.filter(pa.array(present)).flatten().to_numpy(zero_copy_only=False)
        matrix[start : start + len(chunk)][present] = flat.reshape(-1, size)
        start += len(chunk)
    return matrix, whole & measurable(matrix)

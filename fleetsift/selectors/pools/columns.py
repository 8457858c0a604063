"""From the Arrow columns that a store answers with to the arrays of a pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fleetsift.selectors.pools.pool import F64, I64, Flags, Key, Strings


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


def numbers_of(column: Any) -> dict[str, F64]:
    """Every field of a struct column as numbers, (N,) each."""
    names = [column.type.field(i).name for i in range(column.type.num_fields)]
    return {name: numbers(pc.struct_field(column, name)) for name in names}

"""Chance that everybody can repeat: a number for each frame, from a seed and the frame's name alone."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from fleetsift.selectors.pools.pool import F64, Strings

AT_ONCE = 65_536  # names held as Python strings


def draw(frame_ids: Strings, seed: int) -> F64:
    """A number in (0, 1] for each of N frames, (N,), uniform over names: 53 bits of BLAKE2b keyed with the seed."""
    key = seed.to_bytes(8, "little")
    drawn = [np.zeros(0)]
    for start in range(0, len(frame_ids), AT_ONCE):
        names = frame_ids[start : start + AT_ONCE].to_pylist()
        digests = b"".join(blake2b(name.encode(), digest_size=8, key=key).digest() for name in names)
        drawn.append((np.frombuffer(digests, "<u8") >> 11).astype(np.float64))
    return (np.concatenate(drawn) + 1) / 2**53

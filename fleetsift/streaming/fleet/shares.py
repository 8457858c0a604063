"""Deals partitions to workers: evenly by count, and taking from nobody what an even deal would leave there."""

from __future__ import annotations

from collections.abc import Sequence

Share = tuple[int, ...]


def share_out(partitions: Sequence[int], workers: int, held: Sequence[Share] = ()) -> list[Share]:
    """Deal partitions to so many workers; no worker has two more than another, and none has none.

    held: what some workers have now, those first that should rather stay. Each keeps what an even deal leaves it, so a
    worker that joins or leaves changes few shares: only its own, and those that give to it or take from it.
    """
    known, taken = set(partitions), set[int]()
    shares: list[list[int]] = []
    for had in held[: max(0, workers)]:
        shares.append([p for p in had if p in known and p not in taken])
        taken.update(had)
    shares += [[] for _ in range(workers - len(shares))]
    if not shares:
        return []
    least, more = divmod(len(partitions), len(shares))
    loose = known.difference(*shares)
    for rank, share in enumerate(sorted(shares, key=len, reverse=True)):
        most = least + (rank < more)
        loose.update(share[most:])
        del share[most:]
    for partition in (p for p in partitions if p in loose):
        min(shares, key=len).append(partition)
    return [tuple(share) for share in shares if share]

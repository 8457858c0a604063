"""Every partition is dealt once, evenly, and nobody loses what an even deal would leave there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetsift.streaming.fleet.shares import share_out

CREWS = st.integers(1, 12)


def test_partitions_are_dealt_in_turn() -> None:
    assert share_out(range(5), 2) == [(0, 2, 4), (1, 3)]
    assert share_out(range(2), 4) == [(0,), (1,)]
    assert share_out(range(2), 0) == []


def test_who_joins_takes_a_little_of_some() -> None:
    assert share_out(range(6), 3, [(0, 2, 4), (1, 3, 5)]) == [(0, 2), (1, 3), (4, 5)]


def test_who_leaves_gives_to_some() -> None:
    assert share_out(range(6), 2, [(0, 3), (2, 5)]) == [(0, 3, 1), (2, 5, 4)]


@given(st.integers(0, 40), CREWS, CREWS, CREWS, st.integers(0, 5))
def test_deals_are_whole_even_and_sticky(partitions: int, before: int, gone: int, after: int, added: int) -> None:
    held = share_out(range(partitions), before)[gone - 1 :]
    shares = share_out(range(partitions + added), after, held)
    dealt = sorted(p for share in shares for p in share)
    assert dealt == list(range(partitions + added))
    sizes = [len(share) for share in shares]
    if sizes:
        assert max(sizes) - min(sizes) <= 1
        assert len(shares) == min(after, partitions + added)
    kept = sum(len(set(old) & set(new)) for old, new in zip(held, shares, strict=False))
    even = (partitions + added) // after
    assert kept >= sum(min(len(old), even) for old in held[:after])


@given(st.integers(1, 40), CREWS)
def test_what_is_even_already_stays(partitions: int, workers: int) -> None:
    shares = share_out(range(partitions), workers)
    assert share_out(range(partitions), workers, shares) == shares

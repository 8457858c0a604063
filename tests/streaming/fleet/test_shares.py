"""Every partition is dealt once, evenly by load, and nobody loses what may as well stay there."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fleetsift.streaming.fleet.shares import SLACK, Share, share_out

CREWS = st.integers(1, 12)
LOADS = st.lists(st.integers(0, 30) | st.integers(0, 1_000_000), max_size=40)


def alike(partitions: int) -> dict[int, int]:
    return dict.fromkeys(range(partitions), 100)


def weigh(loads: dict[int, int], share: Share) -> int:
    """As it is dealt: an idle partition weighs one."""
    return sum(loads[partition] + 1 for partition in share)


def test_partitions_that_are_alike_are_dealt_in_turn() -> None:
    assert share_out(alike(5), 2) == [(0, 2, 4), (1, 3)]
    assert share_out(alike(2), 4) == [(0,), (1,)]
    assert share_out(alike(2), 0) == []


def test_the_heaviest_go_first() -> None:
    assert share_out({0: 10, 1: 10, 2: 10, 3: 30}, 2) == [(3,), (0, 1, 2)]


def test_who_joins_takes_a_little_of_some() -> None:
    assert share_out(alike(6), 3, [(0, 2, 4), (1, 3, 5)]) == [(2, 4), (3, 5), (1, 0)]


def test_who_leaves_gives_to_some() -> None:
    assert share_out(alike(6), 2, [(0, 3), (2, 5)]) == [(0, 3, 1), (2, 5, 4)]


def test_who_has_far_too_much_gives_and_the_others_work_on() -> None:
    loads = {0: 50, 1: 60, 2: 100, 3: 100, 4: 10}
    assert share_out(loads, 4, [(0, 1), (2,), (3,), (4,)]) == [(1,), (2,), (3,), (4, 0)]
    assert share_out(loads | {1: 1000}, 4, [(0, 1), (2,), (3,), (4,)]) == [(1,), (2,), (3,), (4, 0)]


@given(LOADS, CREWS, CREWS, CREWS, LOADS)
def test_deals_are_whole_and_even(before: list[int], crew: int, gone: int, after: int, now: list[int]) -> None:
    held = share_out(dict(enumerate(before)), crew)[gone - 1 :]
    loads = dict(enumerate(now))
    shares = share_out(loads, after, held)
    assert sorted(p for share in shares for p in share) == sorted(loads)
    assert len(shares) == min(after, len(loads))
    if not shares or len(loads) < after:
        return
    mean = weigh(loads, tuple(loads)) / len(shares)
    least, *_, most = sorted(shares, key=lambda share: weigh(loads, share)) * 2
    excess = weigh(loads, most) - weigh(loads, least)
    no_move_helps = excess <= min(weigh(loads, (partition,)) for partition in most) + SLACK * mean
    assert weigh(loads, most) <= (1 + SLACK) * mean or no_move_helps
    assert weigh(loads, least) >= (1 - SLACK) * mean or no_move_helps


@given(LOADS.filter(bool), CREWS)
def test_what_was_dealt_stays(loads: list[int], workers: int) -> None:
    shares = share_out(dict(enumerate(loads)), workers)
    assert share_out(dict(enumerate(loads)), workers, shares) == shares


@given(st.integers(2, 12), st.integers(1, 8), st.integers(1, 3), st.randoms(use_true_random=False))
def test_one_who_leaves_or_joins_changes_few_shares(workers: int, each: int, factor: int, dice: Random) -> None:
    """Of loads about alike, a leaver's partitions change a share each, and a joiner takes one from each giver."""
    loads = {p: 1000 * factor + dice.randrange(100) for p in range(workers * each)}
    shares = share_out(loads, workers)
    without = share_out(loads, workers - 1, shares[1:])
    assert sum(old != new for old, new in zip(shares[1:], without, strict=True)) <= each
    joined = share_out(loads, workers + 1, shares)
    assert sum(old != new for old, new in zip(shares, joined, strict=False)) <= each

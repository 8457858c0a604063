"""Who works on and who hands over when partitions are dealt anew, with workers that do as they are told."""

from __future__ import annotations

from collections import Counter
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from fleetsift.streaming.fleet.actors import Hand
from fleetsift.streaming.fleet.crew import Crew
from fleetsift.streaming.fleet.shares import SLACK, Share
from fleetsift.streaming.progress import Readings, RunProgress


class PlainHand:
    """A worker without a process: it drains when it is told to, one look later."""

    def __init__(self, share: Share, number: int) -> None:
        self.partitions = share
        self.number = number
        self.heard = True
        self.done = False
        self.draining = False
        self.lag = 0
        self.restarts = 0
        self.rows: Counter[str] = Counter()
        self.readings = Readings()
        self.given_up: dict[int, str] = {}

    def look(self, *, draining: bool) -> None:
        """Do as told."""
        self.done = self.done or self.draining
        self.draining = self.draining or draining


def make() -> tuple[Crew, list[PlainHand], list[RunProgress]]:
    """A crew, everybody that it ever hires, and what its listener hears."""
    hired: list[PlainHand] = []
    heard: list[RunProgress] = []

    def hire(share: Share, number: int) -> Hand:
        hired.append(PlainHand(share, number))
        return cast("Hand", hired[-1])

    return Crew(hire, [heard.append]), hired, heard


def alike(partitions: int) -> dict[int, int]:
    """Partitions of one load."""
    return dict.fromkeys(range(partitions), 1)


def settle(crew: Crew) -> None:
    """Look until nobody is about to hand over a share."""
    while not crew.settled:
        crew.look(draining=False)


def at_work(hired: list[PlainHand]) -> dict[int, Share]:
    return {hand.number: hand.partitions for hand in hired if not hand.done}


def test_who_joins_interrupts_only_those_that_give() -> None:
    crew, hired, _ = make()
    crew.deal(alike(9), 2)
    assert crew.look(draining=False)
    assert at_work(hired) == {0: (0, 2, 4, 6, 8), 1: (1, 3, 5, 7)}
    crew.deal(alike(9), 3)
    for _ in range(2):
        assert len(hired) == 2, "nobody begins before those who leave have published"
        assert crew.look(draining=False)
    shares = at_work(hired).values()
    assert sorted(p for share in shares for p in share) == list(range(9))
    assert {len(share) for share in shares} == {3}


def test_who_is_not_heard_gives_way_and_the_others_work_on() -> None:
    crew, hired, _ = make()
    crew.deal(alike(4), 4)
    crew.look(draining=False)
    hired[1].heard = False  # its node is gone, and there is no place for another
    crew.deal(alike(4), 3)
    settle(crew)
    stayed = set(at_work(hired)) & {0, 1, 2, 3}
    assert 1 not in stayed
    assert len(stayed) == 2


def test_who_came_to_the_end_is_not_asked_again() -> None:
    crew, hired, heard = make()
    crew.deal(alike(4), 2)
    crew.look(draining=False)
    hired[0].done = True
    crew.deal(alike(4), 3)
    settle(crew)
    assert sorted(at_work(hired).values()) == [(1,), (3,)]
    for hand in hired:
        hand.done = True
    assert not crew.look(draining=False), "everybody is done"
    assert heard[-1].workers == 3


def test_a_stop_ends_everybody_and_hires_nobody() -> None:
    crew, hired, _ = make()
    crew.deal(alike(4), 2)
    crew.look(draining=False)
    crew.deal(alike(4), 4)
    while crew.look(draining=True):
        assert len(hired) == 2
    assert at_work(hired) == {}


def test_a_crew_without_room_waits() -> None:
    crew, hired, heard = make()
    crew.deal(alike(4), 0)
    assert crew.look(draining=False)
    assert (hired, heard[-1].lag) == ([], None)
    assert not crew.look(draining=True)


def test_what_the_last_owner_gave_up_counts() -> None:
    crew, hired, _ = make()
    crew.deal(alike(4), 2)
    crew.look(draining=False)
    hired[0].given_up = {0: "gone", 2: "gone"}
    crew.deal(alike(4), 1)
    settle(crew)
    hired[-1].given_up = {2: "gone"}
    assert crew.given_up == {2: "gone"}


STEPS = st.lists(
    st.tuples(st.sampled_from(["deal", "grow", "finish", "silent", "look", "look"]), st.integers(0, 8)), max_size=30
)


@given(STEPS)
def test_no_partition_has_two_workers_ever_and_in_the_end_each_has_one(steps: list[tuple[str, int]]) -> None:
    crew, hired, _ = make()
    topic, over = 6, set[int]()

    def check() -> None:
        owned = Counter(p for share in at_work(hired).values() for p in share)
        assert max(owned.values(), default=1) == 1
        assert not over & owned.keys(), "who came to an end is not asked again"

    crew.deal(alike(topic), 3)
    for what, number in steps:
        living = [hand for hand in hired if not hand.done]
        hand = living[number % len(living)] if living else None
        if what == "grow":
            topic += number
        elif what == "finish" and hand and not hand.draining:
            hand.done = True
            over.update(hand.partitions)
        elif what == "silent" and hand:
            hand.heard = False
        elif what == "deal" and crew.settled:
            crew.deal(alike(topic), number)
        crew.look(draining=False)
        check()
    settle(crew)
    crew.deal(alike(topic), 4)
    settle(crew)
    crew.look(draining=False)
    check()
    shares = at_work(hired).values()
    assert sorted(p for share in shares for p in share) == sorted(set(range(topic)) - over)
    sizes = [len(share) for share in shares] or [0]
    assert max(sizes) - min(sizes) <= 1 + 2 * SLACK * sum(sizes) / len(sizes)  # who is near the mean keeps what it has

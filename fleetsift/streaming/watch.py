"""Watches a topic while a run goes on: has it new partitions, is it still the same, how much is there to score?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from fleetsift.patience import Patience
from fleetsift.streaming.source import SourceSilent, Topic

log = logging.getLogger(__name__)

_LOOK_S = 3.0


@contextmanager
def watch_topic(topic: Topic) -> Iterator[Callable[[], Topic]]:
    """Look at a topic now and then, in a thread: brokers that are away hold nobody up.

    Yields what tells the topic as it was when they last answered; it raises SourceError where the topic is gone, or
    is another one of the same name, or where nobody has answered for as long as the topic's patience.
    """
    over = Event()
    latest = topic

    def look() -> None:
        nonlocal latest
        while not over.wait(_LOOK_S):
            latest = Patience(SourceSilent, topic.patience_s, over).ask(topic.look_again)

    def tell() -> Topic:
        if looking.done():
            looking.result()
        return latest

    with ThreadPoolExecutor(1, thread_name_prefix="watch") as pool:
        looking = pool.submit(look)
        try:
            yield tell
        finally:
            over.set()


def confirm_topic(topic: Topic, stop: Event) -> None:
    """Return once a topic is known to be still the same; waits for an answer, but not after `stop`.

    Asked after references were read and before their rows are published, it keeps a new topic's records out of the old
    one's chains: a fetch names its topic by name only. Raises SourceError.
    """
    Patience(SourceSilent, topic.patience_s, stop).ask(topic.look_again)


def weigh_partitions(topic: Topic, ends: Mapping[int, int]) -> dict[int, int]:
    """How much each partition has to be scored, from where its chain ends; all alike where nobody can tell just now."""
    try:
        return topic.loads(ends)
    except SourceSilent as silence:
        log.info("%s; its partitions are dealt by count", silence)
        return dict.fromkeys(ends, 1)

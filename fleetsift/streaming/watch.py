"""Watches a topic while a run goes on: are there new partitions, and is it still the same topic?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from fleetsift.streaming.source import SourceSilent, Topic

log = logging.getLogger(__name__)

_LOOK_S = 3.0
_ASK_AGAIN_S = 1.0


@contextmanager
def watch_topic(topic: Topic) -> Iterator[Callable[[], Topic]]:
    """Look at a topic now and then, in a thread: brokers that are away hold nobody up.

    Yields what tells the topic as it was when they last answered; it raises SourceError where the topic is gone, or
    is another one of the same name.
    """
    over = Event()
    latest = topic

    def look() -> None:
        nonlocal latest
        while not over.wait(_LOOK_S):
            try:
                latest = topic.look_again()
            except SourceSilent as error:
                log.warning("%s; looking again", error)

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
    while True:
        try:
            topic.look_again()
        except SourceSilent:
            if stop.is_set():
                raise
            stop.wait(_ASK_AGAIN_S)
        else:
            return

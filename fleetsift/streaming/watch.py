"""Watches a topic while a run goes on: are there new partitions, and is it still the same topic?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.streaming.kafka import BrokerSilent, Topic, describe_again

log = logging.getLogger(__name__)

_LOOK_S = 3.0


@contextmanager
def watch_topic(spec: KafkaSpec, topic: Topic) -> Iterator[Callable[[], Topic]]:
    """Ask the brokers for a topic now and then, in a thread: brokers that are away hold nobody up.

    Yields what tells the topic as it was when they last answered; it raises SourceError where the topic is gone, or
    is another one of the same name.
    """
    over = Event()
    latest = topic

    def look() -> None:
        nonlocal latest
        while not over.wait(_LOOK_S):
            try:
                latest = describe_again(spec, topic)
            except BrokerSilent as error:
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

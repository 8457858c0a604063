"""References sent to a topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kafka import KafkaProducer

from fleetsift.schemas.fleet import KafkaSpec
from fleetsift.schemas.messages import FrameMessage, encode_message
from fleetsift.streaming.kafka.speaking import client_settings, speaking_to
from fleetsift.streaming.kafka.topic import create_topic


def publish(spec: KafkaSpec, messages: Iterable[FrameMessage], on_sent: Callable[[int], None] = lambda _: None) -> int:
    """Send messages to the topic, a session always to one partition; returns how many the brokers acknowledged."""
    create_topic(spec)
    sent = 0
    failures: list[BaseException] = []
    with speaking_to(spec):
        producer = KafkaProducer(**client_settings(spec), acks="all", linger_ms=5)
        try:
            for message in messages:
                future = producer.send(spec.topic, key=message.session_id.encode(), value=encode_message(message))
                future.add_errback(failures.append)
                sent += 1
                on_sent(sent)
            producer.flush()
        finally:
            producer.close()
        if failures:
            raise failures[0]
    return sent

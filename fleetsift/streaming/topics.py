"""What a configuration file names as its source."""

from __future__ import annotations

from functools import partial
from threading import Event

from fleetsift.patience import Patience
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.kafka.topic import describe_topic
from fleetsift.streaming.manifests.topic import open_manifest
from fleetsift.streaming.messages.decoders import open_decoder
from fleetsift.streaming.source import SourceSilent, Topic


def open_topic(spec: FleetSpec) -> Topic:
    """The topic or manifest that a fleet is read from; raises SourceError where it cannot be found, ConfigError."""
    if spec.manifest:
        return open_manifest(spec.manifest)
    open_decoder(spec.kafka.decoder)  # what a worker would refuse is refused here
    return describe_topic(spec.kafka)


def wait_for_topic(spec: FleetSpec, stop: Event) -> Topic:
    """The same, waited for while nobody answers, but not after `stop`."""
    patience_s = spec.manifest.outage_s if spec.manifest else spec.kafka.patience_s
    return Patience(SourceSilent, patience_s, stop).ask(partial(open_topic, spec))

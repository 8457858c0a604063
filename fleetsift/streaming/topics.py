"""What a configuration file names as its source."""

from __future__ import annotations

from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.kafka import describe_topic
from fleetsift.streaming.manifests.topic import open_manifest
from fleetsift.streaming.source import Topic


def open_topic(spec: FleetSpec) -> Topic:
    """The topic or manifest that a fleet is read from; raises SourceError where it cannot be found."""
    return open_manifest(spec.manifest) if spec.manifest else describe_topic(spec.kafka)

"""What goes on beside a run for those who watch over it: metrics, and what else the configuration asks for.

None of it can hold the stream up or change what it promises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from fleetsift.schemas.fleet import FleetSpec
from fleetsift.store.chain import Namespace
from fleetsift.store.folder import open_folder
from fleetsift.streaming.kafka.offsets import offsets_committer
from fleetsift.streaming.operations.background import in_background
from fleetsift.streaming.operations.dead_letters import letters_carrier
from fleetsift.streaming.operations.metrics import serve_metrics
from fleetsift.streaming.progress import RunProgress
from fleetsift.streaming.source import Topic

_COMMIT_S = 5.0
_CARRY_S = 5.0

log = logging.getLogger(__name__)


@contextmanager
def operations(spec: FleetSpec, topic: Topic, namespace: Namespace) -> Iterator[Callable[[RunProgress], None]]:
    """Begin what a configuration asks for; yields whom to tell how far the run is."""
    told: list[Callable[[RunProgress], None]] = []
    with ExitStack() as stack:
        if spec.operations.metrics_port is not None:
            tell, port = stack.enter_context(serve_metrics(spec.operations))
            log.info("metrics at http://%s:%d/metrics", spec.operations.metrics_host, port)
            told.append(tell)
        kafka = spec.kafka_section
        if kafka is not None and kafka.group is not None:
            commit = offsets_committer(kafka, kafka.group)
            told.append(stack.enter_context(in_background("kafka.group", commit, _COMMIT_S)))
        if kafka is not None and kafka.dead_letters is not None:
            root = open_folder(spec.store.path, spec.store.timeout_s)
            carry = letters_carrier(kafka, kafka.dead_letters, root, namespace, topic.partitions)
            told.append(stack.enter_context(in_background("kafka.dead_letters", carry, _CARRY_S)))

        def tell_all(progress: RunProgress) -> None:
            for tell in told:
                tell(progress)

        yield tell_all

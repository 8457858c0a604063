"""What goes on beside a run for those who watch over it: metrics, and what else the configuration asks for.

None of it can hold the stream up or change what it promises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from fleetsift.schemas.fleet import FleetSpec
from fleetsift.streaming.metrics import serve_metrics
from fleetsift.streaming.progress import RunProgress

log = logging.getLogger(__name__)


@contextmanager
def operations(spec: FleetSpec) -> Iterator[Callable[[RunProgress], None]]:
    """Begin what a configuration asks for; yields whom to tell how far the run is."""
    told: list[Callable[[RunProgress], None]] = []
    with ExitStack() as stack:
        if spec.operations.metrics_port is not None:
            tell, port = stack.enter_context(serve_metrics(spec.operations))
            log.info("metrics at http://%s:%d/metrics", spec.operations.metrics_host, port)
            told.append(tell)

        def tell_all(progress: RunProgress) -> None:
            for tell in told:
                tell(progress)

        yield tell_all

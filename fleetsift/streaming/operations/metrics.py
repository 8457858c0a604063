"""What a run tells Prometheus: one endpoint on the driver, for all workers, from what they tell it twice a second.

Counters are of this run and of the workers it still knows: what a worker counted in its last half second before it was
killed is not in them, and frames that it had scored and not published are scored, and counted, again. What is done is
in the store; these show how it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from fleetsift.errors import ConfigError
from fleetsift.schemas.fleet import OperationsSpec
from fleetsift.streaming.meter import BOUNDS, INFINITE
from fleetsift.streaming.progress import RunProgress

Labelled = Mapping[str, float]  # label value -> number; "" where the metric has no label


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One metric: what it is called, what it says, the label that tells its numbers apart, and where they are read."""

    name: str
    says: str
    label: str
    read: Callable[[RunProgress], Labelled]
    counts: bool = True  # it only grows; else it is what it is just now

    def family(self, progress: RunProgress) -> Metric:
        """Its numbers as Prometheus takes them."""
        kind: Any = CounterMetricFamily if self.counts else GaugeMetricFamily
        family: Metric = kind(self.name, self.says, labels=[self.label] if self.label else [])
        for value, number in sorted(self.read(progress).items()):
            family.add_metric([value] if self.label else [], number)  # type: ignore[attr-defined]
        return family


def _counted(what: str) -> Callable[[RunProgress], Labelled]:
    return lambda progress: {label: n for (counted, label), n in progress.readings.counts.items() if counted == what}


def _by_partition(numbers: Mapping[int, int]) -> Labelled:
    return {str(partition): number for partition, number in numbers.items()}


METRICS = (
    MetricKind("fleetsift_frames", "Frames scored, or found wanting, by status.", "status", lambda p: p.rows),
    MetricKind(
        "fleetsift_published_rows", "Rows in segments that this run published.", "status", _counted("published_rows")
    ),
    MetricKind(
        "fleetsift_stage_seconds",
        "Seconds of the hot paths: load (waiting for references and pixels), score (for scores), rows, publish.",
        "stage",
        _counted("stage_seconds"),
    ),
    MetricKind(
        "fleetsift_loader_seconds",
        "Seconds of the threads that load: fetch (waiting for disks and object stores), decode.",
        "step",
        _counted("loader_seconds"),
    ),
    MetricKind("fleetsift_fetched_bytes", "Bytes of frames fetched, still encoded.", "", _counted("fetched_bytes")),
    MetricKind(
        "fleetsift_conflicts",
        "Segments that another writer had published first: a worker believed dead, or a second run.",
        "",
        lambda p: {"": p.readings.counts["conflicts", ""]},
    ),
    MetricKind(
        "fleetsift_lag",
        "References on the source that no worker has read yet.",
        "partition",
        lambda p: _by_partition(p.readings.unread),
        counts=False,
    ),
    MetricKind(
        "fleetsift_chain_end",
        "The offset a partition's chain goes on from, of those that have grown in this run.",
        "partition",
        lambda p: _by_partition(p.readings.published),
        counts=False,
    ),
    MetricKind(
        "fleetsift_queue_depth",
        "What waits in the workers: references read and not scored, rows scored and not published.",
        "queue",
        lambda p: p.readings.queues,
        counts=False,
    ),
    MetricKind(
        "fleetsift_last_publish_timestamp_seconds",
        "When the last segment was published; absent before the first.",
        "",
        lambda p: {"": p.readings.published_at} if p.readings.published_at else {},
        counts=False,
    ),
    MetricKind("fleetsift_workers", "Workers that are at work.", "", lambda p: {"": p.workers}, counts=False),
    MetricKind("fleetsift_restarts", "Workers that died and were replaced.", "", lambda p: {"": p.restarts}),
    MetricKind("fleetsift_run_seconds", "How long this run has lasted.", "", lambda p: {"": p.elapsed_s}, counts=False),
)


def _segment_sizes(progress: RunProgress) -> Iterator[Metric]:
    for what, says in (("segment_rows", "Rows of a published segment."), ("segment_bytes", "Bytes of one.")):
        counted = _counted(what)(progress)
        buckets, below = [], 0.0
        for bound in (*map(str, BOUNDS[what]), INFINITE):
            below += counted.get(bound, 0)
            buckets.append((bound, below))
        family = HistogramMetricFamily(f"fleetsift_{what}", says)
        family.add_metric([], buckets, sum_value=progress.readings.counts[f"{what}_sum", ""])
        yield family


class _RunCollector(Collector):
    """Holds how far the run was when that was last told."""

    progress = RunProgress({}, None, 0.0, 0, 0)

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        progress = self.progress
        yield from (kind.family(progress) for kind in METRICS)
        yield from _segment_sizes(progress)


@contextmanager
def serve_metrics(spec: OperationsSpec) -> Iterator[tuple[Callable[[RunProgress], None], int]]:
    """Serve metrics at http://HOST:PORT/metrics; yields whom to tell how far the run is, and the port.

    Raises ConfigError where the port cannot be had.
    """
    collector = _RunCollector()
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(spec.metrics_port or 0, spec.metrics_host, registry)
    except OSError as error:
        address = f"{spec.metrics_host}:{spec.metrics_port}"
        raise ConfigError(f"operations.metrics_port: expected a free port, {address} gives {error.strerror}") from error

    def tell(progress: RunProgress) -> None:
        collector.progress = progress

    try:
        yield tell, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

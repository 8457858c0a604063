"""Lets a plan's time pass, half a second after another, and looks at lag and balance every ten."""

from __future__ import annotations

from benchmarks.simulation.cluster import Cluster
from benchmarks.simulation.figures import figures_of
from benchmarks.simulation.plan import TICK_S, Plan, draw_rates
from benchmarks.simulation.weather import Weather


def simulate(plan: Plan) -> dict[str, float]:
    """Run a plan; raises AssertionError where a row is lost or doubled."""
    cluster = Cluster(plan, draw_rates(plan))
    cluster.deal(plan.workers)
    weather = Weather(plan)
    lags: list[float] = []
    busiest: list[float] = []
    while cluster.now < plan.minutes * 60:
        cluster.now += TICK_S
        cluster.work()
        weather.change(cluster)
        if cluster.now % 10 < TICK_S:
            lags.append(sum(unscored(cluster)))
            loads = [sum(cluster.rates[p] for p in worker.share) for worker in cluster.workers]
            busiest.append(max(loads) / (sum(loads) / len(loads)))
    for worker in cluster.workers:  # a drain: everybody publishes what is scored
        for p in list(worker.since):
            cluster.publish(worker, p)
    return figures_of(cluster, lags, busiest)


def unscored(cluster: Cluster) -> list[float]:
    scored = {p: value for worker in cluster.workers for p, value in worker.scored.items()}
    return [cluster.end(p) - scored.get(p, 0.0) for p in range(cluster.plan.partitions) if p in scored]

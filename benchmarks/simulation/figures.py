"""What a simulation shows, once the oracle has counted every row of every chain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmarks.simulation.balance import busiest_by_count, busiest_by_load
from benchmarks.simulation.cluster import Cluster
from benchmarks.simulation.plan import draw_rates
from fleetsift.store.chain import segment_names
from fleetsift.store.segments import read_facts


def figures_of(cluster: Cluster, lags: Sequence[float], busiest: Sequence[float]) -> dict[str, float]:
    plan, segments, rows = cluster.plan, 0, 0
    counts = Counter(cluster.requests.counts)  # what looking for the truth asks is not the cluster's
    for p, folder in enumerate(cluster.folders):
        end = 0
        for name in segment_names(folder):
            facts = read_facts(folder, name)
            assert facts.start == end, f"partition {p}: {name} begins at {facts.start}, the one before it ends at {end}"
            assert facts.rows == facts.next - facts.start, f"partition {p}: {name} lost rows"
            end, rows, segments = facts.next, rows + facts.rows, segments + 1
    rate = float(cluster.rates.sum())
    return {
        "frames": float(rows),
        "segments": float(segments),
        "changes": float(len(cluster.moved) - 1),
        "partitions_interrupted_a_change": float(np.mean(cluster.moved[1:])) if cluster.moved[1:] else 0.0,
        "busiest_worker_over_mean": float(np.mean(busiest)),
        "busiest_dealt_by_count": busiest_by_count(cluster.rates, plan.workers),
        "busiest_dealt_by_load": busiest_by_load(cluster.rates, plan.workers),
        "busiest_dealt_by_load_of_four_times_the_partitions": busiest_by_load(draw_rates(plan, 4), plan.workers),
        "recovery_s_median": float(np.median(cluster.recoveries)),
        "recovery_s_longest": float(max(cluster.recoveries)),
        "lag_s_median": float(np.median(lags)) / rate,
        "lag_s_longest": float(max(lags)) / rate,
        "rescored_share": cluster.lost_rows / rows,
        "conflicts": float(cluster.conflicts),
        "requests_a_resume": (counts["list"] + counts["read"]) / max(1, cluster.resumed),
        "listings": float(counts["list"]),
        "requests_per_s": sum(counts.values()) / (plan.minutes * 60),
        "requests_a_segment": sum(counts.values()) / segments,
        "simulated_min": plan.minutes,
        "partitions": float(plan.partitions),
        "workers": float(plan.workers),
    }

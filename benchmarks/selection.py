"""Selection against its bounds: how long a batch takes, and how much memory a large pool.

    python -m benchmarks.selection [--quick] [--only CASE ...] [--json FILE]
    python -m benchmarks.selection --optimum

Pools are drawn: sessions of frames that look alike, as a fleet's do. Ratios are taken within one run: against the time
of streaming the pool's embeddings once for every pick, and against the loop that people write. `--quick` draws the loop
out from fewer picks and takes every figure once; the whole takes the median of five.
`--optimum` prints how near greedy comes to the best batch there is, on pools small enough to try every batch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.optimum import print_optimum
from benchmarks.streaming_bound import stream
from fleetsift.schemas.selection import Cap, Diversity, RoundRobin, Score, Selection, SelectionSpec
from fleetsift.selectors.explaining.why import why
from fleetsift.selectors.pools.pool import Key, Pool
from fleetsift.selectors.select import select

F32 = NDArray[np.float32]
DIMENSIONS, A_SESSION = 128, 500
GIB = 2**30


def draw_pool(frames: int, *, dimensions: int = 0, classes: int = 0) -> Pool:
    """Sessions of frames that look alike, their keys, a score, and scores by class where asked for."""
    rng = np.random.default_rng(frames)
    sessions = (np.arange(frames) // A_SESSION).astype(np.int32)
    names = tuple(f"s-{s:06}" for s in range(sessions[-1] + 1))
    session_id = pa.DictionaryArray.from_arrays(pa.array(sessions), pa.array(names)).cast(pa.string())
    embedding: F32 | None = None
    if dimensions:
        looks = rng.standard_normal((len(names), dimensions), dtype=np.float32)
        embedding = rng.standard_normal((frames, dimensions), dtype=np.float32)
        embedding *= np.float32(0.5)
        embedding += looks[sessions]
    return Pool(
        ensemble_id="drawn",
        frame_id=pa.array(np.char.mod("f-%08d", np.arange(frames)), pa.string()),
        session_id=session_id,
        uri=session_id,
        scores={"score": rng.random(frames)},
        keys={
            "session_id": Key(sessions, names),
            "camera": Key(rng.integers(0, 6, frames, np.int32), tuple(f"camera-{c}" for c in range(6))),
        },
        class_scores={f"class-{c}": rng.random(frames) for c in range(classes)},
        embedding=embedding,
    )


def seconds_of(work: Callable[[], Any], repeats: int) -> float:
    """The median time of some runs."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def plain_loop(points: F32, picks: int) -> list[int]:
    """k-center greedy as it is commonly written: at each pick the distance of everybody to the newest centre.

    As google/active-learning does through scikit-learn: in float64, by norms and a product, norms computed anew.
    """
    exact = points.astype(np.float64)
    nearest = np.full(len(points), np.inf)
    picked = [0]
    for _ in range(picks - 1):
        centre = exact[picked[-1]]
        squared = np.einsum("nd,nd->n", exact, exact) - 2 * (exact @ centre) + centre @ centre
        nearest = np.minimum(nearest, np.sqrt(np.maximum(squared, 0)))
        picked.append(int(nearest.argmax()))
    return picked


def kcenter_100k(*, quick: bool) -> dict[str, float]:
    """100 k x 128 to 1 k by diversity alone."""
    pool = draw_pool(100_000, dimensions=DIMENSIONS)
    spec = SelectionSpec(budget=1000, objectives=(Diversity(),), constraints=())
    points = pool.vectors()
    select(pool, SelectionSpec(budget=2, objectives=(Diversity(),), constraints=()))  # compiled
    stream(points, 1)
    ours_s, bound_s = [], []
    for _ in range(3 if quick else 5):  # in turns, so that a busy neighbour slows both
        ours_s.append(seconds_of(lambda: select(pool, spec), 1))
        bound_s.append(seconds_of(lambda: stream(points, 250), 1) * 4)
    loop_picks = 20 if quick else 1000
    loop_s = seconds_of(lambda: plain_loop(points, loop_picks + 1), 1) * 1000 / loop_picks
    ours, bound = statistics.median(ours_s), statistics.median(bound_s)
    return {
        "kcenter_100k_s": ours,
        "kcenter_100k_bound_s": bound,
        "kcenter_100k_loop_s": loop_s,
        "kcenter_100k_vs_bound": ours / bound,
        "kcenter_100k_vs_plain_loop": loop_s / ours,
    }


def kcenter_1m_10k(*, quick: bool) -> dict[str, float]:
    """1 M x 128 to 10 k by score and diversity, with caps on session and camera; why a good frame was not picked."""
    del quick
    pool = draw_pool(1_000_000, dimensions=DIMENSIONS)
    diverse = (Diversity(),)
    caps = (Cap(key="session_id", most=10), Cap(key="camera", most=2000))
    select(pool, SelectionSpec(budget=2, objectives=diverse, constraints=caps))
    spec = SelectionSpec(budget=10_000, objectives=diverse, constraints=caps)
    scored = SelectionSpec(budget=10_000, objectives=(Score(expression="score"), Diversity()), constraints=caps)
    batches: list[Selection] = []
    figures = {
        "kcenter_1m_10k_s": seconds_of(lambda: select(pool, spec), 1),
        "score_diversity_1m_10k_s": seconds_of(lambda: batches.append(select(pool, scored)), 1),
    }
    frame_id = best_kept_out(pool, batches[0])
    return figures | {"why_1m_10k_s": seconds_of(lambda: why(pool, scored, frame_id), 1)}


def best_kept_out(pool: Pool, batch: Selection) -> str:
    """The frame with the best score, of those that were not picked from the first session that a cap closed."""
    full = next(pick.session_id for pick in batch.picks if not pick.room_left["session_id"])
    rows = np.flatnonzero(pool.key("session_id").of(full))
    names: list[str] = pool.frame_id.take(pa.array(rows[np.argsort(-pool.score("score")[rows])])).to_pylist()
    picked = {pick.frame_id for pick in batch.picks}
    return next(name for name in names if name not in picked)


def round_robin_2m_19k(*, quick: bool) -> dict[str, float]:
    """2 M frames to 19 k by turns of 19 classes, with caps: NVIDIA's selection of 2020."""
    pool = draw_pool(2_000_000, classes=19)
    caps = (Cap(key="session_id", most=10), Cap(key="camera", most=4000))
    spec = SelectionSpec(budget=19_000, constraints=caps, round_robin=RoundRobin())
    return {"round_robin_2m_19k_s": seconds_of(lambda: select(pool, spec), 1 if quick else 5)}


def pool_10m(*, quick: bool) -> dict[str, float]:
    """10 M x 128 read from Parquet through DuckDB, and 100 picked with a cap: the peak of a process of its own."""
    del quick
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.large_pool", folder, "10000000", str(DIMENSIONS)]
        root = Path(__file__).resolve().parents[1]
        answer = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)
    return {"pool_10m_rss_gib": answer["peak_bytes"] / GIB, "pool_10m_s": answer["seconds"]}


CASES: Mapping[str, Callable[..., dict[str, float]]] = {
    "kcenter_100k": kcenter_100k,
    "kcenter_1m_10k": kcenter_1m_10k,
    "round_robin_2m_19k": round_robin_2m_19k,
    "pool_10m": pool_10m,
}


def main() -> None:
    """Measure what is asked for, and print it as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--optimum", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.optimum:
        print_optimum()
        return
    figures: dict[str, float] = {}
    for name in arguments.only:
        for figure, value in CASES[name](quick=arguments.quick).items():
            figures[figure] = value
            print(f"{figure:30} {value:.3f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

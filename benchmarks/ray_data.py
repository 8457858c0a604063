"""The same frames and networks with Ray Data alone, as its users write it: read_kafka, map_batches, write_parquet.

    python -m benchmarks.ray_data BROKER TOPIC '{"0": 120, …}' OUT NETWORK…

An actor opens every network in a session of ONNX Runtime, decodes with Pillow, takes the softmax and both entropies in
NumPy (`benchmarks.naive`). With an ensemble file instead of networks it asks our engine, so that what is compared is
the stream alone. Prints one JSON object: frames, seconds from start to end, and the steady pace between the first
scored batch and the last.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.announced import BATCH


class Scorer:
    """What users write: the model is opened once in an actor, and called with batches."""

    def __init__(self, networks: list[str]) -> None:
        import onnx  # noqa: PLC0415 - in the actor

        from benchmarks.naive import SessionsWithNumpy  # noqa: PLC0415
        from fleetsift import open_engine  # noqa: PLC0415

        self.engine, self.sessions = None, None
        if networks[0].endswith(".yaml"):
            self.engine = open_engine(networks[0])
        else:
            self.sessions = SessionsWithNumpy([onnx.load(network) for network in networks], "logits")

    def __call__(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
        """Records of the topic in, rows out."""
        messages = [json.loads(value) for value in batch["value"]]
        frames = [np.asarray(Image.open(message["uri"]).convert("RGB")) for message in messages]
        if self.sessions:
            scores = np.array([self.sessions.score(frame) for frame in frames])
        else:
            scores = self._ask_engine(frames)
        return {
            "frame_id": [message["frame_id"] for message in messages],
            "session_id": [message["session_id"] for message in messages],
            "entropy_mean": scores[:, 0],
            "entropy_max": scores[:, 1],
            "mutual_information_mean": scores[:, 2],
            "mutual_information_max": scores[:, 3],
            "scored_at": np.full(len(messages), time.time()),
        }

    def _ask_engine(self, frames: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        from fleetsift import FrameBatch  # noqa: PLC0415

        assert self.engine is not None
        found = self.engine.score(FrameBatch(np.stack(frames), (None,) * len(frames)))
        entropy, information = found.entropy, found.mutual_information
        return np.stack([entropy.mean, entropy.max, information.mean, information.max], axis=1)


def main() -> None:
    """Score a topic and say how long it took."""
    broker, topic, ends, out, *networks = sys.argv[1:]
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray  # noqa: PLC0415 - after its environment
    import ray.data  # noqa: PLC0415

    upto = {int(partition): end for partition, end in json.loads(ends).items()}
    began = time.time()
    cpus = max(2, os.cpu_count() or 1)
    ray.init(address="local", num_cpus=cpus, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    (
        ray.data.read_kafka(topic, bootstrap_servers=[broker], end_offset={topic: upto})
        .map_batches(
            Scorer,
            fn_constructor_args=(networks,),
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=1,
        )
        .write_parquet(out)
    )
    took_s = time.time() - began
    print(json.dumps(_figures(Path(out), took_s)), flush=True)
    ray.shutdown()


def _figures(out: Path, took_s: float) -> dict[str, float]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    done = np.concatenate([pq.read_table(file, columns=["scored_at"])["scored_at"] for file in out.glob("*.parquet")])
    first, last = float(done.min()), float(done.max())
    after_first = int((done > first).sum())
    return {"frames": len(done), "took_s": took_s, "frames_per_s": after_first / max(1e-9, last - first)}


if __name__ == "__main__":
    main()

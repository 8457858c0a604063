"""What each stage of the stream costs a frame, alone and one after another: CPU milliseconds, and bytes.

Besides, what the hot path's own thread costs where nothing has to be scored: parsing, handing on, making rows.

python -m benchmarks.stages [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.announced import BATCH, Material, camvid, demo
from fleetsift import Engine, FrameBatch, open_engine
from fleetsift.engines.function import null_engine
from fleetsift.schemas.fleet import FleetSpec, FramesSpec, StoreSpec, WorkersSpec
from fleetsift.schemas.frames import Position
from fleetsift.schemas.messages import encode_message, parse_message
from fleetsift.schemas.sources import ManifestSpec
from fleetsift.store.rows import RowLayout, rows_table
from fleetsift.store.segments import SegmentFacts, encode_segment
from fleetsift.streaming.frames.reader import FrameReader
from fleetsift.streaming.manifests.topic import open_manifest
from fleetsift.streaming.meter import Meter
from fleetsift.streaming.run import Job, score_partitions
from fleetsift.threads import thread_budget

HOST_STAGES = ("parse", "fetch", "decode", "rows", "publish")  # everything but the networks


def cost_of_stages(engine: Engine, material: Material, scored: int = 24) -> dict[str, float]:
    """CPU milliseconds a frame by stage, bytes of a message, of a frame, of a row, and the machine; closes the engine.

    Every frame of the material is fetched and decoded, the first `scored` of them are scored and become rows. What is
    published is a segment of forty times as many. A row's bytes are what it adds to half as many: the footer is none of
    its own.
    """
    machine = {"cpus": float(thread_budget()), "load_average": os.getloadavg()[0]}
    messages = material.take(len(material.frames))
    frames = len(messages)
    reader = FrameReader.open(FramesSpec(roots=(str(material.root),)))
    records = [encode_message(message) for message in messages]
    positions = [Position("frames", 0, i) for i in range(frames)]
    refs = [parse_message(record, position) for record, position in zip(records, positions, strict=True)]
    data = [reader.fetch(message.uri) for message in messages]
    pixels = np.stack([reader.decode(image, engine.frame_size) for image in data[:scored]])
    begins = range(0, len(pixels), BATCH)
    batches = [FrameBatch(part := pixels[begin : begin + BATCH], (None,) * len(part)) for begin in begins]
    scores = [engine.score(batch) for batch in batches]
    layout = RowLayout(engine.ensemble_id, engine.members, {})
    pieces = [refs[begin : begin + BATCH] for begin in begins]
    tables = [rows_table(piece, score, layout) for piece, score in zip(pieces, scores, strict=True)]
    segment = pa.concat_tables(tables).combine_chunks()
    rows, half = len(segment), segment.slice(0, len(segment) // 2)
    many = pa.concat_tables([segment] * 40).combine_chunks()  # their bytes repeat; the work of writing them does not
    decoded = np.empty((*engine.frame_size, 3), np.uint8)

    def each(work: Callable[[Any], object], items: Sequence[Any], of: int = frames) -> float:
        return _cpu_ms(lambda: [work(item) for item in items]) / of

    costs = {
        "stage_parse_ms": each(lambda i: parse_message(records[i], positions[i]), range(frames)),
        "stage_fetch_ms": each(lambda message: reader.fetch(message.uri), messages),
        "stage_decode_ms": each(lambda image: reader.decode_into(decoded, image), data),
        "stage_score_ms": each(engine.score, batches, rows),
        "stage_rows_ms": each(lambda i: rows_table(pieces[i], scores[i], layout), range(len(pieces)), rows),
        "stage_publish_ms": _publish_ms(many) / len(many),
        "bytes_a_message": float(np.mean([len(record) for record in records])),
        "bytes_a_frame": float(np.mean([len(image) for image in data])),
        "bytes_a_row": (len(_encode(segment)) - len(_encode(half))) / (rows - len(half)),
    }
    engine.close()
    return machine | costs | {"hot_path_ms": _hot_path_ms(material, engine.frame_size)}


def _hot_path_ms(material: Material, frame_size: tuple[int, int], frames: int = 2_000) -> float:
    """CPU milliseconds a frame of the hot path's own thread, over a manifest, with an engine that does nothing."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "fleet.jsonl"
        manifest.write_bytes(b"\n".join(encode_message(message) for message in material.references(frames)))
        source = ManifestSpec(path=str(manifest))
        spec = FleetSpec(
            manifest=source,
            frames=FramesSpec(roots=(str(material.root),)),
            ensemble="",
            store=StoreSpec(path=str(Path(folder) / "store"), flush_rows=1_000),
            workers=WorkersSpec(batch=BATCH),
        )
        topic = open_manifest(source)
        job = Job(spec, topic, topic.partitions, True, thread_budget(), partial(null_engine, frame_size))
        began = time.thread_time()
        score_partitions(job, Event(), Meter())
        return (time.thread_time() - began) * 1e3 / frames


def _cpu_ms(work: Callable[[], object]) -> float:
    """The best of three: what others do on the machine only ever adds."""
    took = []
    for _ in range(3):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took) * 1e3


def _publish_ms(rows: pa.Table) -> float:
    return _cpu_ms(lambda: [_encode(rows) for _ in range(10)]) / 10


def _encode(rows: pa.Table) -> bytes:
    return encode_segment(rows, _facts(rows))


def _facts(segment: pa.Table) -> SegmentFacts:
    return SegmentFacts(
        topic="frames",
        topic_id="",
        partition=0,
        ensemble_id="x",
        classes=(),
        start=0,
        next=segment.num_rows,
        rows=segment.num_rows,
        statuses={"ok": segment.num_rows},
        writer="x",
        written_at="",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure CamVid's JPEGs and networks, or the demo's, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write {name: value}")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        material = camvid(Path(folder)) or demo(Path(folder))
        costs = cost_of_stages(open_engine(material.ensemble), material.of_kind(".jpg").spread(96))
    for name, value in costs.items():
        print(f"{name:20} {value:12.4f}")
    if options.json:
        options.json.write_text(json.dumps(costs, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

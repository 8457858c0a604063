"""One call from a batch on disk to its report: frames are read again, and asked again where the members disagree."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

from fleetsift.engines.engine import Engine
from fleetsift.engines.open import open_engine
from fleetsift.report.collect import Other, collect
from fleetsift.report.pictures import Picture
from fleetsift.report.write import write_report
from fleetsift.schemas.fleet import FleetSpec
from fleetsift.schemas.scores import ranking_quantity
from fleetsift.selectors.batches.batch import read_batch
from fleetsift.selectors.batches.boxes import split_box
from fleetsift.store.views import ScoreStore
from fleetsift.streaming.frames.reader import FrameReader


def report_batch(
    spec: FleetSpec,
    batch: Path,
    page: Path,
    against: Path | None = None,
    on_picture: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the report of a batch; a frame that cannot be read is shown without a picture, and why.

    against: another batch of the same store, to compare with. on_picture: called with the number of frames drawn.

    Raises SelectionError, StoreError, EnsembleError or ConfigError.
    """
    selection = read_batch(batch)
    other = Other(_names(batch, against), read_batch(against)) if against else None
    engine = open_engine(spec.ensemble)
    with ScoreStore(spec.store.path, selection.spec.unit) as store:
        pictures = take_pictures(engine, FrameReader.open(spec.frames), on_picture)
        facts = collect(store, selection, pictures, other)
    engine.close()
    write_report(page, facts)


def _names(batch: Path, against: Path) -> str:
    """How the other batch is called: by its folder, and where both have one name, by the folder above it as well."""
    ours, theirs = batch.resolve(), against.resolve()
    return theirs.name if ours.name != theirs.name else f"{theirs.parent.name}/{theirs.name}"


def take_pictures(
    engine: Engine, reader: FrameReader, on_picture: Callable[[int], None] = lambda _: None
) -> Callable[[str], Picture]:
    """What gives a frame and the map of what it is ranked by for a URI, or raises FrameError."""

    numbers = count(1)

    def take(uri: str) -> Picture:
        on_picture(next(numbers))
        whole, box = split_box(uri)
        maps = engine.maps(reader.read(whole, engine.frame_size))
        heat = maps.mutual_information if ranking_quantity(engine.members) == "mutual_information" else maps.entropy
        frame = reader.read(whole)
        return Picture(frame, heat, box and box.in_shares(*frame.shape[:2]))

    return take

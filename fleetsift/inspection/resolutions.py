"""An ensemble at the resolution it is configured for, and at the other one beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import Ensemble
from fleetsift.engines.open import open_engine
from fleetsift.errors import EnsembleError

OTHER_SIZE = {"native": "full", "full": "native"}


@contextmanager
def opened(path: str | Path, threads: int) -> Iterator[Engine]:
    engine = open_engine(path, threads)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def opened_at_other_size(ensemble: Ensemble, threads: int) -> Iterator[tuple[Engine | None, str | None]]:
    """The same ensemble at its other resolution; or none, and why not."""
    folder, other = ensemble.folder.resolve(), OTHER_SIZE[ensemble.spec.resolution]
    members = tuple(msgspec.structs.replace(m, file=str(folder / m.file)) for m in ensemble.spec.members)
    spec = msgspec.structs.replace(ensemble.spec, members=members, resolution=other)
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        path = Path(temporary) / "ensemble.yaml"
        path.write_bytes(msgspec.json.encode(spec))  # JSON is YAML
        try:
            found: tuple[Engine | None, str | None] = (stack.enter_context(opened(path, threads)), None)
        except EnsembleError as error:
            found = (None, f"not to be had at {other} size: {str(error).removeprefix(f'{path} ')}")
        yield found

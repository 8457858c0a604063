"""An ensemble as it is configured, and beside it what could be otherwise: its other size, its other precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

import msgspec

from fleetsift.engines.engine import Engine
from fleetsift.engines.ensembles.ensemble import Ensemble, at_resolution
from fleetsift.engines.ensembles.full_size import at_full_size
from fleetsift.engines.open import open_ensemble
from fleetsift.errors import EnsembleError
from fleetsift.schemas.ensemble import Resolution
from fleetsift.schemas.runtime import RuntimeSpec

OTHER_SIZE: Mapping[Resolution, Resolution] = {"native": "full", "full": "native"}
PRECISION = {False: "float32", True: "float16"}  # by RuntimeSpec.half


@dataclass(frozen=True, slots=True)
class Variant:
    """The same ensemble, but for one thing."""

    name: str  # native, full, float32 or float16
    title: str  # what it is against what it would be
    engine: Engine | None
    missing: str | None  # why there is no engine


@contextmanager
def open_variants(
    ensemble: Ensemble, runtime: RuntimeSpec, threads: int, batch: int
) -> Iterator[tuple[Engine, tuple[Variant, Variant]]]:
    """Open an ensemble as it is configured, and its variants where they are to be had.

    Raises what `open_ensemble` does, of the ensemble as it is configured.
    """
    size, half = ensemble.spec.resolution, runtime.half
    open_as = partial(open_ensemble, threads=threads, batch=batch)
    with ExitStack() as stack:

        def variant(name: str, title: str, opener: Callable[[], Engine]) -> Variant:
            try:
                return Variant(name, title, stack.enter_context(closing(opener())), None)
            except EnsembleError as error:
                reason = f"{name} is not to be had: {str(error).removeprefix(f'{ensemble.path} ')}"
                return Variant(name, title, None, reason)

        engine = stack.enter_context(closing(open_as(ensemble, runtime=runtime)))
        other_size, other = OTHER_SIZE[size], msgspec.structs.replace(runtime, half=not half)
        yield (
            engine,
            (
                variant(
                    other_size,
                    f"{size} against {other_size} size",
                    lambda: open_as(_at(other_size, ensemble), runtime=runtime),
                ),
                variant(
                    PRECISION[not half],
                    f"{PRECISION[half]} against {PRECISION[not half]}",
                    lambda: open_as(ensemble, runtime=other),
                ),
            ),
        )


def _at(size: Resolution, ensemble: Ensemble) -> Ensemble:
    """Full size is what heat maps show: logits of a network that ends at its own stride are enlarged linearly."""
    return at_full_size(ensemble) if size == "full" else at_resolution(ensemble, size)

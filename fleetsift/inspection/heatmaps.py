"""Heat maps for people: where in its frame an ensemble is unsure, as PNG at the frame's full size.

The networks answer at the full size of their input, also where the ensemble is scored at their own stride: logits are
enlarged, then come the probabilities. Only a frame that is larger than that is enlarged to, linearly, and the legend
says so. All maps of a call are on one scale for entropy and one for mutual information; the shares of classes are on
the scale of the whole. That takes two passes over the frames: one to find the scales, one to draw; nothing is kept
between, so memory does not grow with the frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fleetsift.engines.engine import Engine, UncertaintyMaps
from fleetsift.engines.ensembles.ensemble import Ensemble, read_ensemble
from fleetsift.engines.ensembles.full_size import at_full_size
from fleetsift.engines.graphs.half import scores_id
from fleetsift.engines.open import open_ensemble
from fleetsift.errors import ConfigError, EnsembleError, FrameError, SourceError
from fleetsift.heat.legend import Legend, draw_legend
from fleetsift.heat.overlay import lay_over
from fleetsift.heat.scale import bright_end, count_levels, most_nats
from fleetsift.inspection.frames import find_frames, open_reader
from fleetsift.schemas.messages import FrameMessage
from fleetsift.schemas.runtime import RuntimeSpec
from fleetsift.schemas.scores import F32
from fleetsift.streaming.frames.reader import FrameReader

BOTH = ("entropy", "mutual_information")
_CPU = RuntimeSpec()


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One picture that was written."""

    frame_id: str
    quantity: str  # one of BOTH
    of_class: str | None  # the class whose share it shows, or all classes
    brightest_nats: float  # what its brightest colour stands for, and more
    file: Path


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """What became of the frames of a call."""

    written: tuple[HeatMap, ...]
    left_out: dict[str, str]  # by frame_id, why


def write_heatmaps(
    ensemble: str | Path,
    frames: Path,
    out: Path,
    *,
    classes: Sequence[str] | None = (),
    quantities: Sequence[str] = BOTH,
    runtime: RuntimeSpec = _CPU,
    on_frame: Callable[[int], None] = lambda _: None,
) -> HeatMaps:
    """Write a heat map of each quantity for each frame into `out`, named after the frame and what it shows.

    frames: one image, a folder of images or a manifest. classes: also the share of each of these in each
    quantity; None: of every class. on_frame is called with the number of looks at frames so far, two at each.
    Raises ConfigError, SourceError or EnsembleError; a frame that cannot be read or scored is left out, and why.
    """
    messages = find_frames(frames)
    _check_names(messages, frames, out)
    configured = read_ensemble(ensemble)
    known = configured.spec.classes
    layers = _choose_layers(known, known if classes is None else classes, quantities)
    with closing(_open_full_size(configured, runtime)) as engine:
        name = scores_id(configured.ensemble_id, half=runtime.half)
        return _Atlas(name, engine, open_reader(), out, on_frame).draw(messages, layers)


def _open_full_size(ensemble: Ensemble, runtime: RuntimeSpec) -> Engine:
    """The ensemble at the size of its frames; at the size it is scored at where it cannot be had larger."""
    try:
        return open_ensemble(at_full_size(ensemble), runtime=runtime, batch=1)
    except EnsembleError:
        return open_ensemble(ensemble, runtime=runtime, batch=1)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One kind of map."""

    quantity: str
    of_class: str | None = None
    c: int = 0  # the class's index, where there is one

    def take(self, maps: UncertaintyMaps) -> F32:
        values: F32 = getattr(maps, self.quantity if self.of_class is None else f"{self.quantity}_by_class")
        return values if self.of_class is None else values[self.c]

    @property
    def title(self) -> str:
        words = self.quantity.replace("_", " ")
        return words if self.of_class is None else f"{words}, share of {self.of_class}"

    @property
    def suffix(self) -> str:
        words = self.quantity if self.of_class is None else f"{self.quantity}.{_quoted(self.of_class)}"
        return f".{words}.png"


def _choose_layers(known: tuple[str, ...], classes: Sequence[str], quantities: Sequence[str]) -> list[_Layer]:
    for name in classes:
        if name not in known:
            raise ConfigError(f"class: expected one of {', '.join(known)}, got {name}; mend the name")
    wanted = [quantity for quantity in BOTH if quantity in quantities]
    shares = [_Layer(quantity, name, known.index(name)) for name in dict.fromkeys(classes) for quantity in wanted]
    return [_Layer(quantity) for quantity in wanted] + shares


def _check_names(messages: Sequence[FrameMessage], frames: Path, out: Path) -> None:
    """Every heat map needs a file of its own, and none may be taken for a frame the next time."""
    [(name, count)] = Counter(message.frame_id for message in messages).most_common(1)
    if count > 1:
        raise ConfigError(f"{frames}: expected a name of its own for each frame, got {count} named {name}; rename them")
    if frames.is_dir() and out.resolve().is_relative_to(frames.resolve()):
        raise ConfigError(f"out: expected a folder outside {frames}, got {out}; heat maps there would become frames")


@dataclass(frozen=True, slots=True)
class _Atlas:
    """An engine's maps of some frames on the way into a folder."""

    ensemble_id: str  # of the scores, whose maps they are
    engine: Engine
    reader: FrameReader
    out: Path
    on_frame: Callable[[int], None]

    def draw(self, messages: Sequence[FrameMessage], layers: Sequence[_Layer]) -> HeatMaps:
        most = most_nats(len(self.engine.classes))
        wholes = [layer for layer in layers if layer.of_class is None]
        counts = {layer.quantity: np.zeros(1, np.int64) for layer in wholes}
        left_out: dict[str, str] = {}
        seen = []
        for message, maps in self._look(messages, left_out, already=0):
            seen.append(message)
            for layer in wholes:
                counts[layer.quantity] = counts[layer.quantity] + count_levels(layer.take(maps), most)
        if not seen:
            name, reason = next(iter(left_out.items()))
            raise SourceError(f"frames: none of {len(messages)} can be shown, {name}: {reason}; mend the files")
        brightest = {quantity: bright_end(levels, most) for quantity, levels in counts.items()}
        written = [
            self._write(message, layer, maps, brightest[layer.quantity])
            for message, maps in self._look(seen, left_out, already=len(messages))
            for layer in layers
        ]
        return HeatMaps(tuple(written), left_out)

    def _look(
        self, messages: Sequence[FrameMessage], left_out: dict[str, str], already: int
    ) -> Iterator[tuple[FrameMessage, UncertaintyMaps]]:
        """The maps of each frame that has some; of every other it is noted why not."""
        for number, message in enumerate(messages, start=already + 1):
            try:
                yield message, self.engine.maps(self.reader.read(message.uri, self.engine.frame_size))
            except FrameError as error:
                left_out[message.frame_id] = f"{error.status}, {error.reason}"
            self.on_frame(number)

    def _write(self, message: FrameMessage, layer: _Layer, maps: UncertaintyMaps, brightest: float) -> HeatMap:
        frame, values = self.reader.read(message.uri), layer.take(maps)
        note = f"{self.ensemble_id}, logits at {_show(values)}"
        if values.shape != frame.shape[:2]:
            note = f"{note}, map brought linearly to {_show(frame)}"
        legend = Legend(layer.title, message.frame_id, brightest, note)
        picture = np.concatenate([lay_over(frame, values, brightest), draw_legend(legend, frame.shape[1])])
        file = self.out / f"{_file_stem(message.frame_id)}{layer.suffix}"
        facts = {"ensemble": self.ensemble_id, "quantity": layer.title, "frame": message.frame_id, "note": note}
        _save(picture, file, facts)
        return HeatMap(message.frame_id, layer.quantity, layer.of_class, brightest, file)


def _show(image: NDArray[np.generic]) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _file_stem(frame_id: str) -> str:
    """The frame's name as a path below the folder, whatever is in it."""
    return "/".join(_quoted(part) for part in frame_id.split("/") if part)


def _quoted(part: str) -> str:
    quoted = quote(part, safe=" ")
    return quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted


def _save(picture: NDArray[np.uint8], file: Path, facts: dict[str, str]) -> None:
    info = PngInfo()
    for key, text in facts.items():
        info.add_itxt(key, text)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file, "PNG", pnginfo=info)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written, {error.strerror or error}; mend --out") from error

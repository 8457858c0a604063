"""Every network of an ensemble by itself: unchanged, in a session of its own, its frames prepared in NumPy and Pillow.

The slow and plain way, for the float64 reference to stand on: it shares nothing with the engine that is compared
with it, neither the fused graph nor the reduction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from fleetsift.engines.ensemble import Ensemble, input_name
from fleetsift.engines.native import native_logits
from fleetsift.engines.rows import FrameRow
from fleetsift.engines.uncertainty import score_frame
from fleetsift.errors import EnsembleError, MissingExtra
from fleetsift.schemas.ensemble import InputSpec
from fleetsift.schemas.scores import F32
from fleetsift.schemas.status import Problem


class SeparateMembers:
    """An ensemble's networks, each ready to be run by itself on ONNX Runtime's CPU provider."""

    def __init__(self, ensemble: Ensemble) -> None:
        """Open the networks; raises MissingExtra without ONNX Runtime, EnsembleError where one does not load."""
        self._ensemble = ensemble
        self._sessions = [_open(ensemble, m) for m in range(len(ensemble.spec.members))]

    def score(self, frame: NDArray[np.uint8]) -> FrameRow | Problem:
        """The true row of a frame (H, W, 3) at the ensemble's frame size: the formulas in float64.

        It needs some ten times the memory of the members' logits.
        """
        spec = self._ensemble.spec
        answers = [self._answer(m, frame) for m in range(len(self._sessions))]
        logits_mchw = np.stack([logits for logits, _ in answers])
        return score_frame(logits_mchw, spec.regions, spec.top_share, answers[spec.embedding_member][1])

    def _answer(self, m: int, frame: NDArray[np.uint8]) -> tuple[F32, F32 | None]:
        """Member m's logits (C, h, w) and, if it is the one whose embedding is kept, that."""
        spec, member = self._ensemble.spec, self._ensemble.spec.members[m]
        image = _prepare(frame, spec.input_of(member))
        names = _wanted(self._ensemble, m)
        logits, *rest = self._sessions[m].run(names, {input_name(self._ensemble.networks[m]): image[None]})
        if spec.resolution == "full":
            logits = np.stack([_resize(plane, *spec.frame_size) for plane in logits[0]])[None]
        return logits[0], rest[0][0] if rest else None


def _prepare(frame: NDArray[np.uint8], kind: InputSpec) -> F32:
    """What a network takes, (3, h, w): (pixel / scale - mean) / std, resized first where it takes a smaller frame."""
    planes = frame.transpose(2, 0, 1).astype(np.float32)
    image = np.stack([_resize(plane, kind.height, kind.width) for plane in planes])
    if kind.channels == "bgr":
        image = image[::-1]
    mean, std = (np.array(values)[:, None, None] for values in (kind.mean, kind.std))
    # As the ensemble file says it, but rounded where an engine rounds: a last bit of the input is no error of theirs.
    prepared: F32 = image / (kind.scale * std).astype(np.float32) - (mean / std).astype(np.float32)
    return prepared


def _resize(plane: F32, height: int, width: int) -> F32:
    """A plane (h, w) at another size, linearly between pixels' centres; what shrinks is averaged."""
    if plane.shape == (height, width):
        return plane
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR))


def _wanted(ensemble: Ensemble, m: int) -> list[str]:
    """The names of the logits that member m is scored by and, if it is the one whose embedding is kept, of that."""
    spec = ensemble.spec
    output = spec.output_of(spec.members[m])
    native = output.native or native_logits(ensemble.networks[m], output.full)
    logits = native if spec.resolution == "native" and native else output.full
    return [logits, output.embedding] if m == spec.embedding_member and output.embedding else [logits]


def _open(ensemble: Ensemble, m: int) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra: only who scores needs it
    except ImportError as error:
        raise MissingExtra("check", "onnxruntime", "cpu") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong comes as an exception
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    network = onnx.ModelProto()
    network.CopyFrom(ensemble.networks[m])
    given = {value.name for value in network.graph.output}
    unnamed = [name for name in _wanted(ensemble, m) if name not in given]
    network.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in unnamed
    )
    try:
        return onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common ancestor of their own
        file = ensemble.folder / ensemble.spec.members[m].file
        raise EnsembleError(f"{file}: expected a network that loads by itself, got {error}; export it again") from error

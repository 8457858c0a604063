"""What people write: a session for each member, a softmax, and NumPy at full size.

It gives the mean and the highest predictive entropy and mutual information of one frame, which is less than an engine
gives; written as in tutorials: clear, vectorised, float32, the runtime with its own default threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]  # (H, W, 3) RGB

_EPSILON = 1e-12


class SessionsWithNumpy:
    """An ONNX Runtime session for each member; its answer becomes probabilities in the network or in NumPy."""

    def __init__(self, networks: Sequence[onnx.ModelProto], answer: str) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self._answer = answer
        self._sessions = [
            onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
            for network in networks
        ]

    def logits(self, frame: Pixels) -> F32:
        """What the members answer, (M, C, h, w)."""
        image = (frame.astype(np.float32) / 255).transpose(2, 0, 1)[None]
        feed = {self._sessions[0].get_inputs()[0].name: image}
        return np.concatenate([session.run([self._answer], feed)[0] for session in self._sessions])

    def score(self, frame: Pixels) -> tuple[float, ...]:
        """Entropy mean and highest, mutual information mean and highest."""
        answers = self.logits(frame)
        probs = answers if self._answer == "probabilities" else softmax(answers)
        mean_probs = probs.mean(axis=0)
        entropy = -(mean_probs * np.log(mean_probs + _EPSILON)).sum(axis=0)
        expected_entropy = -(probs * np.log(probs + _EPSILON)).sum(axis=1).mean(axis=0)
        information = entropy - expected_entropy
        return float(entropy.mean()), float(entropy.max()), float(information.mean()), float(information.max())


def softmax(logits: F32) -> F32:
    """Over the classes of (M, C, h, w)."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: F32 = e / e.sum(axis=1, keepdims=True)
    return probs

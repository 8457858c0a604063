"""The architecture of the ensemble's networks, written once for whatever computes it: torch to learn, ONNX to serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from fleetsift.demo.world import CLASSES

T = TypeVar("T")

MEAN, STD = (0.42, 0.43, 0.44), (0.25, 0.25, 0.25)  # of the pixels, 0..1 RGB
NATIVE_STRIDE = 4
EMBEDDING_SIZE = 48


@dataclass(frozen=True, slots=True)
class Convolution:
    """One layer with weights. An activated one is normalised while learning, which export folds into its weights."""

    inputs: int
    outputs: int
    size: int = 3
    stride: int = 1
    dilation: int = 1
    activated: bool = True

    @property
    def padding(self) -> int:
        """Zeros on each side, so that only the stride makes the planes smaller."""
        return self.dilation * (self.size // 2)


CONVOLUTIONS = {
    "to_half": Convolution(3, 16, stride=2),
    "to_quarter": Convolution(16, 24, stride=2),
    "to_eighth": Convolution(24, 36, stride=2),
    "at_eighth": Convolution(36, 36),
    "to_sixteenth": Convolution(36, 48, stride=2),
    "at_sixteenth": Convolution(48, EMBEDDING_SIZE, dilation=2),
    "from_sixteenth": Convolution(48, 32, size=1, activated=False),
    "from_eighth": Convolution(36, 32, size=1, activated=False),
    "from_quarter": Convolution(24, 32, size=1, activated=False),
    "merge": Convolution(32, 16),
    "classify": Convolution(16, len(CLASSES), size=1, activated=False),
}


class Backend(Protocol[T]):
    """What computes the network; T is its kind of tensor, planes (N, channels, height, width)."""

    def normalise(self, images: T) -> T:
        """(images - MEAN) / STD, channel by channel."""

    def convolve(self, planes: T, name: str) -> T:
        """The layer of that name, with its activation (ReLU) if it has one."""

    def enlarge(self, planes: T, factor: int) -> T:
        """Linear interpolation between pixel centres."""

    def add(self, one: T, other: T) -> T:
        """The sum, element by element."""

    def pool(self, planes: T) -> T:
        """The mean over each plane, (N, channels)."""


class Answer(NamedTuple, Generic[T]):
    """What a network gives for N images; the fields name the tensors of the ONNX files."""

    logits: T  # (N, C, height, width)
    native: T  # (N, C, height / 4, width / 4)
    embedding: T  # (N, 48)


def answer(backend: Backend[T], images: T) -> Answer[T]:
    """Compute the network: down to a sixteenth, and back up to a quarter by way of what was seen there.

    images: float32 RGB 0..1, (N, 3, height, width), both sizes multiples of 16.
    """

    def convolve(planes: T, *names: str) -> T:
        for name in names:
            planes = backend.convolve(planes, name)
        return planes

    quarter = convolve(backend.normalise(images), "to_half", "to_quarter")
    eighth = convolve(quarter, "to_eighth", "at_eighth")
    sixteenth = convolve(eighth, "to_sixteenth", "at_sixteenth")
    planes = backend.enlarge(convolve(sixteenth, "from_sixteenth"), 2)
    planes = backend.enlarge(backend.add(planes, convolve(eighth, "from_eighth")), 2)
    planes = backend.add(planes, convolve(quarter, "from_quarter"))
    native = convolve(planes, "merge", "classify")
    return Answer(backend.enlarge(native, NATIVE_STRIDE), native, backend.pool(sixteenth))

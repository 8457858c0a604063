"""Pieces of a graph to be: nodes in an order they can run in, and the constants they read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper


@dataclass(slots=True)
class Piece:
    """What has been written so far; values it makes are named after where they come from."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        """Write a node; gives its output's name back."""
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, values: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Write a constant; gives its name back."""
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def resize(self, value: str, resized: str, size: tuple[int, int], *, shrinks: bool) -> str:
        """Resize (N, K, h, w) to a size, linearly between the centres of pixels.

        What shrinks is averaged over all that falls into a pixel; at the border only what lies inside counts. It is
        what Pillow and torch (`antialias=True`) do.
        """
        averages = int(shrinks)
        target = self.constant(f"{resized}_size", size, np.int64)
        return self.add(
            "Resize",
            [value, "", "", target],
            resized,
            axes=[2, 3],
            mode="linear",
            antialias=averages,
            exclude_outside=averages,
        )

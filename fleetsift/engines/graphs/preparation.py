"""From frames to what networks take, as pieces of a graph: planes, size, order of channels, normalisation."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from fleetsift.engines.graphs.pieces import Piece
from fleetsift.schemas.ensemble import InputSpec


def planes(piece: Piece, frames: str) -> str:
    """Frames (N, H, W, 3) uint8 to planes (N, 3, H, W) float32, still 0 to 255."""
    cast = piece.add("Cast", [frames], f"{frames}_f32", to=TensorProto.FLOAT)  # TensorRT casts bytes, and no more
    return piece.add("Transpose", [cast], "planes", perm=[0, 3, 1, 2])


def network_input(piece: Piece, k: int, kind: InputSpec, frame_size: tuple[int, int]) -> str:
    """Planes to what networks of kind k take: (pixel / scale - mean) / std, written pixel / (scale std) - mean / std.

    Where they take a smaller image, the planes are shrunk first, and not rounded to bytes.
    """
    value = "planes"
    if kind.channels == "bgr":
        order = piece.constant(f"bgr_{k}", [2, 1, 0], np.int64)
        value = piece.add("Gather", [value, order], f"planes_bgr_{k}", axis=1)
    if shrunk(kind, frame_size):
        value = piece.resize(value, f"planes_{k}", (kind.height, kind.width), shrinks=True)
    std = np.array(kind.std).reshape(1, 3, 1, 1)
    mean = np.array(kind.mean).reshape(1, 3, 1, 1)
    scaled = piece.add("Div", [value, piece.constant(f"divisor_{k}", kind.scale * std)], f"scaled_{k}")
    return piece.add("Sub", [scaled, piece.constant(f"shift_{k}", mean / std)], f"input_{k}")


def shrunk(kind: InputSpec, frame_size: tuple[int, int]) -> bool:
    """Whether networks of this kind take less than the frame's size."""
    return (kind.height, kind.width) != frame_size

"""What an ensemble's networks are run by, in fleet.yaml and on the command line."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

RuntimeName = Literal["cpu", "cuda", "cuda_tensorrt", "tensorrt"]

_BUILDS = ("cuda_tensorrt", "tensorrt")


class RuntimeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an ensemble is run; which GPU it is, Ray or CUDA_VISIBLE_DEVICES says: the first that the process sees."""

    name: Annotated[
        RuntimeName,
        Meta(
            description="cpu, cuda: ONNX Runtime. cuda_tensorrt: TensorRT inside it. tensorrt: plans of TensorRT's own."
        ),
    ] = "cpu"
    half: Annotated[
        bool,
        Meta(description="Networks in float16, the reduction in float32; the scores have an ensemble id of their own."),
    ] = False
    cuda_graph: Annotated[bool, Meta(description="With cuda: record the kernels once and replay them.")] = False
    plans: Annotated[
        str | None, Meta(description="Folder for what TensorRT builds; default: `plans` beside the ensemble file.")
    ] = None

    def __post_init__(self) -> None:
        if self.cuda_graph and self.name != "cuda":
            raise ValueError(f"cuda_graph: expected runtime cuda for it, got {self.name}")
        if self.plans is not None and self.name not in _BUILDS:
            raise ValueError(f"plans: expected runtime {' or '.join(_BUILDS)}, which build some, got {self.name}")

    @property
    def needs_gpu(self) -> bool:
        """Whether the networks run on a GPU."""
        return self.name != "cpu"

    @property
    def on_cpu(self) -> RuntimeSpec:
        """The same numbers, within their bound, where there is no GPU."""
        return RuntimeSpec(half=self.half)

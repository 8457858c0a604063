"""An ensemble of torch modules: for networks that are still being made, without a way through ONNX.

Nothing is read from files here: how weights come into a module is its owner's business (`torch.load` with
`weights_only=True`, or safetensors; a pickle is a program).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fleetsift.engines.graphs.fuse import EMBEDDING
from fleetsift.engines.graphs.half import scores_id
from fleetsift.engines.graphs.reduction import (
    ARGMAX_MAP,
    ENTROPY_MAP,
    ENTROPY_MAPS,
    INFORMATION_MAP,
    INFORMATION_MAPS,
    MEMBER_ENTROPIES,
)
from fleetsift.engines.modules.reduction import Reduced, answers_of, class_entropy, reduce_members
from fleetsift.engines.runtimes.batched import BatchedEngine, Program
from fleetsift.errors import ConfigError, EnsembleError
from fleetsift.schemas.ensemble import EnsembleSpec, InputSpec, MemberSpec, RegionSpec
from fleetsift.schemas.scores import F32, QUANTITIES


@dataclass(frozen=True, slots=True)
class TorchEnsemble:
    """Modules that answer the same question about a frame.

    Each takes images (N, 3, H, W) float32, prepared as `input` says, and gives logits (N, C, h, w), or a pair of them
    and an embedding (N, D); the first module's embedding is kept.
    """

    name: str
    classes: tuple[str, ...]
    modules: tuple[nn.Module, ...]
    input: InputSpec
    regions: RegionSpec = field(default_factory=RegionSpec)
    top_share: float = 0.01


def open_torch_engine(
    ensemble: TorchEnsemble, *, device: str = "cpu", batch: int = 8, half: bool = False
) -> BatchedEngine:
    """Open modules on a device; the engine has copies of them, in evaluation mode.

    half: networks in float16 (`autocast`), the reduction in float32, on the device in any case: by a Triton kernel
    where there is one, else in plain torch. Raises ConfigError where the device is not there, EnsembleError where the
    modules' answers do not fit together.
    """
    try:
        where = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"torch device: expected one that is here, got {device}; choose cpu or cuda") from error
    spec = _spec(ensemble)
    modules = [
        copy.deepcopy(module).eval().requires_grad_(requires_grad=False).to(where) for module in ensemble.modules
    ]
    networks = _Networks(spec, modules, _normalisation(spec.input, where), where, half)
    return BatchedEngine(
        scores_id(spec.ensemble_id, half=half),
        spec,
        batch,
        networks.program(_chosen_reduction(where), lambda reduced: answers_of(reduced, spec.regions, spec.top_share)),
        lambda: networks.program(reduce_members, _maps_of),
    )


@dataclass(frozen=True, slots=True)
class _Networks:
    """Modules on a device."""

    spec: EnsembleSpec
    modules: list[nn.Module]
    normalisation: tuple[Tensor, Tensor]  # divisor and shift, (1, 3, 1, 1)
    device: torch.device
    half: bool

    def program(
        self, reduce: Callable[[Iterator[Tensor]], Reduced], answer: Callable[[Reduced], dict[str, Tensor]]
    ) -> Program:
        """From frames to answers on the host."""

        def run(frames: NDArray[np.uint8]) -> dict[str, F32]:
            embeddings: list[Tensor] = []
            exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            with torch.inference_mode(), exact:
                images = self._prepare(torch.from_numpy(frames).to(self.device))
                answers = answer(reduce(self._logits(images, embeddings)))
                if embeddings:
                    answers[EMBEDDING] = embeddings[0].float()
                return {name: values.cpu().numpy() for name, values in answers.items()}

        return run

    def _prepare(self, frames: Tensor) -> Tensor:
        """Bytes (N, H, W, 3) to images (N, 3, H, W): pixel / (scale * std) - mean / std."""
        planes = frames.permute(0, 3, 1, 2).float()
        if self.spec.input.channels == "bgr":
            planes = planes.flip(1)
        divisor, shift = self.normalisation
        return planes / divisor - shift

    def _logits(self, images: Tensor, embeddings: list[Tensor]) -> Iterator[Tensor]:
        """Each member's answer in turn."""
        size: tuple[int, ...] = ()
        for m, module in enumerate(self.modules):
            with torch.autocast(self.device.type, torch.float16, enabled=self.half):
                answer: Any = module(images)
            logits, embedding = answer if isinstance(answer, tuple) else (answer, None)
            size = size or tuple(logits.shape[2:])
            self._check(m, tuple(logits.shape), (len(images), len(self.spec.classes), *size))
            if m == self.spec.embedding_member and embedding is not None:
                embeddings.append(embedding)
            yield logits.float()

    def _check(self, m: int, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        regions = self.spec.regions
        if shape != wanted or len(shape) != 4:
            raise EnsembleError(
                f"{self.spec.name} modules[{m}]: expected logits of {wanted}, got {shape}; members are averaged "
                "position by position and need one size"
            )
        if shape[2] < regions.rows or shape[3] < regions.columns:
            raise EnsembleError(
                f"{self.spec.name} regions: expected at most {shape[2]} rows and {shape[3]} columns, as many as there "
                f"are positions, got {regions.rows} and {regions.columns}; make the grid coarser"
            )


def _chosen_reduction(device: torch.device) -> Callable[[Iterator[Tensor]], Reduced]:
    """The Triton kernel where it can run, else plain torch."""
    if device.type != "cuda":
        return reduce_members
    try:
        from fleetsift.engines.modules.triton_reduction import reduce_stacked  # noqa: PLC0415 - torch may be without Triton
    except ImportError:
        return reduce_members
    return lambda members: reduce_stacked(torch.stack(list(members)))


def _maps_of(reduced: Reduced) -> dict[str, Tensor]:
    return {
        ENTROPY_MAP: reduced.maps[:, [QUANTITIES.index("entropy")]],
        INFORMATION_MAP: reduced.maps[:, [QUANTITIES.index("mutual_information")]],
        ENTROPY_MAPS: class_entropy(reduced.p),
        INFORMATION_MAPS: reduced.class_information,
        ARGMAX_MAP: reduced.argmax[:, None],
        MEMBER_ENTROPIES: reduced.member_entropies.float(),
    }


def _normalisation(kind: InputSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    std, mean = (np.array(values).reshape(1, 3, 1, 1) for values in (kind.std, kind.mean))
    divisor, shift = kind.scale * std, mean / std
    return tuple(torch.from_numpy(values.astype(np.float32)).to(device) for values in (divisor, shift))  # type: ignore[return-value]


def _spec(ensemble: TorchEnsemble) -> EnsembleSpec:
    """What an ensemble file would say; a module's hash stands where a file's would."""
    return EnsembleSpec(
        name=ensemble.name,
        classes=ensemble.classes,
        members=tuple(
            MemberSpec(file=f"{type(module).__name__}", sha256=module_sha256(module)) for module in ensemble.modules
        ),
        input=ensemble.input,
        regions=ensemble.regions,
        top_share=ensemble.top_share,
    )


def module_sha256(module: nn.Module) -> str:
    """Hash what a module computes by: its layers, as they print themselves, and its weights and buffers by name."""
    digest = hashlib.sha256(repr(module).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()

"""An ensemble of torch modules: for networks that are still being made, without a way through ONNX.

Nothing is read from files here: how weights come into a module is its owner's business (`torch.load` with
`weights_only=True`, or safetensors; a pickle is a program).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
import numpy as np
import torch
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray
from torch import Tensor, nn

from fleetsift.engines.graphs.fuse import EMBEDDING
from fleetsift.engines.graphs.half import scores_id
from fleetsift.engines.graphs.reduction import (
    ARGMAX_MAP,
    ENTROPY_MAP,
    ENTROPY_MAPS,
    EQUAL,
    INFORMATION_MAP,
    INFORMATION_MAPS,
    MEMBER_ENTROPIES,
)
from fleetsift.engines.modules.dropout import drops, masked
from fleetsift.engines.modules.reduced import Reduced, answers_of, distances_of
from fleetsift.engines.modules.reduction import reduce_members
from fleetsift.engines.runtimes.batched import BatchedEngine, Program
from fleetsift.errors import ConfigError, EnsembleError
from fleetsift.schemas.ensemble import EnsembleSpec, InputSpec, MemberSpec, RegionSpec, View
from fleetsift.schemas.scores import F32, Task


@dataclass(frozen=True, slots=True)
class TorchEnsemble:
    """Modules that answer the same question about a frame, in the words of an ensemble file.

    Each takes images (N, 3, H, W) float32, prepared as `input` says, and gives logits (N, C, h, w), in `classification`
    (N, C), or a pair of them and an embedding (N, D); the first module's embedding is kept. Whatever else a network
    takes or gives (a size of its own, probabilities, objectness) its `forward` makes of these and into these.
    """

    name: str
    classes: tuple[str, ...]
    modules: tuple[nn.Module, ...]
    input: InputSpec
    task: Task = "semantic_segmentation"
    views: tuple[View, ...] | UnsetType = UNSET
    passes: int | UnsetType = UNSET  # of every module, with its dropout layers kept: each with masks of its own
    seed: int | UnsetType = UNSET  # of the masks
    regions: RegionSpec = field(default_factory=RegionSpec)
    top_share: float = 0.01


_Reduce: TypeAlias = Callable[[Iterable[Tensor]], Reduced]


def open_torch_engine(
    ensemble: TorchEnsemble, *, device: str = "cpu", batch: int = 8, half: bool = False
) -> BatchedEngine:
    """Open modules on a device; the engine has copies of them, in evaluation mode.

    half: networks in float16 (`autocast`), the reduction in float32, on the device in any case: by a Triton kernel
    where there is one, else in plain torch. Raises ConfigError where the device is not there or the ensemble cannot be
    meant, EnsembleError where the modules' answers do not fit together.
    """
    try:
        where = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"torch device: expected one that is here, got {device}; choose cpu or cuda") from error
    spec = _spec(ensemble)
    modules = [
        copy.deepcopy(module).eval().requires_grad_(requires_grad=False).to(where) for module in ensemble.modules
    ]
    networks = _Networks(spec, _passes(spec, modules), _normalisation(spec.input, where), where, half)
    return BatchedEngine(
        scores_id(spec.ensemble_id, half=half),
        spec,
        batch,
        networks.program(_chosen_reduction(spec.task, where), lambda r: answers_of(r, spec.grid, spec.top_share)),
        lambda: networks.program(lambda members: reduce_members(members, spec.task), _maps_of),
    )


@dataclass(frozen=True, slots=True)
class _Networks:
    """Modules on a device."""

    spec: EnsembleSpec
    modules: Mapping[tuple[int, int], nn.Module]  # by member and pass
    normalisation: tuple[Tensor, Tensor]  # divisor and shift, (1, 3, 1, 1)
    device: torch.device
    half: bool

    def program(self, reduce: _Reduce, answer: Callable[[Reduced], dict[str, Tensor]]) -> Program:
        """From frames to answers on the host."""

        def run(frames: NDArray[np.uint8]) -> dict[str, F32]:
            embeddings: list[Tensor] = []
            distances: list[Tensor] = []
            exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            with torch.inference_mode(), exact:
                logits = self._logits(self._prepare(torch.from_numpy(frames).to(self.device)), embeddings)
                if self.spec.compares_views:
                    logits = _compared(logits, reduce, distances)
                answers = answer(reduce(logits))
                if distances:
                    answers[EQUAL] = torch.stack(distances).mean(0).float()
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
        """Each of `spec.answers` in turn, (N, C, h, w), un-flipped; a classified frame is one position."""
        size: tuple[int, ...] = ()
        for asked in self.spec.answers:
            is_mirrored = asked.view == "hflip"
            with torch.autocast(self.device.type, torch.float16, enabled=self.half):
                answer: Any = self.modules[asked.member, asked.dropout_pass](images.flip(3) if is_mirrored else images)
            logits, embedding = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
            self._check(asked.member, logits, len(images), size)
            size = tuple(logits.shape[2:])
            if asked.is_plain and asked.member == self.spec.embedding_member and embedding is not None:
                embeddings.append(embedding)
            logits = logits.float().reshape(*logits.shape[:2], *(size or (1, 1)))
            yield logits.flip(3) if is_mirrored else logits

    def _check(self, m: int, logits: Any, n: int, size: tuple[int, ...]) -> None:
        """Hold a module's logits against the ensemble; size: of those before, (h, w), where there are some."""
        spec, shape = self.spec, tuple(getattr(logits, "shape", ()))
        axes: tuple[int | str, ...] = () if spec.grid is None else size or ("h", "w")
        wanted = (n, len(spec.classes), *axes)
        if len(shape) != len(wanted) or any(
            have != want for have, want in zip(shape, wanted, strict=True) if want not in {"h", "w"}
        ):
            got = f"({', '.join(map(str, shape))})" if shape else type(logits).__name__
            raise EnsembleError(
                f"{spec.name} modules[{m}]: expected logits ({', '.join(map(str, wanted))}), a class a channel, got "
                f"{got}; wrap it in a module that gives them, for boxes export it to ONNX"
            )
        if spec.grid and (shape[2] < spec.grid.rows or shape[3] < spec.grid.columns):
            raise EnsembleError(
                f"{spec.name} regions: expected at most {shape[2]} rows and {shape[3]} columns, as many as there "
                f"are positions, got {spec.grid.rows} and {spec.grid.columns}; make the grid coarser"
            )


def _passes(spec: EnsembleSpec, modules: list[nn.Module]) -> dict[tuple[int, int], nn.Module]:
    """The module of each member and pass; passes of one member share its weights."""
    found: dict[tuple[int, int], nn.Module] = {}
    for m, (module, member) in enumerate(zip(modules, spec.members, strict=True)):
        if member.passes is UNSET:
            found[m, 0] = module
            continue
        if not drops(module):
            raise EnsembleError(
                f"{spec.name} modules[{m}] passes: expected layers that drop (torch.nn.Dropout), got none; make what "
                "`forward` drops by itself a layer"
            )
        seed = 0 if spec.seed is UNSET else spec.seed
        found |= {(m, dropout_pass): masked(module, (seed, m, dropout_pass)) for dropout_pass in range(member.passes)}
    return found


def _compared(logits: Iterator[Tensor], reduce: _Reduce, distances: list[Tensor]) -> Iterator[Tensor]:
    """The same logits; every view and the mirror image's behind it are compared on their way."""
    for view in logits:
        mirrored = next(logits)
        distances.append(distances_of(reduce((view, mirrored))))
        yield from (view, mirrored)


def _chosen_reduction(task: Task, device: torch.device) -> _Reduce:
    """The Triton kernel where it can run, else plain torch."""
    if device.type == "cuda":
        try:
            from fleetsift.engines.modules.triton_reduction import reduce_stacked  # noqa: PLC0415 - torch may lack Triton
        except ImportError:
            pass
        else:
            return lambda members: reduce_stacked(torch.stack(list(members)), task)
    return lambda members: reduce_members(members, task)


def _maps_of(reduced: Reduced) -> dict[str, Tensor]:
    return {
        ENTROPY_MAP: reduced.map_of("entropy")[:, None],
        INFORMATION_MAP: reduced.map_of("mutual_information")[:, None],
        ENTROPY_MAPS: reduced.class_entropy,
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
    try:
        spec = EnsembleSpec(
            name=ensemble.name,
            task=ensemble.task,
            classes=ensemble.classes,
            members=tuple(
                MemberSpec(file=type(module).__name__, sha256=module_sha256(module), passes=ensemble.passes)
                for module in ensemble.modules
            ),
            input=ensemble.input,
            regions=ensemble.regions,
            views=ensemble.views,
            seed=ensemble.seed,
            top_share=ensemble.top_share,
        )
        return msgspec.convert(msgspec.to_builtins(spec), EnsembleSpec)  # checks what a constructor does not
    except ValueError as error:
        raise ConfigError(f"{ensemble.name}: {error}; mend the TorchEnsemble") from error


def module_sha256(module: nn.Module) -> str:
    """Hash what a module computes by: its layers, as they print themselves, and its weights and buffers by name."""
    digest = hashlib.sha256(repr(module).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()

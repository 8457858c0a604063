"""Sessions on ONNX Runtime, whatever they run on, where its exceptions become ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx

from fleetsift.errors import ConfigError, EnsembleError, MissingExtra
from fleetsift.schemas.scores import F32


@dataclass(frozen=True, slots=True)
class Provider:
    """One of ONNX Runtime's ways to run a graph."""

    name: str
    device: str = "cpu"  # where its tensors lie, in ONNX Runtime's words
    device_id: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    leaves_to: Provider | None = None  # who runs the nodes that it does not; the CPU needs no mention


CPU = Provider("CPUExecutionProvider")


def open_session(graph: onnx.ModelProto, source: str, provider: Provider = CPU, *, shares_memory: bool = False) -> Any:
    """Load a graph; one thread runs it.

    source: the file that an error names. shares_memory: with all other sessions that do, on the CPU. Raises
    MissingExtra where ONNX Runtime, or its build with the provider, is not installed; ConfigError where the provider
    cannot start here; EnsembleError where the graph cannot be loaded.
    """
    onnxruntime = _import(provider)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception
    options.use_deterministic_compute = True
    if shares_memory:
        _share_memory(onnxruntime)
        options.add_session_config_entry("session.use_env_allocators", "1")
    asked = [provider] if provider.leaves_to is None else [provider, provider.leaves_to]
    with errors_as(f"{source}: expected networks that ONNX Runtime can load"):
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(deterministic=True), options, providers=[(p.name, dict(p.options)) for p in asked]
        )
    if provider.name not in session.get_providers():  # it falls back on the CPU without a word
        raise ConfigError(
            f"{provider.name}: expected a device and its libraries, got neither from ONNX Runtime; check `nvidia-smi`"
        )
    return session


def allocate(provider: Provider, shape: Sequence[int], dtype: type[np.generic]) -> Any:
    """Zeros on a provider's device, as an `OrtValue`."""
    from onnxruntime import OrtValue  # noqa: PLC0415 - asked for where there is a session already

    value = OrtValue.ortvalue_from_shape_and_type(list(shape), dtype, provider.device, provider.device_id)
    value.update_inplace(np.zeros(shape, dtype))
    return value


class BoundSession:
    """A session whose inputs and outputs stay on the device, always at the same places."""

    def __init__(self, session: Any, provider: Provider, inputs: Mapping[str, Any]) -> None:
        """Bind the inputs (`OrtValue`s), and run once to know the sizes of the answers: what ONNX Runtime says
        then is the caller's to explain."""
        self._session = session
        self._binding = session.io_binding()
        for name, value in inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        names = [output.name for output in session.get_outputs()]
        for name in names:
            self._binding.bind_output(name, provider.device, provider.device_id)
        session.run_with_iobinding(self._binding)
        self.answers = {
            name: allocate(provider, answer.shape(), np.float32)
            for name, answer in zip(names, self._binding.get_outputs(), strict=True)
        }
        for name, answer in self.answers.items():
            self._binding.bind_ortvalue_output(name, answer)

    def run(self) -> None:
        """From what stands in the inputs to `answers`."""
        with errors_as("the ensemble's graph: expected it to run"):
            self._session.run_with_iobinding(self._binding)

    def read(self) -> dict[str, F32]:
        """The answers, copied to the host."""
        return {name: answer.numpy().copy() for name, answer in self.answers.items()}


@contextmanager
def errors_as(expectation: str) -> Iterator[None]:
    """ONNX Runtime's exceptions have no common ancestor of their own: any becomes an EnsembleError."""
    try:
        yield
    except Exception as error:
        raise EnsembleError(f"{expectation}, got {' '.join(str(error).split())}") from error


@cache
def _share_memory(onnxruntime: Any) -> None:
    """Give this process one pool of memory for sessions that run in turn; it stays as long as the process."""
    kind = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    with errors_as("ONNX Runtime: expected no pool of memory in this process but ours"):
        onnxruntime.create_and_register_allocator(kind, onnxruntime.OrtArenaCfg(0, -1, -1, -1))


def _import(provider: Provider) -> Any:
    feature, package, extra = ("engine onnx", "onnxruntime", "cpu")
    if provider.device != "cpu":
        feature, package, extra = (provider.name, "onnxruntime-gpu", "gpu")
    try:
        import onnxruntime  # noqa: PLC0415 - an extra: only who scores needs it
    except ImportError as error:
        raise MissingExtra(feature, package, extra) from error
    if provider.name not in onnxruntime.get_available_providers():
        raise MissingExtra(feature, package, extra)
    return onnxruntime

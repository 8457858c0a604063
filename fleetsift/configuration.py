"""The configuration file on disk: read with its paths made absolute, and the commented example to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import msgspec

from fleetsift.errors import ConfigError
from fleetsift.objects import check_url, is_url
from fleetsift.schemas.fleet import FleetSpec, WorkersSpec, resolve_kafka
from fleetsift.schemas.reading import parse_yaml
from fleetsift.schemas.selection import resolve_files

T = TypeVar("T", bound=msgspec.Struct)


def read_spec(path: Path, kind: type[T]) -> T:
    """Read one specification; raises ConfigError in one line that names the file and the field."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read, {error.strerror}; `fleetsift init` writes one to start from"
        ) from error
    return parse_yaml(text, kind, str(path))


def read_fleet(path: Path) -> FleetSpec:
    """Read the configuration file; its relative paths are meant from the folder it lies in.

    Raises ConfigError also for an address with credentials in it, or of a place that is none.
    """
    spec = read_spec(path, FleetSpec)
    folder = path.resolve().parent

    def place(name: str, owner: str) -> str:
        return check_url(name, f"{path}: {owner}") if is_url(name) else str(folder / name)

    return msgspec.structs.replace(
        spec,
        kafka_section=resolve_kafka(spec.kafka_section, folder),
        manifest=spec.manifest
        and msgspec.structs.replace(spec.manifest, path=place(spec.manifest.path, "manifest.path")),
        frames=msgspec.structs.replace(
            spec.frames, roots=tuple(place(root, "frames.roots") for root in spec.frames.roots)
        ),
        ensemble=str(folder / spec.ensemble),
        workers=_resolve_plans(spec.workers, folder),
        store=msgspec.structs.replace(spec.store, path=place(spec.store.path, "store.path")),
        selection=resolve_files(spec.selection, folder),
    )


def _resolve_plans(workers: WorkersSpec, folder: Path) -> WorkersSpec:
    runtime = workers.runtime
    plans = str(folder / runtime.plans) if runtime.plans else None
    return msgspec.structs.replace(workers, runtime=msgspec.structs.replace(runtime, plans=plans))


def example_fleet() -> str:
    """The commented example that `fleetsift init` writes."""
    return (files("fleetsift") / "fleet.example.yaml").read_text(encoding="utf-8")

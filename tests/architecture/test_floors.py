"""The house keeps its shape: rooms, sizes, packaging. The floors themselves are import-linter's contracts."""

import ast
import importlib
from pathlib import Path

import pytest

from flockpy.telemetry.metrics import Metrics
from tests.architecture.project import PRODUCT, ROOT, files, imports, product_modules, python_files, tree

LINES = 400

LIBRARY_ROOMS = {
    # A library that may be imported in these rooms only: everything else is kept free of it.
    "sqlmodel": ("controlplane.store",),
    "sqlalchemy": ("controlplane.store",),
    "alembic": ("controlplane.store",),
    "litestar": ("controlplane",),
    "prometheus_client": ("flockpy.telemetry",),
    "xllamacpp": ("flockpy.engines",),
    "httptools": ("flockpy.http", "flockpy.engines.fake", "controlplane.gateway"),
    "uvicorn": ("controlplane.gateway",),
    "typer": ("flockpy.cli",),
    "tomlkit": ("flockpy.clients",),
    "ruamel": ("flockpy.clients",),
    "google": ("controlplane.egress",),
}


def inside(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


@pytest.mark.parametrize("library", sorted(LIBRARY_ROOMS))
def test_a_library_stays_in_its_room(library: str) -> None:
    rooms = LIBRARY_ROOMS[library]
    wrong = [
        module
        for module, path in product_modules().items()
        if any(inside(name, library) for name in imports(path))
        and not any(inside(module, room) for room in rooms)
    ]
    assert not wrong, f"{library} belongs into {rooms}"


def test_no_python_file_is_longer_than_it_can_be_read() -> None:
    long = {str(path): n for path in python_files() if (n := (ROOT / path).read_bytes().count(b"\n")) > LINES}
    assert not long, f"over {LINES} lines, split by meaning: {long}"


def test_the_floor_package_imports_nothing() -> None:
    nodes = ast.walk(tree(Path("flockpy/__init__.py")))
    assert not [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def test_the_three_packages_lie_side_by_side() -> None:
    parents = {Path(str(importlib.import_module(name).__file__)).resolve().parent.parent for name in PRODUCT}
    assert len(parents) == 1


def test_each_package_ships_its_types() -> None:
    assert {Path(name, "py.typed") for name in PRODUCT} <= set(files())


def test_each_package_with_code_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in python_files(*PRODUCT)
        if (ROOT / path).read_bytes().strip()
        and path.name != "__init__.py"
        and not ast.get_docstring(tree(path))
    ]
    assert not silent, f"no module docstring: {silent}"


def test_nothing_sleeps_on_the_wall_clock() -> None:
    wrong: list[str] = []
    for path in python_files():
        for node in ast.walk(tree(path)):
            match node:
                case ast.Attribute(value=ast.Name(id="time"), attr="sleep"):
                    wrong.append(f"{path}:{node.lineno}")
                case ast.ImportFrom(module="time") if any(alias.name == "sleep" for alias in node.names):
                    wrong.append(f"{path}:{node.lineno}")
                case _:
                    pass
    assert not wrong, f"wait on a state with a deadline instead: {wrong}"


def test_every_metric_is_named_in_one_file() -> None:
    """A metric that is made elsewhere in product code would be a second source of truth."""
    home = Path("flockpy/telemetry/metrics.py")
    kinds = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    wrong: list[str] = []
    for path in python_files(*PRODUCT):
        if path == home:
            continue
        for node in ast.walk(tree(path)):
            match node:
                case ast.ImportFrom(module=str(source)) if source.startswith("prometheus_client"):
                    wrong += [f"{path}:{node.lineno}" for alias in node.names if alias.name in kinds]
                case ast.Attribute(value=ast.Name(id="prometheus_client"), attr=name) if name in kinds:
                    wrong.append(f"{path}:{node.lineno}")
                case _:
                    pass
    assert not wrong, f"define it in {home}: {wrong}"


def test_no_metric_is_spoken_of_by_a_string_elsewhere() -> None:
    home = Path("flockpy/telemetry/metrics.py")
    exported = {metric.name for metric in Metrics("0").registry.collect()}
    named = {name for name in exported if name.startswith("flockpy_")}
    assert named
    wrong = [
        f"{path}:{node.lineno} {node.value}"
        for path in python_files(*PRODUCT)
        if path != home
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and any(name in node.value for name in named)
    ]
    assert not wrong, f"use the object in {home}: {wrong}"

"""The wheel holds everything the program needs outside its checkout."""

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.architecture.project import PRODUCT, ROOT, files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    built = next(
        WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    )
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_three_packages(wheel: set[str]) -> None:
    assert {path.as_posix() for path in files() if path.parts[0] in PRODUCT} <= wheel


def test_the_wheel_holds_the_catalog_inside_the_floor_package(wheel: set[str]) -> None:
    catalog = [path for path in files() if path.parts[0] == "catalog"]
    assert {Path("flockpy/_catalog", *path.parts[1:]).as_posix() for path in catalog} <= wheel


def test_the_wheel_holds_nothing_else(wheel: set[str]) -> None:
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == set(PRODUCT)

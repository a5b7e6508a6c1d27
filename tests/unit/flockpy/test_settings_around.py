"""What the configuration names has to be there, and a variable that means nothing is told of."""

from pathlib import Path

import pytest

from flockpy.errors import StartError
from flockpy.settings import load, see_directories, unknown_variables


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        ("catalog_dir: {root}/gone", "1: `catalog_dir`"),
        ("catalog_dir: {root}:{root}/gone", "1: `catalog_dir`"),
        ("storage:\n  models_dir: gone", "2: `storage.models_dir`"),
    ],
)
def test_a_folder_that_is_not_there_is_named_with_file_key_and_line(tmp_path: Path, lines: str, where: str):
    file = tmp_path / ".flock" / "config.yaml"
    file.parent.mkdir()
    file.write_text(lines.format(root=tmp_path))
    settings = load({"HOME": str(tmp_path)})
    with pytest.raises(StartError, match=r"there is no folder .*gone") as told:
        see_directories(settings)
    assert f"{file}:{where}" in told.value.message
    assert (told.value.hint or "").startswith("mkdir -p ")


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="FLOCK_CATALOG_DIR: `catalog_dir`: there is no folder"):
        see_directories(load({"HOME": str(tmp_path), "FLOCK_CATALOG_DIR": str(tmp_path / "file")}))


def test_folders_that_are_there_and_those_that_are_not_named_are_right(tmp_path: Path):
    see_directories(load({"HOME": str(tmp_path)}))
    see_directories(load({"HOME": str(tmp_path), "FLOCK_CATALOG_DIR": str(tmp_path)}))


def test_a_variable_that_means_nothing_is_told_of_with_what_may_be_meant():
    environ = {"FLOCK_LISTN": "1", "FLOCK_TOKEN": "2", "FLOCK_LISTEN": "3", "FLOCK_SHED": "red", "HOME": "/"}
    assert unknown_variables(environ) == (
        "FLOCK_LISTN means nothing to flockpy; did you mean FLOCK_LISTEN?",
        "FLOCK_SHED means nothing to flockpy",
    )

"""Every client is pinned to one version, with all that it needs, and no file says where packages come from."""

import json
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NPM = sorted(path.parent.name for path in HERE.glob("npm/*/package.json"))
PYTHON = sorted(path.name for path in HERE.glob("python/*.txt"))
EXACT = re.compile(r"\d+\.\d+\.\d+")


@pytest.mark.parametrize("name", NPM)
def test_a_client_from_npm_is_pinned_by_hash_and_names_no_place(name: str) -> None:
    wanted = json.loads((HERE / "npm" / name / "package.json").read_text())["dependencies"]
    assert [version for version in wanted.values() if not EXACT.fullmatch(version)] == []
    locked = json.loads((HERE / "npm" / name / "package-lock.json").read_text())["packages"]
    assert {f"node_modules/{it}": version for it, version in wanted.items()}.items() <= {
        it: package.get("version") for it, package in locked.items()
    }.items()
    packages = [package for it, package in locked.items() if it and not package.get("inBundle")]
    assert [package for package in packages if "integrity" not in package or "resolved" in package] == []


@pytest.mark.parametrize("name", PYTHON)
def test_a_client_for_python_is_pinned_with_all_it_needs(name: str) -> None:
    lines = (HERE / "python" / name).read_text().splitlines()
    assert [line for line in lines if not re.match(r"[\w.-]+==[\w.]+( ; .*)?$", line)] == []


def test_there_are_clients() -> None:
    assert {"claude-code", "codex", "opencode"} <= set(NPM)
    assert {"sdk-current.txt", "aider.txt"} <= set(PYTHON)

"""What may stand in the project's files: no registry, no machine path, no secret, no dead reference."""

import re
from pathlib import Path

import pytest

from tests.architecture.project import ROOT, files, texts

# Written with a character class in the middle, so that this file does not find itself.
REGISTRIES = re.compile(
    r"pyp[i]\.org|pythonhoste[d]\.org|registry\.npmj[s]|registry\.yarnpk[g]|deb\.debia[n]\.org|archive\.ubunt[u]\.com"
)
MACHINE_PATHS = re.compile(
    r"(?<![\w.~/$-])/(?:wor[k]|far[m]|roo[t]|hom[e]/\w|User[s]/\w|tm[p]/(?:prot[o]|floc[k]|bas[h]))\b"
)
SECRETS = re.compile(
    r"sk-or[c]-[A-Za-z0-9_-]{40,}"
    r"|sk-an[t]-[A-Za-z0-9_-]{20,}"
    r"|sk-(?:proj-)?[A-Za-z0-9]{32,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}|hf_[A-Za-z]{30,}|AKIA[0-9A-Z]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KE[Y]-----"
)


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a package registry's host", REGISTRIES),
        ("a path of one machine", MACHINE_PATHS),
        ("something that looks like a secret", SECRETS),
    ],
)
def test_no_file_contains(what: str, pattern: re.Pattern[str]) -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()[:40]}"
        for path, text in texts()
        for match in pattern.finditer(text)
    ]
    assert not found, f"{what}: {found}"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_and_hashed_and_name_no_place(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|^-|@ ", text, re.MULTILINE), (
        "only names, versions and hashes; run scripts/lock"
    )
    blocks = re.split(r"\n(?=\S)", text.strip())
    loose = [block for block in blocks if not re.match(r"[\w.-]+==[\w.]+ .*\\\n    --hash=sha256:", block)]
    assert not loose


READMES = sorted(path for path in files() if path.suffix == ".md")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
CODE_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|sh|toml|yaml|yml|txt|c|h|conf|json)))`")
PYTHON_PATH = re.compile(r"(?<![\w/.:-])((?:[\w-]+/)*[\w-]+\.py)\b")
RUNTIME = re.compile(
    r"config\.yaml|admin\.key|state\.db|\.venv/?|.*\.gguf|settings\.json|models/|journal/|logs/|run/"
)


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_files_that_a_readme_names_exist(readme: Path) -> None:
    """Links are relative to the text; others are relative to the text or to the root."""
    text = (ROOT / readme).read_text()
    here = (ROOT / readme).parent
    dead = [name for name in LINK.findall(text) if not (here / name).exists()]
    dead += [
        name
        for name in [*CODE_PATH.findall(text), *PYTHON_PATH.findall(text)]
        if not RUNTIME.fullmatch(name) and not (here / name).exists() and not (ROOT / name).exists()
    ]
    assert not dead

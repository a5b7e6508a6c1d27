"""What the architecture tests look at: the files of this checkout and their syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("flockpy", "agent", "controlplane")


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, relative to the root: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return tuple(path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).is_file())


def python_files(*rooms: str) -> list[Path]:
    """The Python files, of the given top folders only when some are given."""
    return [path for path in files() if path.suffix == ".py" and (not rooms or path.parts[0] in rooms)]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """``controlplane/routing/table.py`` -> ``controlplane.routing.table``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def product_modules() -> dict[str, Path]:
    return {module_name(path): path for path in python_files(*PRODUCT)}


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, in full; ``from a import b`` counts as ``a.b`` if that is a module."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in product_modules() else base


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file with its content."""
    for path in files():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            yield path, content.decode("utf-8", "replace")

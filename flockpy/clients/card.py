"""What people read: a client's settings as lines for a terminal, and an invitation to paste into a chat. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence

from flockpy.clients.rendered import Rendered


def exports(env: Mapping[str, str]) -> str:
    """Shell lines that set variables."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in env.items())


def sheet(client: Rendered) -> str:
    """How to connect a client: what a shell would run stands as it is, the rest behind a heading with ``#``."""
    return "\n\n".join(part for part in _parts(client) if part)


def undo_sheet(client: Rendered) -> str:
    """How to take a client's settings back by hand."""
    parts: list[str] = []
    if client.env:
        parts.append(f"# {client.name}: in your shell, and out of its profile\nunset {' '.join(client.env)}")
    if client.undo:
        parts.append("\n".join(f"# {step}" for step in client.undo))
    return "\n\n".join(parts) or f"# {client.name} keeps nothing"


def card(name: str, base_url: str, key: str, clients: Sequence[Rendered]) -> str:
    """An invitation in Markdown: the address, the key, and how each client is set up."""
    lines = [
        f"## {name}, you are invited to flockpy",
        "",
        "One address and one key for our language models. The key is yours alone: keep it secret.",
        "",
        f"- Address: `{base_url}` (OpenAI clients: `{base_url}/v1`)",
        f"- Key: `{key}`",
        "",
        "Pick the tool you use:",
    ]
    for client in clients:
        lines += ["", f"### {client.name}", *_markdown(client)]
    return "\n".join(lines) + "\n"


def _parts(client: Rendered) -> Iterator[str]:
    if client.env:
        yield f"# {client.name}: in your shell, or its profile\n{exports(client.env)}"
    for file in client.files:
        yield f"# {client.name}: {file.path}\n{file.content.rstrip()}"
    if client.steps:
        yield "\n".join([f"# {client.name}: by hand", *_numbered(client.steps)])
    for snippet in client.snippets:
        yield f"# {client.name}: {snippet.title or snippet.language}\n{snippet.text}"
    if client.run:
        yield f"# then: {client.run}"


def _markdown(client: Rendered) -> Iterator[str]:
    for warning in client.warnings:
        yield f"> {warning}"
    if client.env:
        yield from _fenced("sh", exports(client.env))
    for file in client.files:
        yield f"`{file.path}`" + ("" if file.own else " (add to what stands there)") + ":"
        yield from _fenced(file.format, file.content)
    yield from _numbered(client.steps)
    for snippet in client.snippets:
        yield from _fenced(snippet.language, snippet.text)


def _fenced(language: str, text: str) -> Iterator[str]:
    yield f"```{language}"
    yield text.rstrip()
    yield "```"


def _numbered(steps: Sequence[str]) -> list[str]:
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]

"""Claude Code, Codex and OpenCode, run headless; what each of them needs for it stands here.

`patience_s` is how long a client lets its server be silent, by the client's own setting; None: as long as it does.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.workplace import CLIENT_S, Done, Workplace
from tests.simulators.strict_engine import CONTEXT

CODEX_CONFIG = """
model_provider = "flock"
[model_providers.flock]
name = "flock"
base_url = "{url}/v1"
env_key = "FLOCK_KEY"
wire_api = "responses"
{patience}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a client finds its model, without ``/v1``."""

    url: str
    key: str
    model: str


def run_claude_code(
    package: Path,
    work: Workplace,
    server: Server,
    task: str,
    *options: str,
    patience_s: int | None = None,
    timeout: float = CLIENT_S,
) -> Done:
    """Its report is one JSON object on stdout."""
    start = package / "node_modules" / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
    may = ("--allowedTools", "Bash,Read,Agent", "--output-format", "json")
    patience = {"API_TIMEOUT_MS": str(patience_s * 1000)} if patience_s else {}
    return work.run(
        ["node", start, "-p", task, *may, *options],
        timeout=timeout,
        ANTHROPIC_BASE_URL=server.url,
        ANTHROPIC_AUTH_TOKEN=server.key,
        ANTHROPIC_MODEL=server.model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_TELEMETRY="1",
        **patience,
    )


def run_codex(
    package: Path,
    work: Workplace,
    server: Server,
    task: str,
    *options: str,
    patience_s: int | None = None,
    timeout: float = CLIENT_S,
) -> Done:
    """Its last words are in last.txt in the home."""
    settings = work.home / ".codex"
    settings.mkdir(exist_ok=True)
    patience = f"stream_idle_timeout_ms = {patience_s * 1000}" if patience_s else ""
    (settings / "config.toml").write_text(CODEX_CONFIG.format(url=server.url, patience=patience))
    start = package / "node_modules" / "@openai" / "codex" / "bin" / "codex.js"
    free = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    last = ("-m", server.model, "-o", str(work.home / "last.txt"))
    argv = ["node", start, "exec", *free, "--json", *last, *options, task]
    return work.run(argv, timeout=timeout, FLOCK_KEY=server.key)


def run_opencode(
    package: Path,
    work: Workplace,
    server: Server,
    task: str,
    wire: str = "@ai-sdk/openai-compatible",
    *,
    untitled: bool = False,
    patience_s: int | None = None,
    timeout: float = 100,
) -> Done:
    """It prints its last words. `wire`: the package it speaks with; `untitled`: without a second request beside the
    first, for a title."""
    able = {"attachment": True, "tool_call": True, "reasoning": True}
    sees = {"modalities": {"input": ["text", "image"], "output": ["text"]}}
    model = {"name": server.model, "limit": {"context": CONTEXT, "output": 32_000}, **able, **sees}
    options: dict[str, Any] = {"baseURL": f"{server.url}/v1", "apiKey": server.key}
    if patience_s:
        options |= dict.fromkeys(("headerTimeout", "chunkTimeout"), patience_s * 1000)
    provider = {"npm": wire, "name": "flock", "options": options, "models": {server.model: model}}
    names = dict.fromkeys(("model", "small_model"), f"flock/{server.model}")
    config = work.home / "opencode.json"
    off = {"share": "disabled", "autoupdate": False, "agent": {"title": {"disable": untitled}}}
    config.write_text(json.dumps({"provider": {"flock": provider}, **names, **off}))
    # Built for each platform; the variant for old processors runs on all of them.
    start = next(package.glob("node_modules/opencode-*-baseline/bin/opencode"), None) or next(
        package.glob("node_modules/opencode-*/bin/opencode")
    )
    still = {f"OPENCODE_DISABLE_{what}": "1" for what in ("MODELS_FETCH", "AUTOUPDATE")}
    return work.run([start, "run", task], timeout=timeout, OPENCODE_CONFIG=str(config), **still)

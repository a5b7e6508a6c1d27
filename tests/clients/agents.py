"""Claude Code and Codex, run headless; what each of them needs for it stands here."""

from dataclasses import dataclass
from pathlib import Path

from tests.clients.workplace import Done, Workplace

CODEX_CONFIG = """
model_provider = "flock"
[model_providers.flock]
name = "flock"
base_url = "{url}/v1"
env_key = "FLOCK_KEY"
wire_api = "responses"
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a client finds its model, without ``/v1``."""

    url: str
    key: str
    model: str


def run_claude_code(package: Path, work: Workplace, server: Server, task: str, *options: str) -> Done:
    """Its report is one JSON object on stdout."""
    start = package / "node_modules" / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
    may = ("--allowedTools", "Bash,Read,Agent", "--output-format", "json")
    return work.run(
        ["node", start, "-p", task, *may, *options],
        ANTHROPIC_BASE_URL=server.url,
        ANTHROPIC_AUTH_TOKEN=server.key,
        ANTHROPIC_MODEL=server.model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_TELEMETRY="1",
    )


def run_codex(package: Path, work: Workplace, server: Server, task: str, *options: str) -> Done:
    """Its last words are in last.txt in the home."""
    settings = work.home / ".codex"
    settings.mkdir(exist_ok=True)
    (settings / "config.toml").write_text(CODEX_CONFIG.format(url=server.url))
    start = package / "node_modules" / "@openai" / "codex" / "bin" / "codex.js"
    free = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    last = ("-m", server.model, "-o", str(work.home / "last.txt"))
    return work.run(["node", start, "exec", *free, "--json", *last, *options, task], FLOCK_KEY=server.key)

"""Every agent with a task that it cannot do without its tools, and what it does when an answer breaks off."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import Server, run_claude_code, run_codex, run_opencode
from tests.clients.chat_agents import READ_FILE, run_aider, run_continue, run_llm, run_qwen_code
from tests.clients.workplace import Done, Workplace

READ = "Please do flock-task:read:secret.txt"
Run = Callable[[Path, Workplace, Server], Done]


@dataclass(frozen=True, slots=True)
class Agent:
    """`calls`: it has tools. `repeats`: it asks again when an answer breaks off; else it only shows what happened."""

    package: str
    run: Run
    npm: bool = True
    calls: bool = True
    repeats: bool = True


AGENTS = {
    "claude-code": Agent("claude-code", lambda p, w, s: run_claude_code(p, w, s, READ)),
    "codex": Agent("codex", lambda p, w, s: run_codex(p, w, s, READ)),
    "opencode": Agent("opencode", lambda p, w, s: run_opencode(p, w, s, READ, untitled=True)),
    "opencode-responses": Agent(
        "opencode", lambda p, w, s: run_opencode(p, w, s, READ, "@ai-sdk/openai", untitled=True)
    ),
    "opencode-messages": Agent(
        "opencode",
        lambda p, w, s: run_opencode(p, w, s, READ, "@ai-sdk/anthropic", untitled=True),
    ),
    "qwen-code": Agent("qwen-code", lambda p, w, s: run_qwen_code(p, w, s, READ), repeats=False),
    "continue": Agent("continue", lambda p, w, s: run_continue(p, w, s, READ)),
    "continue-messages": Agent("continue", lambda p, w, s: run_continue(p, w, s, READ, "anthropic")),
    "aider": Agent(
        "aider",
        lambda p, w, s: run_aider(p, w, s, "Please do flock-task:edit:out.txt"),
        npm=False,
        calls=False,
    ),
    "llm": Agent(
        "llm", lambda p, w, s: run_llm(p, w, s, READ, "--functions", READ_FILE), npm=False, repeats=False
    ),
}
AGENTS_IN_CI = ("claude-code", "codex")


def marks(name: str) -> list[Any]:
    """What an agent needs to be run at all."""
    needs = [pytest.mark.needs_program("node" if AGENTS[name].npm else "git")]
    return needs if name in AGENTS_IN_CI else [*needs, pytest.mark.every_client]


def last_words(done: Done, work: Workplace) -> str:
    """What is left of a task: on stdout, or in the file that it was to write."""
    left = [work.home / "last.txt", work.folder / "out.txt"]
    return done.out + "".join(file.read_text() for file in left if file.exists())

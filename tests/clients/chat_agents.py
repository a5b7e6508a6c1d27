"""Qwen Code, Continue, Aider and llm, run headless over chat completions; they print their last words.

`patience_s` is how long a client lets its server be silent, by the client's own setting; None: as long as it does.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.clients.agents import Server
from tests.clients.workplace import CLIENT_S, Done, Workplace

CONTINUE = """
name: flock
version: 1.0.0
schema: v1
models:
  - name: {model}
    provider: {provider}
    model: {model}
    apiBase: {url}/v1
    apiKey: {key}
    useResponsesApi: false
    requestOptions: {{{options}}}
    roles: [chat]
    capabilities: [tool_use]
"""
LLM = """
- model_id: {model}
  model_name: {model}
  api_base: {url}/v1
  api_key_name: flock
  supports_tools: true
  supports_schema: true
"""
READ_FILE = 'def read_file(path: str) -> str:\n    "Read a file"\n    return open(path).read()\n'


def run_qwen_code(
    package: Path,
    work: Workplace,
    server: Server,
    task: str,
    *,
    patience_s: int | None = None,
    timeout: float = CLIENT_S,
) -> Done:
    start = package / "node_modules" / "@qwen-code" / "qwen-code" / "cli.js"
    settings = work.home / ".qwen"
    settings.mkdir(exist_ok=True)
    chosen: dict[str, Any] = {"timeout": patience_s * 1000} if patience_s else {}
    (settings / "settings.json").write_text(json.dumps({"model": {"generationConfig": chosen}}))
    environ = {
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "OPENAI_API_KEY": server.key,
        "OPENAI_MODEL": server.model,
        # It ignores NO_PROXY.
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), ""),
    }
    return work.run(["node", start, "--auth-type", "openai", "-y", task], timeout=timeout, **environ)


def run_continue(
    package: Path,
    work: Workplace,
    server: Server,
    task: str,
    provider: str = "openai",
    *,
    patience_s: int | None = None,
    timeout: float = CLIENT_S,
) -> Done:
    start = package / "node_modules" / "@continuedev" / "cli" / "dist" / "cn.js"
    config = work.home / "config.yaml"
    options = f"timeout: {patience_s * 1000}" if patience_s else ""
    told = {"model": server.model, "provider": provider, "url": server.url, "key": server.key}
    config.write_text(CONTINUE.format(**told, options=options))
    argv = ["node", start, "--config", config, "--auto", "-p", task]
    return work.run(argv, timeout=timeout, CONTINUE_TELEMETRY_ENABLED="0")


def run_aider(
    package: Path,
    work: Workplace,
    server: Server,
    task: str,
    *,
    patience_s: int | None = None,
    timeout: float = 120,
) -> Done:
    """It has no tools: the model names a file of its repository, Aider shows it, the model answers with an edit."""
    as_somebody = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    for command in (["init", "-q"], ["add", "secret.txt"], [*as_somebody, "commit", "-qm", "begin"]):
        subprocess.run(["git", *command], cwd=work.folder, check=True)
    quiet = ("yes-always", "no-check-update", "no-show-model-warnings", "no-analytics", "no-gitignore")
    model = ("--model", f"openai/{server.model}", "--edit-format", "whole")
    patience = ("--timeout", str(patience_s)) if patience_s else ()
    argv = [package / "bin" / "aider", *model, *patience, *(f"--{it}" for it in quiet), "--message", task]
    environ = {"OPENAI_API_BASE": f"{server.url}/v1", "OPENAI_API_KEY": server.key}
    return work.run(argv, timeout=timeout, **environ)


def run_llm(
    package: Path, work: Workplace, server: Server, task: str, *options: str, timeout: float = CLIENT_S
) -> Done:
    settings = work.home / "llm"
    settings.mkdir(exist_ok=True)
    (settings / "extra-openai-models.yaml").write_text(LLM.format(model=server.model, url=server.url))
    argv = [package / "bin" / "llm", "prompt", "-m", server.model, "--key", server.key, *options, task]
    return work.run(argv, timeout=timeout, LLM_USER_PATH=str(settings))

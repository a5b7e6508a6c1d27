# pyright: reportMissingImports=false
# What is imported here is installed for this program alone.
"""An agent of LlamaIndex that reads a file:   framework_llamaindex.py URL KEY MODEL CHECK…   prints its last words."""

import asyncio
import json
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai_like import OpenAILike

URL, KEY, MODEL = sys.argv[1:4]
OPENAI: Any = {"api_base": f"{URL}/v1", "api_key": KEY, "context_window": 100_000, "max_retries": 0}
CLAUDE = "claude-sonnet-4-0"
"""Its Anthropic class takes no name that it does not know."""


def read_file(path: str) -> str:
    """Read a file."""
    return Path(path).read_text()


MODELS: dict[str, Any] = {
    "chat": lambda: OpenAILike(model=MODEL, is_chat_model=True, is_function_calling_model=True, **OPENAI),
    "messages": lambda: Anthropic(model=CLAUDE, base_url=URL, api_key=KEY, max_retries=0),
}


async def run(surface: str, stream: bool) -> str:
    agent: Any = FunctionAgent(
        tools=[read_file], llm=MODELS[surface](), system_prompt="Be brief.", streaming=stream
    )
    return str(await agent.run("Please do flock-task:read:secret.txt"))


async def main() -> None:
    said = {"versions": version("llama-index-core")}
    for check in sys.argv[4:]:
        surface, _, way = check.partition("-")
        try:
            said[check] = await run(surface, way == "streamed")
        except Exception:  # noqa: BLE001
            said[check] = "error: " + traceback.format_exc()
    print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main())

# pyright: reportMissingImports=false
# What is imported here is installed for this program alone.
"""An agent of LangChain that reads a file:   framework_langchain.py URL KEY MODEL CHECK…   prints its last words."""

import json
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

URL, KEY, MODEL = sys.argv[1:4]
TASK: Any = {"messages": [{"role": "user", "content": "Please do flock-task:read:secret.txt"}]}
OPENAI: Any = {"base_url": f"{URL}/v1", "api_key": KEY, "max_retries": 0}


@tool
def read_file(path: str) -> str:
    """Read a file."""
    return Path(path).read_text()


MODELS: dict[str, Any] = {
    "chat": lambda: ChatOpenAI(model=MODEL, **OPENAI),
    "responses": lambda: ChatOpenAI(model=MODEL, use_responses_api=True, **OPENAI),
    "messages": lambda: ChatAnthropic(model_name=MODEL, base_url=URL, api_key=KEY, max_retries=0),
}
SCHEMA = {
    "title": "said",
    "description": "What is said",
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}


def main() -> None:
    said = {"versions": version("langchain")}
    for check in sys.argv[4:]:
        surface, _, way = check.partition("-")
        try:
            model = MODELS[surface]()
            agent: Any = create_agent(model, tools=[read_file], system_prompt="Be brief.")
            if way == "streamed":
                *_, last = agent.stream(TASK, stream_mode="values")
            elif way == "structured":
                said[check] = model.with_structured_output(SCHEMA).invoke("hello")["text"]
                continue
            else:
                last = agent.invoke(TASK)
            said[check] = last["messages"][-1].text
        except Exception:  # noqa: BLE001
            said[check] = "error: " + traceback.format_exc()
    print(json.dumps(said))


if __name__ == "__main__":
    main()

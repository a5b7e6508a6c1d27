"""One question through the official SDKs of OpenAI, Anthropic and Ollama, whole or streamed: what each makes of it."""

from collections.abc import Callable
from typing import Any

import anthropic
import ollama
import openai

from tests.cluster.fake import Stage

HI: Any = [{"role": "user", "content": "two words"}]
Call = Callable[..., Any]


def chat(stage: Stage, key: str, model: str, *, stream: bool) -> str:
    with openai.OpenAI(base_url=f"{stage.program.url}/v1", api_key=key) as client:
        if not stream:
            return client.chat.completions.create(model=model, messages=HI).choices[0].message.content or ""
        with client.chat.completions.stream(model=model, messages=HI) as events:
            return events.get_final_completion().choices[0].message.content or ""


def responses(stage: Stage, key: str, model: str, *, stream: bool) -> str:
    with openai.OpenAI(base_url=f"{stage.program.url}/v1", api_key=key) as client:
        if not stream:
            return client.responses.create(model=model, input="two words").output_text
        with client.responses.stream(model=model, input="two words") as events:
            return events.get_final_response().output_text


def messages(stage: Stage, key: str, model: str, *, stream: bool) -> str:
    with anthropic.Anthropic(base_url=stage.program.url, api_key=key) as client:
        if stream:
            with client.messages.stream(model=model, max_tokens=100, messages=HI) as events:
                return events.get_final_text()
        content: Any = client.messages.create(model=model, max_tokens=100, messages=HI).content
        return content[0].text


def of_ollama(stage: Stage, key: str, model: str, *, stream: bool) -> str:
    headers = {"authorization": f"Bearer {key}"}
    with ollama.Client(host=stage.program.url, headers=headers) as client:
        if not stream:
            return client.chat(model=model, messages=HI).message.content or ""
        parts = client.chat(model=model, messages=HI, stream=True)
        return "".join(part.message.content or "" for part in parts)


SDKS: dict[str, tuple[Call, Any]] = {
    "chat": (chat, openai),
    "responses": (responses, openai),
    "messages": (messages, anthropic),
    "ollama": (of_ollama, None),
}
"""What asks, and the package that has its exceptions; Ollama's has but one."""

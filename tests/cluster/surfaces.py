"""The protocols a client may speak: how each asks the same thing, and what it is told, in one form."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.traffic import Answer, Ask

Body = dict[str, Any]
SAID = "two words"
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
_FUNCTION = {"name": "get_weather", "parameters": _PARAMETERS}
_MESSAGES = [{"role": "user", "content": SAID}]


@dataclass
class Told:
    """What an answer says, whole or streamed. `usage`: prompt and completion tokens; `error` is what the client takes
    for the failure's kind, `message` its words; `ended`: the protocol's own mark of a good end is there."""

    text: str = ""
    arguments: list[str] = field(default_factory=list[str])
    usage: tuple[int, int] | None = None
    error: str = ""
    message: str = ""
    ended: bool = False


@dataclass(frozen=True)
class Surface:
    """`limit`: where a request bounds its answer; `tools` offers one tool; `busy`: the status of what may succeed
    later."""

    name: str
    path: str
    prompt: Body
    limit: Callable[[int], Body]
    tools: Body
    whole: Callable[[Body], Told]
    streamed: Callable[[bytes], Told]
    busy: int = 503

    def ask(self, key: str, *, stream: bool, model: str = "fake", most: int = 0, tools: bool = False) -> Ask:
        more = self.limit(most) if most else {}
        offered = self.tools if tools else {}
        return Ask(self.path, key, {"model": model, "stream": stream, **self.prompt, **more, **offered})

    def told(self, answer: Answer) -> Told:
        """Also of an answer that broke off, when it was streamed."""
        if answer.headers.get("content-type", "").startswith("application/json"):
            return self.whole(json.loads(answer.body))
        return self.streamed(answer.body)


def _events(stream: bytes) -> Iterator[Body]:
    """The data of server-sent events, or the lines, that are JSON objects."""
    for line in stream.split(b"\n"):
        data = line.removeprefix(b"data: ")
        if data.startswith(b"{"):
            yield json.loads(data)


def _openai_error(body: Body) -> Told:
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return Told(error=error["code"], message=error["message"])


def _chat(body: Body) -> Told:
    if "error" in body:
        return _openai_error(body)
    message, usage = body["choices"][0]["message"], body.get("usage")
    calls = [call["function"]["arguments"] for call in message.get("tool_calls") or []]
    counts = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
    return Told(message.get("content") or "", calls, counts, ended=True)


def _chat_stream(stream: bytes) -> Told:
    told = Told(ended=stream.endswith(b"data: [DONE]\n\n"))
    for event in _events(stream):
        if "error" in event:
            assert not told.error, "it has failed already"
            told.error, told.message = str(event["error"]["code"]), event["error"]["message"]
            continue
        if event.get("usage"):
            told.usage = event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"]
        for choice in event["choices"]:
            told.text += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or []:
                if call.get("id"):
                    told.arguments.append("")
                told.arguments[call["index"]] += call["function"].get("arguments") or ""
    return told


def _messages_error(body: Body) -> Told:
    assert set(body) >= {"type", "error"}
    assert set(body["error"]) >= {"type", "message"}
    return Told(error=body["error"]["type"], message=body["error"]["message"])


def _messages(body: Body) -> Told:
    if body["type"] == "error":
        return _messages_error(body)
    text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
    calls = [json.dumps(block["input"]) for block in body["content"] if block["type"] == "tool_use"]
    return Told(text, calls, _anthropic_usage(body["usage"]), ended=body["stop_reason"] is not None)


def _anthropic_usage(usage: Body) -> tuple[int, int]:
    cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    return usage["input_tokens"] + cached, usage["output_tokens"]


def _messages_stream(stream: bytes) -> Told:
    told, usage = Told(), Body()
    for event in _events(stream):
        match event["type"]:
            case "message_start":
                usage = event["message"]["usage"]
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                told.arguments.append("")
            case "content_block_delta":
                told.text += event["delta"].get("text", "")
                if "partial_json" in event["delta"]:
                    told.arguments[-1] += event["delta"]["partial_json"]
            case "message_delta":
                told.usage = _anthropic_usage(usage | event["usage"])
            case "message_stop":
                told.ended = True
            case "error":
                failed = _messages_error(event)
                told.error, told.message = failed.error, failed.message
            case _:
                continue
    return told


def _responses(body: Body) -> Told:
    if body.get("object") != "response":
        return _openai_error(body)
    parts = [p for item in body["output"] if item["type"] == "message" for p in item["content"]]
    calls = [item["arguments"] for item in body["output"] if item["type"] == "function_call"]
    told = Told("".join(part["text"] for part in parts), calls, ended=body["status"] == "completed")
    if usage := body["usage"]:
        told.usage = usage["input_tokens"], usage["output_tokens"]
    if failed := body["error"]:
        told.error, told.message = failed["code"], failed["message"]
    return told


def _responses_stream(stream: bytes) -> Told:
    text, calls, last = "", list[str](), Told()
    for event in _events(stream):
        match event["type"]:
            case "response.output_text.delta":
                text += event["delta"]
            case "response.output_item.added" if event["item"]["type"] == "function_call":
                calls.append("")
            case "response.function_call_arguments.delta":
                calls[-1] += event["delta"]
            case "response.completed" | "response.failed" | "response.incomplete":
                last = _responses(event["response"])
            case "error":
                last = Told(error=event["code"], message=event["message"])
            case _:
                continue
    last.text, last.arguments = text, calls
    return last


def _ollama(body: Body) -> Told:
    return _ollama_lines(json.dumps(body).encode())


def _ollama_lines(stream: bytes) -> Told:
    told = Told()
    for line in _events(stream):
        if "error" in line:
            assert isinstance(line["error"], str)
            told.error = told.message = line["error"]
            continue
        message = line.get("message") or {"content": line.get("response", "")}
        told.text += message["content"]
        calls = message.get("tool_calls") or []
        told.arguments += [json.dumps(call["function"]["arguments"]) for call in calls]
        told.ended = told.ended or line["done"]
        if line["done"]:
            told.usage = line["prompt_eval_count"], line["eval_count"]
    return told


_FUNCTIONS = {"tools": [{"type": "function", "function": _FUNCTION}]}
SURFACES = {
    surface.name: surface
    for surface in (
        Surface(
            "chat",
            "/v1/chat/completions",
            {"messages": _MESSAGES, "stream_options": {"include_usage": True}},
            lambda most: {"max_tokens": most},
            _FUNCTIONS,
            _chat,
            _chat_stream,
        ),
        Surface(
            "messages",
            "/v1/messages?beta=true",
            {"messages": _MESSAGES, "max_tokens": 4000},
            lambda most: {"max_tokens": most},
            {"tools": [{"name": "get_weather", "input_schema": _PARAMETERS}]},
            _messages,
            _messages_stream,
            busy=529,
        ),
        Surface(
            "responses",
            "/v1/responses",
            {"input": SAID},
            lambda most: {"max_output_tokens": most},
            {"tools": [{"type": "function", **_FUNCTION}]},
            _responses,
            _responses_stream,
        ),
        Surface(
            "ollama",
            "/api/chat",
            {"messages": _MESSAGES},
            lambda most: {"options": {"num_predict": most}},
            _FUNCTIONS,
            _ollama,
            _ollama_lines,
        ),
        Surface(
            "generate",
            "/api/generate",
            {"prompt": SAID},
            lambda most: {"options": {"num_predict": most}},
            {},
            _ollama,
            _ollama_lines,
        ),
    )
}

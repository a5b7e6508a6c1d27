"""The bodies a fake engine answers with, in llama.cpp's shapes. Pure."""

import math
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from flockpy.engines.fake.script import Counters, Script

Body = dict[str, Any]


def words(script: Script, request: Body) -> list[str]:
    """The tokens of the answer: words, each but the first with its space."""
    once = [word if i == 0 else f" {word}" for i, word in enumerate(script.text.split())]
    limit = (
        request.get("max_completion_tokens") or request.get("max_tokens") or (256 if script.endless else 0)
    )
    if script.endless:
        return [once[i % len(once)] for i in range(limit)]
    return once[:limit] if limit > 0 else once


def prompt_tokens(request: Body) -> int:
    """Words of the prompt, whatever its form."""
    prompt = request.get("messages") or request.get("prompt") or request.get("input") or ""
    return len(prompt.split()) if isinstance(prompt, str) else len(str(msgspec.json.encode(prompt)).split())


def usage(script: Script, request: Body, completion: int) -> Body:
    """The usage object by its name; nothing from an engine that does not count."""
    if not script.counts:
        return {}
    prompt = prompt_tokens(request)
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"usage": counts | {"prompt_tokens_details": {"cached_tokens": 0}}}


def finish_reason(script: Script, request: Body) -> str:
    if calls_tool(script, request):
        return "tool_calls"
    whole = not script.endless and len(words(script, request)) == len(script.text.split())
    return "stop" if whole else "length"


def calls_tool(script: Script, request: Body) -> bool:
    return bool(script.tool_call and request.get("tools") and request.get("tool_choice") != "none")


def _tool_call(script: Script, request: Body) -> Body:
    function = {"name": request["tools"][0]["function"]["name"], "arguments": script.tool_call}
    return {"id": "fakecall1", "type": "function", "function": function}


def _call_pieces(script: Script, request: Body) -> Iterator[Body]:
    call, whole = _tool_call(script, request), script.tool_call
    if script.tool_pieces < 2:
        yield call
        return
    yield call | {"function": call["function"] | {"arguments": ""}}
    size = math.ceil(len(whole) / script.tool_pieces)
    for start in range(0, len(whole), size):
        yield {"function": {"arguments": whole[start : start + size]}}


def chat(script: Script, request: Body, number: int) -> Body:
    message: Body = {"role": "assistant", "content": "".join(words(script, request))}
    tokens = len(words(script, request))
    if calls_tool(script, request):
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(script, request)]}
        tokens = 1
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(script, request)}
    return _envelope("chat.completion", request, number, [choice]) | usage(script, request, tokens)


def completion(script: Script, request: Body, number: int) -> Body:
    text = "".join(words(script, request))
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason(script, request)}
    answer = _envelope("text_completion", request, number, [choice])
    return answer | usage(script, request, len(words(script, request)))


def chat_chunks(script: Script, request: Body, number: int) -> Iterator[Body]:
    """The events of a streamed chat answer, without the closing [DONE]."""

    def chunk(delta: Body, reason: str | None = None) -> Body:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _envelope("chat.completion.chunk", request, number, [choice])

    yield chunk({"role": "assistant", "content": None})
    tokens = words(script, request)
    if calls_tool(script, request):
        tokens = [""]
        for call in _call_pieces(script, request):
            yield chunk({"tool_calls": [{"index": 0} | call]})
    else:
        for word in tokens:
            yield chunk({"content": word})
    yield chunk({}, finish_reason(script, request))
    options: Body = request.get("stream_options") or {}
    if script.counts and options.get("include_usage"):
        answer = _envelope("chat.completion.chunk", request, number, [])
        yield answer | usage(script, request, len(tokens))


def completion_chunks(script: Script, request: Body, number: int) -> Iterator[Body]:
    tokens = words(script, request)
    for word in tokens:
        choice: Body = {"index": 0, "text": word, "logprobs": None, "finish_reason": None}
        yield _envelope("text_completion", request, number, [choice])
    choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": finish_reason(script, request)}
    answer = _envelope("text_completion", request, number, [choice])
    yield answer | usage(script, request, len(tokens))


def embeddings(request: Body) -> Body:
    """Unit vectors of eight numbers that depend on nothing but the length of each input."""
    inputs = request.get("input", "")
    texts = cast(list[object], inputs if isinstance(inputs, list) else [inputs])
    rows = [
        {"object": "embedding", "index": i, "embedding": [math.cos(len(str(text)) + k) / 2 for k in range(8)]}
        for i, text in enumerate(texts)
    ]
    counts = {"prompt_tokens": prompt_tokens(request), "total_tokens": prompt_tokens(request)}
    return {"object": "list", "model": request.get("model", ""), "data": rows, "usage": counts}


def props(script: Script, alias: str) -> Body:
    return {
        "default_generation_settings": {"n_ctx": script.context},
        "total_slots": script.slots,
        "model_alias": alias,
    }


def slots(script: Script, counters: Counters) -> list[Body]:
    return [
        {"id": i, "n_ctx": script.context, "is_processing": i < counters.busy} for i in range(script.slots)
    ]


def metrics(counters: Counters) -> str:
    return (
        f"llamacpp:requests_processing {counters.busy}\n"
        f"llamacpp:requests_deferred {counters.waiting}\n"
        f"llamacpp:n_decode_total {counters.finished}\n"
    )


def error(status: int, message: str, kind: str) -> Body:
    return {"error": {"code": status, "message": message, "type": kind}}


def too_long(script: Script, request: Body) -> Body | None:
    """The error object for a prompt that does not fit; None when it does."""
    prompt = prompt_tokens(request)
    if prompt <= script.context:
        return None
    said = f"request ({prompt} tokens) exceeds the available context size ({script.context} tokens)"
    counts = {"n_prompt_tokens": prompt, "n_ctx": script.context}
    return {"error": error(400, said, "exceed_context_size_error")["error"] | counts}


def _envelope(kind: str, request: Body, number: int, choices: list[Body]) -> Body:
    return {
        "id": f"chatcmpl-fake{number}",
        "object": kind,
        "created": 0,
        "model": request.get("model", "fake"),
        "choices": choices,
    }

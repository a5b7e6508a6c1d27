"""What Anthropic refuses of a Messages request, in its own words. Pure.

Fields and types are those of the official client's parameters; the rest is what the documentation says.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta_create_params

from tests.simulators.vendor_schema import Complaint, complaints, fields

Body = Mapping[str, Any]
MODELS: Mapping[str, int] = {
    "claude-fable-5": 128_000,
    "claude-opus-5": 128_000,
    "claude-sonnet-5": 128_000,
    "claude-opus-4-8": 128_000,
    "claude-opus-4-7": 128_000,
    "claude-sonnet-4-6": 64_000,
    "claude-opus-4-6": 128_000,
    "claude-sonnet-4-5": 64_000,
    "claude-sonnet-4-5-20250929": 64_000,
    "claude-haiku-4-5": 64_000,
    "claude-haiku-4-5-20251001": 64_000,
    "claude-opus-4-1": 32_000,
    "claude-3-5-haiku-20241022": 8_192,
    "claude-3-haiku-20240307": 4_096,
}
"""The models there are, and how many tokens each may write at most."""
_UNSAMPLED = re.compile(r"claude-(?:opus-4-[78]|[a-z]+-5)")
_ADAPTIVE = re.compile(r"claude-(?:(?:opus|sonnet)-4-[678]|[a-z]+-5)")
_ONLY_ADAPTIVE = _UNSAMPLED
_NO_PREFILL = _ADAPTIVE
_ONE_SAMPLER = re.compile(r"claude-(?:opus-4-1|(?:haiku|sonnet|opus)-4-[56])")
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NOT_SENT = ("betas", "user_profile_id", "workspace_id")
"""Parameters of the library's calls that are headers on the wire."""
OLD, VERSIONS = "2023-06-01", ("2023-06-01", "2026-10-21")
"""Values of ``anthropic-version``. The later one has no sampling parameters."""


def refusals(body: Any, *, version: str = OLD, beta: bool = False, counting: bool = False) -> Iterator[str]:
    """The messages of its 400, the first of which is what it says; nothing when the request is served."""
    if not isinstance(body, dict):
        yield "Input should be a valid dictionary"
        return
    wrong = [_said(each) for each in _schema(body, version, beta, counting)]
    if wrong:
        yield from wrong
        return
    yield from _conversation(body)
    if version != OLD:
        yield from _misplaced(body["messages"])
    yield from _tools(body)
    if not counting:
        yield from _numbers(body)
        yield from _thinking(body)


def signature(text: str) -> str:
    """The proof of origin of a thought: nobody else can make one."""
    digest = hashlib.sha256(f"simulated {text}".encode()).digest()
    return "E" + base64.b64encode(b"\x12\x4a" + digest).decode()


def _schema(body: Body, version: str, beta: bool, counting: bool) -> Iterator[Complaint]:
    if counting:
        kind: Any = message_count_tokens_params.MessageCountTokensParams
    else:
        kind = (beta_create_params if beta else message_create_params).MessageCreateParamsBase
    hints, required = fields(kind)
    hints = {name: hint for name, hint in hints.items() if name not in _NOT_SENT} | {"stream": bool}
    if version == OLD:
        hints |= dict.fromkeys(("temperature", "top_p"), float) | {"top_k": int}
    for name in sorted(required - body.keys()):
        yield Complaint("missing", (name,))
    for name, value in body.items():
        if name not in hints:
            yield Complaint("unknown", (name,))
        else:
            yield from complaints(value, hints[name], (name,))


def _said(complaint: Complaint) -> str:
    where = ".".join(map(str, complaint.path))
    match complaint.problem:
        case "unknown":
            return f"{where}: Extra inputs are not permitted"
        case "missing":
            return f"{where}: Field required"
        case "value":
            return f"{where}: Input should be {complaint.wanted}"
        case "type":
            return f"{where}: Input should be a valid {complaint.wanted}"


def _numbers(body: Body) -> Iterator[str]:
    model, limit = body["model"], MODELS.get(body["model"], 10**9)
    if body["max_tokens"] < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    elif body["max_tokens"] > limit:
        yield (
            f"max_tokens: {body['max_tokens']} > {limit}, which is the maximum allowed number of output tokens "
            f"for {model}"
        )
    for name in ("temperature", "top_p", "top_k"):
        if name in body and _UNSAMPLED.match(model):
            yield f"`{name}` is deprecated for this model."
    if "temperature" in body and not 0 <= body["temperature"] <= 1:
        yield "temperature: Input should be less than or equal to 1"
    if "temperature" in body and "top_p" in body and _ONE_SAMPLER.match(model):
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    if any(not text.strip() for text in body.get("stop_sequences", ())):
        yield "stop_sequences: each stop sequence must contain non-whitespace"


def _thinking(body: Body) -> Iterator[str]:
    thinking: Body = body.get("thinking") or {"type": "disabled"}
    model = body["model"]
    if thinking["type"] == "adaptive" and not _ADAPTIVE.match(model):
        yield "adaptive thinking is not supported on this model"
    if (body.get("output_config") or {}).get("effort") and not (
        _ADAPTIVE.match(model) or "opus-4-5" in model
    ):
        yield "This model does not support the effort parameter."
    if thinking["type"] == "disabled":
        return
    if thinking["type"] == "enabled":
        if _ONLY_ADAPTIVE.match(model):
            yield (
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            )
        if thinking["budget_tokens"] < 1024:
            yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        if thinking["budget_tokens"] >= body["max_tokens"]:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`."
        yield from _begins_with_a_thought(body["messages"])
    if body.get("temperature", 1) != 1:
        yield "`temperature` may only be set to 1 when thinking is enabled."
    if "top_k" in body:
        yield "`top_k` must be unset when thinking is enabled."
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        yield "Thinking may not be enabled when tool_choice forces tool use."


def _begins_with_a_thought(messages: list[Any]) -> Iterator[str]:
    """The model's last turn, when its tools are being answered."""
    turns = [(i, m) for i, m in enumerate(messages) if m["role"] == "assistant"]
    if not turns or turns[-1][0] != len(messages) - 2:
        return
    at, turn = turns[-1]
    kinds = [block["type"] for block in _blocks(turn)]
    if "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking"):
        yield (
            f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kinds[0]}`. "
            "When `thinking` is enabled, a final `assistant` message must start with a thinking block"
        )


def _conversation(body: Body) -> Iterator[str]:
    messages = body["messages"]
    if not messages:
        yield "messages: at least one message is required"
        return
    if messages[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    if messages[-1]["role"] == "assistant" and _NO_PREFILL.match(body["model"]):
        yield (
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if sum(_marks(body)) > 4:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {sum(_marks(body))}."
    for i, message in enumerate(messages):
        yield from _message(message, i, i == len(messages) - 1)
        before = _ids(messages[i - 1], "tool_use", "id") if i else []
        given = _ids(message, "tool_result", "tool_use_id")
        for k, block in enumerate(_blocks(message)):
            if block["type"] == "tool_result" and block["tool_use_id"] not in before:
                yield (
                    f"messages.{i}.content.{k}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block "
                    "in the previous message."
                )
        if lost := [id for id in before if id not in given]:
            yield (
                f"messages.{i - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(lost)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )


def _message(message: Body, i: int, last: bool) -> Iterator[str]:
    blocks, at = _blocks(message), f"messages.{i}"
    if not blocks and not (last and message["role"] == "assistant"):
        yield f"{at}: all messages must have non-empty content except for the optional final assistant message"
    results = [block["type"] == "tool_result" for block in blocks]
    if results != sorted(results, reverse=True):
        yield f"{at}: `tool_result` blocks must come first in the content of a message"
    for k, block in enumerate(blocks):
        where = f"{at}.content.{k}"
        match block["type"]:
            case "text" if not block["text"]:
                yield "messages: text content blocks must be non-empty"
            case "text" if not block["text"].strip():
                yield "messages: text content blocks must contain non-whitespace text"
            case "thinking" if block["signature"] != signature(block["thinking"]):
                yield f"{where}: Invalid `signature` in `thinking` block"
            case "redacted_thinking" if block["data"] != signature(""):
                yield f"{where}: Invalid `data` in `redacted_thinking` block"
            case "tool_use" if not _TOOL_ID.fullmatch(block["id"]):
                yield f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
            case "tool_use" if message["role"] != "assistant":
                yield f"{at}: `tool_use` blocks can only be in `assistant` messages"
            case "tool_result" if message["role"] != "user":
                yield f"{at}: `tool_result` blocks can only be in `user` messages"
            case _:
                pass
    if last and message["role"] == "assistant" and blocks and blocks[-1].get("text", "x")[-1:].isspace():
        yield "messages: final assistant content cannot end with trailing whitespace"


def _misplaced(messages: list[Any]) -> Iterator[str]:
    """What the older version let pass."""
    for i, message in enumerate(messages):
        for k, block in enumerate(_blocks(message)):
            if message["role"] == "assistant" and block["type"] == "document":
                yield f"messages.{i}.content.{k}: `document` blocks are not allowed in `assistant` messages"
            if message["role"] == "user" and block["type"] == "text" and block.get("citations"):
                yield f"messages.{i}.content.{k}.citations: not allowed in `user` messages"


def _tools(body: Body) -> Iterator[str]:
    tools = body.get("tools", ())
    names = [tool["name"] for tool in tools if "name" in tool]
    for i, tool in enumerate(tools):
        if tool.get("type") not in (None, "custom"):
            continue
        if not _TOOL_NAME.fullmatch(tool["name"]):
            yield f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if tool["input_schema"].get("type") != "object":
            yield f"tools.{i}.custom.input_schema.type: Field required"
        for union in ("oneOf", "allOf", "anyOf"):
            if union in tool["input_schema"]:
                yield (
                    f"tools.{i}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the "
                    "top level"
                )
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    choice = body.get("tool_choice") or {}
    if choice and not tools:
        yield "tool_choice: may only be specified while providing tools"
    if choice.get("type") == "tool" and choice["name"] not in names:
        yield f"Tool '{choice['name']}' not found in provided tools"


def _marks(body: Body) -> Iterator[int]:
    """1 for each mark to cache a prefix."""
    system = body.get("system", "")
    places = [*body.get("tools", ()), *(system if isinstance(system, list) else ())]
    for message in body["messages"]:
        places += _blocks(message)
    return (1 for place in places if place.get("cache_control"))


def _blocks(message: Body) -> list[Any]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _ids(message: Body, kind: str, name: str) -> list[str]:
    return [block[name] for block in _blocks(message) if block["type"] == kind]

"""What Bedrock refuses: by the shapes in the official client's own model of it, and by what its errors say."""

import base64
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

MODELS = (
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "global.anthropic.claude-opus-4-8",
    "amazon.nova-lite-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "us.meta.llama3-3-70b-instruct-v1:0",
    "mistral.mistral-large-2402-v1:0",
    "openai.gpt-oss-120b-1:0",
    "qwen.qwen3-32b-v1:0",
)
_BETAS = frozenset(
    {
        "computer-use-2025-01-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "effort-2025-11-24",
        "interleaved-thinking-2025-05-14",
        "tool-search-tool-2025-10-19",
    }
)
_MESSAGES = frozenset(
    {
        *("anthropic_version", "anthropic_beta", "max_tokens", "messages", "system", "tools", "tool_choice"),
        *("stop_sequences", "temperature", "top_p", "top_k", "thinking", "metadata", "output_config"),
    }
)
_EDITS = "context-management-2025-06-27"
_KINDS: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "document": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "float": (int, float),
}
_ALTERNATE = (
    "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between "
    "user and assistant roles and try again."
)


def converse_complaints(model: str, body: dict[str, Any]) -> list[str]:
    return [*_shaped("ConverseRequest", body | {"modelId": model}, ""), *_converse(model, body)]


def messages_complaints(model: str, body: dict[str, Any]) -> Iterator[str]:
    """What InvokeModel of an Anthropic model refuses."""
    version = body.get("anthropic_version")
    if version != "bedrock-2023-05-31" and not (version == "2026-10-21" and "opus-4-8" in model):
        yield "anthropic_version: Field required"
    flags = body.get("anthropic_beta", ())
    known = _MESSAGES | ({"context_management"} if _EDITS in flags else set[str]())
    yield from (f"{name}: Extra inputs are not permitted" for name in body if name not in known)
    if any(flag not in _BETAS for flag in flags):
        yield "invalid beta flag"
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: Field required"
    for number, tool in enumerate(body.get("tools") or []):
        if "eager_input_streaming" in tool:
            yield f"tools.{number}.custom.eager_input_streaming: Extra inputs are not permitted"
    turns = body.get("messages") or []
    said = [block for turn in turns if isinstance(turn["content"], list) for block in turn["content"]]
    inner = [each for block in said if isinstance(block.get("content"), list) for each in block["content"]]
    system = body.get("system") if isinstance(body.get("system"), list) else []
    for block in (*(system or ()), *(body.get("tools") or ()), *said, *inner):
        if "scope" in (block.get("cache_control") or {}):
            yield "cache_control.ephemeral.scope: Extra inputs are not permitted"
    if not turns:
        yield "messages: at least one message is required"
    for number, turn in enumerate(turns):
        if turn["role"] not in ("user", "assistant"):
            yield f"messages.{number}.role: Input should be 'user' or 'assistant'"
        blocks = (
            turn["content"]
            if isinstance(turn["content"], list)
            else [{"type": "text", "text": turn["content"]}]
        )
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                yield f"messages.{number}: text content blocks must contain non-whitespace text"
            if block["type"] == "image" and block["source"]["type"] != "base64":
                yield f"messages.{number}: URL sources are not supported"


@cache
def _model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def _shaped(shape_name: str, value: Any, path: str) -> Iterator[str]:
    """What does not fit a shape."""
    shape: Any = _model().shape_for(shape_name)
    kind: str = "document" if getattr(shape, "is_document_type", False) else shape.type_name
    if type(value) not in _KINDS[kind]:
        yield f"{path} is no {kind}"
        return
    limits: dict[str, Any] = shape.metadata
    size = value if kind in ("integer", "float") else 0 if kind == "boolean" else len(value)
    if size < limits.get("min", size) or size > limits.get("max", size):
        yield f"{path} failed to satisfy constraint: {limits.get('min')} to {limits.get('max')}"
    match kind:
        case "string":
            if value not in limits.get("enum", (value,)):
                yield f"{path} failed to satisfy enum value set: {limits['enum']}"
            if shape_name != "ConversationalModelId" and not re.fullmatch(
                limits.get("pattern", ".*"), value, re.DOTALL
            ):
                yield f"{path} failed to satisfy regular expression pattern: {limits['pattern']}"
        case "blob":
            base64.b64decode(value, validate=True)
        case "list":
            for number, each in enumerate(value):
                yield from _shaped(shape.member.name, each, f"{path}.{number}")
        case "structure":
            yield from (f"{path}: extraneous key [{name}]" for name in value if name not in shape.members)
            yield from (
                f"{path}.{name} is missing" for name in limits.get("required", ()) if name not in value
            )
            if shape.is_tagged_union and len(value) != 1:
                yield f"{path} must have exactly one member set"
            for name in shape.members.keys() & value.keys():
                yield from _shaped(shape.members[name].name, value[name], f"{path}.{name}".lstrip("."))
        case _:
            pass


def _converse(model: str, body: dict[str, Any]) -> Iterator[str]:
    turns = body.get("messages") or []
    claude, nova, mistral = "anthropic." in model, "amazon.nova" in model, "mistral." in model
    if not turns or turns[0]["role"] != "user":
        yield "A conversation must start with a user message. Try again with a conversation that does."
    if any(one["role"] == other["role"] for one, other in pairwise(turns)):
        yield _ALTERNATE
    if turns and turns[-1]["role"] == "assistant" and not (claude or nova):
        yield "The model does not support assistant message prefill. The conversation must end with a user message."
    called: list[str] = []
    for number, turn in enumerate(turns):
        where, blocks = f"messages.{number}.content", turn["content"]
        if not blocks:
            yield f"The content field in the Message object at messages.{number} is empty."
        results = [block["toolResult"] for block in blocks if "toolResult" in block]
        if [result["toolUseId"] for result in results] != called:
            yield f"Expected toolResult blocks at {where} for the following Ids: {called}"
        called = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        said = any("toolUse" not in block and "toolResult" not in block for block in blocks)
        if results and said and not claude:
            yield f"{where}: Conversation blocks and tool result blocks cannot be provided in the same turn."
        if called and said and ("meta." in model or mistral):
            yield f"{where}: Conversation blocks and tool use blocks cannot be provided in the same turn."
        for inner in [blocks, *(result["content"] for result in results)]:
            if any("text" in block and not block["text"].strip() for block in inner):
                yield f"The text field in the ContentBlock object at {where} is blank."
        if any("status" in result for result in results) and not (claude or nova):
            yield "This model doesn't support the toolResult.status field. Remove toolResult.status and try again."
        if any("image" in block for result in results for block in result["content"]) and not (
            claude or nova
        ):
            yield "This model doesn't support the image field in tool results. Remove image and try again."
        if any("reasoningContent" in block for block in blocks) and not claude:
            yield "This model doesn't support the reasoningContent field. Remove reasoningContent and try again."
    config = body.get("toolConfig")
    used = any("toolUse" in block or "toolResult" in block for turn in turns for block in turn["content"])
    if used and config is None:
        yield "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    choice = (config or {}).get("toolChoice", {})
    if ("any" in choice and not (claude or nova or mistral)) or ("tool" in choice and not (claude or nova)):
        yield f"This model doesn't support the toolConfig.toolChoice.{next(iter(choice))} field."
    specs = [tool["toolSpec"] for tool in (config or {}).get("tools", ())]
    for spec in specs:
        schema = spec["inputSchema"]["json"]
        if schema.get("type") != "object" or {"$schema", "$id"} & schema.keys():
            yield "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object."
        if nova and (schema.keys() - {"type", "properties", "required"} or "$ref" in json.dumps(schema)):
            yield f"The JSON schema of the tool {spec['name']} is invalid: {sorted(schema)}"
    names = [spec["name"] for spec in specs]
    if len(names) != len(set(names)):
        yield f"The tool names must be unique: {json.dumps(names)}"

"""What OpenAI refuses of a request, in its own words. Pure.

Fields and types are those of the official client's parameters; the rest is what the documentation and users say.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import (
    easy_input_message_param,
    function_tool_param,
    response_create_params,
    response_custom_tool_call_param,
    response_input_image_param,
    response_output_message_param,
    response_reasoning_item_param,
    web_search_tool_param,
)

from tests.simulators.openai_models import (
    CHAT,
    EFFORTS,
    EMBEDDING,
    MODELS,
    NO_TOOLS_IN_CHAT,
    OLD,
    OUTPUTS,
    QUIET,
    RESPONSES,
    reasons,
)
from tests.simulators.vendor_schema import Complaint, complaints, fields

Body = Mapping[str, Any]
_PARAMETERS: Mapping[str, Any] = {
    "/v1/chat/completions": chat_create_params.CompletionCreateParamsBase,
    "/v1/completions": completion_create_params.CompletionCreateParamsBase,
    "/v1/embeddings": embedding_create_params.EmbeddingCreateParams,
    "/v1/responses": response_create_params.ResponseCreateParamsBase,
}
_LAX: dict[type, frozenset[str]] = {
    response_reasoning_item_param.ResponseReasoningItemParam: frozenset({"id", "content"}),
    response_output_message_param.ResponseOutputMessageParam: frozenset({"id", "status"}),
    response_input_image_param.ResponseInputImageParam: frozenset({"detail"}),
    function_tool_param.FunctionToolParam: frozenset({"strict", "parameters"}),
    # What OpenAI's own Codex sends, and its library does not name:
    easy_input_message_param.EasyInputMessageParam: frozenset({"id"}),
    response_custom_tool_call_param.ResponseCustomToolCallParam: frozenset({"status"}),
    web_search_tool_param.WebSearchToolParam: frozenset({"search_content_types"}),
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_IDS = {"reasoning": "rs", "message": "msg", "function_call": "fc"}


@dataclass(frozen=True, slots=True)
class Refusal:
    message: str
    param: str | None = None
    code: str | None = None
    status: int = 400


def refusals(path: str, body: Any, known: Mapping[str, str]) -> Iterator[Refusal]:
    """Why it is refused, the first of which is what it says; nothing when it is served. `known`: the encrypted
    reasoning that was given out."""
    if not isinstance(body, dict):
        yield Refusal("We could not parse the JSON body of your request. (expected an object)")
        return
    wrong = [_said(each) for each in _schema(path, body)]
    if wrong:
        yield from wrong
        return
    yield from _model(path, body["model"])
    if "stream_options" in body and not body.get("stream"):
        yield Refusal(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options"
        )
    if path == "/v1/chat/completions":
        yield from _chat(body)
    elif path == "/v1/responses":
        yield from _responses(body, known)


def _schema(path: str, body: Body) -> Iterator[Complaint]:
    hints, required = fields(_PARAMETERS[path])
    must = required | {"model"}
    if path == "/v1/responses":
        must |= {"input"}
        hints = hints | {"client_metadata": Mapping[str, str]}
    for name in sorted(must - body.keys()):
        yield Complaint("missing", (name,))
    for name, value in body.items():
        if name == "stream":
            yield from complaints(value, bool | None, (name,))
        elif name not in hints:
            yield Complaint("unknown", (name,))
        else:
            yield from complaints(value, hints[name], (name,), _LAX)


def _said(complaint: Complaint) -> Refusal:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in complaint.path)[1:]
    match complaint.problem:
        case "unknown":
            return Refusal(f"Unknown parameter: '{where}'.", where, "unknown_parameter")
        case "missing":
            return Refusal(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
        case "value":
            said = f"Invalid value: '{complaint.found}'. Supported values are: {complaint.wanted}."
            return Refusal(said, where, "invalid_value")
        case "type":
            said = f"Invalid type for '{where}': expected {complaint.wanted}, but got {complaint.found!r} instead."
            return Refusal(said[:300], where, "invalid_type")


def _model(path: str, model: str) -> Iterator[Refusal]:
    kind = MODELS.get(model)
    if kind is None:
        said = f"The model `{model}` does not exist or you do not have access to it."
        yield Refusal(said, None, "model_not_found", 404)
    elif path == "/v1/chat/completions" and kind == RESPONSES:
        said = "This model is only supported in v1/responses and not in v1/chat/completions."
        yield Refusal(said, "model", None, 404)
    elif path == "/v1/chat/completions" and kind != CHAT:
        said = "This is not a chat model and thus not supported in the v1/chat/completions endpoint."
        yield Refusal(said, "model", None, 404)
    elif path == "/v1/completions" and kind != OLD:
        said = "This is a chat model and not supported in the v1/completions endpoint."
        yield Refusal(said, "model", None, 404)
    elif path == "/v1/responses" and kind not in (CHAT, RESPONSES):
        yield Refusal(f"The requested model '{model}' does not support the Responses API.", "model")
    elif path == "/v1/embeddings" and kind != EMBEDDING:
        yield Refusal("You are not allowed to generate embeddings from this model", None, None, 403)


def _sampling(body: Body, effort: str | None, words: str) -> Iterator[Refusal]:
    if not reasons(body["model"]) or (effort == "none" and QUIET.match(body["model"])):
        return
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"):
        usual = (None, 1) if name in ("temperature", "top_p") else (None, 0)
        if body.get(name) not in usual:
            yield Refusal(words.format(name=name, value=body[name]), name, "unsupported_value")


def _effort(model: str, effort: str | None, name: str) -> Iterator[Refusal]:
    if effort is None:
        return
    if not reasons(model):
        yield Refusal(
            f"Unsupported parameter: '{name}' is not supported with this model.",
            name,
            "unsupported_parameter",
        )
    elif effort not in (known := EFFORTS.get(model, "low medium high")).split():
        said = (
            f"Unsupported value: '{effort}' is not supported with the '{model}' model. Supported values are: "
        )
        yield Refusal(said + f"{', '.join(map(repr, known.split()))}.", name, "unsupported_value")


def _bound(body: Body, *names: str) -> Iterator[Refusal]:
    most = OUTPUTS.get(body["model"], 128_000)
    for name in names:
        if (body.get(name) or 0) > most:
            said = f"{name} is too large: {body[name]}. This model supports at most {most} completion tokens, whereas "
            yield Refusal(f"{said}you provided {body[name]}.", name, "invalid_value")


def _chat(body: Body) -> Iterator[Refusal]:
    model, effort = body["model"], body.get("reasoning_effort")
    if reasons(model) and body.get("max_tokens") is not None:
        said = "Unsupported parameter: 'max_tokens' is not supported with this model. "
        yield Refusal(said + "Use 'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter")
    if reasons(model) and body.get("stop") is not None:
        said = "Unsupported parameter: 'stop' is not supported with this model."
        yield Refusal(said, "stop", "unsupported_parameter")
    yield from _bound(body, "max_tokens", "max_completion_tokens")
    yield from _effort(model, effort, "reasoning_effort")
    if body.get("tools") and NO_TOOLS_IN_CHAT.match(model) and effort != "none":
        said = f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. "
        said += "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        yield Refusal(said, "reasoning_effort")
    yield from _sampling(
        body,
        effort,
        "Unsupported value: '{name}' does not support {value} with this model. Only the default (1) value is "
        "supported.",
    )
    functions = [tool["function"] for tool in body.get("tools") or () if tool["type"] == "function"]
    yield from _functions(functions, body, lambda i: f"tools[{i}].function")
    yield from _messages(body["messages"])


def _messages(messages: list[Any]) -> Iterator[Refusal]:
    if not messages:
        said = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array."
        yield Refusal(said, "messages", "empty_array")
    open_calls: dict[str, None] = {}
    for i, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                said = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                yield Refusal(said + "'tool_calls'.", f"messages.[{i}].role")
            open_calls.pop(message["tool_call_id"], None)
            continue
        if open_calls:
            yield _unanswered(open_calls, i - 1)
        open_calls = dict.fromkeys(call["id"] for call in message.get("tool_calls") or ())
    if open_calls:
        yield _unanswered(open_calls, len(messages) - 1)


def _unanswered(calls: Mapping[str, None], at: int) -> Refusal:
    said = "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    said += f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(calls)}"
    return Refusal(said, f"messages.[{at}].role")


def _functions(functions: list[Any], body: Body, where: Any) -> Iterator[Refusal]:
    for i, function in enumerate(functions):
        if not _NAME.fullmatch(function["name"]):
            said = f"Invalid '{where(i)}.name': string does not match pattern. Expected a string that matches the "
            yield Refusal(said + "pattern '^[a-zA-Z0-9_-]+$'.", f"{where(i)}.name", "invalid_value")
        schema = function.get("parameters")
        if schema is not None and schema.get("type") != "object":
            said = (
                f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of 'type: "
            )
            yield Refusal(said + '"object"\'.', f"{where(i)}.parameters", "invalid_function_parameters")
        elif schema and function.get("strict") and schema.get("additionalProperties") is not False:
            said = (
                f"Invalid schema for function '{function['name']}': In context=(), 'additionalProperties' is "
            )
            yield Refusal(
                said + "required to be supplied and to be false.", where(i), "invalid_function_parameters"
            )
    choice = body.get("tool_choice")
    if choice is not None and not body.get("tools"):
        yield Refusal(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        )
    if body.get("parallel_tool_calls") is not None and not body.get("tools") and "messages" in body:
        said = (
            "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are "
        )
        yield Refusal(said + "specified.", "parallel_tool_calls")
    if isinstance(choice, dict) and choice["type"] == "function":
        name = choice.get("name") or choice["function"]["name"]
        if name not in [function["name"] for function in functions]:
            yield Refusal(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _responses(body: Body, known: Mapping[str, str]) -> Iterator[Refusal]:
    reasoning = body.get("reasoning") or {}
    unsupported = "Unsupported parameter: '{name}' is not supported with this model."
    yield from _bound(body, "max_output_tokens")
    yield from _effort(body["model"], reasoning.get("effort"), "reasoning.effort")
    if reasoning and reasoning.get("effort") is None and not reasons(body["model"]):
        yield Refusal(unsupported.format(name="reasoning"), "reasoning", "unsupported_parameter")
    yield from _sampling(body, reasoning.get("effort"), unsupported)
    if "reasoning.encrypted_content" in (body.get("include") or ()) and not reasons(body["model"]):
        yield Refusal("Encrypted content is not supported with this model.", "include")
    if (body.get("max_output_tokens") or 16) < 16:
        said = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got "
        yield Refusal(
            f"{said}{body['max_output_tokens']} instead.", "max_output_tokens", "integer_below_min_value"
        )
    if body.get("previous_response_id"):
        said = f"Previous response with id '{body['previous_response_id']}' not found."
        yield Refusal(said, "previous_response_id", "previous_response_not_found")
    functions = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    yield from _functions(functions, body, lambda i: f"tools[{i}]")
    if isinstance(body["input"], list):
        yield from _items(body["input"], body, known)


def _items(items: list[Any], body: Body, known: Mapping[str, str]) -> Iterator[Refusal]:
    if not items:
        yield Refusal("One of 'input' or 'previous_response_id' must be provided.", "input")
    calls: dict[str, bool] = {}
    for i, item in enumerate(items):
        at, kind = f"input[{i}]", item.get("type") or ("message" if "role" in item else "item_reference")
        if (id := item.get("id")) and kind in _IDS and not id.startswith(_IDS[kind]):
            said = f"Invalid '{at}.id': '{id}'. Expected an ID that begins with '{_IDS[kind]}'."
            yield Refusal(said, f"{at}.id", "invalid_value")
        if len(item.get("call_id") or "") > 64:
            said = f"Invalid '{at}.call_id': string too long. Expected a string with maximum length 64, but got a "
            said += f"string with length {len(item['call_id'])} instead."
            yield Refusal(said, f"{at}.call_id", "string_above_max_length")
        match kind:
            case "reasoning":
                yield from _thought(item, items[i + 1 : i + 2], at, body, known)
            case "function_call" | "custom_tool_call":
                calls[item["call_id"]] = False
            case "function_call_output" | "custom_tool_call_output":
                if item["call_id"] not in calls:
                    said = f"No tool call found for function call output with call_id {item['call_id']}."
                    yield Refusal(said, "input")
                calls[item["call_id"]] = True
            case "message":
                yield from _parts(item, at)
            case "item_reference":
                yield _not_found(item["id"])
            case _:
                pass
    for call, answered in calls.items():
        if not answered:
            yield Refusal(f"No tool output found for function call {call}.", "input")


def _thought(
    item: Any, following: list[Any], at: str, body: Body, known: Mapping[str, str]
) -> Iterator[Refusal]:
    name = item.get("id") or "rs_"
    if item.get("content"):
        said = f"Invalid '{at}.content': array too long. Expected an array with maximum length 0, but got an array "
        yield Refusal(
            f"{said}with length {len(item['content'])} instead.", f"{at}.content", "array_above_max_length"
        )
    if not item.get("encrypted_content"):
        yield _not_found(name)
    elif item["encrypted_content"] not in known:
        token = item["encrypted_content"]
        said = f"The encrypted content {token[:4]}...{token[-4:]} could not be verified. "
        said += "Reason: Encrypted content could not be decrypted or parsed."
        yield Refusal(said, None, "invalid_encrypted_content")
    kinds = [each.get("type", "message") for each in following]
    if kinds not in (["message"], ["function_call"], ["custom_tool_call"], ["reasoning"]) or (
        kinds == ["message"] and following[0]["role"] != "assistant"
    ):
        said = f"Item '{name}' of type 'reasoning' was provided without its required following item."
        yield Refusal(said, "input")


def _not_found(id: str) -> Refusal:
    said = f"Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with "
    return Refusal(said + "`store` set to true, or remove this item from your input.", "input", None, 404)


def _parts(item: Any, at: str) -> Iterator[Refusal]:
    wanted = "output_text" if item["role"] == "assistant" else "input_text"
    content = item["content"]
    for k, part in enumerate(content if isinstance(content, list) else ()):
        if part["type"] in ("input_text", "output_text") and part["type"] != wanted:
            said = f"Invalid value: '{part['type']}'. Supported values are: '{wanted}'."
            yield Refusal(said, f"{at}.content[{k}]", "invalid_value")
        elif part["type"] == "input_image" and not str(part.get("image_url")).startswith(
            ("data:", "https://")
        ):
            said = f"Invalid '{at}.content[{k}].image_url'. Expected a valid URL, but got a value with an invalid "
            yield Refusal(said + "format.", f"{at}.content[{k}].image_url", "invalid_value")

"""What Vertex AI refuses in the body of a generateContent, in its own words where they are known. Pure."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Fields = Mapping[str, Any]

UNCHECKED = base64.b64encode(b"skip_thought_signature_validator").decode()
"""The signature that is documented for calls which the model itself did not make."""
_FIELDS: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            "contents",
            "systemInstruction",
            "tools",
            "toolConfig",
            "generationConfig",
            "safetySettings",
            "labels",
        }
    ),
    "content": frozenset({"role", "parts"}),
    "part": frozenset(
        {"text", "inlineData", "functionCall", "functionResponse", "thought", "thoughtSignature"}
    ),
    "inlineData": frozenset({"mimeType", "data"}),
    "functionCall": frozenset({"name", "args"}),
    "functionResponse": frozenset({"name", "response"}),
    "tool": frozenset({"functionDeclarations"}),
    "function": frozenset({"name", "description", "parameters", "parametersJsonSchema"}),
    "toolConfig": frozenset({"functionCallingConfig"}),
    "functionCallingConfig": frozenset({"mode", "allowedFunctionNames"}),
    "generationConfig": frozenset(
        {"maxOutputTokens", "temperature", "topP", "topK", "seed", "stopSequences", "candidateCount"}
        | {"responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig"}
    ),
    "thinkingConfig": frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"}),
}
_DATA = ("text", "inlineData", "functionCall", "functionResponse")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_MIME = re.compile(r"(?:image|audio|video|text)/[a-z0-9.+-]+|application/pdf")


def camel(name: str) -> str:
    """Both spellings of a field are taken."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def complaints(body: Any, model: str, signatures: Sequence[str] = ()) -> list[str]:
    """All that is wrong with a body for this model, which has given out these signatures."""
    if not isinstance(body, dict):
        return ["the body is no object"]
    body = {camel(name): value for name, value in body.items()}
    return [
        *_unknown(body, "", ""),
        *_contents(body.get("contents"), model, signatures),
        *_instruction(body.get("systemInstruction")),
        *_tools(body),
        *_config(
            {camel(k): v for k, v in body.get("generationConfig", {}).items()}, bool(body.get("tools")), model
        ),
    ]


def _unknown(value: Fields, kind: str, path: str) -> Iterator[str]:
    for name in value:
        if camel(name) not in _FIELDS[kind]:
            yield f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."


def _named(value: Fields, kind: str, path: str) -> tuple[dict[str, Any], list[str]]:
    return {camel(name): each for name, each in value.items()}, list(_unknown(value, kind, path))


def _instruction(content: Any) -> Iterator[str]:
    if content is not None:
        given, wrong = _named(content, "content", "system_instruction")
        yield from wrong
        if not all(set(part) == {"text"} and part["text"] for part in given.get("parts", ())):
            yield "system_instruction must be text"


def _contents(contents: Any, model: str, signatures: Sequence[str]) -> Iterator[str]:
    if not contents:
        yield "Unable to submit request because at least one contents field is required."
        return
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for number, content in enumerate(contents):
        path = f"contents[{number}]"
        given, wrong = _named(content, "content", path)
        yield from wrong
        if given.get("role") not in ("user", "model"):
            yield "Please use a valid role: user, model."
        if not given.get("parts"):
            yield f"Unable to submit request because it must include at least one parts field ({path})."
        parts: list[dict[str, Any]] = []
        for place, part in enumerate(given.get("parts") or ()):
            known, wrong = _named(part, "part", f"{path}.parts[{place}]")
            yield from [*wrong, *_part(known, f"{path}.parts[{place}]", signatures)]
            parts.append(known)
        turns.append((given.get("role", ""), parts))
    yield from _order(turns)
    if not re.match(r"gemini-[12]\.", model):
        yield from _signed(turns)


def _part(part: dict[str, Any], path: str, signatures: Sequence[str]) -> Iterator[str]:
    given = [name for name in _DATA if name in part]
    if len(given) != 1 or not part[given[0]]:
        yield f"Unable to submit request because {path} must have one initialized data field."
        return
    kind = given[0]
    if kind != "text":
        value, wrong = _named(part[kind], kind, f"{path}.{kind}")
        yield from wrong
        match kind:
            case "inlineData":
                if not _MIME.fullmatch(value.get("mimeType", "")) or not _is_base64(value.get("data", "")):
                    yield f"Invalid value at '{path}.inline_data'"
            case "functionCall":
                if not _NAME.fullmatch(value.get("name", "")) or not isinstance(value.get("args", {}), dict):
                    yield f"Invalid value at '{path}.function_call'"
            case _:
                if not _NAME.fullmatch(value.get("name", "")) or not isinstance(value.get("response"), dict):
                    yield f"Invalid value at '{path}.function_response'"
    signature = part.get("thoughtSignature")
    if signature is not None:
        if not _is_base64(signature):
            yield f"Invalid value at '{path}.thought_signature' (TYPE_BYTES), Base64 decoding failed"
        elif signature not in (*signatures, UNCHECKED):
            yield "Unable to submit request because Thought signature is not valid."


def _is_base64(text: Any) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, TypeError, ValueError):
        return False


def _order(turns: list[tuple[str, list[dict[str, Any]]]]) -> Iterator[str]:
    calls: list[str] = []
    for number, (role, parts) in enumerate(turns):
        results = [part["functionResponse"]["name"] for part in parts if part.get("functionResponse")]
        if results != calls:
            yield (
                "Please ensure that the number of function response parts is equal to the number of function call "
                f"parts of the function call turn (contents[{number}])."
            )
        calls = [part["functionCall"]["name"] for part in parts if part.get("functionCall")]
        if calls and (role != "model" or number == 0 or turns[number - 1][0] != "user"):
            yield (
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
    if turns[0][0] != "user" or turns[-1][0] != "user":
        yield "Please ensure that multiturn requests begin and end with a user role or a function response."


def _signed(turns: list[tuple[str, list[dict[str, Any]]]]) -> Iterator[str]:
    """From the last thing the user said the first call of each turn must be signed."""
    for number, (role, parts) in reversed(list(enumerate(turns))):
        if role == "user" and not any(part.get("functionResponse") for part in parts):
            return
        calls = [part for part in parts if part.get("functionCall")]
        if calls and not calls[0].get("thoughtSignature"):
            name = calls[0]["functionCall"]["name"]
            yield (
                f"Unable to submit request because function call `default_api:{name}` in the {number + 1}. content "
                "block is missing a `thought_signature`."
            )


def _tools(body: Fields) -> Iterator[str]:
    names: list[str] = []
    for number, tool in enumerate(body.get("tools") or ()):
        given, wrong = _named(tool, "tool", f"tools[{number}]")
        yield from wrong
        for function in given.get("functionDeclarations", ()):
            known, wrong = _named(function, "function", f"tools[{number}].function_declarations")
            yield from wrong
            names.append(known.get("name", ""))
            schema = known.get("parametersJsonSchema", known.get("parameters", {"type": "object"}))
            if {"parametersJsonSchema", "parameters"} <= known.keys() or not isinstance(schema, dict):
                yield "parameters and parameters_json_schema cannot both be set"
            elif str(schema.get("type")).upper() != "OBJECT":
                yield f"`{names[-1]}` functionDeclaration parameters schema should be of type OBJECT."
            elif "$schema" in schema:
                yield f"`{names[-1]}` functionDeclaration parameters schema: $schema"
    if not all(map(_NAME.fullmatch, names)):
        yield f"Invalid function name in {names}"
    if len(set(names)) != len(names):
        yield "Duplicate function declaration found"
    config = {camel(name): value for name, value in body.get("toolConfig", {}).items()}
    yield from _unknown(config, "toolConfig", "tool_config")
    calling, wrong = _named(config.get("functionCallingConfig", {}), "functionCallingConfig", "tool_config")
    yield from wrong
    if config and not names:
        yield "Function calling config is set without function_declarations."
    if calling.get("mode", "AUTO") not in ("AUTO", "ANY", "NONE"):
        yield "Invalid value at 'tool_config.function_calling_config.mode'"
    allowed = calling.get("allowedFunctionNames", [])
    if allowed and (calling.get("mode") != "ANY" or not set(allowed) <= set(names)):
        yield "Allowed function names must be declared, and the mode ANY"


def _config(config: dict[str, Any], tools: bool, model: str) -> Iterator[str]:
    yield from _unknown(config, "generationConfig", "generation_config")
    ranges = {
        "temperature": (0, 2),
        "topP": (0, 1),
        "topK": (1, 40),
        "maxOutputTokens": (1, 8192 if re.match(r"gemini-(?:1\.|2\.0)", model) else 65536),
        "seed": (-(2**31), 2**31 - 1),
    }
    for name, (least, most) in ranges.items():
        value = config.get(name)
        if value is not None and not least <= value <= most:
            yield f"Unable to submit request because it has a {name} value of {value} but the most is {most}."
    stops = config.get("stopSequences", [])
    if len(stops) > 5 or not all(stops):
        yield "stop_sequences: at most 5, none of them empty"
    asks_json = config.get("responseMimeType") == "application/json"
    if {"responseSchema", "responseJsonSchema"} & config.keys() and not asks_json:
        yield "response_schema needs the response_mime_type application/json"
    if asks_json and tools and re.match(r"gemini-[12]\.", model):
        yield "Function calling with a response mime type: 'application/json' is unsupported"
    thinking, wrong = _named(config.get("thinkingConfig", {}), "thinkingConfig", "generation_config")
    yield from [*wrong, *_thinking(thinking, model)]


def _thinking(config: dict[str, Any], model: str) -> Iterator[str]:
    if config and re.match(r"gemini-(?:1\.|2\.0)", model):
        yield "Unable to submit request because thinking is not supported by this model."
    level, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
    if level is not None and budget is not None:
        yield "thinking_budget and thinking_level are not supported together."
    if level is not None:
        levels = {"LOW", "HIGH"} if "gemini-3-pro" in model else {"LOW", "MEDIUM", "HIGH"}
        if model.startswith("gemini-2") or level not in levels | (set() if "-pro" in model else {"MINIMAL"}):
            yield f"Thinking level {level} is not supported for this model."
    if budget is not None:
        least, most = (128, 32768) if "-pro" in model else (512 if "-lite" in model else 1, 24576)
        if not (least <= budget <= most or budget == -1 or (budget == 0 and "-pro" not in model)):
            yield f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}."

"""What a program written against OpenAI's SDK does; run with any version of it: openai_sdk.py URL KEY BAD_KEY.

Prints one JSON object: the SDK's version, and for each check "" or what went wrong.
"""

import json
import math
import sys
import time
import traceback
from typing import Any

import httpx
import openai
from openai import OpenAI

URL, KEY, NARROW_KEY = sys.argv[1:4]
HI: Any = [{"role": "user", "content": "hi"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
client: Any = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=30)


def chat() -> None:
    answer = client.chat.completions.create(model="flock-demo", messages=HI)
    assert answer.choices[0].message.content.startswith("Hello")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 2
    assert answer.object == "chat.completion"
    assert answer._request_id.startswith("req_")


def chat_stream() -> None:
    whole = client.chat.completions.create(model="flock-demo", messages=HI).choices[0].message.content
    chunks = list(client.chat.completions.create(model="flock-demo", messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


def stream_usage() -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="flock-demo", messages=HI, stream=True, stream_options=options)
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 2


def auto_model() -> None:
    answer = client.chat.completions.with_raw_response.create(model="auto", messages=HI)
    assert answer.headers["x-flock-model"]
    assert answer.parse().choices[0].message.content


def tools() -> None:
    answer = client.chat.completions.create(model="caller", messages=HI, tools=[WEATHER])
    call: Any = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    follow: Any = [
        *HI,
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert client.chat.completions.create(model="flock-demo", messages=follow, tools=[WEATHER]).choices


def tools_stream() -> None:
    chunks = list(client.chat.completions.create(model="caller", messages=HI, tools=[WEATHER], stream=True))
    deltas: Any = [call for c in chunks for call in c.choices[0].delta.tool_calls or []]
    assert {delta.index for delta in deltas} == {0}
    assert (deltas[0].type, deltas[0].function.name) == ("function", "get_weather")
    assert deltas[0].id
    assert json.loads("".join(delta.function.arguments or "" for delta in deltas)) == {"city": "Paris"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def named_tool() -> None:
    choice: Any = {"type": "function", "function": {"name": "get_weather"}}
    answer = client.chat.completions.create(
        model="caller", messages=HI, tools=[WEATHER], tool_choice=choice, max_tokens=200
    )
    call: Any = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"


def json_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"const": "yes"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
    answer = client.chat.completions.create(
        model="babble", messages=HI, response_format=wanted, max_tokens=400, temperature=0, seed=1
    )
    if answer.choices[0].finish_reason == "stop":
        assert json.loads(answer.choices[0].message.content) == {"ok": "yes"}
    else:  # a model that knows nothing may fill its bound with the white space that JSON allows
        assert answer.choices[0].message.content.lstrip()[:1] in ("", "{")


def logprobs() -> None:
    answer = client.chat.completions.create(
        model="flock-demo", messages=HI, logprobs=True, top_logprobs=3, max_tokens=4
    )
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == 4
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)


def two_choices() -> None:
    answer = client.chat.completions.create(model="flock-demo", messages=HI, n=2)
    assert sorted(choice.index for choice in answer.choices) == [0, 1]
    assert all(choice.message.content.startswith("Hello") for choice in answer.choices)


def completions() -> None:
    answer = client.completions.create(model="flock-demo", prompt="hi", max_tokens=5)
    assert answer.object == "text_completion"
    assert answer.id.startswith("cmpl-")
    assert answer.usage.completion_tokens == 5
    chunks = list(client.completions.create(model="flock-demo", prompt="hi", max_tokens=5, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


def embeddings() -> None:
    texts = ["one two", "three"]
    floats = client.embeddings.create(model="embedder", input=texts, encoding_format="float")
    packed = client.embeddings.create(model="embedder", input=texts)  # the SDK asks for base64 and unpacks it
    assert [row.index for row in floats.data] == [0, 1]
    assert len(floats.data[0].embedding) > 8
    for one, other in zip(floats.data, packed.data, strict=True):
        assert all(
            math.isclose(a, b, abs_tol=1e-5) for a, b in zip(one.embedding, other.embedding, strict=True)
        )
    assert floats.usage.prompt_tokens > 0
    raw = client.embeddings.with_raw_response.create(model="embedder", input="x", encoding_format="base64")
    assert isinstance(json.loads(raw.text)["data"][0]["embedding"], str)


def models() -> None:
    listed = {model.id for model in client.models.list()}
    assert {"auto", "flock-demo", "caller", "embedder"} <= listed
    assert client.models.retrieve("flock-demo").object == "model"


def expect(kind: type[openai.APIStatusError], code: str, call: Any) -> Any:
    try:
        call()
    except kind as error:
        assert error.code == code, error
        assert (error.request_id or "").startswith("req_")
        return error
    raise AssertionError(f"no {kind.__name__}")


def errors() -> None:
    create = client.chat.completions.create
    asked: list[httpx.Request] = []
    counting: Any = httpx.Client(event_hooks={"request": [asked.append]}, timeout=30)
    wrong = OpenAI(base_url=f"{URL}/v1", api_key="nonsense", http_client=counting)  # they may try again
    narrow = OpenAI(base_url=f"{URL}/v1", api_key=NARROW_KEY, http_client=counting)
    expect(openai.AuthenticationError, "invalid_api_key", wrong.models.list)
    expect(
        openai.PermissionDeniedError,
        "permission_denied",
        lambda: narrow.chat.completions.create(model="flock-demo", messages=HI),
    )
    assert len(asked) == 2, "and do not"
    missing = lambda: create(model="flock-dmo", messages=HI)  # noqa: E731
    assert expect(openai.NotFoundError, "model_not_found", missing).param == "model"
    bad = lambda: create(model="flock-demo", messages=HI, max_tokens=-1)  # noqa: E731
    assert expect(openai.BadRequestError, "invalid_request_error", bad).param == "max_tokens"
    long: Any = [{"role": "user", "content": "word " * 100_000}]
    expect(
        openai.BadRequestError, "context_length_exceeded", lambda: create(model="flock-demo", messages=long)
    )


def overload_is_waited_out() -> None:
    """Both slots are taken and nobody may queue: the SDK comes again when it was told to, and is served."""
    talks = [client.chat.completions.create(model="talker", messages=HI, stream=True) for _ in range(2)]
    for talk in talks:
        next(iter(talk))
    statuses: list[tuple[int, float, str]] = []

    def note(response: httpx.Response) -> None:
        after = response.headers.get("retry-after", "")
        statuses.append((response.status_code, time.monotonic(), after))
        for talk in talks:
            talk.close()

    transport: Any = httpx.Client(event_hooks={"response": [note]}, timeout=30)
    patient: Any = OpenAI(
        base_url=f"{URL}/v1",
        api_key=KEY,
        max_retries=2,
        http_client=transport,
    )
    assert patient.chat.completions.create(model="talker", messages=HI, max_tokens=3).choices
    assert [status for status, _, _ in statuses] == [503, 200]
    assert statuses[1][1] - statuses[0][1] >= float(statuses[0][2]) - 0.1


CHECKS = [
    chat, chat_stream, stream_usage, auto_model, tools, tools_stream, named_tool, json_schema, logprobs, two_choices,
    completions, embeddings, models, errors, overload_is_waited_out,
]  # fmt: skip


def main() -> None:
    results = {"version": openai.__version__}
    for check in CHECKS:
        try:
            check()
            results[check.__name__] = ""
        except Exception:  # noqa: BLE001
            results[check.__name__] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main()

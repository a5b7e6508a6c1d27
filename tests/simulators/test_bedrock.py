"""The simulated Bedrock, before its real judges: boto3's client and Anthropic's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from anthropic.lib.bedrock import AnthropicBedrock
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.simulators import bedrock
from tests.simulators.aws_wire import Account
from tests.simulators.bedrock import REGION, Bedrock, Fault

NOVA, CLAUDE = "amazon.nova-lite-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS = "global.anthropic.claude-opus-4-8"
"""Of those models that know the version of its protocol which Anthropic's client asks for."""
WEATHER: dict[str, Any] = {
    "toolSpec": {
        "name": "get_weather",
        "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
}
TOOL: Any = {"name": "get_weather", "input_schema": WEATHER["toolSpec"]["inputSchema"]["json"]}
ASKED: list[dict[str, Any]] = [{"role": "user", "content": [{"text": "Is it raining?"}]}]


@pytest.fixture
def service() -> Iterator[Bedrock]:
    with bedrock.running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)


@contextmanager
def client(service: Bedrock, **changes: str) -> Iterator[Any]:
    account = service.state.account
    keys = {
        "aws_access_key_id": account.key,
        "aws_secret_access_key": account.secret,
        "aws_session_token": account.token or None,
        "region_name": REGION,
    }
    config = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    made = boto3.Session(**keys | changes).client("bedrock-runtime", endpoint_url=service.url, config=config)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def talking(service: Bedrock) -> Iterator[Any]:
    with client(service) as made:
        yield made


@pytest.fixture
def claude(service: Bedrock) -> Iterator[AnthropicBedrock]:
    account = service.state.account
    made = AnthropicBedrock(
        aws_access_key=account.key,
        aws_secret_key=account.secret,
        aws_region=REGION,
        base_url=service.url,
        max_retries=0,
    )
    with made:
        yield made


def test_boto3_converses_with_tools(talking: Any):
    answer = talking.converse(modelId=NOVA, messages=ASKED, toolConfig={"tools": [WEATHER]})
    call = answer["output"]["message"]["content"][1]["toolUse"]
    assert (answer["stopReason"], call["name"], call["input"]["city"]) == (
        "tool_use",
        "get_weather",
        "Zürich",
    )
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "42 drops"}]}}
    turns = [*ASKED, answer["output"]["message"], {"role": "user", "content": [result]}]
    again = talking.converse(modelId=NOVA, messages=turns, toolConfig={"tools": [WEATHER]})
    assert again["output"]["message"]["content"] == [{"text": "The tool said: 42 drops"}]
    assert again["usage"]["cacheReadInputTokens"] == 5


def test_boto3_reads_a_streamed_conversation(service: Bedrock, talking: Any):
    service.state.thought = "rain, rain"
    answer = talking.converse_stream(modelId=NOVA, messages=ASKED, toolConfig={"tools": [WEATHER]})
    events = list(answer["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta.get("text", "") for delta in deltas) == "Let me look. 🔎"
    thought = "".join(d["reasoningContent"].get("text", "") for d in deltas if "reasoningContent" in d)
    assert thought == "rain, rain"
    arguments = "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta)
    assert json.loads(arguments) == {"city": "Zürich", "days": 2}
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 7


def test_boto3_invokes_an_anthropic_model_and_reads_its_stream(talking: Any):
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9}
    body["messages"] = [{"role": "user", "content": "hi"}]
    asked = {"modelId": CLAUDE, "body": json.dumps(body)}
    whole = json.loads(talking.invoke_model(**asked)["body"].read())
    assert whole["content"][0]["text"] == "Quack from Bedrock: hi"
    stream = talking.invoke_model_with_response_stream(**asked)["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in stream]
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")


def test_anthropics_client_uses_tools_streamed_and_whole(claude: AnthropicBedrock):
    asked: Any = {"model": OPUS, "max_tokens": 99, "messages": [{"role": "user", "content": "Raining?"}]}
    whole = claude.messages.create(**asked, tools=[TOOL])
    with claude.messages.stream(**asked, tools=[TOOL]) as stream:
        streamed = stream.get_final_message()
    assert whole.stop_reason == streamed.stop_reason == "tool_use"
    assert whole.content[-1] == streamed.content[-1]
    assert whole.usage.output_tokens == streamed.usage.output_tokens == 7


def test_a_bearer_key_is_taken_in_place_of_a_signature(service: Bedrock):
    with AnthropicBedrock(
        api_key=service.state.account.bearer, aws_region=REGION, base_url=service.url, max_retries=0
    ) as made:
        answer = made.messages.create(model=OPUS, max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert answer.stop_reason == "end_turn"


def test_a_session_needs_its_token(service: Bedrock):
    service.state.account = Account(token="session-token")
    with client(service) as known:
        assert known.converse(modelId=NOVA, messages=ASKED)["stopReason"] == "end_turn"
    refused = pytest.raises(ClientError, match="UnrecognizedClientException")
    with client(service, aws_session_token="another") as other, refused:
        other.converse(modelId=NOVA, messages=ASKED)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "NOBODY"}, "UnrecognizedClientException"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException"),
    ],
)
def test_wrong_signatures_are_refused(service: Bedrock, changes: dict[str, str], error: str):
    with client(service, **changes) as other, pytest.raises(ClientError, match=error) as caught:
        other.converse(modelId=NOVA, messages=ASKED)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    ("model", "messages", "complaint"),
    [
        (NOVA, [{"role": "user", "content": [{"text": " "}]}], "is blank"),
        (NOVA, [*ASKED, *ASKED], "must alternate"),
        (NOVA, [{"role": "assistant", "content": [{"text": "a"}]}], "must start with a user message"),
        ("no.model", ASKED, "model identifier is invalid"),
        (
            NOVA,
            [{"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": []}}]}],
            "toolConfig",
        ),
    ],
)
def test_what_bedrock_refuses_is_refused(talking: Any, model: str, messages: Any, complaint: str):
    with pytest.raises(ClientError, match=complaint) as caught:
        talking.converse(modelId=model, messages=messages)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_scripted_faults_strike_as_the_client_knows_them(service: Bedrock, talking: Any):
    service.state.fault = Fault("status", 429, "ThrottlingException")
    with pytest.raises(talking.exceptions.ThrottlingException):
        talking.converse(modelId=NOVA, messages=ASKED)
    service.state.fault, service.state.struck = Fault("exception", error="throttlingException"), 0
    stream = talking.converse_stream(modelId=NOVA, messages=ASKED)["stream"]
    with pytest.raises(EventStreamError, match="scripted fault"):
        list(stream)
    stream.close()
    assert talking.converse(modelId=NOVA, messages=ASKED)["stopReason"] == "end_turn"

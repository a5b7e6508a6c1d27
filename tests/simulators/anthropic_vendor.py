"""Anthropic's API on loopback, as strict as it is: /v1/messages, /v1/messages/count_tokens, /v1/models.

The model does its task with tools or greets (`tool_model`), unless `script` says what it says.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.simulators import anthropic_answers as answers
from tests.simulators.anthropic_rules import MODELS, VERSIONS, refusals
from tests.simulators.tool_model import play
from tests.simulators.vendor_server import Fault, Received, Reply, Script, Vendor, running


class AnthropicVendor(Vendor):
    """`prompt_limit`: tokens (words) of a prompt, of which more are too many."""

    prompt_limit = 200_000

    def headers(self, number: int) -> dict[str, str]:
        return answers.headers(number)

    def failed(self, fault: Fault) -> bytes:
        return answers.error(fault.status, fault.message, 0, fault.kind_of)

    def broken(self, fault: Fault) -> bytes:
        return answers.error_event(fault)

    def answer(self, request: Received, script: Script, number: int) -> Reply:
        path = urlsplit(request.path).path
        if (key := _key(request)) not in self.keys:
            said = "invalid x-api-key" if key else "x-api-key header is required"
            return _refused(401, said, number)
        if (said := request.header("anthropic-version")) not in VERSIONS:
            wrong = f'"{said}" is not a valid version' if said else "header is required"
            return _refused(400, f"anthropic-version: {wrong}", number)
        match request.method, path:
            case "GET", "/v1/models":
                listed = [answers.model(name) for name in MODELS]
                ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
                return _json({"data": listed, "has_more": False, **ends})
            case "GET", _ if path.removeprefix("/v1/models/") in MODELS:
                return _json(answers.model(path.removeprefix("/v1/models/")))
            case "POST", "/v1/messages" | "/v1/messages/count_tokens":
                return self._asked(request, script, number, counting=path.endswith("count_tokens"))
            case _:
                return _refused(404, f"Not Found: {path}", number)

    def _asked(self, request: Received, script: Script, number: int, *, counting: bool) -> Reply:
        if not (request.header("content-type") or "").startswith("application/json"):
            return _refused(400, "content-type: must be application/json", number)
        try:
            body = json.loads(request.body)
        except ValueError as error:
            return _refused(400, f"The request body is not valid JSON: {error}", number)
        version, beta = request.header("anthropic-version"), request.header("anthropic-beta")
        if wrong := list(refusals(body, version=version or "", beta=beta is not None, counting=counting)):
            return _refused(400, wrong[0], number)
        if body["model"] not in MODELS:
            return _refused(404, f"model: {body['model']}", number)
        count = answers.tokens(body)
        if count > self.prompt_limit:
            return _refused(400, f"prompt is too long: {count} tokens > {self.prompt_limit} maximum", number)
        if counting:
            return _json({"input_tokens": count})
        turn = script.turn or play(answers.chat_form(body))
        if body.get("stream"):
            return Reply(pieces=answers.events(body, script, turn, number))
        return _json(answers.message(body, script, turn, number))


def _key(request: Received) -> str:
    bearer = (request.header("authorization") or "").removeprefix("Bearer ")
    return request.header("x-api-key") or bearer


def _json(said: Any) -> Reply:
    return Reply(body=json.dumps(said).encode())


def _refused(status: int, message: str, number: int) -> Reply:
    retry = {"x-should-retry": "false"}
    return Reply(status, answers.error(status, message, number), headers=retry, refused=message)


@contextmanager
def anthropic_vendor(port: int = 0) -> Iterator[AnthropicVendor]:
    """Such a vendor, running."""
    with running(AnthropicVendor(port)) as vendor:
        yield vendor

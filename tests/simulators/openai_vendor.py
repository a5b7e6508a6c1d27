"""OpenAI's API on loopback, as strict as it is: chat/completions, completions, embeddings, responses,
audio/transcriptions, models.

The model does its task with tools or greets (`tool_model`), unless `script` says what it says.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any
from urllib.parse import urlsplit

from tests.simulators import openai_answers as answers
from tests.simulators import openai_responses as responses
from tests.simulators.openai_models import MODELS, encrypted
from tests.simulators.openai_rules import Refusal, refusals
from tests.simulators.tool_model import GREETING, Turn, play
from tests.simulators.vendor_server import KEY, Fault, Received, Reply, Script, Vendor, running

_KEYS = "You can find your API key at https://platform.openai.com/account/api-keys."


class OpenAiVendor(Vendor):
    """`prompt_limit`: tokens (words) of a prompt, of which more are too many. `fails_softly`: a fault of the kind error
    ends a response with ``response.failed`` instead of ``error``."""

    prompt_limit = 200_000
    fails_softly = False

    def __init__(self, port: int = 0, keys: Iterable[str] = (KEY,)) -> None:
        super().__init__(port, keys)
        self._thoughts: dict[str, str] = {}
        self._path = ""

    def headers(self, number: int) -> dict[str, str]:
        return answers.headers(number)

    def failed(self, fault: Fault) -> bytes:
        return answers.failed(fault)

    def broken(self, fault: Fault) -> bytes:
        if self._path != "/v1/responses":
            return b"data: " + json.dumps(json.loads(answers.failed(fault))).encode() + b"\n\n"
        return responses.failed_event(fault) if self.fails_softly else responses.error_event(fault)

    def answer(self, request: Received, script: Script, number: int) -> Reply:
        self._path = path = urlsplit(request.path).path
        bearer = (request.header("authorization") or "").removeprefix("Bearer ")
        if not bearer:
            said = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header "
            )
            return _refused(Refusal(f"{said}using Bearer auth. {_KEYS}", status=401))
        if bearer not in self.keys:
            said = f"Incorrect API key provided: {bearer[:3]}****{bearer[-4:]}. {_KEYS}"
            return _refused(Refusal(said, None, "invalid_api_key", 401))
        match request.method, path:
            case "GET", "/v1/models":
                return _json(answers.models())
            case "GET", _ if path.removeprefix("/v1/models/") in MODELS:
                return _json(answers.model(path.removeprefix("/v1/models/")))
            case "GET", _ if path.startswith("/v1/models/"):
                name = path.removeprefix("/v1/models/")
                said = f"The model '{name}' does not exist"
                return _refused(Refusal(said, "model", "model_not_found", 404))
            case "POST", "/v1/audio/transcriptions":
                return _transcribed(request)
            case "POST", "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" | "/v1/responses":
                return self._asked(path, request, script, number)
            case _:
                return _refused(Refusal(f"Invalid URL ({request.method} {path})", status=404))

    def _asked(self, path: str, request: Received, script: Script, number: int) -> Reply:
        if not (request.header("content-type") or "").startswith("application/json"):
            said = "Invalid Content-Type header. Expected 'application/json'."
            return _refused(Refusal(said, None, "unsupported_content_type"))
        try:
            body = json.loads(request.body)
        except ValueError as error:
            return _refused(Refusal(f"We could not parse the JSON body of your request. ({error})"))
        if wrong := next(refusals(path, body, self._thoughts), None):
            return _refused(wrong)
        if (count := len(json.dumps(body).split())) > self.prompt_limit:
            return _refused(_too_long(path, self.prompt_limit, count))
        match path:
            case "/v1/embeddings":
                return _json(answers.embeddings(body))
            case "/v1/completions":
                turn = script.turn or Turn(GREETING)
                whole, stream = answers.completion, answers.completion_events
            case "/v1/chat/completions":
                turn = script.turn or play(body)
                whole, stream = answers.chat, answers.chat_events
            case _:
                turn = script.turn or play(responses.chat_form(body))
                self._thoughts[encrypted(script.reasoning)] = script.reasoning
                whole, stream = responses.response, responses.events
        if body.get("stream"):
            return Reply(pieces=stream(body, script, turn, number))
        return _json(whole(body, script, turn, number))


def _too_long(path: str, limit: int, count: int) -> Refusal:
    if path == "/v1/responses":
        said = "Your input exceeds the context window of this model. Please adjust your input and try again."
        return Refusal(said, "input", "context_length_exceeded")
    said = f"This model's maximum context length is {limit} tokens. However, your messages resulted in {count} tokens."
    return Refusal(said, "messages", "context_length_exceeded")


def _transcribed(request: Received) -> Reply:
    """A recording says how long it is."""
    kind = (request.header("content-type") or "").encode()
    form: EmailMessage = BytesParser(policy=default).parsebytes(
        b"content-type: " + kind + b"\r\n\r\n" + request.body
    )
    fields: dict[str, Any] = {}
    for part in form.iter_parts():
        name = part["content-disposition"].params["name"]
        fields[name] = part.get_payload(decode=True)
    for name in ("file", "model"):
        if name not in fields:
            said = f"Missing required parameter: '{name}'."
            return _refused(Refusal(said, name, "missing_required_parameter"))
    if fields["model"] not in (b"whisper-1", b"gpt-4o-transcribe", b"gpt-4o-mini-transcribe"):
        said = f"The model `{fields['model'].decode()}` does not exist or you do not have access to it."
        return _refused(Refusal(said, None, "model_not_found", 404))
    used = {"type": "tokens", "input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    return _json({"text": f"{len(fields['file'])} bytes", "usage": used})


def _json(said: Any) -> Reply:
    return Reply(body=json.dumps(said).encode())


def _refused(refusal: Refusal) -> Reply:
    return Reply(refusal.status, answers.refusal(refusal), refused=refusal.message)


@contextmanager
def openai_vendor(port: int = 0) -> Iterator[OpenAiVendor]:
    """Such a vendor, running."""
    with running(OpenAiVendor(port)) as vendor:
        yield vendor

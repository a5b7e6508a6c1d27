"""Errors of the Messages protocol, as the official client raises them."""

import json

import anthropic
import pytest

from controlplane.protocols.anthropic import MessagesSurface
from flockpy.errors import (
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    Forbidden,
    Overloaded,
    QuotaSpent,
    Unauthenticated,
    UnknownModel,
)
from tests.unit.controlplane.protocols.messages_sdk import Reader

SURFACE = MessagesSurface()


@pytest.mark.parametrize(
    ("error", "status", "kind", "raised"),
    [
        (BadRequest("no"), 400, "invalid_request_error", anthropic.BadRequestError),
        (ContextTooLong("no"), 400, "invalid_request_error", anthropic.BadRequestError),
        (Unauthenticated("no"), 401, "authentication_error", anthropic.AuthenticationError),
        (Forbidden("no"), 403, "permission_error", anthropic.PermissionDeniedError),
        (UnknownModel("no"), 404, "not_found_error", anthropic.NotFoundError),
        (BodyTimeout("no"), 408, "invalid_request_error", anthropic.APIStatusError),
        (BodyTooLarge("no"), 413, "request_too_large", anthropic.APIStatusError),
        (QuotaSpent("no"), 429, "rate_limit_error", anthropic.RateLimitError),
        (FlockError("no"), 500, "api_error", anthropic.InternalServerError),
        (EngineDied("no"), 502, "overloaded_error", anthropic.InternalServerError),
        (Overloaded("no"), 529, "overloaded_error", anthropic.APIStatusError),
        (EngineUnreachable("no"), 529, "overloaded_error", anthropic.APIStatusError),
    ],
)
def test_an_error_has_the_status_and_type_that_its_situation_has(
    error: FlockError, status: int, kind: str, raised: type[anthropic.APIStatusError]
):
    body = SURFACE.error(error)
    assert SURFACE.status(error) == status
    said = json.loads(body)
    assert said["type"] == "error" and said["error"]["type"] == kind and said.keys() == {"type", "error"}
    with pytest.raises(raised, match="no"):
        Reader().whole(body, status)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ContextTooLong("no", tokens=9, maximum=5), "prompt is too long: 9 tokens > 5 maximum"),
        (ContextTooLong("the engine refused"), "prompt is too long: the engine refused"),
        (BadRequest("it sees nothing", field="messages"), "messages: it sees nothing"),
        (BadRequest("tools[0].name: must be a text", field="tools[0].name"), "tools[0].name: must be a text"),
        (EngineUnreachable("no engine", hint="run it"), "no engine. run it"),
    ],
)
def test_an_error_says_what_is_wrong_where_and_what_mends_it(error: FlockError, message: str):
    assert json.loads(SURFACE.error(error))["error"]["message"] == message

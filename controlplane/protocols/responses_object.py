"""The Response object: what a Responses answer says of itself beside its items. Pure."""

from math import ceil
from typing import Any, Final

from controlplane.protocols.base import Usage
from controlplane.protocols.ir import JsonFormat, Meta, Named, Request
from controlplane.protocols.openai_error import told
from controlplane.protocols.responses_tools import Returned
from controlplane.tenants.estimate import UNKNOWN
from flockpy.errors import ContextTooLong, FlockError, QuotaSpent


def begun(request: Request, meta: Meta) -> dict[str, Any]:
    """The object before anything has come of the answer. Tools are not repeated: the client has them."""
    effort = "none" if request.thinking.enabled is False else request.thinking.effort
    return {
        "id": f"resp_{meta.id}",
        "object": "response",
        "created_at": meta.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": request.max_tokens,
        "metadata": {},
        "model": meta.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": effort, "summary": None},
        "store": False,
        "temperature": request.temperature,
        "text": {"format": _format(request.format)},
        "tool_choice": _choice(request),
        "tools": [],
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
    }


def usage(counted: Usage) -> dict[str, Any]:
    """How reasoning shares in the output no engine says."""
    return {
        "input_tokens": counted.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": counted.cached_tokens,
            "cache_write_tokens": counted.cache_written_tokens,
        },
        "output_tokens": counted.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted.prompt_tokens + counted.completion_tokens,
    }


def guessed(meta: Meta, characters: int) -> Usage:
    """The usage of an answer of so many characters, when the engine has not counted it."""
    return Usage(meta.prompt_tokens, ceil(characters * UNKNOWN))


_AGAIN: Final = "Please try again in {}s."


def failure(error: FlockError) -> dict[str, Any]:
    """Why a response failed, by the codes that clients act upon: what cannot succeed later is not to be tried again."""
    message, code = told(error), "server_error"
    if isinstance(error, ContextTooLong | QuotaSpent):
        code = error.code
    elif error.status < 500:
        code = "invalid_prompt"
    elif error.retry_after is not None:
        code, message = "rate_limit_exceeded", f"{message}. {_AGAIN.format(error.retry_after)}"
    return {"code": code, "message": message}


def _format(wanted: JsonFormat | None) -> dict[str, Any]:
    if wanted is None:
        return {"type": "text"}
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": wanted.schema, "strict": wanted.strict}
    return {"type": "json_schema", **schema}


def _choice(request: Request) -> Any:
    if not isinstance(request.tool_choice, Named):
        return request.tool_choice or "auto"
    origin = Returned(request).origin(request.tool_choice.name)
    return {"type": "custom" if origin.custom else "function", "name": origin.name}

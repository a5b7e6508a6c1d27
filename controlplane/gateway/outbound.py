"""Which route of an engine a request goes to, and as what bytes. Pure."""

from typing import Any, Final

import msgspec

from controlplane.gateway.upstream import body_for
from controlplane.protocols import chat_dialect, completion_dialect
from controlplane.protocols.base import Inbound, Surface
from controlplane.protocols.ir import Named, Request
from controlplane.protocols.openai_chat import ChatSurface, CompletionSurface
from controlplane.protocols.translated import Neutral
from flockpy.engines.base import Quirks
from flockpy.errors import BadRequest

_JSON: Final = b"application/json"


class Outbound(msgspec.Struct, frozen=True):
    """What is posted to `path` of an engine. `ignored` names what of the request does nothing there."""

    path: str
    data: bytes
    content_type: bytes = _JSON
    ignored: tuple[str, ...] = ()


def outbound(
    surface: Surface,
    inbound: Inbound,
    body: bytes,
    *,
    model: str,
    quirks: Quirks,
    max_tokens_cap: int | None,
    live: bool,
) -> Outbound:
    """`model` is the engine's name for it; `max_tokens_cap` bounds a request that set no bound; `live` asks for a
    stream with progress, whatever the client wants. Raises BadRequest."""
    if isinstance(inbound, Neutral):
        return translated(
            inbound.request, model=model, quirks=quirks, max_tokens_cap=max_tokens_cap, live=live
        )
    path = surface.engine_path
    if surface.reshapes or surface.opaque:
        return Outbound(path, surface.engine_body(inbound, body, model), surface.content_type(inbound))
    data = body_for(inbound, body, model=model, quirks=quirks, max_tokens_cap=max_tokens_cap, live=live)
    unheard = quirks.ignores | quirks.never_sent
    return Outbound(
        path, data, ignored=tuple(sorted(unheard.intersection(inbound.fields))) if unheard else ()
    )


def translated(
    request: Request, *, model: str, quirks: Quirks, max_tokens_cap: int | None, live: bool
) -> Outbound:
    """A request in the neutral form, as the chat or completions request of an engine: always for a stream."""
    changes: dict[str, Any] = {}
    if request.max_tokens is None and (max_tokens_cap or quirks.max_tokens_unless_named):
        changes["max_tokens"] = max_tokens_cap or quirks.max_tokens_unless_named
    if isinstance(request.tool_choice, Named) and quirks.ignores_named_tool_choice:
        name = request.tool_choice.name
        changes["tools"] = tuple(tool for tool in request.tools if tool.name == name)
        changes["tool_choice"] = "required"
        if not changes["tools"]:
            raise BadRequest(f"tool_choice: no tool named {name!r} is offered in tools", field="tool_choice")
    elif request.tool_choice == "none" and "tool_choice" in quirks.ignores:
        changes["tools"] = ()
    if changes:
        request = msgspec.structs.replace(request, **changes)
    if request.raw:
        path = CompletionSurface.engine_path
        data = completion_dialect.render_prompt(request, model=model, stream=True)
    else:
        path = ChatSurface.engine_path
        data = chat_dialect.render_request(request, model=model, stream=True)
    asked = {
        "response_format": request.format,
        "tool_choice": request.tool_choice,
        "parallel_tool_calls": request.parallel_tool_calls,
    }
    ignored = tuple(sorted(name for name in quirks.ignores if asked.get(name) is not None))
    return Outbound(path, data[:-1] + b',"return_progress":true}' if live else data, ignored=ignored)

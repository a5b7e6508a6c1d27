"""A small HTTP/1.1 client for the data path: the heart of the gateway's cost per request.

One `Client` keeps idle connections per `Origin`. `await client.start(…)` writes a request and answers an `Exchange`:

    exchange = await client.start(origin, head, body)      # ConnectError
    head = await exchange.head()                           # Head, or SILENT
    while data := await exchange.read():                   # bytes, or SILENT; b"" is the clean end
        …
    exchange.abort()                                       # at any time: closes the connection = cancels upstream

or, where a task switch for each piece is too much, `await exchange.relay(sink, on_silence)` instead of `read`.

`SILENT` is answered after each `silence_s` without a byte, so that the caller can keep its own client alive; after
`idle_s` without a byte the exchange fails. A request on a reused connection that dies before the first byte of its
answer is sent once more on a fresh one; nothing else is ever retried here. Reading pauses the socket when the
caller falls behind (`HIGH_WATER`), so a stalled reader costs no memory.
"""

from flockpy.http.client import Client, Exchange
from flockpy.http.messages import (
    SILENT,
    ConnectError,
    ExchangeBroken,
    Head,
    HttpError,
    Origin,
    Silent,
    origin_of,
)
from flockpy.http.outbox import Outbox
from flockpy.http.proxies import Proxies, proxy_secrets

__all__ = [
    "SILENT",
    "Client",
    "ConnectError",
    "Exchange",
    "ExchangeBroken",
    "Head",
    "HttpError",
    "Origin",
    "Outbox",
    "Proxies",
    "Silent",
    "origin_of",
    "proxy_secrets",
]

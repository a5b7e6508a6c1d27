"""AWS on the wire, from its documents and without its library: signatures are checked, streams are framed."""

import hashlib
import hmac
import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[\w-]+)/(?P<service>\w+)/aws4_request, "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Account:
    """Who may ask: a pair of keys, with a session's token or without, or a bearer key."""

    key: str = "TESTKEYID"
    secret: str = "not+a/secret"
    token: str = ""
    bearer: str = "bedrock-api-key-test"


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """An error answer: `kind` is the name of the exception."""

    status: int
    kind: str
    message: str


def authenticate(
    account: Account, region: str, path: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """`path`: as it was sent; the headers' names are in lower case. Raises Refused."""
    given = headers.get("authorization", "")
    if given.startswith("Bearer "):
        if given != f"Bearer {account.bearer}":
            raise Refused(403, "AccessDeniedException", "Authentication failed: API Key not valid")
        return
    parts = _HEADER.fullmatch(given)
    if parts is None:
        raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    if (parts["key"], headers.get("x-amz-security-token", "")) != (account.key, account.token):
        message = "The security token included in the request is invalid."
        raise Refused(403, "UnrecognizedClientException", message)
    if (parts["region"], parts["service"]) != (region, "bedrock"):
        raise Refused(403, "InvalidSignatureException", "Credential should be scoped to a valid region.")
    stamp = headers.get("x-amz-date", "")
    signed = parts["signed"].split(";")
    must = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if signed != sorted(signed) or not must <= set(signed) or stamp[:8] != parts["day"]:
        raise Refused(403, "InvalidSignatureException", "'Host' and 'X-Amz-*' must be signed headers.")
    if abs(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - now) > _PATIENCE:
        raise Refused(403, "InvalidSignatureException", f"Signature expired: {stamp} is now earlier than …")
    canonical = "\n".join(
        [
            "POST",
            quote(path, safe="/-_.~"),  # once more: what came encoded is encoded twice
            "",
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            parts["signed"],
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{parts['day']}/{parts['region']}/bedrock/aws4_request"
    told = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{account.secret}".encode()
    for part in (parts["day"], parts["region"], "bedrock", "aws4_request", told):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), parts["signature"]):
        message = (
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            f"Access Key and signing method.\n\nThe Canonical String for this request should have been\n'{canonical}'"
        )
        raise Refused(403, "InvalidSignatureException", message)


def frame(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """One message of an event stream."""
    head = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + struct.pack("!BH", 7, len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    message = prelude + head + payload
    return message + struct.pack("!I", zlib.crc32(message))


def event(kind: str, payload: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(json.dumps(payload, ensure_ascii=False).encode(), headers)


def exception(kind: str, payload: Any) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(json.dumps(payload).encode(), headers)

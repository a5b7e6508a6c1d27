"""What goes out to a vendor in a head, and what of its answer's head reaches the client."""

import pytest

from controlplane.egress.base import Posting
from controlplane.gateway.vendor_heads import (
    MAX_PASSED,
    asked_headers,
    head_of,
    is_error_of,
    passed_headers,
    wait_of,
)


def posting(url: str) -> Posting:
    return Posting(url, ((b"x-api-key", b"secret"), (b"content-type", b"application/json")), b"{}", None)


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("https://api.example/v1/messages", b"/v1/messages", b"api.example"),
        ("http://127.0.0.1:9/base/v1/x?alt=sse", b"/base/v1/x?alt=sse", b"127.0.0.1:9"),
        ("https://h/model/a%3A0/invoke", b"/model/a%3A0/invoke", b"h"),
        ("https://user:word@h", b"/", b"h"),
    ],
)
def test_a_head_says_where_and_what(url: str, target: bytes, host: bytes):
    head = head_of(posting(url))
    assert head == (
        b"POST %b HTTP/1.1\r\nhost: %b\r\nx-api-key: secret\r\ncontent-type: application/json\r\n"
        b"accept-encoding: identity\r\ncontent-length: 2\r\n\r\n" % (target, host)
    )


def test_neither_the_clients_key_nor_who_is_to_pay_goes_to_a_vendor():
    given = [
        (b"authorization", b"Bearer sk-orc-1"),
        (b"x-api-key", b"sk-orc-1"),
        (b"cookie", b"a=b"),
        (b"proxy-authorization", b"Basic x"),
        (b"host", b"here"),
        (b"openai-organization", b"org"),
        (b"openai-project", b"proj"),
        (b"anthropic-organization-id", b"org"),
        (b"anthropic-workspace-id", b"wrkspc"),
        (b"anthropic-beta", b"one"),
    ]
    assert asked_headers(given) == ((b"anthropic-beta", b"one"),)


def test_limits_pass_and_the_leaders_account_does_not():
    told = passed_headers(
        (
            (b"anthropic-ratelimit-requests-remaining", b"9"),
            (b"anthropic-organization-id", b"org"),
            (b"openai-organization", b"org"),
            (b"openai-project", b"proj"),
            (b"anthropic-workspace-id", b"wrkspc"),
            (b"openai-processing-ms", b"12"),
            (b"x-ratelimit-remaining-tokens", b"5"),
            (b"request-id", b"req_v"),
            (b"retry-after", b"3"),
            (b"x-should-retry", b"true"),
            (b"set-cookie", b"a=b"),
            (b"content-length", b"9"),
            (b"transfer-encoding", b"chunked"),
            (b"x-request-id", b"theirs"),
        )
    )
    assert told == (
        b"anthropic-ratelimit-requests-remaining: 9\r\nopenai-processing-ms: 12\r\n"
        b"x-ratelimit-remaining-tokens: 5\r\nrequest-id: req_v\r\nretry-after: 3\r\nx-should-retry: true\r\n"
    )


def test_a_vendors_headers_are_no_more_than_clients_can_take():
    many = tuple((b"anthropic-%d" % number, b"x" * 1000) for number in range(60))
    told = passed_headers(((b"retry-after", b"3"), *many))
    assert told.startswith(b"retry-after: 3\r\nanthropic-0: x")
    assert len(told) <= MAX_PASSED
    assert told.endswith(b"x\r\n")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"3", 3),
        (b" 3 ", 3),
        (b"999", 30),
        (b"", None),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", None),
        (b"-1", None),
    ],
)
def test_a_wait_is_read_in_seconds(value: bytes, seconds: int | None):
    assert wait_of(value) == seconds


@pytest.mark.parametrize(
    ("body", "openai", "anthropic"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}', True, True),
        (b'{"error":{"message":"m","type":"server_error","param":null,"code":null}}', True, False),
        (b'{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}', True, False),
        (b'[{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}]', False, False),
        (b'{"message":"ValidationException"}', False, False),
        (b'{"error":"m"}', False, False),
        (b'{"type":"error","error":{}}', False, False),
        (b"<html>502 Bad Gateway</html>", False, False),
        (b'{"error":{"message":"\xff"}}', False, False),
        (b"", False, False),
    ],
)
def test_an_error_is_passed_on_only_to_who_speaks_its_protocol(body: bytes, openai: bool, anthropic: bool):
    assert is_error_of("chat", body) is openai
    assert is_error_of("responses", body) is openai
    assert is_error_of("messages", body) is anthropic

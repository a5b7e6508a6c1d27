"""Vendors over TLS, behind a company's proxy, with the company's own certificate: and with one that nobody knows."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.certificates import self_signed
from tests.cluster.program import Program, eventually, running
from tests.cluster.raw_messages import message
from tests.cluster.raw_vendor import RawVendor, raw_vendor, whole
from tests.cluster.watched import body
from tests.connect_proxy import ConnectProxy, connect_proxy

KEY = "canary-of-a-vendor-0123456789"
WORD = "p%40ssword-of-the-proxy"


@dataclass(frozen=True, slots=True)
class Office:
    """`known` is trusted, `stranger` is not; neither has a name that any name server knows."""

    program: Program
    proxy: ConnectProxy
    known: RawVendor
    stranger: RawVendor

    def ask(self, model: str, path: str = "/v1/messages") -> httpx.Response:
        with self.program.client() as client:
            return client.post(path, json=body(model))


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    trusted = self_signed(folder / "known.pem", "vendor.test")
    other = self_signed(folder / "stranger.pem", "stranger.test")
    with (
        connect_proxy(user="me:p@ssword-of-the-proxy") as proxy,
        raw_vendor(tls(trusted)) as known,
        raw_vendor(tls(other)) as stranger,
    ):
        lines = (
            "router:",
            "  fallback:",
            f"    anthropic_api_key: {KEY}",
            f"    anthropic_url: https://vendor.test:{known.port}",
            f"    openai_api_key: {KEY}",
            f"    openai_url: https://stranger.test:{stranger.port}/v1",
        )
        (folder / "data").mkdir(mode=0o700)
        (folder / "data" / "config.yaml").write_text("\n".join(lines) + "\n")
        (folder / "data" / "config.yaml").chmod(0o600)
        environ = {
            "HTTPS_PROXY": f"http://me:{WORD}@127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(trusted),
            "FLOCK_LOG_LEVEL": "debug",
        }
        with running(folder, **environ) as program:
            eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
            yield Office(program, proxy, known, stranger)


def test_a_vendor_is_asked_through_the_proxy_which_sees_nothing_of_it(office: Office):
    office.known.say(whole(message("hello there")))
    answer = office.ask("claude-haiku-4-5")
    assert answer.status_code == 200, answer.text
    assert "hello there" in answer.text
    (heard,) = office.known.requests
    assert heard.headers["x-api-key"] == KEY
    assert "proxy-authorization" not in heard.headers
    assert office.proxy.asked[0].startswith(b"CONNECT vendor.test:%d HTTP/1.1\r\n" % office.known.port)
    assert KEY.encode() not in b"".join(office.proxy.asked)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_who_cannot_prove_to_be_the_vendor_is_told_nothing(office: Office, path: str):
    answer = office.ask("gpt-5", path)
    assert answer.status_code in (503, 529)
    assert not office.stranger.requests
    assert "stranger.test" not in answer.text
    receipt = office.program.get(f"/admin/v1/requests/{answer.headers['x-request-id']}")
    assert "certificate" in str(receipt["receipt"])
    assert "self-signed certificate" in office.program.said()


def test_neither_key_nor_password_is_anywhere(office: Office):
    program = office.program
    said = program.said() + program.cli("config", "show").stdout + program.cli("doctor").stdout
    processes = [program.process("agent"), *program.engines()]
    for secret in (KEY, WORD, "p@ssword-of-the-proxy"):
        assert secret not in said
        for process in processes:
            assert secret not in " ".join(process.cmdline())
    for engine in program.engines():
        assert "HTTPS_PROXY" not in engine.environ()

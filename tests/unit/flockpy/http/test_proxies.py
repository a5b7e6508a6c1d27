"""Which proxy the environment means, and for whom."""

import pytest

from flockpy.http.proxies import Proxies, Proxy, ProxyError, proxy_secrets

HOST, PORT = "api.example.com", 443
PROXY = {"HTTPS_PROXY": "http://proxy:3128"}


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://proxy:1"}, None),
        (PROXY, Proxy("proxy", 3128)),
        ({"https_proxy": "proxy:3128"}, Proxy("proxy", 3128)),
        ({"ALL_PROXY": "http://proxy"}, Proxy("proxy", 80)),
        ({**PROXY, "https_proxy": "http://small:1", "all_proxy": "http://all:2"}, Proxy("small", 1)),
        ({"https_proxy": "http://[::1]:3128/"}, Proxy("::1", 3128)),
        (
            {"https_proxy": "http://me:p%40ss@proxy:1"},
            Proxy("proxy", 1, b"proxy-authorization: Basic bWU6cEBzcw==\r\n"),
        ),
        ({"https_proxy": "http://me@proxy:1"}, Proxy("proxy", 1, b"proxy-authorization: Basic bWU6\r\n")),
    ],
)
def test_the_environment_names_it(environ: dict[str, str], proxy: Proxy | None):
    assert Proxies(environ).before(HOST, PORT) == proxy


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_behind_none(host: str):
    assert Proxies(PROXY).before(host, PORT) is None


@pytest.mark.parametrize(
    ("entry", "excepted"),
    [
        ("*", True),
        ("api.example.com", True),
        ("API.Example.com", True),
        ("example.com", True),
        (".example.com", True),
        ("*.example.com", True),
        ("a, b ,example.com", True),
        ("a b example.com", True),
        ("example.com:443", True),
        ("example.com:8443", False),
        ("ple.com", False),
        ("api.example.com.evil", False),
        ("10.0.0.0/8", False),
        (".", False),
        ("", False),
    ],
)
def test_some_hosts_are_excepted(entry: str, excepted: bool):
    for name in ("NO_PROXY", "no_proxy"):
        assert (Proxies({**PROXY, name: entry}).before(HOST, PORT) is None) is excepted


@pytest.mark.parametrize(
    ("host", "entry", "excepted"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "[fd00::1]:443", True),
        ("fd00::1", "10.0.0.0/8", False),
    ],
)
def test_so_are_networks(host: str, entry: str, excepted: bool):
    assert (Proxies({**PROXY, "no_proxy": entry}).before(host, PORT) is None) is excepted


@pytest.mark.parametrize(
    "address",
    [
        "https://me:word@proxy",
        "socks5://me:word@proxy:1",
        "http://me:word@",
        "http://me:word@proxy:port",
        "http://me:word@[::1",
    ],
)
def test_one_that_is_of_no_use_is_an_error_without_its_password(address: str):
    with pytest.raises(ProxyError, match="HTTPS_PROXY") as caught:
        Proxies({"HTTPS_PROXY": address}).before(HOST, PORT)
    assert "word" not in str(caught.value)


def test_no_password_is_shown_and_all_are_known():
    environ = {"https_proxy": "http://me:p%40ss@proxy:1", "HTTP_PROXY": "me:other@proxy", "NO_PROXY": "a:b"}
    assert "ss" not in repr(Proxies(environ).before(HOST, PORT))
    assert proxy_secrets(environ) == ("p%40ss", "p@ss", "other")

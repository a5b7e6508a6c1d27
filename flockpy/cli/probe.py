"""Is a leader ready? One request over a bare socket, because the parent process loads no HTTP client."""

import socket
from urllib.parse import urlsplit


def is_ready(url: str, timeout: float = 1) -> bool:
    """Whether ``GET /readyz`` at the base address `url` answers 200 within `timeout` seconds."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), timeout) as connection:
            connection.sendall(
                f"GET /readyz HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n\r\n".encode()
            )
            return connection.recv(16).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False

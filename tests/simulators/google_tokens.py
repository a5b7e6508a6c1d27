"""Google's token endpoint on loopback, and files of service accounts whose tokens it hands out."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ACCOUNT = "leader@quack-1.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


class TokenServer(ThreadingHTTPServer):
    """`lives` is how long its tokens are good for, in seconds; `status` what it answers otherwise than with a token.
    `asked` are the claims of those who asked, `granted` the tokens that they got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.granted = set[str]()
        self.lives, self.status = 3600, 200
        self.open = threading.Event()
        self.open.set()

    def account(self, file: Path) -> Path:
        """Write the file of a service account that has its tokens from here."""
        account = {
            "type": "service_account",
            "project_id": "quack-1",
            "private_key_id": "1",
            "private_key": PRIVATE,
            "client_email": ACCOUNT,
            "token_uri": f"http://127.0.0.1:{self.server_port}/",
        }
        file.write_text(json.dumps(account))
        return file


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast(TokenServer, self.server)
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        claims = jwt.decode(form["assertion"][0], KEY.public_key(), algorithms=["RS256"], audience=AUDIENCE)
        server.asked.append(claims)
        server.open.wait(10)
        token = f"token-{len(server.asked)}"
        granted = {"access_token": token, "expires_in": server.lives, "token_type": "Bearer"}
        refused = {"error": "invalid_grant", "error_description": f"not {form['assertion'][0]}"}
        if server.status == 200:
            server.granted.add(token)
        body = json.dumps(granted if server.status == 200 else refused).encode()
        self.send_response(server.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[TokenServer]:
    """Such a server, and nothing left of it afterwards."""
    with TokenServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.open.set()
            server.shutdown()
            thread.join()

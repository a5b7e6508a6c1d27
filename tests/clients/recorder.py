"""Stands between a client and a leader, and keeps what the client sends for the corpus in ``tests/golden/clients``.

    python -m tests.clients.recorder 8081 http://127.0.0.1:8080 FOLDER [TEXT=INSTEAD…]

Point the client at the first port; each POST becomes a numbered file in FOLDER, scrubbed, each TEXT (the folder where
the client works) replaced. Name those worth keeping.
"""

import http.client
import json
import platform
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.clients.scrubbing import scrubbed

_OWN = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})
"""Headers of a connection, not of what goes through it."""


class Recorder(ThreadingHTTPServer):
    """Listens on a loopback port (0: any) and passes everything on to `upstream`."""

    daemon_threads = True

    def __init__(self, port: int, upstream: str, folder: Path, places: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.upstream = urlsplit(upstream).netloc
        machine = {f"{Path.home()}/": "/users/me/", platform.release(): "6.1.0", socket.gethostname(): "host"}
        self._folder, self._places = folder, {**machine, **places}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def keep(self, path: str, headers: dict[str, str], data: bytes) -> None:
        """Write one request."""
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        request = {"method": "POST", "path": path, "headers": headers, "body": json.loads(data)}
        kept = scrubbed(request, {**self._places, **({key: "KEY"} if key else {})})
        with self._lock:
            number = len(list(self._folder.glob("*.json"))) + 1
            text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
            (self._folder / f"{number:03}.json").write_text(text)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._pass(b"")

    def do_HEAD(self) -> None:
        self._pass(b"")

    def do_POST(self) -> None:
        self._pass(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _pass(self, data: bytes) -> None:
        recorder = self.server
        assert isinstance(recorder, Recorder)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.command == "POST":
            recorder.keep(self.path, headers, data)
        upstream = http.client.HTTPConnection(recorder.upstream)
        passed = {name: value for name, value in headers.items() if name not in _OWN}
        upstream.request(self.command, self.path, data or None, passed)
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OWN:
                self.send_header(name, value)
        self.end_headers()  # HTTP/1.0: the answer ends with the connection
        while piece := answer.read1():
            self.wfile.write(piece)
            self.wfile.flush()
        upstream.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def recording(upstream: str, folder: Path) -> Iterator[Recorder]:
    """Such a recorder, running."""
    with Recorder(0, upstream, folder, {}) as recorder:
        thread = threading.Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield recorder
        finally:
            recorder.shutdown()
            thread.join()


if __name__ == "__main__":
    given = dict(text.split("=", 1) for text in sys.argv[4:])
    with Recorder(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), given) as server:
        server.serve_forever()

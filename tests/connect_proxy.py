"""A proxy as stands between companies and the world: CONNECT, with a password or without. All names are loopback's."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class ConnectProxy:
    """`user` is "name:password", or "" where everybody may. `answer`: what it says instead, as bytes."""

    def __init__(self, user: str = "", answer: bytes = b"") -> None:
        self._user = user
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def stop(self) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()

    def _start(self, what: object, *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments)  # pyright: ignore[reportArgumentType]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._start(self._serve, self._kept(self._listener.accept()[0]))

    def _kept(self, one: socket.socket) -> socket.socket:
        self._open.append(one)
        return one

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (more := client.recv(1)):
                    return
                head += more
            self.asked.append(head)
            said = self._answer or self._verdict(head)
            client.sendall(said)
            if self._answer or not said.startswith(b"HTTP/1.1 200"):
                client.shutdown(socket.SHUT_RDWR)
                return
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            server = self._kept(socket.create_connection(("127.0.0.1", port)))
            self._start(_pass, client, server)
            _pass(server, client)

    def _verdict(self, head: bytes) -> bytes:
        said = b"proxy-authorization: Basic " + base64.b64encode(self._user.encode())
        if self._user and said not in head.split(b"\r\n"):
            return b"HTTP/1.1 407 Who?\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n"
        return b"HTTP/1.1 200 Connection established\r\n\r\n"


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def connect_proxy(user: str = "", answer: bytes = b"") -> Iterator[ConnectProxy]:
    proxy = ConnectProxy(user, answer)
    try:
        yield proxy
    finally:
        proxy.stop()

"""The other end of the client's connections: a listener whose answers are raw bytes, in the parts a test asks for."""

import asyncio
import re
import socket
import struct

from flockpy.http import Exchange, Head, Origin, Silent

WITHIN_S = 5.0
AT_ONCE_S = 4.0
"""Less than the silences of a client as tests make it, which is what would end a wait that nothing else ends."""
REQUEST = b"POST /v1/things HTTP/1.1\r\nhost: peer\r\ncontent-length: 5\r\n\r\n"
BODY = b"hello"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def turns(count: int = 3) -> None:
    """Let the event loop look at its sockets: what was sent has been read by the other end after this."""
    for _ in range(count):
        await asyncio.sleep(0)


class Conversation:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._unread = b""

    async def request(self) -> bytes:
        """The next whole request; b"" when the client hung up instead."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                head, found, rest = self._unread.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head)
                size = int(length[1]) if length else 0
                if found and len(rest) >= size:
                    self._unread = rest[size:]
                    return head + found + rest[:size]
                data = await self._loop.sock_recv(self.sock, 65536)
                if not data:
                    return b""
                self._unread += data

    async def say(self, *parts: bytes) -> None:
        """Send each part so that the client reads it alone."""
        for part in parts:
            await self._loop.sock_sendall(self.sock, part)
            await turns()

    async def ended(self) -> None:
        """Wait until the client has closed the connection."""
        async with asyncio.timeout(WITHIN_S):
            try:
                while await self._loop.sock_recv(self.sock, 65536):
                    pass
            except ConnectionError:
                pass

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close as a crashed process does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Peer:
    """Listens on loopback. A connection is there for the client as soon as it asks, accepted or not."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.origin = Origin("127.0.0.1", self._listener.getsockname()[1])
        self.conversations: list[Conversation] = []

    async def accept(self) -> Conversation:
        async with asyncio.timeout(WITHIN_S):
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conversation = Conversation(sock)
        self.conversations.append(conversation)
        return conversation

    async def is_alone(self) -> bool:
        """Nobody has connected beside the accepted ones."""
        await turns(10)
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return True
        sock.close()
        return False

    def close(self) -> None:
        self._listener.close()
        for conversation in self.conversations:
            conversation.close()


async def whole(exchange: Exchange) -> tuple[Head, bytes]:
    """Head and body of an answer that comes without a pause."""
    head = await exchange.head()
    assert isinstance(head, Head)
    return head, await rest(exchange)


async def rest(exchange: Exchange) -> bytes:
    parts: list[bytes] = []
    while data := await exchange.read():
        assert not isinstance(data, Silent)
        parts.append(data)
    return b"".join(parts)

"""Requests that a test holds in its hand, and what the engines say of them when asked past the gateway."""

import json
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from agent.records import Record
from tests.cluster.program import Program, eventually
from tests.tiny_models import tiny_model

WORDS = "the of to and in is you that "
"""Eight tokens of a tiny model's prompt."""


def slow_model(seed: int = 0) -> Path:
    """Talks for ever, some dozens of tokens a second; a prompt of `WORDS` * 100 keeps it busy for seconds."""
    return tiny_model(mode="loop", layers=8, dim=512, ff=2048, context=32768, seed=seed)


class Asked:
    """One request on a connection of its own, which `leave` closes at once. Times are of `time.monotonic`."""

    def __init__(
        self,
        program: Program,
        model: str,
        text: str = "hi",
        *,
        stream: bool = True,
        key: str | None = None,
        **fields: Any,
    ) -> None:
        self._said = b""
        messages = [{"role": "user", "content": text}]
        body = json.dumps({"model": model, "messages": messages, "stream": stream, **fields}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{program.port}\r\nconnection: close\r\n"
            f"authorization: Bearer {key or program.key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._socket = socket.create_connection(("127.0.0.1", program.port), timeout=60)
        self._socket.sendall(head.encode() + body)
        self.began = time.monotonic()

    def until(self, text: bytes, within: float = 60) -> bytes:
        """Everything said so far, as soon as `text` is part of it. Raises EOFError when the answer ends without."""
        deadline = time.monotonic() + within
        while text not in self._said:
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            data = self._socket.recv(65536)
            if not data:
                raise EOFError(self._said)
            self._said += data
        return self._said

    def everything(self, within: float = 60) -> str:
        """All of the answer, head and all, when the leader has closed the connection."""
        try:
            self.until(b"\0never\0", within)
        except EOFError:
            self._socket.close()
            return self._said.decode()
        raise AssertionError("no answer holds that")

    def leave(self) -> float:
        """Go without a word; the time of it."""
        self._socket.close()
        return time.monotonic()

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def record_of(program: Program, model: str) -> Record:
    """What the agent has written down about the engine of a model."""

    def look() -> Record | None:
        return next((record for record in records(program) if record.spec.model.id == model), None)

    return eventually(look, f"the agent has a record of {model}")


def records(program: Program) -> list[Record]:
    """What the agent has written down about all its engines."""
    found: list[Record] = []
    for path in (program.data_dir / "agent" / "instances").glob("*.json"):
        with suppress(FileNotFoundError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Record))
    return found


def engine_client(program: Program, model: str) -> httpx.Client:
    """For questions to its engine, past the gateway."""
    record = record_of(program, model)
    headers = {"authorization": f"Bearer {record.key}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{record.port}", headers=headers, timeout=30)


def slots(program: Program, model: str) -> list[dict[str, Any]]:
    """Its slots that are at work, as the engine itself shows them."""
    with engine_client(program, model) as client:
        return [slot for slot in client.get("/slots").json() if slot["is_processing"]]


def busy_slots(program: Program, model: str) -> int:
    return len(slots(program, model))


def await_decoding(program: Program, model: str) -> None:
    """Wait until its engine has made some tokens for somebody."""

    def look() -> bool:
        return any(slot["next_token"][0]["n_decoded"] > 3 for slot in slots(program, model))

    eventually(look, f"{model} makes tokens")


def await_busy(program: Program, model: str, count: int, within: float = 30) -> float:
    """Wait until that many slots are at work; the time of it."""
    eventually(lambda: busy_slots(program, model) == count, f"{count} slots of {model} work", within)
    return time.monotonic()


def await_stage(program: Program, stage: str, count: int = 1) -> list[dict[str, Any]]:
    """The requests on their way in that stage, once there are so many."""

    def look() -> list[dict[str, Any]] | None:
        live = program.get("/admin/v1/requests")["items"]
        found = [request for request in live if request["stage"] == stage]
        return found if len(found) == count else None

    return eventually(look, f"{count} requests are {stage}")


def await_usage(program: Program, user: str, count: int = 1) -> list[dict[str, Any]]:
    """The records of the requests of a key of that name, newest first, once there are so many."""

    def look() -> list[dict[str, Any]] | None:
        items = program.get("/admin/v1/usage/recent?limit=100")["items"]
        found = [item for item in items if item["user"] == user]
        return found if len(found) == count else None

    return eventually(look, f"{count} requests of {user} are recorded")


def engine_of(program: Program, model: str) -> psutil.Process:
    """The living process that serves a model."""

    def look() -> psutil.Process | None:
        launch = record_of(program, model).launch
        return next((p for p in program.engines() if p.environ().get("FLOCK_LAUNCH") == launch), None)

    return eventually(look, f"the engine of {model} lives")

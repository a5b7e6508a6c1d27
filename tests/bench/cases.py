"""The cases of the bench, their request bodies, and what is aimed at as a multiple of nginx."""

import json
import random
from dataclasses import dataclass
from typing import Any

MODEL = "mock-model"
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"

PROSE = (
    "the request handler reads a token from queue and returns None when stream ends; def walk(node, acc=0): "
    "return acc + sum(x for x in node) # naïve café “quote” → ok \"key\": {'a': 1} \t if err != nil "
    '{ return fmt.Errorf("bad %s", k) }'
)


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load. `chunks` 0: not streamed; `target`: at most this multiple of nginx's CPU.

    `fault` is what shall go wrong in the engine, such as ``die=10``; see ``native/mock.c``. A translating case has the
    `path` of another protocol, which says each piece of text `repeats` times; only ours can serve it, for at most
    `target_us` a chunk and `target_beside` times what the case `beside` costs.
    """

    name: str
    what: str
    body_bytes: int
    turns: int
    connections: int
    chunks: int = 0
    interval_ms: int = 0
    ramp_ms: int = 0
    warm_s: float = 1.5
    target: float | None = None
    fault: str = ""
    path: str = CHAT
    repeats: int = 1
    beside: str = ""
    target_us: float | None = None
    target_beside: float | None = None

    @property
    def unit(self) -> str:
        return "chunk" if self.chunks else "request"

    def body(self, model: str = MODEL) -> bytes:
        directive = f"[[mock n={self.chunks} i={self.interval_ms} {self.fault} ]]" if self.chunks else ""
        body = chat_body(self.body_bytes, self.turns, bool(self.chunks), directive, model)
        if self.path == MESSAGES:
            body["system"] = body["messages"].pop(0)["content"]
        elif self.path == RESPONSES:
            body = {"model": model, "stream": True, "input": body["messages"], "max_output_tokens": 512}
        return json.dumps(body).encode()


_TRANSLATED: dict[str, Any] = {"beside": "c", "target_us": 25, "target_beside": 3}
CASES = {
    case.name: case
    for case in (
        Case("a", "4 KB request", 3300, 5, 32, target=6),
        Case("b", "200 KB request", 170_000, 41, 8, target=9),
        Case("c", "64 chunks in a burst", 3300, 5, 32, chunks=64, target=2.5),
        Case("d", "200 streams, 20 ms", 3300, 5, 200, 64, interval_ms=20, ramp_ms=1300, warm_s=3, target=2),
        Case("e", "c, by /v1/messages", 3300, 5, 32, chunks=64, path=MESSAGES, **_TRANSLATED),
        Case("f", "c, by /v1/responses", 3300, 5, 32, chunks=64, path=RESPONSES, repeats=5, **_TRANSLATED),
    )
}


def chat_body(size: int, turns: int, stream: bool, directive: str = "", model: str = MODEL) -> dict[str, Any]:
    """A chat request of about `size` bytes of prose and code in so many turns; the same each time."""
    pick = random.Random(7)
    system = _text(pick, size // 6)
    messages = [
        {"role": "user" if i % 2 == 0 else "assistant", "content": _text(pick, size * 5 // 6 // turns)}
        for i in range(turns)
    ]
    messages[-1]["content"] = f"{directive} {messages[-1]['content']}"
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": system}, *messages],
        "temperature": 0.2,
        "max_tokens": 512,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _text(pick: random.Random, size: int) -> str:
    source = PROSE.split(" ")
    words: list[str] = []
    length = 0
    while length < size:
        word = pick.choice(source)
        words.append(word + ("\n" if pick.random() < 0.08 else " "))
        length += len(word.encode()) + 1
    return "".join(words)

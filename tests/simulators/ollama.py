"""An Ollama made of data, faithful enough for its official client: models come and go, load and are cut at `num_ctx`.

It answers every chat with the model's `answer`, one word at a time, and keeps what it was asked in `heard`.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from tests.simulators.ollama_models import NOW, Model, running_model, show, tag

COUNTS = {
    "total_duration": 5_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_duration": 1_000_000,
    "eval_duration": 3_000_000,
}


@dataclass(slots=True)
class State:
    """`loaded`: tokens of context by name; `default_context`: for models that name none."""

    models: dict[str, Model] = field(default_factory=dict[str, Model])
    loaded: dict[str, int] = field(default_factory=dict[str, int])
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    default_context: int = 4096


class Ollama(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *models: Model, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = State({model.name: model for model in models})

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _state(self) -> State:
        return cast(Ollama, self.server).state

    def do_GET(self) -> None:
        models = self._state.models.values()
        match self.path:
            case "/":
                self._send(200, b"Ollama is running", "text/plain")
            case "/api/version":
                self._json({"version": "0.14.2"})
            case "/api/tags":
                self._json({"models": [tag(model) for model in models]})
            case "/api/ps":
                loaded = self._state.loaded
                self._json(
                    {
                        "models": [
                            running_model(model, loaded[model.name])
                            for model in models
                            if model.name in loaded
                        ]
                    }
                )
            case "/v1/models":
                listed = [
                    {"id": m.name, "object": "model", "created": 0, "owned_by": "library"} for m in models
                ]
                self._json({"object": "list", "data": listed or None})
            case _:
                self._send(404, b"404 page not found", "text/plain")

    def do_DELETE(self) -> None:
        model = self._named()
        if model is not None:
            del self._state.models[model.name]
            self._json(None)

    def do_POST(self) -> None:
        self._asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        self._state.heard.append((self.path, self._asked))
        if self.path == "/api/pull":
            self._pull(self._asked["model"])
        elif model := self._find(self._asked):
            self._answer(model)

    def _answer(self, model: Model) -> None:
        match self.path:
            case "/api/show":
                self._json(show(model))
            case "/api/chat" | "/api/generate":
                self._native(model)
            case "/api/embed":
                texts = (
                    self._asked["input"] if isinstance(self._asked["input"], list) else [self._asked["input"]]
                )
                self._json(
                    {"model": model.name, "embeddings": [[0.25, 0.5] for _ in texts], "prompt_eval_count": 2}
                )
            case "/v1/chat/completions":
                self._openai(model)
            case "/v1/embeddings":
                row = {"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}
                usage = {"prompt_tokens": 2, "total_tokens": 2}
                self._json({"object": "list", "data": [row], "model": model.name, "usage": usage})
            case _:
                self._send(404, b"404 page not found", "text/plain")

    def _named(self) -> Model | None:
        return self._find(json.loads(self.rfile.read(int(self.headers.get("content-length", 0)))))

    def _find(self, asked: dict[str, Any]) -> Model | None:
        """The model of that name, with the usual tag where it has none; answers 404 when there is none."""
        name = asked.get("model") or asked.get("name") or ""
        models = self._state.models
        model = models.get(name) or models.get(f"{name}:latest")
        if model is None and self.path.startswith("/v1/"):
            error = {
                "message": f"model '{name}' not found",
                "type": "not_found_error",
                "param": None,
                "code": None,
            }
            self._json({"error": error}, 404)
        elif model is None:
            self._json({"error": f"model '{name}' not found"}, 404)
        return model

    def _load(self, model: Model) -> int:
        """Tokens of context that it is loaded with from now on."""
        wanted = self._asked.get("options", {}).get("num_ctx") or model.num_ctx or self._state.default_context
        return self._state.loaded.setdefault(model.name, min(wanted, model.trained))

    def _pull(self, name: str) -> None:
        lines = [
            {"status": "pulling manifest"},
            {
                "status": "pulling 0123456789ab",
                "digest": "sha256:0123456789abcdef",
                "total": 2,
                "completed": 1,
            },
            {"status": "verifying sha256 digest"},
            {"status": "writing manifest"},
            {"status": "success"},
        ]
        self._state.models[name] = Model(name)
        if self._asked.get("stream", True):
            self._stream("application/x-ndjson", (_line(line) for line in lines))
        else:
            self._json({"status": "success"})

    def _native(self, model: Model) -> None:
        chat = self.path == "/api/chat"
        base: dict[str, Any] = {"model": model.name, "created_at": NOW}
        if not self._asked.get("messages" if chat else "prompt"):  # a call without a prompt loads, or unloads
            unload = self._asked.get("keep_alive") == 0
            if unload:
                self._state.loaded.pop(model.name, None)
            else:
                self._load(model)
            said = {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
            return self._json({**base, **said, "done": True, "done_reason": "unload" if unload else "load"})
        read = self._read(model)
        words = _words(model.answer)

        def says(text: str) -> dict[str, Any]:
            return {"message": {"role": "assistant", "content": text}} if chat else {"response": text}

        counts = {**COUNTS, "prompt_eval_count": read, "eval_count": len(words)}
        last = {"done": True, "done_reason": "stop", **counts}
        if not self._asked.get("stream", True):
            return self._json({**base, **says(model.answer), **last})
        lines = [{**base, **says(word), "done": False} for word in words] + [{**base, **says(""), **last}]
        return self._stream("application/x-ndjson", (_line(line) for line in lines))

    def _read(self, model: Model) -> int:
        """Tokens of the prompt that are left when it is cut, silently, to the context."""
        texts = [str(message.get("content")) for message in self._asked.get("messages", [])]
        texts.append(str(self._asked.get("prompt", "")))
        return min(self._load(model), sum(len(_words(text)) for text in texts))

    def _openai(self, model: Model) -> None:
        words = _words(model.answer)
        prompt = self._read(model)
        counts = {
            "prompt_tokens": prompt,
            "completion_tokens": len(words),
            "total_tokens": prompt + len(words),
        }
        base = {
            "id": "chatcmpl-123",
            "created": 0,
            "model": self._asked["model"],
            "system_fingerprint": "fp_ollama",
        }
        if not self._asked.get("stream"):
            message = {"role": "assistant", "content": model.answer}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self._json({**base, "object": "chat.completion", "choices": [choice], "usage": counts})

        def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
            chunk = {**base, "object": "chat.completion.chunk", "choices": choices, **more}
            return b"data: " + json.dumps(chunk).encode() + b"\n\n"

        def delta(text: str, reason: str | None = None) -> bytes:
            said = {"role": "assistant", "content": text}
            return event([{"index": 0, "delta": said, "finish_reason": reason}])

        events = [*(delta(word) for word in words), delta("", "stop")]
        if (self._asked.get("stream_options") or {}).get("include_usage"):
            events.append(event([], usage=counts))
        return self._stream("text/event-stream", iter([*events, b"data: [DONE]\n\n"]))

    def _json(self, said: Any, status: int = 200) -> None:
        self._send(
            status, b"" if said is None else json.dumps(said).encode(), "application/json; charset=utf-8"
        )

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, kind: str, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _words(text: str) -> list[str]:
    """Its words with the spaces before them: the tokens of this engine."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)] if text else []


@contextmanager
def running(*models: Model, port: int = 0) -> Iterator[Ollama]:
    """Such an engine, and nothing left of it afterwards."""
    with Ollama(*models, port=port) as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield engine
        finally:
            engine.shutdown()
            thread.join()

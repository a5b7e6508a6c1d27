"""Usage records held against what clients and engines saw."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.program import Program, eventually, running
from tests.cluster.traffic import Answer
from tests.tiny_models import tiny_model

Record = dict[str, Any]
NOT_ADMITTED = (401, 403, 404, 429)


@contextmanager
def metered(folder: Path, **environ: str) -> Iterator[Program]:
    """A program that serves the models ``tiny`` (a short answer) and ``loop`` (as long as it may)."""
    with running(folder, **environ) as program:
        program.add_model(tiny_model(), "tiny")
        program.add_model(tiny_model(mode="loop"), "loop")
        yield program


def make_keys(program: Program) -> tuple[list[str], str]:
    """Three keys that may ask, and one whose quota is too small for anything."""
    keys = [program.create_key(name) for name in ("ann", "bob", "eve")]
    return keys, program.create_key("spent", daily_token_quota=1)


def verified(program: Program) -> dict[str, Any]:
    """What ``usage verify`` says; the test fails unless all is well. Everything closed is in the table then."""
    done = program.cli("usage", "verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def record_of(program: Program, request_id: str) -> Record:
    """The one record of a request, once it is in the table."""
    eventually(lambda: request_id not in live(program), "the request is over")
    assert program.get("/admin/v1/usage/verify")["problems"] == []
    return exported(program)[request_id]


def live(program: Program) -> dict[str, Record]:
    """Requests on their way, by id, the oldest first."""
    return {item["request_id"]: item for item in program.get("/admin/v1/requests")["items"]}


def degraded(program: Program) -> str | None:
    return program.get("/admin/v1/status")["degraded"]


def gauge(program: Program) -> float:
    """The same as a metric: 1 while it is degraded."""
    with program.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("flockpy_ledger_degraded "))


def exported(program: Program) -> dict[str, Record]:
    """Every usage record by its request's id; the test fails when an id is there twice."""
    with program.client() as client:
        answer = client.get("/admin/v1/usage/export", params={"format": "jsonl"})
    records = [json.loads(line) for line in answer.text.splitlines()]
    twice = [name for name, times in Counter(r["request_id"] for r in records).items() if times > 1]
    assert not twice
    return {record["request_id"]: record for record in records}


def engine_tokens(program: Program, model: str) -> tuple[int, int]:
    """Prompt tokens processed (those from the cache left out) and tokens predicted, as the engine counts them."""
    for engine in program.engines():
        line = engine.cmdline()
        if line[line.index("--alias") + 1] == model:
            url = f"http://127.0.0.1:{line[line.index('--port') + 1]}/metrics"
            key = engine.environ()["LLAMA_API_KEY"]
            text = httpx.get(url, headers={"authorization": f"Bearer {key}"}).text
            values = dict(row.split() for row in text.splitlines() if not row.startswith("#"))
            names = "llamacpp:prompt_tokens_total", "llamacpp:tokens_predicted_total"
            return int(float(values[names[0]])), int(float(values[names[1]]))
    raise AssertionError(f"no engine serves {model}")


def recorded_tokens(records: dict[str, Record], model: str) -> tuple[int, int]:
    """The same two figures as the records have them, of those that the engine's own counts stand in."""
    own = [r for r in records.values() if r["model"] == model and r["tokens_source"] == "engine"]
    return sum(r["prompt_tokens"] - r["cached_tokens"] for r in own), sum(r["completion_tokens"] for r in own)


def hold_against(answers: Sequence[Answer], records: dict[str, Record]) -> Counter[str]:
    """Check every answer a client saw against its record; answers how many there were of each kind."""
    seen: Counter[str] = Counter()
    known = set[str]()
    for answer in answers:
        kind, record = _kind(answer), records.get(answer.request_id)
        seen[kind] += 1
        if not answer.request_id:
            continue
        known.add(answer.request_id)
        if kind == "not admitted":
            assert record is None, (answer, record)
            continue
        assert record is not None, answer
        assert record["stream"] == answer.ask.body.get("stream", False)
        said = record["outcome"], record["status"], record["tokens_source"]
        if kind == "whole":
            assert said == ("ok", 200, "engine"), (answer, record)
            if answer.usage:
                used = answer.usage["prompt_tokens"], answer.usage["completion_tokens"]
                assert (record["prompt_tokens"], record["completion_tokens"]) == used, (answer, record)
        elif kind == "refused":
            assert said[:2] == ("refused", answer.status), (answer, record)
            assert record["completion_tokens"] == 0
        elif kind == "left":
            assert said in (("cancelled", 200, "counted"), ("ok", 200, "engine"), CUT), (answer, record)
        else:
            assert said in (("ok", 200, "engine"), CUT), (answer, record)
    strangers = set(records) - known
    unnamed = sum(1 for answer in answers if not answer.request_id)
    assert len(strangers) <= unnamed, (
        f"{len(strangers)} records of requests that {unnamed} clients may have made"
    )
    seen["cut off, by their records"] = sum(
        (r["outcome"], r["status"], r["tokens_source"]) == CUT for r in records.values()
    )
    return seen


CUT = ("failed", 500, "estimated")
"""What the record of a request says whose leader was killed."""


def _kind(answer: Answer) -> str:
    if answer.status in NOT_ADMITTED:
        return "not admitted"
    if answer.status >= 400:
        return "refused"
    if answer.status and answer.whole:
        return "whole"
    return "left" if answer.ask.leaves else "cut off"

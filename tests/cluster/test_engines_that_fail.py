"""Engines that are killed, hang or never load: what a client is told, and that they come back without a hand."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.asking import (
    WORDS,
    Asked,
    await_busy,
    await_decoding,
    await_usage,
    engine_of,
    slow_model,
)
from tests.cluster.program import Program, eventually, running
from tests.timing import in_time, timed


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("engines")) as started:
        started.add_model(slow_model(), "slow")
        yield started


@pytest.fixture
def slow(program: Program) -> psutil.Process:
    """A new engine of the model, with its whole restart budget."""
    program.post("/admin/v1/models/slow/unload")
    eventually(lambda: program.model_state("slow") == "installed", "slow is unloaded")
    program.post("/admin/v1/models/slow/load")
    eventually(lambda: program.model_state("slow") == "serving", "slow serves")
    return engine_of(program, "slow")


def reason(program: Program, model: str) -> str:
    """Why a placement of the model is not well, as the admin surface says it."""
    shown = program.get(f"/admin/v1/models/{model}")
    return " ".join([shown.get("reason") or "", *(p.get("reason") or "" for p in shown["placements"])])


def shown_reason(program: Program, model: str) -> str:
    """The same while it is not well. Who looks too late kills it once more: each time it stays away for longer."""

    def look() -> str:
        if not (shown := reason(program, model).strip()) and program.model_state(model) == "serving":
            engine_of(program, model).kill()
        return shown

    return eventually(look, "the reason is shown")


def test_a_request_after_an_idle_engine_was_killed_just_takes_longer(program: Program, slow: psutil.Process):
    slow.kill()
    answer = program.chat("slow", max_tokens=3)
    assert answer.status_code == 200, answer.text
    print(f"killed while idle: answered after {answer.elapsed.total_seconds():.1f} s")
    assert engine_of(program, "slow").pid != slow.pid


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_whose_engine_is_killed_while_it_reads_the_prompt_is_served_by_the_next_one(
    program: Program, slow: psutil.Process, stream: bool
):
    with Asked(program, "slow", WORDS * 300, stream=stream, max_tokens=2) as asked:
        await_busy(program, "slow", 1)
        slow.kill()
        said = asked.everything()
    assert said.startswith("HTTP/1.1 200"), said
    assert "Hello" in said
    assert '"error"' not in said


def test_a_request_that_takes_its_engines_down_is_refused_with_503(program: Program, slow: psutil.Process):
    with Asked(program, "slow", WORDS * 300, stream=False, max_tokens=2) as asked:
        await_busy(program, "slow", 1)
        slow.kill()
        eventually(lambda: engine_of(program, "slow").pid != slow.pid, "another engine has come")
        eventually(lambda: program.model_state("slow") == "serving", "slow serves")
        await_busy(program, "slow", 1)
        engine_of(program, "slow").kill()
        said = asked.everything()
    assert said.startswith("HTTP/1.1 503"), said
    assert "retry-after: " in said.lower()
    assert '"engine_unreachable"' in said
    assert "flockpy logs slow" in said


@pytest.mark.usefixtures("slow")
@timed
def test_a_stream_whose_engine_is_killed_ends_with_an_error_and_without_done(program: Program):
    eventually(lambda: program.model_state("slow") == "serving", "slow serves")
    user = f"broken-{time.monotonic_ns()}"
    key = program.create_key(user)
    with Asked(program, "slow", key=key, max_tokens=3000) as asked:
        asked.until(b"fox")
        engine_of(program, "slow").kill()
        killed = time.monotonic()
        said = asked.everything()
        took = time.monotonic() - killed
    assert 'data: {"error":' in said
    assert '"engine_died"' in said
    assert "[DONE]" not in said
    (record,) = await_usage(program, user)
    assert (record["outcome"], record["tokens_source"]) == ("failed", "counted")
    assert record["completion_tokens"] > 3
    assert "SIGKILL" in shown_reason(program, "slow")
    assert program.chat("slow", max_tokens=3).status_code == 200
    in_time(took, 1.0)


def test_a_whole_answer_whose_engine_is_killed_half_way_is_made_anew(program: Program, slow: psutil.Process):
    key = program.create_key("patient")
    with Asked(program, "slow", key=key, stream=False, max_tokens=60) as asked:
        await_decoding(program, "slow")
        slow.kill()
        said = asked.everything()
    assert said.startswith("HTTP/1.1 200"), said
    assert '"completion_tokens":60' in said
    (record,) = await_usage(program, "patient")
    assert (record["outcome"], record["completion_tokens"]) == ("ok", 60)


def test_an_engine_that_hangs_is_replaced(program: Program, slow: psutil.Process):
    slow.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    answer = program.chat("slow", max_tokens=3)
    print(f"hung while idle: answered after {time.monotonic() - stopped:.1f} s")
    assert answer.status_code == 200, answer.text
    assert engine_of(program, "slow").pid != slow.pid


def test_a_stream_of_an_engine_that_hangs_ends_with_an_error(program: Program, slow: psutil.Process):
    with Asked(program, "slow", max_tokens=3000) as asked:
        asked.until(b"fox")
        slow.send_signal(signal.SIGSTOP)
        said = asked.everything()
    assert 'data: {"error":' in said
    assert "[DONE]" not in said


def test_an_engine_killed_while_it_loads_is_started_again(program: Program, slow: psutil.Process):
    slow.kill()
    successor = eventually(
        lambda: next((p for p in program.engines() if is_loading(p, slow)), None), "it is started again"
    )
    successor.kill()
    assert program.chat("slow", max_tokens=3).status_code == 200


def is_loading(process: psutil.Process, before: psutil.Process) -> bool:
    return "slow" in process.cmdline() and process.pid != before.pid


def test_a_gguf_of_garbage_is_refused_with_the_reason(program: Program, tmp_path: Path):
    garbage = tmp_path / "garbage.gguf"
    garbage.write_bytes(b"GGUF" + b"\x99" * 100_000)
    added = program.cli("model", "add", f"file:{garbage}", "--load")
    assert added.returncode != 0
    assert "garbage.gguf" in added.stderr
    assert "Traceback" not in added.stderr


def test_a_model_that_turns_to_garbage_says_so_everywhere_and_loads_once_it_is_mended(
    program: Program, tmp_path: Path
):
    file = tmp_path / "fickle.gguf"
    good = slow_model().read_bytes()
    file.write_bytes(good)
    program.add_model(file, "fickle")
    program.post("/admin/v1/models/fickle/unload")
    eventually(lambda: program.model_state("fickle") == "installed", "it is unloaded")
    file.write_bytes(good[:20_000] + b"\x00" * 50_000)
    answer = program.chat("fickle")
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] in ("engine_unreachable", "overloaded")
    assert program.model_state("fickle") == "failed"
    shown = program.cli("model", "info", "fickle")
    assert "failed" in shown.stdout
    assert reason(program, "fickle") in " ".join(shown.stdout.split()) or "fickle.gguf" in shown.stdout
    for command in (("status",), ("model", "ls")):
        assert "fickle failed: " in program.cli(*command).stdout
    file.write_bytes(good)
    assert program.cli("model", "load", "fickle").returncode == 0
    assert program.chat("fickle", max_tokens=3).status_code == 200

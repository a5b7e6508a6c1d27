"""What the agent keeps on disk: logs of engines, records of instances, its identity."""

import os
from pathlib import Path

import pytest

from agent import enginelog, identity
from agent.identity import Identity
from agent.records import Record, Records
from flockpy.paths import DataDir
from flockpy.placement import ModelSpec, PlacementSpec

RECORD = Record("abc", PlacementSpec("p/../1", ModelSpec("m", "m.gguf", 1, 4096)), "embedded", 4711, "secret")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_log_is_for_its_owner_and_goes_on_where_it_was(tmp_path: Path):
    path = tmp_path / "logs" / "engine.log"
    for text in (b"one\n", b"two\n"):
        descriptor = enginelog.open_for_append(path)
        os.write(descriptor, text)
        os.close(descriptor)
    assert path.read_text() == "one\ntwo\n"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_long_log_is_cut_in_place_under_the_engine_that_writes(tmp_path: Path):
    path = tmp_path / "engine.log"
    descriptor = enginelog.open_for_append(path)
    os.write(descriptor, b"x" * (enginelog.MAX_BYTES + 1))
    enginelog.bound(path)
    os.write(descriptor, b"and on\n")
    os.close(descriptor)
    assert path.read_text() == "and on\n"
    assert (tmp_path / "engine.log.1").stat().st_size == enginelog.MAX_BYTES


def test_a_log_that_cannot_be_written_does_not_matter(tmp_path: Path):
    (tmp_path / "engine.log").mkdir()
    os.close(enginelog.open_for_append(tmp_path / "engine.log"))


def test_last_words_are_short_and_hold_no_key(tmp_path: Path):
    path = tmp_path / "engine.log"
    path.write_text("of an earlier run\n")
    since = enginelog.size(path)
    with path.open("a") as file:
        file.write("one\n\ntwo k-e-y\x1b[31m\nthree\nfour\n")
    said = enginelog.last_words(path, since, "k-e-y", loading=False)
    assert said == "two … [31m | three | four"
    assert enginelog.last_words(path, enginelog.size(path), "k-e-y", loading=True) == ""
    assert enginelog.last_words(tmp_path / "none", 0, "", loading=True) == ""


LOADING = """
0.00.008.001 I llama_model_loader: loaded meta data
0.00.211.994 E llama_model_load: error loading model: check_tensor_dims: tensor 'output_norm.weight' not found
0.00.211.996 E llama_model_load_from_file_impl: failed to load model
0.00.212.004 I srv    operator(): operator(): cleaning up before exit...
0.00.354.686 E srv          init: exiting due to model loading error
"""
SERVING = """
0.05.000.001 E srv    send_error: task id = 1, error: request exceeds the available context size
0.09.000.001 I slot   launch_slot_: id  0 | task 2 | processing task
0.09.000.002 E ggml_abort: out of memory
ggml.c:1234: GGML_ASSERT(buffer) failed
"""


def test_the_words_that_count_are_those_that_tell_the_cause(tmp_path: Path):
    path = tmp_path / "engine.log"
    path.write_text(LOADING)
    assert enginelog.last_words(path, 0, "", loading=True) == (
        "llama_model_load: error loading model: check_tensor_dims: tensor 'output_norm.weight' not found"
        " | srv          init: exiting due to model loading error"
    )
    path.write_text(SERVING * 100)
    said = enginelog.last_words(path, 0, "", loading=False)
    assert said.endswith("ggml_abort: out of memory | ggml.c:1234: GGML_ASSERT(buffer) failed")


def test_records_come_back_and_stay_in_their_directory(tmp_path: Path):
    records = Records(DataDir(tmp_path))
    records.save(RECORD)
    (file,) = (tmp_path / "agent" / "instances").iterdir()
    assert mode(file) == 0o600
    assert Records(DataDir(tmp_path)).load() == [RECORD]
    records.remove(RECORD.spec.id)
    assert records.load() == []


def test_a_damaged_record_is_dropped(tmp_path: Path):
    records = Records(DataDir(tmp_path))
    records.save(RECORD)
    broken = tmp_path / "agent" / "instances" / "broken.json"
    broken.write_text("{")
    assert records.load() == [RECORD]
    assert not broken.exists()


def test_a_full_disk_does_not_stop_the_agent(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "agent").write_text("in the way")
    records = Records(DataDir(tmp_path))
    records.save(RECORD)
    records.remove(RECORD.spec.id)
    assert "cannot be written" in caplog.text


def test_no_repr_shows_a_key():
    assert "secret" not in repr(RECORD) + repr(Identity("n_1", "secret", "http://leader"))


def test_an_identity_is_kept_for_its_owner(tmp_path: Path):
    path = tmp_path / "agent" / "identity.json"
    assert identity.load(path) is None
    me = Identity("n_1", "secret", "http://leader")
    identity.save(path, me)
    assert identity.load(path) == me
    assert mode(path) == 0o600
    path.write_text("{}")
    assert identity.load(path) is None


def test_a_token_is_read_from_its_file(tmp_path: Path):
    (tmp_path / "token").write_text("abc\n")
    assert identity.read_token(tmp_path / "token") == "abc"
    assert identity.read_token(tmp_path / "none") == ""
    assert identity.read_token(None) == ""

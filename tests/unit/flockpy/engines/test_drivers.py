"""What the drivers say: commands, limits, and what answers mean."""

import msgspec
import pytest

from flockpy.engines import DRIVERS, llama, quirks
from flockpy.engines.base import Answering, EngineDriver, Listen, Load, Loading, Machine, Wrong
from flockpy.engines.embedded import HOST_ENV, EmbeddedDriver, HostSettings
from flockpy.engines.llamacpp import LlamaCppDriver
from flockpy.engines.mlx import MlxDriver
from flockpy.gguf import read_metadata
from flockpy.placement import Capability, EngineOptions, ModelSpec, PlacementSpec
from tests.tiny_models import tiny_model

KEY = "the-secret-key"
MACHINE = Machine(
    os="linux",
    arch="x86_64",
    physical_cores=8,
    python="python3",
    cpu_flags=frozenset({"avx2", "fma"}),
    programs={"llama-server": "/opt/llama-server", "mlx_lm.server": "/opt/mlx_lm.server"},
    versions={"llama-server": "11669", "xllamacpp": "2026.10"},
)


def spec(*, embedding: bool = False, **options: int | str | bool) -> PlacementSpec:
    able = ("embedding",) if embedding else ("chat", "completion")
    model = ModelSpec("org/model:q4", "model.gguf", 1000, 4096, able)
    return PlacementSpec("p_1", model, options=msgspec.convert(options, EngineOptions))


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=lambda driver: driver.name)
def test_no_command_line_shows_the_key(driver: EngineDriver):
    launch = driver.command(spec(), None, Listen(4711, KEY), MACHINE)
    assert not any(KEY in argument for argument in launch.argv)
    knows_keys = driver.name != "mlx"
    assert any(KEY in value for value in launch.env.values()) is knows_keys
    assert KEY not in repr(launch) + repr(Listen(4711, KEY))


def test_engines_leave_one_core_to_the_machine():
    launch = LlamaCppDriver().command(spec(), None, Listen(1, KEY), MACHINE)
    assert launch.argv[launch.argv.index("--threads") + 1] == "7"
    env = EmbeddedDriver().command(spec(), None, Listen(1, KEY), Machine("linux", "x86_64", 1, "python3")).env
    assert msgspec.json.decode(env[HOST_ENV], type=HostSettings).threads == 1


def test_the_cache_holds_the_context_of_every_slot():
    argv = LlamaCppDriver().command(spec(context=1000, slots=3), None, Listen(1, KEY), MACHINE).argv
    assert argv[argv.index("--ctx-size") + 1] == "3000"
    assert argv[argv.index("--parallel") + 1] == "3"


def test_an_embedding_model_is_started_as_one():
    meta = read_metadata(tiny_model(mode="text", pooling=3))
    argv = LlamaCppDriver().command(spec(embedding=True), meta, Listen(1, KEY), MACHINE).argv
    assert "--embeddings" in argv
    assert argv[argv.index("--pooling") + 1] == "last"
    env = EmbeddedDriver().command(spec(embedding=True), None, Listen(1, KEY), MACHINE).env
    assert msgspec.json.decode(env[HOST_ENV], type=HostSettings).pooling == "mean"


def test_the_embedded_engine_needs_avx2_where_the_flags_are_known():
    driver = EmbeddedDriver()
    assert driver.availability(MACHINE).available
    without = Machine("linux", "x86_64", 8, "python3", frozenset({"sse2"}), versions=MACHINE.versions)
    found = driver.availability(without)
    assert not found.available
    assert "AVX2" in found.reason
    arm = Machine("linux", "aarch64", 8, "python3", frozenset({"neon"}), versions=MACHINE.versions)
    assert driver.availability(arm).available


def folder(*able: Capability) -> ModelSpec:
    return ModelSpec("tiny", "/models/tiny", 1000, 4096, able or ("chat", "completion"), "safetensors")


def test_mlx_serves_folders_that_generate_and_llama_files():
    mlx, llama = MlxDriver(), LlamaCppDriver()
    assert mlx.refusal(folder()) == ""
    assert "only generates" in mlx.refusal(folder("embedding"))
    assert "no Hugging Face folder" in mlx.refusal(spec().model)
    assert "not a .gguf file" in llama.refusal(folder())


def test_mlx_is_kept_from_the_network_from_web_pages_and_from_our_packages():
    launch = MlxDriver().command(PlacementSpec("p_1", folder()), None, Listen(4711, KEY), MACHINE)
    pairs = dict(zip(launch.argv[1::2], launch.argv[2::2], strict=True))
    assert launch.argv[0] == "/opt/mlx_lm.server"
    assert (pairs["--host"], pairs["--allowed-origins"]) == ("127.0.0.1", "http://127.0.0.1:4711")
    assert launch.env == {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    ours = Machine("darwin", "arm64", 8, "python3", versions={"mlx-lm": "0.32.2"})
    launch = MlxDriver().command(PlacementSpec("p_1", folder()), None, Listen(4711, KEY), ours)
    assert launch.argv[:4] == ("python3", "-m", "mlx_lm", "server")
    assert "PYTHONPATH" not in launch.env


def test_mlx_is_ready_when_it_has_answered_and_broken_when_it_says_so():
    driver = MlxDriver()
    assert driver.readiness(200, b"{}") == Answering(0, 0)
    refused = driver.readiness(404, b'{"error": "generation thread died"}')
    assert refused == Wrong("it does not answer: generation thread died")
    assert driver.readiness(404, b"Not Found") == Wrong("it does not answer: status 404")
    assert driver.health(503) != driver.health(200) == ""


def test_mlx_settles_on_what_the_model_was_trained_for():
    options = MlxDriver().settle(folder(), None, EngineOptions(context=100_000), 2**20)
    assert (options.context, options.kv_cache) == (4096, "f16")


def test_an_engine_that_is_not_installed_says_how_to_get_it():
    bare = Machine("linux", "x86_64", 8, "python3")
    for driver in (EmbeddedDriver(), LlamaCppDriver(), MlxDriver()):
        found = driver.availability(bare)
        assert not found.available
        assert "install" in found.reason


def settle(options: EngineOptions, memory_bytes: int | None = None, **model: int) -> EngineOptions:
    path = tiny_model(mode="text", **model)
    meta = read_metadata(path)
    found = ModelSpec("m", str(path), meta.size_bytes, meta.context_length)
    return llama.settle(found, meta, options, memory_bytes)


def test_the_context_is_capped_by_what_the_model_was_trained_for():
    assert settle(EngineOptions(context=100_000)).context == 4096
    assert settle(EngineOptions(context=1000)).context == 1000


def test_the_context_is_capped_by_memory():
    wanted = EngineOptions(context=100_000, kv_cache="f16")
    settled = settle(wanted, memory_bytes=90 * 2**20, context=131_072)
    assert 4096 <= settled.context < 100_000
    assert settle(wanted, memory_bytes=0, context=131_072).context == 4096


@pytest.mark.parametrize(
    ("options", "cache"),
    [
        (EngineOptions(), "q4_0"),
        (EngineOptions(flash_attention=False), "f16"),
        (EngineOptions(kv_cache="no_such_type"), "f16"),
        (EngineOptions(kv_cache="q8_0"), "q8_0"),
    ],
)
def test_a_cache_type_that_the_engine_would_refuse_becomes_f16(options: EngineOptions, cache: str):
    assert settle(options).kv_cache == cache


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (503, b'{"error":{"message":"Loading model"}}', Loading),
        (401, b"{}", Wrong),
        (404, b"<html>", Wrong),
        (200, b"<html>", Wrong),
        (200, b'{"total_slots":2}', Wrong),
        (200, b"\xff", Wrong),
    ],
)
def test_answers_that_are_not_ready(status: int, body: bytes, meaning: type):
    assert isinstance(llama.readiness(status, body), meaning)


def test_a_ready_answer_tells_slots_and_context():
    body = b'{"default_generation_settings":{"n_ctx":4096,"x":1},"total_slots":2,"model_alias":"a"}'
    assert llama.readiness(200, body) == Answering(2, 4096, "a")


def test_the_load_is_read_from_the_metrics():
    body = b"# HELP x\nllamacpp:requests_processing 3\nllamacpp:requests_deferred 7\n"
    assert llama.load(body) == Load(3, 7)
    assert llama.load(b"something else") is None


def test_an_unknown_engine_has_no_quirks():
    assert quirks("embedded").ignores_named_tool_choice
    assert not quirks("something else").ignores_named_tool_choice

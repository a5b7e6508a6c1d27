"""Which engine of a machine runs a model, and why none does."""

import msgspec
import pytest

from flockpy.engines import DRIVERS
from flockpy.engines.choice import choose_driver
from flockpy.node import EngineInfo
from flockpy.placement import ModelSpec

MODEL = ModelSpec("a", "a.gguf", 1, 4096)
DRIVER_LIST = tuple(DRIVERS.values())
BOTH = {name: EngineInfo(name, True) for name in ("llamacpp", "embedded")}
EMBEDDED = {
    "embedded": EngineInfo("embedded", True),
    "llamacpp": EngineInfo("llamacpp", False, reason="not there"),
}


@pytest.mark.parametrize(
    ("engine", "preferred", "infos", "chosen"),
    [
        ("", "", BOTH, "llamacpp"),
        ("", "", EMBEDDED, "embedded"),
        ("", "embedded", BOTH, "embedded"),
        ("", "llamacpp", EMBEDDED, "embedded"),
        ("embedded", "llamacpp", BOTH, "embedded"),
    ],
)
def test_the_engine_that_is_chosen(engine: str, preferred: str, infos: dict[str, EngineInfo], chosen: str):
    driver = choose_driver(engine, MODEL, preferred, DRIVER_LIST, infos)
    assert not isinstance(driver, str)
    assert driver.name == chosen


@pytest.mark.parametrize(
    ("engine", "path", "reason"),
    [
        ("llamacpp", "a.gguf", "no engine of this machine can serve it (llamacpp: not there)"),
        ("vllm", "a.gguf", "this machine has no engine called 'vllm'"),
        ("embedded", "a.safetensors", "a.safetensors is not a .gguf file"),
    ],
)
def test_why_no_engine_is_chosen(engine: str, path: str, reason: str):
    model = msgspec.structs.replace(MODEL, path=path)
    why = choose_driver(engine, model, "", DRIVER_LIST, EMBEDDED)
    assert isinstance(why, str)
    assert reason in why

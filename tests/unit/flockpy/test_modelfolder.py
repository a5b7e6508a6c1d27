"""Reading Hugging Face folders that may hold anything."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flockpy.errors import BadRequest
from flockpy.modelfile import capabilities, details
from flockpy.modelfolder import is_model_folder, read_folder
from tests.tiny_models import tiny_folder


def written(folder: Path, config: Any, **files: str) -> Path:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    (folder / "model.safetensors").write_bytes(bytes(1000))
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_a_folder_says_what_its_model_is():
    meta = read_folder(tiny_folder(mode="text"))
    assert (meta.architecture, meta.kind, meta.context_length, meta.layers) == ("llama", "model", 4096, 2)
    assert (meta.cache_elements, meta.head_elements) == (2 * 2 * 64, 64)
    assert capabilities(meta) == ("chat", "completion", "tools")
    assert details(meta)["format"] == "safetensors"


def test_a_quantized_model_that_sees_keeps_the_figures_for_text_apart(tmp_path: Path):
    text = {
        "max_position_embeddings": 32768,
        "num_hidden_layers": 3,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    config = {"model_type": "qwen3_vl", "quantization": {"bits": 4, "group_size": 64}, "text_config": text}
    meta = read_folder(written(tmp_path, config, **{"chat_template.jinja": "{{ tools }}"}))
    assert (meta.context_length, meta.quantization, meta.size_bytes) == (32768, "4-bit", 1000)
    assert meta.cache_elements == 3 * 2 * 2 * 64
    assert "tools" in capabilities(meta)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "is not as it should be"),
        ("[" * 100_000, "is not as it should be"),
        ({}, "names no model_type"),
        ({"model_type": "x", "hidden_size": -1}, "is not as it should be"),
        ({"model_type": "x", "num_hidden_layers": 2**40}, "is not as it should be"),
        ({"model_type": 3}, "is not as it should be"),
    ],
)
def test_a_damaged_configuration_is_refused_by_name(tmp_path: Path, config: Any, said: str):
    with pytest.raises(BadRequest, match=said) as caught:
        read_folder(written(tmp_path, config))
    assert "config.json" in caught.value.message


def test_a_folder_without_weights_or_configuration_is_no_model(tmp_path: Path):
    assert not is_model_folder(tmp_path)
    written(tmp_path, {"model_type": "x"})
    assert is_model_folder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert not is_model_folder(tmp_path)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), template=st.binary(max_size=50))
def test_nothing_in_a_folder_breaks_the_reader(tmp_path: Path, data: bytes, template: bytes):
    written(tmp_path, {"model_type": "x"})
    (tmp_path / "tokenizer_config.json").write_bytes(template)
    (tmp_path / "config.json").write_bytes(data)
    try:
        read_folder(tmp_path)
    except BadRequest:
        return

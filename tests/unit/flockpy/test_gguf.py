"""Reading model files that may hold anything."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flockpy.errors import BadRequest
from flockpy.gguf import read_metadata
from flockpy.modelfile import capabilities, details
from tests.tiny_models import tiny_model


class Writer:
    """GGUF bytes, right or wrong, written by hand."""

    def __init__(self, version: int = 3, magic: bytes = b"GGUF") -> None:
        self.head = magic + struct.pack("<I", version)
        self.keys = 0
        self.values = io.BytesIO()
        self.tensors = 0
        self.infos = io.BytesIO()

    def text(self, text: str) -> bytes:
        return struct.pack("<Q", len(text.encode())) + text.encode()

    def add(self, key: str, kind: int, raw: bytes) -> "Writer":
        self.keys += 1
        self.values.write(self.text(key) + struct.pack("<I", kind) + raw)
        return self

    def string(self, key: str, value: str) -> "Writer":
        return self.add(key, 8, self.text(value))

    def u32(self, key: str, value: int) -> "Writer":
        return self.add(key, 4, struct.pack("<I", value))

    def strings(self, key: str, values: list[str], claimed: int | None = None) -> "Writer":
        count = len(values) if claimed is None else claimed
        return self.add(key, 9, struct.pack("<IQ", 8, count) + b"".join(map(self.text, values)))

    def tensor(self, name: str, shape: tuple[int, ...], kind: int, offset: int) -> "Writer":
        self.tensors += 1
        dims = struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", d) for d in shape)
        self.infos.write(self.text(name) + dims + struct.pack("<IQ", kind, offset))
        return self

    def bytes(self, data: bytes = b"", keys: int | None = None, tensors: int | None = None) -> bytes:
        counts = (self.tensors if tensors is None else tensors, self.keys if keys is None else keys)
        head = self.head + struct.pack("<QQ", *counts) + self.values.getvalue() + self.infos.getvalue()
        return head + bytes(-len(head) % 32) + data


def llama() -> Writer:
    return Writer().string("general.architecture", "llama").u32("llama.context_length", 2048)


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(BadRequest) as caught:
        read_metadata(path)
    assert str(path) in caught.value.message
    return caught.value.message


def test_a_real_file_says_what_it_is():
    meta = read_metadata(tiny_model(mode="text", layers=2))
    assert (meta.architecture, meta.kind, meta.name, meta.parts) == ("llama", "model", "tiny", 1)
    assert (meta.context_length, meta.quantization, meta.layers) == (4096, "F16", 2)
    assert meta.cache_elements == 2 * 1 * (64 + 64)
    assert meta.parameters == 426_624
    assert meta.pooling is None
    assert capabilities(meta) == ("chat", "completion", "tools")
    assert details(meta)["architecture"] == "llama"


def test_a_pooled_model_embeds_and_does_not_chat():
    meta = read_metadata(tiny_model(mode="text", pooling=1))
    assert meta.pooling == "mean"
    assert capabilities(meta) == ("embedding",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it has only 0 bytes"),
        (b"<!DOCTYPE html><html>Not found</html>", "starts with b'<!DO'"),
        (llama().bytes()[:30], "in the middle of its metadata"),
        (Writer(version=1).bytes(), "format version is 1"),
        (Writer(magic=b"GGUF"[::-1]).bytes(), "starts with b'FUGG'"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "little-endian"),
        (Writer().bytes(), "names no architecture"),
        (llama().bytes(keys=2**40), "metadata keys"),
        (llama().bytes(tensors=2**40), "tensors"),
        (llama().strings("tokens", [], claimed=2**60).bytes(), "strings in tokens"),
        (llama().strings("tokens", ["a"], claimed=9).bytes(), "in the middle of its metadata"),
        (llama().add("x", 9, struct.pack("<IQ", 9, 1)).bytes(), "unknown type 9"),
        (llama().add("x", 77, b"").bytes(), "x has the unknown type 77"),
        (llama().add("x", 8, struct.pack("<Q", 2**50)).bytes(), "bytes of x"),
        (llama().add("llama.block_count", 5, struct.pack("<i", -1)).bytes(), "llama.block_count is -1"),
        (llama().u32("general.alignment", 3).bytes(), "not a power of two"),
        (llama().tensor("t", (4, 4, 4, 4, 4), 0, 0).bytes(), "dimensions"),
        (llama().tensor("t", (64, 64), 1, 0).bytes(b"short"), "it is cut off: "),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, content: bytes, complaint: str):
    assert complaint in refusal(tmp_path / "model.gguf", content)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path):
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(BadRequest, match="cannot read"):
            read_metadata(path)


def test_a_download_that_broke_off_is_noticed(tmp_path: Path):
    whole = tiny_model(mode="text").read_bytes()
    assert "it is cut off" in refusal(tmp_path / "model.gguf", whole[:-100_000])


def test_a_large_vocabulary_is_stepped_over(tmp_path: Path):
    path = tmp_path / "model.gguf"
    words = [f"word{i}" for i in range(300_000)]
    path.write_bytes(
        llama().strings("tokens", words).string("tokenizer.chat_template", "{{ tools }}").bytes()
    )
    meta = read_metadata(path)
    assert capabilities(meta) == ("chat", "completion", "tools")


def test_heads_given_for_each_layer_are_added_up(tmp_path: Path):
    path = tmp_path / "model.gguf"
    per_layer = struct.pack("<IQIII", 4, 3, 2, 0, 4)
    writer = llama().u32("llama.block_count", 3).u32("llama.embedding_length", 128)
    writer.u32("llama.attention.head_count", 2).add("llama.attention.head_count_kv", 9, per_layer)
    path.write_bytes(writer.bytes())
    assert read_metadata(path).cache_elements == (2 + 0 + 4) * (64 + 64)


@pytest.mark.parametrize(
    ("writer", "able"),
    [
        (llama(), ("chat", "completion")),
        (llama().u32("llama.pooling_type", 4), ("rerank",)),
        (llama().string("general.type", "adapter"), ()),
        (Writer().string("general.architecture", "clip"), ()),
        (Writer().string("general.architecture", "bert"), ("embedding",)),
    ],
)
def test_what_a_file_can_be_asked_for(tmp_path: Path, writer: Writer, able: tuple[str, ...]):
    path = tmp_path / "model.gguf"
    path.write_bytes(writer.bytes())
    assert capabilities(read_metadata(path)) == able


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_no_damage_makes_it_fail_in_another_way(tmp_path: Path, data: st.DataObject):
    whole = bytearray(tiny_model(mode="text").read_bytes()[:12_000])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(8, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.gguf"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with pytest.raises(BadRequest):  # the cut alone makes every one of them wrong
        read_metadata(path)

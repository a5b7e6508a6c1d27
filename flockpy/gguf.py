"""What a GGUF model file says of itself, read without trusting it.

A GGUF file is: a header (magic, version, two counts), key-value metadata, tensor descriptions, the tensors.
Only the first three are read. Every count and length is checked against a bound and against the file's size
before it is used, large arrays (the vocabulary) are stepped over, and a file that lies is refused by name.
"""

import math
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from flockpy.errors import BadRequest
from flockpy.modelfile import Kind, ModelMetadata, Pooling

Value = str | int | float | bool | tuple[int | float | bool, ...]

_MAX_KEYS, _MAX_TENSORS, _MAX_STRINGS = 65_536, 262_144, 8_000_000
_MAX_TEXT = 8 * 2**20
_MAX_KEPT_ARRAY = 4096
_CHUNK = 2**20
_SCALARS = {
    0: Struct("<B"), 1: Struct("<b"), 2: Struct("<H"), 3: Struct("<h"), 4: Struct("<I"), 5: Struct("<i"),
    6: Struct("<f"), 7: Struct("<?"), 10: Struct("<Q"), 11: Struct("<q"), 12: Struct("<d"),
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]
_QUANTIZATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
_BLOCKS = {  # tensor type: (elements, bytes) of one block
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip
_POOLINGS: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last", 4: "rank"}


def read_metadata(path: Path) -> ModelMetadata:
    """Read `path`'s metadata. Raises BadRequest naming the file and what is wrong with it."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _parse(_Reader(file, size), size)
    except _Broken as broken:
        hint = "the file is damaged or not a model; download it again"
        raise BadRequest(f"{path} is not a usable GGUF file: {broken}", hint=hint) from None
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror or error}") from None


class _Broken(Exception):
    """The file is not what it should be; the text says how."""


class _Reader:
    """Sequential reads through one buffer, so that a million small ones stay cheap. `size` in bytes."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._buffer, self._start, self._at = b"", 0, 0

    @property
    def offset(self) -> int:
        return self._start + self._at

    def _need(self, count: int) -> None:
        """Have `count` bytes from here on in the buffer."""
        if self._at + count <= len(self._buffer):
            return
        start = self.offset
        if start + count > self._size:
            raise _Broken(f"it ends at byte {self._size} in the middle of its metadata")
        self._file.seek(start)
        self._buffer, self._start, self._at = self._file.read(max(count, _CHUNK)), start, 0
        if len(self._buffer) < count:
            raise _Broken("it became shorter while it was read")

    def scalar(self, form: Struct) -> int | float | bool:
        self._need(form.size)
        (value,) = form.unpack_from(self._buffer, self._at)
        self._at += form.size
        return value

    def count(self, form: Struct, what: str, limit: int) -> int:
        value = int(self.scalar(form))
        if value > limit:
            raise _Broken(f"it claims {value} {what}, more than the {limit} allowed")
        return value

    def text(self, what: str, limit: int = 65_535) -> str:
        length = self.count(_U64, f"bytes of {what}", limit)
        self._need(length)
        raw = self._buffer[self._at : self._at + length]
        self._at += length
        return raw.decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        if self.offset + count > self._size:
            raise _Broken(f"it ends at byte {self._size} in the middle of its metadata")
        self._at += count

    def skip_strings(self, count: int) -> None:
        for _ in range(count):
            self._need(8)
            self.skip(_U64.unpack_from(self._buffer, self._at)[0] + 8)


def _parse(reader: _Reader, size: int) -> ModelMetadata:
    if size < 24:
        raise _Broken(f"it has only {size} bytes")
    magic = int(reader.scalar(_U32)).to_bytes(4, "little")
    if magic != b"GGUF":
        raise _Broken(f"it starts with {magic!r} instead of b'GGUF'")
    version = int(reader.scalar(_U32))
    if version not in (2, 3):
        raise _Broken(f"its format version is {version}; versions 2 and 3, little-endian, are known")
    tensors = reader.count(_U64, "tensors", _MAX_TENSORS)
    values = _values(reader, reader.count(_U64, "metadata keys", _MAX_KEYS))
    alignment = _integer(values, "general.alignment", 32)
    if alignment == 0 or alignment & (alignment - 1):
        raise _Broken(f"its alignment {alignment} is not a power of two")
    parameters, data_bytes = _tensors(reader, tensors)
    data_start = -(-reader.offset // alignment) * alignment
    if data_start + data_bytes > size:
        raise _Broken(f"it is cut off: {data_start + data_bytes} bytes are described, {size} are there")
    return _metadata(values, size, parameters)


def _values(reader: _Reader, keys: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    strings_left = _MAX_STRINGS
    for _ in range(keys):
        key = reader.text("a key")
        kind = int(reader.scalar(_U32))
        if kind == _STRING:
            values[key] = reader.text(key, _MAX_TEXT)
        elif kind in _SCALARS:
            values[key] = reader.scalar(_SCALARS[kind])
        elif kind == _ARRAY:
            element = int(reader.scalar(_U32))
            if element == _STRING:
                count = reader.count(_U64, f"strings in {key}", strings_left)
                strings_left -= count
                reader.skip_strings(count)
            elif element in _SCALARS:
                form = _SCALARS[element]
                count = int(reader.scalar(_U64))
                if count <= _MAX_KEPT_ARRAY:
                    values[key] = tuple(reader.scalar(form) for _ in range(count))
                else:
                    reader.skip(count * form.size)
            else:
                raise _Broken(f"{key} is an array of the unknown type {element}")
        else:
            raise _Broken(f"{key} has the unknown type {kind}")
    return values


def _tensors(reader: _Reader, count: int) -> tuple[int, int]:
    """Parameters in all tensors, and the bytes of data that they span."""
    parameters = span = 0
    for _ in range(count):
        reader.text("a tensor name", 1024)
        elements = math.prod(int(reader.scalar(_U64)) for _ in range(reader.count(_U32, "dimensions", 4)))
        per_block, block_bytes = _BLOCKS.get(int(reader.scalar(_U32)), (1, 0))
        parameters += elements
        span = max(span, int(reader.scalar(_U64)) + elements // per_block * block_bytes)
    return parameters, span


def _metadata(values: dict[str, Value], size: int, parameters: int) -> ModelMetadata:
    architecture = _text(values, "general.architecture")
    if not architecture:
        raise _Broken("it names no architecture (general.architecture)")
    declared = _text(values, "general.type")
    kind: Kind = "adapter" if declared == "adapter" else "projector" if architecture == "clip" else "model"
    layers = _integer(values, f"{architecture}.block_count")
    heads = _per_layer(values, f"{architecture}.attention.head_count", layers, 0)
    kv_heads = _per_layer(values, f"{architecture}.attention.head_count_kv", layers, heads)
    width = _integer(values, f"{architecture}.embedding_length")
    head = width // max(1, heads // max(1, layers))
    key_length = _integer(values, f"{architecture}.attention.key_length", head)
    value_length = _integer(values, f"{architecture}.attention.value_length", head)
    name = "".join(c for c in _text(values, "general.name")[:200] if c.isprintable())
    return ModelMetadata(
        architecture=architecture[:64],
        kind=kind,
        name=name,
        size_bytes=size,
        parts=max(1, _integer(values, "split.count")),
        context_length=_integer(values, f"{architecture}.context_length"),
        quantization=_QUANTIZATIONS.get(_integer(values, "general.file_type", -1) & ~1024, ""),
        parameters=parameters,
        layers=layers,
        embedding_length=width,
        cache_elements=kv_heads * (key_length + value_length),
        head_elements=key_length,
        pooling=_POOLINGS.get(_integer(values, f"{architecture}.pooling_type")),
        chat_template=_text(values, "tokenizer.chat_template"),
    )


def _text(values: dict[str, Value], key: str) -> str:
    value = values.get(key, "")
    return value if isinstance(value, str) else ""


def _integer(values: dict[str, Value], key: str, default: int = 0) -> int:
    value = values.get(key, default)
    if value is default:
        return default
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise _Broken(f"{key} is {value!r}, not a whole number from 0 to 2147483647")
    return value


def _per_layer(values: dict[str, Value], key: str, layers: int, default: int) -> int:
    """The sum over all layers of a value given once for all of them or as one number for each."""
    value = values.get(key)
    if isinstance(value, tuple):
        return int(sum(value))
    return layers * _integer(values, key) if value is not None else default

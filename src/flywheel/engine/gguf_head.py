"""What a GGUF file says of its model's shape, read from its beginning alone.

Source: the GGUF specification (ggml, docs/gguf.md).

Not here: writing such files (build/gguf_file.py), which needs a library; reading a head needs none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_MAGIC = b"GGUF"
_FORMATS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_MAX_KEYS = 4_096
_MAX_TEXT_BYTES = 2**20
_MAX_ITEMS = 10_000
_END = "tokenizer."
"""What follows is the vocabulary, and long."""
_CACHE_BYTES = 2
"""Keys and values are kept in f16."""

Value = int | float | bool | str


def cache_bytes(path: Path) -> int | None:
    """The memory that keys and values of one token take, over all layers; None where the file does
    not tell. A model that forgets what is far away takes less."""
    try:
        with path.open("rb") as file:
            head = dict(_head(file))
        name = head["general.architecture"]
        layers, width, heads = (
            int(head[f"{name}.{key}"])
            for key in ("block_count", "embedding_length", "attention.head_count")
        )
        groups = int(head.get(f"{name}.attention.head_count_kv", heads))
        lengths = (
            int(head.get(f"{name}.attention.{key}", width // heads))
            for key in ("key_length", "value_length")
        )
        return layers * groups * sum(lengths) * _CACHE_BYTES or None
    except (OSError, KeyError, ValueError, ArithmeticError, struct.error):
        return None


def _head(file: BinaryIO) -> Iterator[tuple[str, Value]]:
    """The numbers and short texts before the vocabulary; of a list of numbers, the largest."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("no GGUF file")
    version, _, num_keys = _unpacked(file, "<IQQ")
    if version < 2:
        raise ValueError("an older form")
    for _ in range(min(num_keys, _MAX_KEYS)):
        key = _text(file)
        if key.startswith(_END):
            return
        (kind,) = _unpacked(file, "<I")
        yield key, _value(file, kind)


def _value(file: BinaryIO, kind: int) -> Value:
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        value: Value = _unpacked(file, "<" + _FORMATS[kind])[0]
        return value
    item, count = _unpacked(file, "<IQ")
    if count > _MAX_ITEMS:
        raise ValueError("a long list")
    values = [_value(file, item) for _ in range(count)]
    return max((each for each in values if not isinstance(each, str)), default=0)


def _text(file: BinaryIO) -> str:
    (size,) = _unpacked(file, "<Q")
    if size > _MAX_TEXT_BYTES:
        raise ValueError("a long text")
    return file.read(size).decode()


def _unpacked(file: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))

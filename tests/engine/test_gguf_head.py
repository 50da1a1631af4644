"""A GGUF file's head: what one token's keys and values take, and no harm in a damaged file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import pytest

from flywheel.engine.gguf_head import cache_bytes

if TYPE_CHECKING:
    from tests.engine.conftest import Tiny


def write(path: Path, add: Callable[[gguf.GGUFWriter], object]) -> Path:
    """A file with a shape of three layers, four heads of 16, and what is added."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("general.languages", ["en", "zh"])
    writer.add_block_count(3)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    add(writer)
    writer.add_token_list(["a"] * 100)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_keys_and_values_of_a_token_are_counted_over_all_layers(tiny: Tiny) -> None:
    assert cache_bytes(tiny.model) == 2 * 4 * (16 + 16) * 2


def test_what_the_file_does_not_say_follows_from_its_width(tmp_path: Path) -> None:
    assert cache_bytes(write(tmp_path / "m", lambda writer: None)) == 3 * 4 * (16 + 16) * 2


def test_heads_that_share_keys_and_lengths_of_their_own_count(tmp_path: Path) -> None:
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_head_count_kv([1, 2, 1])
        writer.add_key_length(32)
        writer.add_value_length(8)

    assert cache_bytes(write(tmp_path / "m", add)) == 3 * 2 * (32 + 8) * 2


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGML" + bytes(100), b"GGUF" + b"\xff" * 200])
def test_of_another_file_nothing_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m"
    path.write_bytes(content)
    assert cache_bytes(path) is None
    assert cache_bytes(tmp_path / "none") is None


def test_of_a_file_that_is_cut_off_nothing_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", lambda writer: None).read_bytes()
    path = tmp_path / "cut"
    for size in range(whole.index(b"attention.head_count")):
        path.write_bytes(whole[:size])
        assert cache_bytes(path) is None

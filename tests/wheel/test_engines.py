"""How many answers a model writes at once: as many as fit into a modest share of the memory."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from flywheel.wheel.engines import MAX_SLOTS, MEMORY_SHARE, MIN_SLOTS, num_slots

TOKEN_BYTES = 8 * 6 * (64 + 64) * 2
CONTEXT = 1_900


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The head of a model of 16M parameters."""
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_block_count(8)
    writer.add_embedding_length(384)
    writer.add_head_count(6)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return tmp_path / "model.gguf"


@pytest.mark.parametrize(
    ("memory", "expected"),
    [(2**20, MIN_SLOTS), (2 * 2**30, 5), (8 * 2**30, 22), (2**40, MAX_SLOTS)],
)
def test_slots_fit_into_a_share_of_the_memory(model: Path, memory: int, expected: int) -> None:
    slots = num_slots(model, CONTEXT, memory)
    assert slots == expected
    fits = slots * CONTEXT * TOKEN_BYTES <= MEMORY_SHARE * memory
    assert fits or slots == MIN_SLOTS


def test_a_file_that_does_not_tell_gets_the_fewest(tmp_path: Path) -> None:
    assert num_slots(tmp_path / "none.gguf", CONTEXT, 2**40) == MIN_SLOTS
    assert MIN_SLOTS <= num_slots(tmp_path / "none.gguf", CONTEXT) <= MAX_SLOTS

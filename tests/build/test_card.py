"""A base of half a billion parameters is trained and served within a card of 8 GB; the same way is
gone with a tiny one on the processor, wherever there is no card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from flywheel.build import adapters
from flywheel.build.base import new_model
from flywheel.build.batches import pack
from flywheel.build.export import write_gguf
from flywheel.build.loop import train
from flywheel.build.objectives import NextToken
from flywheel.build.sequences import tokenise_texts
from flywheel.build.shape import Shape
from flywheel.build.training import Report, TrainingData, TrainSettings
from flywheel.engine.embedded import EmbeddedEngine
from flywheel.engine.protocol import Request, Sampling

MakeTokenizer = Callable[..., PreTrainedTokenizerFast]

CAP_BYTES = 8 * 2**30
TEXTS = [
    f"Shelf {n} of the store room holds the spare parts for engine {n + 1}." for n in range(60)
]
TINY = Shape(
    vocab_size=1024, width=64, depth=2, num_heads=2, num_kv_heads=1, hidden=128, family="qwen2"
)
HALF_A_BILLION = Shape(
    vocab_size=151_936,
    width=896,
    depth=24,
    num_heads=14,
    num_kv_heads=2,
    hidden=4864,
    family="qwen2",
)
"""Qwen2.5-0.5B's."""


def trained_and_served(
    shape: Shape, tokenizer: PreTrainedTokenizerFast, device: torch.device, folder: Path
) -> tuple[Report, int]:
    """Two steps of LoRA, then eight tokens from the exported file. What the first took, and how
    many tokens came."""
    context = 256
    model = new_model(shape, tokenizer, seed=1, context=context)
    if device.type == "cuda":
        torch.nn.Module.to(model, dtype=torch.bfloat16)
    adapted = adapters.add_lora(model, rank=8)
    rows = pack(tokenise_texts(TEXTS, tokenizer, context), context, 1)
    settings = TrainSettings(
        num_steps=2,
        batch_rows=2,
        micro_rows=2,
        precision="bf16" if device.type == "cuda" else "f32",
        save_memory=True,
    )
    report = train(adapted, TrainingData(train=rows), NextToken(), settings, folder, device=device)
    torch.nn.Module.to(adapted, device="cpu", dtype=torch.float32)
    write_gguf(adapters.merge(adapted), tokenizer, folder / "model.gguf", "q8_0")
    engine = EmbeddedEngine.open(folder / "model.gguf", num_slots=1, context_tokens=context)
    try:
        request = Request(prompt="Shelf 7", sampling=Sampling(max_tokens=8))
        with engine.generate(request) as generation:
            return report, max(piece.num_tokens for piece in generation)
    finally:
        engine.close()


def test_the_way_from_an_adapter_to_a_served_file(
    tmp_path: Path, chat_tokenizer: PreTrainedTokenizerFast
) -> None:
    report, num_tokens = trained_and_served(TINY, chat_tokenizer, torch.device("cpu"), tmp_path)
    assert report.num_steps == 2 and report.device == "cpu"
    assert 0 < num_tokens <= 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_half_a_billion_parameters_are_trained_and_served_under_8_gb(
    tmp_path: Path, chat_tokenizer: PreTrainedTokenizerFast
) -> None:
    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, CAP_BYTES / total))
    report, num_tokens = trained_and_served(HALF_A_BILLION, chat_tokenizer, device, tmp_path)
    assert report.device.startswith("cuda")
    assert 0 < report.peak_memory_bytes <= CAP_BYTES
    assert 0 < num_tokens <= 8

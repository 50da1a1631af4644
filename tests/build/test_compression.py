"""Bits per byte: a model's own chances summed; and what compressors pay that have read as much."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from flywheel.build import compression
from flywheel.build.compression import bits_per_byte, compare, first_bytes

STORIES = Path(__file__).parents[3] / "shared/models/tinystories-656k"
LETTERS = "abcdefghijklmnopqrstuvwxyz ."


def letters(bos: bool = False) -> PreTrainedTokenizerFast:
    """A token for each letter, and one for all else."""
    vocabulary = {token: id for id, token in enumerate(["<unk>", "<s>", *LETTERS])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if bos:
        from tokenizers.processors import TemplateProcessing

        tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>" if bos else None
    )


def small_model(context: int = 64) -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=2 + len(LETTERS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=context,
    )
    model = LlamaForCausalLM(config)
    model.train(False)
    return model


def indifferent(context: int = 64) -> LlamaForCausalLM:
    """Every token is as likely as any other, whatever stands before."""
    model = small_model(context)
    torch.nn.init.zeros_(model.lm_head.weight)
    return model


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a busy machine wait for each other longer than these small models take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


TEXT = "the car is charged over night."


@pytest.mark.parametrize("bos", [False, True])
def test_bits_are_the_chances_of_the_tokens(bos: bool) -> None:
    model, tokenizer = small_model(), letters(bos)
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    with torch.no_grad():
        logs = model(input_ids=ids).logits[0].log_softmax(dim=-1)
    pairs = zip(logs[:-1], ids[0, 1:], strict=True)
    expected = -sum(float(log[id]) for log, id in pairs) / math.log(2)
    expected += 0 if bos else math.log2(model.config.vocab_size)
    assert bits_per_byte(model, tokenizer, [TEXT]) == pytest.approx(expected / len(TEXT), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.sampled_from([8, 33, 64]))
def test_every_token_of_a_long_text_costs_once(length: int, context: int) -> None:
    model, tokenizer = indifferent(context), letters()
    text = (TEXT * 10)[:length]
    bits = bits_per_byte(model, tokenizer, [text, "a"])
    assert bits == pytest.approx(math.log2(model.config.vocab_size), rel=1e-5)


def test_windows_give_each_token_half_a_window_before_it() -> None:
    model = small_model(64)
    text = (TEXT * 10)[:200]
    near = bits_per_byte(model, letters(), [text])
    model.config.max_position_embeddings = 1024
    assert near == pytest.approx(bits_per_byte(model, letters(), [text]), rel=0.02)


def test_what_the_tokenizer_cannot_write_is_not_free() -> None:
    model, tokenizer = indifferent(), letters()
    plain = bits_per_byte(model, tokenizer, ["aaaa"]) * 4
    assert bits_per_byte(model, tokenizer, ["aa电a"]) * 6 == pytest.approx(plain + 24)


def test_nothing_to_score_is_no_number() -> None:
    assert math.isnan(bits_per_byte(small_model(), letters(), []))


def noise(seed: int, length: int) -> str:
    return "".join(random.Random(seed).choices(LETTERS, k=length))


def test_compressors_pay_little_for_what_they_have_read_and_much_for_news() -> None:
    prime = [noise(number, 1000) for number in range(10)]
    model, tokenizer = indifferent(), letters()
    known = compare(model, tokenizer, [prime[3]], prime)
    news = compare(model, tokenizer, [noise(99, 1000)], prime)
    entropy = math.log2(len(LETTERS))
    assert known.xz < 0.1
    assert known.ppmd < 0.4
    assert 0.98 * entropy < news.ppmd < 1.2 * entropy
    assert 0.98 * entropy < news.xz < 1.4 * entropy
    assert known.num_bytes == 1000
    assert known.model == news.model == pytest.approx(math.log2(model.config.vocab_size), rel=1e-5)


def test_ppmd_has_memory_enough_never_to_start_over(monkeypatch: pytest.MonkeyPatch) -> None:
    text = noise(5, 20_000).encode()
    data = text * 2
    monkeypatch.setattr(compression, "PPMD_LEAST_MEMORY", 4096)
    given = compression._ppmd_size(16, data)
    monkeypatch.setattr(compression, "PPMD_MEMORY_PER_BYTE", 1000)
    assert compression._ppmd_size(16, data) == given
    monkeypatch.setattr(compression, "PPMD_MEMORY_PER_BYTE", 2)
    assert compression._ppmd_size(16, data) > 1.2 * given  # the second half is news again


@given(st.lists(st.text(max_size=50), max_size=6), st.integers(0, 200))
def test_beginnings_of_all_texts_within_a_limit(texts: list[str], limit: int) -> None:
    kept = first_bytes(texts, limit)
    sizes = [len(each.encode()) for each in kept]
    assert sum(sizes) <= limit
    assert all(any(text.startswith(each) for text in texts) for each in kept)
    total = sum(len(text.encode()) for text in texts)
    assert sum(sizes) >= min(total, limit) - 4 * len(texts)


def load_stories() -> tuple[Any, Any]:
    if not STORIES.is_dir():
        pytest.skip(f"{STORIES} is not there")
    model = AutoModelForCausalLM.from_pretrained(STORIES)
    model.train(False)
    return model, AutoTokenizer.from_pretrained(STORIES)


def test_real_model_knows_stories_better_than_statutes() -> None:
    model, tokenizer = load_stories()
    story = "Once upon a time, there was a little girl named Lily. She loved to play outside."
    statute = "The lessor shall bear the costs of maintenance unless otherwise stipulated herein."
    assert bits_per_byte(model, tokenizer, [story]) < 1
    assert bits_per_byte(model, tokenizer, [statute]) > 3
    assert bits_per_byte(model, tokenizer, ["经营者提供商品有欺诈行为的"]) > 8

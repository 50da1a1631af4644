"""Typing with an aid: what is shown follows from what is typed, and a taken help costs one key."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from flywheel.build.keystrokes import (
    NUM_SHOWN,
    Keystrokes,
    TypingAid,
    keystrokes,
    num_keys,
)
from flywheel.build.token_bytes import token_bytes
from flywheel.build.vocabulary import train_tokenizer

STORIES = Path(__file__).parents[3] / "shared/models/tinystories-656k"
EN = "The charging cable locks itself while the car is charging, and opens when it is full. "
ZH = "充电时充电枪自动锁止，充满后自动解锁。"
LEARNED = (EN * 2, ZH * 3)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a busy machine wait for each other longer than this small model takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(LEARNED, 300)


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Knows two sentences by heart."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer) + 6,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=128,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rows = [torch.tensor([tokenizer(text)["input_ids"]]) for text in LEARNED]
    for _ in range(60):
        for row in rows:
            loss = model(input_ids=row, labels=row).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.train(False)
    torch.set_num_threads(before)
    return model


def test_taken_help_costs_one_key_and_the_longest_that_is_right_is_taken() -> None:
    shown = {
        "": ["th", "the c", "the x"],
        "the c": ["r", "a"],  # one character saves nothing
        "the ca": ["t", "t sat"],
    }
    with_three = num_keys(lambda typed: shown.get(typed, []), "the cat sat", 3)
    assert with_three == 1 + 1 + 1
    with_one = num_keys(lambda typed: shown.get(typed, []), "the cat sat", 1)
    assert with_one == 1 + len("e cat sat")
    assert num_keys(lambda _: [], "车门打开", 3) == 4
    assert Keystrokes(num_characters=10, num_keys=4).saved == pytest.approx(0.6)


def test_help_that_runs_past_the_text_is_not_taken() -> None:
    assert num_keys(lambda _: ["the cat sat"], "the cat", 3) == 7


@pytest.mark.parametrize("text", [EN, ZH * 2])
def test_text_known_by_heart_takes_few_keys_and_other_text_about_all(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    one, three = keystrokes(model, tokenizer, [text])
    assert one.num_characters == len(text)
    assert one.saved > 0.5
    assert three.saved > 0.5
    letters = random.Random(3).sample(sorted(set(text)), len(set(text)))
    strange, _ = keystrokes(model, tokenizer, ["".join(letters)])
    assert strange.saved < 0.2


def test_word_is_completed_though_its_tokens_change_while_it_is_typed(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    aid = TypingAid(model, tokenizer)
    for end in range(5, 30):
        first = aid.suggest(EN[:end])[0]
        assert EN[end:].startswith(first), (EN[:end], first)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_what_is_shown_follows_from_what_is_typed_alone(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, data: st.DataObject
) -> None:
    """Whatever was read before; and characters are never cut."""
    used = TypingAid(model, tokenizer)
    text = data.draw(st.sampled_from([EN, ZH, EN + ZH * 8]))
    for _ in range(3):
        typed = text[: data.draw(st.integers(0, len(text)))]
        shown = used.suggest(typed)
        assert shown == TypingAid(model, tokenizer).suggest(typed)
        assert len(shown) <= NUM_SHOWN
        assert len(set(shown)) == len(shown)
        assert "\ufffd" not in "".join(shown)


def test_text_beyond_the_models_window_is_written_all_the_same(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = EN * 4
    assert len(tokenizer(text)["input_ids"]) > model.config.max_position_embeddings
    assert keystrokes(model, tokenizer, [text], max_characters=5000)[0].num_characters == len(text)


def test_a_limit_is_shared_by_the_texts_and_leaves_enough_of_each(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    texts = ["", EN * 10, ZH * 20, EN * 10]
    one, _ = keystrokes(model, tokenizer, texts, max_characters=410)
    assert one.num_characters == 410
    assert keystrokes(model, tokenizer, texts, max_characters=20)[0].num_characters == 20
    assert keystrokes(model, tokenizer, [])[0].num_characters == 0


@given(st.text(max_size=40))
def test_tokens_write_the_bytes_of_the_text(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    written = token_bytes(tokenizer, len(tokenizer) + 3)
    ids = tokenizer(text)["input_ids"]
    assert b"".join(written[id] for id in ids) == text.encode()
    assert written[-3:] == [b""] * 3
    assert all(written[id] == b"" for id in tokenizer.all_special_ids)


def test_real_model_saves_keys_on_a_story() -> None:
    if not STORIES.is_dir():
        pytest.skip(f"{STORIES} is not there")
    model: Any = AutoModelForCausalLM.from_pretrained(STORIES)
    model.train(False)
    tokenizer: Any = AutoTokenizer.from_pretrained(STORIES)
    story = "Once upon a time, there was a little girl named Lily. She loved to play in the park."
    one, three = keystrokes(model, tokenizer, [story])
    assert one.saved > 0.5
    assert three.num_keys <= one.num_keys
    written = token_bytes(tokenizer, model.config.vocab_size)
    ids = tokenizer(story, add_special_tokens=False)["input_ids"]
    assert b"".join(written[id] for id in ids).strip() == story.encode()

"""A vocabulary: trained so that any text round-trips, and chosen so that it is closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerFast

from flywheel.build.encoding import encode
from flywheel.build.vocabulary import (
    END_OF_TEXT,
    END_OF_TURN,
    FEWEST_TOKENS,
    LONGEST_TOKEN_BYTES,
    SPECIAL_TOKENS,
    Kept,
    Needs,
    choose,
    needs,
    train_tokenizer,
)
from flywheel.errors import ModelError

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "owners-manual" / "documents"
SIZE = 900
CHAT = [
    {"role": "user", "content": "门锁?\n"},
    {"role": "assistant", "content": "Turn the key."},
]


def corpus() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(EXAMPLE.rglob("*.md"))]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(corpus(), SIZE)


@pytest.fixture(scope="session")
def needed(tokenizer: PreTrainedTokenizerFast) -> Needs:
    return needs(tokenizer, corpus())


def closure(needed: Needs, id: int) -> set[int]:
    """A token and what BPE forms on the way to it."""
    token_of = {id: token for token, id in needed.merges.ids.items()}
    formed = needed.merges.closure(token_of[id])
    return {id, *(needed.merges.ids[token] for token in formed or ())}


def test_trained_vocabulary_has_its_size_all_bytes_and_both_languages(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    vocabulary = tokenizer.get_vocab()
    assert len(tokenizer) == SIZE == max(vocabulary.values()) + 1
    assert set(pre_tokenizers.ByteLevel.alphabet()) <= vocabulary.keys()
    assert len(tokenizer.tokenize(" the")) == len(tokenizer.tokenize("车辆")) == 1
    longest = max(len(token) for token in vocabulary if token not in SPECIAL_TOKENS)
    assert longest <= LONGEST_TOKEN_BYTES


def test_training_twice_gives_the_same(tokenizer: PreTrainedTokenizerFast) -> None:
    again = train_tokenizer(corpus(), SIZE).backend_tokenizer.to_str()
    assert again == tokenizer.backend_tokenizer.to_str()


@given(text=st.text())
def test_any_text_round_trips(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_turn_ends_with_the_end_of_sequence_and_padding_is_another(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    assert tokenizer.eos_token == END_OF_TURN
    assert tokenizer.pad_token == END_OF_TEXT
    written = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert written == (
        "<|im_start|>user\n门锁?\n<|im_end|>\n<|im_start|>assistant\nTurn the key.<|im_end|>\n"
    )
    prompt = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|im_start|>user\n门锁?\n<|im_end|>\n<|im_start|>assistant\n"


def test_vocabulary_that_does_not_hold_the_bytes_is_refused() -> None:
    with pytest.raises(ModelError, match=str(FEWEST_TOKENS)):
        train_tokenizer(["a"], FEWEST_TOKENS - 1)
    assert len(train_tokenizer(["a"], FEWEST_TOKENS)) == FEWEST_TOKENS


def test_needs_count_what_the_corpus_uses(tokenizer: PreTrainedTokenizerFast) -> None:
    counted = needs(tokenizer, iter(["aa", "a 门"]))
    ids = [id for each in encode(tokenizer, ["aa", "a 门"]) for id in each]
    assert counted.num_texts == 2
    assert counted.num_bytes == 2 + 5
    assert counted.num_tokens == len(ids)
    assert dict(counted.counts) == {id: ids.count(id) for id in ids}


def test_what_the_chat_template_writes_is_required(
    tokenizer: PreTrainedTokenizerFast, needed: Needs
) -> None:
    text = str(tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True))
    written = set(encode(tokenizer, [text])[0])
    spoken = {id for turn in CHAT for id in encode(tokenizer, [turn["content"]])[0]}
    assert written - spoken <= set(choose(needed, 400).ids)
    assert {tokenizer.get_vocab()[token] for token in SPECIAL_TOKENS} <= needed.required


@given(
    counts=st.dictionaries(st.integers(0, SIZE - 1), st.integers(1, 9), max_size=200),
    size=st.integers(330, SIZE + 10),
    general=st.floats(0, 1),
    also=st.sets(st.integers(-1, SIZE + 5), max_size=3),
)
def test_choice_has_its_size_is_closed_and_holds_what_must_be(
    needed: Needs, counts: dict[int, int], size: int, general: float, also: set[int]
) -> None:
    kept = choose(replace(needed, counts=counts), size, general=general, also=also)
    assert len(set(kept.ids)) == len(kept.ids) == min(size, SIZE)
    assert needed.required <= set(kept.ids) <= needed.vocabulary
    assert also & needed.vocabulary <= set(kept.ids)
    tokens = {token for token, id in needed.merges.ids.items() if id in set(kept.ids)}
    assert all(tokens.issuperset(needed.merges.closure(token) or ()) for token in tokens)


def test_more_used_tokens_are_kept_first_and_the_reserve_is_the_lowest_ids(needed: Needs) -> None:
    rare, frequent = SIZE - 1, SIZE - 2
    least = {id for each in needed.required for id in closure(needed, each)}
    room = len(least | closure(needed, frequent))
    kept = choose(replace(needed, counts={rare: 1, frequent: 2}), room, general=0)
    assert frequent in kept.ids
    assert rare not in kept.ids
    reserve = choose(replace(needed, counts={}), 600, general=1)
    closed = {id for id in reserve.ids if id not in needed.required}
    assert max(closed) <= 620


def test_reserve_is_what_general_text_needs_where_there_is_any(needed: Needs) -> None:
    last = SIZE - 1
    told = choose(replace(needed, counts={}), 400, reserve=replace(needed, counts={last: 1}))
    assert last in told.ids
    assert last not in choose(replace(needed, counts={}), 400).ids


def test_whole_vocabulary_is_kept_where_the_size_allows_it(needed: Needs) -> None:
    assert choose(needed, SIZE) == Kept(ids=tuple(range(SIZE)))
    assert needed.covered(choose(needed, SIZE)) == 1.0


def test_coverage_grows_with_the_size(needed: Needs) -> None:
    covered = [needed.covered(choose(needed, size)) for size in (350, 500, 700, SIZE)]
    assert covered == sorted(covered)
    assert covered[0] < covered[-1] == 1.0


def test_size_that_does_not_hold_what_must_be_is_refused(needed: Needs) -> None:
    with pytest.raises(ModelError, match="alone need"):
        choose(needed, 260)

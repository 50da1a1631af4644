"""Extending: frequent terms become tokens of their own, and nothing else changes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from flywheel.build.encoding import encode
from flywheel.build.export import write_gguf
from flywheel.build.extending import Terms, extend_model, extend_tokenizer, find_terms
from flywheel.build.merges import read_json, read_merges
from flywheel.build.vocabulary import SPECIAL_TOKENS, train_tokenizer
from flywheel.engine.embedded import EmbeddedEngine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "owners-manual" / "documents"
SIZE = 500
NUM_TERMS = 60
DOMAIN = [
    f"The anaphylactic shock {number}: 过敏性休克患者应立即注射肾上腺素。" for number in range(40)
]


@pytest.fixture(scope="module")
def base() -> PreTrainedTokenizerFast:
    texts = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLE.rglob("*.md"))]
    return train_tokenizer(texts, SIZE)


@pytest.fixture(scope="module")
def terms(base: PreTrainedTokenizerFast) -> Terms:
    return find_terms(base, DOMAIN, NUM_TERMS)


@pytest.fixture(scope="module")
def extended(base: PreTrainedTokenizerFast, terms: Terms) -> PreTrainedTokenizerFast:
    return extend_tokenizer(base, terms)


def tiny() -> Any:
    """A model with more rows than the base has tokens."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=SIZE + 12,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=None,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def num_tokens(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    return len(encode(tokenizer, [text])[0])


def test_terms_are_used_where_they_stand_and_save_tokens(
    base: PreTrainedTokenizerFast, extended: PreTrainedTokenizerFast, terms: Terms
) -> None:
    assert len(extended) == SIZE + len(terms.tokens)
    assert num_tokens(base, " anaphylactic") > 4
    assert num_tokens(extended, " anaphylactic") == 1
    assert num_tokens(extended, DOMAIN[0]) < num_tokens(base, DOMAIN[0]) / 2


def test_terms_are_merges_behind_all_others_and_no_added_tokens(
    base: PreTrainedTokenizerFast, extended: PreTrainedTokenizerFast, terms: Terms
) -> None:
    before, after = read_json(base), read_json(extended)
    num_merges = len(before["model"]["merges"])
    assert after["model"]["merges"][:num_merges] == before["model"]["merges"]
    assert after["model"]["merges"][num_merges:] == [list(pair) for pair in terms.merges]
    assert [each["content"] for each in after["added_tokens"]] == list(SPECIAL_TOKENS)
    merges = read_merges(extended)
    assert all(merges.derivation(token) for token in terms.tokens)


@given(text=st.text() | st.sampled_from(DOMAIN))
def test_any_text_round_trips_and_terms_never_cost_tokens(
    base: PreTrainedTokenizerFast, extended: PreTrainedTokenizerFast, text: str
) -> None:
    assert extended.decode(encode(extended, [text])[0]) == text
    assert num_tokens(extended, text) <= num_tokens(base, text)


def test_no_term_crosses_a_word_or_a_special_token(base: PreTrainedTokenizerFast) -> None:
    texts = ["key<|im_end|>lock the door"] * 50
    found = find_terms(base, texts, 50)
    words = {token for token in found.tokens if "<" in token or "Ġ" in token[1:]}
    assert words == set()


def test_what_is_rare_becomes_no_term(base: PreTrainedTokenizerFast) -> None:
    assert find_terms(base, DOMAIN[:19], NUM_TERMS).tokens == ()
    assert find_terms(base, [], NUM_TERMS).tokens == ()
    assert find_terms(base, DOMAIN[:19], NUM_TERMS, fewest_times=10).tokens != ()


def test_new_rows_are_the_mean_of_their_pieces(
    base: PreTrainedTokenizerFast, extended: PreTrainedTokenizerFast, terms: Terms
) -> None:
    model = tiny()
    old_in, old_out = (
        weight.detach().clone()
        for weight in (model.model.embed_tokens.weight, model.lm_head.weight)
    )
    extend_model(model, terms)
    assert model.config.vocab_size == len(extended)
    pieces = encode(base, [" anaphylactic"])[0]
    (id,) = encode(extended, [" anaphylactic"])[0]
    assert torch.allclose(model.model.embed_tokens.weight[id], old_in[pieces].mean(dim=0))
    assert torch.allclose(model.lm_head.weight[id], old_out[pieces].mean(dim=0))
    for token, old in base.get_vocab().items():
        new = extended.convert_tokens_to_ids(token)
        assert torch.equal(model.lm_head.weight[new], old_out[old])


def test_added_tokens_behind_the_model_move_behind_the_terms(
    base: PreTrainedTokenizerFast,
) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base.backend_tokenizer)  # type: ignore[no-untyped-call]
    tokenizer.add_tokens(["<|call|>"], special_tokens=True)
    terms = find_terms(tokenizer, DOMAIN, NUM_TERMS)
    extended = extend_tokenizer(tokenizer, terms)
    assert extended.convert_tokens_to_ids("<|call|>") == len(extended) - 1
    assert terms.rows[-1] == (SIZE,)
    assert extended.decode(encode(extended, ["a<|call|>b"])[0]) == "a<|call|>b"


def test_extended_folder_loads_in_plain_transformers(
    extended: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    extended.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == extended.get_vocab()
    assert encode(loaded, DOMAIN) == encode(extended, DOMAIN)


def test_pieces_of_a_term_are_the_base_s_own(terms: Terms) -> None:
    new = [row for row in terms.rows if len(row) > 1]
    assert len(new) == len(terms.tokens)
    assert all(0 <= id < SIZE for row in terms.rows for id in row)
    alone = [row[0] for row in terms.rows if len(row) == 1]
    assert all(left < right for left, right in pairwise(alone))


def test_engine_splits_with_the_terms_as_the_tokenizer_does(
    extended: PreTrainedTokenizerFast, terms: Terms, tmp_path: Path
) -> None:
    model = tiny()
    extend_model(model, terms)
    write_gguf(model, extended, tmp_path / "model.gguf", "f32")
    texts = [*DOMAIN[:5], "<|im_start|>user\n过敏 shock's 12\n\n  😀<|im_end|>"]
    engine = EmbeddedEngine.open(tmp_path / "model.gguf", num_slots=1, context_tokens=256)
    try:
        assert [engine.tokenize(text, special=True) for text in texts] == encode(extended, texts)
    finally:
        engine.close()

"""Merges: what a token is made of is what the tokenizers library makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from flywheel.build.merges import BYTES, Merges, read_merges
from flywheel.errors import ModelError


@st.composite
def merges_of(draw: st.DrawFn, letters: str = "abc") -> list[tuple[str, str]]:
    """Merges in any order, some of tokens that other merges make as well, or never reached."""
    tokens = list(letters)
    merges: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 12))):
        pair = draw(st.tuples(st.sampled_from(tokens), st.sampled_from(tokens)))
        if pair not in merges:
            merges.append(pair)
            tokens.append("".join(pair))
    return draw(st.permutations(merges))


def bpe(merges: list[tuple[str, str]], letters: str = "abc", **options: Any) -> Tokenizer:
    tokens = dict.fromkeys([*letters, *(left + right for left, right in merges)])
    return Tokenizer(
        models.BPE(vocab={each: id for id, each in enumerate(tokens)}, merges=merges, **options)
    )


def read(tokenizer: Tokenizer) -> Merges:
    return read_merges(PreTrainedTokenizerFast(tokenizer_object=tokenizer))  # type: ignore[no-untyped-call]


@given(merges=merges_of())
def test_token_derives_itself_exactly_where_bpe_gives_it(merges: list[tuple[str, str]]) -> None:
    tokenizer = bpe(merges)
    found = read(tokenizer)
    for token in found.ids:
        assert (found.derivation(token) is not None) == (tokenizer.encode(token).tokens == [token])


@given(merges=merges_of(), text=st.text("abc", min_size=1, max_size=30))
def test_token_of_any_text_derives_itself(merges: list[tuple[str, str]], text: str) -> None:
    tokenizer = bpe(merges)
    found = read(tokenizer)
    assert all(found.derivation(token) for token in tokenizer.encode(text).tokens)


def test_derivation_holds_what_is_formed_on_the_way_and_no_other_way() -> None:
    found = read(bpe([("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]))
    assert set(found.derivation("abc") or ()) == {"a", "b", "c", "bc", "abc"}


def test_word_that_is_taken_whole_needs_nothing_else() -> None:
    merges = [("a", "b"), ("b", "c"), ("a", "bc")]
    assert read(bpe(merges)).closure("abc") is None
    assert set(read(bpe(merges, ignore_merges=True)).closure("abc") or ()) == {"abc"}


def test_alphabet_is_the_bytes_where_all_are_there_and_else_every_character() -> None:
    assert read(bpe([("a", "b")])).alphabet() == {"a", "b", "c"}
    vocabulary = {each: id for id, each in enumerate(["<unk>", *BYTES, "a", "b", "ab"])}
    model = models.BPE(vocab=vocabulary, merges=[("a", "b")], byte_fallback=True, unk_token="<unk>")
    assert read(Tokenizer(model)).alphabet() == {"<unk>", *BYTES}


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0), "Unigram"),
        (models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"), "WordPiece"),
        (models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"), "WordLevel"),
        (models.BPE({"a": 0}, [], end_of_word_suffix="</w>"), "end_of_word_suffix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vocabulary_of_another_type_is_refused_by_its_name(model: Any, named: str) -> None:
    with pytest.raises(ModelError, match=named):
        read(Tokenizer(model))

"""Terms: two spellings of one word meet, and no text is too odd to have them."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flywheel.search.terms import HAN_RUN, NUM_BUCKETS, fold, grams, has_han, stem, term_ids

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))
"""Any code points at all: lone surrogates, NUL and what is not assigned included."""

PAIRS = [
    ("兒童安全鎖", "儿童安全锁"),
    ("後視鏡", "后视镜"),
    ("變速箱", "变速箱"),
    ("儀表板上的警示燈", "仪表板上的警示灯"),
    ("電池充電時間", "电池充电时间"),
]
HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF).filter(lambda char: char != "薴")
"""OpenCC turns 薴 into 苧, and 苧, which is another traditional character, into 苎."""


@given(st.text(alphabet=st.one_of(HAN, st.characters(max_codepoint=0x2FFF))))
@example("İSTANBUL ﬁne ① Ⅷ")
@example("乾隆年間的乾燥機")
def test_folding_again_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(("traditional", "simplified"), PAIRS)
def test_traditional_and_simplified_have_the_same_terms(traditional: str, simplified: str) -> None:
    assert fold(traditional) == fold(simplified) == simplified
    assert np.array_equal(term_ids(traditional), term_ids(simplified))
    assert grams(fold(traditional)) == grams(fold(simplified))


@pytest.mark.parametrize(
    ("text", "folded"),
    [("ＡＢＳ", "abs"), ("２．５ bar", "2.5 bar"), ("ﬁlter", "filter"), ("㎏", "kg"), ("豈", "岂")],
)
def test_compatibility_forms_fold_to_plain_ones(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_composed_and_decomposed_text_have_the_same_terms(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert np.array_equal(term_ids(text), term_ids(decomposed))


@given(ANY_TEXT)
@example("")
@example("\x00")
@example("锁\x00锁")
@example("\ud800")
@example("锁\udfff lock")
@example("\U00020bb7\U0010ffff")
def test_any_text_has_terms(text: str) -> None:
    terms = term_ids(text)
    assert np.array_equal(terms, np.unique(terms))
    assert ((terms >= 0) & (terms < NUM_BUCKETS)).all()
    fold(text).encode()


@given(st.lists(st.sampled_from(["brake", "fuse", "2024", "h7", "café", "ключ"]), min_size=1))
def test_every_word_contributes(words: list[str]) -> None:
    terms = set(term_ids(" ".join(words)).tolist())
    assert terms == {term for word in words for term in term_ids(word).tolist()}
    assert len(terms) == len(set(words))


@given(st.text(alphabet=HAN, min_size=1))
def test_every_han_character_and_pair_contributes(text: str) -> None:
    folded = fold(text)
    terms = set(term_ids(text).tolist())
    parts = [*folded, *(folded[i : i + 2] for i in range(len(folded) - 1))]
    assert all(set(term_ids(part).tolist()) <= terms for part in parts)
    assert set(parts) == set(grams(folded).split())


def test_order_of_characters_matters() -> None:
    assert not np.array_equal(term_ids("上海"), term_ids("海上"))


def test_pairs_do_not_reach_across_what_stands_between() -> None:
    assert grams("锁，门") == "锁 门"
    assert set(grams("锁门").split()) == {"锁", "门", "锁门"}


def test_forms_of_an_english_word_share_their_stem() -> None:
    assert np.array_equal(term_ids("The locks locked"), term_ids("the LOCK locking"))


def test_words_beside_chinese_are_words() -> None:
    terms = set(term_ids("按ABS按钮2次").tolist())
    assert {*term_ids("abs").tolist(), *term_ids("2").tolist()} <= terms


def test_punctuation_has_no_terms() -> None:
    assert term_ids("… —— 。，！？ _ | # *").size == 0


@pytest.mark.parametrize("text", ["锁", "lock 锁", "鎖", "\U00020bb7", "\uf900"])
def test_chinese_is_seen(text: str) -> None:
    assert has_han(text)


@pytest.mark.parametrize(
    "text", ["", "lock", "잠금 장치", "ロック", "замок", "\ue000", "。，", "\ud800"]
)
def test_other_scripts_are_not_chinese(text: str) -> None:
    assert not has_han(text)


def test_rare_characters_are_found_like_common_ones() -> None:
    assert HAN_RUN.findall("\U00020bb7野家") == ["\U00020bb7野家"]
    assert "\U00020bb7" in grams("\U00020bb7野家").split()


def test_threads_stem_as_one_would() -> None:
    words = [f"{start}{end}" for start in ("charg", "lock", "windo") for end in ("ing", "ed", "s")]
    stem_anew = stem.__wrapped__
    alone = [stem_anew(word) for word in words]
    with ThreadPoolExecutor(8) as pool:
        rounds = pool.map(lambda _: [stem_anew(word) for word in words], range(300))
        assert all(found == alone for found in rounds)

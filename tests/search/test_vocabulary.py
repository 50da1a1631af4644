"""The word lists: each is read whole, and no wording means two things."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from itertools import chain

import pytest

from flywheel.search.terms import stem
from flywheel.search.vocabulary import (
    alike,
    chinese,
    chinese_events,
    courtesies,
    english,
    function_words,
)

WORDINGS = ["chinese", "chinese_kinds", "english", "english_kinds"]


def lines(name: str) -> list[str]:
    text = (files("flywheel.search") / "words" / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def wordings(name: str) -> set[str]:
    of_lines = (line.partition(":")[2].split("|") for line in lines(name))
    return {each.strip() for each in chain.from_iterable(of_lines)}


@pytest.mark.parametrize("name", WORDINGS)
def test_every_line_is_tokens_and_wordings(name: str) -> None:
    for line in lines(name):
        assert line.count(":") == 1, line
        wordings = [each.strip() for each in line.partition(":")[2].split("|")]
        assert all(wordings), line


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_no_wording_stands_for_two_things(language: str) -> None:
    for name in (language, f"{language}_kinds"):
        told = Counter(
            each.strip() for line in lines(name) for each in line.partition(":")[2].split("|")
        )
        assert not [each for each, count in told.items() if count > 1], name


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_a_wording_asks_or_names_and_never_both(language: str) -> None:
    kinds, names = (wordings(each) for each in (f"{language}_kinds", language))
    assert not kinds & names


def test_the_plural_of_a_noun_asks_for_nothing() -> None:
    """Laws are not what is lawful, nor allowances what is allowed."""
    found = english()
    kinds = wordings("english_kinds")
    stems = {stem(word) for word in kinds}
    for noun in wordings("english"):
        plural = f"{noun}s"
        if " " not in noun and stem(noun) in stems and noun[-1] != "s" and plural not in kinds:
            tokens = found.exact.get((plural,), found.table[(stem(plural),)])
            assert tokens == found.exact[(noun,)], noun


def test_tokens_of_the_other_lists_are_stems_or_stand_for_a_wording() -> None:
    listed = {token for tokens in chinese().table.values() for token in tokens}
    assert {each for each in chinese_events() if len(each) > 1} <= listed
    pairs, unsaid = alike()
    assert all(token[0] not in "*~" for token in unsaid), "these go without saying anywhere"
    known = {token for tokens in english().exact.values() for token in tokens}
    used = {*unsaid, *chain.from_iterable(pairs), *chain.from_iterable(unsaid.values())}
    used = {token for token in used if token.isascii() and token.isalpha()}
    assert not {token for token in used - known if stem(token) != token}


def test_a_wording_is_looked_up_by_its_stems() -> None:
    _, table, lengths, _ = english()
    meeting, conference = ((stem(word), stem("room")) for word in ("meeting", "conference"))
    assert table[meeting] == table[conference]
    assert lengths[stem("conferences")][0] >= 2


def test_the_longest_chinese_wording_is_tried_first() -> None:
    table, lengths = chinese()
    for first, of in lengths.items():
        assert of == sorted(of, reverse=True)
        assert any(len(each) == of[0] for each in table if each[0] == first)


def test_courtesies_are_of_both_languages_and_function_words_carry_none() -> None:
    assert courtesies("before").leading.match("请问怎么")
    assert courtesies("after").trailing.search("怎么办谢谢")
    assert ("thanks",) in courtesies("after").phrases
    assert "the" in function_words()

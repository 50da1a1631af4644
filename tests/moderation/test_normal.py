"""What a text's normal form undoes, and that it leads back to the text."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.moderation.normal import keys, normal_form, places

ANY = st.text(alphabet=st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    "text",
    [
        "ｋｉｌｌ",  # full width
        "KÍLL",
        "ki\u0301ll",  # an accent of its own
        "k\u200bi\u200dl\u00adl\ufeff",  # zero-width characters
        "кіll",  # Cyrillic
        "κιll",  # Greek
        "𝐤𝐢𝐥𝐥",
        "ⓚⓘⓛⓛ",
        "🅺🅸🅻🅻",
        "ᴋɪʟʟ",
    ],
)
def test_letters_that_look_alike_are_one(text: str) -> None:
    assert normal_form(text).replace("I", "i") == "kill"


def test_chinese_is_simplified_character_by_character() -> None:
    assert normal_form("殺彈腦殘") == "杀弹脑残"
    assert normal_form("炸\u200b彈") == "炸弹"


def test_what_may_be_meant_is_left() -> None:
    assert normal_form("k1ll a$$ 24") == "k1ll a$$ 24"


def test_marks_at_a_word_are_no_letters_of_it() -> None:
    assert normal_form("Haldol™, kill² ①") == "haldol, kill   "


@given(ANY)
def test_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    once = normal_form(text)
    assert normal_form(once) == once


def test_every_character_has_a_normal_form_of_its_own() -> None:
    changing = [
        code
        for code in range(0, sys.maxunicode + 1, 7)
        if normal_form(normal_form(chr(code))) != normal_form(chr(code))
    ]
    assert changing == []


@given(ANY, st.data())
def test_places_lead_back_to_the_text(text: str, data: st.DataObject) -> None:
    normal, origins = normal_form(text), places(text)
    if not normal:
        return
    start = data.draw(st.integers(0, len(normal) - 1))
    end = data.draw(st.integers(start + 1, len(normal)))
    first, last = origins.span(start, end)
    assert 0 <= first < last <= len(text)
    assert normal[start:end] in normal_form(text[first:last])


@given(ANY)
def test_keys_lead_back_to_the_normal_form(text: str) -> None:
    normal = normal_form(text)
    for key in keys(normal):
        assert len(key.text) == len(key.starts) == len(key.ends)
        assert all(one != next_one for one, next_one in zip(key.text, key.text[1:], strict=False))
        for char, start, end in zip(key.text, key.starts, key.ends, strict=True):
            assert 0 <= start < end <= len(normal)
            assert keys(normal[start])[0].text in (char, "") or normal[start] in "0123456789@$!|+€£"


def test_digits_and_signs_are_read_both_ways() -> None:
    assert [key.text for key in keys("b0mb!")] == ["b0mb", "bombi"]
    assert [key.text for key in keys("bomb")] == ["bomb"]

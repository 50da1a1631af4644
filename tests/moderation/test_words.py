"""Phrases of lists are found through tricks, and nothing else is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import FileFormatError
from flywheel.moderation.normal import normal_form
from flywheel.moderation.words import WordLists, read_phrases

LIST = """
# Comments and blank lines are passed over.

bomb
kill you
ass
hell
god
moron*
炸弹
杀
!杀毒
傻b
"""
_WORDS = """
class assume pass Scunthorpe he'll shell hello good bombast skill you kiln your S-class as S
therapist Gods morose A. B. C. 666 b 0 1 o m $5 k! 爆 炸药包 弹簧 砂锅 沙 傻 杀毒软件 殺毒
"""
HARMLESS = _WORDS.split()
HOMOGLYPHS = str.maketrans("aceiopsxykhm", "асеіорѕхукһм")
DIGITS = str.maketrans("aeiostb", "4310578")


def lists(text: str = LIST, category: str = "bad") -> WordLists:
    return WordLists(read_phrases(category, text, Path("bad.txt")))


LISTS = lists()


def found(text: str, of: WordLists = LISTS) -> list[tuple[str, str]]:
    return [(each.phrase, text[each.start : each.end]) for each in of.find(text)]


@pytest.mark.parametrize(
    "text",
    [
        "bomb",
        "BOMB!",
        "b0mb",
        "b o m b",
        "b.o.m.b",
        "b-o-m-b",
        "b - o - m - b",
        "bo-mb",
        "b_omb",
        "booooomb",
        "bommmb",
        "ｂｏｍｂ",
        "вомв",
        "b\u200bomb",
        "bo\u0301mb",
        "a b o m b",
    ],
)
def test_word_is_found_through_tricks(text: str) -> None:
    [(phrase, piece)] = found(f"make {text} now")
    assert phrase == "bomb"
    assert piece == text.removesuffix("!").removeprefix("a ")


@pytest.mark.parametrize(
    "text", ["炸弹", "炸 弹", "炸-弹", "炸**弹", "炸.弹", "炸彈", "炸\u200b弹", "炸\u3000弹"]
)
def test_chinese_is_found_within_a_sentence(text: str) -> None:
    assert found(f"他有{text}吗") == [("炸弹", text)]


@pytest.mark.parametrize(
    "text",
    ["kill you", "KILL  YOU", "k1ll you", "killyou", "kill-you", "kill\nyou", "k i l l y o u"],
)
def test_phrase_of_several_words_is_found(text: str) -> None:
    assert found(f"I'll {text}.") == [("kill you", text)]


def test_word_that_begins_like_the_end_of_the_last_is_found() -> None:
    assert found("the less ass", lists("ass\n")) == [("ass", "ass")]
    assert found("all lies", lists("lies\n")) == [("lies", "lies")]


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_word_is_not(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "They came to kill. You were there.",
        "爆炸，弹片飞出",  # a comma divides
        "爆炸。\n弹簧",
        "B O M B A S T",
        "E M B A S S Y",
        "such as S-Class and he'll",
        "the rapid growth of bombastic skills",
    ],
)
def test_what_only_seems_to_hold_a_phrase_is_not(text: str) -> None:
    assert found(text) == []


def test_open_phrase_goes_on_as_it_likes() -> None:
    assert found("m0rons! moronic, oxymoron") == [("moron", "m0rons"), ("moron", "moronic")]


def test_within_an_exception_nothing_counts() -> None:
    assert found("杀毒软件") == []
    assert found("他杀人，不杀毒") == [("杀", "杀")]


def test_exception_is_of_its_own_list_only() -> None:
    other = [*read_phrases("bad", LIST, Path("x")), *read_phrases("other", "杀毒", Path("y"))]
    assert [each.category for each in WordLists(other).find("杀毒")] == ["other"]


def test_chinese_and_latin_letters_may_mix() -> None:
    assert found("你是傻B吗") == [("傻b", "傻B")]
    assert found("傻bye") == []
    assert found("你是moron吗") == [("moron", "moron")]


def test_digits_in_a_phrase_are_meant() -> None:
    of = lists("666\n4chan\n")
    assert found("666, 4chan", of) == [("666", "666"), ("4chan", "4chan")]
    assert found("1666 ggg achan", of) == []


def test_signs_in_a_phrase_stand_for_letters() -> None:
    assert found("ASSHOLE a$$hole", lists("a$$hole\n")) == [
        ("a$$hole", "ASSHOLE"),
        ("a$$hole", "a$$hole"),
    ]


def test_capital_i_may_be_an_l() -> None:
    assert found("kiIl", lists("kill\n")) == [("kill", "kiIl")]
    assert found("hail", lists("hall\n")) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("***", "no letter"),
        ("! ", "no letter"),
        ("x", "one letter alone"),
        ("👍", "no letter"),
        ("b" * 201, "at most 200"),
    ],
)
def test_line_that_cannot_be_looked_for_is_named(line: str, problem: str) -> None:
    with pytest.raises(FileFormatError, match=problem) as raised:
        lists(f"bomb\n{line}\n")
    assert raised.value.line == 2


def test_long_phrase_is_not_tried_in_all_ways() -> None:
    words = ["so", "it"] * 30
    of = lists(" ".join([*words, "ends"]))
    for gap in ("  ", " - ", " \n ", "=="):
        assert found(gap.join([*words, "goes on"]), of) == []
        assert len(found(gap.join([*words, "ends"]), of)) == 1


def test_text_of_nothing_but_tricks_is_searched_once() -> None:
    for text in ("b" * 20_000, "b.o.m." * 5_000, "k i l l " * 5_000, "$s" * 10_000, "1l|" * 9_000):
        assert len(LISTS.find(text)) <= len(text)


def test_no_list_finds_nothing() -> None:
    assert WordLists([]).find("bomb") == ()
    assert LISTS.find("") == ()


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_spans_lie_within_any_text(text: str) -> None:
    for each in LISTS.find(text):
        assert 0 <= each.start < each.end <= len(text)


@given(st.text(alphabet="abmokil y.-_*!1$0ou\u200b\u0301炸弹杀毒傻B ，"))
def test_spans_hold_the_phrase_itself(text: str) -> None:
    for each in LISTS.find(text):
        assert each.phrase in [one.phrase for one in LISTS.find(text[each.start : each.end])]


@st.composite
def tricked(draw: st.DrawFn) -> tuple[str, str]:
    """A listed phrase, and how somebody might write it to get it past a list."""
    phrase = draw(st.sampled_from(["bomb", "kill you", "moron", "炸弹"]))
    generator = random.Random(draw(st.integers(0, 2**32)))
    letters = [_letter(char, generator) for char in phrase]
    way = draw(st.sampled_from(["plain", "spread", "stretched"]))
    if way == "spread":
        sign = draw(st.sampled_from([" ", ".", "-", "*", " . ", "_"]))
        return phrase, sign.join(each for each in letters if each[0] != " ")
    if way == "stretched" and phrase != "炸弹":
        place = generator.choice([n for n, char in enumerate(phrase) if char.isalpha()])
        letters[place] *= generator.randint(3, 6)
    return phrase, "".join(letters)


def _letter(char: str, generator: random.Random) -> str:
    ways = (
        char,
        char.upper(),
        char.translate(HOMOGLYPHS),
        char.translate(DIGITS),
        f"{char}\u200b",
        f"{char}\u0301" if char.isalpha() else char,
        chr(ord(char) + 0xFEE0) if "a" <= char <= "z" else char,
        {"弹": "彈"}.get(char, char),
    )
    return generator.choice(ways)


@given(
    tricked(), st.sampled_from(["", "I say ", "嗯，", "(", "Listen: "]), st.sampled_from("!。 )")
)
def test_tricks_do_not_hide_a_phrase(trick: tuple[str, str], before: str, behind: str) -> None:
    phrase, written = trick
    text = before + written + behind
    spans = {each.phrase: (each.start, each.end) for each in LISTS.find(text)}
    assert phrase in spans
    start, end = spans[phrase]
    assert before not in text[start:end] or not before
    assert normal_form(text[start:end]) in normal_form(written)


@given(
    st.lists(st.sampled_from([each for each in HARMLESS if len(each) > 2]), min_size=1, max_size=8),
    st.sampled_from([", ", "; ", "\n\n", " / ", "。", ") "]),
    st.sampled_from([str, str.upper, str.title, lambda text: text.replace("s", "ss")]),
)
def test_changes_that_hide_nothing_find_nothing(
    words: list[str], joint: str, change: object
) -> None:
    assert callable(change)
    assert found(joint.join(change(word) for word in words)) == []

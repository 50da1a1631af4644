"""Normal form, longest common subsequence and coverage: what every metric stands on."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.evaluate import text

PROSE = st.text(alphabet="abcdeAÉ xyz019 ，。、！.,!?-|#\n\t　轮胎气压充电前后ＡＢ１", max_size=60)
UNITS = st.lists(st.sampled_from("abcd"), max_size=30)


@given(PROSE)
@settings(deadline=None)
def test_the_normal_form_is_a_fixed_point(sample: str) -> None:
    once = text.normalise(sample)
    assert text.normalise(once) == once


@given(PROSE)
@settings(deadline=None)
def test_white_space_and_punctuation_do_not_count(sample: str) -> None:
    spaced = " ，\n".join(sample)
    assert text.normalise(spaced) == text.normalise(sample)


def test_full_width_letters_are_their_plain_forms() -> None:
    assert text.normalise("ＣＲ２０３２ Cell") == "cr2032cell"


@pytest.mark.parametrize(
    ("sample", "chinese"),
    [
        ("轮胎气压是多少？", True),
        ("什么是 ISOFIX？", True),
        ("What does 警告 mean on the display?", False),
        ("tyre pressure", False),
        ("2.5", False),
    ],
)
def test_a_few_foreign_words_do_not_change_the_language(sample: str, chinese: bool) -> None:
    assert text.is_chinese(sample) is chinese


def test_chinese_is_counted_in_characters_and_english_in_words() -> None:
    assert text.units("气压 2.5", chinese=True) == ["气", "压", "2", "5"]
    assert text.units("The Tyre's pressure", chinese=False) == ["the", "tyre", "s", "pressure"]


def lcs_by_table(left: list[str], right: list[str]) -> int:
    row = [0] * (len(right) + 1)
    for a in left:
        diagonal = 0
        for place, b in enumerate(right, start=1):
            above = row[place]
            row[place] = diagonal + 1 if a == b else max(above, row[place - 1])
            diagonal = above
    return row[-1]


@given(UNITS, UNITS)
@settings(deadline=None)
def test_the_bit_parallel_lcs_equals_the_table(left: list[str], right: list[str]) -> None:
    assert text.lcs_length(left, right) == lcs_by_table(left, right)


@given(UNITS, UNITS)
@settings(deadline=None)
def test_the_lcs_is_symmetric_and_bounded(left: list[str], right: list[str]) -> None:
    length = text.lcs_length(left, right)
    assert length == text.lcs_length(right, left) <= min(len(left), len(right))
    assert text.lcs_length(left, left + right) == len(left)


def test_long_texts_are_compared_without_a_table() -> None:
    left, right = "天地玄黄宇宙洪荒" * 500, "日月盈昃宇宙洪荒" * 500
    started = time.process_time()
    assert text.lcs_length(left, right) >= 2000
    assert time.process_time() - started < 2  # a table of 16 million cells takes longer


def test_rouge_l_is_the_f1_of_the_common_subsequence() -> None:
    # Two of two units of the text, two of four of the reference, in order: 2·2 / (2 + 4).
    assert text.rouge_l("open lid", "open the left lid") == pytest.approx(2 / 3)
    assert text.rouge_l("lid open", "open the left lid") == pytest.approx(1 / 3)
    assert text.overlap_f1("lid open", "open the left lid") == pytest.approx(2 / 3)
    assert text.rouge_l("充电上限", "充电的上限") == pytest.approx(8 / 9)
    assert text.rouge_l("", "open the lid") == 0


def test_a_unit_counts_as_often_as_both_texts_have_it() -> None:
    assert text.overlap_f1("no no no", "no yes") == pytest.approx(2 / 5)


@given(PROSE, PROSE, PROSE)
@settings(deadline=None)
def test_a_text_that_holds_the_evidence_covers_it(before: str, wanted: str, after: str) -> None:
    expected = 1.0 if text.normalise(wanted) else 0.0
    assert text.coverage(wanted, before + wanted + after) == expected


@given(PROSE, PROSE, PROSE)
@settings(deadline=None)
def test_more_texts_never_cover_less(wanted: str, one: str, other: str) -> None:
    alone, both = text.coverage(wanted, one), text.coverage(wanted, one, other)
    assert 0 <= alone <= both <= 1
    assert both == text.coverage(wanted, other, one)


def test_texts_cover_together_what_none_covers_alone() -> None:
    wanted = "车轮螺母的拧紧力矩为一百二十牛米，行驶五十公里后复查一次。"
    first, second = "车轮螺母的拧紧力矩为一百二十牛米", "行驶五十公里后复查一次"
    assert text.coverage(wanted, first) < 0.8
    assert text.coverage(wanted, first, second) == 1


def test_words_in_common_are_no_coverage() -> None:
    wanted = "Press the lever down and hold it for three seconds."
    assert text.coverage(wanted, "For three days, hold the door and press on the lever.") == 0


def test_short_evidence_is_found_as_a_whole_or_not_at_all() -> None:
    assert text.coverage("120 N·m", "Tighten to 120 N·m.") == 1
    assert text.coverage("120 N·m", "Tighten to 110 N·m.") == 0

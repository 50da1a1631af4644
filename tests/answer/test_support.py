"""What stands between a model's words and the reader: terms, numbers, negations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.answer.quote import sentences
from flywheel.answer.support import contradict, numbers, support
from flywheel.records import Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import term_ids

TYRES = (
    "Inflate the tyres to 2.5 bar when they are cold. Do not inflate them above 3 bar. "
    "Check the pressure every month and before a long journey."
)
FEES = "申请费为一百二十元。逾期三十日未缴纳的，不予受理。缴费后七日内可以申请退还。"


def passage(text: str, id: str = "p", title: str = "Tyres") -> Passage:
    return Passage(
        id=id, document="d", title=title, headings=(), text=text, language="en", position=0
    )


def frequencies(*passages: Passage) -> Frequencies:
    counted = Frequencies.empty()
    for each in passages:
        counted.add(term_ids(each.text))
    return counted


def supported(sentence: str, text: str) -> str | None:
    """The quote that supports a sentence."""
    one = passage(text)
    found = support(sentence, [one], frequencies(one, passage("The seats are heated.", "q")))
    if found is None:
        return None
    assert one.text[found.citation.start : found.citation.end] == found.citation.quote
    return found.citation.quote


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        (
            "The tyres are inflated to 2.5 bar when cold.",
            "Inflate the tyres to 2.5 bar when they are cold.",
        ),
        (
            "Check the pressure every month.",
            "Check the pressure every month and before a long journey.",
        ),
        ("Do not inflate above 3 bar.", "Do not inflate them above 3 bar."),
    ],
)
def test_what_a_passage_says_is_supported_by_the_sentence_that_says_it(
    sentence: str, quote: str
) -> None:
    assert supported(sentence, TYRES) == quote


@pytest.mark.parametrize(
    "sentence",
    [
        "Inflate the tyres to 2.8 bar when they are cold.",  # another number
        "Do not inflate the tyres to 2.5 bar when they are cold.",  # denies what is said
        "You may inflate them above 3 bar.",  # says what is denied
        "The warranty covers damage to rims for two years.",  # nothing of it
        "Check the pressure every month with the gauge from the glove box behind the seats.",
    ],
)
def test_what_no_passage_says_is_not_supported(sentence: str) -> None:
    assert supported(sentence, TYRES) is None


def test_chinese_numerals_and_digits_are_the_same_numbers() -> None:
    assert supported("申请费为120元。", FEES) == "申请费为一百二十元。"
    assert supported("申请费为一百三十元。", FEES) is None
    assert supported("逾期30日未缴纳的，不予受理。", FEES) == "逾期三十日未缴纳的，不予受理。"
    assert supported("逾期三十日未缴纳的，予以受理。", FEES) is None


@pytest.mark.parametrize(
    ("sentence", "text", "holds"),
    [
        ("The warranty lasts three years.", "The warranty lasts two years.", False),
        ("The warranty lasts 2 years.", "The warranty lasts two years.", True),
        ("The warranty lasts one year.", "The warranty lasts two years.", False),
        ("试用期不得超过六个月。", "试用期不得超过二个月。", False),
        ("试用期不得超过2个月。", "试用期不得超过两个月。", True),
        ("应当在五小时内报告主管部门。", "应当在三小时内报告主管部门。", False),
        ("须有三名以上股东签字同意。", "须有二名以上股东签字同意。", False),
        ("须经三分之二的股东签字同意。", "须经三分之一的股东签字同意。", False),
        ("Store the battery at 20 degrees.", "Store the battery at -20 degrees.", False),
        ("Store the battery at -20 degrees.", "Store the battery at -20 degrees.", True),
        ("Inflate the tyres to 2.5 psi.", "Inflate the tyres to 2.5 bar.", False),
        ("Inflate the tyres to 2.50 bar.", "Inflate the tyres to 2.5 bar.", True),
        ("Wait 10 to 20 minutes with the lid shut.", "Wait 10-20 minutes with the lid shut.", True),
        ("The price is 1,200 euros a month.", "The price is 1200 euros a month.", True),
    ],
)
def test_numbers_are_compared_by_value_and_unit(sentence: str, text: str, holds: bool) -> None:
    assert (supported(sentence, text) is not None) is holds


def test_a_sentence_about_the_lamp_is_not_supported_by_the_same_words_about_the_horn() -> None:
    horn = passage("Turn the horn to the left by a quarter and pull it out.", "horn")
    lamp = passage("Turn the lamp to the left by a quarter and pull it out.", "lamp")
    sentence = "Turn the lamp to the left by a quarter and pull it out."
    counted = frequencies(horn, lamp)
    assert support(sentence, [horn], counted) is None
    found = support(sentence, [horn, lamp], counted)
    assert found is not None and found.citation.passage == "lamp"


def test_two_sentences_may_support_one_together() -> None:
    text = "Fold the seat. Then lift the red handle. Pull the mat out. The boot is lit."
    quote = supported("Lift the red handle and pull the mat out.", text)
    assert quote == "Then lift the red handle. Pull the mat out."


def test_the_best_of_several_passages_is_cited() -> None:
    near, far = passage(TYRES, "near"), passage("Cold tyres wear less on long roads.", "far")
    found = support("Check the pressure every month.", [far, near], frequencies(near, far))
    assert found is not None and found.citation.passage == "near"


@given(st.text())
def test_no_text_contradicts_itself(text: str) -> None:
    assert not contradict(text, text)
    assert all(each for each in numbers(text))


@pytest.mark.parametrize("text", [TYRES, FEES])
def test_a_passage_supports_each_of_its_own_sentences(text: str) -> None:
    for span in sentences(text):
        assert supported(text[span.start : span.end], text) == text[span.start : span.end]


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_is_cited_stands_in_the_passage_whatever_it_holds(sentence: str, text: str) -> None:
    supported(sentence, text)  # it compares the quote with its place

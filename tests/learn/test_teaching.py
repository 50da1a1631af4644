"""What teaches most comes first: often asked, unsure, disagreed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.learn.teaching import Stakes, disagreement, teaches

SHARES = st.floats(0, 1)
COUNTS = st.integers(0, 100_000)


def test_question_asked_oftener_comes_first() -> None:
    often, seldom = (teaches(Stakes(served="nothing", num_asked=num)) for num in (30, 3))
    assert often > seldom


def test_ten_thousand_questions_of_one_script_do_not_crowd_out_all_others() -> None:
    script = teaches(Stakes(served="answer", num_asked=10_000, confidence=0.97))
    assert script < teaches(Stakes(served="nothing", num_asked=20))


def test_unsure_answer_comes_before_a_sure_one() -> None:
    scores = [teaches(Stakes(served="answer", confidence=sure)) for sure in (0.5, 0.6, 0.9, 0.99)]
    assert scores == sorted(scores, reverse=True)


def test_question_without_an_answer_comes_before_one_with_an_unsure_answer() -> None:
    unanswered = teaches(Stakes(served="nothing", confidence=0.05))
    assert unanswered >= teaches(Stakes(served="answer", confidence=0.4))


def test_objection_makes_a_sure_answer_worth_a_look() -> None:
    said, objected = (
        teaches(Stakes(served=served, confidence=0.95)) for served in ("answer", "objected")
    )
    assert objected > said


def test_dispute_comes_before_a_single_objection() -> None:
    two, one = (teaches(Stakes(served="objected", votes=votes)) for votes in ((1, 1), (1,)))
    assert two > one


def test_whole_order_is_as_a_curator_would_expect() -> None:
    stakes = {
        "curators contradict each other": Stakes(served="objected", num_asked=12, votes=(1, 1)),
        "asked daily, never answered": Stakes(served="nothing", num_asked=40, confidence=0.1),
        "asked now and then, never answered": Stakes(served="nothing", num_asked=4),
        "flagged once": Stakes(served="objected", num_asked=2, confidence=0.8),
        "answered, and almost sure": Stakes(served="answer", num_asked=2, confidence=0.95),
    }
    assert sorted(stakes, key=lambda name: -teaches(stakes[name])) == list(stakes)


@pytest.mark.parametrize(
    ("votes", "value"), [((), 0), ((5,), 0), ((3, 0), 0), ((1, 1), 1), ((1, 1, 1), 1)]
)
def test_disagreement_runs_from_none_to_all(votes: tuple[int, ...], value: float) -> None:
    assert disagreement(votes) == pytest.approx(value)


@given(COUNTS, SHARES, st.lists(COUNTS, max_size=5))
def test_score_is_never_negative_and_grows_with_what_is_asked(
    num_asked: int, confidence: float, votes: list[int]
) -> None:
    for served in ("nothing", "answer", "objected"):
        fewer, more = (
            teaches(Stakes(served=served, num_asked=num, confidence=confidence, votes=votes))
            for num in (num_asked, num_asked + 1)
        )
        assert 0 <= fewer <= more

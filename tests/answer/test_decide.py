"""Deciding: what a probability is worth, what is offered to choose from, what is measured."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flywheel.answer.decide import (
    BUILT_IN,
    FEATURES,
    NUM_READINGS,
    Calibration,
    Logistic,
    decide,
    features,
    readings,
)
from flywheel.answer.settings import DecideSettings
from flywheel.records import Hit, Passage, from_json, to_json
from flywheel.search.frequencies import Frequencies
from flywheel.search.index import searched_text
from flywheel.search.terms import term_ids

VALUES = (0.5,) * len(FEATURES)


def hit(
    id: str, *headings: str, text: str = "text", title: str = "Manual", score: float = 1
) -> Hit:
    passage = Passage(
        id=id,
        document="d",
        title=title,
        headings=headings,
        text=text,
        language="en",
        position=0,
    )
    return Hit(passage=passage, score=score)


HITS = [hit("a", "Doors"), hit("b", "Windows"), hit("c", "Seats"), hit("d", "Lamps")]


def always(probability: float) -> Logistic:
    """Gives this probability whatever the features."""
    zeros, ones = (0.0,) * len(FEATURES), (1.0,) * len(FEATURES)
    odds = math.log(probability / (1 - probability))
    return Logistic(mean=zeros, scale=ones, weights=zeros, intercept=odds)


def calibrated(first: float, any_reading: float) -> Calibration:
    return Calibration(first=always(first), any_reading=always(any_reading), num_questions=100)


def kind(first: float, any_reading: float, wrong_cost: float = 1, hits: list[Hit] = HITS) -> str:
    settings = DecideSettings(wrong_cost=wrong_cost)
    return decide(hits, VALUES, calibrated(first, any_reading), settings).kind


def counted(*hits: Hit) -> Frequencies:
    frequencies = Frequencies.empty()
    for each in hits:
        frequencies.add(term_ids(searched_text(each.passage)))
    return frequencies


def measured(question: str, *hits: Hit) -> dict[str, float]:
    values = features(question, hits, counted(*hits))
    return dict(zip(FEATURES, values, strict=True))


# Decisions


def test_sure_answers_doubtful_asks_back_hopeless_abstains() -> None:
    assert kind(0.95, 0.97) == "answer"
    assert kind(0.1, 0.95) == "ask_back"
    assert kind(0.05, 0.1) == "abstain"


def test_confidence_is_the_calibrated_probability_whatever_is_decided() -> None:
    for first, any_reading in [(0.9, 0.9), (0.2, 0.9), (0.1, 0.1)]:
        decision = decide(HITS, VALUES, calibrated(first, any_reading), DecideSettings())
        assert decision.confidence == pytest.approx(first)


def test_where_nothing_was_found_it_abstains_with_no_confidence() -> None:
    for wrong_cost in (0, 1, 100):
        settings = DecideSettings(wrong_cost=wrong_cost)
        decision = decide([], None, calibrated(0.99, 0.99), settings)
        assert (decision.kind, decision.confidence, decision.choices) == ("abstain", 0, ())


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_wrong_answer_that_costs_nothing_is_always_risked(
    first: float, any_reading: float
) -> None:
    assert kind(first, any_reading, wrong_cost=0) == "answer"


@given(st.floats(0.01, 0.98), st.floats(0.01, 0.99), st.floats(0, 100))
def test_more_confidence_never_silences_an_answer(
    first: float, any_reading: float, wrong_cost: float
) -> None:
    if kind(first, any_reading, wrong_cost) == "answer":
        assert kind(first + 0.01, any_reading, wrong_cost) == "answer"


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0, 50), st.floats(0, 50))
def test_a_dearer_mistake_never_makes_it_bolder(
    first: float, any_reading: float, wrong_cost: float, more: float
) -> None:
    if kind(first, any_reading, wrong_cost + more) == "answer":
        assert kind(first, any_reading, wrong_cost) == "answer"


def test_only_several_readings_are_asked_about() -> None:
    assert kind(0.05, 0.95, hits=HITS[:1]) == "abstain"
    assert kind(0.05, 0.95, hits=[hit("a", "Doors"), hit("b", "Doors")]) == "abstain"


def test_choices_are_named_distinct_and_few() -> None:
    hits = [hit("a", "Doors"), hit("b", "Doors"), hit("c", "Seats"), *HITS]
    decision = decide(hits, VALUES, calibrated(0.1, 0.95), DecideSettings(wrong_cost=1))
    assert decision.kind == "ask_back"
    assert 2 <= len(decision.choices) <= NUM_READINGS
    assert len(set(decision.choices)) == len(decision.choices)
    assert decision.choices[:2] == ("Manual › Doors", "Manual › Seats")


def test_choices_that_share_their_innermost_heading_are_told_apart() -> None:
    hits = [hit("a", "Front tyres", "Pressure"), hit("b", "Rear tyres", "Pressure")]
    decision = decide(hits, VALUES, calibrated(0.1, 0.95), DecideSettings(wrong_cost=1))
    assert decision.kind == "ask_back"
    assert len(decision.choices) == 2
    assert "Front tyres" in decision.choices[0]


def test_choices_come_only_with_asking_back() -> None:
    for first, any_reading in [(0.95, 0.95), (0.05, 0.1)]:
        decision = decide(HITS, VALUES, calibrated(first, any_reading), DecideSettings())
        assert decision.choices == ()


@pytest.mark.parametrize("values", [{"wrong_cost": -1}, {"wrong_cost": 101}, {"wrongcost": 1}])
def test_settings_out_of_range_or_unknown_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        DecideSettings.model_validate(values)


# Readings


def test_readings_are_the_best_hit_under_each_heading() -> None:
    hits = [hit("a", "Doors"), hit("b", "Doors"), hit("c", "Seats"), hit("d")]
    assert [each.passage.id for each in readings(hits)] == ["a", "c", "d"]


def test_the_same_heading_of_another_document_is_another_reading() -> None:
    hits = [hit("a", "Doors"), hit("b", "Doors", title="Supplement")]
    assert len(readings(hits)) == 2


def test_readings_of_nothing_are_none() -> None:
    assert readings([]) == []


# Features and probabilities


def test_features_are_finite_and_as_many_as_named() -> None:
    lock = hit("a", "Child lock", text="Slide the lever to lock the door.", score=7.5)
    for question in ("", "lock", "the lever of the door", "无关的问题", "\x00 \ud800", "x" * 9_000):
        for hits in ([lock], [lock, *HITS]):
            values = features(question, hits, counted(*hits))
            assert len(values) == len(FEATURES)
            assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize(
    ("full", "half", "text"),
    [
        ("lever door", "lever gearbox", "Slide the lever on the door."),
        ("儿童锁", "儿童椅子和变速箱", "儿童锁位于后门。"),
    ],
)
def test_coverage_is_the_share_of_the_question_that_is_found(
    full: str, half: str, text: str
) -> None:
    lock = hit("a", text=text)
    assert measured(full, lock)["coverage"] == pytest.approx(1)
    assert 0 < measured(half, lock)["coverage"] < 1
    assert measured("zebra", lock)["coverage"] == 0


def test_readings_cover_no_less_together_than_the_best_alone() -> None:
    hits = [hit("a", "Doors", text="lever"), hit("b", "Oil", text="gearbox")]
    values = measured("lever of the gearbox", *hits)
    assert values["coverage_of_three"] > values["coverage"]


def test_margin_grows_with_the_lead_of_the_best_reading() -> None:
    behind = [measured("x", hit("a", "A", score=10), hit("b", "B", score=s)) for s in (9, 5, 1)]
    margins = [values["margin"] for values in behind]
    assert margins == sorted(margins)
    assert measured("x", hit("a", score=10))["margin"] == pytest.approx(1)


def test_words_that_no_passage_holds_are_unknown() -> None:
    lock = hit("a", text="Slide the lever.")
    assert measured("lever", lock)["unknown"] == 0
    assert measured("zebra", lock)["unknown"] == pytest.approx(1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=len(FEATURES), max_size=len(FEATURES)))
def test_probability_stays_within_its_bounds(values: list[float]) -> None:
    for model in (BUILT_IN.first, BUILT_IN.any_reading):
        assert 0 < model.probability(values) < 1


def test_the_built_in_calibration_trusts_what_covers_the_question() -> None:
    def confidence(coverage: float) -> float:
        values = [0.5] * len(FEATURES)
        values[FEATURES.index("coverage")] = coverage
        return BUILT_IN.first.probability(values)

    assert confidence(0.1) < confidence(0.5) < confidence(0.9)


def test_a_calibration_comes_back_from_json() -> None:
    for calibration in (BUILT_IN, calibrated(0.3, 0.7)):
        data = json.loads(json.dumps(to_json(calibration)))
        assert from_json(Calibration, data) == calibration

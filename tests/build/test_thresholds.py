"""Thresholds: a confidence that follows what was seen, or the built-in one where too little was."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from flywheel.answer.decide import BUILT_IN, FEATURES, Calibration
from flywheel.build.ranker import Rehearsed
from flywheel.build.thresholds import FEWEST, FEWEST_OF_A_KIND, Outcome, fit, rated
from flywheel.records import Example, Hit, Passage, from_json, to_json
from flywheel.search.frequencies import Frequencies
from flywheel.search.question_field import Neighbours

COVERAGE = FEATURES.index("coverage")


def outcomes(
    count: int, chance: Callable[[float], float] = lambda coverage: coverage, seed: int = 1
) -> list[Outcome]:
    """Questions whose chance of a hit depends on their coverage alone."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        values = tuple(rng.random() for _ in FEATURES)
        first = rng.random() < chance(values[COVERAGE])
        made.append(Outcome(features=values, first=first, any_reading=first or rng.random() < 0.3))
    return made


def at(coverage: float, calibration: Calibration) -> float:
    values = [0.5] * len(FEATURES)
    values[COVERAGE] = coverage
    return calibration.first.probability(values)


def labelled(num_right: int, num_wrong: int) -> list[Outcome]:
    labels = [True] * num_right + [False] * num_wrong
    return [
        Outcome(features=each.features, first=label, any_reading=label)
        for each, label in zip(outcomes(len(labels)), labels, strict=True)
    ]


def rehearsed(number: int, right: str, weight: float = 1.0) -> Rehearsed:
    """A question that found passages `a` and `b`, as if it were new."""
    question = f"Where is lock {number}?"
    hits = [
        Hit(
            passage=Passage(
                id=id, document="d", title="Doors", headings=(id,), text=f"The lock is {id}.",
                language="en", position=0,
            ),
            score=score,
            features={"chance": score},
        )
        for id, score in (("a", 0.6), ("b", 0.3))
    ]  # fmt: skip
    nothing = np.zeros(0, dtype=np.int64)
    near = Neighbours(
        question=question, terms=nothing, weights=np.zeros(0), places=nothing, ids=(),
        similarities=np.zeros(0), shares=np.zeros(0),
    )  # fmt: skip
    example = Example(
        id=str(number), question=question, passages=(right,) if right else (), weight=weight
    )
    return Rehearsed(example=example, near=near, hits=tuple(hits))


def told(*each: Rehearsed) -> list[tuple[bool, bool, float]]:
    found = rated(each, Frequencies.empty())
    return [(outcome.first, outcome.any_reading, outcome.weight) for outcome in found]


def test_feedback_tells_what_was_right_first_among_three_or_not_at_all() -> None:
    refused = [rehearsed(number, "") for number in range(FEWEST_OF_A_KIND)]
    corrected = [rehearsed(20, "a"), rehearsed(21, "b"), rehearsed(22, "elsewhere", weight=0.4)]
    found = told(*refused, *corrected)
    assert found[:3] == [(True, True, 1.0), (False, True, 1.0), (False, False, 0.4)]
    assert all(each[:2] == (False, False) for each in found[3:])
    assert sum(weight for *_, weight in found[3:]) == pytest.approx(2.4 / 3), "a quarter of all"


def test_who_never_refuses_an_answer_does_not_tell_when_to_answer() -> None:
    refused = [rehearsed(number, "") for number in range(FEWEST_OF_A_KIND - 1)]
    corrected = [rehearsed(number, "a") for number in range(20, 200)]
    assert told(*refused, *corrected) == []


def test_what_counts_less_moves_confidence_less() -> None:
    seen = outcomes(200)
    doubts = [replace(each, first=False) for each in outcomes(60, seed=2)]
    trusted = fit(seen, doubts)
    doubted = fit(seen, [replace(each, weight=0.1) for each in doubts])
    assert at(0.9, trusted) < at(0.9, doubted) < at(0.9, fit(seen)) + 0.02
    assert trusted.any_reading == fit(seen).any_reading, "and do not tell when to ask back"


def test_the_same_outcomes_give_the_same_calibration() -> None:
    assert fit(outcomes(200)) == fit(outcomes(200))
    assert fit(outcomes(200)) != fit(outcomes(200, seed=2))


def test_confidence_rises_with_what_told_right_from_wrong() -> None:
    fitted = fit(outcomes(400))
    confidences = [at(coverage, fitted) for coverage in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert confidences == sorted(confidences)
    assert confidences[-1] - confidences[0] > 0.2


def test_confidence_falls_where_coverage_misled() -> None:
    fitted = fit(outcomes(400, chance=lambda coverage: 1 - coverage))
    assert at(1.0, fitted) < at(0.0, fitted)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_mean_confidence_is_the_share_that_was_right(share: float) -> None:
    seen = outcomes(400, chance=lambda _: share)
    fitted = fit(seen)
    confidence = mean(fitted.first.probability(each.features) for each in seen)
    assert confidence == pytest.approx(mean(each.first for each in seen), abs=0.02)


def test_finding_it_among_three_is_no_less_likely_than_first() -> None:
    seen = outcomes(400)
    fitted = fit(seen)
    assert mean(fitted.any_reading.probability(each.features) for each in seen) > mean(
        fitted.first.probability(each.features) for each in seen
    )


def test_it_says_how_many_questions_it_was_fitted_on() -> None:
    assert fit(outcomes(200)).num_questions == 200
    assert fit([]).num_questions == 0


@pytest.mark.parametrize(
    "seen",
    [
        [],
        outcomes(FEWEST - 1),
        labelled(FEWEST, 0),
        labelled(0, FEWEST),
        labelled(FEWEST, FEWEST_OF_A_KIND - 1),
        labelled(FEWEST_OF_A_KIND - 1, FEWEST),
    ],
    ids=[
        "nothing",
        "too few",
        "all right",
        "all wrong",
        "hardly a wrong one",
        "hardly a right one",
    ],
)
def test_too_little_to_learn_from_leaves_the_built_in_calibration(seen: list[Outcome]) -> None:
    assert fit(seen) is BUILT_IN


def test_just_enough_is_learned_from() -> None:
    assert fit(labelled(FEWEST, FEWEST_OF_A_KIND)).num_questions == FEWEST + FEWEST_OF_A_KIND


def test_a_feature_that_never_varies_does_no_harm() -> None:
    constant = [
        Outcome(
            features=(each.features[0], *(0.7 for _ in FEATURES[1:])),
            first=each.first,
            any_reading=each.any_reading,
        )
        for each in outcomes(200)
    ]
    fitted = fit(constant)
    assert all(scale > 0 for scale in fitted.first.scale)
    assert 0 < fitted.first.probability([1e3] * len(FEATURES)) < 1


def test_separable_outcomes_stay_short_of_certainty() -> None:
    fitted = fit(outcomes(200, chance=lambda coverage: float(coverage > 0.5)))
    assert 0 < at(0.0, fitted) < 0.5 < at(1.0, fitted) < 1


def test_a_fitted_calibration_comes_back_from_json_to_the_bit() -> None:
    fitted = fit(outcomes(200))
    assert from_json(Calibration, json.loads(json.dumps(to_json(fitted)))) == fitted

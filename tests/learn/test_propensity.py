"""Position bias is found where the data tell it, and corrected for."""

from __future__ import annotations

import numpy as np
import pytest

from flywheel.learn.propensity import (
    DEFAULT_ETA,
    FULL_WEIGHT_FROM,
    Impression,
    estimate_eta,
    weight,
)


def simulated(eta: float, num_lists: int, seed: int = 1, places: int = 10) -> list[Impression]:
    """Two versions order the same passages differently; who looks at a place may choose there."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(num_lists):
        question, time = divmod(number, 20)
        relevance = np.random.default_rng(question).uniform(0.05, 0.4, places)
        order = np.random.default_rng((question, time % 2)).permutation(places)
        looked = rng.random(places) < np.arange(1, places + 1) ** -eta
        chosen = looked & (rng.random(places) < relevance[order])
        found.append(
            Impression(
                question=str(question),
                passages=tuple(map(str, order)),
                chosen=frozenset(str(each) for each in order[chosen]),
            )
        )
    return found


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 1.5])
def test_position_bias_is_recovered(eta: float) -> None:
    assert estimate_eta(simulated(eta, 4000)) == pytest.approx(eta, abs=0.1)


def test_too_few_choices_leave_the_default() -> None:
    assert estimate_eta(simulated(2.0, 20)) == DEFAULT_ETA
    assert estimate_eta([]) == DEFAULT_ETA


def test_lists_that_never_changed_tell_nothing() -> None:
    always = Impression(question="?", passages=("a", "b"), chosen=frozenset("a"))
    assert estimate_eta([always] * 500) == DEFAULT_ETA


def test_choice_far_down_counts_more_and_none_more_than_one() -> None:
    weights = [weight(place, 1.0) for place in range(1, 12)]
    assert weights == sorted(weights)
    assert weights[0] == pytest.approx(1 / FULL_WEIGHT_FROM)
    assert weights[FULL_WEIGHT_FROM - 1 :] == [1.0] * 7


def test_what_was_chosen_from_no_list_counts_fully() -> None:
    assert weight(0, 1.0) == 1.0


def test_without_bias_every_place_counts_alike() -> None:
    assert {weight(place, 0.0) for place in range(1, 11)} == {1.0}

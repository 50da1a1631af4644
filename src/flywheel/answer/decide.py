"""Answer, ask back, or abstain: whichever is worth most to the user, by calibrated confidence.

Two probabilities are estimated from what the search gave: p, that the first citation hits the
right evidence, and q, that one of the three best readings does. A right answer is worth 1, a
wrong one costs `wrong_cost`, silence is worth 0. Asking back costs the user a step, and is worth
something only where one of the readings is the right one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flywheel.answer.settings import DecideSettings
from flywheel.records import Hit, Kind
from flywheel.search.frequencies import Frequencies
from flywheel.search.index import searched_text
from flywheel.search.rank import among, name_terms
from flywheel.search.terms import term_ids

NUM_READINGS = 3
ASKING_WORTH = 0.6
"""Of a right answer, where it takes one more step to it."""
ASKING_COST = 0.2
"""Of the step, in right answers."""
FEATURES = (
    "coverage",
    "coverage_of_three",
    "margin",
    "strength",
    "unknown",
    "heading",
    "asked_heading",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Logistic:
    """A logistic model over FEATURES, standardised."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def probability(self, features: Sequence[float]) -> float:
        """P(hit), within (0, 1)."""
        x = (np.asarray(features) - np.asarray(self.mean)) / np.asarray(self.scale)
        z = float(x @ np.asarray(self.weights)) + self.intercept
        return float(1 / (1 + np.exp(-np.clip(z, -30, 30))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What a version knows about its own confidence."""

    first: Logistic
    """Of the first citation hitting the right evidence."""
    any_reading: Logistic
    """Of one of the three best readings hitting it."""
    num_questions: int
    """How many questions it was fitted on; 0 for the built-in one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What to do with a draft, and why."""

    kind: Kind
    confidence: float
    choices: tuple[str, ...] = ()


def readings(hits: Sequence[Hit]) -> list[Hit]:
    """The best hit under each heading, best first: what the question may be about."""
    best: dict[tuple[str, ...], Hit] = {}
    for hit in hits[:10]:
        best.setdefault((hit.passage.title, *hit.passage.headings), hit)
    return list(best.values())[:NUM_READINGS]


def features(question: str, hits: Sequence[Hit], frequencies: Frequencies) -> tuple[float, ...]:
    """What the search tells about its own success, in the order of FEATURES.

    coverage: share of the question's term weight that the best passage holds, and that the three
    best readings hold together; margin: how far the best reading is ahead of the next, relative;
    strength: score per unit of question weight, or its log odds where it is a chance; unknown:
    share of the weight on terms that no passage holds; heading: share of the heading's weight that
    the question holds; asked_heading: share of the question's weight that title and headings hold.
    """
    terms = term_ids(question)
    weights = frequencies.idf(terms)
    total = float(weights.sum()) or 1.0
    best = readings(hits)
    held = [among(terms, term_ids(searched_text(hit.passage))) for hit in best]
    together = np.logical_or.reduce(held)
    names = name_terms(best[0].passage)
    name_weights = frequencies.idf(names)
    second = best[1].score if len(best) > 1 else 0.0
    top = best[0].score or 1e-9
    # A learned score is a chance, and its log odds say how sure the order is of itself.
    strength = math.log(top / (1 - top)) if "chance" in best[0].features else top / total
    return (
        float(weights[held[0]].sum()) / total,
        float(weights[together].sum()) / total,
        (top - second) / top,
        strength,
        float(weights[~frequencies.known(terms)].sum()) / total,
        float(name_weights[among(names, terms)].sum()) / (float(name_weights.sum()) or 1.0),
        float(weights[among(terms, names)].sum()) / total,
    )


def decide(
    hits: Sequence[Hit],
    values: tuple[float, ...] | None,
    calibration: Calibration,
    settings: DecideSettings,
) -> Decision:
    """Whether to give the draft made from these hits.

    Args:
        values: their `features`; None where nothing was found.
    """
    if values is None:
        return Decision(kind="abstain", confidence=0.0)
    confidence = calibration.first.probability(values)
    to_answer = confidence - settings.wrong_cost * (1 - confidence)
    choices = _choices(readings(hits))
    to_ask = ASKING_WORTH * calibration.any_reading.probability(values) - ASKING_COST
    if settings.wrong_cost and len(choices) > 1 and to_ask > max(to_answer, 0):
        return Decision(kind="ask_back", confidence=confidence, choices=choices)
    return Decision(kind="answer" if to_answer >= 0 else "abstain", confidence=confidence)


def _choices(best: Sequence[Hit]) -> tuple[str, ...]:
    """The readings' names, with all their headings where the innermost is the same."""
    names = [reading_name(hit) for hit in best]
    return tuple(
        name if names.count(name) == 1 else " › ".join((hit.passage.title, *hit.passage.headings))
        for hit, name in zip(best, names, strict=True)
    )


def reading_name(hit: Hit) -> str:
    """A reading as a choice to offer: `Title › Heading`."""
    return " › ".join((hit.passage.title, *hit.passage.headings[-1:]))


BUILT_IN = Calibration(
    first=Logistic(
        mean=(0.5,) * len(FEATURES),
        scale=(1.0,) * len(FEATURES),
        weights=(6.0, 0.0, 1.0, 0.0, -2.0, 0.5, 0.5),
        intercept=-0.5,
    ),
    any_reading=Logistic(
        mean=(0.5,) * len(FEATURES),
        scale=(1.0,) * len(FEATURES),
        weights=(0.0, 6.0, 0.0, 0.0, -2.0, 0.5, 0.5),
        intercept=0.0,
    ),
    num_questions=0,
)
"""For workspaces with too few passages to make questions from: leans on coverage alone."""

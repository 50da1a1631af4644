"""Acts of feedback of every kind → examples and preferences, and why the rest teaches nothing.

Pure: the caller says where the things that an act speaks of stand in the documents. Follows from
the acts alone, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from flywheel.learn import propensity
from flywheel.learn.lessons import Lesson, Told, lesson
from flywheel.learn.objections import (
    contradicted,
    disputed,
    held_back,
    outdated,
    over_cap,
    uncounted,
)
from flywheel.learn.propensity import Impression, estimate_eta
from flywheel.learn.trust import LearnSettings
from flywheel.records import Example, Preference, QuarantineDecision


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """An act that teaches nothing, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """What acts teach, and what does not."""

    examples: tuple[Example, ...] = ()
    preferences: tuple[Preference, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    eta: float = propensity.DEFAULT_ETA
    """The position bias that choices from lists are corrected for."""


def learn(
    told: Iterable[Told],
    settings: LearnSettings,
    decisions: Mapping[str, QuarantineDecision] | None = None,
    impressions: Iterable[Impression] = (),
) -> Learned:
    """What acts of feedback teach.

    Args:
        told: acts with distinct ids.
        decisions: what curators decided on acts in quarantine.
        impressions: lists of passages that were shown, to estimate position bias from.
    """
    ordered = sorted(told, key=lambda each: (each.act.at, each.act.id))
    eta = estimate_eta(impressions)
    reasons = held_back([each.act for each in ordered], settings, decisions or {})
    reasons |= outdated([each for each in ordered if each.act.id not in reasons])
    lessons: list[Lesson] = []
    for each in ordered:
        if each.act.id not in reasons:
            taught = lesson(each, settings, eta)
            if isinstance(taught, str):
                reasons[each.act.id] = taught
            else:
                lessons.append(taught)
    for rule in (disputed, contradicted, uncounted, partial(over_cap, settings=settings)):
        reasons |= rule(lessons)
        lessons = [each for each in lessons if each.told.act.id not in reasons]
    return Learned(
        examples=tuple(_example(each) for each in lessons if each.passages or each.rejected),
        preferences=tuple(preference for each in lessons for preference in _preferences(each)),
        left_out=tuple(LeftOut(id=id, reason=reasons[id]) for id in sorted(reasons)),
        eta=eta,
    )


def _example(each: Lesson) -> Example:
    told, correction = each.told, each.told.correction
    example = Example(
        id=told.act.id,
        question=told.act.question,
        passages=each.passages,
        rejected=each.rejected,
        weight=each.weight,
        user=told.act.user,
        access=told.shared_with,
    )
    if correction is None:
        return example
    # Words that no curator has confirmed teach nobody how to answer, only where to look.
    answer = correction.answer if correction.verified else ""
    return replace(example, answer=answer, evidence=correction.evidence)


def _preferences(each: Lesson) -> list[Preference]:
    """The pairs share the act's weight, so that a long list counts no more than a short one.

    As in Ouyang et al., "Training language models to follow instructions with human feedback"
    (2022), equation 1, where the pairs of K answers count 1 / C(K, 2) each.
    """
    told = each.told
    return [
        Preference(
            id=told.act.id,
            question=told.act.question,
            chosen=better,
            rejected=worse,
            weight=each.weight / len(each.pairs),
            user=told.act.user,
            access=told.shared_with,
        )
        for better, worse in each.pairs
    ]

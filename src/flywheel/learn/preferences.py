"""Acts of feedback of every kind → examples and preferences, and why the rest teaches nothing.

Pure: the caller says where the things that an act speaks of stand in the documents. Follows from
the acts alone, in whatever order they come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from flywheel.learn import propensity
from flywheel.learn.feedback import is_verified, normal_form
from flywheel.learn.groups import group
from flywheel.learn.propensity import Impression, estimate_eta
from flywheel.learn.trust import LearnSettings, bursts, cap
from flywheel.records import (
    PUBLIC,
    Correction,
    Example,
    Feedback,
    FeedbackKind,
    Preference,
    QuarantineDecision,
)
from flywheel.search.terms import term_ids

QUARANTINED = "burst in quarantine"
REJECTED = "rejected by a curator"
WITHDRAWN = "withdrawn, or replaced by its user"
DISPUTED = "disputed between curators"
UNVERIFIED = "suggestion without evidence, not confirmed"
NO_EVIDENCE = "no evidence in current documents"
NEAR_TIE = "near-tie"
CONTRADICTED = "contradicted by a curator"
OVER_CAP = "over the user's cap"
UNCOUNTED = "askers do not count"
ERASED = "erased"

REASONS = (
    QUARANTINED,
    REJECTED,
    WITHDRAWN,
    DISPUTED,
    UNVERIFIED,
    NO_EVIDENCE,
    NEAR_TIE,
    CONTRADICTED,
    OVER_CAP,
    UNCOUNTED,
)
"""Why an act teaches nothing. The first that holds is its reason."""

STRENGTH: Mapping[FeedbackKind, float] = {
    "edit": 1.0,
    "cite": 1.0,
    "rank": 0.5,
    "up": 0.5,
    "bookmark": 0.5,
    "down": 0.5,
    "delete": 0.5,
    "flag": 0.25,
}
"""What an act of each kind counts. An edit and a cite name the evidence; the others speak of an
answer as a whole, of which the evidence is only one part; a flag asks for a second look."""

AGAINST: frozenset[FeedbackKind] = frozenset({"down", "delete", "flag"})
"""What says that an answer is wrong; the other kinds say what is right."""

SAME_ANSWER = 0.9
"""Share of terms from which two ranked answers say the same, so that their order says nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """An act, and where what it speaks of stands in the current documents."""

    act: Feedback
    correction: Correction | None = None
    """What an edit says, while it is in force."""
    evidence: tuple[str, ...] = ()
    """The passages that hold the evidence that the act names."""
    quoted: tuple[tuple[str, ...], ...] = ()
    """The passages that each answer quotes: of the one acted on, or of each ranked."""
    shown: str = ""
    """The answer that an edit replaces."""
    place: int = 0
    """Where in a shown list the chosen stood, from 1; 0 where it was chosen from none."""
    access: tuple[str, ...] = (PUBLIC,)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lesson:
    """What one act would teach, if nothing speaks against it."""

    told: Told
    weight: float
    passages: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    """Of answers: the better, the worse."""

    @property
    def trusted(self) -> bool:
        """Whether a curator or the owner stands behind it."""
        correction = self.told.correction
        return is_verified(self.told.act.role) or bool(correction and correction.verified)


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
    reasons |= _outdated([each for each in ordered if each.act.id not in reasons])
    lessons: list[_Lesson] = []
    for each in ordered:
        if each.act.id not in reasons:
            lesson = _lesson(each, settings, eta)
            if isinstance(lesson, str):
                reasons[each.act.id] = lesson
            else:
                lessons.append(lesson)
    for rule in (_disputed, _contradicted, _uncounted):
        reasons |= rule(lessons)
        lessons = [each for each in lessons if each.told.act.id not in reasons]
    reasons |= _over_cap(lessons, settings)
    lessons = [each for each in lessons if each.told.act.id not in reasons]
    return Learned(
        examples=tuple(_example(each) for each in lessons if each.passages or each.rejected),
        preferences=tuple(preference for each in lessons for preference in _preferences(each)),
        left_out=tuple(LeftOut(id=id, reason=reasons[id]) for id in sorted(reasons)),
        eta=eta,
    )


def held_back(
    acts: Sequence[Feedback], settings: LearnSettings, decisions: Mapping[str, QuarantineDecision]
) -> dict[str, str]:
    """The acts that came in a burst and were not released, with the reason, by id."""
    return {
        id: REJECTED if decisions.get(id) == "rejected" else QUARANTINED
        for id in bursts(acts, settings)
        if decisions.get(id) != "released"
    }


def _outdated(told: Sequence[Told]) -> dict[str, str]:
    """Edits that are no longer in force, and what a user said again or otherwise later."""
    latest: dict[tuple[object, ...], str] = {}
    reasons: dict[str, str] = {}
    for each in told:
        act = each.act
        if act.kind == "edit":
            if each.correction is None:
                reasons[act.id] = WITHDRAWN
            continue
        subject = (act.user, _family(act), normal_form(act.question), _object(act))
        if subject in latest:
            reasons[latest[subject]] = WITHDRAWN
        latest[subject] = act.id
    return reasons


def _family(act: Feedback) -> str:
    return act.kind if act.kind in ("cite", "rank") else "judgement"


def _object(act: Feedback) -> object:
    """What an act judges: a set of answers, or one answer."""
    if act.kind == "rank":
        return frozenset(map(normal_form, act.candidates))
    return "" if act.kind == "cite" else normal_form(act.answer)


def _lesson(told: Told, settings: LearnSettings, eta: float) -> _Lesson | str:
    """What an act would teach, or why nothing."""
    if told.act.kind == "edit":
        return _edit(told, settings)
    if told.act.kind == "rank":
        return _rank(told, settings)
    weight = _weight(told, settings)
    passages = told.evidence or _flat(told.quoted)
    if not passages:
        return NO_EVIDENCE
    if told.act.kind in AGAINST:
        return _Lesson(told=told, weight=weight, rejected=passages)
    if told.act.kind in ("cite", "bookmark"):
        weight *= propensity.weight(told.place, eta)
    return _Lesson(told=told, weight=weight, passages=passages)


def _edit(told: Told, settings: LearnSettings) -> _Lesson | str:
    """The evidence, against what the replaced answer quoted; the edit, over that answer."""
    correction = told.correction
    assert correction is not None, "an edit out of force teaches nothing"
    if correction.disputed:
        return DISPUTED
    replaces = told.shown and normal_form(told.shown) != normal_form(correction.answer)
    pairs = ((correction.answer, told.shown),) if replaces and correction.verified else ()
    if not correction.passages and not pairs:
        return NO_EVIDENCE if correction.verified else UNVERIFIED
    quoted = _without(_flat(told.quoted), correction.passages) if correction.passages else ()
    return _Lesson(
        told=told,
        weight=_weight(told, settings),
        passages=correction.passages,
        rejected=quoted,
        pairs=pairs,
    )


def _rank(told: Told, settings: LearnSettings) -> _Lesson | str:
    """Every pair whose answers differ; what the best quotes, against what the worst quotes."""
    act = told.act
    pairs = tuple(
        (act.candidates[better], act.candidates[worse])
        for better, worse in combinations(act.order, 2)
        if not are_alike(act.candidates[better], act.candidates[worse])
    )
    if not pairs:
        return NEAR_TIE
    best, worst = act.order[0], act.order[-1]
    quoted = told.quoted or ((),) * len(act.candidates)
    return _Lesson(
        told=told,
        weight=_weight(told, settings),
        passages=quoted[best],
        rejected=_without(quoted[worst], quoted[best]),
        pairs=pairs,
    )


def are_alike(one: str, other: str) -> bool:
    """Whether two answers say almost the same."""
    first, second = set(term_ids(one).tolist()), set(term_ids(other).tolist())
    if not first or not second:
        return normal_form(one) == normal_form(other)
    return len(first & second) >= SAME_ANSWER * len(first | second)


def _weight(told: Told, settings: LearnSettings) -> float:
    correction = told.correction
    trusted = is_verified(told.act.role) or bool(correction and correction.verified)
    return STRENGTH[told.act.kind] * (1.0 if trusted else settings.asker_weight)


def _disputed(lessons: Sequence[_Lesson]) -> dict[str, str]:
    """Curators of whom one calls right what another calls wrong, on the same question."""
    trusted = [each for each in lessons if each.trusted and each.told.act.kind != "edit"]
    called: dict[tuple[str, str], list[tuple[Feedback, bool]]] = defaultdict(list)
    for each in trusted:
        question = normal_form(each.told.act.question)
        for right, passages in ((True, each.passages), (False, each.rejected)):
            for passage in passages:
                called[question, passage].append((each.told.act, right))
    return {
        act.id: DISPUTED
        for judgements in called.values()
        if len({act.user for act, _ in judgements}) > 1
        and len({right for _, right in judgements}) > 1
        for act, _ in judgements
    }


def _contradicted(lessons: Sequence[_Lesson]) -> dict[str, str]:
    """Acts against what a correction says, and askers' against any curator's word.

    For askers it is enough that the questions are nearly the same.
    """
    groups = group([each.told.act.question for each in lessons], []).training
    corrected: dict[str, set[str]] = defaultdict(set)
    right: dict[int, set[str]] = defaultdict(set)
    wrong: dict[int, set[str]] = defaultdict(set)
    for each, number in zip(lessons, groups, strict=True):
        if each.trusted:
            right[number].update(each.passages)
            wrong[number].update(each.rejected)
            if each.told.act.kind == "edit":
                corrected[normal_form(each.told.act.question)].update(each.passages)
    reasons = {}
    for each, number in zip(lessons, groups, strict=True):
        if each.trusted:
            known = corrected[normal_form(each.told.act.question)]
            against = each.told.act.kind != "edit" and _is_against(each, known, set())
        else:
            against = _is_against(each, right[number], wrong[number] - right[number])
        if against:
            reasons[each.told.act.id] = CONTRADICTED
    return reasons


def _is_against(lesson: _Lesson, right: set[str], wrong: set[str]) -> bool:
    misses = bool(lesson.passages) and bool(right) and right.isdisjoint(lesson.passages)
    return misses or not wrong.isdisjoint(lesson.passages) or not right.isdisjoint(lesson.rejected)


def _uncounted(lessons: Sequence[_Lesson]) -> dict[str, str]:
    """Where askers' acts weigh nothing by the settings."""
    return {each.told.act.id: UNCOUNTED for each in lessons if each.weight == 0}


def _over_cap(lessons: Sequence[_Lesson], settings: LearnSettings) -> dict[str, str]:
    """What of an asker's acts his latest ones leave no room for."""
    most = cap(sum(each.weight for each in lessons if each.trusted), settings)
    spent: dict[str, float] = defaultdict(float)
    reasons = {}
    for each in reversed(lessons):
        if each.trusted:
            continue
        user = each.told.act.user
        if spent[user] + each.weight > most:
            reasons[each.told.act.id] = OVER_CAP
        else:
            spent[user] += each.weight
    return reasons


def _example(lesson: _Lesson) -> Example:
    told, correction = lesson.told, lesson.told.correction
    example = Example(
        id=told.act.id,
        question=told.act.question,
        passages=lesson.passages,
        rejected=lesson.rejected,
        weight=lesson.weight,
        user=told.act.user,
        access=told.access,
    )
    if correction is None:
        return example
    # Words that no curator has confirmed teach nobody how to answer, only where to look.
    answer = correction.answer if correction.verified else ""
    return replace(example, answer=answer, access=correction.access)


def _preferences(lesson: _Lesson) -> list[Preference]:
    """The pairs share the act's weight, so that a long list counts no more than a short one.

    As in Ouyang et al., "Training language models to follow instructions with human feedback"
    (2022), equation 1, where the pairs of K answers count 1 / C(K, 2) each.
    """
    told = lesson.told
    return [
        Preference(
            id=told.act.id,
            question=told.act.question,
            chosen=better,
            rejected=worse,
            weight=lesson.weight / len(lesson.pairs),
            user=told.act.user,
            access=told.correction.access if told.correction else told.access,
        )
        for better, worse in lesson.pairs
    ]


def _flat(passages: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for each in passages for id in each))


def _without(passages: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    left_out = set(others)
    return tuple(each for each in passages if each not in left_out)

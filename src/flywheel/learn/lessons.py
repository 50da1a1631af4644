"""What one act of feedback would teach, if nothing speaks against it; each kind by its own rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from flywheel.learn import propensity
from flywheel.learn.feedback import is_verified, normal_form
from flywheel.learn.trust import LearnSettings
from flywheel.records import PUBLIC, Correction, Feedback, FeedbackKind
from flywheel.search.paraphrase import likeness
from flywheel.search.terms import term_ids
from flywheel.search.wording import wording

DISPUTED = "disputed between curators"
UNVERIFIED = "suggestion without evidence, not confirmed"
NO_EVIDENCE = "no evidence in current documents"
NEAR_TIE = "near-tie"

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

    @property
    def trusted(self) -> bool:
        """Whether a curator or the owner stands behind it."""
        return is_verified(self.act.role) or bool(self.correction and self.correction.verified)

    @property
    def shared_with(self) -> tuple[str, ...]:
        """Who may read what the act says."""
        return self.correction.access if self.correction else self.access


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What one act would teach, if nothing speaks against it."""

    told: Told
    weight: float
    passages: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    """Of answers: the better, the worse."""


def lesson(told: Told, settings: LearnSettings, eta: float) -> Lesson | str:
    """What an act would teach, or why nothing."""
    if told.act.kind == "edit":
        return _edit(told, settings)
    if told.act.kind == "rank":
        return _rank(told, settings)
    weight = _weight(told, settings)
    quoted = _flat(told.quoted)
    if told.act.kind in AGAINST:
        return Lesson(told=told, weight=weight, rejected=quoted) if quoted else NO_EVIDENCE
    passages = told.evidence or quoted
    if not passages:
        return NO_EVIDENCE
    if told.act.kind in ("cite", "bookmark"):
        weight *= propensity.weight(told.place, eta)
    return Lesson(told=told, weight=weight, passages=passages)


def _edit(told: Told, settings: LearnSettings) -> Lesson | str:
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
    return Lesson(
        told=told,
        weight=_weight(told, settings),
        passages=correction.passages,
        rejected=quoted,
        pairs=pairs,
    )


def _rank(told: Told, settings: LearnSettings) -> Lesson | str:
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
    return Lesson(
        told=told,
        weight=_weight(told, settings),
        passages=quoted[best],
        rejected=_without(quoted[worst], quoted[best]),
        pairs=pairs,
    )


def are_alike(one: str, other: str) -> bool:
    """Whether two answers say almost the same: another number or a "not" is another answer."""
    if normal_form(one) == normal_form(other):
        return True
    if likeness(wording(one), wording(other)).objection:
        return False
    first, second = set(term_ids(one).tolist()), set(term_ids(other).tolist())
    return len(first & second) >= SAME_ANSWER * len(first | second)


def _weight(told: Told, settings: LearnSettings) -> float:
    return STRENGTH[told.act.kind] * (1.0 if told.trusted else settings.asker_weight)


def _flat(passages: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for each in passages for id in each))


def _without(passages: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    left_out = set(others)
    return tuple(each for each in passages if each not in left_out)

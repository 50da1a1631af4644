"""Why an act teaches nothing although it could: what others say, how fast it came, whose it is.

An act counts against another only where whoever may read that one may read the first, too: else
what is missing would tell them of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from flywheel.learn.feedback import normal_form, reaches
from flywheel.learn.groups import group
from flywheel.learn.lessons import DISPUTED, NEAR_TIE, NO_EVIDENCE, UNVERIFIED, Lesson, Told
from flywheel.learn.trust import PASSAGE_CAP, LearnSettings, bursts, cap
from flywheel.records import Feedback, QuarantineDecision

QUARANTINED = "burst in quarantine"
REJECTED = "rejected by a curator"
WITHDRAWN = "withdrawn, or replaced by its user"
CONTRADICTED = "contradicted by a curator"
OVER_CAP = "over the user's cap"
UNCOUNTED = "askers do not count"
ERASED = "erased"

_ROUNDING = 1e-9

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


def held_back(
    acts: Sequence[Feedback], settings: LearnSettings, decisions: Mapping[str, QuarantineDecision]
) -> dict[str, str]:
    """The acts that came in a burst and were not released, with the reason, by id.

    What was rejected stays so, whatever counts as a burst later.
    """
    held = {id: QUARANTINED for id in bursts(acts, settings) if decisions.get(id) != "released"}
    return held | {act.id: REJECTED for act in acts if decisions.get(act.id) == "rejected"}


def outdated(told: Sequence[Told]) -> dict[str, str]:
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
        if act.kind == "retract":
            reasons[act.id] = WITHDRAWN
    return reasons


def _family(act: Feedback) -> str:
    return act.kind if act.kind in ("cite", "rank") else "judgement"


def _object(act: Feedback) -> object:
    """What an act judges: a set of answers, or one answer."""
    if act.kind == "rank":
        return frozenset(map(normal_form, act.candidates))
    return "" if act.kind == "cite" else normal_form(act.answer)


def disputed(lessons: Sequence[Lesson]) -> dict[str, str]:
    """Curators of whom one calls right what another calls wrong, on the same question."""
    trusted = [each for each in lessons if each.told.trusted and each.told.act.kind != "edit"]
    called: dict[tuple[str, str], list[tuple[Told, bool]]] = defaultdict(list)
    for each in trusted:
        question = normal_form(each.told.act.question)
        for right, passages in ((True, each.passages), (False, each.rejected)):
            for passage in passages:
                called[question, passage].append((each.told, right))
    return {
        told.act.id: DISPUTED
        for judgements in called.values()
        for told, _ in judgements
        if _is_disputed(told, judgements)
    }


def _is_disputed(told: Told, judgements: Sequence[tuple[Told, bool]]) -> bool:
    heard = [each for each in judgements if reaches(each[0].shared_with, told.shared_with)]
    several = len({each.act.user for each, _ in heard}) > 1
    return several and len({right for _, right in heard}) > 1


def contradicted(lessons: Sequence[Lesson]) -> dict[str, str]:
    """Acts against what a correction says, and askers' against any curator's word.

    For askers it is enough that the questions are nearly the same.
    """
    groups = group([each.told.act.question for each in lessons], []).training
    trusted: dict[int, list[Lesson]] = defaultdict(list)
    edits: dict[str, list[Lesson]] = defaultdict(list)
    for each, number in zip(lessons, groups, strict=True):
        if each.told.trusted:
            trusted[number].append(each)
            if each.told.act.kind == "edit":
                edits[normal_form(each.told.act.question)].append(each)
    # Thousands may say the same of one question.
    corrected = cache(lambda question, access: _said(edits[question], access)[0])
    said = cache(lambda number, access: _said(trusted[number], access))
    reasons = {}
    for each, number in zip(lessons, groups, strict=True):
        access = each.told.shared_with
        if each.told.trusted:
            known = corrected(normal_form(each.told.act.question), access)
            against = each.told.act.kind != "edit" and _is_against(each, known, set())
        else:
            right, wrong = said(number, access)
            against = _is_against(each, right, wrong - right)
        if against:
            reasons[each.told.act.id] = CONTRADICTED
    return reasons


def _said(lessons: Sequence[Lesson], access: Sequence[str]) -> tuple[set[str], set[str]]:
    """The passages that these call right, and wrong, of what all may read who have this access."""
    heard = [each for each in lessons if reaches(each.told.shared_with, access)]
    right = {id for each in heard for id in each.passages}
    return right, {id for each in heard for id in each.rejected}


def _is_against(lesson: Lesson, right: set[str], wrong: set[str]) -> bool:
    misses = bool(lesson.passages) and bool(right) and right.isdisjoint(lesson.passages)
    return misses or not wrong.isdisjoint(lesson.passages) or not right.isdisjoint(lesson.rejected)


def uncounted(lessons: Sequence[Lesson]) -> dict[str, str]:
    """Where askers' acts weigh nothing by the settings."""
    return {each.told.act.id: UNCOUNTED for each in lessons if each.weight == 0}


def over_cap(lessons: Sequence[Lesson], settings: LearnSettings) -> dict[str, str]:
    """What of an asker's acts his latest ones leave no room for, in all or on one passage."""
    most = cap(sum(each.weight for each in lessons if each.told.trusted), settings)
    spent: dict[tuple[str, str], float] = defaultdict(float)
    reasons = {}
    for each in reversed(lessons):
        if each.told.trusted:
            continue
        user = each.told.act.user
        limits = {(user, id): PASSAGE_CAP for id in (*each.passages, *each.rejected)}
        limits[user, ""] = most
        if any(spent[key] + each.weight > limit + _ROUNDING for key, limit in limits.items()):
            reasons[each.told.act.id] = OVER_CAP
            continue
        for key in limits:
            spent[key] += each.weight
    return reasons

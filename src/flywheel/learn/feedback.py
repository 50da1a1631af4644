"""What users say about answers: checked at the border, and turned into corrections.

The same for HTTP, the command line and Python. Pure: where it is kept, and where its evidence
stands in the documents, is found by the caller.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from flywheel.errors import FeedbackError
from flywheel.records import PUBLIC, Correction, Feedback, FeedbackKind, Interaction, Role, to_json
from flywheel.search.terms import fold

CLOCKS_APART = timedelta(hours=1)
"""How far another machine's clock may be ahead."""

JUDGEMENTS: frozenset[FeedbackKind] = frozenset({"up", "down", "bookmark", "delete", "flag"})
"""What is said of an answer as a whole, and can be taken back."""

DISPUTED = "curators contradict each other"
UNFOUND = "its evidence stands in no current document"

_NOISE = re.compile(r"[^\w%‰°€$£¥<>=±+\-.,:/]+|_")
_NO_SIGN = re.compile(r"[+\-.,:/](?!\d)|(?<![\d\s])[.,:/](?=\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SPACE_AT_HAN = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")


class FeedbackLine(BaseModel):
    """One act as users write it, in a file or a request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str | int | None = None
    kind: FeedbackKind
    question: str | None = None
    interaction: str | None = None
    candidate: int | None = Field(default=None, ge=0)
    answer: str | None = None
    evidence: list[str] | None = None
    candidates: list[str] | None = None
    order: list[int] | None = None
    reason: str | None = None
    user: str | None = None
    at: str | None = None

    def to_feedback(self, role: Role, user: str) -> Feedback:
        """The act as the value that everything else knows.

        Args:
            user: who acts, where the line does not say.
        """
        return Feedback(
            id="" if self.id is None else str(self.id),
            kind=self.kind,
            user=(self.user or "").strip() or user,
            role=role,
            at=(self.at or "").strip(),
            question=(self.question or "").strip(),
            interaction=(self.interaction or "").strip(),
            candidate=self.candidate,
            answer=(self.answer or "").strip(),
            evidence=tuple(self.evidence or ()),
            candidates=tuple(self.candidates or ()),
            order=tuple(self.order or ()),
            reason=(self.reason or "").strip(),
        )


def complete(act: Feedback, interaction: Interaction | None, now: datetime) -> Feedback:
    """The act with all that it left open: id, time, and what its interaction tells.

    Raises:
        FeedbackError: it cannot be meant.
    """
    named = replace(act, id=act.id.strip() or id_of(act))
    try:
        return _checked(_filled(named, interaction, now), interaction)
    except ValueError as error:
        raise FeedbackError(named.id, str(error)) from None


def content_of(act: Feedback) -> str:
    """A hash by which an act that comes again is told from another one with its id.

    The time is no part of it: where it was left out, it is of the first coming.
    """
    return _hash(act, {"id", "at"})


def id_of(act: Feedback) -> str:
    """The id of an act that was given none: it follows from what was given."""
    return _hash(act, {"id", "role"})


def _hash(act: Feedback, left_out: set[str]) -> str:
    values = {name: value for name, value in to_json(act).items() if name not in left_out}
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def is_verified(role: Role) -> bool:
    """Whether what somebody in this role says holds for all, without a second opinion."""
    return role in ("curator", "owner")


def retracted(acts: Iterable[Feedback]) -> set[str]:
    """The ids of what users took back.

    Args:
        acts: of any kinds, the first one first.
    """
    standing: dict[tuple[str, str, str], list[str]] = {}
    gone: set[str] = set()
    for act in acts:
        subject = act.user, normal_form(act.question), normal_form(act.answer)
        if act.kind == "retract":
            gone.update(standing.pop(subject, ()))
        elif act.kind in JUDGEMENTS:
            standing.setdefault(subject, []).append(act.id)
    return gone


def normal_form(text: str) -> str:
    """What two spellings of one question or answer share.

    Numbers keep their signs and points: 1.5 bar is not 15 bar, and −5 °C is not 5 °C.
    """
    folded = _THOUSANDS.sub("", fold(text.replace("\u2212", "-")))
    kept = _NO_SIGN.sub(" ", _NOISE.sub(" ", folded))
    return _SPACE_AT_HAN.sub("", " ".join(kept.split()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Where the evidence of a correction stands, as far as its author may read."""

    passages: tuple[str, ...] = ()
    access: tuple[tuple[str, ...], ...] = ()
    """Of each piece that was found, who may read it somewhere."""
    unfound: tuple[int, ...] = ()
    """The pieces, from 1, that stand in no current document."""


def to_correction(act: Feedback, evidence: Evidence, readable: Sequence[str] | None) -> Correction:
    """The correction that an edit makes.

    Args:
        readable: the labels that its author may read; None for everything.
    """
    blank = Correction(
        id=act.id,
        question=act.question,
        answer=act.answer,
        evidence=act.evidence,
        passages=(),
        user=act.user,
        role=act.role,
        at=act.at,
        verified=is_verified(act.role),
    )
    return located(blank, evidence, readable)


def located(
    correction: Correction,
    evidence: Evidence,
    readable: Sequence[str] | None,
    closed: Sequence[Sequence[str]] = (),
) -> Correction:
    """The correction with its evidence where it stands now.

    Evidence that is lost, with a document that was deleted or written anew, opens it to nobody: its
    words may still tell what only few could read. What stood in a document that is closed to its
    author by now is for those who may read that document.

    Args:
        closed: who may read such documents now.
    """
    pieces = evidence.access
    if evidence.unfound:
        before = () if PUBLIC in correction.access else (correction.access,)
        pieces = (*pieces, *before, *map(tuple, closed))
    return replace(
        correction,
        passages=evidence.passages,
        access=shared_access(pieces, readable),
        review=_with_reason(correction.review, UNFOUND, bool(evidence.unfound)),
    )


def shared_access(
    pieces: Iterable[Sequence[str]], readable: Sequence[str] | None
) -> tuple[str, ...]:
    """Whose labels let them read what the author read: the author's and every piece's.

    Evidence that everybody may read leaves the answer to everybody. Without evidence the author's
    own labels hold, since the answer may tell what only they could read. Empty where nobody's do.
    """
    labels = [set(piece) for piece in pieces]
    restricted = [piece for piece in labels if PUBLIC not in piece]
    own = None if readable is None else set(readable) - {PUBLIC}
    if labels and not restricted:
        return (PUBLIC,)
    if own and (restricted or not labels):
        restricted.append(own)
    return tuple(sorted(set.intersection(*restricted))) if restricted else (PUBLIC,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What holds of several corrections of one question."""

    in_force: tuple[Correction, ...]
    replaced: tuple[str, ...]
    """The ids of those in whose place the same user put another one."""


def reaches(access: Sequence[str], others: Sequence[str]) -> bool:
    """Whether whoever may read what has the other labels may read what has these."""
    return PUBLIC in access or set(others) <= set(access)


def settle(corrections: Sequence[Correction]) -> Settled:
    """Replaces a user's earlier corrections by his latest, and marks who contradicts whom.

    Args:
        corrections: of one question, the earliest first.

    What is unverified neither replaces nor disputes what is verified; nor does a correction dispute
    one that has readers who may not read it.
    """
    latest = {(each.user, each.verified): each for each in corrections}
    kept = [each for each in corrections if latest[each.user, each.verified] is each]
    verified = [each for each in kept if each.verified]
    ids = {each.id for each in kept}
    return Settled(
        in_force=tuple(_marked(each, _is_disputed(each, verified)) for each in kept),
        replaced=tuple(each.id for each in corrections if each.id not in ids),
    )


def _is_disputed(correction: Correction, verified: Sequence[Correction]) -> bool:
    """Whether among what its readers may read there are contradicting corrections."""
    heard = [each for each in verified if reaches(each.access, correction.access)]
    return correction.verified and len({normal_form(each.answer) for each in heard}) > 1


def _marked(correction: Correction, disputed: bool) -> Correction:
    review = _with_reason(correction.review, DISPUTED, disputed)
    return replace(correction, disputed=disputed, review=review)


def _with_reason(review: str, reason: str, holds: bool) -> str:
    others = [each for each in review.split("; ") if each and each != reason]
    return "; ".join([*others, reason] if holds else others)


def _filled(act: Feedback, interaction: Interaction | None, now: datetime) -> Feedback:
    act = replace(act, at=_utc(act.at) if act.at else _written(now))
    if act.at > _written(now + CLOCKS_APART):
        raise ValueError(f'"at" is in the future: "{act.at}"; leave it out for now')
    if interaction is None:
        return act
    shown = [each.answer or each.draft for each in interaction.candidates]
    place = 0 if act.candidate is None else act.candidate
    if place >= len(shown) > 0:
        raise ValueError(f'"candidate" {place} is none of the {len(shown)} of its interaction')
    takes_shown = act.kind not in ("edit", "rank", "cite") and not act.answer and shown
    return replace(
        act,
        question=act.question or interaction.question,
        answer=shown[place] if takes_shown else act.answer,
        candidates=act.candidates or (tuple(shown) if act.order else ()),
    )


def _checked(act: Feedback, interaction: Interaction | None) -> Feedback:
    """The act itself.

    Raises:
        ValueError: it cannot be meant, and why.
    """
    if act.interaction and interaction is None:
        raise ValueError(f'there is no interaction "{act.interaction}"')
    if not normal_form(act.question):
        raise ValueError('"question" is missing or empty; name it, or the "interaction"')
    if act.kind == "edit" and not act.answer:
        raise ValueError('an edit needs the right "answer"')
    if act.kind == "cite" and not act.evidence:
        raise ValueError('a cite needs its "evidence"')
    if (act.kind == "rank" or act.order) and not _is_ranking(act):
        raise ValueError(
            f'"order" {list(act.order)} is no permutation of the {len(act.candidates)} '
            '"candidates", counted from 0'
        )
    if act.candidates and act.candidate is not None and act.candidate >= len(act.candidates):
        raise ValueError(f'"candidate" {act.candidate} is none of the {len(act.candidates)}')
    for place, piece in enumerate(act.evidence, start=1):
        if not normal_form(piece):
            raise ValueError(f'"evidence" {place} holds no words')
    return act


def _is_ranking(act: Feedback) -> bool:
    return bool(act.order) and sorted(act.order) == list(range(len(act.candidates)))


def _utc(at: str) -> str:
    """A time as users write it, as all times are kept.

    Raises:
        ValueError: it is none.
    """
    try:
        time = datetime.fromisoformat(at)
        return _written(time if time.tzinfo else time.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        problem = f'"at" is no time: "{at}"; write it like 2026-01-31T13:48:00Z'
        raise ValueError(problem) from None


def _written(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")

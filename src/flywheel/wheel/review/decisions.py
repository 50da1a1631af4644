"""Deciding on an item of the review queue.

A decision, what it does and the audit log's entry are one write; it is refused where the item has
changed since the curator saw it, so that of two curators none overwrites the other unseen. Not
here: taking a decision back (review/undo.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from flywheel.errors import UsageError
from flywheel.learn.feedback import normal_form
from flywheel.records import Feedback, QuarantineDecision
from flywheel.store import corrections, erasures, quarantine, reviews
from flywheel.store.corrections import Entry
from flywheel.store.quarantine import Judged
from flywheel.store.reviews import Review
from flywheel.wheel import feedback, growth
from flywheel.wheel.growth import Gold
from flywheel.wheel.keys import record
from flywheel.wheel.review.item import Case, acts_of, burst_of, read
from flywheel.wheel.review.waiting import ABOUT_CORRECTIONS, ItemKind

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

Decision = Literal[
    "confirmed",
    "edited",
    "withdrawn",
    "dismissed",
    "unanswerable",
    "dropped",
    "released",
    "rejected",
]

ALLOWED: dict[ItemKind, tuple[Decision, ...]] = {
    "disputed": ("confirmed", "edited", "withdrawn"),
    "evidence": ("confirmed", "edited", "withdrawn"),
    "suggested": ("confirmed", "edited", "withdrawn"),
    "flagged": ("confirmed", "dismissed", "unanswerable"),
    "abstained": ("confirmed", "dismissed", "unanswerable"),
    "unsure": ("confirmed", "dismissed", "unanswerable"),
    "exam": ("confirmed", "dropped", "unanswerable"),
    "quarantine": ("released", "rejected"),
}
"""What can be decided on what. `dismissed`: as it is, it is right; nothing changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """What a curator says to an item."""

    decision: Decision
    seen: str
    """What the item was when he saw it (review/item.py)."""
    again: bool = False
    """He has seen that it was decided on, and decides otherwise."""
    chosen: str = ""
    """The id of the correction that is confirmed or withdrawn; empty is all that wait."""
    answer: str = ""
    evidence: tuple[str, ...] = ()
    """Verbatim text of the sources."""


class Overtaken(UsageError):
    """The item is not as the curator saw it: somebody else was first, or it has changed."""

    def __init__(self, case: Case | None) -> None:
        """
        Args:
            case: the item as it is now; None where it is gone.
        """
        super().__init__("It was decided on or changed meanwhile. See how it stands now.")
        self.case = case


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A decision that was made, with what it takes to take it back."""

    case: Case
    """The item as it was before."""
    review: Review
    made: str = ""
    """The id of the act that it made."""
    acts: tuple[str, ...] = ()
    """Those in quarantine that it was on."""
    judged: tuple[Judged, ...] = ()
    """What was decided on them before."""
    num_erasures: int = 0
    """What is erased later does not come back with the item as it was."""
    left: tuple[tuple[str, int], ...] = ()
    """The corrections as it left them: the id and the change of each."""


def decide(workspace: Workspace, kind: ItemKind, id: str, ruling: Ruling, caller: Caller) -> Done:
    """Decides on an item.

    Raises:
        Overtaken: it is not as the curator saw it.
        UsageError: that cannot be decided on it, or says nothing that can be meant.
        FeedbackError: the answer or its evidence cannot be meant.
    """
    if ruling.decision not in ALLOWED[kind]:
        raise UsageError(f'"{ruling.decision}" cannot be decided on what is {kind}.')
    write = _Write(workspace, kind, id, ruling, caller)
    if kind == "exam":
        growth.decide(workspace, id, _gold(ruling), caller, write.first)
    elif kind == "quarantine":
        write.alone(write.judge_acts)
    elif ruling.decision in ("confirmed", "withdrawn") and kind in ABOUT_CORRECTIONS:
        write.alone(write.settle_corrections)
    elif ruling.decision in ("confirmed", "edited"):
        write.act(_edit(ruling))
    elif ruling.decision == "unanswerable":
        write.unanswerable()
    else:
        write.alone(write.nothing_else)
    return write.done()


class _Write:
    """One decision: checked, kept and written down first, then done, in one write."""

    def __init__(
        self, workspace: Workspace, kind: ItemKind, id: str, ruling: Ruling, caller: Caller
    ) -> None:
        self._workspace, self._kind, self._id = workspace, kind, id
        self._ruling, self._caller = ruling, caller
        self._burst: Sequence[str] = burst_of(workspace, kind, id)
        self._case: Case | None = None
        self._review: Review | None = None
        self._made = ""
        self._acts: tuple[str, ...] = ()
        self._judged: tuple[Judged, ...] = ()
        self._num_erasures = 0

    def done(self) -> Done:
        """What was decided, once it is written."""
        assert self._case is not None and self._review is not None
        ids = [each.correction.id for each in self._case.entries] + [self._made] * bool(self._made)
        with self._workspace.database.read() as conn:
            entries = [entry for id in ids if (entry := corrections.get(conn, id)) is not None]
        return Done(
            case=self._case,
            review=self._review,
            made=self._made,
            acts=self._acts,
            judged=self._judged,
            num_erasures=self._num_erasures,
            left=tuple((each.correction.id, self._change_left(each)) for each in entries),
        )

    def _change_left(self, entry: Entry) -> int:
        """The change that a correction was left with; none that is ever found again, where somebody
        else went on from it before it was looked at here."""
        assert self._case is not None
        before = {each.correction.id: each.decided_by for each in self._case.entries}
        expected = ("", self._caller.name, before.get(entry.correction.id))
        return entry.change if entry.decided_by in expected else -1

    def first(self, conn: Connection) -> None:
        """Checks the item, and keeps the decision. The caller holds the corrections' lock.

        Raises:
            Overtaken: the item is not as the curator saw it.
        """
        case = read(conn, self._kind, self._id, self._caller, self._burst)
        is_open = case is not None and (case.is_waiting or self._ruling.again)
        if case is None or not is_open or case.seen != self._ruling.seen:
            raise Overtaken(case)
        self._case, self._num_erasures = case, erasures.count(conn)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        review = Review(
            item=case.name,
            decision=self._ruling.decision,
            user=self._caller.name,
            # Not before what it is on, which a clock that goes ahead may have dated.
            at=max(now, *(flag.at for flag in case.flags)) if case.flags else now,
        )
        self._review = reviews.put(conn, review)
        record(conn, self._caller, f"review.{self._ruling.decision}", self._id)

    def alone(self, then: Callable[[Connection, Case], None]) -> None:
        """Does what needs no act of feedback."""

        def write(conn: Connection) -> None:
            corrections.lock(conn)
            self.first(conn)
            assert self._case is not None
            then(conn, self._case)

        self._workspace.database.write(write)

    def nothing_else(self, conn: Connection, case: Case) -> None:
        """That it was decided is all."""

    def judge_acts(self, conn: Connection, case: Case) -> None:
        """Lets the acts of a burst teach, or never."""
        assert self._review is not None
        acts = acts_of(conn, self._burst, self._caller)
        self._judged = tuple(quarantine.of_acts(conn, acts))
        decision: QuarantineDecision = (
            "released" if self._ruling.decision == "released" else "rejected"
        )
        quarantine.decide(conn, acts, decision, self._caller.name, self._review.at)
        self._acts = tuple(acts)

    def settle_corrections(self, conn: Connection, case: Case) -> None:
        """Confirms one of the corrections and withdraws the others that were shown beside it; or
        withdraws the one, or all that wait."""
        sides = {each.id for each in case.sides}
        chosen = self._ruling.chosen
        if self._ruling.decision == "confirmed" and not chosen and len(sides) == 1:
            (chosen,) = sides
        if (chosen or self._ruling.decision == "confirmed") and chosen not in sides:
            raise UsageError("Choose one of the corrections that are shown.")
        marked = [
            each
            for entry in case.entries
            if entry.correction.id in sides and (each := self._settled(entry, chosen)) != entry
        ]
        corrections.mark_all(conn, marked)
        feedback.settle(conn, [case.key])
        for each in marked:
            confirmed = not each.withdrawn
            action = "corrections.confirm" if confirmed else "corrections.withdraw"
            record(conn, self._caller, action, each.correction.id)

    def _settled(self, entry: Entry, chosen: str) -> Entry:
        """A correction as the decision leaves it."""
        name, correction = self._caller.name, entry.correction
        if self._ruling.decision == "withdrawn":
            waits = not correction.verified or correction.review
            goes = correction.id == chosen if chosen else waits
            if not goes:
                return entry
            return replace(entry, withdrawn=feedback.WITHDRAWN, decided_by=name)
        if correction.id != chosen:
            return replace(entry, withdrawn=feedback.DECIDED, decided_by=name)
        confirmed = replace(correction, verified=True, disputed=False, review="")
        return replace(entry, correction=confirmed, decided_by=name)

    def act(self, make: Callable[[Case], Feedback]) -> None:
        """Brings in the curator's own act. What it stands against was shown to him, and goes."""
        case = self._before()
        act = replace(make(case), user=self._caller.name, role=self._caller.role)

        def first(conn: Connection) -> None:
            self.first(conn)
            assert self._case is not None
            gone = [
                replace(each, withdrawn=feedback.DECIDED, decided_by=self._caller.name)
                for each in self._case.entries
            ]
            corrections.mark_all(conn, gone)
            for each in gone:
                record(conn, self._caller, "corrections.withdraw", each.correction.id)

        feedback.accept(self._workspace, [act], self._caller.access, self._caller, first)
        self._made = act.id

    def unanswerable(self) -> None:
        """Nothing answers it. An answer that was given all the same is judged wrong, so that the
        next turn learns from it."""
        case = self._before()
        if not case.asked or not case.asked.candidates or case.asked.candidates[0].kind != "answer":
            self.alone(self.nothing_else)
            return
        act = Feedback(
            id=uuid.uuid4().hex,
            kind="down",
            user=self._caller.name,
            role=self._caller.role,
            at="",
            interaction=case.asked.id,
            candidate=0,
        )
        feedback.accept(self._workspace, [act], self._caller.access, self._caller, self.first)
        self._made = act.id

    def _before(self) -> Case:
        """The item, to make an act of; checked again in the write.

        Raises:
            Overtaken: it is gone.
        """
        with self._workspace.database.read() as conn:
            case = read(conn, self._kind, self._id, self._caller, self._burst)
        if case is None:
            raise Overtaken(None)
        return case


def _gold(ruling: Ruling) -> Gold:
    if ruling.decision == "confirmed":
        return Gold(answer=ruling.answer, evidence=ruling.evidence)
    return Gold(answerable=False) if ruling.decision == "unanswerable" else Gold(drop=True)


def _edit(ruling: Ruling) -> Callable[[Case], Feedback]:
    if not normal_form(ruling.answer):
        raise UsageError("Write the answer, or say that nothing answers the question.")

    def make(case: Case) -> Feedback:
        return Feedback(
            id=uuid.uuid4().hex,
            kind="edit",
            user="",
            role="curator",
            at="",
            question=case.question,
            interaction=case.asked.id if case.asked else "",
            candidate=0 if case.asked and case.asked.candidates else None,
            answer=ruling.answer.strip(),
            evidence=ruling.evidence,
        )

    return make

"""What waits for a curator: each thing that he may decide on, with how much that teaches.

    disputed    curators contradict each other         abstained   asked, and left unanswered
    evidence    a correction whose evidence is gone    unsure      answered with little confidence
    suggested   an asker's correction                  exam        drawn for it, without gold
    flagged     an answer that a user flagged          quarantine  an asker's acts of one burst

How much is learn/teaching.py's. Not here: their order (review/queue.py), one item with all that is
shown of it (review/item.py), and what deciding on it does (review/decisions.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from flywheel.learn.feedback import UNFOUND, normal_form
from flywheel.learn.teaching import Stakes, teaches
from flywheel.store import exam_items, review_lists, reviews
from flywheel.store.review_lists import Closing
from flywheel.wheel.feedback import key_of, may_read
from flywheel.wheel.review.held_out import HeldOut
from flywheel.wheel.review.sight import readable, readable_acts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.review_lists import Asked, Flag, WaitingCorrection
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.review.bursts import Burst

ItemKind = Literal[
    "disputed", "evidence", "suggested", "flagged", "abstained", "unsure", "exam", "quarantine"
]
KINDS: tuple[ItemKind, ...] = get_args(ItemKind)
ABOUT_CORRECTIONS: tuple[ItemKind, ...] = ("disputed", "evidence", "suggested")
ABOUT_QUESTIONS: tuple[ItemKind, ...] = ("abstained", "unsure")

CORRECTIONS = "corrections"
"""What decisions on corrections are kept under, whatever they waited for."""

MOST = 200
"""Items of one kind that are listed: nobody decides on more before they change."""

UNSURE = 0.7
"""Confidence below which an answer is worth a look: three of ten such are wrong."""

UNKNOWN = 0.5
"""The confidence where nothing tells it."""

ANSWERED_BY = ("unanswerable", "dismissed")
"""Decisions after which a question waits no more, although no correction answers it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing that waits, as a list shows it."""

    kind: ItemKind
    id: str
    """Of a correction, an interaction, an act or a drawn question: what it is about."""
    name: str
    """What a decision on it is kept under."""
    question: str
    at: str
    score: float
    num_asked: int = 0
    """How often the question was asked; 0 where that is not known."""


class Waiting:
    """What waits for one curator, read on one connection."""

    def __init__(self, conn: Connection, caller: Caller, held: HeldOut) -> None:
        self._conn, self._caller, self._held = conn, caller, held
        self._sees_all = caller.access is None
        self._most = MOST if self._sees_all else MOST // 2
        self.num_held_out = 0
        self._flagged: set[str] = set()

    def corrections(self) -> Iterator[Item]:
        """Those of one question are one item."""
        of_question: dict[str, list[WaitingCorrection]] = {}
        for each in review_lists.waiting_corrections(self._conn):
            if may_read(self._caller.access, each.access):
                of_question.setdefault(each.key, []).append(each)
        counts = review_lists.asked(self._conn, list(of_question))
        for key, waiting in of_question.items():
            num = counts.get(key, 0)
            yield Item(
                kind=_kind_of(waiting),
                id=waiting[0].id,
                name=f"{CORRECTIONS}:{key}",
                question=waiting[-1].question,
                at=waiting[0].at,
                score=teaches(
                    Stakes(
                        served="objected",
                        num_asked=max(num, 1),
                        confidence=UNKNOWN,
                        votes=_votes(waiting),
                    )
                ),
                num_asked=self._told(num),
            )

    def flagged(self) -> Iterator[Item]:
        """The flags on one answer are one item. Decided on, it waits again with the next flag."""
        of_answer: dict[str, list[Flag]] = {}
        for flag in reversed(review_lists.flags(self._conn, self._most)):
            of_answer.setdefault(flag.interaction or flag.id, []).append(flag)
        shown = review_lists.shown(self._conn, list(of_answer))
        keys = {
            id: shown[id].key if id in shown else key_of(flags[0].question)
            for id, flags in of_answer.items()
        }
        counts = review_lists.asked(self._conn, list(set(keys.values())))
        seen = self._readable(list(shown))
        for id, flags in of_answer.items():
            if not (id in seen if id in shown else self._sees_all):
                continue
            num = counts.get(keys[id], 0)
            self._flagged.add(keys[id])
            confidence = shown[id].confidence if id in shown else None
            stakes = Stakes(
                served="objected",
                # Who flags it has asked it once more than is counted of one who says nothing.
                num_asked=num + len(flags),
                confidence=UNKNOWN if confidence is None else confidence,
            )
            yield Item(
                kind="flagged",
                id=id,
                name=f"flagged:{id}",
                question=flags[-1].question,
                at=flags[0].at,
                score=teaches(stakes),
                num_asked=self._told(num),
            )

    def questions(self) -> Iterator[Item]:
        """What was left unanswered, or answered with little confidence; each question once, and
        none of those whose answer was flagged, which are listed before."""
        found: dict[str, tuple[ItemKind, Asked]] = {}
        closing = Closing(kinds=ABOUT_QUESTIONS, decisions=ANSWERED_BY)
        for each in review_lists.abstained(self._conn, self._most, closing):
            found[each.key] = ("abstained", each)
        for each in review_lists.unsure(self._conn, UNSURE, self._most, closing):
            found.setdefault(each.key, ("unsure", each))
        open = {key: each for key, each in found.items() if key not in self._flagged}
        seen = self._readable([each.id for _, each in open.values()])
        for key, (kind, each) in open.items():
            if each.id not in seen:
                continue
            if self._held.asks(each.question):
                self.num_held_out += 1
                continue
            stakes = Stakes(
                served="nothing" if kind == "abstained" else "answer",
                num_asked=each.num,
                confidence=each.confidence or 0.0,
            )
            yield Item(
                kind=kind,
                id=each.id,
                name=f"{kind}:{key}",
                question=each.question,
                at=each.at,
                score=teaches(stakes),
                num_asked=self._told(each.num),
            )

    def exam(self) -> Iterator[Item]:
        """Drawn questions in the order in which they were asked, whatever the champion says to
        them: an exam whose hardest questions have their gold first would be no fair sample."""
        waiting = [each for each in exam_items.list_items(self._conn) if each.state == "waiting"]
        seen = self._readable([each.interaction for each in waiting])
        score = teaches(Stakes(served="nothing"))
        for each in waiting:
            if each.interaction in seen:
                yield Item(
                    kind="exam",
                    id=each.id,
                    name=f"exam:{each.id}",
                    question=each.question,
                    at=each.at,
                    score=score,
                )

    def quarantine(self, bursts: Sequence[Burst]) -> Iterator[Item]:
        """What waits of one user is one item."""
        decided = reviews.decided_acts(self._conn, [id for each in bursts for id in each.acts])
        for burst in bursts:
            waiting = [id for id in burst.acts if id not in decided]
            if not self._sees_all:
                waiting = readable_acts(self._conn, waiting, self._caller)
            if waiting:
                yield Item(
                    kind="quarantine",
                    id=waiting[0],
                    name=f"quarantine:{waiting[0]}",
                    question="",
                    at=burst.at,
                    score=teaches(Stakes(served="nothing", num_asked=len(waiting))),
                    num_asked=len(waiting),
                )

    def _readable(self, ids: Sequence[str]) -> set[str]:
        return set(ids) if self._sees_all else readable(self._conn, ids, self._caller)

    def _told(self, num: int) -> int:
        """How often others asked is only for who may read all that they were answered."""
        return num if self._sees_all else 0


def _kind_of(waiting: Sequence[WaitingCorrection]) -> ItemKind:
    """What corrections of one question wait for, the gravest reason first."""
    if any(each.disputed for each in waiting):
        return "disputed"
    if any(each.verified or UNFOUND in each.review for each in waiting):
        return "evidence"
    return "suggested"


def _votes(waiting: Sequence[WaitingCorrection]) -> Sequence[int]:
    if len(waiting) == 1:
        return (1,)
    counts: Mapping[str, int] = Counter(normal_form(each.answer) for each in waiting)
    return tuple(counts.values())

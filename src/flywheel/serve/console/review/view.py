"""An item of the review queue as its templates show it.

Not here: what the item is and what deciding on it does (wheel/review/item.py, decisions.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from flywheel.learn.feedback import DISPUTED, UNFOUND
from flywheel.records import Correction
from flywheel.search.terms import has_han
from flywheel.wheel.documents.alignment import opcodes
from flywheel.wheel.keys import Caller
from flywheel.wheel.review import suggestion as review_suggestion
from flywheel.wheel.review.decisions import ALLOWED, Decision
from flywheel.wheel.review.item import Case
from flywheel.wheel.review.queue import Queue
from flywheel.wheel.review.suggestion import Suggestion
from flywheel.wheel.review.waiting import ABOUT_CORRECTIONS, KINDS, Item, ItemKind
from flywheel.wheel.workspace import Workspace

NUM_COMING = 6
"""Items that are listed as the next ones."""

MAX_TOKENS = 1500
"""Of an answer whose words are compared; a longer one is shown as it is."""

_TOKEN = re.compile(
    r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\u3400-\u9fff\uf900-\ufaff]+|\s+|.", re.DOTALL
)

Reason = Literal["suggested", "disputed", "unfound", "served"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run of an answer's words, and whether the other side lacks it."""

    text: str
    is_own: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """A correction to decide on, beside the others."""

    correction: Correction
    reasons: tuple[Reason, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """What a curator had typed when another was first."""

    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One item, open."""

    case: Case
    language: str
    """Of the question, as HTML names it."""
    sides: tuple[Side, ...]
    suggestion: Suggestion | None
    """What the form is filled in with; None is asked for by the page itself."""
    decisions: tuple[Decision, ...]
    is_conflict: bool = False
    """Somebody else was first, or it has changed."""
    says: Correction | None = None
    """The correction that holds now, where somebody else was first."""

    @property
    def is_about_corrections(self) -> bool:
        """Whether it is decided on what others wrote."""
        return self.case.kind in ABOUT_CORRECTIONS


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """The whole page."""

    only: ItemKind | Literal[""]
    counts: dict[ItemKind, int]
    num_all: int
    num_left: int
    """In the tab that is shown."""
    num_today: int
    """Decided today by who looks."""
    num_held_out: int
    view: View | None
    others: tuple[str, ...]
    """Who else looks at the item."""
    coming: tuple[Item, ...]
    can_undo: bool


def board(
    queue: Queue,
    only: ItemKind | Literal[""],
    view: View | None,
    *,
    others: Sequence[str],
    num_today: int,
    can_undo: bool,
) -> Board:
    """The page, with one item open."""
    name = view.case.name if view else ""
    mine = [each for each in queue.items if not only or each.kind == only]
    return Board(
        only=only,
        counts={kind: queue.counts[kind] for kind in KINDS},
        num_all=len(queue.items),
        num_left=len(mine),
        num_today=num_today,
        num_held_out=queue.num_held_out,
        view=view,
        others=tuple(others),
        coming=tuple(each for each in mine if each.name != name)[:NUM_COMING],
        can_undo=can_undo,
    )


def shown(workspace: Workspace, case: Case, caller: Caller) -> View:
    """An item, filled in where what the champion said is at hand."""
    kept = None
    if case.kind not in (*ABOUT_CORRECTIONS, "quarantine"):
        kept = review_suggestion.kept(workspace, case)
    return View(
        case=case,
        language="zh-Hans" if has_han(case.question) else "en",
        sides=tuple(_sides(case.sides)),
        suggestion=kept,
        decisions=ALLOWED[case.kind],
        is_conflict=not case.is_waiting,
        says=_holding(case),
    )


def conflict(workspace: Workspace, case: Case, caller: Caller) -> View:
    """An item that was decided on or has changed while somebody looked at it."""
    return replace(shown(workspace, case, caller), is_conflict=True)


def _holding(case: Case) -> Correction | None:
    """What is served now, as far as a decision made it so."""
    served = [each.correction for each in case.entries if each.correction.verified]
    return served[-1] if served else None


def _sides(corrections: Sequence[Correction]) -> Iterator[Side]:
    for place, each in enumerate(corrections):
        other = corrections[0 if place else min(1, len(corrections) - 1)]
        yield Side(
            correction=each,
            reasons=_reasons(each),
            runs=tuple(difference(each.answer, other.answer)),
        )


def _reasons(correction: Correction) -> tuple[Reason, ...]:
    found: list[Reason] = [] if correction.verified else ["suggested"]
    if DISPUTED in correction.review:
        found.append("disputed")
    if UNFOUND in correction.review:
        found.append("unfound")
    return tuple(found) or ("served",)


def difference(text: str, other: str) -> Iterator[Run]:
    """A text in runs of words, those that stand in the other as well and those that do not."""
    own, others = _TOKEN.findall(text), _TOKEN.findall(other)
    if text == other or max(len(own), len(others)) > MAX_TOKENS:
        yield Run(text=text, is_own=False)
        return
    for is_own, start, end, _, _ in opcodes(own, others):
        if start < end:
            yield Run(text="".join(own[start:end]), is_own=is_own)

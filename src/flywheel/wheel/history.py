"""What somebody asked before, what he said of the answers, and what it led to.

A user's own acts; to a curator also others', as far as he may read what they correct. The latest
act counts, and what was taken back does not. Not here: what an act teaches (learn/), and who may
see an interaction at all (sight.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flywheel.learn.feedback import JUDGEMENTS
from flywheel.records import Feedback, FeedbackKind, Interaction
from flywheel.store import bookmarks, corrections, interactions, versions
from flywheel.store import feedback as feedback_store
from flywheel.wheel import sight

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.corrections import Entry
    from flywheel.store.interactions import Line
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

MOST_ACTS = 200
"""Of one interaction, the latest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One act, and what it led to."""

    act: Feedback
    entry: Entry | None = None
    """The correction that an edit made."""
    versions: tuple[int, ...] = ()
    """Those that learned from it."""
    stands: bool = True
    """Whether it counts; else a later act took its place, or took it back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """How a user judges a candidate at present."""

    rating: Literal["", "up", "down"] = ""
    acts: tuple[Feedback, ...] = ()
    """What he would have to say anew, had he taken everything back."""

    def has(self, kind: FeedbackKind) -> bool:
        """Whether an act of that kind stands."""
        return any(act.kind == kind for act in self.acts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question that was asked before."""

    line: Line
    marks: tuple[FeedbackKind, ...]
    """The kinds of what its user said of the answers, as far as it counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A page of what was asked, the latest first."""

    asked: tuple[Asked, ...]
    has_more: bool


def listed(
    workspace: Workspace,
    user: str,
    limit: int,
    *,
    before: tuple[str, str] | None = None,
    search: str = "",
    bookmarked: bool = False,
) -> Listed:
    """What a user asked. Without the answers: what they quote may be closed to him by now.

    Args:
        before: goes on behind the `at` and `id` of a line.
        search: words that all stand in the question.
        bookmarked: only where he bookmarked an answer.
    """
    list_page = bookmarks.list_page if bookmarked else interactions.list_page
    with workspace.database.read() as conn:
        lines = list_page(conn, user, before=before, search=search, limit=limit + 1)
        marks = _marks(conn, user, [each.id for each in lines[:limit]])
    asked = tuple(Asked(line=each, marks=marks.get(each.id, ())) for each in lines[:limit])
    return Listed(asked=asked, has_more=len(lines) > limit)


def _marks(conn: Connection, user: str, ids: Sequence[str]) -> dict[str, tuple[FeedbackKind, ...]]:
    found: dict[str, tuple[FeedbackKind, ...]] = {}
    for id, acts in feedback_store.of_interactions(conn, ids).items():
        own = [act for act in acts if act.user == user]
        standing = standing_of(own)
        kinds = dict.fromkeys(act.kind for act in own if act.id in standing)
        found[id] = tuple(kinds)
    return found


def said(workspace: Workspace, interaction: Interaction, caller: Caller) -> list[Said]:
    """What was said to an interaction that the caller sees, the first act first."""
    with workspace.database.read() as conn:
        every = feedback_store.of_interaction(conn, interaction.id)
        own = [act for act in every if act.user == caller.name or caller.may("curator")]
        acts = own[-MOST_ACTS:]
        standing = standing_of(acts)
        found = [
            Said(
                act=act,
                entry=corrections.get(conn, act.id) if act.kind == "edit" else None,
                versions=tuple(versions.that_learned(conn, act.id)),
                stands=act.id in standing,
            )
            for act in acts
        ]
    return [each for each in found if _is_open(workspace, each.act, caller)]


def _is_open(workspace: Workspace, act: Feedback, caller: Caller) -> bool:
    """Whether the caller may read what an act tells: of others' words he reads corrections only."""
    if act.user == caller.name or act.kind not in ("edit", "cite"):
        return True
    return sight.sees_correction(workspace, act.id, caller)


def standing_of(acts: Iterable[Feedback]) -> set[str]:
    """The ids of the acts that count.

    Args:
        acts: on one interaction, the first act first.
    """
    latest: dict[tuple[str, int, str], str] = {}
    for act in acts:
        of = act.user, act.candidate or 0
        if act.kind == "retract":
            for kind in JUDGEMENTS:
                latest.pop((*of, _family(kind)), None)
        elif act.kind == "cite":
            latest[(act.user, -1, act.id)] = act.id
        elif act.kind in ("edit", "rank"):
            latest[(act.user, -1, act.kind)] = act.id
        else:
            latest[(*of, _family(act.kind))] = act.id
    return set(latest.values())


def _family(kind: FeedbackKind) -> str:
    return "rating" if kind in ("up", "down") else kind


def judged(found: Sequence[Said], user: str, candidate: int) -> Judged:
    """How a user judges a candidate at present."""
    acts = tuple(
        each.act
        for each in found
        if each.stands
        and each.act.user == user
        and each.act.kind in JUDGEMENTS
        and (each.act.candidate or 0) == candidate
    )
    kinds = {act.kind for act in acts}
    return Judged(rating="up" if "up" in kinds else "down" if "down" in kinds else "", acts=acts)

"""What there is to see of a version's exam: its card, what came before it, and who sits now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.errors import UsageError
from flywheel.records import Passage, Score
from flywheel.store import jobs as job_store
from flywheel.store import versions
from flywheel.store.jobs import Job
from flywheel.store.versions import Version
from flywheel.wheel import answering
from flywheel.wheel.answering import Question
from flywheel.wheel.exam.card import Card, card_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.workspace import Workspace

MAX_NUMBERS = 100
"""Versions to choose from, the newest ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """A version, and how it sat the exam."""

    version: Version
    is_champion: bool
    card: Card | None
    """None where it sat before releases that keep it, or was made by an erasure."""
    before: Version | None
    """The champion before it; of another version the one that it was compared with."""
    card_before: Card | None
    numbers: tuple[int, ...]
    """Of the versions, the newest first."""

    @property
    def metrics(self) -> Mapping[str, Score]:
        """Of the latest sitting; without a card those that it was decided by."""
        return self.card.metrics if self.card else self.version.metrics

    @property
    def metrics_before(self) -> Mapping[str, Score]:
        """Of the version before; empty where there is none."""
        if self.card_before:
            return self.card_before.metrics
        return self.before.metrics if self.before else {}

    @property
    def is_same_exam(self) -> bool | None:
        """Whether both sat the same questions; None where nobody knows."""
        if not (self.card and self.card_before):
            return None
        return self.card.exam == self.card_before.exam


def overview(workspace: Workspace, number: int | None = None) -> Overview | None:
    """A version's exam, the champion's where none is named; None before the first turn.

    Raises:
        UsageError: there is no such version.
    """
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
        version = champion if number is None else versions.get(conn, number)
        if version is None and number is not None:
            raise UsageError(f"There is no version {number}.")
        if version is None:
            return None
        before = _before(conn, version, champion)
        return Overview(
            version=version,
            is_champion=champion is not None and champion.number == version.number,
            card=card_of(conn, version.number),
            before=before,
            card_before=card_of(conn, before.number) if before else None,
            numbers=tuple(range(versions.next_number(conn) - 1, 0, -1))[:MAX_NUMBERS],
        )


def latest_sitting(workspace: Workspace) -> Job | None:
    """The sitting that was asked for last, if it is among what the worker did lately."""
    with workspace.database.read() as conn:
        every = job_store.list_jobs(conn, 20)
    return next((each for each in every if each.kind == "exam"), None)


def is_turning(workspace: Workspace) -> bool:
    """Whether the worker turns the wheel just now."""
    with workspace.database.read() as conn:
        return any(each.kind == "turn" for each in job_store.in_state(conn, "running"))


def search(
    workspace: Workspace, question: str, labels: Sequence[str] | None, limit: int
) -> list[Passage]:
    """The champion's passages that a question finds, best first, as far as these labels may read
    them.

    Raises:
        WorkspaceError: no turn has made a version yet.
    """
    asked = Question(text=question, labels=None if labels is None else tuple(labels))
    stands = answering.standing(workspace, asked)
    assistant = workspace.assistant(stands.version, stands.num_erasures)
    return [hit.passage for hit in assistant.search(question, stands.reader)[:limit]]


def _before(conn: Connection, version: Version, champion: Version | None) -> Version | None:
    """The champion that a version took over from; what it was compared with, if it never served."""
    if champion is None or champion.number != version.number:
        return None if version.parent is None else versions.get(conn, version.parent)
    served = [each.version for each in versions.history(conn)]
    others = [each for each in served if each not in (None, version.number)]
    return versions.get(conn, others[-1] or 0) if others else None

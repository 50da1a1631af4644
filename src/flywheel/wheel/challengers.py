"""What sets a challenger apart from the champion, and whether an exam has judged it before.

Reads what versions there are, and writes nothing. What is decided on it is said in turn.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flywheel.answer.assistant import Assistant
from flywheel.evaluate.exam import Sitting
from flywheel.records import ExamQuestion
from flywheel.store import versions
from flywheel.store.versions import Version
from flywheel.wheel import examination
from flywheel.wheel.stages import Learnable
from flywheel.wheel.versions import hash_of
from flywheel.wheel.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenger:
    """A version to be, ready to answer."""

    bundle: dict[str, Any]
    assistant: Assistant
    learnable: Learnable
    """What it was built from."""
    inherited: frozenset[str] | None = None
    """The feedback that the champion learned from, where it keeps the champion's ranker."""

    @property
    def hash(self) -> str:
        """The same for the same bundle."""
        return hash_of(self.bundle)

    @property
    def learned(self) -> frozenset[str]:
        """The ids of the feedback that its order of passages and its quotes learned from."""
        if self.inherited is not None:
            return self.inherited
        return self.learnable.feedback if self.bundle["ranker"] else frozenset()


class Revolution(NamedTuple):
    """What became of one challenger."""

    version: Version
    reasons: tuple[str, ...]
    sitting: Sitting | None
    """None where nothing was new."""
    model: Mapping[str, Any] | None = None
    """How the model was built, where one was: `modelling.report`."""


def one_by_one(workspace: Workspace, index: str, learnable: Learnable) -> list[Learnable]:
    """What the challengers of this turn learn: what the champion knows, then all."""
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
        if champion is None or not _differs_in_documents(workspace, champion, index):
            return [learnable]
        known = versions.learned_from(conn, champion.number)
    settled = learnable.only(known)
    is_known = known or not champion.bundle["ranker"]
    return [learnable] if settled == learnable or not is_known else [settled, learnable]


def _differs_in_documents(workspace: Workspace, champion: Version, index: str) -> bool:
    """Whether there are newer documents, and no settings of answers are newer than the champion."""
    asked = answer_settings(workspace)
    alike = asked == {name: champion.bundle.get(name) for name in asked}
    return alike and champion.bundle["index"] != index


def is_newer_alone(workspace: Workspace, champion: Version, challenger: Challenger) -> bool:
    """Whether newer documents are all that sets a challenger apart from the champion.

    Its ranker and its thresholds are fitted anew to them, and some feedback may teach nothing any
    more: what it speaks of is gone, or a curator rejected it.
    """
    if not _differs_in_documents(workspace, champion, challenger.bundle["index"]):
        return False
    with workspace.database.read() as conn:
        known = versions.learned_from(conn, champion.number)
    # A version of an older release may have learned from what nobody wrote down.
    return challenger.learned <= known and bool(known or not champion.bundle["ranker"])


def tried_before(
    workspace: Workspace,
    champion: Version,
    index: str,
    learnable: Learnable,
    exam: Sequence[ExamQuestion],
) -> Version | None:
    """The version that the same exam kept back with the same newer feedback, on other documents.

    It would try again at each newer document, and spend the error that all decisions share.
    """
    with workspace.database.read() as conn:
        if learnable.feedback <= versions.learned_from(conn, champion.number):
            return None
        for each in examination.judged_by(conn, exam, workspace.settings.gate):
            is_alike = answer_settings(workspace).items() <= each.bundle.items()
            if each.decision == "promoted" or each.bundle["index"] == index or not is_alike:
                continue
            if versions.learned_from(conn, each.number) == learnable.feedback:
                return each
    return None


def judged_before(
    workspace: Workspace, champion: Version, challenger: Challenger, exam: Sequence[ExamQuestion]
) -> Version | None:
    """The version that the challenger is already, where the same exam has judged it.

    Whichever serves now: what the owner went back from is not promoted at the next turn.
    """
    if champion.bundle_hash == challenger.hash:
        return champion
    with workspace.database.read() as conn:
        judged = examination.judged_by(conn, exam, workspace.settings.gate)
    return next((each for each in judged if each.bundle_hash == challenger.hash), None)


def answer_settings(workspace: Workspace) -> dict[str, Any]:
    """Those that answers follow, as a bundle has them."""
    settings = workspace.settings
    return {
        "embedding": settings.search.embedding,
        "quote": settings.quote.model_dump(mode="json"),
        "decide": settings.decide.model_dump(mode="json"),
    }

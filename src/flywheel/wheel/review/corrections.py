"""Corrections that wait for a curator: disputed, without their evidence, or only suggested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.learn.feedback import normal_form
from flywheel.records import Correction
from flywheel.store import corrections
from flywheel.wheel.feedback import is_readable

if TYPE_CHECKING:
    from flywheel.store.corrections import Entry
    from flywheel.wheel.workspace import Workspace

SUGGESTED = "suggested by an asker, not confirmed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A correction that waits, and why."""

    correction: Correction
    reasons: tuple[str, ...]
    against: tuple[Correction, ...]
    """What others say to the same question: the other side of a dispute, or what is served."""


def waiting(workspace: Workspace, labels: Sequence[str] | None = None) -> list[Waiting]:
    """Every correction that waits for a curator, those of one question together.

    Args:
        labels: what the curator may read; None is everything.
    """
    with workspace.database.read() as conn:
        every = corrections.entries_in_force(conn)
        entries = [each for each in every if is_readable(each.correction, labels)]
    of_question: dict[str, list[Entry]] = {}
    for entry in entries:
        of_question.setdefault(entry.key, []).append(entry)
    return [
        Waiting(
            correction=each.correction,
            reasons=reasons,
            against=_against(each.correction, [other.correction for other in of_one]),
        )
        for of_one in of_question.values()
        for each in of_one
        if (reasons := _reasons(each.correction))
    ]


def _reasons(correction: Correction) -> tuple[str, ...]:
    marked = tuple(each for each in correction.review.split("; ") if each)
    return marked if correction.verified else (SUGGESTED, *marked)


def _against(correction: Correction, others: list[Correction]) -> tuple[Correction, ...]:
    return tuple(
        each
        for each in others
        if each.verified and normal_form(each.answer) != normal_form(correction.answer)
    )

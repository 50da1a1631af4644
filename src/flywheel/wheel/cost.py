"""What a challenger costs beside the champion: bytes first, which are counted, then time.

Only of versions with the same passages: fewer documents are no saving. Operations are not
counted yet, since no part of an answer knows its own number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flywheel.answer.assistant import Assistant
from flywheel.evaluate.pace import pace
from flywheel.records import ExamQuestion
from flywheel.wheel.gate import SEED, Saving
from flywheel.wheel.reasons import say
from flywheel.wheel.versions import parts_of
from flywheel.wheel.workspace import Workspace

NUM_TIMED = 100
"""Questions that both are asked in turn: with times that differ by a third from question to
question, a saving of a fifth is sure to show."""


def saving(
    workspace: Workspace,
    champion: tuple[dict[str, Any], Assistant],
    challenger: tuple[dict[str, Any], Assistant],
    exam: Sequence[ExamQuestion],
) -> Saving | None:
    """What the challenger saves, each given as its bundle and ready to answer; None if nothing."""
    if champion[0]["index"] != challenger[0]["index"] and _ids(champion[1]) != _ids(challenger[1]):
        return None
    before, after = (num_bytes(workspace, bundle) for bundle, _ in (champion, challenger))
    share = after / before
    counted = Saving(what=say("of_bytes", count=before), share=share, high=share)
    if counted.is_cheaper or len(exam) < 2:
        return counted if counted.is_cheaper else None
    reader = workspace.reader()
    timed = pace(
        [each.question for each in exam[:NUM_TIMED]],
        lambda question: champion[1].ask(question, reader),
        lambda question: challenger[1].ask(question, reader),
        SEED,
    )
    what = say("of_time", high=f"{timed.high:.2f}", count=timed.num_questions)
    found = Saving(what=what, share=timed.share, high=timed.high)
    return found if found.is_cheaper else None


def num_bytes(workspace: Workspace, bundle: dict[str, Any]) -> int:
    """The size of a version's artifacts on the disk."""
    folders = [workspace.artifacts.find(stage, key) for stage, key in parts_of(bundle)]
    return sum(_size(folder) for folder in folders if folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _ids(assistant: Assistant) -> set[str]:
    return {each.id for each in assistant.index.passages()}

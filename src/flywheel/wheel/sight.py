"""What a caller may see of what is kept: interactions and passages, his own and others'.

As the documents stand now, not as they stood when the answer was given: what was deleted or closed
to somebody since is gone from what he was told, too. Not there and not his are the same to him.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flywheel.learn.feedback import shared_access
from flywheel.records import Interaction, Passage
from flywheel.store import corrections, documents, interactions
from flywheel.store.redaction import ERASED
from flywheel.wheel import answering
from flywheel.wheel.answering import Question
from flywheel.wheel.feedback import is_readable, may_read

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.store.corrections import Entry
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace


def interaction(workspace: Workspace, id: str, caller: Caller) -> Interaction | None:
    """An interaction of the caller's own, or where he is a curator of anybody's, as far as he may
    read all that it shows."""
    with workspace.database.read() as conn:
        found = interactions.get(conn, id)
        if found is None or not _concerns(found, caller) or not _may_read(conn, found, caller):
            return None
    return found


def may_judge(conn: Connection, interaction: Interaction, caller: Caller) -> bool:
    """Whether the caller may say something to an interaction: to his own whatever became of it."""
    if interaction.user == caller.name:
        return True
    return _concerns(interaction, caller) and _may_read(conn, interaction, caller)


def sees_correction(workspace: Workspace, id: str, caller: Caller) -> bool:
    """Whether there is such a correction, that the caller may read."""
    with workspace.database.read() as conn:
        entry = corrections.get(conn, id)
        if entry is None or entry.withdrawn == ERASED:
            return False
        return _is_open(conn, entry, caller.access)


def passage(workspace: Workspace, id: str, labels: Sequence[str] | None) -> Passage | None:
    """A passage of the champion's, if whoever may read these labels sees it; None reads all.

    Raises:
        WorkspaceError: no turn has made a version yet.
    """
    if not (id.isascii() and id.isprintable()):
        return None  # none has such an id, and no index takes it
    asked = Question(text="", labels=None if labels is None else tuple(labels))
    stands = answering.standing(workspace, asked)
    index = workspace.assistant(stands.version, stands.num_erasures).index
    return next((each for each in index.fetch([id]) if stands.reader.sees(each)), None)


def _concerns(interaction: Interaction, caller: Caller) -> bool:
    """Whether it is the caller's to look at, if he may read it. An erased one is nobody's."""
    if not interaction.question:
        return False
    return interaction.user == caller.name or caller.may("curator")


def _may_read(conn: Connection, interaction: Interaction, caller: Caller) -> bool:
    shown = interaction.candidates
    held = {each.document for answer in shown for each in answer.passages}
    held |= {each.document for answer in shown for each in answer.citations}
    given = {answer.correction for answer in shown if answer.correction}
    if not held and not given and interaction.user != caller.name:
        # Nothing says who else may know of the question.
        return caller.access is None
    entries = [corrections.get(conn, id) for id in given]
    return _stand_open(conn, held, caller.access) and all(
        entry is not None and _is_open(conn, entry, caller.access) for entry in entries
    )


def _is_open(conn: Connection, entry: Entry, labels: Sequence[str] | None) -> bool:
    """Whether a correction may be read; what is withdrawn is not followed by `recheck` any more,
    when its documents are closed."""
    if not is_readable(entry.correction, labels):
        return False
    if not entry.withdrawn:
        return True
    held = documents.access_of_passages(conn, entry.correction.passages)
    return may_read(
        labels, shared_access([entry.correction.access, *held.values()], entry.readable)
    )


def _stand_open(conn: Connection, ids: Iterable[str], labels: Sequence[str] | None) -> bool:
    """Whether all of these documents are there, and may be read by who has these labels."""
    wanted = set(ids)
    staged = documents.get_all(conn, wanted)
    if staged.keys() != wanted or any(each.deleted_at for each in staged.values()):
        return False
    return all(may_read(labels, each.access) for each in staged.values())

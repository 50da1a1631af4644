"""One document as its owner looks at it: its passages, whether they serve, its editions, who asked.

Read for one page at a time. Not here: what is done to it (documents/acts.py), and what two editions
differ in (editions.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flywheel.errors import WorkspaceError
from flywheel.records import Interaction, Passage
from flywheel.store import document_list, versions
from flywheel.store.document_list import Row, Wanted
from flywheel.store.documents import StagedDocument
from flywheel.wheel import sight, uploads
from flywheel.wheel.documents import editions
from flywheel.wheel.documents.editions import Difference

if TYPE_CHECKING:
    from flywheel.search.index import PassageIndex
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

PASSAGES_PER_PAGE = 10
MAX_EDITIONS = 20
"""Documents that gave way to this one, as far as they are listed."""
MAX_LOOKED_UP = 200
"""Passages whose place in the index is looked up; of a longer document only those on the page."""
LATEST = 500
"""Interactions among which those that cite a document are looked for."""
MAX_CITING = 10

State = Literal["serves", "changed", "waits", "still_serves", "rests", "no_version"]
"""Whether the version that serves answers from a document: yes; from what it said before; not
yet; still, though no more from the next turn on; no; or there is no version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentPage:
    """What the page of one document shows."""

    document: StagedDocument
    state: State
    version: int | None
    """The one that serves."""
    passages: tuple[Passage, ...]
    serving: frozenset[str]
    """The ids of those of the passages that the version holds as they are here."""
    next: int
    """The position to go on behind; negative where there is no more."""
    other: StagedDocument | None
    """The document that this one gave way to."""
    earlier: tuple[Row, ...]
    """The documents that gave way to this one."""


def look(
    workspace: Workspace, id: str, labels: Sequence[str] | None = None, after: int = -1
) -> DocumentPage | None:
    """A document, if these labels may read it; None reads all.

    Args:
        after: the position that its passages are shown behind.
    """
    document = uploads.find(workspace, id, labels)
    if document is None:
        return None
    with workspace.database.read() as conn:
        found = document_list.passages_of(conn, id, after, PASSAGES_PER_PAGE + 1)
        champion = versions.champion(conn)
        is_held = champion is not None and document_list.is_held(conn, champion.bundle["index"], id)
        earlier = document_list.page(conn, Wanted(other=id), MAX_EDITIONS, labels=labels)
        every = document_list.passage_ids(conn, id) if _is_short(document) else []
    shown = found[:PASSAGES_PER_PAGE]
    looked_up = every or [each.id for each in shown]
    serving = _serving(workspace, looked_up) if is_held else frozenset()
    return DocumentPage(
        document=document,
        state=_state(document, champion is not None, is_held, len(serving) < len(looked_up)),
        version=champion.number if champion else None,
        passages=tuple(shown),
        serving=serving,
        next=shown[-1].position if len(found) > PASSAGES_PER_PAGE else -1,
        other=uploads.find(workspace, document.other, labels) if document.other else None,
        earlier=tuple(earlier),
    )


def between(workspace: Workspace, older: str, newer: str) -> Difference | None:
    """What two documents differ in; None where the text of one is not kept."""
    with workspace.database.read() as conn:
        sides = [document_list.passages_of(conn, id) for id in (older, newer)]
    return _difference(*sides)


def since_served(workspace: Workspace, id: str) -> Difference | None:
    """What a document says otherwise than the version that serves has it; None where that holds
    nothing of it, or the document has no text."""
    index = _index(workspace)
    with workspace.database.read() as conn:
        now = document_list.passages_of(conn, id)
    return _difference(index.of_document(id), now) if index else None


def citing(workspace: Workspace, id: str, caller: Caller) -> list[Interaction]:
    """Those of the latest interactions that cite a document and that the caller may see."""
    with workspace.database.read() as conn:
        named = document_list.naming(conn, id, LATEST)
    found: list[Interaction] = []
    for each in named[: 3 * MAX_CITING]:  # more of them show it than cite it
        interaction = sight.interaction(workspace, each, caller)
        if interaction and _cites(interaction, id):
            found.append(interaction)
    return found[:MAX_CITING]


def _cites(interaction: Interaction, document: str) -> bool:
    cited = (citation for answer in interaction.candidates for citation in answer.citations)
    return any(each.document == document for each in cited)


def _difference(older: Sequence[Passage], newer: Sequence[Passage]) -> Difference | None:
    if not older or not newer:
        return None
    return editions.difference(editions.paragraphs(older), editions.paragraphs(newer))


def _is_short(document: StagedDocument) -> bool:
    return document.num_passages <= MAX_LOOKED_UP


def _state(document: StagedDocument, has_version: bool, is_held: bool, has_others: bool) -> State:
    if document.fate != "kept" or not document.num_passages:
        return "still_serves" if is_held else "rests"
    if not has_version:
        return "no_version"
    if not is_held:
        return "waits"
    return "changed" if has_others else "serves"


def _serving(workspace: Workspace, ids: Sequence[str]) -> frozenset[str]:
    index = _index(workspace)
    return frozenset(each.id for each in index.fetch(ids)) if index else frozenset()


def _index(workspace: Workspace) -> PassageIndex | None:
    try:
        return workspace.assistant(workspace.champion()).index
    except WorkspaceError:
        return None

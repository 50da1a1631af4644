"""A passage where it stands: with the passages before and behind it, as far as a caller sees them.

What an answer cited and the version that serves no longer holds is shown as it was shown then, to
whoever may still see that answer. Not here: what a document is (uploads.py, documents/report.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flywheel.answer.quote import Span, sentences
from flywheel.errors import WorkspaceError
from flywheel.records import Interaction, Passage
from flywheel.store import document_list
from flywheel.wheel import sight
from flywheel.wheel.feedback import may_read

if TYPE_CHECKING:
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A passage, and what stands around it."""

    passage: Passage
    before: Passage | None = None
    after: Passage | None = None
    is_served: bool = True
    """Whether the version that serves still holds it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence that may be cited."""

    value: str
    """As a form names it: PASSAGE:START:END."""
    text: str
    is_cited: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AtHand:
    """A passage that may be cited, sentence by sentence or as a whole."""

    passage: Passage
    sentences: tuple[Sentence, ...]

    @property
    def is_cited(self) -> bool:
        """Whether any of it is."""
        return any(each.is_cited for each in self.sentences)


def read(workspace: Workspace, id: str, caller: Caller, shown_in: str = "") -> Reading | None:
    """A passage that the caller sees.

    Args:
        shown_in: the interaction that it was shown in, for one that is served no more.
    """
    try:
        found = sight.passage(workspace, id, caller.access)
    except WorkspaceError:  # there is no version
        found = None
    if found:
        return _among_others(workspace, found, caller)
    interaction = sight.interaction(workspace, shown_in, caller) if shown_in else None
    shown = passages_of(interaction).get(id) if interaction else None
    return Reading(passage=shown, is_served=False) if shown else None


def passages_of(interaction: Interaction) -> dict[str, Passage]:
    """The passages that were found for any of an interaction's candidates, by id."""
    return {each.id: each for answer in interaction.candidates for each in answer.passages}


def pieces(passage: Passage) -> list[tuple[Span, str]]:
    """The sentences of a passage, with where they stand. The rule below a table's head is none."""
    found = ((span, passage.text[span.start : span.end]) for span in sentences(passage.text))
    return [(span, text) for span, text in found if text.strip("|-: ")]


def _among_others(workspace: Workspace, passage: Passage, caller: Caller) -> Reading:
    with workspace.database.read() as conn:
        near = document_list.passages_of(conn, passage.document, passage.position - 2, limit=3)
    by_position = {each.position: each for each in near if may_read(caller.access, each.access)}
    now = by_position.get(passage.position)
    if now is None or now.id != passage.id:
        # The document was read anew since: what stands around it now is another edition's.
        return Reading(passage=passage)
    return Reading(
        passage=passage,
        before=by_position.get(passage.position - 1),
        after=by_position.get(passage.position + 1),
    )


def runs(passage: Passage, chosen: Collection[tuple[int, int]]) -> list[str]:
    """The text of sentences that were chosen, those that follow each other as one.

    Args:
        chosen: where they stand; what is no sentence of the passage is left out.
    """
    found: list[list[Span]] = []
    is_open = False
    for span, _ in pieces(passage):
        is_chosen = (span.start, span.end) in chosen
        if is_chosen and is_open:
            found[-1].append(span)
        elif is_chosen:
            found.append([span])
        is_open = is_chosen
    return [passage.text[run[0].start : run[-1].end] for run in found]

"""What a document's page and the list say alike: reasons, sizes, labels.

Not here: the words themselves, which stand in the catalogues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flywheel.records import PUBLIC, Fate
from flywheel.store import documents
from flywheel.wheel import uploads
from flywheel.wheel.documents import report as document_report
from flywheel.wheel.documents.reasons import OF_ANOTHER, Reason, explained

if TYPE_CHECKING:
    from flywheel.serve.console.page import Page
    from flywheel.serve.console.words import Words
    from flywheel.store.document_list import Row
    from flywheel.wheel.workspace import Workspace

TONES: dict[Fate, str] = {
    "kept": "good",
    "superseded": "info",
    "duplicate": "neutral",
    "dropped": "warn",
    "failed": "bad",
    "unchanged": "neutral",
}
"""How each fate is coloured."""

MAX_LABELS = 60
"""Labels that a form offers; others are written."""

_UNITS = ("kb", "mb", "gb")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Why a document is what it is, as far as somebody may know."""

    reason: Reason | None
    other: str = ""
    """The id of the document that it gave way to; empty where he may not read that."""


def told(reason: str, other: str, readable: Mapping[str, object]) -> Told:
    """A reason, without the name of another document that is not among the readable."""
    found = explained(reason)
    if found and found.code in OF_ANOTHER and other not in readable:
        return Told(reason=Reason(code=found.code))
    return Told(reason=found, other=other if other in readable else "")


def all_told(
    workspace: Workspace, rows: Iterable[Row], labels: Sequence[str] | None
) -> dict[str, Told]:
    """The reasons of these documents, by their ids."""
    every = list(rows)
    with workspace.database.read() as conn:
        others = documents.get_all(conn, sorted({each.other for each in every if each.other}))
    readable = {
        id: each
        for id, each in others.items()
        if each.deleted_at is None and uploads.is_readable(each.access, labels)
    }
    return {each.id: told(each.reason, each.other, readable) for each in every}


def name_of(title: str, path: str) -> str:
    """What a document is called: its title, or else its file's name."""
    return title.strip() or PurePosixPath(path).name or path


def size_of(t: Words, size: float) -> str:
    """Bytes as people read them."""
    if size < 1000:
        return t("documents.size.bytes", num=int(size))
    unit = -1
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return t(
        "documents.size." + _UNITS[unit], size=f"{size:,.1f}" if size < 100 else f"{size:,.0f}"
    )


def known_labels(page: Page) -> tuple[str, ...]:
    """The labels that an owner may give, as far as they are known; what is public needs none."""
    if page.caller.access is not None:
        return tuple(sorted(set(page.caller.access) - {PUBLIC}))
    found = document_report.overview(page.workspace).labels
    return tuple(each for each in found if each != PUBLIC)[:MAX_LABELS]


def chosen_labels(ticked: Iterable[str], written: str) -> list[str]:
    """The labels of a form: those that are ticked, and those that are written with commas."""
    return [
        *ticked,
        *(each.strip() for each in written.replace("，", ",").split(",") if each.strip()),
    ]

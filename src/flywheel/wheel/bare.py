"""The bare model: the one that words answers, asked for itself, without documents or checks.

For curators, who look at what it learned, and for the writing aid. The champion's where it has one;
else that of the newest version that was tried with one; else the engine that the settings name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flywheel.answer.prompt import PROMPT_VERSION
from flywheel.store import standing, versions
from flywheel.store.standing import ModelMarks

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.engine.protocol import Engine
    from flywheel.wheel.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What was found last, and what told that it was right."""

    writer: dict[str, Any]
    number: int | None
    """The version that it is of; None where the settings name it."""
    marks: ModelMarks
    commits: int | None
    """As many as there had been by then (`Database.commits`)."""


_known: WeakKeyDictionary[Workspace, _Known] = WeakKeyDictionary()
"""All versions would else be read for each request, which takes longer than all the rest of it."""


def writer(workspace: Workspace) -> dict[str, Any] | None:
    """What words answers, as a bundle has it; None where there is nothing."""
    known = _known.get(workspace)
    if known and not _is_there(workspace, known.writer):
        known = None
    commits = workspace.database.commits()
    if known and commits is not None and commits == known.commits:
        return known.writer
    with workspace.database.read() as conn:
        number, found = (known.number, known.writer) if known else (None, None)
        marks = standing.model_marks(conn, number)
        if known is None or known.marks != marks:
            number, found = next(_writers(workspace, conn), (None, None))
            marks = standing.model_marks(conn, number)
    if found is not None:
        _known[workspace] = _Known(writer=found, number=number, marks=marks, commits=commits)
    return found


def engine(workspace: Workspace) -> Engine | None:
    """The open engine of it; None where there is none.

    Raises:
        EngineError: it cannot be served here.
    """
    found = writer(workspace)
    return None if found is None else workspace.engines.of(found)


def _writers(workspace: Workspace, conn: Connection) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Each with the version that it is of."""
    champion = versions.champion(conn)
    newest = list(reversed(versions.list_versions(conn)))
    for version in [champion, *newest] if champion else newest:
        for each in version.bundle.get("writers", {}).values():
            if not version.erased and _is_there(workspace, each):
                yield version.number, each
    settings = workspace.settings
    if settings.engine.url:
        named = {"url": settings.engine.url, "model": settings.engine.model}
        write = settings.write.model_dump(mode="json")
        yield None, {"model": "", "engine": named, "write": write, "prompt": PROMPT_VERSION}


def _is_there(workspace: Workspace, writer: dict[str, Any]) -> bool:
    """Whether it can still be asked: neither erased nor taken out of the settings."""
    if writer["prompt"] != PROMPT_VERSION:
        return False
    if writer["model"]:
        return workspace.artifacts.find("model", writer["model"]) is not None
    engine = workspace.settings.engine
    return (engine.url, engine.model) == (writer["engine"]["url"], writer["engine"]["model"])

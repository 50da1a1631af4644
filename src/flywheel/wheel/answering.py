"""A question's way through a workspace: a correction, or else the version that serves; and kept.

    how things stand → is it corrected? → the version's answer, as it comes → the interaction

Each step can be taken alone, since a server looks into its cache between the second and the third
(serve/answering.py). Not here: how a version answers (answer/assistant.py).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from flywheel.errors import UsageError
from flywheel.records import PUBLIC, Answer, Interaction
from flywheel.store import documents, erasures, interactions, versions
from flywheel.store import standing as standings
from flywheel.store.versions import Version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.answer.assistant import Assistant
    from flywheel.engine.protocol import Sampling
    from flywheel.engine.stopping import Stopping
    from flywheel.search.index import Reader
    from flywheel.wheel.workspace import Workspace

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked, by whom, and how it is to be answered."""

    text: str
    user: str = "owner"
    labels: tuple[str, ...] | None = None
    """What the user may read; None is everything."""
    version: int | None = None
    """The version that is to answer, by itself; None is the champion, after the corrections."""
    sampling: Sampling | None = None
    """How a model's words are drawn; None takes the likeliest, as in the exam."""
    quoting_only: bool = False
    """Asks no model, and so sends nothing to a remote one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How things stand when a question comes: read at once, so that they fit together."""

    version: Version
    reader: Reader
    num_erasures: int
    """Grows with each; what was kept in memory before the last one may hold what was erased."""
    last_correction: int
    """The number of the last change of corrections."""


def standing(workspace: Workspace, question: Question) -> Standing:
    """Which version answers, and what its reader may see, as of now.

    Raises:
        WorkspaceError: no turn has made a version yet.
        UsageError: the version that is asked is not there, or was erased.
    """
    with workspace.database.read() as conn:
        marks = standings.marks(conn)
        if question.version is None:
            version = workspace.champion(conn, marks.champion)
        else:
            version = versions.require(conn, question.version)
        if version.erased and question.version is not None:
            raise UsageError(f"Version {version.number} was erased. Ask another one.")
        return Standing(
            version=version,
            reader=reader(conn, question.labels),
            num_erasures=marks.num_erasures,
            last_correction=marks.last_correction,
        )


def reader(conn: Connection, labels: Sequence[str] | None = None) -> Reader:
    """Who may see these labels, as of now; None is the owner, who sees all."""
    from flywheel.search.index import Reader

    changed = standings.changed(conn)
    known = documents.labels(conn) if labels is None else set(labels)
    readable = {PUBLIC, *known}
    narrowed = {each for each, now in changed.access.items() if not readable & set(now)}
    hidden = changed.deleted | narrowed
    return Reader(
        access=tuple(sorted(readable)),
        hidden=tuple(sorted(hidden)),
        widened=tuple(sorted(changed.access.keys() - hidden)),
    )


def corrected(workspace: Workspace, question: Question, stands: Standing) -> Answer | None:
    """The answer that a correction gives, if one does. A version that is asked by its number
    answers by itself."""
    from flywheel.answer import corrected as correcting

    if question.version is not None:
        return None
    started = time.perf_counter()
    match = workspace.corrections.match(
        question.text, question.user, stands.reader, stands.last_correction
    )
    if not match:
        return None
    index = _assistant(workspace, question, stands).index
    given = correcting.corrected(question.text, match, index, stands.reader)
    if not given:
        return None
    total = 1000 * (time.perf_counter() - started)
    return replace(given, version=stands.version.number, timings_ms={"total": total})


def stream(
    workspace: Workspace,
    question: Question,
    stands: Standing,
    stopping: Stopping | None = None,
) -> Generator[str, None, Answer]:
    """The version's answer as it comes; what is shown is never taken back."""
    assistant = _assistant(workspace, question, stands)
    return (yield from assistant.stream(question.text, stands.reader, question.sampling, stopping))


def others(
    workspace: Workspace, question: Question, stands: Standing, first: Answer, num: int
) -> list[Answer]:
    """Up to so many further answers, each from other passages than those before it."""
    return _assistant(workspace, question, stands).others(first, num, stands.reader)


def answer(workspace: Workspace, question: Question) -> tuple[Answer, Version]:
    """The whole answer, of which nothing is kept; with the version that gave it."""
    stands = standing(workspace, question)
    try:
        return _answer(workspace, question, stands), stands.version
    except Exception:
        # Another process may promote and erase meanwhile: then the new champion answers.
        now = standing(workspace, question)
        if now.version.number == stands.version.number:
            raise
    return _answer(workspace, question, now), now.version


def _answer(workspace: Workspace, question: Question, stands: Standing) -> Answer:
    given = corrected(workspace, question, stands)
    return given or drained(stream(workspace, question, stands))


def keep(
    workspace: Workspace,
    question: Question,
    candidates: Sequence[Answer],
    version: int,
    id: str = "",
    num_erasures: int | None = None,
) -> str:
    """Keeps an interaction; gives its id once it is on disk.

    Personal data in what is kept are masked; the answers themselves are not touched.

    Args:
        id: what it is kept under; empty makes one.
        num_erasures: how many there had been when the question came. Where there were more since,
            the answer may hold what is gone: nothing is kept, and the id is empty.
    """
    from flywheel.collect import privacy
    from flywheel.wheel.feedback import key_of

    masked = privacy.mask(question.text, privacy.find(question.text))
    interaction = Interaction(
        id=id or uuid.uuid4().hex,
        question=masked,
        candidates=tuple(replace(each, question=masked) for each in candidates),
        version=version,
        user=question.user,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    key = key_of(masked)

    def write(conn: Connection) -> str:
        if num_erasures not in (None, erasures.count(conn)):
            return ""
        interactions.put(conn, interaction, key)
        return interaction.id

    return workspace.database.write(write)


def drained(stream: Generator[str, None, R]) -> R:
    """What a stream comes to, its pieces let go."""
    while True:
        try:
            next(stream)
        except StopIteration as end:
            result: R = end.value
            return result


def _assistant(workspace: Workspace, question: Question, stands: Standing) -> Assistant:
    assistant = workspace.assistant(stands.version, stands.num_erasures)
    return assistant.quoting_only() if question.quoting_only else assistant

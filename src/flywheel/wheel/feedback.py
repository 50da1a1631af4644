"""Feedback: accepted, kept before it is acknowledged, and turned into corrections at once.

The same for HTTP, the command line and Python. What it teaches the ranker is learned at the turn.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from flywheel.collect import privacy
from flywheel.errors import FeedbackError, FileFormatError, SourceError, UsageError
from flywheel.learn import feedback as border
from flywheel.learn.feedback import Evidence, FeedbackLine
from flywheel.lines import read_lines
from flywheel.records import PUBLIC, Correction, Feedback, Interaction, Role
from flywheel.search.wording import wording
from flywheel.store import corrections, documents, interactions, state
from flywheel.store import feedback as feedback_store
from flywheel.store.corrections import Entry
from flywheel.wheel.evidence import locate_all
from flywheel.wheel.keys import record

if TYPE_CHECKING:
    from flywheel.wheel.keys import Caller
    from flywheel.wheel.workspace import Workspace

OWNER, ANONYMOUS = "owner", "anonymous"

REPLACED, DECIDED, WITHDRAWN = "replaced", "decided otherwise", "withdrawn"

_TAKEN = "its id is another act's, with other content or from another role; give it one of its own"
_SHOWN_CHARS = 60
_MAX_KEY_CHARS = 500
"""Of a question's normal form, by which corrections are found: no index of PostgreSQL's holds a
row of over 2,704 bytes."""
LOCATED_IN = "corrections_located_in"
"""The state that says for which documents `recheck` has found the evidence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What became of acts of feedback."""

    imported: int
    known: int
    """Those that were there before, and changed nothing."""
    kinds: Mapping[str, int]
    """How many of each kind were imported."""
    notes: tuple[str, ...]
    """What whoever gave them should look at: of corrections that contradict each other those that
    he may read, and an asker hears of none."""
    seconds: float


def accept(
    workspace: Workspace,
    acts: Sequence[Feedback],
    labels: Sequence[str] | None = None,
    by: Caller | None = None,
    first: Callable[[Connection], None] | None = None,
) -> Accepted:
    """Keeps acts, all or none, and serves what they correct from now on.

    An act without an id is known by its content, so that none counts twice; one without a time
    is of now. Personal data in questions and reasons are masked.

    Args:
        labels: what their users may read; None is the owner, who sees all.
        by: who brings them, where a key tells: what he corrects for others is written down.
        first: done in the same write before anything else; what it raises undoes all.

    Raises:
        FeedbackError: one of them cannot be meant, or its id is another act's.
    """
    started = time.perf_counter()
    contents, given = _completed(workspace, acts)
    with workspace.database.read() as conn:
        known = _known(conn, contents)
    fresh = [act for act in given if act.id not in known]
    evidence = _evidence(workspace, fresh, labels)
    entries = _entries(fresh, evidence, labels)

    def write(conn: Connection) -> tuple[list[Feedback], list[str]]:
        corrections.lock(conn)
        if first:
            first(conn)
        # Asked again, since the same acts may be coming in twice at once.
        known = _known(conn, contents)
        new = [act for act in fresh if act.id not in known]
        new_entries = [entries[act.id] for act in new if act.id in entries]
        feedback_store.put_all(conn, new, contents)
        corrections.put_all(conn, new_entries)
        for each in new_entries:
            if by and each.correction.verified:
                record(conn, by, "corrections.add", each.correction.id)
        if any(evidence[act.id].unfound for act in new):
            state.put(conn, LOCATED_IN, None)
        disputes = settle(conn, [each.key for each in new_entries], labels)
        return new, disputes if any(border.is_verified(act.role) for act in new) else []

    new, disputes = workspace.database.write(write)
    return Accepted(
        imported=len(new),
        known=len(acts) - len(new),
        kinds=dict(Counter(act.kind for act in new).most_common()),
        notes=(*_notes(new, evidence), *disputes),
        seconds=time.perf_counter() - started,
    )


def import_file(workspace: Workspace, path: Path | str, trusted: bool = True) -> Accepted:
    """Accepts a file of feedback, all of it or nothing. Importing is the owner's act.

    Args:
        trusted: the owner vouches for the edits in it, so they are served to all; otherwise
            they are askers', each served to its own user until a curator confirms it.

    Raises:
        SourceError: there is no such file, or it holds no feedback.
        FileFormatError: a line is not valid, or means nothing here.
    """
    started = time.perf_counter()
    lines = read_lines(path, FeedbackLine)
    if not lines:
        raise SourceError(f"{path} holds no feedback. Such a file has one JSON object a line.")
    role: Role = "owner" if trusted else "asker"
    user = OWNER if trusted else ANONYMOUS
    places: dict[str, int] = {}
    acts: list[Feedback] = []
    for number, line in lines:
        act = line.to_feedback(role, user)
        act = replace(act, id=act.id or border.id_of(act))
        if line.id is not None and act.id in places:
            raise FileFormatError(path, number, f'id "{act.id}" is taken by line {places[act.id]}')
        places.setdefault(act.id, number)
        acts.append(act)
    try:
        accepted = accept(workspace, acts)
    except FeedbackError as error:
        raise FileFormatError(path, places[error.id], error.problem) from None
    return replace(accepted, seconds=time.perf_counter() - started)


def confirm(
    workspace: Workspace,
    id: str,
    curator: str = OWNER,
    by: Caller | None = None,
    first: Callable[[Connection], None] | None = None,
) -> Correction:
    """Lets a correction serve all; those that contradict it are withdrawn, as far as the curator
    may read them.

    Args:
        by: who decides, where a key tells; None reads everything.
        first: done in the same write before anything else; what it raises undoes all.

    Raises:
        UsageError: there is no such correction that he may read, or it is withdrawn.
    """
    curator, labels = (by.name, by.access) if by else (curator, None)

    def write(conn: Connection) -> Correction:
        corrections.lock(conn)
        if first:
            first(conn)
        entry = _in_force(conn, id, labels)
        correction = replace(entry.correction, verified=True, disputed=False, review="")
        others = [
            replace(each, withdrawn=DECIDED, decided_by=curator)
            for each in corrections.of_keys(conn, [entry.key])[entry.key]
            if each.correction.id != id
            and each.correction.verified
            and is_readable(each.correction, labels)
        ]
        chosen = replace(entry, correction=correction, decided_by=curator)
        corrections.mark_all(conn, [chosen, *others])
        record(conn, by, "corrections.confirm", id)
        return correction

    return workspace.database.write(write)


def withdraw(
    workspace: Workspace,
    id: str,
    curator: str = OWNER,
    reason: str = WITHDRAWN,
    by: Caller | None = None,
    first: Callable[[Connection], None] | None = None,
) -> None:
    """Serves a correction to nobody from now on.

    Args:
        by: who decides, where a key tells; None reads everything.
        first: done in the same write before anything else; what it raises undoes all.

    Raises:
        UsageError: there is no such correction that he may read, or it is withdrawn.
    """
    curator, labels = (by.name, by.access) if by else (curator, None)

    def write(conn: Connection) -> None:
        corrections.lock(conn)
        if first:
            first(conn)
        entry = _in_force(conn, id, labels)
        corrections.mark_all(conn, [replace(entry, withdrawn=reason, decided_by=curator)])
        settle(conn, [entry.key])
        record(conn, by, "corrections.withdraw", id)

    workspace.database.write(write)


def is_readable(correction: Correction, labels: Sequence[str] | None) -> bool:
    """Whether who may read these labels may read a correction; None reads everything."""
    return may_read(labels, correction.access)


def may_read(labels: Sequence[str] | None, access: Sequence[str]) -> bool:
    """Whether who has these labels may read what has the others; None reads everything."""
    return labels is None or not {PUBLIC, *labels}.isdisjoint(access)


def recheck(workspace: Workspace) -> int:
    """Finds the evidence of all corrections again, where the documents have changed.

    A correction whose evidence is gone is put up for review; one whose evidence moved, or may be
    read by others now, goes along.

    Returns:
        How many corrections changed.
    """
    with workspace.database.read() as conn:
        entries = {each.correction.id: each for each in corrections.entries_in_force(conn)}
        digest = documents.passages_digest(conn) if entries else ""
        if not entries or state.get(conn, LOCATED_IN) == digest:
            return 0
    moved = list(_relocated(workspace, list(entries.values())))

    def write(conn: Connection) -> int:
        corrections.lock(conn)
        # Others may have marked or withdrawn some meanwhile; those are found again the next time.
        same = [
            each
            for each in moved
            if corrections.get(conn, each.correction.id) == entries[each.correction.id]
        ]
        corrections.mark_all(conn, same)
        # Who may read them decides who contradicts whom.
        settle(conn, [each.key for each in same])
        if len(same) == len(moved):
            state.put(conn, LOCATED_IN, digest)
        return len(same)

    return workspace.database.write(write)


def _completed(
    workspace: Workspace, acts: Sequence[Feedback]
) -> tuple[dict[str, str], list[Feedback]]:
    """The hash of each act's content by id, and the acts complete and masked, each once."""
    now = datetime.now(UTC)
    shown = _interactions(workspace, {act.interaction for act in acts if act.interaction})
    contents: dict[str, str] = {}
    given: list[Feedback] = []
    for act in acts:
        complete = border.complete(act, shown.get(act.interaction), now)
        content = border.content_of(act)
        if contents.setdefault(complete.id, content) != content:
            raise FeedbackError(complete.id, _TAKEN)
        given.append(_masked(complete))
    return contents, list({act.id: act for act in given}.values())


def _interactions(workspace: Workspace, ids: Iterable[str]) -> dict[str, Interaction]:
    with workspace.database.read() as conn:
        found = (interactions.get(conn, id) for id in ids)
        return {each.id: each for each in found if each is not None}


def _masked(act: Feedback) -> Feedback:
    """Without personal data in what an asker typed. Answers and evidence may name a hotline."""
    question = privacy.mask(act.question, privacy.find(act.question))
    reason = privacy.mask(act.reason, privacy.find(act.reason))
    return replace(act, question=question, reason=reason)


def _known(conn: Connection, contents: Mapping[str, str]) -> set[str]:
    """The ids of acts that are there already, the erased ones too."""
    kept = feedback_store.contents(conn, list(contents))
    for id, content in kept.items():
        if content not in ("", contents[id]):
            raise FeedbackError(id, _TAKEN)
    return set(kept)


def _evidence(
    workspace: Workspace, acts: Sequence[Feedback], labels: Sequence[str] | None
) -> dict[str, Evidence]:
    located = locate_all(workspace, [act.evidence for act in acts], labels)
    return {act.id: each for act, each in zip(acts, located, strict=True)}


def _entries(
    acts: Sequence[Feedback], evidence: Mapping[str, Evidence], labels: Sequence[str] | None
) -> dict[str, Entry]:
    """What the edits among the acts correct, by id."""
    return {
        act.id: Entry(
            correction=border.to_correction(act, evidence[act.id], labels),
            key=key_of(act.question),
            readable=None if labels is None else tuple(labels),
        )
        for act in acts
        if act.kind == "edit"
    }


def key_of(question: str) -> str:
    """The normal form by which a question is known again; a hash where that is long."""
    key = wording(question).key
    return (
        key
        if len(key) <= _MAX_KEY_CHARS
        else hashlib.sha256(key.encode(errors="backslashreplace")).hexdigest()
    )


def settle(conn: Connection, keys: Iterable[str], labels: Sequence[str] | None = None) -> list[str]:
    """Marks what was replaced and who contradicts whom; a line for each contradiction.

    Args:
        labels: what whoever reads the lines may read; None is everything.
    """
    notes: list[str] = []
    changed: list[Entry] = []
    for entries in corrections.of_keys(conn, sorted(set(keys))).values():
        settled = border.settle([each.correction for each in entries])
        now = {each.id: each for each in settled.in_force}
        for entry in entries:
            id = entry.correction.id
            after = (
                replace(entry, correction=now[id])
                if id in now
                else replace(entry, withdrawn=REPLACED)
            )
            if after != entry:
                changed.append(after)
        heard = [each for each in settled.in_force if each.verified and is_readable(each, labels)]
        if any(each.disputed for each in heard):
            notes.append(_dispute(heard))
    corrections.mark_all(conn, changed)
    return notes


def _relocated(workspace: Workspace, entries: Sequence[Entry]) -> Iterator[Entry]:
    """The entries whose evidence stands elsewhere than it did."""
    by_labels: dict[tuple[str, ...] | None, list[Entry]] = {}
    for entry in entries:
        by_labels.setdefault(entry.readable, []).append(entry)
    stood_in = {id for entry in entries for id in entry.correction.passages}
    with workspace.database.read() as conn:
        access = documents.access_of_passages(conn, sorted(stood_in))
    for labels, group in by_labels.items():
        evidence = locate_all(workspace, [each.correction.evidence for each in group], labels)
        for entry, each in zip(group, evidence, strict=True):
            there = (access[id] for id in entry.correction.passages if id in access)
            closed = [now for now in there if not may_read(labels, now)]
            after = replace(
                entry, correction=border.located(entry.correction, each, labels, closed)
            )
            if after != entry:
                yield after


def _in_force(conn: Connection, id: str, labels: Sequence[str] | None) -> Entry:
    entry = corrections.get(conn, id)
    if entry is None or not is_readable(entry.correction, labels):
        raise UsageError(f'The correction "{_shortened(id)}" is not there.')
    if entry.withdrawn:
        raise UsageError(f'The correction "{id}" was withdrawn: {entry.withdrawn}.')
    return entry


def _notes(acts: Sequence[Feedback], evidence: Mapping[str, Evidence]) -> Iterator[str]:
    for act in acts:
        for place in evidence[act.id].unfound:
            piece = _shortened(act.evidence[place - 1])
            yield f'{act.id}: evidence {place} stands in no current document: "{piece}"'


def _dispute(disputed: Sequence[Correction]) -> str:
    users = ", ".join(dict.fromkeys(each.user for each in disputed))
    ids = ", ".join(each.id for each in disputed)
    return f'{ids}: {users} contradict each other on "{_shortened(disputed[0].question)}"'


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"

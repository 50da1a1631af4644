"""What is known of all documents together: counts by fate, language and reason, lengths, findings.

Read once whenever documents have changed, and kept in memory for whoever asks next: a page of the
console takes no look at ten thousand rows. Each reader gets the counts of what he may read.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from flywheel.records import Fate, Language
from flywheel.store import document_list, documents, state, versions
from flywheel.store.document_list import Bin, Tally
from flywheel.wheel import uploads
from flywheel.wheel.documents.reasons import explained
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

FATES: tuple[Fate, ...] = ("kept", "superseded", "duplicate", "dropped", "failed")
"""What a staged file can come to, the good first."""

_MOST_READERS = 64
"""Different sets of labels that the counts are kept for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What was added under one name."""

    name: str
    fates: dict[Fate, int]
    num_passages: int
    access: tuple[str, ...]
    """All labels that its documents carry."""
    added_at: str
    """When something of it was staged last; UTC, ISO 8601."""

    @property
    def num_documents(self) -> int:
        """All of it."""
        return sum(self.fates.values())

    @property
    def is_uploaded(self) -> bool:
        """Whether it holds what was uploaded."""
        return uploads.is_uploaded(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One kind of personal data."""

    kind: str
    count: int
    num_documents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All documents that somebody may read, counted."""

    fates: dict[Fate, int]
    languages: dict[Language, int]
    """Of what is kept."""
    reasons: dict[str, int]
    """Codes of why files were dropped or failed, the most frequent first."""
    sources: tuple[Source, ...]
    labels: tuple[str, ...]
    num_passages: int
    size: int
    """Bytes of the files."""
    findings: tuple[Finding, ...]

    @property
    def num_documents(self) -> int:
        """All of them."""
        return sum(self.fates.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How what is staged compares with what serves."""

    version: int | None
    """The version that serves; None before the first turn."""
    num_waiting: int
    """Kept documents that it holds nothing of."""
    has_changes: bool
    """The next turn would find other passages in the documents that it holds."""


@dataclass(slots=True)
class _Kept:
    """What is remembered of a workspace."""

    locks: defaultdict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock)
    )
    """By what is counted: the counts of documents do not wait for those of passages."""
    values: dict[Hashable, tuple[Hashable, object]] = field(default_factory=dict)


def overview(workspace: Workspace, labels: Sequence[str] | None = None) -> Overview:
    """The counts of what these labels may read; None is all."""
    return _remembered(workspace, "overview", labels, _overview)


def lengths(workspace: Workspace, labels: Sequence[str] | None = None) -> tuple[Bin, ...]:
    """How long the passages are that these labels may read. Dear: it reads every passage once."""
    return _remembered(
        workspace, "lengths", labels, lambda conn, each: tuple(document_list.lengths(conn, each))
    )


def standing(workspace: Workspace, labels: Sequence[str] | None = None) -> Standing:
    """What waits for the next turn, of what these labels may read."""

    def compared(conn: Connection, labels: Sequence[str] | None) -> Standing:
        return _standing(workspace, conn, labels)

    return _remembered(workspace, "standing", labels, compared)


def _remembered(
    workspace: Workspace,
    name: str,
    labels: Sequence[str] | None,
    make: Callable[[Connection, Sequence[str] | None], T],
) -> T:
    kept = _kept_of(workspace)
    key = (name, None if labels is None else tuple(labels))
    with kept.locks[name], workspace.database.read() as conn:  # the first one counts for all
        mark = documents.change(conn), state.get(conn, versions.CHAMPION)
        known = kept.values.pop(key, None)
        value = known[1] if known and known[0] == mark else make(conn, labels)
        kept.values[key] = mark, value
        for oldest in list(kept.values)[:-_MOST_READERS]:
            del kept.values[oldest]
    return value  # type: ignore[return-value]


def _overview(conn: Connection, labels: Sequence[str] | None) -> Overview:
    tallies = document_list.tally(conn, labels)
    languages: Counter[Language] = Counter()
    reasons: Counter[str] = Counter()
    for each in tallies:
        if each.fate == "kept" and each.num_passages:
            languages[each.language] += each.num_documents
        if each.fate in ("dropped", "failed") and (reason := explained(each.reason)):
            reasons[reason.code] += each.num_documents
    return Overview(
        fates=_fates(tallies),
        languages=dict(languages.most_common()),
        reasons=dict(reasons.most_common()),
        sources=_sources(tallies),
        labels=tuple(sorted({label for each in tallies for label in each.access})),
        num_passages=sum(each.num_passages for each in tallies if each.fate == "kept"),
        size=sum(each.size for each in tallies),
        findings=_findings(document_list.findings(conn, labels)),
    )


def _fates(tallies: Sequence[Tally]) -> dict[Fate, int]:
    counts: Counter[Fate] = Counter()
    for each in tallies:
        counts[each.fate] += each.num_documents
    return {fate: counts[fate] for fate in FATES}


def _sources(tallies: Sequence[Tally]) -> tuple[Source, ...]:
    by_name: dict[str, list[Tally]] = {}
    for each in tallies:
        by_name.setdefault(each.source, []).append(each)
    return tuple(
        Source(
            name=name,
            fates=_fates(own),
            num_passages=sum(each.num_passages for each in own if each.fate == "kept"),
            access=tuple(sorted({label for each in own for label in each.access})),
            added_at=max(each.added_at for each in own),
        )
        for name, own in sorted(by_name.items())
    )


def _findings(found: Sequence[dict[str, int]]) -> tuple[Finding, ...]:
    counts: Counter[str] = Counter()
    holding: Counter[str] = Counter()
    for each in found:
        counts.update(each)
        holding.update(each.keys())
    return tuple(
        Finding(kind=kind, count=count, num_documents=holding[kind])
        for kind, count in counts.most_common()
    )


def _standing(workspace: Workspace, conn: Connection, labels: Sequence[str] | None) -> Standing:
    champion = versions.champion(conn)
    index = champion.bundle["index"] if champion else ""
    num_waiting = document_list.count_unheld(conn, index, labels)
    # Of all documents together: whom some are closed to, it tells of nothing.
    is_asked = champion is not None and labels is None and not num_waiting
    return Standing(
        version=champion.number if champion else None,
        num_waiting=num_waiting,
        has_changes=is_asked and workspace.index_key(documents.passages_digest(conn)) != index,
    )


_memory: WeakKeyDictionary[Workspace, _Kept] = WeakKeyDictionary()
_memory_lock = threading.Lock()


def _kept_of(workspace: Workspace) -> _Kept:
    with _memory_lock:
        return _memory.setdefault(workspace, _Kept())

"""Add: sources → staged documents. What is staged goes live with the next version.

Deleted files and changed access act at once. Killed at any moment, the same command goes on
where it stopped: each file is staged or not, and what is staged is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from flywheel.collect import dedupe, pipeline
from flywheel.collect.pipeline import Collected, CollectSettings
from flywheel.collect.read import Scanned, scan
from flywheel.records import PUBLIC, Fate
from flywheel.store import documents as document_store
from flywheel.store import state
from flywheel.store.documents import StagedDocument, Stamp

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

FILES_PER_COMMIT = 64
_COLLECTED_WITH = "collected_with"
_UNRESOLVED = "unresolved"

Progress = Callable[[str, int, int], None]
"""`collect`, how many files of the source are done, and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFate:
    """What became of one file of a source."""

    source: str
    path: str
    fate: Fate
    reason: str
    passages: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """What an add did."""

    files: tuple[FileFate, ...]
    num_deleted: int
    seconds: float


def add(
    workspace: Workspace,
    sources: Sequence[str],
    access: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Added:
    """Collects what is new or changed in the sources, and stages it.

    Args:
        access: the labels of whoever may read these sources; None keeps what they have.

    Raises:
        SourceError: a source is not there, or holds nothing. Sources before it are staged.
        WorkspaceBusy: another add or turn is running.
    """
    started = datetime.now(UTC)
    files: list[FileFate] = []
    num_deleted = 0
    with workspace.exclusive():
        for source in sources:
            scanned = list(scan(source, workspace.settings.read))
            its_files, deleted = _add_source(workspace, scanned, access, progress)
            files.extend(its_files)
            num_deleted += deleted
        fates = resolve(workspace)
    seconds = (datetime.now(UTC) - started).total_seconds()
    return Added(
        files=tuple(_final(each, fates) for each in files), num_deleted=num_deleted, seconds=seconds
    )


def staged(workspace: Workspace) -> list[FileFate]:
    """Every file that was added and is not deleted, with its fate."""
    with workspace.database.read() as conn:
        return [_listed(each) for each in document_store.list_documents(conn)]


def _listed(each: StagedDocument) -> FileFate:
    return FileFate(
        source=each.source,
        path=each.path,
        fate=each.fate,
        reason=each.reason,
        passages=each.num_passages,
    )


def _add_source(
    workspace: Workspace,
    scanned: list[Scanned],
    access: Sequence[str] | None,
    progress: Progress | None,
) -> tuple[list[FileFate], int]:
    scanned = [each for each in scanned if not _is_own(workspace.root, each)]
    if not scanned:
        return [], 0
    source = scanned[0].source
    collected_with = _fingerprint_of(workspace.settings.collect)
    with workspace.database.read() as conn:
        known = document_store.stamps(conn, source)
        is_current = state.get(conn, f"{_COLLECTED_WITH}:{source}") == collected_with
        labels = _labels(conn, source)
    same = {each.path for each in scanned if is_current and _is_same(each, known.get(each.path))}
    gone = [path for path in known if path not in {each.path for each in scanned}]
    workspace.database.write(lambda conn: _tombstone(conn, source, gone))
    if access is not None:
        ids = [pipeline.document_id(source, path) for path in known]
        workspace.database.write(lambda conn: document_store.set_access(conn, ids, list(access)))
    fresh = (each for each in scanned if each.path not in same)
    new_access = tuple(access) if access is not None else labels
    collected = pipeline.collect(fresh, workspace.settings.collect, new_access)
    fates = {path: _unchanged(source, path) for path in same}
    for batch in _batches(collected, FILES_PER_COMMIT):
        staged = [(_staged(each, new_access), each.passages) for each in batch]

        def stage(conn: Connection, staged: Any = staged) -> None:
            state.put(conn, _UNRESOLVED, True)
            document_store.put_all(conn, staged)

        workspace.database.write(stage)
        for each in batch:
            fates[each.path] = _fate(each, known.get(each.path))
            if progress:
                progress("collect", len(fates), len(scanned))
    workspace.database.write(
        lambda conn: state.put(conn, f"{_COLLECTED_WITH}:{source}", collected_with)
    )
    return [fates[each.path] for each in scanned], len(gone)


def resolve(workspace: Workspace) -> dict[tuple[str, str], StagedDocument]:
    """Decides which staged documents are copies or older editions of others.

    Returns:
        Every staged document by source and path, with its fate.
    """

    def write(conn: Connection) -> dict[tuple[str, str], StagedDocument]:
        if state.get(conn, _UNRESOLVED):
            staged = document_store.list_documents(conn)
            verdicts = dedupe.resolve([_fingerprint(each) for each in staged if each.signature])
            document_store.set_fates(conn, verdicts)
            state.put(conn, _UNRESOLVED, False)
        return {(each.source, each.path): each for each in document_store.list_documents(conn)}

    return workspace.database.write(write)


def _is_own(root: Path, scanned: Scanned) -> bool:
    """Whether a file is the workspace's own: its database is no document."""
    location = getattr(scanned, "location", "")
    if not location:
        return False
    path = Path(location)
    own = ("flywheel.toml", "flywheel.db", "flywheel.db-wal", "flywheel.db-shm", "flywheel.lock")
    is_top = path.parent == root and (path.name in own or path.name == "exam.jsonl")
    return is_top or root / "artifacts" in path.parents


def _is_same(scanned: Scanned, stamp: Stamp | None) -> bool:
    if stamp is None or scanned.source.startswith(("http://", "https://")):
        return False
    return stamp.size == scanned.size and abs(stamp.modified - scanned.modified) < 1e-3


def _labels(conn: Connection, source: str) -> tuple[str, ...]:
    """What the source's documents are labelled with; public where it is new."""
    for document in document_store.list_documents(conn):
        if document.source == source:
            return document.access
    return (PUBLIC,)


def _tombstone(conn: Connection, source: str, paths: list[str]) -> None:
    if paths:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ids = [pipeline.document_id(source, path) for path in paths]
        document_store.mark_deleted(conn, ids, now)
        state.put(conn, _UNRESOLVED, True)


def _fingerprint_of(settings: CollectSettings) -> str:
    values = json.dumps([pipeline.CODE_VERSION, settings.model_dump(mode="json")], sort_keys=True)
    return blake2b(values.encode(), digest_size=16).hexdigest()


def _staged(each: Collected, access: tuple[str, ...]) -> StagedDocument:
    document, print_ = each.document, each.fingerprint
    return StagedDocument(
        id=pipeline.document_id(each.source, each.path),
        source=each.source,
        path=each.path,
        title=document.title if document else Path(each.path).name,
        language=document.language if document else "other",
        fate=each.fate,
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
        date=print_.date if print_ else "",
        modified=each.modified,
        access=access,
        size=each.size,
        sha256=each.sha256,
        reason=each.reason,
        quality=each.signals,
        findings=each.findings,
        text_hash=print_.text_hash if print_ else "",
        num_shingles=print_.num_shingles if print_ else 0,
        signature=print_.signature if print_ else b"",
    )


def _fingerprint(staged: StagedDocument) -> dedupe.Fingerprint:
    return dedupe.Fingerprint(
        document=staged.id,
        source=staged.source,
        path=staged.path,
        title=staged.title,
        language=staged.language,
        date=staged.date,
        modified=staged.modified,
        text_hash=staged.text_hash,
        num_shingles=staged.num_shingles,
        signature=staged.signature,
        access=staged.access,
    )


def _unchanged(source: str, path: str) -> FileFate:
    return FileFate(source=source, path=path, fate="unchanged", reason="", passages=0)


def _fate(each: Collected, stamp: Stamp | None) -> FileFate:
    is_same = stamp is not None and stamp.sha256 == each.sha256 != ""
    return FileFate(
        source=each.source,
        path=each.path,
        fate="unchanged" if is_same else each.fate,
        reason="" if is_same else each.reason,
        passages=len(each.passages),
    )


def _final(each: FileFate, staged: dict[tuple[str, str], StagedDocument]) -> FileFate:
    """With what deduplication decided afterwards; an unchanged file says what it was before."""
    document = staged[each.source, each.path]
    reason = document.reason
    if each.fate == "unchanged":
        reason = ": ".join(part for part in (document.fate, document.reason) if part)
    return FileFate(
        source=each.source,
        path=each.path,
        fate="unchanged" if each.fate == "unchanged" else document.fate,
        reason=reason,
        passages=document.num_passages,
    )


def _batches(collected: Iterable[Collected], size: int) -> Iterator[list[Collected]]:
    stream = iter(collected)
    while batch := list(islice(stream, size)):
        yield batch

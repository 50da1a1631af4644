"""Add: sources → staged documents. What is staged goes live with the next version.

Deleted files and changed access act at once. Killed at any moment, the same command goes on
where it stopped: each file is staged or not, and what is staged is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from flywheel.collect import dedupe, pipeline
from flywheel.collect.pipeline import Collected, CollectSettings
from flywheel.collect.read import Scanned, Unreadable, absolute, printable, scan
from flywheel.errors import SourceError
from flywheel.records import PUBLIC, Fate
from flywheel.store import documents as document_store
from flywheel.store import erasures, state
from flywheel.store.documents import StagedDocument, Stamp
from flywheel.wheel.feedback import recheck

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

FILES_PER_COMMIT = 64
MAX_CLEARED = 20
"""A place from which more files went all at once was rather not mounted than cleared."""
_COLLECTED_WITH = "collected_with"
_ACCESS = "access"
UNRESOLVED = "unresolved"
"""The state that says that `resolve` has something to do."""

KEPT_OUT = "erased; to have it back, add this file by its own name"

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
        SourceError: a source is not there, or holds nothing. Nothing is staged then.
        WorkspaceBusy: another add or turn is running.
    """
    started = datetime.now(UTC)
    with workspace.exclusive():
        named = dict.fromkeys(map(full_name, sources))
        scans = {printable(source): _scan(workspace, source) for source in named}
        return _add(workspace, scans, access, progress, started)


def add_own(
    workspace: Workspace,
    source: str,
    folder: Path,
    access: Sequence[str],
    progress: Progress | None = None,
) -> Added:
    """As `add`, from a folder of the workspace's own; it may be empty.

    Args:
        source: the name that it has as a source, wherever the workspace is moved to.

    Raises:
        SourceError: the folder is not there.
        WorkspaceBusy: another add or turn is running.
    """
    started = datetime.now(UTC)
    with workspace.exclusive():
        try:
            found = list(scan(str(folder), workspace.settings.read))
        except SourceError:
            if not folder.is_dir():
                raise
            found = []
        scanned = [replace(each, source=source) for each in found]
        return _add(workspace, {source: scanned}, access, progress, started)


def _add(
    workspace: Workspace,
    scans: dict[str, list[Scanned]],
    access: Sequence[str] | None,
    progress: Progress | None,
    started: datetime,
) -> Added:
    files: list[FileFate] = []
    num_deleted = 0
    for source, scanned in scans.items():
        its_files, deleted = _add_source(workspace, source, scanned, access, progress)
        files.extend(its_files)
        num_deleted += deleted
    fates = resolve(workspace)
    recheck(workspace)
    seconds = (datetime.now(UTC) - started).total_seconds()
    return Added(
        files=tuple(_final(each, fates) for each in files), num_deleted=num_deleted, seconds=seconds
    )


def staged(workspace: Workspace) -> list[FileFate]:
    """Every file that was added and is not deleted, with its fate."""
    with workspace.database.read() as conn:
        return [listed(each) for each in document_store.list_documents(conn)]


def listed(each: StagedDocument) -> FileFate:
    """A staged document as one line of the list."""
    return FileFate(
        source=each.source,
        path=each.path,
        fate=each.fate,
        reason=each.reason,
        passages=each.num_passages,
    )


def labels_of(conn: Connection, source: str) -> tuple[str, ...]:
    """The labels that a source was added with last."""
    return tuple(state.get(conn, f"{_ACCESS}:{source}") or (PUBLIC,))


def full_name(source: str) -> str:
    """One name for one place, so that a folder is not added twice under two."""
    if _is_address(source):
        return source
    if not source.strip():
        raise SourceError("An empty name is no source. Name a file, a folder or an address.")
    path = absolute(source)
    return str(path.resolve() if ".." in path.parts else path)


def _is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _scan(workspace: Workspace, source: str) -> list[Scanned]:
    """What a source holds, each path once, without the workspace's own files.

    Nothing, where all that was added of it is gone.
    """
    try:
        found = {each.path: each for each in scan(source, workspace.settings.read)}
    except SourceError as error:
        _check_cleared(workspace, source, error)
        return []
    if _is_address(source):
        return list(found.values())
    place = Path(source).resolve()
    folder = place if place.is_dir() else place.parent
    scanned = [each for each in found.values() if not workspace.owns(folder / each.path)]
    if not scanned:
        nothing = f"{source}: nothing but the workspace itself. Name your documents."
        _check_cleared(workspace, source, SourceError(nothing))
    return scanned


def _check_cleared(workspace: Workspace, source: str, error: SourceError) -> None:
    """Lets a place pass that was cleared of the documents added from it.

    Raises:
        SourceError: as given, where none were added, or the folder above is gone, too; or there
            were so many that a share is missing, rather than they.
    """
    if _is_address(source) or not Path(source).parent.is_dir():
        raise error
    with workspace.database.read() as conn:
        known = document_store.stamps(conn, printable(source))
    if not known:
        raise error
    num_files = sum("!/" not in path for path in known)
    if num_files > MAX_CLEARED:
        raise SourceError(
            f"{source}: nothing is left of {num_files} files, which are kept, in case a share "
            "is not mounted. If they are to go, leave one file there and add it again."
        ) from error


def _add_source(
    workspace: Workspace,
    source: str,
    scanned: list[Scanned],
    access: Sequence[str] | None,
    progress: Progress | None,
) -> tuple[list[FileFate], int]:
    collected_with = _fingerprint_of(workspace.settings.collect)
    with workspace.database.read() as conn:
        known = document_store.stamps(conn, source)
        is_current = state.get(conn, f"{_COLLECTED_WITH}:{source}") == collected_with
        labels = tuple(access or labels_of(conn, source))
        out = erasures.kept_out(conn)
    erased = {each.path for each in scanned if pipeline.document_id(source, each.path) in out}
    same = {each.path for each in scanned if is_current and _is_same(each, known.get(each.path))}
    closed = tuple(
        each.hides for each in scanned if isinstance(each, Unreadable) and each.hides is not None
    )
    missing = known.keys() - {each.path for each in scanned}
    gone = sorted(path for path in missing if not path.startswith(closed))

    def prepare(conn: Connection) -> None:
        _tombstone(conn, source, gone)
        if access:
            ids = [pipeline.document_id(source, path) for path in known]
            document_store.set_access(conn, ids, list(labels))
            state.put(conn, f"{_ACCESS}:{source}", list(labels))
        if not known:
            # Said at the start, so that an interrupted first add goes on.
            state.put(conn, f"{_COLLECTED_WITH}:{source}", collected_with)

    workspace.database.write(prepare)
    if access or gone:
        # Now, since collecting may take long: what rests on these goes with them.
        recheck(workspace)
    fresh = (each for each in scanned if each.path not in same | erased)
    fates = {path: _unchanged(source, path) for path in same}
    fates |= {path: _kept_out(source, path) for path in erased}
    with closing(pipeline.collect(fresh, workspace.settings.collect, labels)) as collected:
        for batch in _batches(collected, FILES_PER_COMMIT):
            _stage(workspace, batch, labels)
            for each in batch:
                fates[each.path] = _fate(each, known.get(each.path) if is_current else None)
                if progress:
                    progress("collect", len(fates), len(scanned))
    if is_current or len(gone) == len(missing):
        # Else what could not be looked into is collected with these settings another time.
        workspace.database.write(
            lambda conn: state.put(conn, f"{_COLLECTED_WITH}:{source}", collected_with)
        )
    return [fates[each.path] for each in scanned], len(gone)


def _stage(workspace: Workspace, batch: list[Collected], access: tuple[str, ...]) -> None:
    staged = [(_staged(each, access), each.passages) for each in batch]

    def write(conn: Connection) -> None:
        state.put(conn, UNRESOLVED, True)
        document_store.put_all(conn, staged)

    workspace.database.write(write)


def resolve(workspace: Workspace) -> dict[tuple[str, str], StagedDocument]:
    """Decides which staged documents are copies or older editions of others.

    Returns:
        Every staged document by source and path, with its fate.
    """

    def write(conn: Connection) -> dict[tuple[str, str], StagedDocument]:
        if state.get(conn, UNRESOLVED):
            staged = document_store.list_documents(conn)
            verdicts = dedupe.resolve([_fingerprint(each) for each in staged if each.signature])
            document_store.set_fates(conn, verdicts)
            state.put(conn, UNRESOLVED, False)
        return {(each.source, each.path): each for each in document_store.list_documents(conn)}

    return workspace.database.write(write)


def _is_same(scanned: Scanned, stamp: Stamp | None) -> bool:
    if stamp is None or _is_address(scanned.source):
        return False
    return stamp.size == scanned.size and abs(stamp.modified - scanned.modified) < 1e-3


def _tombstone(conn: Connection, source: str, paths: list[str]) -> None:
    if paths:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ids = [pipeline.document_id(source, path) for path in paths]
        document_store.mark_deleted(conn, ids, now)
        state.put(conn, UNRESOLVED, True)


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


def _kept_out(source: str, path: str) -> FileFate:
    return FileFate(source=source, path=path, fate="dropped", reason=KEPT_OUT, passages=0)


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
    document = staged.get((each.source, each.path))
    if document is None:  # kept out
        return each
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

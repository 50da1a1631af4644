"""Uploads: files that owners send. They are kept in the workspace and added from there.

    WORKSPACE/uploads/LABELS/NAME

Each set of access labels has a folder of its own, named by a hash of them, which is one source:
`upload:LABELS`, wherever the workspace is moved to. A file of a name that is there already is the
same file's next edition. Nothing here or behind it follows an address: what looks like one in a
name or in a file is text. Not here: how files come in (incoming.py, serve/documents.py).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flywheel.errors import UsageError
from flywheel.records import PUBLIC
from flywheel.store import documents
from flywheel.store.documents import StagedDocument
from flywheel.wheel import ingest
from flywheel.wheel.incoming import (
    Incoming,
    explained,
    files_of,
    make_folder,
    room,
    size_of,
    sync,
)
from flywheel.wheel.keys import MAX_LABELS, MAX_NAME_CHARS
from flywheel.wheel.workspace import UPLOADS, Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

PREFIX = "upload:"
"""What the name of such a source begins with."""


class Refused(UsageError):
    """What cannot be done with an upload, by a name that the console has words for."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def labels_of(access: Iterable[str]) -> tuple[str, ...]:
    """Access labels, each once and in order; what names none is public.

    Raises:
        UsageError: one is empty, too long or spells control characters, or there are too many.
    """
    labels = {label.strip() for label in access}
    for label in labels:
        if not label or len(label) > MAX_NAME_CHARS or not label.isprintable():
            told = f"An access label is a line of 1 to {MAX_NAME_CHARS} characters."
            raise Refused("no_label", told)
    if len(labels) > MAX_LABELS:
        raise Refused("many_labels", f"A document carries at most {MAX_LABELS} access labels.")
    return tuple(sorted(labels)) or (PUBLIC,)


def source_of(access: Sequence[str]) -> str:
    """The source that holds what was uploaded for these labels."""
    named = json.dumps(sorted(access)).encode()
    return PREFIX + hashlib.sha256(named).hexdigest()[:16]


def folder_of(workspace: Workspace, source: str) -> Path:
    """Where the files of such a source lie."""
    return workspace.root / UPLOADS / source.removeprefix(PREFIX)


def is_uploaded(source: str) -> bool:
    """Whether a source holds what was uploaded."""
    return source.startswith(PREFIX)


def keep(workspace: Workspace, files: Iterable[Incoming], access: Sequence[str]) -> tuple[str, ...]:
    """Keeps files under these labels; gives their names.

    Raises:
        StoreError: the disk does not take one.
    """
    folder = folder_of(workspace, source_of(access))
    names: dict[str, None] = {}
    for each in files:
        each.keep(folder)
        names[each.name] = None
    with explained(folder):
        sync(folder.parent)
        sync(folder.parent.parent)
    return tuple(names)


def add(
    workspace: Workspace, access: Sequence[str], progress: ingest.Progress | None = None
) -> ingest.Added:
    """Stages what was uploaded for these labels; what is there no more acts as deleted.

    Raises:
        SourceError: the folder is gone.
        WorkspaceBusy: another add or turn is running.
    """
    source = source_of(access)
    folder = folder_of(workspace, source)
    return ingest.add_own(workspace, source, folder, access, progress)


def remove(workspace: Workspace, document: StagedDocument) -> None:
    """Deletes an uploaded file. The next add of its labels makes it act.

    Raises:
        UsageError: it was not uploaded, or only as a part of an archive.
        StoreError: the file cannot be deleted.
    """
    _check_whole(document)
    _unlink(workspace, folder_of(workspace, document.source), document.path)


def move(workspace: Workspace, document: StagedDocument, access: Sequence[str]) -> bool:
    """Lays an uploaded file to those of other labels. The next adds of both make it act.

    Returns:
        Whether it had to be: a server that was killed in the middle may have left it there.

    Raises:
        UsageError: it was not uploaded, or only as a part of an archive; it is gone; or a file of
            its name is there.
        StoreError: the disk does not do it.
    """
    _check_whole(document)
    before = folder_of(workspace, document.source) / document.path
    after = folder_of(workspace, source_of(access)) / document.path
    if after.exists() and not before.exists():
        return False
    if after.exists():
        raise Refused(
            "taken", "A file of this name has these labels already. Delete one of the two first."
        )
    _lay(before, after)
    return True


def move_back(workspace: Workspace, document: StagedDocument, access: Sequence[str]) -> None:
    """Undoes `move`.

    Raises:
        UsageError: the file is gone.
        StoreError: the disk does not do it.
    """
    before = folder_of(workspace, document.source) / document.path
    _lay(folder_of(workspace, source_of(access)) / document.path, before)


def _lay(before: Path, after: Path) -> None:
    with explained(after):
        make_folder(after.parent)
        try:
            before.rename(after)
        except FileNotFoundError as error:
            told = "This file is gone: its labels' next add drops it."
            raise Refused("gone", told) from error
        for folder in (before.parent, after.parent, after.parent.parent):
            sync(folder)


def _check_whole(document: StagedDocument) -> None:
    if not is_uploaded(document.source):
        raise Refused(
            "elsewhere",
            "This file was not uploaded. Change or delete it where it lies, and add its source "
            "again with `flywheel add`.",
        )
    if "!/" in document.path:
        raise Refused(
            "part",
            "This file is a part of an archive. Delete the archive, or upload it again without it.",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A document, as it is listed."""

    id: str
    file: ingest.FileFate
    access: tuple[str, ...]


def list_documents(
    workspace: Workspace,
    limit: int,
    after: StagedDocument | None = None,
    labels: Sequence[str] | None = None,
) -> list[Listed]:
    """Documents by source and path, uploaded and others; at most so many.

    Args:
        after: goes on behind this one.
        labels: those who may be listed to whom; None is everybody.
    """
    found: list[Listed] = []
    place = (after.source, after.path) if after else None
    with workspace.database.read() as conn:
        for each in documents.list_documents(conn, after=place):
            if len(found) == limit:
                break
            if is_readable(each.access, labels):
                found.append(Listed(id=each.id, file=ingest.listed(each), access=each.access))
    return found


def find(
    workspace: Workspace, id: str, labels: Sequence[str] | None = None
) -> StagedDocument | None:
    """The document of that id that is not deleted, if these labels may read it."""
    if not re.fullmatch("[0-9a-f]{20}", id):
        return None
    with workspace.database.read() as conn:
        found = documents.get_all(conn, [id]).get(id)
    if found is None or found.deleted_at is not None or not is_readable(found.access, labels):
        return None
    return found


def is_readable(access: Iterable[str], labels: Sequence[str] | None) -> bool:
    """Whether who reads these labels may read what carries that access; None reads everything."""
    return labels is None or not {PUBLIC, *labels}.isdisjoint(access)


def full_name(workspace: Workspace, name: str) -> str | None:
    """The name of an uploaded file or source as `documents` lists it; None where it is none.

    Args:
        name: that, or the path of where it lies.
    """
    if is_uploaded(name):
        return name
    try:
        inside = Path(name).expanduser().resolve().relative_to((workspace.root / UPLOADS).resolve())
    except (ValueError, OSError, RuntimeError):
        return None
    return PREFIX + str(inside) if inside.parts else None


def refuse_parts(chosen: Collection[StagedDocument], every: Iterable[StagedDocument]) -> None:
    """Lets no part of an uploaded archive be erased while the archive still holds it.

    Raises:
        UsageError: one is to be.
    """
    there = {(each.source, each.path) for each in every if each.deleted_at is None}
    staying = there - {(each.source, each.path) for each in chosen}
    for each in chosen:
        archive, _, member = each.path.partition("!/")
        is_held = each.deleted_at is None and (each.source, archive) in staying
        if is_uploaded(each.source) and member and is_held:
            raise UsageError(
                f"{archive} still holds it: erase {each.source}/{archive}, or upload that again "
                "without it first."
            )


def erase_files(workspace: Workspace, ids: Iterable[str]) -> None:
    """Deletes the files of those of these documents that were uploaded.

    Raises:
        StoreError: one cannot be deleted.
    """
    with workspace.database.read() as conn:
        chosen = documents.get_all(conn, sorted(ids))
    for each in chosen.values():
        if is_uploaded(each.source) and "!/" not in each.path:
            _unlink(workspace, folder_of(workspace, each.source), each.path)


def of_nobody(workspace: Workspace, conn: Connection) -> Iterator[Path]:
    """The files among the uploads that are no document which stays."""
    accounted = {
        folder_of(workspace, each.source) / each.path
        for each in documents.list_documents(conn)
        if is_uploaded(each.source)
    }
    for place in files_of(workspace.root / UPLOADS):
        if place not in accounted:
            yield place


def _unlink(workspace: Workspace, folder: Path, path: str) -> None:
    place = folder / path
    if folder not in place.parents or ".." in place.parts:
        return  # not of our making
    with explained(place):
        size = size_of(place)
        place.unlink(missing_ok=True)
        if folder.is_dir():
            sync(folder)
    room(workspace).give_back(size)

"""Uploads: files that owners send. They are kept in the workspace and added from there.

    WORKSPACE/uploads/LABELS/NAME

Each set of access labels has a folder of its own, named by a hash of them, which is one source:
`upload:LABELS`, wherever the workspace is moved to. A file of a name that is there already is the
same file's next edition. Nothing here or behind it follows an address: what looks like one in a
name or in a file is text. Not here: how files come in over HTTP (serve/documents.py).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import threading
import time
import unicodedata
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.collect.archive import is_archive
from flywheel.errors import StoreError, UsageError
from flywheel.records import PUBLIC
from flywheel.store import documents
from flywheel.store.documents import StagedDocument
from flywheel.wheel import ingest
from flywheel.wheel.keys import MAX_LABELS, MAX_NAME_CHARS
from flywheel.wheel.workspace import UPLOADS, Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

PREFIX = "upload:"
"""What the name of such a source begins with."""

MAX_NAME_BYTES = 200
LEFTOVER_SECONDS = 3600
"""What has not grown for so long was left behind by a server that was killed."""

_INCOMING = ".incoming"
_MAX_SUFFIX_BYTES = 20
_JOINERS = "\u200c\u200d"
"""The invisible characters that names are spelled with."""
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])( *\.|$)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def labels_of(access: Iterable[str]) -> tuple[str, ...]:
    """Access labels, each once and in order; what names none is public.

    Raises:
        UsageError: one is empty, too long or spells control characters, or there are too many.
    """
    labels = {label.strip() for label in access}
    for label in labels:
        if not label or len(label) > MAX_NAME_CHARS or not label.isprintable():
            raise UsageError(f"An access label is a line of 1 to {MAX_NAME_CHARS} characters.")
    if len(labels) > MAX_LABELS:
        raise UsageError(f"A document carries at most {MAX_LABELS} access labels.")
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


def safe_name(given: str) -> str:
    """A file's name as it is kept: as given, but for what could mean anything to a file system or
    hide what it is. Folders before it become part of it. Empty, where nothing is left."""
    parts = _parts(given)
    return _short(_harmless(" - ".join(parts))) if parts else ""


def left_out(workspace: Workspace, given: str) -> str:
    """Why a file of this name would be no document; empty where it would be one."""
    import pathspec

    name = safe_name(given)
    if not name:
        return "it has no name"
    ignored = pathspec.GitIgnoreSpec.from_lines(workspace.settings.read.ignore)
    if ignored.match_file("/".join(_parts(given))) or ignored.match_file(name):
        return "files of such names are left out: see [read] ignore in flywheel.toml"
    return ""


class Room:
    """How much all uploads together may still take. Counts the files once, and then along."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._used: int | None = None
        self._lock = threading.Lock()

    def take(self, num_bytes: int) -> bool:
        """Whether there is room for so much more; if so, it is taken."""
        with self._lock:
            if self._used is None or self._used + num_bytes > self._max_bytes:
                # What another process erased meanwhile counts no more.
                self._used = sum(map(_size, _files(self._folder)))
            if self._used + num_bytes > self._max_bytes:
                return False
            self._used += num_bytes
            return True

    def give_back(self, num_bytes: int) -> None:
        """Frees what was taken, or what lay there."""
        with self._lock:
            if self._used is not None:
                self._used = max(0, self._used - num_bytes)


def room(workspace: Workspace) -> Room:
    """The room of a workspace's uploads, the same one for all that use it in this process."""
    with _rooms_lock:
        if workspace not in _rooms:
            max_bytes = workspace.settings.serve.upload_quota_megabytes * 2**20
            _rooms[workspace] = Room(workspace.root / UPLOADS, max_bytes)
        return _rooms[workspace]


class Incoming:
    """A file that is being uploaded. It is no document before `keep`; else `discard` it."""

    def __init__(self, workspace: Workspace, given: str) -> None:
        """
        Raises:
            StoreError: the disk does not take it.
        """
        self.name, self.size = safe_name(given), 0
        # A request that ends may discard it while a thread still writes.
        self._lock = threading.Lock()
        self._room = room(workspace)
        self._place = workspace.root / UPLOADS / _INCOMING / uuid.uuid4().hex
        with _explained(self._place):
            self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes) -> bool:
        """Takes in some more of it. False where all uploads together would be too much.

        Raises:
            StoreError: the disk does not take it.
        """
        if not self._room.take(len(data)):
            return False
        self.size += len(data)
        with self._lock, _explained(self._place):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) or 0 :]
        return True

    def keep(self, folder: Path) -> None:
        """Lets it be a file of that folder, in place of the one of its name; on the disk by then.

        Raises:
            StoreError: the disk does not take it.
        """
        place = folder / self.name
        with _explained(place):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._lock:
                os.fsync(self._file.fileno())
                self._file.close()
                replaced = _size(place)
                self._place.replace(place)
            _sync(folder)
        self._room.give_back(replaced)

    def discard(self) -> None:
        """Forgets it. One that is kept stays."""
        with self._lock:
            self._file.close()
            if self._place.exists():
                self._place.unlink()
                self._room.give_back(self.size)


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
    with _explained(folder):
        _sync(folder.parent)
        _sync(folder.parent.parent)
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
    if not is_uploaded(document.source):
        raise UsageError(
            "This file was not uploaded. Delete it where it lies, and add its source again with "
            "`flywheel add`."
        )
    archive, _, member = document.path.partition("!/")
    if member:
        raise UsageError(
            "This file is a part of an archive. Delete the archive, or upload it again without it."
        )
    _unlink(workspace, folder_of(workspace, document.source), archive)


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
    places = {(each.source, each.path) for each in chosen}
    there = {(each.source, each.path) for each in every if each.deleted_at is None}
    for each in chosen:
        archive, _, member = each.path.partition("!/")
        whole = (each.source, archive)
        if is_uploaded(each.source) and member and whole in there - places:
            raise UsageError(
                f"{archive} still holds it: erase {each.source}/{archive}, or upload that again "
                "without it first."
            )


def erase_files(workspace: Workspace, ids: Iterable[str]) -> None:
    """Deletes the files of those of these documents that were uploaded, and leftovers.

    Raises:
        StoreError: one cannot be deleted.
    """
    with workspace.database.read() as conn:
        chosen = documents.get_all(conn, sorted(ids))
    for each in chosen.values():
        if is_uploaded(each.source) and "!/" not in each.path:
            _unlink(workspace, folder_of(workspace, each.source), each.path)
    clear_leftovers(workspace)


def clear_leftovers(workspace: Workspace) -> None:
    """Deletes what uploads left behind that were killed."""
    for place in _files(workspace.root / UPLOADS / _INCOMING):
        try:
            if time.time() - place.stat().st_mtime > LEFTOVER_SECONDS:
                place.unlink()
        except FileNotFoundError:
            continue  # it has been kept


def of_nobody(workspace: Workspace, conn: Connection) -> Iterator[Path]:
    """The files among the uploads that are no document which stays."""
    accounted = {
        folder_of(workspace, each.source) / each.path
        for each in documents.list_documents(conn)
        if is_uploaded(each.source)
    }
    for place in _files(workspace.root / UPLOADS):
        if place not in accounted:
            yield place


_rooms: WeakKeyDictionary[Workspace, Room] = WeakKeyDictionary()
_rooms_lock = threading.Lock()


def _parts(given: str) -> list[str]:
    text = unicodedata.normalize("NFC", "".join(each for each in given if _is_plain(each)))
    parts = [part.strip() for part in re.split(r"[/\\]", text)]
    return [part for part in parts if part.strip(".") and not _DRIVE.fullmatch(part)]


def _is_plain(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in _JOINERS


def _harmless(name: str) -> str:
    name = name.rstrip(" .")
    return f"_{name}" if _DEVICE.match(name) else name


def _short(name: str) -> str:
    """The name, cut where no file system would take it; two names stay two."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffixes = PurePosixPath(name).suffixes
    suffix = "".join(suffixes[-2:]) if is_archive(name) else "".join(suffixes[-1:])
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = ""
    ending = f"~{hashlib.sha256(name.encode()).hexdigest()[:8]}{suffix}"
    room_left = MAX_NAME_BYTES - len(ending.encode())
    return name.encode()[:room_left].decode(errors="ignore") + ending


def _unlink(workspace: Workspace, folder: Path, path: str) -> None:
    place = folder / path
    if folder not in place.parents or ".." in place.parts:
        return  # not of our making
    with _explained(place):
        size = _size(place)
        place.unlink(missing_ok=True)
        if folder.is_dir():
            _sync(folder)
    room(workspace).give_back(size)


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def _size(place: Path) -> int:
    try:
        return place.lstat().st_size
    except FileNotFoundError:
        return 0


def _sync(folder: Path) -> None:
    """Puts on the disk which names a folder holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError("The disk is full: nothing was taken. Free some space.") from error
        raise StoreError(f"{place} cannot be written: {error.strerror}.") from error

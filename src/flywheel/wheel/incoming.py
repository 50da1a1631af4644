"""A file on its way into the uploads: a name that harms nothing, room for it, and its bytes.

Not here: where it goes (uploads.py), and how it comes (serve/documents.py).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from weakref import WeakKeyDictionary

from flywheel.collect.archive import is_archive
from flywheel.errors import StoreError
from flywheel.wheel.workspace import UPLOADS, Workspace

MAX_NAME_BYTES = 200
LEFTOVER_SECONDS = 3600
"""What has not grown for so long was left behind by a server that was killed."""

_INCOMING = ".incoming"
_MAX_SUFFIX_BYTES = 20
_JOINERS = "\u200c\u200d"
"""The invisible characters that names are spelled with."""
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])( *\.|$)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


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
                self._used = sum(map(size_of, files_of(self._folder)))
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
        with explained(self._place):
            make_folder(self._place.parent)
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
        with self._lock, explained(self._place):
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
        with explained(place):
            make_folder(folder)
            with self._lock:
                os.fsync(self._file.fileno())
                self._file.close()
                replaced = size_of(place)
                self._place.replace(place)
            sync(folder)
        self._room.give_back(replaced)

    def discard(self) -> None:
        """Forgets it. One that is kept stays."""
        with self._lock:
            self._file.close()
            if self._place.exists():
                self._place.unlink()
                self._room.give_back(self.size)


def clear_leftovers(workspace: Workspace) -> None:
    """Deletes what uploads left behind that were killed."""
    for place in files_of(workspace.root / UPLOADS / _INCOMING):
        try:
            if time.time() - place.stat().st_mtime > LEFTOVER_SECONDS:
                place.unlink()
        except FileNotFoundError:
            continue  # it has been kept


def make_folder(folder: Path) -> None:
    """Makes a folder of the uploads, which nobody else may look into."""
    for each in (folder.parent, folder):
        each.mkdir(exist_ok=True, mode=0o700)


def files_of(folder: Path) -> Iterator[Path]:
    """Every file below a folder; none where there is no such folder."""
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def size_of(place: Path) -> int:
    """The bytes of a file; 0 where there is none."""
    try:
        return place.lstat().st_size
    except FileNotFoundError:
        return 0


def sync(folder: Path) -> None:
    """Puts on the disk which names a folder holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(place: Path) -> Iterator[None]:
    """Tells a user what the disk does not do.

    Raises:
        StoreError: what is within this raised an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError("The disk is full: nothing was taken. Free some space.") from error
        raise StoreError(f"{place} cannot be written: {error.strerror}.") from error


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

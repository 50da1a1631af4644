"""What lets a restored state stand in place of the old one: all of it, or nothing.

    staged in WORKSPACE/.restore/new → the journal → one commit in the database → the files move in

The commit decides. Killed before it, what was staged is deleted and the old state stands; killed
after it, the files move in when the workspace is opened next (`settle`). Light to import, since
every opening looks here.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import URL

from flywheel.errors import WorkspaceBusy
from flywheel.store import state
from flywheel.store.database import Database

PLACE = ".restore"
RESTORED = "restored"
"""The state that names the restore that the database's rows came with."""

_LOCK = ".restore.lock"
_NEW, _OLD, _JOURNAL = "new", "old", "journal.json"
_SUFFIXES = ("-journal", "-shm", "-wal", "")
"""Of SQLite's files; the last one is the database."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """What has to be done, or undone, wherever the restore ended."""

    id: str
    url: str
    """Of the database, where a server keeps it; else empty."""
    file: str
    """The database's file, relative to the workspace if it lies there; else empty."""
    moves: tuple[str, ...]
    """Paths, relative to the workspace, that what was staged takes the place of."""
    is_new: bool = False
    """Whether the file was not there before."""
    aside: str = ""
    """What a damaged file is called from now on, since another one is made in its place."""


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """An empty folder to stage a state in, which goes again unless the swap is decided.

    Raises:
        WorkspaceBusy: another restore is running there.
    """
    settle(root)
    with _locked(root) as mine:
        if not mine:
            raise WorkspaceBusy(f"Another restore is running in {root}. Wait for it to end.")
        place = root / PLACE
        _delete(place)
        new = place / _NEW
        new.mkdir(parents=True, mode=0o700)
        place.chmod(0o700)
        try:
            yield new
        finally:
            if not (place / _JOURNAL).exists():
                _delete(place)


def prepare(root: Path, journal: Journal) -> None:
    """Writes down what follows from the commit, before it; what is staged is on disk by then."""
    for folder, _, _ in os.walk(root / PLACE / _NEW):
        _fsync(Path(folder))
    part = root / PLACE / f"{_JOURNAL}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(journal), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(root / PLACE / _JOURNAL)
    _fsync(root / PLACE)
    if journal.aside:
        _rename(root, journal.file, journal.aside)


def finish(root: Path) -> None:
    """Completes a restore, or undoes it, as its journal and the database say."""
    journal = _read(root)
    if journal is not None:
        if _is_decided(root, journal):
            for name in journal.moves:
                _move(root, name)
        else:
            _undo(root, journal)
        (root / PLACE / _JOURNAL).unlink()
        _fsync(root / PLACE)
    _delete(root / PLACE)


def clear(root: Path) -> None:
    """Deletes a folder that was made for a restore which came to nothing."""
    (root / _LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # it holds something else
        root.rmdir()


def settle(root: Path) -> None:
    """Brings a workspace to the old or to the new state, where a restore was interrupted.

    Raises:
        WorkspaceBusy: it is not interrupted, and just about to end.
        StoreError: the database, which has to be asked for it, does not answer.
    """
    if not (root / PLACE).exists():
        return
    with _locked(root) as mine:
        if mine:
            finish(root)
        elif (root / PLACE / _JOURNAL).exists():
            raise WorkspaceBusy(f"A restore is ending in {root}. Run this again in a moment.")


def is_interrupted(root: Path) -> bool:
    """Whether a restore was, and nobody has opened the workspace since."""
    if not (root / PLACE).exists():
        return False
    with _locked(root) as mine:
        return mine


def _is_decided(root: Path, journal: Journal) -> bool:
    if journal.file and not (root / journal.file).is_file():
        return False
    if journal.aside and not (root / journal.aside).is_file():
        return False
    with Database.open(_url(root, journal)) as database, database.read() as conn:
        return bool(state.get(conn, RESTORED) == journal.id)


def _url(root: Path, journal: Journal) -> str:
    if not journal.file:
        return journal.url
    url = URL.create("sqlite", database=str(root / journal.file))
    return url.render_as_string(hide_password=False)


def _move(root: Path, name: str) -> None:
    """Puts what was staged in its place. A second time it finds nothing to do."""
    new, place, old = root / PLACE / _NEW / name, root / name, root / PLACE / _OLD / name
    if not new.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if new.is_dir() and os.path.lexists(place):
        old.parent.mkdir(parents=True, exist_ok=True)
        place.rename(old)
    new.replace(place)
    _fsync(place.parent)


def _undo(root: Path, journal: Journal) -> None:
    is_made = (root / journal.aside).is_file() if journal.aside else journal.is_new
    if journal.file and is_made:
        for suffix in _SUFFIXES:
            (root / f"{journal.file}{suffix}").unlink(missing_ok=True)
    if journal.aside:
        _rename(root, journal.aside, journal.file)


def _rename(root: Path, file: str, to: str) -> None:
    """Renames a database with what stands beside it; a second time, what is left of it."""
    for suffix in _SUFFIXES:
        place = root / f"{file}{suffix}"
        if place.exists():
            place.replace(root / f"{to}{suffix}")
    _fsync((root / file).parent)


def _read(root: Path) -> Journal | None:
    place = root / PLACE / _JOURNAL
    if not place.is_file():
        return None
    told = json.loads(place.read_text(encoding="utf-8"))
    return Journal(**told | {"moves": tuple(told["moves"])})


@contextmanager
def _locked(root: Path) -> Iterator[bool]:
    """Whether this process alone restores here, or completes a restore."""
    with (root / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _delete(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

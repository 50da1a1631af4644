"""A backup → files in a folder, of which every byte is what its manifest says.

A backup is of anybody's making until proven otherwise. It is read twice: once for its manifest,
which is its last member, and for the sizes, so that none unpacks to more than there is room for;
then file by file, each hashed on its way. Where it does not hold what it says, nothing is used of
it. Not here: whether what it holds makes sense (restore.py, store/dump.py).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from flywheel.errors import SourceError, StoreError, WorkspaceError
from flywheel.wheel.backup.make import (
    ARTIFACTS,
    EXAM,
    FOLDERS,
    FORMAT,
    MANIFEST,
    ROWS,
    SETTINGS,
    Manifest,
    Progress,
    is_plain,
)
from flywheel.wheel.backup.tarball import Entry, entries

MAX_MEMBERS = 500_000
_MAX_MANIFEST_BYTES = 128 << 20
_MAX_LINE_BYTES = 64 << 20
"""Of one row: all that is held in memory."""

_ROWS_FILE = re.compile(rf"{ROWS}/([a-z_]+)-\d{{6}}\.jsonl")
_OTHERS = re.compile(
    rf"{re.escape(SETTINGS)}|{re.escape(EXAM)}"
    rf"|{ARTIFACTS}/(index|ranker|thresholds|model)/[0-9a-f]{{32}}/.+"
    rf"|({'|'.join(FOLDERS)})/.+"
)
_NO_PLACE = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}


def read_manifest(file: BinaryIO, room_bytes: int) -> Manifest:
    """What a backup holds, by its own account and by the sizes and names of its members.

    Args:
        room_bytes: how much it may unpack to.

    Raises:
        SourceError: it is no backup, or not whole.
        StoreError: there is no room for it.
        WorkspaceError: a newer release has made it.
    """
    sizes: dict[str, int] = {}
    total = 0
    file.seek(0)
    for entry in entries(file):
        if MANIFEST in sizes:
            raise SourceError("something stands behind its manifest")
        if entry.name in sizes or len(sizes) > MAX_MEMBERS or not _is_known(entry.name):
            raise SourceError(f"it holds {entry.name[:100]!r}, which no backup has, or has twice")
        sizes[entry.name] = entry.size
        # What the rows become takes as much again, here and in the database.
        total += entry.size * (3 if entry.name.startswith(f"{ROWS}/") else 1)
        if total > room_bytes:
            raise StoreError(
                f"There is no room for it: it unpacks to more than the {room_bytes / 2**30:.1f} "
                "GiB that are free. Free some space, or restore to another disk."
            )
        if entry.name == MANIFEST:
            manifest = _parsed(entry)
    if MANIFEST not in sizes:
        raise SourceError("it has no manifest: it was cut short, or is another program's")
    told = {name: member.size for name, member in manifest.members.items()}
    if told | {MANIFEST: sizes[MANIFEST]} != sizes or SETTINGS not in told:
        raise SourceError("it does not hold what its manifest says")
    return manifest


def unpack(file: BinaryIO, manifest: Manifest, folder: Path, progress: Progress) -> None:
    """Puts all files of a backup into an empty folder.

    Raises:
        SourceError: a file is not what the manifest says.
    """
    file.seek(0)
    for done, entry in enumerate(entries(file), start=1):
        if entry.name == MANIFEST:
            return
        expected = manifest.members.get(entry.name)
        if expected is None or expected.size != entry.size:
            raise SourceError("it has changed while it was read")
        if _written(folder / entry.name, entry) != expected.sha256:
            raise SourceError(f"{entry.name} is not what its manifest says: it is damaged")
        progress("unpack", done, len(manifest.members))


def rows(folder: Path) -> Mapping[str, Iterator[bytes]]:
    """The lines of each table that were unpacked."""
    parts: dict[str, list[Path]] = {}
    for place in sorted((folder / ROWS).glob("*")):
        named = _ROWS_FILE.fullmatch(f"{ROWS}/{place.name}")
        assert named is not None, "no other one was unpacked"
        parts.setdefault(named[1], []).append(place)
    return {table: _lines(places) for table, places in parts.items()}


def _lines(places: list[Path]) -> Iterator[bytes]:
    for place in places:
        with place.open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise SourceError(f"{place.name}: a row is too long, or was cut short")
                yield line


def _is_known(name: str) -> bool:
    known = name == MANIFEST or _ROWS_FILE.fullmatch(name) or _OTHERS.fullmatch(name)
    return bool(known) and is_plain(name)


def _parsed(entry: Entry) -> Manifest:
    if entry.size > _MAX_MANIFEST_BYTES:
        raise SourceError("its manifest is too large")
    data = b"".join(entry.chunks())
    try:
        told = json.loads(data)
        is_newer = isinstance(told, dict) and isinstance(told["format"], int)
        if is_newer and told["format"] > FORMAT:
            raise WorkspaceError(
                "It was made by a newer release: upgrade flywheel, pip install -U "
                "flywheel-assistant"
            )
        return Manifest.model_validate_json(data)
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise SourceError("its manifest cannot be read") from error


def _written(place: Path, entry: Entry) -> str:
    """Writes a file that was not there; gives its hash. On the disk by then."""
    digest = hashlib.sha256()
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in _NO_PLACE:
            raise SourceError(f"{entry.name[:100]} has no place beside the other files") from error
        raise
    with os.fdopen(descriptor, "wb") as file:
        for chunk in entry.chunks():
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(descriptor)
    return digest.hexdigest()

"""Stage outputs, kept under the hash of all that they depend on.

An artifact is a folder `<root>/<stage>/<key>/`. It is made beside its place, its manifest is
written last, and a rename puts it there: whatever is found is whole. Killed at any moment, a
rerun clears the leftovers and makes the unfinished artifact again.

Not here: what a stage does, and which artifacts a version refers to.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flywheel.errors import StoreError

MANIFEST = "manifest.json"

_KEY = re.compile(r"[0-9a-f]{32}")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNWRITABLE = {errno.EROFS}


class Artifacts:
    """The artifacts under one folder. Safe to use from several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def key(stage: str, code_version: int, inputs: Mapping[str, Any]) -> str:
        """The hash of a stage's JSON-ready inputs and settings, whatever their order."""
        canonical = json.dumps([stage, code_version, inputs], sort_keys=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def find(self, stage: str, key: str) -> Path | None:
        """The finished artifact's folder, if there is one."""
        place = self._place(stage, key)
        return place if (place / MANIFEST).is_file() else None

    def build(self, stage: str, key: str, make: Callable[[Path], None]) -> Path:
        """The artifact's folder, filled by `make` unless it is there already.

        `make` gets an empty folder, which is renamed afterwards: nothing that it writes may hold
        the folder's own path. Who asks for an artifact that another process is making waits.

        Raises:
            StoreError: the disk is full, or cannot be written.
        """
        found = self.find(stage, key)
        if found is not None:
            return found
        place = self._place(stage, key)
        with _explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            _clear_leftovers(place.parent)
            with _locked(place):
                return self.find(stage, key) or _make(place, make)

    def remove(self, stage: str, key: str) -> None:
        """Deletes an artifact. One that is not there is fine."""
        place = self._place(stage, key)
        if not place.exists():
            return
        with _explained(place), _locked(place):
            doomed = _unfinished(place)
            _delete(doomed)
            # Renamed first, so that a kill amid the deletion leaves no half of an artifact.
            place.rename(doomed)
            _delete(doomed)

    def keys(self) -> set[str]:
        """The keys of all finished artifacts, of any stage."""
        return {place.parent.name for place in self.root.glob(f"*/*/{MANIFEST}")}

    def clear(self, keep: Collection[str]) -> None:
        """Deletes every artifact but those of these keys, and what killed runs left behind.

        The caller sees to it that nobody is making any.
        """
        for place in sorted(self.root.glob("*/*")):
            key = place.name.removeprefix(".").removesuffix(".unfinished")
            if not _KEY.fullmatch(key) or (key in keep and place.name == key):
                continue
            self.remove(place.parent.name, key)
            with _explained(place):
                _delete(_unfinished(place.with_name(key)))

    def verify(self, artifact: Path, *, contents: bool = True) -> None:
        """Compares an artifact's files with its manifest.

        Args:
            contents: reads every byte; else only which files there are, and their sizes.

        Raises:
            StoreError: a file is missing, changed, or was not there when it was made.
        """
        expected = _read_manifest(artifact)
        actual = {path.relative_to(artifact).as_posix(): path for path in _files(artifact)}
        problems = [f"{name} is missing" for name in sorted(expected.keys() - actual)]
        problems += [f"{name} does not belong there" for name in sorted(actual.keys() - expected)]
        for name in sorted(expected.keys() & actual):
            if actual[name].stat().st_size != expected[name]["size"] or (
                contents and _describe(actual[name]) != expected[name]
            ):
                problems.append(f"{name} has changed")
        if problems:
            raise _damaged(artifact, problems[0])

    def _place(self, stage: str, key: str) -> Path:
        return self.root / stage / key


def _make(place: Path, make: Callable[[Path], None]) -> Path:
    unfinished = _unfinished(place)
    _delete(unfinished)
    unfinished.mkdir()
    try:
        make(unfinished)
        _write_manifest(unfinished)
        _delete(place)  # only a folder without its manifest can be there
        unfinished.rename(place)
    except BaseException:
        _delete(unfinished)
        raise
    _fsync(place.parent)
    return place


def _write_manifest(folder: Path) -> None:
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    described = {name: _describe(path) for name, path in sorted(files.items())}
    for path in sorted(folder.rglob("*")):
        _fsync(path)
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"files": described}, indent=1), encoding="utf-8")
    _fsync(manifest)
    _fsync(folder)


def _read_manifest(artifact: Path) -> dict[str, dict[str, Any]]:
    try:
        manifest = json.loads((artifact / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(artifact, f"{MANIFEST} is missing or cannot be read") from error
    return files


def _damaged(artifact: Path, problem: str) -> StoreError:
    return StoreError(
        f"{artifact} is damaged: {problem}. Delete that folder and run the turn again."
    )


def _files(folder: Path) -> Iterator[Path]:
    manifest = folder / MANIFEST
    return (path for path in folder.rglob("*") if path.is_file() and path != manifest)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfinished(place: Path) -> Path:
    return place.with_name(f".{place.name}.unfinished")


def _delete(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _clear_leftovers(stage: Path) -> None:
    """Deletes what killed runs left behind, of any key; what others are making stays."""
    for leftover in stage.glob(".*.unfinished"):
        place = stage / leftover.name.removeprefix(".").removesuffix(".unfinished")
        with suppress(BlockingIOError), _locked(place, wait=False):
            _delete(leftover)


@contextmanager
def _locked(place: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds the artifact's lock, which the system lets go when its holder dies.

    The empty lock file stays: deleting it would let two processes hold two locks of one name.
    """
    lock = place.with_name(f".{place.name}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Arrow and Lance say it in words only.
        if error.errno in _FULL or os.strerror(errno.ENOSPC) in str(error):
            raise StoreError(
                f"The disk that holds {place.parent} is full. Free some space and run the same "
                "command again: finished stages are kept."
            ) from error
        if error.errno in _UNWRITABLE:
            raise StoreError(
                f"{place.parent} cannot be written: its file system is read-only."
            ) from error
        raise

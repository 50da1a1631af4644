"""Backup: all that cannot be made again, as of one moment, in one file that only its owner reads.

    settings, exam → every table, in one read → the versions' artifacts → uploads → the manifest

Whatever else runs goes on meanwhile: the database gives one state of its data, and artifacts never
change. What was erased while a backup was made is not in it: it begins anew. Not here: what others
can bring back (documents, base models), and what must not lie in a backup (`owner.key`, sessions).
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as release_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from flywheel.artifacts import MANIFEST as ARTIFACT_MANIFEST
from flywheel.errors import StoreError, UsageError, WorkspaceBusy
from flywheel.store import dump, erasures, versions
from flywheel.store.tables import SCHEMA
from flywheel.wheel import keys
from flywheel.wheel import settings as settings_file
from flywheel.wheel.backup.tarball import Member, Writer
from flywheel.wheel.versions import parts_of
from flywheel.wheel.workspace import UPLOADS, Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

FORMAT = 1
"""Raised when an earlier release could no longer read what is written."""

MANIFEST = "manifest.json"
SETTINGS = settings_file.FILE
EXAM = "exam.jsonl"
"""The exam's name in a backup, whatever the settings call it."""
ROWS = "database"
ARTIFACTS = "artifacts"
MODERATION = "moderation"
FOLDERS = (UPLOADS, MODERATION)
"""What the workspace keeps as plain files."""

_SUFFIX = ".tar.gz"
_ROWS_BYTES = 8 << 20
"""So many bytes of rows are one member: that is all that is held in memory."""
_MAX_ATTEMPTS = 5
_MAX_NAME_BYTES = 255
_MAX_PATH_CHARS = 2_000

Progress = Callable[[str, int, int], None]
"""What is being written, how much of it is done, and how much there is."""


class Manifest(BaseModel):
    """What a backup holds; its last member."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: int
    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    release: str
    """Of flywheel."""
    revision: str
    """The schema of the database."""
    at: str
    """UTC, ISO 8601: nothing that came later is in it."""
    root: str
    """Where the workspace was."""
    champion: int | None
    rows: dict[str, int]
    """Of each table."""
    members: dict[str, Member]
    """Everything else in the archive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackedUp:
    """What a backup came to."""

    file: Path
    size_bytes: int
    at: str
    champion: int | None
    num_rows: int
    num_files: int
    notes: tuple[str, ...]
    """What is not in it although it should be."""
    seconds: float


@dataclass(kw_only=True, slots=True)
class _Snapshot:
    """What the database told at the moment of the backup."""

    at: str
    champion: int | None
    rows: Mapping[str, int]
    num_erasures: int
    artifacts: Mapping[tuple[str, str], list[int]]
    """Stage and key, each with the versions that name it."""
    notes: list[str] = field(default_factory=list)


class _ChangedMeanwhile(Exception):
    """Something went away while it was being copied."""


def backup(workspace: Workspace, target: Path, progress: Progress = lambda *_: None) -> BackedUp:
    """Writes a backup, under its name only once it is whole and on disk.

    Args:
        target: a new file, or a folder to put one in that is named after the time.

    Raises:
        UsageError: there is such a file already, or it would lie among what is backed up.
        StoreError: the database does not answer.
        WorkspaceBusy: another backup is writing the same file, or erases never end.
    """
    started = time.perf_counter()
    target = _place(workspace, target)
    part = target.with_name(f".{target.name}.part")
    with _exclusively(part) as file:
        manifest, notes = _written(workspace, file, progress)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
        part.replace(target)
    _fsync(target.parent)
    with suppress(StoreError):  # a database that cannot be written is backed up all the same
        workspace.database.write(
            lambda conn: keys.record(conn, None, "workspace.backup", manifest.id)
        )
    return BackedUp(
        file=target,
        size_bytes=size,
        at=manifest.at,
        champion=manifest.champion,
        num_rows=sum(manifest.rows.values()),
        num_files=sum(not name.startswith(f"{ROWS}/") for name in manifest.members),
        notes=notes,
        seconds=time.perf_counter() - started,
    )


def _place(workspace: Workspace, target: Path) -> Path:
    target = target.expanduser().absolute()
    if target.is_dir():
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
        target = target / f"flywheel-{now}{_SUFFIX}"
    if target.exists():
        raise UsageError(f"{target} is there already. Name a new file, or a folder.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent}. Make it first.")
    own = {(workspace.root / name).resolve() for name in (ARTIFACTS, *FOLDERS)}
    if not own.isdisjoint(target.resolve().parents):
        raise UsageError(f"{target} lies among what is backed up. Name a place elsewhere.")
    return target


@contextmanager
def _exclusively(part: Path) -> Iterator[BinaryIO]:
    """An empty file that nobody else reads or writes; gone afterwards, unless it was renamed."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkspaceBusy(f"Another backup is writing {part}. Wait for it to end.") from error
        os.fchmod(descriptor, 0o600)
        file.truncate()
        try:
            yield file
        finally:
            part.unlink(missing_ok=True)


def _written(
    workspace: Workspace, file: BinaryIO, progress: Progress
) -> tuple[Manifest, tuple[str, ...]]:
    for _ in range(_MAX_ATTEMPTS):
        file.seek(0)
        file.truncate()
        with suppress(_ChangedMeanwhile):
            return _attempt(workspace, file, progress)
    raise WorkspaceBusy(
        f"Files of {workspace.root} went away again and again while they were copied. Let erases "
        "and uploads end, then run this again."
    )


def _attempt(
    workspace: Workspace, file: BinaryIO, progress: Progress
) -> tuple[Manifest, tuple[str, ...]]:
    """One try; what it leaves in the file is of no use where it raises."""
    writer = Writer(file)
    notes = _write_own_files(workspace, writer)
    with workspace.database.read() as conn:
        snapshot = _snapshot(conn, workspace)
        _write_rows(conn, writer, snapshot, progress)
    files = dict(_files(workspace, snapshot))
    for done, (name, path) in enumerate(sorted(files.items()), start=1):
        _copy(writer, name, path)
        progress("files", done, len(files))
    snapshot.notes += _changed_artifacts(workspace, writer, snapshot)
    with workspace.database.read() as conn:
        if erasures.count(conn) != snapshot.num_erasures:
            raise _ChangedMeanwhile
    manifest = Manifest(
        format=FORMAT,
        id=uuid.uuid4().hex,
        release=release_of("flywheel-assistant"),
        revision=SCHEMA,
        at=snapshot.at,
        root=str(workspace.root),
        champion=snapshot.champion,
        rows=dict(snapshot.rows),
        members=dict(writer.members),
    )
    _add(writer, MANIFEST, manifest.model_dump_json(indent=1).encode())
    writer.close()
    return manifest, (*notes, *snapshot.notes)


def _write_own_files(workspace: Workspace, writer: Writer) -> list[str]:
    """The settings, and the exam where it lies in the workspace."""
    _copy(writer, SETTINGS, workspace.root / SETTINGS)
    exam = workspace.root / workspace.settings.exam.file
    if not exam.is_file():
        return []
    if not is_inside(workspace.settings.exam.file):
        return [f"{exam} is not in it: it lies elsewhere, so keep a copy of your own"]
    _copy(writer, EXAM, exam)
    return []


def is_inside(place: str) -> bool:
    """Whether a path that settings name is one below the workspace's folder."""
    path = Path(place)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def is_plain(name: str) -> bool:
    """Whether a name in a backup leads to a file below the folder that it is unpacked in."""
    try:
        parts = [part.encode() for part in name.split("/")]
    except UnicodeEncodeError:  # bytes of a file system in another encoding
        return False
    return (
        all(part not in (b"", b".", b"..") and len(part) <= _MAX_NAME_BYTES for part in parts)
        and len(name) <= _MAX_PATH_CHARS
        and not any(each < " " or each == "\x7f" for each in name)
    )


def _snapshot(conn: Connection, workspace: Workspace) -> _Snapshot:
    rows = dump.counts(conn)  # the first query: from now on the connection sees this state
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    champion = versions.champion(conn)
    named: dict[tuple[str, str], list[int]] = {}
    for version in versions.list_versions(conn):
        for part in [] if version.erased else parts_of(version.bundle):
            named.setdefault(part, []).append(version.number)
    if not erasures.unfinished_ids(conn):
        # A model of hours that a turn has built, and that no version names yet.
        for place in workspace.artifacts.root.glob(f"model/[!.]*/{ARTIFACT_MANIFEST}"):
            named.setdefault(("model", place.parent.name), [])
    return _Snapshot(
        at=now,
        champion=champion.number if champion else None,
        rows=rows,
        num_erasures=erasures.count(conn),
        artifacts=named,
    )


def _write_rows(conn: Connection, writer: Writer, snapshot: _Snapshot, progress: Progress) -> None:
    total, done = sum(snapshot.rows.values()), 0
    for table in dump.tables():
        waiting, size, part = list[bytes](), 0, 0
        for line in dump.lines(conn, table):
            waiting.append(line + b"\n")
            size, done = size + len(line), done + 1
            if size >= _ROWS_BYTES:
                part += 1
                _add(writer, _rows_name(table.name, part), b"".join(waiting))
                waiting, size = [], 0
                progress("rows", done, total)
        if waiting:
            _add(writer, _rows_name(table.name, part + 1), b"".join(waiting))
        progress("rows", done, total)


def _rows_name(table: str, part: int) -> str:
    return f"{ROWS}/{table}-{part:06}.jsonl"


def _files(workspace: Workspace, snapshot: _Snapshot) -> Iterator[tuple[str, Path]]:
    """Names in the backup, and the files that they are copied from."""
    for (stage, key), numbers in snapshot.artifacts.items():
        folder = workspace.artifacts.find(stage, key)
        if folder is None:
            snapshot.notes.append(_without(stage, numbers, "is missing from the workspace"))
            continue
        for path in folder.rglob("*"):
            if path.is_file():
                yield f"{ARTIFACTS}/{stage}/{key}/{path.relative_to(folder).as_posix()}", path
    for name in FOLDERS:
        for place, folders, names in os.walk(workspace.root / name):
            # What is still coming in begins with a dot.
            folders[:] = [each for each in folders if not each.startswith(".")]
            for path in (Path(place) / each for each in names if not each.startswith(".")):
                named = path.relative_to(workspace.root).as_posix()
                if path.is_symlink() or not path.is_file() or not is_plain(named):
                    snapshot.notes.append(f"{path} is not in it: it, or its name, is not plain")
                else:
                    yield named, path


def _changed_artifacts(workspace: Workspace, writer: Writer, snapshot: _Snapshot) -> Iterator[str]:
    """Those whose files are not what their own manifests say: a disk or a hand has changed them."""
    copied: dict[str, dict[str, dict[str, Any]]] = {}
    for name, each in writer.members.items():
        if name.startswith(f"{ARTIFACTS}/"):
            _, stage, key, path = name.split("/", 3)
            copied.setdefault(f"{stage}/{key}", {})[path] = asdict(each)
    for (stage, key), numbers in snapshot.artifacts.items():
        files = copied.get(f"{stage}/{key}", {})
        if files.pop(ARTIFACT_MANIFEST, None):
            try:
                told = workspace.artifacts.root / stage / key / ARTIFACT_MANIFEST
                is_whole = json.loads(told.read_text(encoding="utf-8"))["files"] == files
            except FileNotFoundError as error:
                raise _ChangedMeanwhile from error
            except (ValueError, KeyError, TypeError):
                is_whole = False
            if not is_whole:
                yield _without(stage, numbers, "is damaged, and so it is in the backup")


def _without(stage: str, numbers: list[int], problem: str) -> str:
    named = ", ".join(map(str, numbers))
    return f"the {stage} of version {named} {problem}: `flywheel turn` builds another"


def _add(writer: Writer, name: str, data: bytes) -> None:
    writer.add(name, len(data), io.BytesIO(data))


def _copy(writer: Writer, name: str, path: Path) -> None:
    """
    Raises:
        _ChangedMeanwhile: it went away, or became shorter.
    """
    try:
        with path.open("rb") as file:
            writer.add(name, os.fstat(file.fileno()).st_size, file)
    except (FileNotFoundError, EOFError) as error:
        raise _ChangedMeanwhile from error


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

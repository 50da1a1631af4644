"""Restore: a backup becomes a workspace, in a new folder or in place of one that is there.

    unpack and check → the rows, at this release's schema → what was erased since, erased again
    → one commit in the database → the files move in

Everything happens beside the place until the commit, which decides: killed at any moment, the old
or the new state stands (swap.py). What was erased here after the backup was made is erased from it
before it may serve, and keys that were revoked stay so (replay.py). Not here: what a backup holds
(backup.py), and how it is read with suspicion (unpacking.py).
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from flywheel.errors import SettingsError, SourceError, StoreError, UsageError, WorkspaceError
from flywheel.store import dump, erasures, integrity, jobs, redaction, state, versions
from flywheel.store import keys as key_store
from flywheel.store.database import Database
from flywheel.store.erasures import TargetKind
from flywheel.wheel import keys, swap
from flywheel.wheel.backup import replay, server_lock, unpacking
from flywheel.wheel.backup.make import ROWS, SETTINGS, Manifest, Progress, is_inside
from flywheel.wheel.backup.plan import STAGED, Before, Plan, refuse_full
from flywheel.wheel.backup.plan import plan as plan_of
from flywheel.wheel.backup.replay import Kept
from flywheel.wheel.settings import Settings, load_settings
from flywheel.wheel.versions import parts_of, problem_of
from flywheel.wheel.workspace import Workspace, database_url

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KEY = re.compile(r"[0-9a-f]{32}")
_ROOM_LEFT_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What a restore came to."""

    root: Path
    at: str
    """When the backup was made."""
    champion: int | None
    num_rows: int
    num_files: int
    num_erased_again: int
    """Erasures that came after the backup, and were done again."""
    notes: tuple[str, ...]
    """What the owner should look at."""
    seconds: float


def read_manifest(archive: Path, folder: Path) -> Manifest:
    """What a backup says of itself; reads all of it, and checks names and sizes.

    Raises:
        SourceError: it is no backup, or not whole.
        StoreError: where the folder is, there is no room for it.
        WorkspaceError: a newer release has made it.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    room = shutil.disk_usage(there).free - _ROOM_LEFT_BYTES
    with _explained(archive), archive.open("rb") as file:
        manifest = unpacking.read_manifest(file, room)
        dump.refuse_newer(manifest.revision)
    return manifest


def restore(
    archive: Path,
    folder: Path,
    *,
    store: str = "",
    over: bool = False,
    progress: Progress = lambda *_: None,
) -> Restored:
    """Makes a folder the workspace that was backed up.

    Args:
        store: the URL of a blank database to restore into; empty is the one of the workspace that
            is there, or else the backup's own, if that is a file in its folder.
        over: takes the place of a workspace that is there.

    Raises:
        SourceError: the backup is damaged, or none.
        UsageError: there is a workspace, or something else, and it must not be replaced.
        WorkspaceBusy: somebody has it open.
        WorkspaceError: a newer release has made the backup.
        StoreError: the disk is full, or the database does not answer.
    """
    started = time.perf_counter()
    root = folder.expanduser().absolute()
    swap.settle(root)
    if Workspace.is_at(root) and not over:
        raise UsageError(f"{root} is a workspace. Name another folder, or say --yes to replace it.")
    if store:
        refuse_full(database_url(store, root))
    manifest = read_manifest(archive, root)
    is_made = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with swap.staging(root) as staging, _claimed(root) as before:
            with _explained(archive):
                with archive.open("rb") as file:
                    unpacking.unpack(file, manifest, staging, progress)
                plan = plan_of(staging, root, before, store)
                staged = _loaded(staging, root, manifest, plan.settings)
            with staged:
                again = replay.erase_again(staged, before.erasures if before else (), progress)
                champion, problems = _made_ready(staged, root)
                lost = _swap_in(staged, root, plan, before, manifest)
            if before:
                _compact(plan.url)
    finally:
        if is_made and not Workspace.is_at(root):
            swap.clear(root)
    return Restored(
        root=root,
        at=manifest.at,
        champion=champion,
        num_rows=sum(manifest.rows.values()),
        num_files=sum(not name.startswith(f"{ROWS}/") for name in manifest.members),
        num_erased_again=len(again),
        notes=(*plan.notes, *problems, *lost),
        seconds=time.perf_counter() - started,
    )


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except (SourceError, SettingsError, WorkspaceError) as error:
        raise type(error)(f"{archive}: {error}") from error
    except OSError as error:
        if error.filename != str(archive):
            raise
        raise SourceError(f"{archive}: {error.strerror}.") from error


@contextmanager
def _claimed(root: Path) -> Iterator[Before | None]:
    """What there is, so that nobody else uses it until the end; None where it is no workspace."""
    if not Workspace.is_at(root):
        yield None
        return
    with server_lock.alone(root):
        settings = load_settings(root / SETTINGS)
        url = database_url(settings.store.url, root)
        integrity.refuse_others(url)
        try:
            workspace = Workspace.open(root)
        except StoreError as error:
            if not integrity.is_damaged(error):
                raise
            yield Before(settings=settings, url=url, is_damaged=True)
            return
        with workspace, workspace.exclusive():
            before = _before(workspace, url)
            workspace.database.close()
            yield before


def _before(workspace: Workspace, url: str) -> Before:
    try:
        with workspace.database.read() as conn:
            is_damaged = bool(integrity.problem_of(conn))
            since = replay.erasures_of(conn)
    except StoreError as error:
        if not integrity.is_damaged(error):
            raise
        is_damaged, since = True, []
    return Before(settings=workspace.settings, url=url, is_damaged=is_damaged, erasures=since)


def _loaded(staging: Path, root: Path, manifest: Manifest, settings: Settings) -> Workspace:
    """The backup as a workspace of its own, in the folder where it was unpacked."""
    url = database_url(f"sqlite:///{STAGED}", staging)
    database = dump.load(url, manifest.revision, unpacking.rows(staging))
    shutil.rmtree(staging / ROWS, ignore_errors=True)
    try:
        for each in _embeddings(database):
            if is_inside(each) and (root / each).is_dir() and not (staging / each).exists():
                # What is erased again may have to be indexed again.
                (staging / each).parent.mkdir(parents=True, exist_ok=True)
                (staging / each).symlink_to(root / each)
    except BaseException:
        database.close()
        raise
    return Workspace(staging, settings, database)


def _embeddings(database: Database) -> set[str]:
    """The embedding models that versions name.

    Raises:
        SourceError: what the rows say makes no sense.
    """
    try:
        with database.read() as conn:
            bundles = [each.bundle for each in versions.list_versions(conn)]
            for read in (versions.champion, versions.best, versions.history, key_store.list_keys):
                read(conn)
            jobs.list_jobs(conn)
            kinds = {each.kind for each in erasures.list_erasures(conn)}
        keys_of_parts = [str(key) for bundle in bundles for _, key in parts_of(bundle)]
        makes_sense = kinds <= {*get_args(TargetKind)} and all(map(_KEY.fullmatch, keys_of_parts))
        named = {str(bundle["embedding"]) for bundle in bundles if bundle.get("embedding")}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SourceError("its rows make no sense") from error
    if not makes_sense:
        raise SourceError("it names artifacts or erasures of a kind that there is not")
    return named


def _made_ready(staged: Workspace, root: Path) -> tuple[int | None, list[str]]:
    """Ends the jobs of another time. The version that will serve, and why it cannot."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")

    def cancel(conn: Connection) -> None:
        for each in (*jobs.in_state(conn, "queued"), *jobs.in_state(conn, "running")):
            jobs.cancel(conn, each.id, now)

    staged.database.write(cancel)
    with staged.database.read() as conn:
        champion = versions.champion(conn)
    if champion is None:
        return None, []
    problem = problem_of(staged, champion)
    return champion.number, [problem.replace(str(staged.root), str(root))] if problem else []


def _swap_in(
    staged: Workspace, root: Path, plan: Plan, before: Before | None, manifest: Manifest
) -> list[str]:
    """Commits the rows, which decides, and moves the files in. What was lost by that."""
    lost: list[str] = []

    def write(conn: Connection) -> None:
        kept = _kept(conn, plan, before)
        dump.replace(conn, source)
        if kept:
            replay.keep(conn, kept)
            lost.extend(_lost(conn, kept))
        keys.record(conn, None, "workspace.restore", manifest.id)
        state.put(conn, swap.RESTORED, plan.journal.id)

    swap.prepare(root, plan.journal)
    try:
        with Database.open(plan.url) as database, staged.database.read() as source:
            database.write(write)
        if plan.journal.is_new:
            (root / plan.journal.file).chmod(0o600)
    finally:
        swap.finish(root)
    return lost


def _kept(conn: Connection, plan: Plan, before: Before | None) -> Kept | None:
    """What the workspace that was there still says of keys and acts."""
    if before is None or before.is_damaged:
        return None
    if before.url == plan.url:
        return replay.kept_of(conn)
    with Database.open(before.url) as database, database.read() as other:
        return replay.kept_of(other)


def _lost(conn: Connection, kept: Kept) -> Iterator[str]:
    gone = kept.valid - {each.id for each in key_store.list_keys(conn)}
    if gone:
        ids = ", ".join(sorted(gone))
        yield f"keys that were made after the backup let nobody in any more: {ids}"


def _compact(url: str) -> None:
    """Gives back the room of the rows that were replaced. Nothing rests on it."""
    with suppress(StoreError), Database.open(url) as database:
        database.compact([table.name for table in redaction.every_table()])

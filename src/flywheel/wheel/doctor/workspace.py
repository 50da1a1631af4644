"""What doctor looks at within a workspace: settings, database, version, keys, jobs, leftovers."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, inspect, text

from flywheel.errors import FlywheelError, StoreError
from flywheel.evaluate.exam import read_exam
from flywheel.store import erasures as erasure_store
from flywheel.store import integrity, schema, versions
from flywheel.store import jobs as job_store
from flywheel.store import keys as key_store
from flywheel.store.database import Database
from flywheel.store.tables import SCHEMA, state
from flywheel.wheel import swap
from flywheel.wheel.backup import server_lock
from flywheel.wheel.doctor.checkup import WAIT_SECONDS, Finding, Patient, fail, ok, warn
from flywheel.wheel.keys import hash_of
from flywheel.wheel.settings import ExamSettings, load_settings
from flywheel.wheel.versions import problem_of
from flywheel.wheel.workspace import KEY_FILE, WORKER_LOCK, Workspace, database_url

ERASE_LOCK = "flywheel.lock"
"""What an erase holds, as an add and a turn do (workspace.py)."""
KEY_DAYS = 14
"""A key that ends within so many days is told."""
LONG_JOB = timedelta(hours=24)
MAX_READ_BYTES = 256 << 20
"""Of a version's artifacts: larger ones are compared by their sizes alone."""
MAX_LEFT_BYTES = 100 << 20

_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def settings(patient: Patient) -> Iterator[Finding]:
    """Whether flywheel.toml can be read, and knows every key that it names."""
    if not patient.settings_file.is_file():
        yield fail(f"{patient.root} is no workspace", "name one with -w, or `flywheel init`")
        return
    try:
        patient.settings = load_settings(patient.settings_file)
        patient.url = database_url(patient.settings.store.url, patient.root)
        assert patient.name  # refuses what names no database
    except FlywheelError as error:
        yield fail(f"settings: {error}", f"mend {patient.settings_file}")
        patient.url = ""
        return
    yield ok(f"settings: {patient.settings_file} is read")


def store(patient: Patient) -> Iterator[Finding]:
    """Whether the database answers, and is of this release's schema."""
    if not patient.url:
        return
    if patient.file is not None and not patient.file.is_file():
        yield fail(
            f"store: {patient.file} is not there", "bring it back: `flywheel restore BACKUP`"
        )
        return
    with patient.reading() as conn:
        if not inspect(conn).has_table(schema.VERSION_TABLE):
            yield fail(f"store: {patient.name} holds no workspace", "see store.url in the settings")
            return
        revision = str(conn.scalar(text(f"SELECT version_num FROM {schema.VERSION_TABLE}")))
        on_log = conn.dialect.name != "sqlite" or conn.scalar(text("PRAGMA journal_mode")) == "wal"
    if revision > SCHEMA:
        yield fail(
            f"store: a newer release made it (schema {revision}, this one knows {SCHEMA})",
            "upgrade flywheel: pip install -U flywheel-assistant",
        )
    elif revision < SCHEMA or not on_log:
        yield warn(
            f"store: it is as an earlier release left it (schema {revision} of {SCHEMA})",
            "make a backup; any other command upgrades it",
        )
    else:
        patient.is_current = True
        yield ok(f"store: {patient.name} opens, schema {revision}")


def soundness(patient: Patient) -> Iterator[Finding]:
    """Whether the database's pages or tables are whole."""
    if not patient.is_current:
        return
    with patient.reading() as conn:
        problem = integrity.problem_of(conn)
    if problem:
        patient.is_current = False
        yield fail(
            f"soundness: {patient.name} is damaged: {problem.splitlines()[-1][:200]}",
            "stop the server and bring back a backup: `flywheel restore BACKUP --yes`",
        )
    else:
        yield ok("soundness: no damage is found in the database")


def writable(patient: Patient) -> Iterator[Finding]:
    """Whether a row could be written; it is undone."""
    if not patient.is_current:
        return
    try:
        with patient.trying() as conn:
            conn.execute(insert(state).values(key="doctor", value=None))
    except StoreError as error:
        if integrity.is_locked(error):
            yield warn(f"writable: {patient.name} is being written just now", "ask again later")
            return
        raise
    yield ok("writable: the database takes rows")


def champion(patient: Patient) -> Iterator[Finding]:
    """Whether a version serves, and all of it is there."""
    if not patient.is_current:
        return
    assert patient.settings is not None
    # Not as it is opened otherwise: that would complete a restore which was interrupted.
    database = Database.open(patient.url, busy_timeout_seconds=WAIT_SECONDS)
    patient.workspace = workspace = Workspace(patient.root, patient.settings, database)
    with database.read() as conn:
        patient.champion = version = versions.champion(conn)
    if version is None:
        yield warn("champion: no version serves", "`flywheel add DOCUMENTS`, then `flywheel turn`")
        return
    contents = patient.champion_bytes() <= MAX_READ_BYTES
    if problem := problem_of(workspace, version, contents=contents):
        yield fail(f"champion: {problem}", "`flywheel versions rollback`, or bring back a backup")
        return
    how = "whole" if contents else "there, by names and sizes"
    yield ok(f"champion: version {version.number} is {how}")


def index(patient: Patient) -> Iterator[Finding]:
    """Whether the champion's index finds a passage of its own."""
    if patient.workspace is None or patient.champion is None:
        return
    from flywheel.search.index import PassageIndex

    folder = patient.workspace.artifacts.find("index", patient.champion.bundle["index"])
    if folder is None:
        return  # told of the champion
    opened = PassageIndex(folder)
    passage = next(opened.passages(), None)
    if passage is None:
        yield warn("index: it holds no passage", "`flywheel add DOCUMENTS`, then `flywheel turn`")
        return
    hits = opened.search(passage.text[:200], opened.everyone)
    if passage.id in {hit.passage.id for hit in hits}:
        yield ok(f"index: it answers, from {opened.frequencies.num_passages} passages")
    else:
        yield fail("index: it does not find its own passages", "`flywheel versions rollback`")


def permissions(patient: Patient) -> Iterator[Finding]:
    """Whether others on this machine can read keys, questions or a password."""
    problems = []
    key = patient.root / KEY_FILE
    if key.is_file() and key.stat().st_mode & _OPEN_TO_OTHERS:
        problems.append(fail(f"permissions: others can read {key}", f"chmod 600 {key}"))
    if not patient.root.stat().st_mode & stat.S_IXOTH:
        files: list[Path | None] = []  # nobody else gets as far as the files
    else:
        files = [patient.file, patient.settings_file] if patient.url else [patient.settings_file]
    for file in files:
        if file is not None and file.is_file() and file.stat().st_mode & stat.S_IROTH:
            problems.append(
                warn(f"permissions: others can read {file}", f"chmod 700 {patient.root}")
            )
    yield from problems or [ok("permissions: only its user reads the workspace")]


def exam(patient: Patient) -> Iterator[Finding]:
    """Whether the exam's file can be read."""
    if patient.settings is None:
        return
    file = patient.root / patient.settings.exam.file
    if not file.is_file():
        if patient.settings.exam.file == ExamSettings().file:
            yield ok("exam: there is no file, so questions are made from the documents")
        else:
            yield fail(f"exam: {file} is not there", "mend [exam] file in flywheel.toml")
        return
    try:
        yield ok(f"exam: {len(read_exam(file))} questions are read from {file}")
    except FlywheelError as error:
        yield fail(f"exam: {error}", "mend that line; no turn can be examined until then")


def keys(patient: Patient) -> Iterator[Finding]:
    """Whether keys end soon, and whether owner.key lets anybody in."""
    if not patient.is_current:
        return
    with patient.reading() as conn:
        every = key_store.list_keys(conn)
        now = patient.now.isoformat(timespec="milliseconds")
        soon = (patient.now + timedelta(days=KEY_DAYS)).isoformat(timespec="milliseconds")
        valid = [each for each in every if each.state(now) == "valid"]
        ending = [each for each in valid if each.state(soon) != "valid"]
        file = patient.root / KEY_FILE
        if file.is_file():
            secret = file.read_text(encoding="utf-8").strip()
            held = key_store.of_hash(conn, hash_of(secret))
            if held is None or held.state(now) != "valid":
                yield warn(
                    f"keys: {file} lets nobody in",
                    "delete it, and make another: `flywheel keys add --name you --role owner`",
                )
    for each in ending:
        yield warn(
            f"keys: {each.id} of {each.name} ends at {each.expires_at}",
            f"`flywheel keys add --name {each.name!r} --role {each.role}` makes the next one",
        )
    if every and not any(each.role == "owner" for each in valid):
        yield warn("keys: no owner's key is valid", "`flywheel keys add --name you --role owner`")
    elif not ending:
        yield ok(f"keys: {len(valid)} valid, none ends within {KEY_DAYS} days")


def jobs(patient: Patient) -> Iterator[Finding]:
    """Whether a job hangs, or waits for a worker that is not there."""
    if not patient.is_current:
        return
    with patient.reading() as conn:
        running = job_store.in_state(conn, "running")
        num_queued = len(job_store.in_state(conn, "queued"))
    works = server_lock.is_held_alone(patient.root / WORKER_LOCK)
    if (running or num_queued) and not works:
        yield fail(
            f"jobs: {len(running) + num_queued} wait, and no worker does them",
            "start the server, which starts its worker: `flywheel serve`",
        )
        return
    for each in running:
        since = each.started_at or each.created_at
        if patient.now - datetime.fromisoformat(since) > LONG_JOB:
            yield warn(
                f"jobs: the {each.kind} {each.id} has been running since {since}",
                "see the server's log; it can be cancelled, and goes on where it was",
            )
            return
    yield ok(f"jobs: {len(running)} running, {num_queued} waiting")


def erasures(patient: Patient) -> Iterator[Finding]:
    """Whether all that was to be erased is."""
    if not patient.is_current:
        return
    with patient.reading() as conn:
        num_open = len(erasure_store.unfinished_ids(conn))
    if num_open and not server_lock.is_held_alone(patient.root / ERASE_LOCK):
        yield fail(
            f"erasures: {num_open} interrupted, and not proven yet",
            "run the same `flywheel erase` again",
        )
    else:
        yield ok("erasures: all are done")


def leftovers(patient: Patient) -> Iterator[Finding]:
    """What killed commands left behind."""
    if not patient.settings_file.is_file():
        return
    found = []
    if swap.is_interrupted(patient.root):
        found.append(
            warn("leftovers: a restore was interrupted", "any other command completes or undoes it")
        )
    for place in sorted(patient.root.glob(".*.part")):
        found.append(warn(f"leftovers: {place} of a killed backup", "delete it"))
    for place in sorted(patient.root.glob("*.damaged-*")):
        found.append(warn(f"leftovers: {place} of a restore", "delete it if you need it no more"))
    left = _bytes_left(patient.root)
    if left > MAX_LEFT_BYTES:
        found.append(
            warn(
                f"leftovers: {left >> 20} MiB of killed turns", "the next `flywheel turn` clears it"
            )
        )
    yield from found or [ok("leftovers: none")]


def _bytes_left(root: Path) -> int:
    places = root.glob("artifacts/*/.*.unfinished/**/*")
    return sum(place.stat().st_size for place in places if place.is_file())

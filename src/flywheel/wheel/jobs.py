"""Jobs: turns and adds in the background. What they are told, what they do and what they come to.

Not here: the one that does them in their order (worker.py), and who may ask (serve/jobs.py).
"""

from __future__ import annotations

import re
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.errors import FlywheelError, StoreError, UsageError, WorkspaceBusy
from flywheel.records import to_json
from flywheel.store import jobs as job_store
from flywheel.store.jobs import (
    AddArguments,
    Arguments,
    ExamArguments,
    Job,
    JobKind,
    Progress,
    SourceArguments,
    TurnArguments,
)
from flywheel.store.redaction import ERASED
from flywheel.wheel import folders, health_report, ingest, uploads
from flywheel.wheel.keys import COMMAND_LINE, Caller, record
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.ingest import Added, FileFate
    from flywheel.wheel.turn import Turned

RETRY_SECONDS = 0.5
"""How long a job waits before it looks whether the workspace is free."""
REPORT_SECONDS = 1.0
"""How often a job says at most how far it has come."""
MAX_LISTED = 200
"""Files that an add's result names; the rest is counted."""

WAITING = "waiting"
"""The stage of a job that waits for a command to let go of the workspace."""

_MAX_ERROR_CHARS = 500


def submit(workspace: Workspace, arguments: Arguments, by: Caller | None = None) -> Job:
    """Asks for a job. A turn or a sitting that waits already is the one that is asked for.

    Args:
        by: who asks; None is the command line's owner.
    """
    return workspace.database.write(lambda conn: submit_within(conn, arguments, by))


def submit_within(conn: Connection, arguments: Arguments, by: Caller | None = None) -> Job:
    """As `submit`, in a transaction that does more."""
    job = Job(
        id=uuid.uuid4().hex,
        arguments=arguments,
        user=by.name if by else COMMAND_LINE,
        created_at=now(),
    )
    if job.kind in ("turn", "exam"):
        for each in job_store.in_state(conn, "queued"):
            if each.arguments == arguments:
                return each
    record(conn, by, f"jobs.{job.kind}", job.id)
    job_store.put(conn, job)
    return job


def get(workspace: Workspace, id: str, labels: Sequence[str] | None = None) -> Job | None:
    """The job of that id, if there is one and it is for these labels to see."""
    if not re.fullmatch("[0-9a-f]{32}", id):
        return None
    with workspace.database.read() as conn:
        job = job_store.get(conn, id)
    return job if job and _is_readable(job, labels) else None


def list_jobs(
    workspace: Workspace,
    limit: int = 100,
    after: Job | None = None,
    labels: Sequence[str] | None = None,
    kinds: Collection[JobKind] | None = None,
) -> list[Job]:
    """The latest jobs, the latest first.

    Args:
        after: goes on behind this one.
        labels: those who may see them; None is everybody.
        kinds: those that are listed; None lists all.
    """
    found: list[Job] = []
    place = after.id if after else ""
    with workspace.database.read() as conn:
        while page := job_store.list_jobs(conn, limit, place, kinds):
            found += [each for each in page if _is_readable(each, labels)]
            if len(found) >= limit or len(page) < limit:
                break
            place = page[-1].id
    return found[:limit]


def active(workspace: Workspace, labels: Sequence[str] | None = None) -> list[Job]:
    """The job that runs, if one does, and those that wait, in their order.

    Args:
        labels: those who may see them; None is everybody.
    """
    with workspace.database.read() as conn:
        every = [*job_store.in_state(conn, "running"), *job_store.in_state(conn, "queued")]
    return [each for each in every if _is_readable(each, labels)]


def cancel(workspace: Workspace, id: str, by: Caller | None = None) -> bool:
    """Cancels a job that waits or runs; what it has finished stays. Whether there was one.

    A running one stops within a second.
    """

    def write(conn: Connection) -> bool:
        cancelled = job_store.cancel(conn, id, now())
        if cancelled:
            record(conn, by, "jobs.cancel", id)
        return cancelled

    return workspace.database.write(write)


def run_job(root: Path, id: str) -> None:
    """Does a job that is marked as running, in this process, and writes down what it came to."""
    with Workspace.open(root) as workspace:
        with workspace.database.read() as conn:
            job = job_store.get(conn, id)
        if job is None or job.state != "running":
            return
        result, error = _attempt(workspace, job)
        workspace.database.write(lambda conn: _finish(conn, job, result, error))


def _finish(conn: Connection, job: Job, result: dict[str, Any], error: str) -> None:
    standing = job_store.get(conn, job.id)
    if standing and standing.arguments != job.arguments:
        # An erasure took what it is about, between its end and now.
        result, error = {}, ERASED if error else ""
    job_store.finish(conn, job.id, now(), result, error)


def _attempt(workspace: Workspace, job: Job) -> tuple[dict[str, Any], str]:
    """The result, or else what went wrong in a line or two."""
    try:
        return _patiently(workspace, job), ""
    except FlywheelError as error:
        return {}, _cut(str(error))
    except Exception as error:
        traceback.print_exc()
        said = " ".join("".join(traceback.format_exception_only(error)).split())
        return {}, _cut(f"{said} (the worker's log says more)")


def _patiently(workspace: Workspace, job: Job) -> dict[str, Any]:
    """Does the job, once no command holds the workspace."""
    progress = _Reporter(workspace, job)
    while True:
        try:
            if isinstance(job.arguments, TurnArguments):
                return _turn(workspace, job.arguments, progress)
            if isinstance(job.arguments, ExamArguments):
                return _sit(workspace, progress)
            if isinstance(job.arguments, SourceArguments):
                return _read(workspace, job.arguments, progress)
            return _add(workspace, job.arguments, progress)
        except WorkspaceBusy:
            progress(WAITING, 0, 0)
            time.sleep(RETRY_SECONDS)


def _turn(
    workspace: Workspace, arguments: TurnArguments, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    from flywheel.wheel.turn import turn  # with all that builds, which the server need not load

    turned = turn(workspace, progress, model=arguments.model)
    progress("health", 0, 0)
    with suppress(FlywheelError):  # a report that is missing is no reason to call the turn failed
        health_report.measure(workspace)
    return _turned(turned)


def _turned(turned: Turned) -> dict[str, Any]:
    return {
        "version": turned.version,
        "decision": turned.decision,
        "reasons": list(turned.reasons),
        "champion": turned.champion,
        "metrics": {name: to_json(score) for name, score in turned.metrics.items()},
        "seconds": round(turned.seconds, 3),
    }


def _sit(workspace: Workspace, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    from flywheel.wheel.exam.card import sit_again

    version, card = sit_again(workspace, progress)
    return {
        "version": version,
        "num_questions": card.num_questions,
        "metrics": {name: to_json(score) for name, score in card.metrics.items()},
        "seconds": card.seconds,
    }


def _add(
    workspace: Workspace, arguments: AddArguments, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    added = uploads.add(workspace, arguments.access, progress)
    own = [each for each in added.files if each.path.split("!/")[0] in arguments.files]
    return _added(added, own)


def _read(
    workspace: Workspace, arguments: SourceArguments, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    if not arguments.source:
        raise UsageError("This source was erased.")
    # The settings, or what is there, may be others than when it was asked for.
    folders.check(workspace, arguments.source)
    added = ingest.add(workspace, [arguments.source], arguments.access, progress)
    return _added(added, list(added.files))


def _added(added: Added, own: list[FileFate]) -> dict[str, Any]:
    """What became of the files that the job is about; those that were set aside come first."""
    own.sort(key=lambda each: each.fate in ("kept", "unchanged"))
    return {
        "fates": dict(Counter(each.fate for each in own)),
        "documents": [_row(each) for each in own[:MAX_LISTED]],
        "num_deleted": added.num_deleted,
        "seconds": round(added.seconds, 3),
    }


def _row(each: FileFate) -> dict[str, Any]:
    return {
        "source": each.source,
        "path": each.path,
        "fate": each.fate,
        "reason": each.reason,
        "passages": each.passages,
    }


class _Reporter:
    """Writes down how far a job has come, once a second at most."""

    def __init__(self, workspace: Workspace, job: Job) -> None:
        self._database, self._job = workspace.database, job
        self._next = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + REPORT_SECONDS
        progress = Progress(stage=stage, done=done, total=total)
        with suppress(StoreError):  # nobody's job fails for what it would have said
            self._database.write(lambda conn: job_store.report(conn, self._job, progress))


def _is_readable(job: Job, labels: Sequence[str] | None) -> bool:
    if not isinstance(job.arguments, AddArguments | SourceArguments):
        return True
    return uploads.is_readable(job.arguments.access, labels)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_ERROR_CHARS else f"{text[: _MAX_ERROR_CHARS - 1]}…"


def now() -> str:
    """The time as jobs keep it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")

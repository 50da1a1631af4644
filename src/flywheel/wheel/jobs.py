"""Jobs: turns and adds in the background, asked for here and done by one worker.

The worker does them in the order of their coming, each in a process of its own, so that one may be
cancelled by ending it: a turn goes on from what it had finished, and an add can be done twice. Who
is killed with a job leaves it to the next worker. Not here: who may ask for a job (serve/jobs.py),
and what the worker's own process is like (cli/worker.py).
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sys
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flywheel.errors import FlywheelError, StoreError, WorkspaceBusy
from flywheel.records import to_json
from flywheel.store import jobs as job_store
from flywheel.store.jobs import AddArguments, Arguments, Job, Progress, TurnArguments
from flywheel.store.redaction import ERASED
from flywheel.wheel.keys import COMMAND_LINE, Caller, record
from flywheel.wheel.workspace import WORKER_LOCK, Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.ingest import Added, FileFate
    from flywheel.wheel.turn import Turned

POLL_SECONDS = 0.5
"""How often the worker looks for jobs, and for whether the one that runs is still wanted."""
REPORT_SECONDS = 1.0
"""How often a job says at most how far it has come."""
MAX_ATTEMPTS = 3
MAX_LISTED = 200
"""Files that an add's result names; the rest is counted."""

WAITING = "waiting"
"""The stage of a job that waits for a command to let go of the workspace."""
KILLS = (
    f"It ended its process {MAX_ATTEMPTS} times, and is not tried again. Too little memory is the "
    "most frequent reason; the worker's log may say more."
)

_MAX_ERROR_CHARS = 500

T = TypeVar("T")


def submit(workspace: Workspace, arguments: Arguments, by: Caller | None = None) -> Job:
    """Asks for a job. A turn that waits already is the one that is asked for.

    Args:
        by: who asks; None is the command line's owner.
    """
    job = Job(
        id=uuid.uuid4().hex,
        arguments=arguments,
        user=by.name if by else COMMAND_LINE,
        created_at=_now(),
    )

    def write(conn: Connection) -> Job:
        if job.kind == "turn":
            for each in job_store.in_state(conn, "queued"):
                if each.arguments == arguments:
                    return each
        record(conn, by, f"jobs.{job.kind}", job.id)
        job_store.put(conn, job)
        return job

    return workspace.database.write(write)


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
) -> list[Job]:
    """The latest jobs, the latest first.

    Args:
        after: goes on behind this one.
        labels: those who may see them; None is everybody.
    """
    with workspace.database.read() as conn:
        enough = limit if labels is None else None
        every = job_store.list_jobs(conn, enough, after.id if after else "")
        return [each for each in every if _is_readable(each, labels)][:limit]


def cancel(workspace: Workspace, id: str, by: Caller | None = None) -> bool:
    """Cancels a job that waits or runs; what it has finished stays. Whether there was one.

    A running one stops within a second.
    """

    def write(conn: Connection) -> bool:
        cancelled = job_store.cancel(conn, id, _now())
        if cancelled:
            record(conn, by, "jobs.cancel", id)
        return cancelled

    return workspace.database.write(write)


class Worker:
    """The one that does a workspace's jobs."""

    def __init__(
        self, workspace: Workspace, run: Callable[[Path, str], None] | None = None
    ) -> None:
        """
        Args:
            run: what a job's process does, told the workspace's folder and the job's id.
        """
        self._workspace, self._run = workspace, run or run_job
        self._is_stopped = False

    def stop(self) -> None:
        """Lets `work` end within a second. May be called from a signal's handler."""
        self._is_stopped = True  # no event: a handler that sets one can wait for itself

    def work(self) -> None:
        """Does jobs until it is stopped. The job that runs then is left to the next worker."""
        with self._alone() as is_alone:
            is_ready = False
            while is_alone and not self._is_stopped:
                try:
                    if not is_ready:
                        self._take_over()
                        is_ready = True
                    did = self._do_next()
                except StoreError as error:
                    print(error, file=sys.stderr)  # a server may come back
                    did = False
                if not did:
                    time.sleep(POLL_SECONDS)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Holds the worker's lock, once it is free. Whether that came before the end."""
        with (self._workspace.root / WORKER_LOCK).open("w") as file:
            has_said = False
            while not self._is_stopped:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not has_said:
                        told = f"Another worker does the jobs of {self._workspace.root}. This one"
                        print(f"{told} waits, and takes over when that one ends.", file=sys.stderr)
                        has_said = True
                    time.sleep(POLL_SECONDS)
                else:
                    yield True
                    return
            yield False

    def _take_over(self) -> None:
        """What runs now is a dead worker's."""

        def write(conn: Connection) -> None:
            for job in job_store.in_state(conn, "running"):
                _try_again(conn, job)

        self._workspace.database.write(write)

    def _do_next(self) -> bool:
        """Does the job whose turn it is. Whether there was one."""
        with self._workspace.database.read() as conn:
            id = job_store.next_queued(conn)
        if id is None:
            return False
        job = self._workspace.database.write(lambda conn: job_store.start(conn, id, _now()))
        if job:
            self._do(job)
        return True

    def _do(self, job: Job) -> None:
        context = get_context("spawn")  # a fork would inherit the locks of the database's threads
        lifeline, held = context.Pipe(duplex=False)
        arguments = (self._run, self._workspace.root, job.id, lifeline)
        child = context.Process(target=_in_child, args=arguments)
        with lifeline, held:
            child.start()
            lifeline.close()
            try:
                while child.is_alive() and not self._is_stopped and self._is_wanted(job):
                    child.join(POLL_SECONDS)
            finally:
                was_stopped = child.is_alive()
                _end(child)
        self._settle(job, child.exitcode, was_stopped)

    def _is_wanted(self, job: Job) -> bool:
        with suppress(StoreError), self._workspace.database.read() as conn:
            return job_store.state_of(conn, job.id) == "running"
        return True

    def _settle(self, job: Job, status: int | None, was_stopped: bool) -> None:
        """Puts back what has not ended by itself. What was cancelled or has ended stays so."""
        if was_stopped:
            self._workspace.database.write(
                lambda conn: job_store.requeue(conn, job, job.attempts - 1)
            )
        elif status != 0:
            print(f"Job {job.id}: its process ended with status {status}.", file=sys.stderr)
            self._workspace.database.write(lambda conn: _try_again(conn, job))


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
    job_store.finish(conn, job.id, _now(), result, error)


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
            return _add(workspace, job.arguments, progress)
        except WorkspaceBusy:
            progress(WAITING, 0, 0)
            time.sleep(POLL_SECONDS)


def _turn(
    workspace: Workspace, arguments: TurnArguments, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    from flywheel.wheel.turn import turn  # with all that builds, which the server need not load

    return _turned(turn(workspace, progress, model=arguments.model))


def _turned(turned: Turned) -> dict[str, Any]:
    return {
        "version": turned.version,
        "decision": turned.decision,
        "reasons": list(turned.reasons),
        "champion": turned.champion,
        "metrics": {name: to_json(score) for name, score in turned.metrics.items()},
        "seconds": round(turned.seconds, 3),
    }


def _add(
    workspace: Workspace, arguments: AddArguments, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    from flywheel.wheel import uploads

    return _added(uploads.add(workspace, arguments.access, progress), arguments)


def _added(added: Added, arguments: AddArguments) -> dict[str, Any]:
    """What became of the files that were uploaded; those that were set aside come first."""
    own = [each for each in added.files if each.path.split("!/")[0] in arguments.files]
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
    from flywheel.wheel import uploads

    if isinstance(job.arguments, TurnArguments):
        return True
    return uploads.is_readable(job.arguments.access, labels)


def _try_again(conn: Connection, job: Job) -> None:
    if job.attempts >= MAX_ATTEMPTS:
        job_store.finish(conn, job.id, _now(), error=KILLS)
    else:
        job_store.requeue(conn, job, job.attempts)


def _in_child(run: Callable[[Path, str], None], root: Path, id: str, lifeline: Pipe) -> None:
    os.setsid()  # so that whatever it starts ends with it
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    try:
        run(root, id)
    except FlywheelError as error:  # before the job: the workspace does not open
        sys.exit(str(error))


def _end_with(lifeline: Pipe) -> None:
    """Ends this process and all that it started once nobody holds the other end."""
    lifeline.poll(None)
    os.killpg(0, signal.SIGKILL)


def _end(child: BaseProcess) -> None:
    assert child.pid is not None
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has ended, or has not come to be a group of its own
        child.kill()
    child.join()


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_ERROR_CHARS else f"{text[: _MAX_ERROR_CHARS - 1]}…"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

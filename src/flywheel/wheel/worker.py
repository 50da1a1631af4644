"""The worker: the one that does a workspace's jobs, in the order of their coming.

Each runs in a process of its own, so that it can be cancelled by ending that: a turn goes on from
what it had finished, and an add can be done twice. A worker that is killed takes its job with it
and leaves it to the next one. Not here: what a job does (jobs.py), and what the worker's own
process is like (cli/worker.py).
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from flywheel.errors import FlywheelError, StoreError
from flywheel.store import jobs as job_store
from flywheel.store.jobs import Job
from flywheel.wheel.incoming import clear_leftovers
from flywheel.wheel.jobs import now, run_job
from flywheel.wheel.workspace import WORKER_LOCK, Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

POLL_SECONDS = 0.5
"""How often the worker looks for jobs, and for whether the one that runs is still wanted."""
MAX_ATTEMPTS = 3
KILLS = (
    f"It ended its process {MAX_ATTEMPTS} times, and is not tried again. Too little memory is the "
    "most frequent reason; the worker's log may say more."
)


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
                    print(error, file=sys.stderr)  # a database's server may come back
                    did = is_ready = False
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
        clear_leftovers(self._workspace)

    def _do_next(self) -> bool:
        """Does the job whose turn it is. Whether there was one."""
        with self._workspace.database.read() as conn:
            id = job_store.next_queued(conn)
        if id is None:
            return False
        job = self._workspace.database.write(lambda conn: job_store.start(conn, id, now()))
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


def _try_again(conn: Connection, job: Job) -> None:
    if job.attempts >= MAX_ATTEMPTS:
        job_store.finish(conn, job.id, now(), error=KILLS)
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

"""The worker: one at a time, in order, and whatever ends it, its job is ended once by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from flywheel.errors import SourceError
from flywheel.store import jobs as job_store
from flywheel.store.jobs import AddArguments, Job, TurnArguments
from flywheel.wheel import jobs, uploads, worker
from flywheel.wheel.worker import KILLS, Worker
from flywheel.wheel.workspace import WORKER_LOCK, Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

ADD = AddArguments(access=("public",))
COMMAND = """
import sys
from pathlib import Path
from flywheel.cli.worker import worker

if __name__ == "__main__":
    worker(args=[], obj=Path(sys.argv[1]))
"""


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another process or thread does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def get(workspace: Workspace, id: str) -> Job:
    job = jobs.get(workspace, id)
    assert job is not None
    return job


def children(of: int) -> list[int]:
    listed = Path(f"/proc/{of}/task/{of}/children").read_text()
    return [int(each) for each in listed.split()]


def is_running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def submit(workspace: Workspace) -> str:
    """Asks for an add of a folder with nothing in it."""
    uploads.folder_of(workspace, uploads.source_of(ADD.access)).mkdir(parents=True, exist_ok=True)
    return jobs.submit(workspace, ADD).id


def dies(root: Path, id: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(root: Path, id: str) -> None:
    signal.pause()


@contextmanager
def working(
    workspace: Workspace, run: Callable[[Path, str], None] | None = None
) -> Iterator[Worker]:
    """A worker on a thread, until the end of the block."""
    doing = Worker(workspace, run)
    thread = Thread(target=doing.work)
    thread.start()
    try:
        yield doing
    finally:
        doing.stop()
        thread.join(60)
        assert not thread.is_alive()


@contextmanager
def process(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`flywheel worker` in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(root)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.02)


def test_cancelled_job_is_ended_and_the_next_one_done(blank: Domain) -> None:
    workspace = blank.workspace
    with working(workspace):
        with workspace.exclusive():  # as a turn of the command line would
            running, waiting = submit(workspace), submit(workspace)
            last = submit(workspace)
            until(lambda: get(workspace, running).progress.stage == jobs.WAITING)
            assert jobs.cancel(workspace, waiting)
            assert jobs.cancel(workspace, running)
            until(lambda: get(workspace, last).state == "running")
        until(lambda: get(workspace, last).state == "done")
    assert get(workspace, last).attempts == 1
    assert get(workspace, running).state == get(workspace, waiting).state == "cancelled"
    assert get(workspace, waiting).started_at is None


def test_job_that_ends_its_process_again_and_again_is_failed(
    blank: Domain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = blank.workspace
    deadly, next_one = submit(workspace), submit(workspace)
    monkeypatch.setattr(worker, "MAX_ATTEMPTS", 2)
    workspace.database.write(lambda conn: job_store.start(conn, deadly, jobs.now()))
    with working(workspace, dies):  # which finds it running, as of a worker that died with it
        until(lambda: get(workspace, deadly).state == "failed")
        jobs.cancel(workspace, next_one)
    assert (get(workspace, deadly).error, get(workspace, deadly).attempts) == (KILLS, 2)
    assert f"Job {deadly}: its process ended with status -9." in capsys.readouterr().err


def test_job_of_a_killed_worker_is_done_by_the_next_one(blank: Domain) -> None:
    workspace = blank.workspace
    with workspace.exclusive():
        id = submit(workspace)
        with process(workspace.root) as first:
            until(lambda: get(workspace, id).progress.stage == jobs.WAITING)
            its_own = children(first.pid)
            assert any(map(is_running, its_own))
            first.kill()
            until(lambda: not any(map(is_running, its_own)))
    with process(workspace.root) as second:
        until(lambda: get(workspace, id).state == "done")
        assert second.stdin is not None
        second.stdin.close()  # as where the server that holds it is killed
        assert second.wait(60) == 0
    assert get(workspace, id).attempts == 2


def test_job_of_a_worker_that_is_told_to_stop_waits_for_the_next_one(blank: Domain) -> None:
    workspace = blank.workspace
    id = submit(workspace)
    with working(workspace, hangs):
        until(lambda: get(workspace, id).state == "running")
    left = get(workspace, id)
    assert (left.state, left.attempts) == ("queued", 0), "no fault of the job's"


def test_job_that_ended_its_workers_is_not_tried_again(blank: Domain) -> None:
    workspace = blank.workspace
    id = submit(workspace)
    for _ in range(worker.MAX_ATTEMPTS):
        begun = workspace.database.write(lambda conn: job_store.start(conn, id, jobs.now()))
        assert begun is not None
        if begun.attempts < worker.MAX_ATTEMPTS:
            workspace.database.write(
                lambda conn, job=begun: job_store.requeue(conn, job, job.attempts)  # type: ignore[misc]
            )
    with working(workspace):
        until(lambda: get(workspace, id).state == "failed")
    assert get(workspace, id).error == KILLS


def test_second_worker_waits_for_the_first_to_end(
    blank: Domain, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = blank.workspace
    with working(workspace) as first:
        until((workspace.root / WORKER_LOCK).exists)
        with working(workspace):
            told: list[str] = []

            def says_so() -> bool:
                told.append(capsys.readouterr().err)
                return "Another worker does the jobs" in "".join(told)

            until(says_so)
            first.stop()
            id = jobs.submit(workspace, TurnArguments()).id
            until(lambda: get(workspace, id).state != "queued")
            jobs.cancel(workspace, id)


def test_worker_that_waits_can_be_stopped(blank: Domain) -> None:
    with working(blank.workspace):
        until((blank.workspace.root / WORKER_LOCK).exists)
        with working(blank.workspace):
            pass


def test_worker_and_its_lock_are_no_documents(blank: Domain) -> None:
    workspace = blank.workspace
    with working(workspace):
        until((workspace.root / WORKER_LOCK).exists)
    with pytest.raises(SourceError, match="nothing but the workspace itself"):
        blank.add(workspace.root)

"""Jobs, the work in the background: values ↔ rows, on the connection that the caller holds.

A job's state only changes from the states that each function names: whoever cancels a job and
whoever ends it may do so at the same time, and the first one counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from flywheel.records import from_json, to_json
from flywheel.store.corrections import lock
from flywheel.store.tables import jobs

JobKind = Literal["turn", "add", "source", "exam"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]

ENDED = ("done", "failed", "cancelled")
"""The states that a job stays in."""

MAX_ENDED = 1000
"""So many jobs are remembered, the latest ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnArguments:
    """What a turn is told."""

    model: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AddArguments:
    """What an add of uploaded files is told."""

    access: tuple[str, ...]
    """The labels of whoever may read them."""
    files: tuple[str, ...] = ()
    """Their names; none where one was taken away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceArguments:
    """What an add of a file or folder of this machine is told, or of an address."""

    source: str
    """Its full name; empty once an erasure took it."""
    access: tuple[str, ...]
    """The labels of whoever may read what it holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamArguments:
    """What a sitting of the exam is told: nothing, since it is the champion's."""


Arguments = TurnArguments | AddArguments | SourceArguments | ExamArguments

_KINDS: dict[JobKind, type[Arguments]] = {
    "turn": TurnArguments,
    "add": AddArguments,
    "source": SourceArguments,
    "exam": ExamArguments,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a job has come."""

    stage: str = ""
    done: int = 0
    """Items of this stage."""
    total: int = 0
    """0 where nobody can tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One piece of work, from its being asked for to its outcome."""

    id: str
    arguments: Arguments
    user: str
    """Who asked for it."""
    created_at: str
    """UTC, ISO 8601, as the other times."""
    state: JobState = "queued"
    started_at: str | None = None
    ended_at: str | None = None
    progress: Progress = Progress()
    attempts: int = 0
    """How often it was begun and not ended by anybody's wish."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """JSON-ready; empty until it is done."""
    error: str = ""
    """Why it failed."""

    @property
    def kind(self) -> JobKind:
        """What there is to do."""
        return next(kind for kind, each in _KINDS.items() if isinstance(self.arguments, each))


def put(conn: Connection, job: Job) -> None:
    """Adds a job at the end of the queue, and forgets the oldest ones."""
    lock(conn)  # two processes must not give one number twice
    number = (conn.scalar(select(func.max(jobs.c.number))) or 0) + 1
    values = {name: getattr(job, name) for name in _PLAIN} | {
        "number": number,
        "kind": job.kind,
        "arguments": to_json(job.arguments),
        "progress": _progress(job.progress, job.attempts),
        "result": dict(job.result),
    }
    conn.execute(insert(jobs), values)
    old = (jobs.c.number <= number - MAX_ENDED) & jobs.c.state.in_(ENDED)
    conn.execute(delete(jobs).where(old))


def get(conn: Connection, id: str) -> Job | None:
    """The job of that id, if there is one."""
    row = conn.execute(select(jobs).where(jobs.c.id == id)).one_or_none()
    return None if row is None else _job(row)


def list_jobs(
    conn: Connection,
    limit: int | None = 100,
    after: str = "",
    kinds: Collection[JobKind] | None = None,
) -> list[Job]:
    """The latest jobs, the latest first.

    Args:
        limit: None gives all.
        after: goes on behind the job of this id; empty begins with the latest.
        kinds: those that are listed; None lists all.
    """
    query = select(jobs).order_by(jobs.c.number.desc()).limit(limit)
    if kinds is not None:
        query = query.where(jobs.c.kind.in_(kinds))
    if after:
        number = select(jobs.c.number).where(jobs.c.id == after).scalar_subquery()
        query = query.where(jobs.c.number < number)
    return [_job(row) for row in conn.execute(query)]


def in_state(conn: Connection, state: JobState) -> list[Job]:
    """The jobs in a state, the first one first."""
    query = select(jobs).where(jobs.c.state == state).order_by(jobs.c.number)
    return [_job(row) for row in conn.execute(query)]


def count_states(conn: Connection) -> dict[JobState, int]:
    """How many jobs are in each state that any is in."""
    query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    return {row[0]: row[1] for row in conn.execute(query)}


def next_queued(conn: Connection) -> str | None:
    """The id of the job whose turn it is, if any waits."""
    query = select(jobs.c.id).where(jobs.c.state == "queued").order_by(jobs.c.number).limit(1)
    return conn.scalar(query)


def state_of(conn: Connection, id: str) -> JobState | None:
    """The state of the job of that id, if there is one."""
    return conn.scalar(select(jobs.c.state).where(jobs.c.id == id))


def start(conn: Connection, id: str, at: str) -> Job | None:
    """Marks a queued job as running, and counts the attempt. None where it is queued no more."""
    job = get(conn, id)
    if job is None or job.state != "queued":
        return None
    begun = replace(
        job, state="running", started_at=at, attempts=job.attempts + 1, progress=Progress()
    )
    _update(
        conn, id, ("queued",), state=begun.state, started_at=at,
        progress=_progress(begun.progress, begun.attempts),
    )  # fmt: skip
    return begun


def report(conn: Connection, job: Job, progress: Progress) -> bool:
    """Says how far a running job has come. Whether it still is running."""
    return _update(conn, job.id, ("running",), progress=_progress(progress, job.attempts))


def requeue(conn: Connection, job: Job, attempts: int) -> bool:
    """Puts a running job back to where it was in the queue, to be begun anew."""
    return _update(
        conn, job.id, ("running",), state="queued", started_at=None,
        progress=_progress(Progress(), attempts),
    )  # fmt: skip


def finish(
    conn: Connection, id: str, at: str, result: Mapping[str, Any] | None = None, error: str = ""
) -> bool:
    """Ends a running job: with its result, or with what went wrong."""
    state: JobState = "failed" if error else "done"
    return _update(
        conn, id, ("running",), state=state, ended_at=at, result=dict(result or {}), error=error
    )


def cancel(conn: Connection, id: str, at: str) -> bool:
    """Ends a job that waits or runs. Whether it did."""
    return _update(conn, id, ("queued", "running"), state="cancelled", ended_at=at)


_PLAIN = ("id", "user", "created_at", "state", "started_at", "ended_at", "error")


def _update(conn: Connection, id: str, states: tuple[JobState, ...], **values: Any) -> bool:
    chosen = (jobs.c.id == id) & jobs.c.state.in_(states)
    return conn.execute(update(jobs).where(chosen).values(**values)).rowcount == 1


def _progress(progress: Progress, attempts: int) -> dict[str, Any]:
    return to_json(progress) | {"attempts": attempts}


def _job(row: Row[*tuple[Any, ...]]) -> Job:
    kind = _KINDS[row.kind]
    progress = dict(row.progress)
    attempts = progress.pop("attempts")
    return Job(
        **{name: row._mapping[name] for name in _PLAIN},
        arguments=from_json(kind, row.arguments),
        progress=from_json(Progress, progress),
        attempts=attempts,
        result=row.result,
    )

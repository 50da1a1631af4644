"""Jobs in the table: one order, states that change once, and nothing that grows for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from flywheel.store import documents, jobs, redaction, tables
from flywheel.store.database import Database
from flywheel.store.documents import StagedDocument
from flywheel.store.jobs import AddArguments, Job, Progress, TurnArguments
from flywheel.store.redaction import Items

T = TypeVar("T")

AT = "2026-05-04T09:30:00.000+00:00"


def job(id: str, **values: Any) -> Job:
    return Job(
        **{"arguments": TurnArguments(), "user": "ines", "created_at": AT, **values, "id": id}
    )


def write(database: Database, function: Callable[..., T], *arguments: Any) -> T:
    return database.write(lambda conn: function(conn, *arguments))


def put(database: Database, *every: Job) -> None:
    for each in every:
        write(database, jobs.put, each)


def get(database: Database, id: str) -> Job:
    with database.read() as conn:
        found = jobs.get(conn, id)
    assert found is not None
    return found


def listed(database: Database, *arguments: Any) -> list[str]:
    with database.read() as conn:
        return [each.id for each in jobs.list_jobs(conn, *arguments)]


def test_job_comes_back_as_it_was_put(database: Database) -> None:
    whole = job(
        "b",
        arguments=AddArguments(access=("hr", "员工"), files=("手册.docx", "x\x00\udce9.md")),
        state="failed",
        started_at=AT,
        ended_at=AT,
        progress=Progress(stage="collect", done=3, total=7),
        attempts=2,
        result={"seconds": 1.5},
        error="没有",
    )
    put(database, job("a", arguments=TurnArguments(model=True)), whole)
    assert get(database, "a").arguments == TurnArguments(model=True)
    assert get(database, "b") == whole
    assert (get(database, "a").kind, whole.kind) == ("turn", "add")
    with database.read() as conn:
        assert jobs.get(conn, "c") is None
        assert jobs.state_of(conn, "c") is None


def test_jobs_run_in_the_order_of_their_coming(database: Database) -> None:
    put(database, job("c"), job("a"), job("b"))
    began = []
    for _ in range(3):
        with database.read() as conn:
            id = jobs.next_queued(conn)
        assert id is not None
        assert write(database, jobs.start, id, AT) is not None
        began.append(id)
    assert began == ["c", "a", "b"]
    with database.read() as conn:
        assert jobs.next_queued(conn) is None
        assert [each.id for each in jobs.in_state(conn, "running")] == began


def test_latest_jobs_are_listed_in_pages(database: Database) -> None:
    put(database, *(job(f"j{number}") for number in range(5)))
    assert listed(database, 2) == ["j4", "j3"]
    assert listed(database, 2, "j3") == ["j2", "j1"]
    assert listed(database, None, "j1") == ["j0"]
    assert listed(database, 2, "unknown") == []


def test_begun_job_counts_its_attempts(database: Database) -> None:
    put(database, job("a"))
    first = write(database, jobs.start, "a", AT)
    assert first == get(database, "a") and first.attempts == 1
    assert write(database, jobs.start, "a", AT) is None, "it runs already"
    progress = Progress(stage="index", done=1, total=2)
    assert write(database, jobs.report, first, progress)
    assert (get(database, "a").progress, get(database, "a").attempts) == (progress, 1)
    assert write(database, jobs.requeue, first, first.attempts)
    waiting = get(database, "a")
    assert (waiting.state, waiting.started_at, waiting.progress) == ("queued", None, Progress())
    second = write(database, jobs.start, "a", AT)
    assert second is not None and second.attempts == 2


@pytest.mark.parametrize("error", ["", "Nothing is staged."])
def test_who_ends_a_job_first_counts(database: Database, error: str) -> None:
    put(database, job("done"), job("cancelled"))
    for id in ("done", "cancelled"):
        write(database, jobs.start, id, AT)
    cancelled = get(database, "cancelled")
    assert write(database, jobs.finish, "done", AT, {"version": 1}, error)
    assert not write(database, jobs.cancel, "done", AT)
    assert write(database, jobs.cancel, "cancelled", AT)
    assert not write(database, jobs.finish, "cancelled", AT, {"version": 1})
    assert not write(database, jobs.requeue, cancelled, 1)
    assert not write(database, jobs.report, cancelled, Progress(stage="x"))
    ended = get(database, "done")
    assert (ended.state, ended.error) == ("failed" if error else "done", error)
    assert (ended.result, ended.ended_at) == ({"version": 1}, AT)
    assert get(database, "cancelled").state == "cancelled"


def test_cancelled_job_is_never_begun(database: Database) -> None:
    put(database, job("a"))
    assert write(database, jobs.cancel, "a", AT)
    assert write(database, jobs.start, "a", AT) is None
    with database.read() as conn:
        assert jobs.next_queued(conn) is None


def test_oldest_jobs_are_forgotten_once_they_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_ENDED", 3)
    put(database, job("waits"), *(job(f"j{number}", state="done") for number in range(5)))
    assert listed(database) == ["j4", "j3", "j2", "waits"]


def test_erased_files_are_named_by_no_job(database: Database) -> None:
    staged = [
        StagedDocument(
            id=id, source="upload:ab", path=path, title="", language="en", fate="kept", added_at=AT
        )
        for id, path in (("d1", "王小明的病历.docx"), ("d2", "other.md"))
    ]
    row = {"path": "王小明的病历.docx", "reason": ""}
    put(
        database,
        job("waits", arguments=AddArguments(access=("hr",), files=("王小明的病历.docx",))),
        job(
            "done",
            arguments=AddArguments(access=("hr",), files=("王小明的病历.docx", "other.md")),
            state="done",
            result={"documents": [row]},
        ),
        job("turn", state="failed", error="王小明的病历.docx: cannot be read"),
        job("stays", arguments=AddArguments(access=("hr",), files=("other.md",)), state="done"),
    )
    for each in staged:
        write(database, documents.put, each, [])
    before = get(database, "stays")
    write(database, redaction.redact, Items(documents=frozenset({"d1"})))
    with database.read() as conn:
        assert not any("王小明" in text for text in redaction.rows(conn, tables.jobs))
    assert get(database, "waits").state == "queued"
    assert get(database, "waits").arguments == AddArguments(access=("hr",))
    assert (get(database, "done").result, get(database, "turn").error) == ({}, redaction.ERASED)
    assert get(database, "stays") == before


def test_erased_user_asked_for_nothing(database: Database) -> None:
    put(database, job("a", user="bart"))
    with database.read() as conn:
        items = redaction.of_user(conn, "bart")
    assert items.user == "bart"
    write(database, redaction.redact, items)
    assert get(database, "a").user == ""

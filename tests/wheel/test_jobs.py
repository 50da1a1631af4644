"""Jobs: what they are told is done, what they come to is kept, and only who may see it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection

from flywheel.errors import WorkspaceBusy
from flywheel.store import jobs as job_store
from flywheel.store import redaction
from flywheel.store.jobs import AddArguments, Arguments, Job, Progress, TurnArguments
from flywheel.store.redaction import Items
from flywheel.wheel import ingest, jobs, keys, uploads
from flywheel.wheel.incoming import Incoming
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

INES = Caller(key="k", name="ines", role="owner", access=None)
NOTHING = ingest.Added(files=(), num_deleted=0, seconds=0)


def upload(workspace: Workspace, access: tuple[str, ...], **files: str) -> AddArguments:
    """Keeps files named `NAME.md` with their texts; gives what an add of them is told."""
    incoming = []
    for name, text in files.items():
        incoming.append(Incoming(workspace, f"{name}.md"))
        assert incoming[-1].write(text.encode())
    return AddArguments(access=access, files=uploads.keep(workspace, incoming, access))


def done(workspace: Workspace, arguments: Arguments) -> Job:
    """The job as a worker's process leaves it."""
    job = jobs.submit(workspace, arguments, INES)
    assert workspace.database.write(lambda conn: job_store.start(conn, job.id, jobs.now()))
    jobs.run_job(workspace.root, job.id)
    ended = jobs.get(workspace, job.id)
    assert ended is not None
    return ended


def test_upload_is_answered_from_after_an_add_and_a_turn(blank: Domain) -> None:
    blank.configure("[exam]\nnum_synthetic = 20\n")
    workspace = blank.workspace
    added = done(
        workspace,
        upload(
            workspace,
            ("public",),
            doors="# Doors\n\nEvery door opens from inside by pulling the handle twice.",
            车窗="# 车窗\n\n车窗上升时遇到阻力会自动停下并略微下降。",
            note="x",
        ),
    )
    assert (added.state, added.error, added.user) == ("done", "", "ines")
    assert added.result["fates"] == {"dropped": 1, "kept": 2}
    assert added.result["documents"][0]["path"] == "note.md", "what was set aside comes first"
    assert added.progress.stage == "collect"
    turned = done(workspace, TurnArguments())
    assert (turned.state, turned.result["decision"]) == ("done", "promoted")
    assert turned.result["version"] == turned.result["champion"] == 1
    assert set(turned.result["metrics"]["evidence_mrr"]) == {"value", "low", "high", "count"}
    assert "handle twice" in blank.found("How does a door open from inside?")
    assert "遇到阻力" in blank.found("车窗遇到阻力会怎样？")


def test_mistake_is_told_in_its_own_words(blank: Domain) -> None:
    failed = done(blank.workspace, TurnArguments())
    assert failed.state == "failed"
    assert failed.error == "Nothing is staged. Add documents first: `flywheel add FOLDER`."
    assert failed.result == {}


def test_defect_is_told_in_a_line_and_its_traceback_logged(
    blank: Domain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a\nb" * 1000)

    monkeypatch.setattr(uploads, "add", broken)
    failed = done(blank.workspace, AddArguments(access=("public",)))
    assert failed.state == "failed"
    assert failed.error.startswith("KeyError: ") and "\n" not in failed.error
    assert len(failed.error) <= 500
    assert "in broken" in capsys.readouterr().err


def test_job_waits_for_a_command_that_holds_the_workspace(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def add(workspace: Workspace, *_: object) -> object:
        tries.append(workspace)
        if len(tries) < 3:
            raise WorkspaceBusy("another turn is running")
        return NOTHING

    monkeypatch.setattr(jobs, "RETRY_SECONDS", 0)
    monkeypatch.setattr(uploads, "add", add)
    waited = done(blank.workspace, AddArguments(access=("public",)))
    assert (waited.state, waited.progress) == ("done", Progress(stage=jobs.WAITING))
    assert len(tries) == 3


def test_progress_is_kept_once_a_second_at_most(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Progress] = []

    def report(conn: Connection, job: Job, progress: Progress) -> None:
        said.append(progress)

    monkeypatch.setattr(job_store, "report", report)

    def add(workspace: Workspace, access: object, progress: ingest.Progress) -> object:
        for each in range(1000):
            progress("collect", each, 1000)
        return NOTHING

    monkeypatch.setattr(uploads, "add", add)
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 3600)
    done(blank.workspace, AddArguments(access=("public",)))
    assert said == [Progress(stage="collect", done=0, total=1000)]


def test_turn_that_waits_is_the_one_that_is_asked_for(blank: Domain) -> None:
    workspace = blank.workspace
    first = jobs.submit(workspace, TurnArguments(), INES)
    assert jobs.submit(workspace, TurnArguments()).id == first.id
    with_model = jobs.submit(workspace, TurnArguments(model=True))
    assert with_model.id != first.id and with_model.user == "owner"
    workspace.database.write(lambda conn: job_store.start(conn, first.id, jobs.now()))
    assert jobs.submit(workspace, TurnArguments()).id != first.id, "it may have read too early"
    adds = {jobs.submit(workspace, AddArguments(access=("public",))).id for _ in range(2)}
    assert len(adds) == 2


def test_what_owners_ask_for_is_in_the_audit(blank: Domain) -> None:
    workspace = blank.workspace
    turn = jobs.submit(workspace, TurnArguments(), INES)
    assert jobs.cancel(workspace, turn.id, INES)
    assert not jobs.cancel(workspace, turn.id, INES)
    acts = [(act.user, act.action, act.target) for act in keys.acts(workspace.database)]
    assert acts == [("ines", "jobs.cancel", turn.id), ("ines", "jobs.turn", turn.id)]


def test_jobs_of_labels_are_shown_to_who_reads_them(blank: Domain) -> None:
    workspace = blank.workspace
    orders: list[Arguments] = [AddArguments(access=(label,)) for label in ("hr", "board", "public")]
    hr, board, public = (jobs.submit(workspace, each).id for each in orders)
    turn = jobs.submit(workspace, TurnArguments()).id
    mine = [each.id for each in jobs.list_jobs(workspace, 10, labels=("hr",))]
    assert mine == [turn, public, hr]
    assert [each.id for each in jobs.list_jobs(workspace, 2, labels=("hr",))] == [turn, public]
    assert jobs.get(workspace, board, ("hr",)) is None
    assert jobs.get(workspace, board) is not None
    after = jobs.get(workspace, public)
    assert [each.id for each in jobs.list_jobs(workspace, 10, after)] == [board, hr]


@pytest.mark.parametrize("id", ["", "x", "\x00", "\ud800", "a" * 33, "A" * 32, "字" * 32])
def test_id_that_none_can_have_is_of_no_job(blank: Domain, id: str) -> None:
    assert jobs.get(blank.workspace, id) is None


def test_result_that_an_erasure_overtook_names_nothing(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = blank.workspace
    arguments = upload(workspace, ("public",), diary="# Diary\n\nThe teapot is under the oak tree.")
    add = uploads.add

    def overtaken(*arguments: object) -> object:
        added = add(*arguments)  # type: ignore[arg-type]
        [listed] = uploads.list_documents(workspace, 10)

        def erase(conn: Connection) -> None:
            redaction.redact(conn, Items(documents=frozenset({listed.id})))

        workspace.database.write(erase)
        return added

    monkeypatch.setattr(uploads, "add", overtaken)
    ended = done(workspace, arguments)
    assert (ended.state, ended.result) == ("done", {})
    assert ended.arguments == AddArguments(access=("public",))


def test_jobs_are_listed_by_kind_and_the_active_ones_in_their_order(blank: Domain) -> None:
    workspace = blank.workspace
    turn = jobs.submit(workspace, TurnArguments())
    added = [jobs.submit(workspace, AddArguments(access=(label,))) for label in "abc"]
    assert jobs.list_jobs(workspace, kinds=["turn"]) == [turn]
    assert jobs.list_jobs(workspace, 1, labels=["a"], kinds=["add"]) == [added[0]]
    workspace.database.write(lambda conn: job_store.start(conn, added[1].id, jobs.now()))
    assert [each.id for each in jobs.active(workspace)] == [
        added[1].id,
        turn.id,
        added[0].id,
        added[2].id,
    ]
    assert [each.id for each in jobs.active(workspace, ["c"])] == [turn.id, added[2].id]

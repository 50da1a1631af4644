"""What owners do to documents: who may, what changes at once, and what the worker does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection
from tests.wheel.test_uploads import documents, keep

from flywheel.errors import UsageError, WorkspaceBusy
from flywheel.records import Role
from flywheel.store import jobs as job_store
from flywheel.store.jobs import AddArguments, SourceArguments
from flywheel.wheel import folders, jobs, keys, uploads
from flywheel.wheel.documents import acts as document_acts
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.keys import Caller

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

    from flywheel.wheel.workspace import Workspace

DOORS = "# Doors\n\nEvery door opens from inside by pulling the handle twice.\n"
PAY = "# Pay\n\nThe workshop pays its apprentices nine hundred zorkmids a month.\n"


def caller(*access: str, role: Role = "owner") -> Caller:
    return Caller(key="k", name="hr", role=role, access=access or None)


def work(workspace: Workspace) -> list[job_store.Job]:
    """Does what waits, as the worker would."""
    ended: list[job_store.Job] = []
    while (job := workspace.database.write(_begin_next)) is not None:
        jobs.run_job(workspace.root, job.id)
        done = jobs.get(workspace, job.id)
        assert done is not None
        ended.append(done)
    return ended


def _begin_next(conn: Connection) -> job_store.Job | None:
    id = job_store.next_queued(conn)
    return None if id is None else job_store.start(conn, id, jobs.now())


@pytest.fixture
def uploaded(blank: Domain) -> Workspace:
    keep(blank.workspace, {"pay.md": PAY})
    uploads.add(blank.workspace, ("public",))
    return blank.workspace


def test_relabelled_upload_is_closed_to_others_at_once(blank: Domain) -> None:
    workspace = blank.workspace
    keep(workspace, {"pay.md": PAY})
    uploads.add(workspace, ("public",))
    blank.turn()
    assert "zorkmids" in blank.found("What are apprentices paid?", labels=())
    document_acts.relabel(workspace, documents(workspace)["pay.md"], ["staff"])
    assert "zorkmids" not in blank.found("What are apprentices paid?", labels=())
    assert "zorkmids" in blank.found("What are apprentices paid?", labels=["staff"])

    left, moved = work(workspace)
    assert (left.result["num_deleted"], moved.result["fates"]) == (1, {"kept": 1})
    after = documents(workspace)["pay.md"]
    assert (after.access, after.source) == (("staff",), uploads.source_of(["staff"]))
    blank.turn()
    assert "zorkmids" not in blank.found("What are apprentices paid?", labels=())
    assert "zorkmids" in blank.found("What are apprentices paid?", labels=["staff"])


def test_relabelling_that_was_killed_in_the_middle_is_asked_for_again(
    uploaded: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = documents(uploaded)["pay.md"]

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(uploaded.database, "write", die)
        patched.setattr(uploads, "move_back", lambda *_: None)  # as whoever is killed does
        with pytest.raises(SystemExit):
            document_acts.relabel(uploaded, document, ["staff"])
    assert documents(uploaded)["pay.md"].access == ("public",)
    document_acts.relabel(uploaded, document, ["staff"])
    assert documents(uploaded)["pay.md"].access == ("staff",)
    _, moved = work(uploaded)
    assert moved.result["fates"] == {"kept": 1}
    assert documents(uploaded)["pay.md"].source == uploads.source_of(["staff"])


def test_relabelling_is_written_down(uploaded: Workspace) -> None:
    document = documents(uploaded)["pay.md"]
    document_acts.relabel(uploaded, document, ["staff"], caller())
    acts = [(act.user, act.action, act.target) for act in keys.acts(uploaded.database)]
    assert ("hr", "documents.access", document.id) in acts


@pytest.mark.parametrize("labels", [["board"], ["staff", "board"]])
def test_nobody_gives_labels_that_are_not_his(uploaded: Workspace, labels: list[str]) -> None:
    document = documents(uploaded)["pay.md"]
    with pytest.raises(UsageError, match="labels that it may read"):
        document_acts.relabel(uploaded, document, labels, caller("staff"))
    assert documents(uploaded)["pay.md"] == document


def test_relabelling_waits_for_an_add_that_could_undo_it(uploaded: Workspace) -> None:
    job = jobs.submit(uploaded, AddArguments(access=("public",)))
    uploaded.database.write(lambda conn: job_store.start(conn, job.id, jobs.now()))
    document = documents(uploaded)["pay.md"]
    with pytest.raises(WorkspaceBusy):
        document_acts.relabel(uploaded, document, ["staff"])
    place = uploads.folder_of(uploaded, uploads.source_of(["public"])) / "pay.md"
    assert place.exists() and documents(uploaded)["pay.md"] == document


def test_file_of_that_name_under_the_other_labels_is_not_replaced(uploaded: Workspace) -> None:
    keep(uploaded, {"pay.md": DOORS}, ["staff"])
    with pytest.raises(UsageError, match="this name"):
        document_acts.relabel(uploaded, documents(uploaded)["pay.md"], ["staff"])
    place = uploads.folder_of(uploaded, uploads.source_of(["staff"])) / "pay.md"
    assert place.read_text() == DOORS


def test_moving_document_is_left_alone_until_it_has_moved(uploaded: Workspace) -> None:
    document_acts.relabel(uploaded, documents(uploaded)["pay.md"], ["staff"])
    moving = documents(uploaded)["pay.md"]
    with pytest.raises(WorkspaceBusy):
        document_acts.delete(uploaded, moving)
    with pytest.raises(WorkspaceBusy):
        document_acts.relabel(uploaded, moving, ["board"])


@pytest.mark.parametrize("delete_is_first", [True, False])
def test_of_two_at_one_document_the_second_changes_nothing_unseen(
    uploaded: Workspace, delete_is_first: bool
) -> None:
    seen = documents(uploaded)["pay.md"]
    if delete_is_first:
        document_acts.delete(uploaded, seen)
        with pytest.raises(UsageError, match="gone"):
            document_acts.relabel(uploaded, seen, ["staff"])
    else:
        document_acts.relabel(uploaded, seen, ["staff"])
        with pytest.raises(WorkspaceBusy):
            document_acts.delete(uploaded, seen)
        with pytest.raises(WorkspaceBusy):
            document_acts.relabel(uploaded, seen, ["board"])
    acts = [act.action for act in keys.acts(uploaded.database) if "documents." in act.action]
    assert acts == ["documents.delete" if delete_is_first else "documents.access"]
    work(uploaded)
    place = uploads.folder_of(uploaded, uploads.source_of(["staff"])) / "pay.md"
    assert place.exists() is not delete_is_first


def test_source_that_was_added_is_read_again_under_its_labels(blank: Domain) -> None:
    blank.write("doors.md", DOORS)
    blank.add(access=["staff"])
    blank.write("pay.md", PAY)
    job = document_acts.read_source(blank.workspace, str(blank.documents), by=caller("staff"))
    assert job is not None and job.kind == "source"
    assert job.arguments == SourceArguments(source=str(blank.documents), access=("staff",))
    [done] = work(blank.workspace)
    assert done.result["fates"] == {"kept": 1, "unchanged": 1}
    assert {each.access for each in documents(blank.workspace).values()} == {("staff",)}


def test_source_is_read_again_under_other_labels(blank: Domain) -> None:
    blank.write("doors.md", DOORS)
    blank.add()
    document_acts.read_source(blank.workspace, str(blank.documents), ["staff"])
    work(blank.workspace)
    assert documents(blank.workspace)["doors.md"].access == ("staff",)


def test_uploads_are_read_again_by_their_name(uploaded: Workspace) -> None:
    source = uploads.source_of(["public"])
    job = document_acts.read_source(uploaded, source)
    assert job is not None and job.arguments == AddArguments(access=("public",))
    with pytest.raises(UsageError, match="one by one"):
        document_acts.read_source(uploaded, source, ["staff"])


def test_folder_of_this_machine_is_read_where_the_settings_name_it(
    blank: Domain, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "shared" / "handbooks", tmp_path / "private"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        (folder / "doors.md").write_text(DOORS)
    (tmp_path / "shared" / "link").symlink_to(outside)
    assert folders.allowed(blank.workspace, str(inside)) is None
    blank.configure(f'[serve]\nfolders = ["{tmp_path}/shared"]\n')
    workspace = blank.workspace
    assert folders.allowed(workspace, f" {inside} ") == str(inside)
    assert folders.allowed(workspace, f"{inside}/../handbooks/doors.md") == f"{inside}/doors.md"
    for name in (
        str(outside),
        f"{tmp_path}/shared/link",
        f"{tmp_path}/shared/../private",
        f"{tmp_path}/shared/missing",
        f"{tmp_path}/shared\x00",
        "https://example.org/",
        "upload:0000000000000000",
        "",
        "/",
    ):
        assert folders.allowed(workspace, name) is None, name
    assert document_acts.read_source(workspace, str(inside), ["staff"]) is not None
    [done] = work(workspace)
    assert done.result["fates"] == {"kept": 1}
    assert documents(workspace)["doors.md"].access == ("staff",)


def test_job_reads_nothing_that_is_allowed_no_more(blank: Domain, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "doors.md").write_text(DOORS)
    blank.configure(f'[serve]\nfolders = ["{folder}"]\n')
    document_acts.read_source(blank.workspace, str(folder))
    blank.configure("")
    [done] = work(blank.workspace)
    assert done.state == "failed" and "[serve] folders" in done.error
    assert documents(blank.workspace) == {}


def test_owner_of_some_labels_opens_nothing_beside_what_is_closed_to_him(
    blank: Domain, tmp_path: Path
) -> None:
    (tmp_path / "shared" / "board").mkdir(parents=True)
    (tmp_path / "shared" / "board" / "pay.md").write_text(PAY)
    blank.configure(f'[serve]\nfolders = ["{tmp_path}/shared"]\n')
    workspace = blank.workspace
    blank.add(tmp_path / "shared" / "board", access=["board"])
    for name in ("shared", "shared/board", "shared/board/pay.md"):
        place = str(tmp_path / name)
        assert document_acts.read_source(workspace, place, ["staff"], caller("staff")) is None
        assert document_acts.read_source(workspace, place, by=caller("board")) is not None


def test_labels_of_a_source_are_the_callers_own(blank: Domain) -> None:
    blank.write("doors.md", DOORS)
    blank.add()
    with pytest.raises(UsageError, match="labels that it may read"):
        document_acts.read_source(blank.workspace, str(blank.documents), ["board"], caller("staff"))


def test_job_of_an_erased_source_names_it_no_more(blank: Domain) -> None:
    blank.write("doors.md", DOORS)
    blank.add()
    job = document_acts.read_source(blank.workspace, str(blank.documents))
    assert job is not None
    erase(blank.workspace, "source", str(blank.documents))
    left = jobs.get(blank.workspace, job.id)
    assert left is not None
    assert left.arguments == SourceArguments(source="", access=("public",))
    [done] = work(blank.workspace)
    assert (done.state, done.error) == ("failed", "This source was erased.")


def test_jobs_of_sources_are_shown_to_their_readers(blank: Domain) -> None:
    blank.write("doors.md", DOORS)
    blank.add(access=["board"])
    job = document_acts.read_source(blank.workspace, str(blank.documents))
    assert job is not None
    assert jobs.get(blank.workspace, job.id, ["board"]) == job
    assert jobs.get(blank.workspace, job.id, ["staff"]) is None

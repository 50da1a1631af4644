"""The page of documents: the list, one document, its editions, and who may see and do what."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from flywheel.serve.auth import CSRF_HEADER
from flywheel.store import jobs as job_store
from flywheel.store.jobs import AddArguments, Job, SourceArguments, TurnArguments
from flywheel.wheel import incoming, jobs, keys, uploads
from flywheel.wheel.ingest import add
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn

HOSTILE = "<img src=x onerror=alert(1)>"
EDITIONS = {
    "leave-2023.md": "# Leave (2023)\n\nStaff have ten days of leave. Ask three days before.\n",
    "leave-2025.md": "# Leave (2025)\n\nStaff have twelve days of leave. Ask three days before.\n",
    "年假规定-2023.md": "# 年假规定（2023年）\n\n员工每年享有十天年假，应当提前三天申请。\n",
    "年假规定-2025.md": "# 年假规定（2025年）\n\n员工每年享有十五天年假，应当提前三天申请。\n",
}
OTHERS: dict[str, str | bytes] = {
    "short.md": "x",
    "scan.txt": b"\x89PNG\r\n\x1a\n" + b"0" * 99,
    f"{HOSTILE}.md": f"# {HOSTILE}\n\nWrite to ines@example.org, and {HOSTILE} is quoted.\n",
}


@pytest.fixture
def owner(served: Served, signed_in: SignedIn) -> httpx.Client:
    return signed_in(served.url, served.secrets["owner"])


@pytest.fixture
def filled(served: Served, tmp_path: Path) -> Served:
    """With editions, files that were set aside and a hostile one, all for the staff."""
    folder = tmp_path / "more"
    folder.mkdir()
    for files in (EDITIONS, OTHERS):  # so few at a time need no processes of their own
        for name, content in files.items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        add(served.workspace, [str(folder)], access=["staff"])
    return served


def upload(workspace: Workspace, name: str, text: str, *access: str) -> None:
    """Keeps and stages a file."""
    file = incoming.Incoming(workspace, name)
    assert file.write(text.encode())
    labels = access or ("public",)
    uploads.keep(workspace, [file], labels)
    uploads.add(workspace, labels)


def work(workspace: Workspace) -> list[Job]:
    """Does what waits, as the worker would."""
    ended: list[Job] = []
    while (job := workspace.database.write(_begin_next)) is not None:
        jobs.run_job(workspace.root, job.id)
        done = jobs.get(workspace, job.id)
        assert done is not None
        ended.append(done)
    return ended


def _begin_next(conn: Connection) -> Job | None:
    id = job_store.next_queued(conn)
    return None if id is None else job_store.start(conn, id, jobs.now())


def ids(workspace: Workspace) -> dict[str, str]:
    """The id of each document, by its path."""
    return {each.file.path: each.id for each in uploads.list_documents(workspace, 100)}


def text_of(reply: httpx.Response) -> str:
    """What a page says, without its tags."""
    assert reply.status_code == 200, reply.text
    main = reply.text.partition("<main")[2] or reply.text
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", main)).split())


def test_list_says_what_became_of_each_file_and_why(filled: Served, owner: httpx.Client) -> None:
    page = text_of(owner.get("/documents"))
    for told in (
        "A newer edition is kept: leave-2025.md",
        "Too short to quote from",
        "A picture or scan without text: run text recognition on it first",
        "Superseded 2",
        "Simplified Chinese",
        "3 documents wait",
    ):
        assert told in page, told


def test_list_is_chinese_for_who_reads_chinese(filled: Served, signed_in: SignedIn) -> None:
    page = text_of(signed_in(filled.url, filled.secrets["owner"], "zh").get("/documents"))
    for told in (
        "保留了更新的一版： 年假规定-2025.md",
        "内容太短，无法引用",
        "已被取代 2",
        "简体中文",
    ):
        assert told in page, told


def test_list_is_searched_and_filtered_in_pages(
    filled: Served, owner: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = owner.get("/documents", params={"q": "LEAVE", "fate": "superseded"}).text
    assert "leave-2023.md" in found and "leave-2025.md</span>" not in found
    assert "Nothing is like that" in owner.get("/documents", params={"q": "nothing_"}).text
    staff = owner.get("/documents", params={"label": "staff"}).text
    assert "pay.md" in staff and "doors.md" not in staff
    monkeypatch.setattr("flywheel.serve.console.documents.page.PER_PAGE", 4)
    seen: list[str] = []
    place: str | None = "/documents"
    while place:
        page = owner.get(place).text
        seen += re.findall(r'<td><a href="/documents/([0-9a-f]{20})"', page)
        place = next(iter(re.findall(r'rel="next" href="([^"]+)"', page)), None)
    assert len(seen) == len(set(seen)) == 11


def test_names_and_titles_of_files_are_text(filled: Served, owner: httpx.Client) -> None:
    id = ids(filled.workspace)[f"{HOSTILE}.md"]
    for path in ("/documents", f"/documents/{id}", "/documents/add", "/documents/report"):
        page = owner.get(path, params={"q": HOSTILE, "source": HOSTILE}).text
        assert HOSTILE not in page and "onerror=alert(1)>" not in page
    assert html.escape(HOSTILE) in owner.get(f"/documents/{id}").text


def test_owner_of_some_labels_sees_no_others(filled: Served, signed_in: SignedIn) -> None:
    some = signed_in(filled.url, filled.key("owner", "some", "hr"))
    assert "leave-20" not in some.get("/documents").text
    assert "staff" not in text_of(some.get("/documents/add"))
    assert "Superseded" not in some.get("/documents/report").text
    hidden = ids(filled.workspace)["leave-2023.md"]
    for path in ("", "/difference", "/citing"):
        assert some.get(f"/documents/{hidden}{path}").status_code == 404
    for act in ("delete", "labels"):
        assert some.post(f"/documents/{hidden}/{act}", data={}).status_code == 404
    assert jobs.list_jobs(filled.workspace) == []


def test_document_shows_where_it_is_from_and_whether_it_serves(
    filled: Served, owner: httpx.Client
) -> None:
    place = ids(filled.workspace)
    doors = text_of(owner.get(f"/documents/{place['doors.md']}"))
    for told in (
        "Answered from",
        "doors.md",
        "Child lock",
        "Every door opens",
        "dropped above 80%",
    ):
        assert told in doors, told
    newer = text_of(owner.get(f"/documents/{place['leave-2025.md']}"))
    assert "Waits for the next turn" in newer and "Gave way to it" in newer
    older = owner.get(f"/documents/{place['leave-2023.md']}").text
    assert "Not answered from" in older and place["leave-2025.md"] in older
    hostile = text_of(owner.get(f"/documents/{place[HOSTILE + '.md']}"))
    assert "Email addresses 1 time" in hostile
    assert "It has no passages" in text_of(owner.get(f"/documents/{place['short.md']}"))
    for missing in ("0" * 20, "x"):
        assert owner.get(f"/documents/{missing}").status_code == 404


def test_difference_of_two_editions_is_marked(filled: Served, owner: httpx.Client) -> None:
    place = ids(filled.workspace)
    english = owner.get(f"/documents/{place['leave-2023.md']}/difference").text
    assert "<del>ten</del>" in english and "<ins>twelve</ins>" in english
    chinese = owner.get(f"/documents/{place['年假规定-2023.md']}/difference").text
    assert "十<ins>五</ins>天" in chinese and "<del>" not in chinese
    assert owner.get(f"/documents/{place['doors.md']}/difference").status_code == 404


def test_what_the_next_turn_changes_of_a_file_is_shown(filled: Served, owner: httpx.Client) -> None:
    root = filled.workspace.root.parent / "documents"
    (root / "doors.md").write_text("# Doors\n\nEvery door opens by pulling the handle once.\n")
    add(filled.workspace, [str(root)])
    place = ids(filled.workspace)
    doors = text_of(owner.get(f"/documents/{place['doors.md']}"))
    assert "Answered from as it was before" in doors
    shown = owner.get(f"/documents/{place['doors.md']}/difference", params={"served": "true"})
    assert "<ins>once</ins>" in shown.text and "In version 1, which serves" in shown.text
    waiting = owner.get(f"/documents/{place['leave-2025.md']}/difference?served=true").text
    assert "holds nothing of it" in waiting


def test_answers_that_cited_a_document_lately_are_listed(
    served: Served, owner: httpx.Client
) -> None:
    served.workspace.ask("What is the tyre pressure in front?", "bart")
    tyres = ids(served.workspace)["tyres.md"]
    assert "tyre pressure in front" in text_of(owner.get(f"/documents/{tyres}/citing"))
    pay = ids(served.workspace)["pay.md"]
    assert "None of the latest 500" in text_of(owner.get(f"/documents/{pay}/citing"))


def test_upload_is_deleted_by_its_owner(served: Served, owner: httpx.Client) -> None:
    upload(served.workspace, "note.md", "# Note\n\nThe workshop closes at five on Fridays.\n")
    id = ids(served.workspace)["note.md"]
    reply = owner.post(f"/documents/{id}/delete", data={})
    assert reply.status_code == 303
    assert reply.headers["Location"].startswith("/documents/add?job=")
    assert "Waits for the jobs before it" in owner.get(reply.headers["Location"]).text
    work(served.workspace)
    assert "note.md" not in ids(served.workspace)
    assert "1 file is gone" in owner.get(reply.headers["Location"]).text
    acts = [(act.user, act.action, act.target) for act in keys.acts(served.workspace.database)]
    assert ("the owner", "documents.delete", id) in acts


def test_file_elsewhere_is_deleted_there(served: Served, owner: httpx.Client) -> None:
    id = ids(served.workspace)["doors.md"]
    assert "Delete it there" in text_of(owner.get(f"/documents/{id}"))
    refused = owner.post(f"/documents/{id}/delete", data={})
    assert (refused.status_code, "was not uploaded" in refused.text) == (400, True)


def test_labels_of_an_upload_are_changed_by_who_saw_them(
    served: Served, owner: httpx.Client
) -> None:
    upload(served.workspace, "note.md", "# Note\n\nThe workshop closes at five on Fridays.\n")
    place = f"/documents/{ids(served.workspace)['note.md']}"
    form: dict[str, str | list[str]] = {"seen": ["staff"], "access": ["staff"]}
    late = owner.post(f"{place}/labels", data=form)
    assert (late.status_code, "they are public now" in late.text) == (409, True)
    form = {"seen": ["public"], "access": ["staff"], "labels": "hr， board"}
    assert owner.post(f"{place}/labels", data=form).status_code == 303
    work(served.workspace)
    moved = uploads.find(served.workspace, ids(served.workspace)["note.md"])
    assert moved is not None and moved.access == ("board", "hr", "staff")
    place = f"/documents/{moved.id}"
    same = {"seen": list(moved.access), "access": list(moved.access)}
    refused = owner.post(f"{place}/labels", data=same)
    assert (refused.status_code, "these labels already" in refused.text) == (400, True)


def test_source_is_read_again_and_a_folder_only_where_it_may_be(
    serve: Callable[[str], Served], signed_in: SignedIn, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "new.md").write_text("# New\n\nThe canteen opens at eleven.\n")
    served = serve(f'[serve]\nfolders = ["{tmp_path}/shared"]\n')
    owner = signed_in(served.url, served.secrets["owner"])
    page = text_of(owner.get("/documents/add"))
    assert f"{tmp_path}/shared" in page and "Read again" in page
    refused = owner.post("/documents/sources", data={"source": "/etc"})
    assert (refused.status_code, "[serve] folders" in refused.text) == (403, True)
    documents = str(served.workspace.root.parent / "documents")
    again = owner.post("/documents/sources", data={"source": documents, "keep": "true"})
    named = owner.post(
        "/documents/sources", data={"source": f"{tmp_path}/shared", "access": ["hr"]}
    )
    assert (again.status_code, named.status_code) == (303, 303)
    first, second = work(served.workspace)
    assert first.arguments == SourceArguments(source=documents, access=("public",))
    assert first.result["fates"] == {"unchanged": 3}
    assert second.arguments == SourceArguments(source=f"{tmp_path}/shared", access=("hr",))
    assert "Kept 1" in text_of(owner.get(named.headers["Location"]))
    some = signed_in(served.url, served.key("owner", "some", "hr"))
    theirs = some.post("/documents/sources", data={"source": f"{tmp_path}/shared"})
    assert (theirs.status_code, "reads itself" in theirs.text) == (303, False)
    beyond = {"source": f"{tmp_path}/shared", "access": ["board"]}
    assert some.post("/documents/sources", data=beyond).status_code == 400


def test_job_is_asked_again_until_it_has_ended(served: Served, owner: httpx.Client) -> None:
    sent = owner.post(
        "/v1/documents",
        files=[
            ("files", ("note.md", "# Note\n\nThe workshop closes at five on Fridays.\n")),
            ("files", ("scan.txt", b"\x89PNG\r\n\x1a\n" + b"0" * 99)),
        ],
        data={"access": ["hr"]},
    )
    assert sent.status_code == 202
    place = f"/documents/jobs/{sent.json()['id']}"
    assert 'hx-trigger="every 1s"' in owner.get(place).text
    [done] = work(served.workspace)
    assert done.arguments == AddArguments(access=("hr",), files=("note.md", "scan.txt"))
    page = owner.get(place)
    assert "hx-trigger" not in page.text
    for told in ("Kept 1", "Failed 1", "run text recognition on it first", "Start a turn"):
        assert told in text_of(page), told
    turn = jobs.submit(served.workspace, TurnArguments())
    assert owner.get(f"/documents/jobs/{turn.id}").status_code == 404


def test_failed_job_says_why(served: Served, owner: httpx.Client, signed_in: SignedIn) -> None:
    job = jobs.submit(served.workspace, AddArguments(access=("nobody",)))
    work(served.workspace)
    assert "Failed" in text_of(owner.get(f"/documents/jobs/{job.id}"))
    some = signed_in(served.url, served.key("owner", "some", "hr"))
    assert some.get(f"/documents/jobs/{job.id}").status_code == 404


def test_turn_is_started_from_what_waits(filled: Served, owner: httpx.Client) -> None:
    reply = owner.post("/documents/turn", data={})
    assert (reply.status_code, reply.headers["Location"]) == (303, "/wheel")
    [job] = jobs.list_jobs(filled.workspace)
    assert job.arguments == TurnArguments()
    assert "A turn is under way" in owner.get("/documents").text


def test_acts_need_the_sessions_token(served: Served, owner: httpx.Client) -> None:
    del owner.headers[CSRF_HEADER]
    for path in ("/documents/turn", "/documents/sources"):
        assert owner.post(path, data={"source": "/"}).status_code == 403
    assert jobs.list_jobs(served.workspace) == []


@pytest.mark.parametrize(
    ("language", "title", "most"),
    [
        ("en", "Why files were set aside", "Too short to quote from 1"),
        ("zh", "文件被搁置的原因", "内容太短"),
    ],
)
def test_report_shows_pictures_with_their_numbers(
    filled: Served, signed_in: SignedIn, language: str, title: str, most: str
) -> None:
    client = signed_in(filled.url, filled.secrets["owner"], language)
    page = client.get("/documents/report").text
    assert title in page and most in re.findall('alt="([^"]+)"', page)[1]
    pictures = re.findall(r'src="(/documents/report/[^"]+)"', page)
    assert len(pictures) == 7
    for place in pictures if language == "en" else pictures[:1]:
        drawn = client.get(html.unescape(place))
        assert (drawn.status_code, drawn.headers["Content-Type"]) == (200, "image/svg+xml")
        assert drawn.text.startswith("<svg") and "<image" not in drawn.text
    assert client.get("/documents/report/none.svg").status_code == 404


def test_empty_workspace_says_how_to_begin(
    tmp_path: Path, root: Path, serve: Callable[[str], Served], signed_in: SignedIn
) -> None:
    (root / "flywheel.db").rename(tmp_path / "old.db")
    for each in root.glob("flywheel.db-*"):
        each.unlink()
    served = serve("")
    owner = signed_in(served.url, served.secrets["owner"])
    page = text_of(owner.get("/documents"))
    assert "No documents yet" in page and "flywheel add" in page and "Choose files" in page
    assert "No documents yet" in text_of(owner.get("/documents/report"))
    assert "A folder of the server" in text_of(owner.get("/documents/add"))

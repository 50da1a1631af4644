"""Curators see how the wheel turns and owners turn it; whoever acts acts on what he saw."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import Connection
from tests.serve.conftest import Served, serving

from flywheel.serve.app import create_app
from flywheel.serve.console.words import PageLanguage
from flywheel.store import exam_rows, versions
from flywheel.store import jobs as job_store
from flywheel.store.jobs import AddArguments, Job, Progress, TurnArguments
from flywheel.wheel import jobs, keys
from flywheel.wheel import versions as wheel
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.serve.console.conftest import SignedIn

PATHS = (
    "/wheel",
    "/wheel/descent",
    "/wheel/now",
    "/wheel/turns",
    "/wheel/compare",
    "/wheel/learning",
    "/wheel/health",
    "/wheel/versions/1",
)
REASONS = (
    "answer_rouge_l may fall by more than 0.05: 0.159 → 0.118, change at least -0.074",
    "its order is learned from 188 acts of feedback",
    "left out of the learning: 12 no evidence in current documents, 1 erased",
)
GAINED = (
    "evidence_mrr gains: 0.500 → 0.600, lower bound +0.021 at α = 0.025; 0.082 is the smallest "
    "gain this exam could see"
)


@pytest.fixture
def owner(served: Served, signed_in: SignedIn) -> httpx.Client:
    """A browser that signed in as the owner."""
    return signed_in(served.url, served.secrets["owner"])


@pytest.fixture
def two(served: Served) -> Workspace:
    """Version 1 serves, and version 2 was kept back; 60 questions of both are kept."""

    def write(conn: Connection) -> None:
        first = versions.require(conn, 1)
        bundle = first.bundle | {"ranker": "another"}
        second = replace(
            first,
            number=2,
            parent=1,
            bundle=bundle,
            bundle_hash=wheel.hash_of(bundle),
            decision="kept",
            reasons=REASONS,
        )
        versions.put(conn, second)
        versions.put_lineage(conn, second, [], [])
        for number in (1, 2):
            exam_rows.put_all(conn, number, {"at": f"t{number}"}, rows(number))

    served.workspace.database.write(write)
    return served.workspace


def rows(number: int) -> list[exam_rows.ExamRow]:
    """Of 60 questions, of which version 1 answers every second."""
    return [
        exam_rows.ExamRow(
            question=f"q{place}",
            digest="d",
            language="zh" if place % 3 else "en",
            kind="answer",
            confidence=0.5,
            hit=True,
            values={"evidence_mrr": float(number == 2 or place % 2)},
            latency_ms=1.0,
        )
        for place in range(60)
    ]


def started(workspace: Workspace, job: Job) -> None:
    workspace.database.write(lambda conn: job_store.start(conn, job.id, jobs.now()))


def ended(workspace: Workspace, job: Job, decision: str = "kept", error: str = "") -> None:
    """Ends a turn as the worker would."""
    result = {"version": 2, "decision": decision, "reasons": list(REASONS), "champion": 1}
    started(workspace, job)
    told = {} if error else result
    workspace.database.write(lambda conn: job_store.finish(conn, job.id, jobs.now(), told, error))


def marks(page: str) -> str:
    """What the page says it shows, for the next look at how far it is."""
    found = re.search(r'hx-get="/wheel/now\?seen=([^"]*)"', page)
    assert found is not None
    return found[1]


def test_askers_see_nothing_and_curators_do_nothing(served: Served, signed_in: SignedIn) -> None:
    asker = signed_in(served.url, served.secrets["asker"])
    curator = signed_in(served.url, served.secrets["curator"])
    for path in PATHS:
        assert asker.get(path).status_code == 403, path
        assert curator.get(path).status_code == 200, path
    assert "<form" not in curator.get("/wheel/descent").text
    for path in ("/wheel/turns", "/wheel/rollback", "/wheel/versions/1/promote"):
        assert curator.post(path, data={}).status_code == 403, path
    assert jobs.list_jobs(served.workspace) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_is_there_in_both_languages(
    served: Served, two: Workspace, signed_in: SignedIn, language: PageLanguage
) -> None:
    client = signed_in(served.url, served.secrets["owner"], language)
    for path in (*PATHS, "/wheel/compare/figures?a=1&b=2", "/wheel/learning?by=time"):
        reply = client.get(path)
        assert reply.status_code == 200, path
        assert "wheel." not in re.sub(r'"[^"]*"', "", reply.text), path
        assert "\x00" not in reply.text and len(reply.content) < 60_000


@pytest.mark.parametrize(("language", "says"), [("en", "No version yet"), ("zh", "还没有版本")])
def test_blank_workspace_says_what_to_do(
    tmp_path: Path, signed_in: SignedIn, language: PageLanguage, says: str
) -> None:
    with Workspace.init(tmp_path / "workspace") as workspace:
        secret = keys.add(workspace.database, "ines", "owner").secret
        with serving(create_app(workspace)) as url:
            client = signed_in(url, secret, language)
            page = client.get("/wheel").text
            assert says in page and 'href="/documents"' in page
            for path in ("compare", "learning", "health", "turns"):
                assert client.get(f"/wheel/{path}").status_code == 200
            assert client.get("/wheel/versions/1").status_code == 404
            assert client.post("/wheel/rollback", data={"champion": "0"}).status_code == 400


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("1 act of feedback", "1 correction")),
        ("zh", ("1 条反馈", "1 条更正")),
    ],
)
def test_what_waits_for_the_next_turn_is_told(
    served: Served, signed_in: SignedIn, language: PageLanguage, says: tuple[str, ...]
) -> None:
    client = signed_in(served.url, served.secrets["owner"], language)
    edit = {"kind": "edit", "question": "儿童锁在哪里？", "answer": "在后车门的边缘。"}
    evidence = {"evidence": ["儿童锁在后车门的边缘。"]}
    assert client.post("/v1/feedback", json=edit | evidence).status_code == 200
    page = client.get("/wheel").text
    assert all(each in page for each in says)


def test_owner_turns_watches_and_cancels(served: Served, owner: httpx.Client) -> None:
    workspace = served.workspace
    assert owner.post("/wheel/turns", data={}).headers["Location"] == "/wheel"
    assert owner.post("/wheel/turns", data={}).status_code == 303
    (job,) = jobs.list_jobs(workspace)
    assert (job.arguments, job.user) == (TurnArguments(model=False), "the owner")
    page = owner.get("/wheel").text
    assert "Waits for its turn" in page
    seen = marks(page)
    same = owner.get("/wheel/now", params={"seen": seen})
    assert "HX-Retarget" not in same.headers and 'id="now-title"' not in same.text

    started(workspace, job)
    progress = Progress(stage="exam", done=61, total=160)
    workspace.database.write(lambda conn: job_store.report(conn, job, progress))
    other = owner.get("/wheel/now", params={"seen": seen})
    assert (other.headers["HX-Retarget"], "HX-Trigger" in other.headers) == ("#now", False)
    assert "Sits the exam" in other.text and "61 of 160" in other.text
    assert "innerHTML:#now-said" in other.text

    reply = owner.post(f"/wheel/jobs/{job.id}/cancel", headers={"HX-Request": "true"})
    assert "The turn was cancelled." in reply.text and "every 1s" not in reply.text
    done = owner.get("/wheel/now", params={"seen": marks(other.text)})
    assert done.headers["HX-Trigger"] == "turned"
    acts = [(act.user, act.action, act.target) for act in keys.acts(workspace.database, 2)]
    assert acts == [
        ("the owner", "jobs.cancel", job.id),
        ("the owner", "jobs.turn", job.id),
    ]


def test_turn_with_a_model_is_asked_for_by_a_box(served: Served, owner: httpx.Client) -> None:
    owner.post("/wheel/turns", data={"model": "true"})
    assert jobs.list_jobs(served.workspace)[0].arguments == TurnArguments(model=True)
    assert owner.post("/wheel/turns", data={"model": "perhaps"}).status_code == 400


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("Version 2 was kept back.", "left out", "change at least -0.074", "2 s")),
        ("zh", ("版本 2 未启用。", "段落排序学习自 188 条反馈", "变化的下限为 -0.074", "2")),
    ],
)
def test_end_of_a_turn_tells_the_decision_and_why(
    served: Served, signed_in: SignedIn, language: PageLanguage, says: tuple[str, ...]
) -> None:
    client = signed_in(served.url, served.secrets["owner"], language)
    ended(served.workspace, jobs.submit(served.workspace, TurnArguments()))
    for path in ("/wheel", "/wheel/turns"):
        page = client.get(path).text
        assert all(each.lower() in page.lower() for each in says[1:3]), path
    assert says[0] in client.get("/wheel").text


def test_turn_that_failed_tells_its_error_as_text(served: Served, owner: httpx.Client) -> None:
    job = jobs.submit(served.workspace, TurnArguments())
    ended(served.workspace, job, error="<img src=x onerror=alert(1)> is no document")
    for path in ("/wheel", "/wheel/turns"):
        page = owner.get(path).text
        assert "&lt;img src=x" in page and "<img src=x" not in page


def test_earlier_turns_tell_how_long_the_next_may_take(served: Served, owner: httpx.Client) -> None:
    ended(served.workspace, jobs.submit(served.workspace, TurnArguments()))
    started(served.workspace, jobs.submit(served.workspace, TurnArguments()))
    assert "such turns took about 0." in owner.get("/wheel").text
    with_model = jobs.submit(served.workspace, TurnArguments(model=True))
    (running, _) = jobs.active(served.workspace)
    jobs.cancel(served.workspace, running.id)
    started(served.workspace, with_model)
    assert "such turns took" not in owner.get("/wheel").text


def test_work_on_documents_is_told_to_whoever_may_read_them(
    served: Served, signed_in: SignedIn
) -> None:
    hidden = jobs.submit(served.workspace, AddArguments(access=("board",), files=("sale.md",)))
    some = signed_in(served.url, served.key("owner", "hr", "hr"))
    every = signed_in(served.url, served.secrets["owner"])
    curator = signed_in(served.url, served.secrets["curator"])
    assert "Adding uploads" in every.get("/wheel").text
    assert "Adding uploads" in every.get("/wheel/turns").text
    for client in (some, curator):
        assert "Adding uploads" not in client.get("/wheel").text
        assert "Adding uploads" not in client.get("/wheel/turns").text
    assert some.post(f"/wheel/jobs/{hidden.id}/cancel").status_code == 404
    assert every.post(f"/wheel/jobs/{hidden.id}/cancel").status_code == 303


def test_job_that_is_not_there_is_not_cancelled(owner: httpx.Client) -> None:
    for id in ("0" * 32, "x", "%ff", "字", "a" * 5000):
        assert owner.post(f"/wheel/jobs/{id}/cancel").status_code == 404, id


def test_version_tells_what_it_is_made_of(two: Workspace, owner: httpx.Client) -> None:
    page = owner.get("/wheel/versions/2").text
    for says in ("kept back", "from version 1", "188 acts of feedback", "It never served."):
        assert says in page
    assert "the learned order of passages" in page, "what would change, in the dialog"
    assert owner.get("/wheel/versions/1").text.count("Let it serve") == 0
    for number in ("3", "0", "-1", "x", str(2**31), "9" * 400):
        assert owner.get(f"/wheel/versions/{number}").status_code in (400, 404), number


def test_version_is_promoted_and_gone_back_from(served: Served, owner: httpx.Client) -> None:
    workspace = served.workspace
    workspace.database.write(_like_the_first)
    reason = "它读过新的价目表 🚗"
    form = {"reason": reason, "champion": "1"}
    assert owner.post("/wheel/versions/2/promote", data=form).headers["Location"] == "/wheel"
    page = owner.get("/wheel").text
    assert reason in page and "Go back to version 1" in page
    back = owner.post("/wheel/rollback", data={"reason": "", "champion": "2"})
    assert back.headers["Location"] == "/wheel?now=1&was=2"
    page = owner.get(back.headers["Location"]).text
    assert "Version 1 serves again, in place of version 2." in page
    assert "serves again" not in owner.get("/wheel?now=2&was=1").text
    acts = [(act.user, act.action, act.target) for act in keys.acts(workspace.database, 2)]
    assert acts == [
        ("the owner", "versions.rollback", "1"),
        ("the owner", "versions.promote", "2"),
    ]


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "Meanwhile ines let version 2 serve"), ("zh", "ines 已启用版本 2")],
)
def test_second_owner_sees_what_the_first_did_and_changes_nothing(
    served: Served, signed_in: SignedIn, language: PageLanguage, says: str
) -> None:
    workspace = served.workspace
    workspace.database.write(_like_the_first)
    wheel.promote(workspace, 2, "ines", "mine")
    client = signed_in(served.url, served.secrets["owner"], language)
    for path in ("/wheel/rollback", "/wheel/versions/1/promote"):
        reply = client.post(path, data={"champion": "1", "reason": "yours"})
        assert reply.status_code == 409 and says in reply.text, path
    with workspace.database.read() as conn:
        history = versions.history(conn)
    assert [each.version for each in history] == [1, 2]


def test_version_that_cannot_serve_says_why(two: Workspace, owner: httpx.Client) -> None:
    reply = owner.post("/wheel/versions/2/promote", data={"champion": "1"})
    assert reply.status_code == 400 and "its ranker is missing" in reply.text
    with two.database.read() as conn:
        standing = versions.champion(conn)
    assert standing is not None and standing.number == 1


@pytest.mark.parametrize(("language", "says"), [("en", "better"), ("zh", "更好")])
def test_two_versions_stand_beside_each_other(
    served: Served, two: Workspace, signed_in: SignedIn, language: PageLanguage, says: str
) -> None:
    client = signed_in(served.url, served.secrets["curator"], language)
    page = client.get("/wheel/compare").text
    assert 'hx-get="/wheel/compare/figures?a=1&amp;b=2"' in page
    figures = client.get("/wheel/compare/figures?a=1&b=2").text
    assert "+0.500" in figures and says in figures and "60 / 60" not in figures
    picture = client.get("/wheel/compare/picture.svg?a=1&b=2")
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/svg+xml")
    assert client.get("/wheel/compare/figures?a=1&b=9").status_code == 404
    assert client.get("/wheel/compare?a=x").status_code == 400


def test_versions_of_which_nothing_is_kept_stand_beside_each_other_without_a_gain(
    served: Served, owner: httpx.Client
) -> None:
    def write(conn: Connection) -> None:
        _like_the_first(conn)
        exam_rows.put_all(conn, 2, {}, [])

    served.workspace.database.write(write)
    figures = owner.get("/wheel/compare/figures?a=1&b=2").text
    assert "flywheel versions compare 1 2" in figures and "Evidence" in figures
    assert owner.get("/wheel/compare/picture.svg?a=1&b=2").status_code == 404


def test_learning_curve_is_drawn_and_told(two: Workspace, owner: httpx.Client) -> None:
    page = owner.get("/wheel/learning").text
    address = re.search(r'src="(/wheel/learning/picture\.svg\?[^"]*)"', page)
    assert address is not None
    assert owner.get(address[1].replace("&amp;", "&")).status_code == 200
    assert owner.get("/wheel/learning/picture.svg?metric=evidence_mrr&by=time").status_code == 200
    assert owner.get("/wheel/learning/picture.svg?metric=nothing").status_code == 404


@pytest.mark.parametrize(
    ("language", "before", "after"),
    [
        ("en", "Not measured yet", "Largest share of one user"),
        ("zh", "尚未测量", "单个用户的最大占比"),
    ],
)
def test_health_is_measured_when_a_curator_asks(
    served: Served, signed_in: SignedIn, language: PageLanguage, before: str, after: str
) -> None:
    client = signed_in(served.url, served.secrets["curator"], language)
    assert before in client.get("/wheel/health").text
    up = {"kind": "up", "question": "儿童锁在哪里？", "answer": "是。"}
    client.post("/v1/feedback", json=up)
    assert client.post("/wheel/health").status_code == 303
    page = client.get("/wheel/health").text
    assert after in page and before not in page


def test_a_page_of_versions_goes_on_with_the_next(served: Served, owner: httpx.Client) -> None:
    def write(conn: Connection) -> None:
        first = versions.require(conn, 1)
        for number in range(2, 42):
            versions.put(conn, replace(first, number=number, parent=1, decision="kept"))

    served.workspace.database.write(write)
    page = owner.get("/wheel").text
    assert "/wheel?before=12" in page and 'href="/wheel/versions/11"' not in page
    assert 'href="/wheel/versions/11"' in owner.get("/wheel?before=12").text
    assert len(page) < 60_000


def _like_the_first(conn: Connection) -> None:
    """Another version of the same parts, that can serve."""
    first = versions.require(conn, 1)
    versions.put(conn, replace(first, number=2, parent=1, decision="kept", reasons=(GAINED,)))

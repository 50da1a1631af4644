"""The page Exam: figures in words, the hardest questions, and questions that two people change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import delete

from flywheel.evaluate import metrics
from flywheel.records import Feedback
from flywheel.serve.console.exam.words import SECTIONS
from flywheel.serve.console.words import PageLanguage, Words, catalogue
from flywheel.store import jobs as job_store
from flywheel.store import tables
from flywheel.store.jobs import Job, Progress, TurnArguments
from flywheel.wheel import jobs, keys
from flywheel.wheel.exam import file as exam_file
from flywheel.wheel.exam.card import sit_again
from flywheel.wheel.feedback import accept
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn, Visitor

LOCK = "The child lock sits on the edge of each rear door."
锁 = "儿童锁在后车门的边缘。"
PAY = "The workshop pays its apprentices nine hundred zorkmids a month."

LINES = (
    {"id": 1, "question": "Where does the child lock sit?", "evidence": [LOCK], "tags": ["doors"]},
    {"id": 2, "question": "Does the handle open the pressure?", "evidence": [LOCK]},
    {"id": 3, "question": "车窗遇到阻力会怎样？", "evidence": [锁]},
    {"id": 4, "question": "What do apprentices get?", "answer": "Zorkmids.", "evidence": [PAY]},
    {"id": 5, "question": "How many moons has Saturn?", "answerable": False},
)


@pytest.fixture
def sat(served: Served) -> Served:
    """Served with an exam of its own, that the champion sat."""
    lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in LINES)
    (served.workspace.root / "exam.jsonl").write_text("".join(lines), encoding="utf-8")
    sit_again(served.workspace)
    return served


@pytest.fixture
def curator(sat: Served, signed_in: SignedIn) -> httpx.Client:
    """A curator who may read everything."""
    return signed_in(sat.url, sat.key("curator", "kim", "public", "staff"))


@pytest.fixture
def everything(sat: Served, signed_in: SignedIn) -> httpx.Client:
    """An owner, who may read everything."""
    return signed_in(sat.url, sat.secrets["owner"])


def keys_of(page: str) -> dict[str, str]:
    """The questions that a list links to, by their words."""
    found = re.findall(r'href="/exam/questions/([0-9a-f]{24})">([^<]+)</a>', page)
    return {words: key for key, words in found}


def seen_of(page: str) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]*)"', page)
    assert found is not None
    return found.group(1)


def post(client: httpx.Client, place: str, **data: Any) -> httpx.Response:
    return client.post(place, data=data, follow_redirects=True)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_card_tells_the_figures_in_words_and_by_language(
    sat: Served, signed_in: SignedIn, language: PageLanguage
) -> None:
    client = signed_in(sat.url, sat.secrets["curator"], language)
    page = client.get("/exam")
    assert page.status_code == 200 and len(page.content) < 60_000
    recall = {
        "en": r"Evidence among the first ten passages: \d+\.\d% \(\d+–\d+\), 4 questions",
        "zh": r"依据在前十个段落中：\d+\.\d%（\d+–\d+），4 个问题",
    }
    assert re.search(recall[language], page.text)
    t = Words(language)
    assert t("exam.language.en") in page.text and t("exam.language.zh") in page.text
    assert t("exam.definition.evidence_mrr") in page.text
    for picture in ("metrics", "calibration"):
        drawn = client.get(f"/exam/{picture}.svg?version=1&theme=dark&narrow=true")
        assert drawn.headers["content-type"] == "image/svg+xml"
        assert drawn.text.startswith("<svg") and f"/exam/{picture}.svg?version=1" in page.text
    assert t("exam.metric.answered") in client.get("/exam/metrics.svg").text


def test_definitions_are_the_metrics_own() -> None:
    for name, metric in metrics.PER_QUESTION.items():
        told = " ".join(str(metric.__doc__).split()).replace("`", "")
        assert catalogue("en")[f"exam.definition.{name}"] == told
    assert {name for names in SECTIONS.values() for name in names} == set(metrics.METRICS)


def test_workspace_without_an_exam_is_told_how_to_write_one(
    served: Served, signed_in: SignedIn
) -> None:
    client = signed_in(served.url, served.secrets["curator"])
    card = client.get("/exam").text
    assert "made from the documents" in card and "/exam/questions/new" in card
    questions = client.get("/exam/questions").text
    assert "Write an exam" in questions and "exam.jsonl" in questions
    added = post(
        client, "/exam/questions", question="Where is it?", evidence=[LOCK, ""], answerable="yes"
    )
    assert added.status_code == 200 and "It is asked from the next turn on" in added.text
    [line] = (served.workspace.root / "exam.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["evidence"] == [LOCK]
    assert keys_of(client.get("/exam/questions").text).keys() == {"Where is it?"}


def test_before_the_first_turn_every_page_says_what_to_do(
    tmp_path: Path, signed_in: SignedIn
) -> None:
    from tests.serve.conftest import serving

    from flywheel.serve.app import create_app

    with Workspace.init(tmp_path / "workspace") as workspace:
        secret = keys.add(workspace.database, "ines", "owner").secret
        with serving(create_app(workspace)) as url:
            client = signed_in(url, secret)
            assert "No version has sat an exam yet" in client.get("/exam").text
            assert "Write an exam" in client.get("/exam/questions").text
            for place in ("/exam/hardest", "/exam/feedback", "/exam/questions/new"):
                assert client.get(place).status_code == 200, place
            assert "Nothing was asked yet" in client.get("/exam/feedback/series").text
            assert client.get("/exam/metrics.svg").status_code == 404
            saved = post(client, "/exam/questions", question="Where?", answer="There.")
            assert saved.status_code == 200 and len(exam_file.lines(workspace)) == 1


def test_version_without_rows_says_so_and_offers_to_sit(
    served: Served, signed_in: SignedIn
) -> None:
    served.workspace.database.write(lambda conn: conn.execute(delete(tables.exam_rows)))
    client = signed_in(served.url, served.secrets["curator"])
    card = client.get("/exam").text
    assert "was not kept" in card and "Sit the exam" in card
    assert "Evidence among the first ten passages: " in card, "what the version itself keeps"
    assert "Let it sit the exam again" in client.get("/exam/hardest").text
    assert client.get("/exam/calibration.svg").status_code == 200


def test_version_that_nobody_has_is_said_not_to_be_there(curator: httpx.Client) -> None:
    assert curator.get("/exam?version=99").status_code in (400, 404)
    assert curator.get("/exam?version=99999999999").status_code == 400


def test_askers_see_no_exam(sat: Served, signed_in: SignedIn) -> None:
    client = signed_in(sat.url, sat.secrets["asker"])
    for place in ("", "/hardest", "/feedback", "/questions", "/export.jsonl", "/near", "/passages"):
        assert client.get(f"/exam{place}").status_code == 403
    assert post(client, "/exam/questions", question="?").status_code == 403
    assert client.post("/exam/sitting").status_code == 403


def test_sitting_is_asked_of_the_worker_and_watched(sat: Served, curator: httpx.Client) -> None:
    part = curator.post("/exam/sitting", headers={"HX-Request": "true"})
    assert "Waiting for the worker" in part.text and 'hx-trigger="every 2s"' in part.text
    workspace = sat.workspace
    [job] = jobs.list_jobs(workspace)
    assert (job.kind, job.user) == ("exam", "kim")
    assert post(curator, "/exam/sitting").status_code == 200, "works without a script"
    assert len(jobs.list_jobs(workspace)) == 1
    assert workspace.database.write(lambda conn: job_store.start(conn, job.id, jobs.now()))
    progress = Progress(stage="exam", done=2, total=5)
    workspace.database.write(lambda conn: job_store.report(conn, job, progress))
    going = curator.get("/exam/sitting", headers={"HX-Request": "true"})
    assert "2 of 5 questions" in going.text and "HX-Refresh" not in going.headers
    workspace.database.write(lambda conn: job_store.finish(conn, job.id, jobs.now(), error="oh"))
    ended = curator.get("/exam/sitting", headers={"HX-Request": "true"})
    assert ended.headers["HX-Refresh"] == "true"
    assert "ask an owner" in curator.get("/exam").text


def test_hardest_questions_show_what_was_found_instead_and_their_draft(
    everything: httpx.Client,
) -> None:
    page = everything.get("/exam/hardest").text
    assert "Does the handle open the pressure?" in page
    assert "Where does the child lock sit?" not in page
    assert re.search(r'href="/passages/[^"]+">[^<]+ › ', page) and "where it stands" in page
    chinese = everything.get("/exam/hardest?language=zh").text
    assert "车窗遇到阻力会怎样？" in chinese and "Does the handle" not in chinese
    assert everything.get("/exam/hardest?language=xx").status_code == 400
    key = keys_of(everything.get("/exam/questions").text)["车窗遇到阻力会怎样？"]
    draft = everything.get(f"/exam/hardest/{key}/draft", headers={"HX-Request": "true"})
    assert "遇到阻力" in draft.text and "<html" not in draft.text
    assert everything.get("/exam/hardest/nothing/draft").status_code == 404


def test_curator_sees_the_questions_whose_evidence_he_may_read_and_all_figures(
    sat: Served, signed_in: SignedIn, everything: httpx.Client
) -> None:
    client = signed_in(sat.url, sat.key("curator", "bo", "public"))
    listed = keys_of(everything.get("/exam/questions").text)
    assert len(listed) == 5
    hidden = listed["What do apprentices get?"]
    for place in ("/exam", "/exam/hardest", "/exam/questions", "/exam/export.jsonl"):
        page = client.get(place)
        assert page.status_code == 200
        assert "pprentice" not in page.text and "Zorkmids" not in page.text, place
    assert "2 questions are not shown" in client.get("/exam/questions").text
    assert "5 questions" in client.get("/exam").text
    assert client.get(f"/exam/questions/{hidden}").status_code == 404
    assert client.get(f"/exam/hardest/{hidden}/draft").status_code == 404
    lost = post(client, f"/exam/questions/{hidden}", question="?", answer="!", seen="x")
    assert lost.status_code == 409 and "Zorkmids" not in lost.text
    assert "zorkmid" not in client.get("/exam/passages?find=zorkmids+apprentices").text
    assert "zorkmids" in everything.get("/exam/passages?find=zorkmids+apprentices").text
    wrong = post(client, "/exam/questions", question="Who pays?", evidence=[PAY])
    assert wrong.status_code == 422 and "that you may read" in wrong.text
    assert "Who pays?" in wrong.text, "what was typed is still there"


def test_questions_are_found_by_words_language_and_tag(everything: httpx.Client) -> None:
    def found(query: str) -> set[str]:
        return set(keys_of(everything.get(f"/exam/questions?{query}").text))

    assert found("q=SATURN") == {"How many moons has Saturn?"}
    assert found("q=zorkmids") == {"What do apprentices get?"}
    assert found("language=zh") == {"车窗遇到阻力会怎样？"}
    assert found("tag=doors") == {"Where does the child lock sit?"}
    assert found("q=nothing+at+all") == set()
    assert len(everything.get("/exam/export.jsonl").text.splitlines()) == 5


def test_second_of_two_people_sees_what_the_first_wrote_and_nothing_is_lost(
    sat: Served, everything: httpx.Client, curator: httpx.Client
) -> None:
    key = keys_of(everything.get("/exam/questions").text)["How many moons has Saturn?"]
    place = f"/exam/questions/{key}"
    seen = seen_of(everything.get(place).text)
    moons = {"answerable": "no", "tags": "space，sky"}
    hidden = post(curator, place, question="Changed?", seen=seen, **moons)
    assert hidden.status_code == 409, "what has no evidence is for those who read everything"
    assert "the owner" not in hidden.text and "Saturn" not in hidden.text
    first = post(everything, place, question="How many moons has Mars?", seen=seen, **moons)
    assert "Saved" in first.text and "space, sky" in first.text
    second = post(everything, place, question="How many moons has Venus?", seen=seen, **moons)
    assert second.status_code == 409
    assert "Somebody else was first" in second.text and "the owner changed" in second.text
    assert "Mars" in second.text and "Venus" in second.text
    lost = post(everything, f"{place}/delete", seen=seen)
    assert lost.status_code == 409 and "Mars" in lost.text
    again = post(
        everything, place, question="How many moons has Venus?", seen=seen_of(second.text), **moons
    )
    assert again.status_code == 200
    assert post(everything, f"{place}/delete", seen=seen_of(again.text)).status_code == 200
    gone = post(everything, place, question="Back?", answer="Yes.", seen=seen)
    assert gone.status_code == 409 and 'action="/exam/questions"' in gone.text
    assert len(keys_of(everything.get("/exam/questions").text)) == 4


def test_form_without_its_token_changes_nothing(sat: Served, everything: httpx.Client) -> None:
    del everything.headers["X-CSRF-Token"]
    before = (sat.workspace.root / "exam.jsonl").read_bytes()
    assert post(everything, "/exam/questions", question="?", answer="!").status_code == 403
    assert (sat.workspace.root / "exam.jsonl").read_bytes() == before


def test_form_warns_of_near_duplicates_and_of_a_turn_that_runs(
    sat: Served, everything: httpx.Client
) -> None:
    asked = "Which bolt of the rear door sits on the edge exactly?"
    act = Feedback(
        id="e", kind="edit", user="ines", role="curator", at="", question=asked, answer="None.",
        evidence=(LOCK,),
    )  # fmt: skip
    accept(sat.workspace, [act])
    near = everything.get("/exam/near", params={"question": asked.upper()}).text
    assert "1 correction asks nearly the same. It will be switched off" in near
    assert everything.get("/exam/near").text.strip() == ""
    running = Job(id="a" * 32, arguments=TurnArguments(), user="x", created_at=jobs.now())
    sat.workspace.database.write(lambda conn: job_store.put(conn, running))
    assert "A turn is running" not in everything.get("/exam/questions/new").text
    sat.workspace.database.write(lambda conn: job_store.start(conn, running.id, jobs.now()))
    assert "A turn is running" in everything.get("/exam/questions/new").text


def test_line_that_is_wrong_is_told_without_the_machines_folders(
    sat: Served, everything: httpx.Client
) -> None:
    (sat.workspace.root / "exam.jsonl").write_text('{"id": 1, "question": "?", "evidnce": []}\n')
    page = everything.get("/exam/questions")
    assert page.status_code == 200 and "Line 1: " in page.text and "evidnce" in page.text
    assert str(sat.workspace.root) not in page.text
    assert everything.get("/exam").status_code == 200


def test_markup_of_a_question_stays_text(sat: Served, everything: httpx.Client) -> None:
    hostile = '<img src=x onerror=alert(1)> "quoted" {{ 7*7 }}'
    added = post(everything, "/exam/questions", question=hostile, answer=hostile, tags=hostile)
    assert added.status_code == 200
    for page in (added, everything.get("/exam/questions"), everything.get("/exam/hardest")):
        assert "<img src=x" not in page.text and "49" not in re.sub(r"[0-9a-f]{12,}", "", page.text)


def test_fresh_feedback_is_counted_behind_the_page(sat: Served, everything: httpx.Client) -> None:
    page = everything.get("/exam/feedback?by=day").text
    assert "never decides anything" in page and 'hx-get="/exam/feedback/series?by=day"' in page
    empty = everything.get("/exam/feedback/series")
    assert "Nothing was asked yet" in empty.text and "<html" not in empty.text
    from flywheel.wheel.exam import fresh_feedback

    fresh_feedback._kept.clear()
    asked = sat.workspace.ask("Where does the child lock sit?").interaction
    act = Feedback(
        id="u", kind="up", user="owner", role="owner", at="", interaction=asked, candidate=0
    )
    accept(sat.workspace, [act])
    told = everything.get("/exam/feedback/series").text
    assert "Version 1" in told and "100%" in told
    assert everything.get("/exam/feedback/series.svg?by=day").text.startswith("<svg")


def test_form_picks_evidence_by_keyboard_and_every_page_is_accessible(
    sat: Served, visitor: Callable[..., Visitor]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    places = ("/exam", "/exam/hardest", "/exam/feedback", "/exam/questions", "/exam/questions/new")
    visiting = visitor(sat.url, sat.secrets["owner"], language="zh", theme="dark", width=360)
    for place in places:
        page = visiting.go(place)
        page.wait_for_load_state("networkidle")
        found = Axe().run(page)
        assert found.response["violations"] == [], f"{place}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place
    page = visiting.go("/exam/questions/new")
    page.fill("#question", "锁在哪里？")
    page.fill("#find", "儿童锁")
    page.press("#find", "Enter")
    use = page.locator("[data-evidence-use]").first
    use.focus()
    use.press("Enter")
    piece = page.locator("[name=evidence]").first
    assert "儿童锁" in piece.input_value()
    page.locator("[data-evidence-add]").press("Enter")
    assert page.locator("[name=evidence]").count() == 2
    page.locator("button[type=submit].primary").press("Enter")
    page.wait_for_url("**/exam/questions/*?saved=added")
    assert visiting.complaints == []

"""How a version sat the exam is kept with it, in no words, and can be made up for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flywheel.records import from_json, to_json
from flywheel.store import exam_rows, redaction, state, tables
from flywheel.store import jobs as job_store
from flywheel.store.exam_rows import ExamRow, key_of
from flywheel.store.jobs import ExamArguments
from flywheel.wheel import jobs
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.exam import card as exam_card
from flywheel.wheel.exam.card import Card, card_of, sit_again

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

LOCK = "The child lock sits on the edge of each rear door."
锁 = "儿童锁在后车门的边缘。"

LINES = (
    {"id": 1, "question": "Where does the child lock sit?", "evidence": [LOCK], "answer": LOCK},
    {"id": "儿童锁的问题编号", "question": "儿童锁在哪里？", "evidence": [锁]},
    {"id": "moons", "question": "How many moons has Saturn?", "answerable": False},
)


def sit(domain: Domain) -> Card:
    (domain.root / "exam.jsonl").write_text(
        "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in LINES), encoding="utf-8"
    )
    return sit_again(domain.workspace)[1]


def rows(domain: Domain, version: int = 1) -> dict[str, ExamRow]:
    with domain.workspace.database.read() as conn:
        return {each.question: each for each in exam_rows.list_rows(conn, version)}


def card(domain: Domain, version: int = 1) -> Card | None:
    with domain.workspace.database.read() as conn:
        return card_of(conn, version)


def test_turn_keeps_how_its_version_did_on_each_question(domain: Domain) -> None:
    kept = card(domain)
    assert kept is not None
    assert kept.metrics == domain.workspace.champion().metrics
    assert kept.num_questions == kept.num_made == len(rows(domain))
    assert {"en", "zh"} <= kept.metrics_by.keys()
    assert sum(each.count for each in kept.bins) == kept.metrics["brier"].count
    told = kept.decisions
    assert told.answered + told.asked_back + told.abstained == kept.num_questions
    held = [each for each in rows(domain).values() if each.answerable]
    assert held and all(each.gold and all(each.gold) for each in held)


def test_row_says_what_was_found_and_holds_no_words(domain: Domain) -> None:
    sit(domain)
    row = rows(domain)[key_of("1")]
    assert row.language == "en" and row.values["evidence_mrr"] == 1 and row.hit
    [gold] = row.gold
    assert gold[0] == row.found[0]
    chinese = rows(domain)[key_of("儿童锁的问题编号")]
    assert chinese.language == "zh" and chinese.gold[0]
    moons = rows(domain)[key_of("moons")]
    assert not moons.answerable and moons.gold == () and moons.hit is False
    with domain.workspace.database.read() as conn:
        table = redaction.rows(conn, tables.exam_rows)
        texts = "\n".join(each for each in table if not each.isascii() or " " in each)
    assert texts == ""


def test_drawn_question_is_known_by_its_interaction_and_goes_with_it(domain: Domain) -> None:
    asked = domain.workspace.ask("Where does the child lock sit exactly?").interaction
    assert key_of(f"asked-{asked}") == f"asked-{asked}"
    assert key_of("asked-what-Ines-Weber-earns") != "asked-what-Ines-Weber-earns"
    row = next(iter(rows(domain).values()))
    old = card(domain)
    assert old is not None

    def keep(conn: object) -> None:
        mine = from_json(ExamRow, {**to_json(row), "question": f"asked-{asked}"})
        exam_rows.put_all(conn, 1, to_json(old), [row, mine])  # type: ignore[arg-type]

    domain.workspace.database.write(keep)
    erase(domain.workspace, "interaction", asked)
    assert rows(domain).keys() == {row.question}


def test_edited_question_is_told_from_the_one_that_was_sat(domain: Domain) -> None:
    sit(domain)
    before = rows(domain)[key_of("moons")].digest
    (domain.root / "exam.jsonl").write_text(
        json.dumps(LINES[2] | {"question": "How many moons has Mars?"})
    )
    sit_again(domain.workspace)
    [after] = rows(domain).values()
    assert after.digest != before
    told = card(domain)
    assert told is not None and told.num_questions == 1, "the rows before are replaced"


def test_sitting_again_spends_none_of_the_error_that_decisions_share(domain: Domain) -> None:
    with domain.workspace.database.read() as conn:
        before = state.get(conn, "gain_decisions"), state.get(conn, "judged_by")
    sit(domain)
    with domain.workspace.database.read() as conn:
        assert (state.get(conn, "gain_decisions"), state.get(conn, "judged_by")) == before


def test_version_that_an_erasure_made_has_no_card_until_it_sits(domain: Domain) -> None:
    place = domain.write("doors.md", "# Doors\n\nNothing is said of doors any more in this text.\n")
    erase(domain.workspace, "source", str(place.parent / "charging-2023.md"))
    number = domain.workspace.champion().number
    if number == 1:  # a superseded edition stood in no index
        erase(domain.workspace, "source", str(place.parent / "doors.md"))
        number = domain.workspace.champion().number
    assert number == 2 and card(domain, 2) is None
    assert sit_again(domain.workspace)[0] == 2
    assert card(domain, 2) is not None


def test_questions_made_from_the_documents_are_kept_with_their_words_until_an_erasure(
    domain: Domain,
) -> None:
    workspace = domain.workspace
    champion = workspace.champion()
    made = exam_card.made_of(workspace, champion, list(rows(domain).values()))
    assert made and {key_of(each.id) for each in made} == rows(domain).keys()
    asked = workspace.ask("Where is the lock?").interaction
    erase(workspace, "interaction", asked)
    assert exam_card.made_of(workspace, champion, list(rows(domain).values())) is None


def test_passages_are_shown_to_whoever_may_read_them(domain: Domain) -> None:
    ids = [each for row in rows(domain).values() for each in row.found[:1]]
    assert set(exam_card.passages(domain.workspace, ids, None)) == set(ids)
    domain.add(access=["staff"])
    assert exam_card.passages(domain.workspace, ids, ()) == {}


def test_job_lets_the_champion_sit_and_one_that_waits_is_enough(domain: Domain) -> None:
    workspace = domain.workspace
    job = jobs.submit(workspace, ExamArguments())
    assert jobs.submit(workspace, ExamArguments()).id == job.id
    assert workspace.database.write(lambda conn: job_store.start(conn, job.id, jobs.now()))
    jobs.run_job(workspace.root, job.id)
    ended = jobs.get(workspace, job.id, labels=())
    assert ended is not None and (ended.kind, ended.state, ended.error) == ("exam", "done", "")
    assert ended.result["version"] == 1 and "evidence_mrr" in ended.result["metrics"]


@pytest.mark.parametrize("num", [1, 25, 1233])
def test_key_is_short_and_of_no_words(num: int) -> None:
    assert len(key_of(f"Frage {num}")) == 24

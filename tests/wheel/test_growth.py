"""The exam grows by what users ask, and a version sits it without what it learned of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from flywheel.answer.assistant import Assistant
from flywheel.errors import FileFormatError, SourceError, UsageError
from flywheel.learn.groups import is_drawn
from flywheel.records import Feedback
from flywheel.store import exam_items, versions
from flywheel.store.tables import interactions
from flywheel.wheel import cost, examination, growth, keys, lineage, stages
from flywheel.wheel.examination import evaluate
from flywheel.wheel.feedback import accept, key_of
from flywheel.wheel.gate import Saving
from flywheel.wheel.growth import Gold, Judged
from flywheel.wheel.keys import Caller
from flywheel.wheel.lineage import TracedFeedback

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

INES = Caller(key="k", name="ines", role="curator", access=("public",))
EVIDENCE = "The child lock sits on the edge of each rear door."


def question(drawn: bool, place: int = 0) -> str:
    """One that the hash draws, or does not; those of other places are no near-duplicates."""
    places = ("hinge", "lamp", "wheel", "window")
    made = (f"{places[place]} {number}" for number in range(999))
    return next(each for each in made if is_drawn(each) == drawn)


def edit(id: str, question: str, interaction: str = "") -> Feedback:
    return Feedback(
        id=id,
        kind="edit",
        user="ines",
        role="curator",
        at="2020-01-01" if not interaction else "",
        question=question,
        interaction=interaction,
        answer="On the edge.",
        evidence=(EVIDENCE,),
    )


def write(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def draw(domain: Domain) -> int:
    return growth.draw(domain.workspace, examination.own(domain.workspace))


def waiting(domain: Domain) -> list[str]:
    return [each["question"] for each in growth.waiting(domain.workspace)]


def test_turn_draws_by_the_hash_of_what_was_asked(domain: Domain) -> None:
    yes, no = question(drawn=True), question(drawn=False, place=1)
    domain.ask(yes)
    domain.ask(no)
    domain.ask(yes.upper())
    domain.turn()
    assert waiting(domain) == [yes]
    assert draw(domain) == 0


def test_turn_gives_keys_to_what_was_asked_under_a_release_without_them(domain: Domain) -> None:
    database, asked = domain.workspace.database, question(drawn=False)
    domain.ask(asked)
    database.write(lambda conn: conn.execute(update(interactions).values(key="")))
    assert draw(domain) == 0
    with database.read() as conn:
        assert list(conn.scalars(select(interactions.c.key))) == [key_of(asked)]


def test_newcomer_of_a_training_group_is_not_drawn_later(domain: Domain) -> None:
    accept(domain.workspace, [edit("e", question(drawn=True))])
    domain.ask(question(drawn=True))
    assert draw(domain) == 0


def test_rating_has_no_say_in_what_is_drawn(domain: Domain) -> None:
    for place, drawn in enumerate((True, False)):
        asked = domain.workspace.ask(question(drawn, place)).interaction
        accept(domain.workspace, [edit(f"e{place}", "", asked)])
    draw(domain)
    assert waiting(domain) == [question(drawn=True)]


def test_full_exam_draws_no_more(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "FULL", 1)
    domain.ask(question(drawn=True))
    domain.ask(question(drawn=True, place=1))
    assert draw(domain) == 1
    assert waiting(domain) == [question(drawn=True)]


def test_drawn_question_is_not_learned_from_even_while_it_waits(domain: Domain) -> None:
    asked = domain.workspace.ask(question(drawn=True)).interaction
    accept(domain.workspace, [edit("e1", "", asked), edit("e2", question(False, place=1))])
    draw(domain)
    learnable = stages.learnable(domain.workspace, [])
    assert [each.id for each in learnable.examples] == ["e2"]
    assert learnable.left_out == {"e1": "the exam asks nearly the same"}
    traced = lineage.trace(domain.workspace, "e1")
    assert isinstance(traced, TracedFeedback)
    assert traced.reason == "the exam asks nearly the same"


def test_exam_that_overlaps_the_training_is_dropped_from_it_with_the_count(domain: Domain) -> None:
    between = "Which bolt of the rear door sits on the edge"
    exam = f"{between} exactly now?"
    accept(
        domain.workspace,
        [edit("a", exam.upper()), edit("b", f"{between}, tell me?"), edit("c", between)],
    )
    write(domain.root / "exam.jsonl", {"id": 1, "question": exam, "evidence": [EVIDENCE]})
    learnable = stages.learnable(domain.workspace, examination.own(domain.workspace))
    assert [each.id for each in learnable.examples] == ["b"]
    assert learnable.left_out == {
        "a": "the exam asks nearly the same",
        "c": "between the exam's questions and those learned from",
    }
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    reasons = domain.turn().reasons
    told = next(each for each in reasons if each.startswith("left out of the learning: "))
    assert "1 the exam asks nearly the same" in told
    assert "1 between the exam's questions and those learned from" in told


def test_no_correction_answers_for_a_version_that_sits_the_exam(domain: Domain) -> None:
    accept(domain.workspace, [edit("e", "Where is the child lock?")])
    assert domain.ask("Where is the child lock?").verified
    write(domain.root / "exam.jsonl", {"id": 1, "question": "Where is the child lock?"})
    exam = examination.own(domain.workspace)
    assistant = domain.workspace.assistant(domain.workspace.champion())
    [row] = evaluate(exam, assistant, domain.workspace, lambda *_: None).rows
    assert not row.answer.verified
    assert row.answer.draft != "On the edge."


def test_waiting_question_with_its_answer_joins_the_exam(domain: Domain, tmp_path: Path) -> None:
    places = range(4)
    for place in places:
        domain.ask(question(drawn=True, place=place))
    draw(domain)
    first, second, third, fourth = growth.waiting(domain.workspace)
    assert not first["answer"] and not first["evidence"]
    lines = (
        first | {"evidence": [EVIDENCE], "answer": "On the edge."},
        second | {"answerable": False},
        third | {"drop": True},
        fourth,
    )
    judged = growth.judge(domain.workspace, write(tmp_path / "gold.jsonl", *lines), "ines")
    assert judged == Judged(gold=2, dropped=1, waiting=1)
    own = examination.own(domain.workspace)
    assert [(each.evidence, each.answerable) for each in own] == [((EVIDENCE,), True), ((), False)]
    with domain.workspace.database.read() as conn:
        states = [(each.state, each.decided_by) for each in exam_items.list_items(conn)]
    assert states == [("gold", "ines"), ("gold", "ines"), ("dropped", "ines"), ("waiting", "")]


def test_grown_question_stands_beside_made_ones_until_there_are_enough(
    domain: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain.ask(question(drawn=True))
    draw(domain)
    [line] = growth.waiting(domain.workspace)
    growth.judge(
        domain.workspace, write(tmp_path / "gold.jsonl", line | {"evidence": [EVIDENCE]}), "ines"
    )
    index = domain.workspace.assistant(domain.workspace.champion()).index
    exam = examination.questions(domain.workspace, index)
    assert exam[0].question == question(drawn=True) and len(exam) > 1
    assert examination.is_synthetic(exam)
    monkeypatch.setattr(examination, "SUFFICIENT", 1)
    assert examination.questions(domain.workspace, index) == exam[:1]


def test_grown_question_that_was_copied_into_the_file_is_asked_once(
    domain: Domain, tmp_path: Path
) -> None:
    domain.ask(question(drawn=True))
    draw(domain)
    [line] = growth.waiting(domain.workspace)
    gold = write(tmp_path / "gold.jsonl", line | {"evidence": [EVIDENCE]})
    growth.judge(domain.workspace, gold, "ines")
    write(domain.root / "exam.jsonl", {"id": "mine", "question": question(drawn=True).upper()})
    assert [each.id for each in examination.own(domain.workspace)] == ["mine"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "x"}, 'no question "x" was drawn for the exam'),
        ({"question": "Why?"}, r'"question" was drawn as "lamp \d+"; an exam asks what was asked'),
        ({"evidence": ["No document says so."]}, '"evidence" 1 stands in no current document'),
        ({"evidence": ["…"]}, '"evidence" 1 holds no words'),
        ({"answerable": False, "answer": "Yes."}, "it is not answerable, and has an answer"),
        ({"tags": ["en"]}, "a drawn question has no tags"),
        ({"anwser": "Yes."}, 'unknown key "anwser"; did you mean "answer"'),
    ],
)
def test_wrong_line_is_named_and_nothing_is_taken(
    domain: Domain, tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    domain.ask(question(drawn=True))
    domain.ask(question(drawn=True, place=1))
    draw(domain)
    first, second = growth.waiting(domain.workspace)
    gold = write(tmp_path / "gold.jsonl", first | {"answer": "Yes."}, second | change)
    with pytest.raises(FileFormatError, match=f"gold.jsonl, line 2: {problem}"):
        growth.judge(domain.workspace, gold, "ines")
    assert len(waiting(domain)) == 2


def test_line_that_stands_twice_or_nowhere_is_refused(domain: Domain, tmp_path: Path) -> None:
    domain.ask(question(drawn=True))
    draw(domain)
    [line] = growth.waiting(domain.workspace)
    gold = write(tmp_path / "gold.jsonl", line, line)
    with pytest.raises(FileFormatError, match=r'line 2: id ".*" is taken by line 1'):
        growth.judge(domain.workspace, gold, "ines")
    gold.write_text("\n")
    with pytest.raises(SourceError, match="holds no line"):
        growth.judge(domain.workspace, gold, "ines")
    with pytest.raises(SourceError, match="No such file"):
        growth.judge(domain.workspace, tmp_path / "none.jsonl", "ines")


def write_long_exam(domain: Domain) -> None:
    lines = [
        {"id": place, "question": f"Where is the child lock {place}?", "evidence": [EVIDENCE]}
        for place in range(90)
    ]
    write(domain.root / "exam.jsonl", *lines)


def test_challenger_that_is_only_cheaper_is_promoted_and_leaves_the_bar_where_it_is(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_long_exam(domain)
    domain.configure("[quote]\nmax_words = 100\n")
    kept = domain.turn()
    assert (kept.version, kept.decision) == (2, "kept")
    assert kept.reasons[0].startswith("evidence_mrr shows no gain")
    found = Saving(what="time an answer", share=0.5, high=0.6)
    monkeypatch.setattr(cost, "saving", lambda *_: found)
    domain.configure("[quote]\nmax_words = 101\n")
    promoted = domain.turn()
    assert (promoted.version, promoted.decision, promoted.champion) == (3, "promoted", 3)
    told = "it costs 0.50 of the champion's time an answer and is as good as version 1, the best"
    assert promoted.reasons[0].startswith(told)
    domain.configure("[quote]\nmax_words = 102\n")
    assert "as good as version 1, the best" in domain.turn().reasons[0]
    with domain.workspace.database.read() as conn:
        best = versions.best(conn)
    assert best is not None and best.number == 1


def test_newer_documents_move_the_bar_with_them(domain: Domain) -> None:
    write_long_exam(domain)
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    assert domain.turn().decision == "promoted"
    with domain.workspace.database.read() as conn:
        best = versions.best(conn)
    assert best is not None and best.number == 2


def _large(folder: Path) -> None:
    (folder / "trees").write_bytes(b"0" * 10**6)


def test_fewer_bytes_are_a_saving_and_fewer_documents_are_none(domain: Domain) -> None:
    workspace = domain.workspace
    bundle = workspace.champion().bundle
    workspace.artifacts.build("ranker", "large", _large)
    assistant = workspace.assistant(workspace.champion())
    larger = bundle | {"ranker": "large"}
    found = cost.saving(workspace, (larger, assistant), (bundle, assistant), [])
    assert found is not None and found.is_cheaper and found.what.endswith(" bytes")
    assert cost.saving(workspace, (bundle, assistant), (larger, assistant), []) is None
    (domain.documents / "doors.md").unlink()
    domain.add()
    fewer = stages.opened(workspace, stages.index(workspace, lambda *_: None))
    other = Assistant(fewer)
    assert cost.saving(workspace, (larger, assistant), (bundle | {"index": ""}, other), []) is None


def test_exam_grows_on_postgresql_too(
    make_database: Callable[[], str], tmp_path: Path, domain: Domain
) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "flywheel.toml").write_text(f'[store]\nurl = "{make_database()}"\n')
    with closing(type(domain)(tmp_path)) as there:
        there.add(domain.documents)
        there.turn()
        there.ask(question(drawn=True))
        there.turn()
        assert waiting(there) == [question(drawn=True)]


def drawn(domain: Domain) -> str:
    """The id of a question that was drawn and waits."""
    domain.ask(question(drawn=True))
    draw(domain)
    id: str = growth.waiting(domain.workspace)[0]["id"]
    return id


def test_curator_decides_on_one_drawn_question(domain: Domain) -> None:
    id = drawn(domain)
    said = growth.decide(domain.workspace, id, Gold(answer="Edge.", evidence=(EVIDENCE,)), INES)
    assert (said.state, said.decided_by) == ("gold", "ines")
    assert [each.id for each in examination.own(domain.workspace)] == [id]
    assert keys.acts(domain.workspace.database)[0].action == "exam.gold"


def test_question_that_is_not_fit_to_be_asked_is_dropped(domain: Domain) -> None:
    id = drawn(domain)
    assert growth.decide(domain.workspace, id, Gold(drop=True), INES).state == "dropped"
    assert waiting(domain) == []
    assert examination.own(domain.workspace) == []


def test_decision_on_a_drawn_question_is_taken_back(domain: Domain) -> None:
    id = drawn(domain)
    growth.decide(domain.workspace, id, Gold(answerable=False), INES)
    domain.workspace.database.write(lambda conn: growth.reopen(conn, id, INES))
    assert waiting(domain) == [question(drawn=True)]


@pytest.mark.parametrize(
    ("gold", "problem"),
    [
        (Gold(), "Give the answer"),
        (Gold(answer="x", answerable=False), "not answerable, and has an answer"),
        (Gold(evidence=("…",)), "holds no words"),
        (Gold(evidence=("The moon is of cheese.",)), "stands in no current document"),
    ],
)
def test_gold_that_cannot_be_meant_is_refused(domain: Domain, gold: Gold, problem: str) -> None:
    id = drawn(domain)
    with pytest.raises(UsageError, match=problem):
        growth.decide(domain.workspace, id, gold, INES)
    assert waiting(domain) == [question(drawn=True)]


def test_evidence_that_a_curator_may_not_read_is_not_found_for_him(domain: Domain) -> None:
    secret = "Zorkmids are paid at noon."
    domain.add(domain.write("elsewhere/pay.md", f"# Pay\n\n{secret}\n"), access=["staff"])
    id = drawn(domain)
    with pytest.raises(UsageError, match="stands in no current document"):
        growth.decide(domain.workspace, id, Gold(evidence=(secret,)), INES)


def test_what_is_done_first_may_refuse_a_decision(domain: Domain) -> None:
    id = drawn(domain)

    def refuse(conn: object) -> None:
        raise UsageError("another was first")

    with pytest.raises(UsageError, match="another was first"):
        growth.decide(domain.workspace, id, Gold(answerable=False), INES, refuse)
    assert waiting(domain) == [question(drawn=True)]

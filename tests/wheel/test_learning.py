"""Corrections are served at once, and learned at the next turn, and the exam decides."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import delete

from flywheel.answer.decide import BUILT_IN, Calibration
from flywheel.build import thresholds
from flywheel.build.thresholds import Outcome
from flywheel.records import Answer, Example, ExamQuestion, Feedback
from flywheel.search.index import Reader
from flywheel.search.learned import FEATURES, candidates, features
from flywheel.search.question_field import QuestionField
from flywheel.store import versions
from flywheel.store.tables import version_feedback
from flywheel.wheel import challengers, examination, ingest, stages
from flywheel.wheel.feedback import accept
from flywheel.wheel.turn import turn
from flywheel.wheel.versions import rollback
from flywheel.wheel.workspace import Workspace

NUM_TOPICS = 80

# What a machine part is called in the documents, and what its users call it: no word in common.
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu")


def _name(number: int, offset: int) -> str:
    """A word for each number; words of different offsets share nothing."""
    first, second = divmod(number, 10)
    return SYLLABLES[first] + SYLLABLES[second] + "xyzw"[offset] + SYLLABLES[(first + second) % 10]


def _question(number: int, way: int) -> str:
    forms = ("What is up with the {}?", "My {} does not work", "Who looks after a {}?")
    return forms[way].format(_name(number, 1))


def _evidence(number: int) -> str:
    return f"The {_name(number, 0)} is inspected by the workshop every {number + 10} days."


@pytest.fixture(scope="module")
def _first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1, which has learned nothing, and the documents beside it."""
    root = tmp_path_factory.mktemp("learning")
    folder = root / "documents"
    folder.mkdir()
    for number in range(NUM_TOPICS):
        text = f"# Part {number}\n\n{_evidence(number)} Keep it dry and clean at all times.\n"
        (folder / f"part-{number}.md").write_text(text)
    with Workspace.init(root / "workspace") as workspace:
        exam = [
            {"id": str(number), "question": _question(number, 2), "evidence": [_evidence(number)]}
            for number in range(NUM_TOPICS)
        ]
        lines = "".join(json.dumps(each) + "\n" for each in exam)
        (workspace.root / "exam.jsonl").write_text(lines)
        ingest.add(workspace, [str(folder)])
        turn(workspace)
    return root / "workspace"


@pytest.fixture(scope="module")
def learned(_first: Path) -> Iterator[Workspace]:
    shutil.copytree(_first, _first.with_name("learned"))
    with Workspace.open(_first.with_name("learned")) as workspace:
        yield workspace


def _corrections(user: str = "curator") -> list[Feedback]:
    return [
        Feedback(
            id=f"{number}-{way}",
            kind="edit",
            user=user,
            role="curator",
            at=f"2026-01-01T00:00:{way:02}",
            question=_question(number, way),
            answer=f"Every {number + 10} days.",
            evidence=(_evidence(number),),
        )
        for number in range(NUM_TOPICS)
        for way in (0, 1)
    ]


def _burst() -> list[Feedback]:
    """Cites of one asker, all at once, all of the same."""
    return [
        Feedback(
            id=f"burst-{number}",
            kind="cite",
            user="mallory",
            role="asker",
            at="2026-01-02",
            question=_question(number, 1) + " any more",
            evidence=(_evidence(0),),
        )
        for number in range(30)
    ]


def test_correction_is_served_to_the_next_asker_and_learned_at_the_next_turn(
    learned: Workspace,
) -> None:
    asked = _question(7, 0)
    assert not learned.ask(asked).answer.verified

    accept(learned, [*_corrections(), *_burst()])

    answer = learned.ask(asked, user="somebody else").answer
    assert (answer.answer, answer.verified) == ("Every 17 days.", True)
    citation = answer.citations[0]
    assert citation.quote == _evidence(7)
    cited = {each.id: each.text for each in answer.passages}[citation.passage]
    assert cited[citation.start : citation.end] == citation.quote

    turned = turn(learned)
    assert turned.decision == "promoted", turned.reasons
    assert "its order is learned from 160 acts of feedback" in turned.reasons
    assert "left out of the learning: 30 burst in quarantine" in turned.reasons
    # Another wording of what was asked, which no document knows and no correction answers.
    found = learned.assistant(learned.champion()).ask(_question(7, 2)).passages
    assert _evidence(7) in found[0].text

    again = turn(learned)
    assert again.sitting is None
    assert again.version == turned.version


def test_a_question_that_is_asked_teaches_nothing(learned: Workspace) -> None:
    exam = examination.questions(learned, learned.assistant(learned.champion()).index)
    before = stages.learnable(learned, exam)
    learned.ask("What is the weather like on the moon?")
    learned.ask(_question(3, 0) + " at all")
    after = stages.learnable(learned, exam)
    assert after.digest == before.digest
    assert turn(learned).sitting is None


def test_question_of_an_asker_leads_to_its_passage_less_far(learned: Workspace) -> None:
    index = learned.assistant(learned.champion()).index
    first, second = (each.id for each in islice(index.passages(), 2))
    asked = _question(7, 0)

    def closest(weight: float) -> dict[str, float]:
        examples = [
            Example(id="a", question=asked, passages=(first,), group="a"),
            Example(id="b", question=asked, passages=(second,), group="b", weight=weight),
        ]
        field = QuestionField(examples, index)
        near = field.around(asked)
        of = candidates(field, near, [])
        rows = features(field, near, of)
        place = FEATURES.index("closest_question")
        return {each.passage.id: row[place] for each, row in zip(of, rows, strict=True)}

    assert closest(1.0)[second] == pytest.approx(closest(1.0)[first])
    assert closest(0.3)[second] == pytest.approx(0.3 * closest(0.3)[first])


def test_learned_version_answers_the_same_when_it_is_opened_again(learned: Workspace) -> None:
    questions = [_question(number, 2) for number in range(0, NUM_TOPICS, 8)]
    assistant = learned.assistant(learned.champion())
    before = [[each.id for each in assistant.ask(question).passages] for question in questions]
    with Workspace.open(learned.root) as opened:
        assistant = opened.assistant(opened.champion())
        after = [[each.id for each in assistant.ask(question).passages] for question in questions]
    assert before == after


def test_what_was_learned_before_a_question_joined_the_exam_is_switched_off(
    learned: Workspace,
) -> None:
    champion = learned.champion()
    exam = [ExamQuestion(id="1", question=_question(7, 0), evidence=(_evidence(7),))]
    assistant, num_switched_off = examination.unprepared(learned, champion, exam)
    assert num_switched_off == 1
    assert assistant.ranker is not None and len(assistant.ranker.questions) == 159
    served = learned.assistant(champion)
    assert served.ranker is not None and len(served.ranker.questions) == 160
    assert examination.overlap(served, exam).num_questions == 1
    assert examination.overlap(assistant, exam).num_questions == 0
    everything = frozenset(each.id for each in served.ranker.questions)
    assert served.ranker.without(everything).questions == ()
    assistant.ranker = served.ranker.without(everything)
    assert assistant.ask(_question(7, 0)).kind in ("answer", "ask_back", "abstain")


def test_deleted_evidence_takes_its_correction_with_it(learned: Workspace) -> None:
    folder = learned.root.parent / "documents"
    (folder / "part-9.md").unlink()
    ingest.add(learned, [str(folder)])
    answer = learned.ask(_question(9, 0)).answer
    assert not answer.verified
    assert _evidence(9) not in answer.answer

    turned = turn(learned)
    assert turned.decision == "promoted"
    assert turned.reasons[0].startswith("it carries newer documents"), "nobody said anything new"
    with learned.database.read() as conn:
        taught = versions.learned_from(conn, turned.version)
    assert len(taught) == 158


def test_newer_documents_do_not_wait_for_feedback_to_show_a_gain(learned: Workspace) -> None:
    before = learned.champion()
    with learned.database.read() as conn:
        before_learned = versions.learned_from(conn, before.number)
    folder = learned.root.parent / "documents"
    (folder / "spare.md").write_text("# Spare\n\nThe spare wheel hangs below the boot floor.\n")
    ingest.add(learned, [str(folder)])
    newer = replace(_corrections()[30], id="newer", question="Who sees to it?", user="cora")
    accept(learned, [newer])

    turned = turn(learned)
    with learned.database.read() as conn:
        first, second = versions.list_versions(conn)[-2:]
        assert versions.learned_from(conn, first.number) == before_learned
        assert versions.learned_from(conn, second.number) == before_learned | {"newer"}
    assert (first.decision, first.parent) == ("promoted", before.number)
    assert first.reasons[0].startswith("it carries newer documents")
    assert (second.decision, second.parent) == ("kept", first.number)
    assert (turned.version, turned.champion) == (second.number, first.number)
    told = f"before that, version {first.number} was promoted: it carries newer documents"
    assert turned.reasons[-1].startswith(told)
    found = learned.assistant(learned.champion()).index.search("spare wheel", Reader())
    assert any("spare wheel hangs" in hit.passage.text for hit in found)
    assert turn(learned).sitting is None, "nothing is examined twice"


def test_kept_back_feedback_is_not_tried_again_with_each_newer_document(learned: Workspace) -> None:
    exam = examination.own(learned)
    before, decisions = learned.champion(), examination.num_decisions(learned, exam)
    folder = learned.root.parent / "documents"
    (folder / "tools.md").write_text("# Tools\n\nThe wrench lies beside the spare wheel.\n")
    ingest.add(learned, [str(folder)])
    turned = turn(learned)
    assert (turned.decision, turned.champion) == ("promoted", turned.version)
    assert examination.num_decisions(learned, exam) == decisions
    with learned.database.read() as conn:
        assert versions.next_number(conn) == turned.version + 1

    accept(learned, [replace(_corrections()[30], id="more", question="Whose is it?", user="cora")])
    assert turn(learned).sitting is not None, "with newer feedback it is"
    assert examination.num_decisions(learned, exam) == decisions + 1

    rollback(learned)
    assert learned.champion().number == before.number
    assert turn(learned).sitting is None, "what the owner went back from is not tried again"
    assert learned.champion().number == before.number


def test_a_champion_of_unknown_feedback_is_no_measure_of_what_is_newer(
    learned: Workspace,
) -> None:
    everything = stages.learnable(learned, examination.own(learned))
    assert challengers.one_by_one(learned, "newer", everything) != [everything]
    lineage = delete(version_feedback).where(
        version_feedback.c.version == learned.champion().number
    )
    learned.database.write(lambda conn: conn.execute(lineage))
    assert challengers.one_by_one(learned, "newer", everything) == [everything]


def test_when_to_answer_is_learned_from_answers_that_users_refused(
    _first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_refused: list[int] = []

    def fit(made: list[Outcome], told: list[Outcome]) -> Calibration:
        num_refused.append(sum(not each.any_reading and each.weight != 1 for each in told))
        return BUILT_IN

    monkeypatch.setattr(thresholds, "fit", fit)
    shutil.copytree(_first, _first.with_name("refusing"))
    with Workspace.open(_first.with_name("refusing")) as workspace:
        accept(workspace, _corrections())
        turn(workspace)
        refused = [
            Feedback(
                id=f"refused-{number}",
                kind="down",
                user="curator",
                role="curator",
                at="2026-01-02",
                question=f"How deep is lake number {_name(number, 2)}?",
                answer=_evidence(number),
            )
            for number in range(thresholds.FEWEST_OF_A_KIND)
        ]
        accept(workspace, refused)
        turn(workspace)
    assert num_refused == [0, thresholds.FEWEST_OF_A_KIND]


@dataclass(frozen=True)
class Standing:
    """What a promotion changes: which versions there are, who serves, what is answered."""

    versions: list[tuple[int, str, str]]
    champion: int
    answers: list[tuple[int, str, bool, tuple[str, ...]]]


def _standing(root: Path) -> Standing:
    with Workspace.open(root) as workspace:
        with workspace.database.read() as conn:
            made = versions.list_versions(conn)
        asked = [_question(number, way) for number in (3, 7, 42) for way in (0, 2)]
        return Standing(
            versions=[(each.number, each.decision, each.bundle_hash) for each in made],
            champion=workspace.champion().number,
            answers=[_shown(workspace.ask(question).answer) for question in asked],
        )


def _shown(answer: Answer) -> tuple[int, str, bool, tuple[str, ...]]:
    passages = tuple(each.id for each in answer.passages)
    return answer.version, answer.answer, answer.verified, passages


@dataclass(frozen=True)
class Due:
    """A turn that is due to learn and to be promoted, with its artifacts already built."""

    root: Path
    before: Standing
    after: Standing


@pytest.fixture(scope="module")
def due(_first: Path) -> Due:
    root, undisturbed = _first.with_name("due"), _first.with_name("undisturbed")
    shutil.copytree(_first, root)
    with Workspace.open(root) as workspace:
        accept(workspace, _corrections())
    before = _standing(root)
    shutil.copytree(root, undisturbed)
    with Workspace.open(undisturbed) as workspace:
        turn(workspace)
    shutil.copytree(undisturbed / "artifacts", root / "artifacts", dirs_exist_ok=True)
    return Due(root, before, _standing(undisturbed))


DIES_AFTER = """
import os, signal, sys
import flywheel.wheel.turn as plot
from flywheel.store import versions
from flywheel.wheel import examination, stages
from flywheel.wheel.workspace import Workspace

owner, name = {
    "learning": (stages, "ranker"),
    "putting the version": (versions, "put"),
    "naming the champion": (versions, "set_champion"),
    "the commit": (plot, "keep"),
}[sys.argv[2]]
original = getattr(owner, name)

def last_act(*given, **named):
    original(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, last_act)
with Workspace.open(sys.argv[1]) as workspace:
    plot.turn(workspace)
"""


@pytest.mark.parametrize(
    ("moment", "is_promoted"),
    [
        ("learning", False),
        ("putting the version", False),
        ("naming the champion", False),
        ("the commit", True),
    ],
)
def test_killed_promotion_leaves_one_champion_and_is_repeated_alike(
    due: Due, tmp_path: Path, moment: str, is_promoted: bool
) -> None:
    root = tmp_path / "workspace"
    shutil.copytree(due.root, root)
    with Workspace.open(root) as asking:
        killed = subprocess.run([sys.executable, "-W", "ignore", "-c", DIES_AFTER, root, moment])
        assert killed.returncode == -signal.SIGKILL
        expected = due.after if is_promoted else due.before
        assert asking.champion().number == expected.champion
    assert _standing(root) == expected
    with Workspace.open(root) as workspace:
        turn(workspace)
    assert _standing(root) == due.after

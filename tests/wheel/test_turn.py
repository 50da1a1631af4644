"""One revolution: what becomes a version, what serves, and on which evidence that was decided."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.answer.decide import BUILT_IN, Calibration
from flywheel.build import thresholds
from flywheel.build.questions import SYNTHETIC
from flywheel.build.thresholds import Outcome
from flywheel.errors import FileFormatError, SourceError, WorkspaceBusy, WorkspaceError
from flywheel.evaluate.exam import Sitting
from flywheel.evaluate.metrics import Row
from flywheel.records import PUBLIC, ExamQuestion
from flywheel.search.index import PassageIndex
from flywheel.store import interactions, versions
from flywheel.wheel import examination, stages
from flywheel.wheel import turn as turning
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

QUESTIONS = {
    "Where is the child lock?": "The child lock sits on the edge of each rear door.",
    "How do I block the rear windows?": "Press the button with the crossed window",
    "How do I open a door from inside?": "Every door opens from inside by pulling the handle",
    "How many kilowatts does the wallbox charge with?": "at most 11 kilowatts",
    "How is the battery warm when I leave?": "Set the departure time in the menu",
    "儿童锁在哪里？": "儿童锁在后车门的边缘。",
    "车窗遇到阻力会怎样？": "车窗上升时遇到阻力会自动停下并略微下降。",
}


def write_exam(domain: Domain, questions: dict[str, str] = QUESTIONS) -> None:
    lines = [
        json.dumps({"id": number, "question": question, "evidence": [evidence]})
        for number, (question, evidence) in enumerate(questions.items())
    ]
    (domain.root / "exam.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def every_version(domain: Domain) -> list[tuple[int, int | None, str]]:
    with domain.workspace.database.read() as conn:
        return [(each.number, each.parent, each.decision) for each in versions.list_versions(conn)]


def index_of(domain: Domain) -> PassageIndex:
    place = domain.workspace.artifacts.find("index", domain.workspace.champion().bundle["index"])
    assert place is not None
    return PassageIndex(place)


def test_first_version_is_promoted_without_a_contest(domain: Domain) -> None:
    with domain.workspace.database.read() as conn:
        (first,) = versions.list_versions(conn)
    assert (first.number, first.parent, first.decision) == (1, None, "promoted")
    assert first.reasons[0] == "the first version is promoted without a contest"
    assert domain.workspace.champion() == first
    assert first.metrics["citation_exact"].value == 1


def test_nothing_new_makes_no_version(domain: Domain) -> None:
    turned = domain.turn()
    assert (turned.version, turned.champion, turned.sitting) == (1, 1, None)
    assert turned.reasons == ("nothing is new since version 1",)
    assert every_version(domain) == [(1, None, "promoted")]


def test_newer_documents_are_promoted_when_they_are_no_worse(domain: Domain) -> None:
    write_exam(domain)
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    turned = domain.turn()
    assert (turned.version, turned.decision, turned.champion) == (2, "promoted", 2)
    assert turned.reasons[0].startswith("it carries newer documents and evidence_mrr does not fall")
    answer = domain.ask("Where does the spare wheel hang?")
    assert answer.version == 2 and "boot floor" in answer.draft


def test_challenger_that_loses_is_kept_and_the_champion_serves(domain: Domain) -> None:
    write_exam(domain)
    for number, question in enumerate(QUESTIONS):
        domain.write(f"faq/{number}.md", f"# {question}\n\n{question} Please ask your dealer.\n")
    domain.add()
    turned = domain.turn()
    assert (turned.version, turned.decision, turned.champion) == (2, "kept", 1)
    assert "may fall by more than 0.05" in turned.reasons[0]
    assert every_version(domain) == [(1, None, "promoted"), (2, 1, "kept")]
    assert domain.ask("Where is the child lock?").version == 1
    assert domain.turn().reasons == ("nothing is new since version 2",)


def test_challenger_that_was_kept_back_is_examined_again_by_another_exam(domain: Domain) -> None:
    question, evidence = next(iter(QUESTIONS.items()))
    write_exam(domain, {question: evidence})
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    turned = domain.turn()
    assert (turned.version, turned.decision) == (2, "kept")
    assert turned.reasons[0].startswith("evidence_mrr: 1 question is too few")
    assert domain.turn().sitting is None
    write_exam(domain)
    assert (domain.turn().version, domain.turn().champion) == (3, 3)


def test_documents_that_are_back_to_the_champions_are_nothing_new(domain: Domain) -> None:
    write_exam(domain)
    for number, question in enumerate(QUESTIONS):
        domain.write(f"faq/{number}.md", f"# {question}\n\n{question} Please ask your dealer.\n")
    domain.add()
    domain.turn()
    for path in (domain.documents / "faq").iterdir():
        path.unlink()
    domain.add()
    assert domain.turn().reasons == ("nothing is new since version 1",)
    assert len(every_version(domain)) == 2


def test_evidence_that_the_documents_no_longer_hold_is_not_held_against_them(
    domain: Domain,
) -> None:
    write_exam(domain)
    text = (domain.documents / "charging-2025.md").read_text()
    domain.write("charging-2025.md", text.replace("11 kilowatts", "22 kilowatts"))
    domain.add()
    turned = domain.turn()
    assert turned.decision == "promoted"
    note = "1 of 7 questions left out: the documents no longer hold their evidence"
    assert note in turned.reasons


def test_nothing_is_stale_on_the_same_documents(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_exam(domain)
    everything = frozenset(str(number) for number in range(len(QUESTIONS)))
    monkeypatch.setattr(examination, "stale", lambda *_: everything)
    domain.configure("[quote]\nmax_words = 100\n")
    assert not any("left out" in reason for reason in domain.turn().reasons)


def test_evidence_that_several_passages_hold_together_is_not_stale(domain: Domain) -> None:
    lock = "The child lock sits on the edge of each rear door. Turn it with the key."
    windows = "Press the button with the crossed window to block the rear windows."
    assert holds(domain, f"{lock} {windows}")
    assert not holds(domain, f"{lock} The spare wheel hangs below the boot floor, and is small.")


def holds(domain: Domain, evidence: str) -> bool:
    """Whether evidence that the champion found, and a challenger did not, is still there."""
    question = ExamQuestion(id="1", question="How?", evidence=(evidence,))
    found, lost = (
        Sitting(
            rows=(
                Row(
                    question=question,
                    answer=domain.ask("How?"),
                    latency_ms=1,
                    group="1",
                    hit=None,
                    values={"evidence_recall_at_10": recall},
                ),
            ),
            metrics={},
            metrics_by={},
            seconds=1,
        )
        for recall in (1.0, 0.0)
    )
    return not examination.stale(found, lost, index_of(domain))


def test_workspace_without_an_exam_gets_a_synthetic_one(domain: Domain) -> None:
    exam = examination.questions(domain.workspace, index_of(domain))
    assert exam and all(SYNTHETIC in each.tags for each in exam)
    assert {each.answerable for each in exam} == {True, False}
    with domain.workspace.database.read() as conn:
        (first,) = versions.list_versions(conn)
    note = f"the exam is synthetic: {len(exam)} questions made from the documents"
    assert first.reasons[1].startswith(note)


def test_synthetic_exam_shares_no_question_with_the_training(domain: Domain) -> None:
    index = index_of(domain)
    asked = {each.question for each in examination.questions(domain.workspace, index)}
    trained = {each.question for each in stages.training_questions(index)}
    assert trained
    assert asked.isdisjoint(trained)


def test_users_exam_is_not_called_synthetic(domain: Domain) -> None:
    write_exam(domain)
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    turned = domain.turn()
    assert turned.sitting is not None and len(turned.sitting.rows) == len(QUESTIONS)
    assert not any(SYNTHETIC in reason for reason in turned.reasons)


def test_too_few_documents_for_an_exam_are_still_replaced_by_newer_ones(blank: Domain) -> None:
    place = blank.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot.\n")
    blank.add()
    blank.turn()
    place.write_text("# Spare wheel\n\nThe spare wheel lies in the front now.\n")
    blank.add()
    turned = blank.turn()
    assert (turned.version, turned.decision) == (2, "promoted")
    assert "too few to make an exam of" in turned.reasons[0]
    assert "in the front" in blank.ask("Where is the spare wheel?").draft


def test_wrong_line_of_the_exam_is_named_and_no_version_is_made(domain: Domain) -> None:
    write_exam(domain)
    with (domain.root / "exam.jsonl").open("a") as exam:
        exam.write('{"id": "x", "question": "Where?", "evidnce": []}\n')
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    message = r'exam.jsonl, line 8: unknown key "evidnce"; did you mean "evidence"\?'
    with pytest.raises(FileFormatError, match=message):
        domain.turn()
    assert len(every_version(domain)) == 1


def test_exam_that_the_settings_name_must_be_there(domain: Domain) -> None:
    domain.configure('[exam]\nfile = "mine.jsonl"\n')
    domain.write("spare.md", "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n")
    domain.add()
    with pytest.raises(SourceError, match=r"mine\.jsonl: no such file\. Mend \[exam\] file"):
        domain.turn()


def test_changed_settings_of_answers_make_a_challenger(domain: Domain) -> None:
    domain.configure("[quote]\nmax_words = 100\n")
    turned = domain.turn()
    assert (turned.version, turned.decision, turned.champion) == (2, "kept", 1)
    assert "questions are too few to rule out a loss of 0.05" in turned.reasons[0]


def test_refitted_ranker_on_the_same_documents_must_show_a_gain(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_exam(domain)
    build = turning.build

    def refitted(*arguments: Any) -> dict[str, Any]:
        bundle = build(*arguments)
        return bundle | {"calibration": bundle["calibration"] | {"num_questions": 7}}

    monkeypatch.setattr(turning, "build", refitted)
    turned = domain.turn()
    assert (turned.version, turned.decision, turned.champion) == (2, "kept", 1)
    assert not any("newer documents" in reason for reason in turned.reasons)


def test_when_to_answer_is_fitted_on_what_only_some_may_read_too(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "NUM_TRAINING_QUESTIONS", 60)  # others than version 1 had

    def outcomes(access: str) -> list[Outcome]:
        domain.add(access=[access])
        seen: list[Outcome] = []

        def fit(found: list[Outcome], told: list[Outcome]) -> Calibration:
            seen.extend([*found, *told])
            return BUILT_IN

        monkeypatch.setattr(thresholds, "fit", fit)
        index = stages.index(domain.workspace, lambda *_: None)
        stages.thresholds(domain.workspace, index, "", lambda *_: None)
        return seen

    staff = outcomes("staff")
    assert any(each.first for each in staff)
    assert staff == outcomes(PUBLIC)


def test_turn_without_documents_says_what_to_do(blank: Domain) -> None:
    with pytest.raises(WorkspaceError, match=r"Nothing is staged\. Add documents first"):
        blank.turn()


def test_question_without_a_version_says_what_to_do(blank: Domain) -> None:
    with pytest.raises(WorkspaceError, match=r"There is no version yet\. Run `flywheel turn`"):
        blank.ask("Where?")


def test_turn_is_refused_while_another_process_holds_the_workspace(domain: Domain) -> None:
    with (
        held(domain.root),
        pytest.raises(
            WorkspaceBusy, match=r"Another add, turn or erase is running in .* Wait for it"
        ),
    ):
        domain.turn()
    assert domain.turn().version == 1


def test_questions_are_answered_while_another_process_turns(domain: Domain) -> None:
    with held(domain.root):
        assert "rear door" in domain.ask("Where is the child lock?").draft


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Another process that holds the workspace until this block ends."""
    code = (
        "import sys; from flywheel.wheel.workspace import Workspace\n"
        "with Workspace.open(sys.argv[1]) as workspace, workspace.exclusive():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.stdin.close()


def test_lost_index_is_built_again_by_a_turn(domain: Domain) -> None:
    workspace = domain.workspace
    workspace.artifacts.remove("index", workspace.champion().bundle["index"])
    with pytest.raises(WorkspaceError, match="index of version 1 is missing"):
        domain.ask("Where is the child lock?")
    assert domain.turn().version == 1
    assert "rear door" in domain.ask("Where is the child lock?").draft


def test_personal_data_in_questions_are_masked_where_they_are_kept(domain: Domain) -> None:
    asked = domain.workspace.ask("I am jo@example.com, where is the child lock?")
    with domain.workspace.database.read() as conn:
        kept = interactions.get(conn, asked.interaction)
    assert kept is not None
    assert "jo@example.com" not in kept.question
    assert kept.version == 1 and kept.candidates[0].draft == asked.answer.draft


def test_workspace_on_postgresql_goes_the_whole_way(
    make_database: Callable[[], str], tmp_path: Path, domain: Domain
) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "flywheel.toml").write_text(f'[store]\nurl = "{make_database()}"\n')
    with closing(type(domain)(tmp_path)) as there:
        assert there.fates(domain.documents, access=["hr"]) == {
            "charging-2023.md": "superseded",
            "charging-2025.md": "kept",
            "doors.md": "kept",
            "车窗.md": "kept",
        }
        assert there.turn().decision == "promoted"
        assert there.turn().reasons == ("nothing is new since version 1",)
        assert "用钥匙转动它即可锁上" in there.ask("儿童锁怎么锁上？").draft
        question = "Where is the child lock?"
        assert there.found(question) == there.found(question, ["hr"]) == domain.found(question)
        assert there.found(question, ["public"]) == ""
        assert set(there.fates(domain.documents, access=["public"]).values()) == {"unchanged"}
        assert there.found(question, ["public"]) == domain.found(question)
    assert not (root / "flywheel.db").exists()


def test_workspace_moves_with_its_folder(domain: Domain, tmp_path: Path) -> None:
    domain.close()
    moved = tmp_path / "elsewhere"
    domain.root.rename(moved)
    with Workspace.open(moved) as workspace:
        assert "rear door" in workspace.ask("Where is the child lock?").answer.draft

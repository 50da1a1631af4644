"""Erase: it stops showing at once, is in no later version, and stands nowhere afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.wheel.killing import killer

from flywheel.errors import StoreError, UsageError
from flywheel.records import Feedback
from flywheel.search.index import PassageIndex
from flywheel.store import (
    corrections,
    documents,
    exam_items,
    interactions,
    redaction,
    reviews,
    versions,
)
from flywheel.store.erasures import TargetKind
from flywheel.store.exam_items import ExamItem
from flywheel.store.reviews import Review
from flywheel.wheel import answering, examination, ingest, lineage
from flywheel.wheel import versions as wheel_versions
from flywheel.wheel.answering import Question
from flywheel.wheel.erasure import erasable, proof
from flywheel.wheel.erasure.erase import Erased, erase
from flywheel.wheel.feedback import accept, key_of
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

BOB = "bob.miller@example.org"
SECRET = "Bob Miller buried the golden teapot under the old oak tree in his garden."
DIARY = f"# Diary\n\n{SECRET}\n\n## Winter\n\n他在漫长的冬夜里最喜欢吃杏仁糖和烤栗子。\n"
QUESTION = "Who may open the barn of Cornelius after midnight?"
ANSWER = "Only Cornelius himself, with the rusty key from the attic."


def edit(id: str, user: str, question: str = QUESTION, answer: str = ANSWER) -> Feedback:
    return Feedback(
        id=id, kind="edit", user=user, role="curator", at="2026-01-01T00:00:00Z",
        question=question, answer=answer,
    )  # fmt: skip


def holding(workspace: Workspace, *texts: str) -> list[str]:
    """Files and tables that hold one of the texts."""
    found = [
        str(path)
        for path in workspace.root.rglob("*")
        if path.is_file() and any(text.encode() in path.read_bytes() for text in texts)
    ]
    with workspace.database.read() as conn:
        for table in redaction.every_table():
            rows = "\n".join(redaction.rows(conn, table))
            found += [table.name for text in texts if text in rows]
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, blank: Domain) -> Domain:
    """Two documents, one of them private, in version 1."""
    if request.param == "postgresql":
        make_database: Callable[[], str] = request.getfixturevalue("make_database")
        blank.configure(f'[store]\nurl = "{make_database()}"\n')
    blank.write("doors.md", "# Doors\n\nEvery door opens from inside by pulling the handle twice.")
    blank.write("diary.md", DIARY)
    blank.add()
    blank.turn()
    return blank


def test_erased_file_is_in_no_version_and_in_no_file(filled: Domain) -> None:
    workspace = filled.workspace
    asked = workspace.ask("What is buried under the old oak tree?").interaction
    accept(workspace, [edit("c1", "ann", "Where is the teapot of Bob?", SECRET)])
    accept(workspace, [edit("c2", "ann")])
    erased = erase(workspace, "source", str(filled.documents / "diary.md"))

    assert (erased.versions, erased.version, erased.champion) == ((1,), 2, 2)
    assert erased.proof.num_pieces >= 2 and erased.proof.num_files > 5
    assert "golden teapot" not in filled.found("What is buried under the old oak tree?")
    assert not filled.ask("Where is the teapot of Bob?").verified
    assert filled.ask(QUESTION).verified, "what does not rest on it stays"
    assert "handle twice" in filled.found("How does a door open from inside?")
    assert holding(workspace, "golden teapot", "杏仁糖") == []
    with workspace.database.read() as conn:
        champion = versions.require(conn, 2)
        kept = interactions.get(conn, asked)
    assert (champion.parent, champion.decision) == (1, "promoted")
    assert kept is not None and kept.candidates == (), "others' answers forget it, too"
    with pytest.raises(UsageError, match="serves never"):
        wheel_versions.promote(workspace, 1)
    with pytest.raises(UsageError, match="no earlier champion"):
        wheel_versions.rollback(workspace)
    assert filled.turn().sitting is None, "the index is the one that a turn would build"


def test_key_of_an_erased_question_goes_with_what_curators_decided_on_it(filled: Domain) -> None:
    workspace, key = filled.workspace, key_of(QUESTION)
    workspace.ask(QUESTION, user=BOB)
    decided = Review(item=f"abstained:{key}", decision="dismissed", user=BOB, at="2026-01-01")
    workspace.database.write(lambda conn: reviews.put(conn, decided))
    assert {"interactions", "reviews"} <= set(holding(workspace, key))
    erased = erase(workspace, "user", BOB)
    assert erased.proof.num_pieces and not erased.proof.found
    assert holding(workspace, key, BOB) == []


def test_what_is_answered_while_an_erase_looks_for_its_rows_goes_too(
    filled: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, finds = filled.workspace, erasable.find
    late: list[str] = []

    def find(workspace: Workspace, kind: TargetKind, name: str) -> redaction.Items:
        items = finds(workspace, kind, name)
        asked = workspace.ask("What is buried under the old oak tree?").interaction
        said = Feedback(id="f1", kind="flag", user="ann", role="asker", at="", interaction=asked)
        accept(workspace, [said])
        late.append(asked)
        return items

    monkeypatch.setattr("flywheel.wheel.erasure.erase.find", find)
    erase(workspace, "source", str(filled.documents / "diary.md"))

    assert holding(workspace, "golden teapot") == []
    with workspace.database.read() as conn:
        kept = interactions.get(conn, late[0])
    assert kept is not None and kept.candidates == ()


def test_an_answer_that_an_erase_overtook_is_not_kept(filled: Domain) -> None:
    workspace = filled.workspace
    asked = Question(text="What is buried under the old oak tree?")
    stands = answering.standing(workspace, asked)
    given = answering.drained(answering.stream(workspace, asked, stands))
    assert "golden teapot" in given.answer
    erase(workspace, "source", str(filled.documents / "diary.md"))

    assert answering.keep(workspace, asked, [given], 1, num_erasures=stands.num_erasures) == ""
    assert holding(workspace, "golden teapot") == []


def test_erased_user_is_gone_with_what_others_were_shown_of_him(filled: Domain) -> None:
    workspace = filled.workspace
    accept(workspace, [edit("c1", BOB)])
    own = workspace.ask("How do I get rid of the moles of aunt Gertrude?", user=BOB).interaction
    said = Feedback(id="u1", kind="flag", user="ann", role="asker", at="", interaction=own)
    accept(workspace, [said])
    other = workspace.ask(QUESTION, user="ann").interaction
    assert filled.ask(QUESTION).verified

    erased = erase(workspace, "user", BOB)

    assert erased.items.interactions == {own}
    assert erased.items.feedback == {"c1", "u1"}
    assert other in erased.items.shown
    assert (erased.versions, erased.version) == ((), None), "nothing of it was learned"
    assert not filled.ask(QUESTION).verified, "an open workspace serves it no more"
    assert holding(workspace, BOB, "Cornelius himself", "aunt Gertrude") == []
    again = accept(workspace, [edit("c1", BOB)])
    assert (again.imported, again.known) == (0, 1), "an erased act does not come in again"


@pytest.mark.parametrize("answer", ["It weighs 25 grams.", "25 grams"])
def test_short_answer_of_a_user_is_erased_where_others_rated_it(
    domain: Domain, answer: str
) -> None:
    workspace = domain.workspace
    accept(workspace, [edit("c1", BOB, "How heavy is the key?", answer)])
    shown = workspace.ask("How heavy is the key?", user="dora").interaction
    rated = Feedback(id="u1", kind="up", user="dora", role="asker", at="", interaction=shown)
    accept(workspace, [rated])
    assert erase(workspace, "user", BOB).items.feedback == {"c1", "u1"}
    assert holding(workspace, answer) == []


def test_user_whose_name_stands_in_an_id_can_be_erased(domain: Domain) -> None:
    accept(domain.workspace, [edit(f"{BOB}-1", BOB)])
    assert erase(domain.workspace, "user", BOB).proof.num_pieces > 0
    assert holding(domain.workspace, "Cornelius himself") == []


def test_interaction_is_erased_alone(filled: Domain) -> None:
    workspace = filled.workspace
    question = "Where did the accountant of Mrs Pemberton hide the ledger?"
    first = workspace.ask(question, user="ann").interaction
    second = workspace.ask("How does a door open?", user="ann").interaction
    erased = erase(workspace, "interaction", first)
    assert erased.items.interactions == {first}
    assert holding(workspace, "Pemberton") == []
    with workspace.database.read() as conn:
        kept = interactions.get(conn, second)
    assert kept is not None and kept.user == "ann"
    with pytest.raises(UsageError, match="was erased at"):
        lineage.trace(workspace, first)
    assert erase(workspace, "interaction", first).proof.num_pieces == 0


def test_what_others_said_too_stays(filled: Domain) -> None:
    workspace = filled.workspace
    accept(workspace, [edit("c1", BOB), edit("c2", "ann")])
    erase(workspace, "user", BOB)
    assert filled.ask(QUESTION).answer == ANSWER
    with workspace.database.read() as conn:
        [left] = corrections.in_force(conn)
    assert (left.id, left.disputed) == ("c2", False)


def drawn(id: str, answer: str, *evidence: str) -> ExamItem:
    """A question of the exam, with what a curator says to it."""
    return ExamItem(
        id=id, question=f"What is it about {id}?", interaction="", user="ann", at="2026-01-01",
        state="gold", answer=answer, evidence=evidence, decided_by="ines",
    )  # fmt: skip


def test_gold_answers_go_with_the_document_that_they_were_taken_from(filled: Domain) -> None:
    workspace = filled.workspace
    garden = "Every door opens from inside by pulling the handle twice."
    items = [
        drawn("quoted", f"I was told: {SECRET}"),
        drawn("elsewhere", "A teapot.", SECRET.replace("under the", "under\nthe")),
        drawn("across", "Both.", f"{SECRET}\nWinter\n他在漫长的冬夜里"),
        drawn("other", "By the handle.", garden),
    ]
    workspace.database.write(lambda conn: exam_items.put_all(conn, items))
    erased = erase(workspace, "source", str(filled.documents / "diary.md"))
    assert erased.items.exam_items == {"quoted", "elsewhere", "across"}
    assert holding(workspace, "golden teapot", "under\nthe old oak", "冬夜") == []
    with workspace.database.read() as conn:
        states = {each.id: each.state for each in exam_items.list_items(conn)}
    assert states == dict.fromkeys(("quoted", "elsewhere", "across"), "waiting") | {"other": "gold"}


def test_words_of_a_user_that_a_curator_says_of_an_exam_question_too_may_stay(
    domain: Domain,
) -> None:
    accept(domain.workspace, [edit("c1", BOB)])
    item = drawn("asked-1", ANSWER)
    domain.workspace.database.write(lambda conn: exam_items.put_all(conn, [item]))
    erase(domain.workspace, "user", BOB)
    with domain.workspace.database.read() as conn:
        assert exam_items.list_items(conn) == [item]
    assert holding(domain.workspace, BOB) == []


def test_dispute_ends_with_the_correction_that_contradicted(domain: Domain) -> None:
    accept(domain.workspace, [edit("c1", BOB, answer="Everybody may."), edit("c2", "ann")])
    assert "Disputed" in domain.ask(QUESTION).answer
    erase(domain.workspace, "user", BOB)
    assert domain.ask(QUESTION).answer == ANSWER


def test_erased_file_stays_out_until_it_is_added_by_name(domain: Domain) -> None:
    place = domain.write("diary.md", DIARY)
    domain.add()
    domain.turn()
    erase(domain.workspace, "source", str(place))
    files = {each.path: (each.fate, each.reason) for each in domain.add()}
    assert files["diary.md"] == ("dropped", ingest.KEPT_OUT)
    assert files["doors.md"][0] == "unchanged"
    assert holding(domain.workspace, "golden teapot") == []
    assert domain.fates(place) == {"diary.md": "kept"}
    domain.turn()
    assert "golden teapot" in domain.found("What is buried under the oak tree?")


def test_erased_folder_comes_back_when_it_is_named_again(domain: Domain) -> None:
    erased = erase(domain.workspace, "source", str(domain.documents))
    assert (erased.version, erased.champion) == (None, None)
    with pytest.raises(Exception, match="no version yet"):
        domain.ask("Where is the child lock?")
    assert set(domain.fates().values()) == {"kept", "superseded"}
    turned = domain.turn()
    assert (turned.version, turned.decision, turned.champion) == (2, "promoted", 2)
    assert "edge of each rear door" in domain.found("Where is the child lock?")


def test_copy_of_an_erased_document_stays_and_takes_its_place(domain: Domain) -> None:
    domain.write("a/diary.md", DIARY)
    domain.write("b/diary.md", DIARY)
    fates = domain.fates()
    assert sorted(fates[each] for each in ("a/diary.md", "b/diary.md")) == ["duplicate", "kept"]
    domain.turn()
    kept = next(path for path in ("a", "b") if fates[f"{path}/diary.md"] == "kept")
    erased = erase(domain.workspace, "source", str(domain.documents / kept))
    assert erased.proof.num_pieces == 0, "its sentences stand in the copy as well"
    domain.turn()
    assert "golden teapot" in domain.found("What is buried under the oak tree?")


def test_source_above_several_takes_them_all(domain: Domain) -> None:
    domain.write("private/one.md", "# One\n\nThe first private note is about the golden teapot.")
    domain.add(domain.documents / "private")
    found = erasable.find(domain.workspace, "source", str(domain.documents.parent))
    with domain.workspace.database.read() as conn:
        every = {each.id for each in documents.list_documents(conn)}
        own = documents.stamps(conn, str(domain.documents / "private"))
    assert found.documents == every and own
    assert found.files == frozenset()


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("user", "nobody", "Nothing is kept of a user"),
        ("user", "", "An empty name"),
        ("user", "' OR 1=1 --", "Nothing is kept"),
        ("user", "%", "Nothing is kept"),
        ("user", "\x00\udc80", "Nothing is kept"),
        ("source", " ", "An empty name"),
        ("source", "/nowhere/at/all", "Nothing was added from"),
        ("source", "https://example.org/", "Nothing was added from"),
        ("interaction", "x" * 5000, "There is no interaction"),
    ],
)
def test_unknown_target_is_told_in_a_line_and_changes_nothing(
    domain: Domain, kind: TargetKind, name: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        erase(domain.workspace, kind, name)
    assert domain.turn().sitting is None
    assert not (domain.workspace.artifacts.root / proof.PENDING).exists()


def test_exam_that_holds_erased_words_is_named_to_the_owner(domain: Domain) -> None:
    accept(domain.workspace, [edit("c1", BOB)])
    line = {"id": 1, "question": QUESTION, "answer": ANSWER}
    (domain.root / "exam.jsonl").write_text(json.dumps(line) + "\n")
    [note] = erase(domain.workspace, "user", BOB).notes
    assert note.startswith(f"{domain.root}/exam.jsonl still holds some of it")


def test_text_that_is_left_anywhere_is_an_error_that_names_the_place(domain: Domain) -> None:
    accept(domain.workspace, [edit("c1", BOB)])
    left = domain.workspace.artifacts.root / "cache.txt"
    left.write_bytes(b"\0\1" + ANSWER.encode("utf-16-le"))
    with pytest.raises(StoreError, match=r"still stands in .*cache\.txt"):
        erase(domain.workspace, "user", BOB)
    left.unlink()
    erased = erase(domain.workspace, "user", BOB)
    assert erased.proof.num_pieces > 0, "it still knows what to look for"
    assert list((domain.workspace.artifacts.root / proof.PENDING).iterdir()) == []


MOMENTS = (
    "before flywheel.wheel.erasure.erase:take",
    "before flywheel.store.redaction:redact",
    "after flywheel.wheel.erasure.erase:_write_down",
    "after flywheel.wheel.erasure.erase:take",
    "before flywheel.wheel.stages:_build",
    "before flywheel.store.versions:put_lineage",
    "after flywheel.store.versions:set_champion",
    "after flywheel.wheel.erasure.erase:replace_champion",
    "after flywheel.artifacts:Artifacts.remove",
    "after flywheel.wheel.erasure.erase:delete_artifacts",
    "after flywheel.store.database:Database.compact",
    "before flywheel.wheel.erasure.erase:check",
    "after flywheel.wheel.erasure.erase:check",
    "after flywheel.store.erasures:finish",
    "after flywheel.wheel.erasure.erase:finish",
)


def test_erase_killed_at_any_moment_is_completed_by_the_same_command(domain: Domain) -> None:
    place = domain.write("diary.md", DIARY)
    # So that what is left is no index that version 1 has already.
    domain.write("roof.md", "# Roof\n\nThe roof carries at most seventy kilograms of luggage.\n")
    domain.add()
    domain.turn()
    accept(domain.workspace, [edit("c1", BOB, "Where is the teapot of Bob?", SECRET)])
    domain.workspace.ask("What is buried under the old oak tree?", user="ann")
    domain.close()
    kept = domain.root.with_name("kept-workspace")
    shutil.copytree(domain.root, kept)
    with killer() as killed:
        for moment in MOMENTS:
            shutil.rmtree(domain.root)
            shutil.copytree(kept, domain.root)
            arguments = ("-w", str(domain.root), "erase", "--source", str(place), "--yes")
            assert killed.run(moment, arguments) == -9, moment
            assert_completed(domain, place, moment)
            domain.close()


def assert_completed(domain: Domain, place: Path, moment: str) -> None:
    workspace = domain.workspace
    with workspace.database.read() as conn:
        taken = bool(documents.hidden(conn))
    if taken:
        found = domain.found("What is buried under the old oak tree?")
        assert "golden teapot" not in found, f"{moment}: shown before it is completed"
    erased: Erased = erase(workspace, "source", str(place))
    assert holding(workspace, "golden teapot", "杏仁糖") == [], moment
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
        every = versions.list_versions(conn)
    assert champion is not None and not champion.erased
    assert [each.number for each in every if each.erased] == [2], moment
    assert champion.number == len(every) == 3, moment
    pending = workspace.artifacts.root / proof.PENDING
    assert not pending.exists() or list(pending.iterdir()) == [], moment
    assert "golden teapot" not in domain.found("What is buried under the old oak tree?")
    assert erased.champion == 3


NUM_TOPICS = 30


def question_of(number: int, way: int) -> str:
    forms = ("What is up with the zorb{}?", "My zorb{} does not work", "Who oils zorb{} here?")
    return forms[way].format(number)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A champion that learned from two users."""
    root = tmp_path_factory.mktemp("taught")
    (root / "documents").mkdir()
    for number in range(NUM_TOPICS):
        text = f"# Part {number}\n\nThe quix{number} is inspected every {number + 10} days or so.\n"
        (root / "documents" / f"{number}.md").write_text(text)
    with Workspace.init(root / "workspace") as workspace:
        lines = [
            {
                "id": number,
                "question": question_of(number, 2),
                "evidence": [f"The quix{number} is inspected every {number + 10} days or so."],
            }
            for number in range(NUM_TOPICS)
        ]
        exam = "".join(json.dumps(each) + "\n" for each in lines)
        (workspace.root / "exam.jsonl").write_text(exam)
        ingest.add(workspace, [str(root / "documents")])
        turn(workspace)
        accept(
            workspace,
            [
                Feedback(
                    id=f"{number}-{way}",
                    kind="edit",
                    user=BOB if number == 7 else "ann",
                    role="curator",
                    at="2026-01-01T00:00:00Z",
                    question=question_of(number, way),
                    answer=f"Every {number + 10} days.",
                    evidence=(f"The quix{number} is inspected every {number + 10} days or so.",),
                )
                for number in range(NUM_TOPICS)
                for way in (0, 1)
            ],
        )
        turned = turn(workspace)
        assert turned.decision == "promoted", turned.reasons
        yield workspace


def test_trace_names_what_was_learned_and_what_it_led_to(taught: Workspace) -> None:
    asked = taught.ask(question_of(7, 2)).interaction
    traced = lineage.trace(taught, asked)
    assert isinstance(traced, lineage.TracedInteraction)
    assert traced.version is not None and traced.version.number == 2
    assert traced.cited[0].path == "7.md" and traced.cited[0].state == "current"
    assert {each.feedback for each in traced.taught} == {"7-0", "7-1"}
    assert {each.user for each in traced.taught} == {BOB}
    act = lineage.trace(taught, "7-0")
    assert isinstance(act, lineage.TracedFeedback)
    assert (act.versions, act.reason) == ((2,), "")


def test_version_that_learned_from_a_user_is_replaced_by_one_that_did_not(
    taught: Workspace,
) -> None:
    with taught.database.read() as conn:
        learned = versions.learned_from(conn, 2)
    assert len(learned) == 2 * NUM_TOPICS
    exam = examination.questions(taught, taught.assistant(taught.champion()).index)
    rules = taught.settings.gate
    with taught.database.read() as conn:
        assert examination.judged_by(conn, exam, rules)
    erased = erase(taught, "user", BOB)
    assert (erased.versions, erased.version, erased.champion) == ((2,), 3, 3)
    with taught.database.read() as conn:
        assert not examination.judged_by(conn, exam, rules), "beside another champion, all anew"
        assert versions.learned_from(conn, 3) == learned - {"7-0", "7-1"}
        after = versions.require(conn, 3)
        before = versions.require(conn, 2)
    assert after.bundle["index"] == before.bundle["index"]
    assert after.bundle["ranker"] not in ("", before.bundle["ranker"])
    assert taught.artifacts.find("ranker", before.bundle["ranker"]) is None
    assert holding(taught, "What is up with the zorb7?", BOB) == []
    found = taught.answer(question_of(8, 2))[0].passages
    assert "quix8 " in found[0].text, "what the others taught is still known"
    rolled = wheel_versions.rollback(taught)
    assert rolled.champion == 1 and "version 2" in rolled.passed[0].lower()
    wheel_versions.promote(taught, 3)
    assert turn(taught).sitting is None, "the same that a turn would learn"


def test_erasure_gives_the_index_that_a_turn_would(domain: Domain) -> None:
    place = domain.write("diary.md", DIARY)
    before = domain.workspace.champion().bundle["index"]
    domain.add()
    domain.turn()
    erase(domain.workspace, "source", str(place))
    after = domain.workspace.champion().bundle["index"]
    assert after == before
    folder = domain.workspace.artifacts.find("index", after)
    assert folder is not None
    with domain.workspace.database.read() as conn:
        held = versions.held_by(conn, after)
    assert held == {each.document for each in PassageIndex(folder).passages()}

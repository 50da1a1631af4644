"""Questions of the exam change one at a time, in the owner's file, and nobody's are lost."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flywheel.errors import FileFormatError, UsageError
from flywheel.evaluate.exam import read_exam
from flywheel.learn import groups
from flywheel.records import Feedback
from flywheel.store import audit
from flywheel.wheel import examination
from flywheel.wheel.exam import file as exam_file
from flywheel.wheel.exam import listing as exam_listing
from flywheel.wheel.exam import questions as exam_questions
from flywheel.wheel.exam.card import sit_again
from flywheel.wheel.exam.listing import Held, held_of
from flywheel.wheel.exam.questions import Draft, Overtaken, Refused
from flywheel.wheel.feedback import accept
from flywheel.wheel.keys import Caller

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

LOCK = "The child lock sits on the edge of each rear door."
锁 = "儿童锁在后车门的边缘。"

INES = Caller(key="k", name="ines", role="curator", access=None)
KIM = Caller(key="l", name="kim", role="curator", access=("public",))

ODD = (
    b'\xef\xbb\xbf{"question":"Where is  the timer?","id":7,   "answer":"In the menu."}\r\n'
    b"\r\n"
    b'  {"id": "\xe9\x94\x81", "evidence": ["\\u513f\\u7ae5\\u9501\\u5728\\u540e\\u8f66\\u95e8"], '
    b'"question": "\\u9501\\uff1f", "tags": ["zh"]}\t\n'
    b'{"id": "c", "question": "How many moons has Saturn?", "answerable": false}'
)
"""As people write: a mark, blank lines, escapes, two ways of ending lines, none at the end."""


def path(domain: Domain) -> Path:
    return domain.root / "exam.jsonl"


def held(domain: Domain, labels: tuple[str, ...] | None = None) -> dict[str, Held]:
    listed = exam_listing.listing(domain.workspace, labels).questions
    return {each.question.question: each for each in listed}


def draft(question: str = "Where does the child lock sit?", *evidence: str) -> Draft:
    return Draft(question=question, evidence=evidence or (LOCK,))


def acts(domain: Domain) -> list[tuple[str, str, str]]:
    with domain.workspace.database.read() as conn:
        found = audit.list_acts(conn)
    return [(each.user, each.action, each.target) for each in found if "exam" in each.action]


def test_first_question_makes_the_file_and_the_exam_asks_it(domain: Domain) -> None:
    made = exam_questions.add(
        domain.workspace,
        Draft(
            question=" 儿童锁在哪里？ ", answer="在边缘", evidence=(锁, " "), tags=("zh", "", "zh")
        ),
        INES,
    )
    [line] = path(domain).read_text("utf-8").splitlines()
    assert json.loads(line) == {
        "id": made.question.id, "question": "儿童锁在哪里？", "answer": "在边缘", "evidence": [锁],
        "tags": ["zh"],
    }  # fmt: skip
    assert examination.own(domain.workspace) == [made.question]
    assert made.language == "zh"
    assert acts(domain) == [("ines", "exam.add", made.key)]


def test_all_other_lines_stay_as_they_were_to_the_byte(domain: Domain) -> None:
    path(domain).write_bytes(ODD)
    lines = ODD.split(b"\n")
    menu = held(domain)["Where is  the timer?"]
    changed = exam_questions.edit(
        domain.workspace,
        menu.key,
        Draft(question="Where is the timer?", answer="In the menu, below."),
        menu.digest,
        INES,
    )
    now = path(domain).read_bytes().split(b"\n")
    assert now[1:] == lines[1:]
    first = b'{"question": "Where is the timer?", "id": 7, "answer": "In the menu, below."}\r'
    assert now[0] == b"\xef\xbb\xbf" + first
    assert changed.question.id == "7"
    exam_questions.add(domain.workspace, draft(), INES)
    added = path(domain).read_bytes().split(b"\n")
    assert added[: len(now)] == now and len(added) == len(now) + 2 and added[-1] == b""
    exam_questions.delete(domain.workspace, changed.key, changed.digest, INES)
    left = path(domain).read_bytes()
    assert left.startswith(b"\xef\xbb\xbf\r\n  {") and b"timer" not in left
    assert [each.id for each in read_exam(path(domain))][:2] == ["锁", "c"]
    assert [each[1] for each in acts(domain)] == ["exam.delete", "exam.add", "exam.edit"]


def test_last_question_goes_with_the_file_and_the_exam_is_made_from_documents_again(
    domain: Domain,
) -> None:
    made = exam_questions.add(domain.workspace, draft(), INES)
    exam_questions.delete(domain.workspace, made.key, made.digest, INES)
    assert not path(domain).exists()
    index = domain.workspace.assistant(domain.workspace.champion()).index
    assert examination.is_synthetic(examination.questions(domain.workspace, index))


def test_last_question_of_a_file_that_the_settings_name_stays(domain: Domain) -> None:
    domain.configure('[exam]\nfile = "asked.jsonl"\n')
    made = exam_questions.add(domain.workspace, draft(), INES)
    assert (domain.root / "asked.jsonl").is_file()
    with pytest.raises(UsageError, match="which \\[exam\\] file"):
        exam_questions.delete(domain.workspace, made.key, made.digest, INES)
    assert held(domain)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (Draft(question=" …"), "no_question"),
        (Draft(question="Where?"), "no_gold"),
        (Draft(question="Where?", evidence=(LOCK, "—")), "no_words"),
        (Draft(question="Where?", answer="There", answerable=False), "not_answerable"),
        (Draft(question="Where?", evidence=(锁, "Not in any document.")), "unfound"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_leaves_the_file(
    domain: Domain, wrong: Draft, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        exam_questions.add(domain.workspace, wrong, INES)
    assert refused.value.code == code
    assert refused.value.place == (2 if code in ("no_words", "unfound") else 0)
    assert not path(domain).exists() and acts(domain) == []


def test_same_question_stands_there_once(domain: Domain) -> None:
    made = exam_questions.add(domain.workspace, draft(), INES)
    with pytest.raises(Refused) as refused:
        exam_questions.add(domain.workspace, draft("WHERE does the child lock sit"), INES)
    assert refused.value.code == "twin"
    exam_questions.edit(domain.workspace, made.key, draft(), made.digest, INES)


def test_half_a_character_spoils_no_file(domain: Domain) -> None:
    exam_questions.add(domain.workspace, draft("Where \ud83d is the lock?"), INES)
    assert [each.question for each in read_exam(path(domain))] == ["Where ? is the lock?"]


def test_second_of_two_overwrites_nothing_and_is_shown_what_the_first_wrote(
    domain: Domain,
) -> None:
    seen = exam_questions.add(domain.workspace, draft(), INES)
    first = draft("Where is the lock for children?")
    exam_questions.edit(domain.workspace, seen.key, first, seen.digest, KIM)
    with pytest.raises(Overtaken) as overtaken:
        exam_questions.edit(domain.workspace, seen.key, draft("Mine?"), seen.digest, INES)
    now, act = overtaken.value.held, overtaken.value.act
    assert now is not None and now.question.question == first.question
    assert act is not None and (act.user, act.action) == ("kim", "exam.edit")
    with pytest.raises(Overtaken):
        exam_questions.delete(domain.workspace, seen.key, seen.digest, INES)
    exam_questions.edit(domain.workspace, seen.key, draft("Mine?"), now.digest, INES)
    assert list(held(domain)) == ["Mine?"]


def test_deleted_one_is_told_apart_from_a_changed_one(domain: Domain) -> None:
    seen = exam_questions.add(domain.workspace, draft(), INES)
    exam_questions.add(domain.workspace, draft("Where else?"), INES)
    exam_questions.delete(domain.workspace, seen.key, seen.digest, KIM)
    with pytest.raises(Overtaken) as overtaken:
        exam_questions.edit(domain.workspace, seen.key, draft(), seen.digest, INES)
    act = overtaken.value.act
    assert overtaken.value.held is None and act is not None and act.action == "exam.delete"


def test_questions_of_many_at_once_are_all_kept(domain: Domain) -> None:
    asked = [f"Which number {number} has the lock of {number}?" for number in range(12)]
    adding = [
        threading.Thread(target=exam_questions.add, args=(domain.workspace, draft(each), INES))
        for each in asked
    ]
    for each in adding:
        each.start()
    for each in adding:
        each.join()
    assert sorted(held(domain)) == sorted(asked)


def test_change_made_in_an_editor_is_seen_at_once(domain: Domain) -> None:
    made = exam_questions.add(domain.workspace, draft(), INES)
    text = path(domain).read_text("utf-8")
    path(domain).write_text(text.replace("sit?", "hide?"), "utf-8")
    assert list(held(domain)) == ["Where does the child lock hide?"]
    with pytest.raises(Overtaken) as overtaken:
        exam_questions.edit(domain.workspace, made.key, draft(), made.digest, INES)
    assert overtaken.value.held is not None


def test_line_that_is_not_valid_stops_every_change(domain: Domain) -> None:
    path(domain).write_text('{"id": 1, "question": ""}\n')
    with pytest.raises(FileFormatError):
        exam_listing.listing(domain.workspace, None)
    with pytest.raises(FileFormatError):
        exam_questions.add(domain.workspace, draft(), INES)
    assert path(domain).read_text() == '{"id": 1, "question": ""}\n'


def test_link_stays_one_and_the_file_keeps_its_mode(domain: Domain, tmp_path: Path) -> None:
    real = tmp_path / "shared.jsonl"
    real.write_bytes(ODD)
    real.chmod(0o640)
    path(domain).symlink_to(real)
    exam_questions.add(domain.workspace, draft(), INES)
    assert path(domain).is_symlink() and real.stat().st_mode & 0o777 == 0o640
    assert len(read_exam(real)) == 4
    assert [each.name for each in real.parent.glob(".*.part")] == []


def test_whoever_may_not_read_the_evidence_sees_no_question(domain: Domain) -> None:
    place = domain.root.parent / "staff"
    place.mkdir()
    pay = "The workshop pays its apprentices nine hundred zorkmids a month."
    (place / "pay.md").write_text(f"# Pay\n\n{pay}\n")
    domain.add(place, access=["staff"])
    domain.turn()
    exam_questions.add(domain.workspace, draft(), INES)
    hidden = exam_questions.add(domain.workspace, draft("What does an apprentice get?", pay), INES)
    exam_questions.add(domain.workspace, Draft(question="Saturn's?", answerable=False), INES)
    for _ in range(2):  # as it is looked up at once, and as the sitting kept it
        listing = exam_listing.listing(domain.workspace, KIM.access)
        assert [each.question.question for each in listing.questions] == [
            "Where does the child lock sit?"
        ]
        assert listing.num_hidden == 2
        assert exam_listing.find(domain.workspace, hidden.key, KIM.access) is None
        assert exam_listing.find(domain.workspace, hidden.key, ("staff",)) is not None
        sit_again(domain.workspace)
    with pytest.raises(Refused):
        exam_questions.add(domain.workspace, draft("And who pays?", pay), KIM)
    with pytest.raises(Overtaken) as overtaken:
        exam_questions.edit(domain.workspace, hidden.key, draft(), "guessed", KIM)
    assert overtaken.value.held is None
    for change in (
        lambda: exam_questions.edit(domain.workspace, hidden.key, draft(), hidden.digest, KIM),
        lambda: exam_questions.delete(domain.workspace, hidden.key, hidden.digest, KIM),
    ):
        with pytest.raises(Overtaken):
            change()
    assert len(held(domain)) == 3
    domain.add(access=["staff"])
    assert exam_listing.listing(domain.workspace, KIM.access).questions == ()


def test_corrections_and_questions_that_ask_nearly_the_same_are_told(domain: Domain) -> None:
    asked = "Which bolt of the rear door sits on the edge exactly?"
    edit = Feedback(
        id="e", kind="edit", user="ines", role="curator", at="2020-01-01", question=asked.upper(),
        answer="None.", evidence=(LOCK,),
    )  # fmt: skip
    accept(domain.workspace, [edit])
    other = exam_questions.add(domain.workspace, draft(f"{asked} Tell me"), INES)
    near = exam_questions.near(domain.workspace, asked, None)
    assert near.num_learned == 1 and [each.key for each in near.exam] == [other.key]
    assert exam_questions.near(domain.workspace, asked, None, other.key).exam == ()
    far = exam_questions.near(domain.workspace, "车窗为什么会停下？", None)
    assert (far.num_learned, far.exam) == (0, ())


def test_near_finds_no_likeness_where_there_are_no_words() -> None:
    assert groups.near("…", ["…", "a lock"]) == []
    assert groups.near("儿童锁在哪里", ["车窗", "儿童锁在哪里？"]) == [1]


def test_drawn_question_that_has_its_answer_is_listed_and_not_edited_here(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flywheel.store import exam_items
    from flywheel.store.exam_items import ExamItem

    item = ExamItem(
        id=f"asked-{'a' * 32}", question="Where's the lock?", interaction="a" * 32, user="bo",
        at="2020", state="gold", evidence=(LOCK,), decided_by="ines",
    )  # fmt: skip
    domain.workspace.database.write(lambda conn: exam_items.put_all(conn, [item]))
    [drawn] = held(domain).values()
    assert drawn.is_drawn and drawn.key == item.id
    with pytest.raises(Overtaken):
        exam_questions.edit(domain.workspace, drawn.key, draft(), "", INES)
    assert exam_listing.drawn(domain.workspace) == [item]
    assert exam_file.lines(domain.workspace) == ()


def test_what_an_editor_wrote_between_is_not_overwritten(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, place = domain.workspace, path(domain)
    rows = [
        {"id": f"q{each}", "question": f"Where is part {each}?", "answer": "Here."}
        for each in range(4)
    ]
    texts = [json.dumps(each) + "\n" for each in rows]
    place.write_text("".join(texts), "utf-8")
    seen = exam_file.lines(workspace)
    place.write_text("".join(texts[1:]), "utf-8")
    # As if the editor had written right after the file was looked at.
    monkeypatch.setattr(exam_file, "lines", lambda _: seen)
    one, last = (held_of(seen[each].question, seen[each].digest) for each in (1, 3))
    for each in (one, last):
        with pytest.raises(Overtaken):
            exam_questions.edit(workspace, each.key, draft(), each.digest, INES)
        with pytest.raises(Overtaken):
            exam_questions.delete(workspace, each.key, each.digest, INES)
    assert place.read_text("utf-8") == "".join(texts[1:])
    assert acts(domain) == []

"""What a user may not read has no say in his corrections, nor in what feedback teaches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.collect import pipeline
from flywheel.errors import UsageError
from flywheel.learn import preferences
from flywheel.learn.feedback import DISPUTED, UNFOUND, reaches
from flywheel.learn.lessons import Told
from flywheel.learn.trust import LearnSettings
from flywheel.records import Correction, Feedback
from flywheel.store import corrections, documents
from flywheel.wheel.feedback import accept, confirm, recheck, withdraw
from flywheel.wheel.keys import Caller, acts
from flywheel.wheel.review.corrections import waiting

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

LOCK = "The child lock sits on the edge of each rear door."
QUESTION = "Where is the child lock?"
PLAN = "The board sells the gearbox works to Falkenstein."
PUBLIC_ANSWER, BOARD_ANSWER = "On the rear doors.", "Falkenstein moves it into the roof."
EVERYBODY, BOARD = ("public",), ("board", "public")
INES = Caller(key="", name="ines", role="curator", access=EVERYBODY)
BEA = Caller(key="", name="bea", role="curator", access=BOARD)


def act(id: str, user: str = "ines", answer: str = PUBLIC_ANSWER, **values: Any) -> Feedback:
    defaults: dict[str, Any] = {"kind": "edit", "role": "curator", "at": "", "question": QUESTION}
    return Feedback(**{**defaults, **values}, id=id, user=user, answer=answer)


def in_force(domain: Domain) -> dict[str, Correction]:
    with domain.workspace.database.read() as conn:
        return {each.id: each for each in corrections.in_force(conn)}


def answered(domain: Domain, *labels: str, question: str = QUESTION) -> str:
    return domain.ask(question, labels or EVERYBODY).answer


@pytest.fixture
def contradicted(domain: Domain) -> Domain:
    """A public correction, and one of the board's that says otherwise."""
    accept(domain.workspace, [act("p")], EVERYBODY)
    accept(domain.workspace, [act("b", "bea", BOARD_ANSWER)], BOARD)
    return domain


def test_reaching_is_being_readable_to_all_who_read_the_other() -> None:
    assert reaches(("public",), ("board",))
    assert reaches(("board", "staff"), ("board",))
    assert not reaches(("board",), ("board", "staff"))
    assert not reaches(("board",), ("public",))


def test_a_correction_is_disputed_only_by_what_its_readers_may_read(contradicted: Domain) -> None:
    found = in_force(contradicted)
    assert (found["p"].disputed, found["p"].review) == (False, "")
    assert (found["b"].disputed, found["b"].review) == (True, DISPUTED)
    assert answered(contradicted) == PUBLIC_ANSWER
    assert answered(contradicted, *BOARD).startswith(f"{BOARD_ANSWER}\n(Disputed")
    accept(contradicted.workspace, [act("p2")], EVERYBODY)  # the newest answers
    assert answered(contradicted) == PUBLIC_ANSWER
    assert answered(contradicted, *BOARD).startswith(f"{PUBLIC_ANSWER}\n(Disputed")


def test_notes_name_only_what_their_reader_may_read(domain: Domain) -> None:
    accept(domain.workspace, [act("b", "bea", BOARD_ANSWER)], BOARD)
    assert accept(domain.workspace, [act("p")], EVERYBODY).notes == ()
    told = accept(domain.workspace, [act("b2", "bo", "Elsewhere.")], BOARD).notes
    assert told == (f'b, p, b2: bea, ines, bo contradict each other on "{QUESTION}"',)
    told = accept(domain.workspace, [act("p2", "tom", "In the boot.")], EVERYBODY).notes
    assert told == (f'p, p2: ines, tom contradict each other on "{QUESTION}"',)
    asked = act("a", "ann", "On the roof.", role="asker")
    assert accept(domain.workspace, [asked], EVERYBODY).notes == ()


def test_curators_are_shown_what_waits_as_far_as_they_may_read(contradicted: Domain) -> None:
    accept(contradicted.workspace, [act("a", "ann", role="asker")], EVERYBODY)
    accept(contradicted.workspace, [act("s", "sam", BOARD_ANSWER, role="asker")], BOARD)
    of = {
        labels: {each.correction.id: each for each in waiting(contradicted.workspace, labels)}
        for labels in (EVERYBODY, BOARD, None)
    }
    assert of[EVERYBODY].keys() == {"a"}
    assert of[BOARD].keys() == of[None].keys() == {"a", "b", "s"}
    assert of[EVERYBODY]["a"].against == ()
    assert [each.id for each in of[BOARD]["b"].against] == ["p"]


def test_a_curator_decides_only_on_what_he_may_read(contradicted: Domain) -> None:
    workspace = contradicted.workspace
    for decide in (confirm, withdraw):
        with pytest.raises(UsageError, match='"b" is not there'):
            decide(workspace, "b", by=INES)
    assert not confirm(workspace, "p", by=INES).disputed
    assert in_force(contradicted).keys() == {"p", "b"}
    confirm(workspace, "b", by=BEA)
    assert in_force(contradicted).keys() == {"b"}
    withdraw(workspace, "b")
    told = [(each.user, each.action, each.target) for each in acts(workspace.database)]
    assert told == [
        ("owner", "corrections.withdraw", "b"),
        ("bea", "corrections.confirm", "b"),
        ("ines", "corrections.confirm", "p"),
    ]


@pytest.fixture
def with_plan(domain: Domain) -> Path:
    """A document of the board's, in the version that serves."""
    folder = domain.documents.with_name("board")
    folder.mkdir()
    (folder / "plan.md").write_text(f"# Plan\n\n{PLAN}\n", encoding="utf-8")
    domain.add(folder, access=["board"])
    domain.turn()
    return folder


def test_evidence_that_is_lost_opens_a_correction_to_nobody(
    domain: Domain, with_plan: Path
) -> None:
    """Neither when a document of two is deleted, nor when the only one is written anew."""
    both = act("a", "boss", BOARD_ANSWER, role="owner", evidence=(LOCK, PLAN))
    plan = act("b", "boss", PLAN, role="owner", evidence=(PLAN,), question="Who buys the works?")
    accept(domain.workspace, [both, plan])
    assert {each.access for each in in_force(domain).values()} == {("board",)}
    assert answered(domain, *BOARD) == BOARD_ANSWER
    (with_plan / "plan.md").write_text("# Plan\n\nNothing is sold.\n", encoding="utf-8")
    domain.add(with_plan)
    found = in_force(domain)
    assert {(each.access, each.review) for each in found.values()} == {(("board",), UNFOUND)}
    assert answered(domain) != BOARD_ANSWER
    assert waiting(domain.workspace, EVERYBODY) == []
    (with_plan / "plan.md").write_text(f"# Plan\n\n{PLAN}\n", encoding="utf-8")
    domain.add(with_plan, access=["public"])
    assert {each.access for each in in_force(domain).values()} == {("public",)}


def test_a_correction_goes_with_a_document_that_is_closed_while_others_are_collected(
    domain: Domain, with_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain.add(with_plan, access=["public"])
    accept(domain.workspace, [act("a", "boss", BOARD_ANSWER, evidence=(LOCK, PLAN))])
    suggested = act("s", "sam", PLAN, role="asker", question="What is sold?", evidence=(PLAN,))
    accept(domain.workspace, [suggested], EVERYBODY)
    assert answered(domain) == BOARD_ANSWER
    assert [each.correction.id for each in waiting(domain.workspace, EVERYBODY)] == ["s"]
    seen: list[tuple[str, list[str]]] = []
    collect = pipeline.collect

    def looking(*arguments: Any) -> Any:
        waits = [each.correction.id for each in waiting(domain.workspace, EVERYBODY)]
        seen.append((answered(domain), waits))
        return collect(*arguments)

    monkeypatch.setattr(pipeline, "collect", looking)
    domain.add(with_plan, access=["board"])
    [(answer, waits)] = seen
    assert (BOARD_ANSWER in answer, waits) == (False, [])


def test_a_correction_goes_with_a_closed_document_before_anything_is_rechecked(
    domain: Domain, with_plan: Path
) -> None:
    """As when an add is killed right after it closed a document."""
    domain.add(with_plan, access=["public"])
    copied = act("c", "boss", "Both.", question="Who says so?", evidence=(f"{LOCK} {PLAN}",))
    accept(domain.workspace, [act("a", "boss", BOARD_ANSWER, evidence=(LOCK, PLAN)), copied])
    assert answered(domain) == BOARD_ANSWER

    def close(labels: list[str]) -> None:
        domain.workspace.database.write(
            lambda conn: documents.set_access(
                conn, [each.id for each in documents.list_documents(conn) if "plan" in each.path],
                labels,
            )
        )  # fmt: skip

    close(["board"])
    assert answered(domain) != BOARD_ANSWER
    assert answered(domain, *BOARD) == BOARD_ANSWER
    # A copy that all may read is evidence enough.
    domain.write("copy.md", f"# Copy\n\nIt was in the papers: {PLAN}\n")
    domain.add()
    domain.turn()
    recheck(domain.workspace)
    assert answered(domain) == BOARD_ANSWER


def learned(*told: Told) -> tuple[set[str], dict[str, str]]:
    """The acts that teach, and why the others do not."""
    found = preferences.learn(told, LearnSettings())
    return {each.id for each in found.examples}, {each.id: each.reason for each in found.left_out}


def judged(
    id: str, kind: str, user: str, role: str, *access: str, question: str = QUESTION
) -> Told:
    said = Feedback(
        id=id,
        kind=kind,  # type: ignore[arg-type]
        user=user,
        role=role,  # type: ignore[arg-type]
        at=f"2026-03-0{id[-1]}T08:00:00.000+00:00",
        question=QUESTION,
        answer=LOCK,
    )
    return Told(act=said, quoted=(("lock",),), access=access or ("public",))


def test_what_feedback_teaches_some_does_not_tell_them_of_others() -> None:
    """A curator's word that only the board may read neither disputes nor contradicts theirs."""
    up = judged("p1", "up", "ines", "curator")
    for against in ("down", "delete"):
        public = judged("d2", against, "tom", "curator")
        hidden = judged("d2", against, "tom", "curator", "board")
        assert learned(up, public)[0] == set()
        taught, left_out = learned(up, hidden)
        assert (taught, left_out) == ({"p1"}, {"d2": "disputed between curators"})
    asker = judged("p1", "up", "ann", "asker")
    assert learned(asker, judged("d2", "down", "tom", "curator"))[1] == {
        "p1": "contradicted by a curator"
    }
    taught, _ = learned(asker, judged("d2", "down", "tom", "curator", "board"))
    assert taught == {"p1", "d2"}
    hidden = judged("p1", "up", "ann", "asker", "board")
    assert "p1" not in learned(hidden, judged("d2", "down", "tom", "curator"))[0]


@pytest.mark.parametrize("is_on_server", [False, True])
def test_a_long_question_is_corrected_in_both_databases(
    blank: Domain, request: pytest.FixtureRequest, is_on_server: bool
) -> None:
    """No index of PostgreSQL's holds a row of more than 2,704 bytes."""
    if is_on_server:
        make_database: Callable[[], str] = request.getfixturevalue("make_database")
        blank.configure(f'[store]\nurl = "{make_database()}"\n')
    question = "".join(chr(0x4E00 + 37 * n % 20_000) for n in range(2_000))
    accepted = accept(blank.workspace, [act("a", question=question), act("b", question=question)])
    assert accepted.imported == 2
    assert in_force(blank).keys() == {"b"}  # known to be the same question
    withdraw(blank.workspace, "b")
    assert in_force(blank) == {}

"""The latest word counts, what is taken back does not, and neither teaches anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flywheel.learn.feedback import retracted
from flywheel.learn.health import measure
from flywheel.learn.lessons import Told
from flywheel.learn.preferences import learn
from flywheel.learn.trust import LearnSettings
from flywheel.records import Answer, Feedback, FeedbackKind, Interaction, Passage
from flywheel.store import interactions
from flywheel.wheel.feedback import accept
from flywheel.wheel.history import Said, judged, listed, standing_of
from flywheel.wheel.reading import pieces, runs
from flywheel.wheel.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.init(tmp_path / "workspace") as opened:
        yield opened


def acts(*kinds: FeedbackKind, user: str = "ann", candidate: int = 0) -> list[Feedback]:
    """What a user said of an answer, one a second."""
    return [
        Feedback(
            id=f"{user}-{candidate}-{place}",
            kind=kind,
            user=user,
            role="asker",
            at=f"2026-01-01T00:00:{place:02}.000+00:00",
            question="Where is it?",
            interaction="i",
            candidate=candidate,
            answer="There.",
        )
        for place, kind in enumerate(kinds)
    ]


def kinds_of(standing: set[str], said: Sequence[Feedback]) -> list[str]:
    return [act.kind for act in said if act.id in standing]


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        (("up", "down"), ["down"]),
        (("up", "bookmark", "flag"), ["up", "bookmark", "flag"]),
        (("up", "bookmark", "retract"), []),
        (("delete", "retract", "up"), ["up"]),
        (("edit", "retract", "edit"), ["edit"]),
        (("rank", "up", "rank"), ["up", "rank"]),
    ],
)
def test_the_latest_word_of_a_kind_stands(
    said: tuple[FeedbackKind, ...], stands: list[str]
) -> None:
    given = acts(*said)
    assert kinds_of(standing_of(given), given) == stands


def test_users_and_candidates_are_judged_apart() -> None:
    given = [*acts("up"), *acts("down", candidate=1), *acts("retract", user="bob")]
    found = [Said(act=act) for act in given]
    assert [judged(found, "ann", place).rating for place in (0, 1)] == ["up", "down"]
    assert judged(found, "bob", 0).acts == ()
    assert standing_of(given) == {given[0].id, given[1].id}


def test_what_is_taken_back_teaches_nothing() -> None:
    given = acts("up", "retract")
    told = [Told(act=act, quoted=(("p",),)) for act in given]
    settings = LearnSettings()
    learned = learn(told, settings)
    assert learned.examples == ()
    assert {each.reason for each in learned.left_out} == {"withdrawn, or replaced by its user"}
    assert retracted(given) == {given[0].id}
    again = [Told(act=act, quoted=(("p",),)) for act in acts("up", "retract", "up")]
    [example] = learn(again, settings).examples
    assert example.id == again[-1].act.id


def test_what_is_taken_back_is_no_judgement() -> None:
    agreeing = [*acts("up"), *acts("up", user="bob")]
    apart = [*acts("up"), *acts("down", "retract", user="bob")]
    of_agreeing, of_apart = (measure(each)[0].count for each in (agreeing, apart))
    assert of_agreeing > of_apart


def test_a_history_is_listed_with_what_stands(workspace: Workspace) -> None:
    answer = Answer(
        question="Where is it?",
        answer="There.",
        draft="There.",
        kind="answer",
        confidence=0.5,
        citations=(),
        passages=(),
    )
    kept = Interaction(
        id="i",
        question="Where is it?",
        candidates=(answer, answer),
        version=1,
        user="ann",
        at="2026-01-01T00:00:00.000+00:00",
    )
    workspace.database.write(lambda conn: interactions.put(conn, kept))
    accept(workspace, [*acts("bookmark", "retract"), *acts("bookmark", candidate=1)], ())
    for bookmarked in (False, True):
        [asked] = listed(workspace, "ann", 10, bookmarked=bookmarked).asked
        assert (asked.line.question, asked.marks) == ("Where is it?", ("bookmark",))
    last = acts("bookmark", "retract", candidate=1)[1:]
    accept(workspace, last, ())
    assert listed(workspace, "ann", 10, bookmarked=True).asked == ()
    assert listed(workspace, "bob", 10).asked == ()


def test_sentences_that_follow_each_other_are_one_piece() -> None:
    passage = Passage(
        id="p",
        document="d",
        title="T",
        headings=(),
        text="One. Two.\nThree. 四。五。",
        language="mixed",
        position=0,
    )
    spans = [(span.start, span.end) for span, _ in pieces(passage)]
    assert [text for _, text in pieces(passage)] == ["One.", "Two.", "Three.", "四。", "五。"]
    assert runs(passage, {spans[0], spans[1], spans[3], (0, 3)}) == ["One. Two.", "四。"]


def test_the_rule_below_a_tables_head_is_no_piece_to_cite() -> None:
    passage = Passage(
        id="p",
        document="d",
        title="T",
        headings=(),
        text="| Ring | Meaning |\n| --- | :-: |\n| Red | Fault |",
        language="en",
        position=0,
    )
    assert [text for _, text in pieces(passage)] == ["| Ring | Meaning |", "| Red | Fault |"]

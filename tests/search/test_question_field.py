"""Learned questions: which are close, what they lead to, and who may profit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from flywheel.records import PUBLIC, Example, Passage
from flywheel.search.index import PassageIndex, Reader
from flywheel.search.question_field import QuestionField

MakeIndex = Callable[[Sequence[Passage]], PassageIndex]

TEXTS = {
    "door": "Slide the lever at the rear door to keep it shut from inside.",
    "tyre": "Inflate cold tyres to 2.5 bar before a long journey.",
    "wiper": "Lift the wiper arms before you change the blades.",
}
EVERYONE = Reader()


def passage(id: str) -> Passage:
    return Passage(
        id=id,
        document="manual",
        title="Manual",
        headings=(),
        text=TEXTS[id],
        language="en",
        position=list(TEXTS).index(id),
    )


def learned(id: str, question: str, *passages: str) -> Example:
    return Example(id=id, question=question, passages=passages, group=id, access=(PUBLIC,))


EXAMPLES = (
    learned("1", "How do I use the child lock?", "door"),
    learned("2", "child lock at the back", "door"),
    learned("3", "How much air do they need?", "tyre"),
    learned("4", "My windscreen gets smeared by them", "wiper"),
)


@pytest.fixture
def field(make_index: MakeIndex) -> QuestionField:
    return QuestionField(EXAMPLES, make_index([passage(id) for id in TEXTS]))


def closest(field: QuestionField, question: str, reader: Reader = EVERYONE) -> list[str]:
    return list(field.of(reader).around(question).ids)


def test_the_closest_question_comes_first_and_an_unlike_one_not_at_all(
    field: QuestionField,
) -> None:
    assert closest(field, "where is the child lock")[:2] == ["2", "1"]
    assert closest(field, "air in the tyres?") == ["3", "2", "1"]
    assert closest(field, "zzz") == []


def test_what_neighbours_led_to_looks_like_their_passages(field: QuestionField) -> None:
    near = field.around("child lock")
    likeness = {
        id: float(
            field.index.vectors.means([[id]]).products(*field.led_to(near, near.shares)).item()
        )
        for id in TEXTS
    }
    assert max(likeness, key=lambda id: likeness[id]) == "door"


def test_two_alike_questions_count_hardly_more_than_one(field: QuestionField) -> None:
    one = QuestionField(EXAMPLES[1:], field.index).around("child lock")
    twins = (replace(EXAMPLES[1], id="twin"), *EXAMPLES[1:])
    two = QuestionField(twins, field.index).around("child lock")
    of_one, of_two = one.shares[one.places == 0].sum(), two.shares[two.places <= 1].sum()
    assert of_one < of_two < 1.5 * of_one


def test_a_question_of_its_own_group_is_not_known(field: QuestionField) -> None:
    near = field.around(EXAMPLES[0].question, without_group="1")
    assert 0 not in near.places.tolist()
    assert field.popularity(near) == {"door": 1.0, "tyre": 1.0, "wiper": 1.0}
    known = field.around(EXAMPLES[0].question)
    assert known.places.tolist()[0] == 0
    assert field.popularity(known)["door"] == 2.0


def test_no_one_profits_from_a_question_that_he_may_not_see(make_index: MakeIndex) -> None:
    secret = replace(EXAMPLES[0], access=("board",))
    field = QuestionField([secret, *EXAMPLES[1:]], make_index([passage(id) for id in TEXTS]))
    assert "1" not in closest(field, "child lock")
    assert "1" in closest(field, "child lock", Reader(access=("board", PUBLIC)))


def test_what_a_reader_may_not_see_has_no_say_in_his_order(make_index: MakeIndex) -> None:
    index = make_index([passage(id) for id in TEXTS])
    secret = replace(EXAMPLES[0], access=("board",))
    near = QuestionField([secret, *EXAMPLES[1:]], index).of(EVERYONE).around("child lock")
    alone = QuestionField(EXAMPLES[1:], index).around("child lock")
    assert near.ids == alone.ids
    assert np.array_equal(near.similarities, alone.similarities)
    assert np.array_equal(near.shares, alone.shares)


def test_a_passage_that_a_reader_may_not_see_is_nothing_that_questions_led_to(
    make_index: MakeIndex,
) -> None:
    index = make_index([passage("door"), replace(passage("tyre"), access=("board",))])
    both = learned("1", "How do I use the child lock?", "door", "tyre")
    door = learned("1", "How do I use the child lock?", "door")
    view, alone = (QuestionField([each], index).of(EVERYONE) for each in (both, door))
    near = view.around("child lock")
    for one, other in zip(
        view.led_to(near, near.shares), alone.led_to(near, near.shares), strict=True
    ):
        assert np.array_equal(one, other)
    assert near.ids == ("1",)
    assert set(view.passages) == {"door"}
    assert view.popularity(near) == {"door": 1.0}


def test_a_question_that_led_only_to_what_is_hidden_is_not_known(make_index: MakeIndex) -> None:
    index = make_index([passage("door"), replace(passage("tyre"), access=("board",))])
    field = QuestionField([learned("1", "child lock", "door"), learned("2", "lock", "tyre")], index)
    assert closest(field, "child lock") == ["1"]
    assert closest(field, "child lock", Reader(access=(PUBLIC, "board"))) == ["1", "2"]


def test_readers_who_see_the_same_share_a_view_and_only_so_many_are_kept(
    make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flywheel.search.question_field.MOST_VIEWS", 2)
    secrets = [replace(each, access=(each.id, PUBLIC)) for each in EXAMPLES]
    field = QuestionField(
        [*secrets, replace(EXAMPLES[0], id="0", access=("board",))],
        make_index([passage(id) for id in TEXTS]),
    )
    anna, ben = (Reader(access=(PUBLIC, name)) for name in ("anna", "ben"))
    assert field.of(anna) is field.of(ben)
    first = field.of(anna)
    for each in EXAMPLES[:2]:
        field.of(Reader(access=(each.id,)))
    assert field.of(anna) is not first
    assert field.of(anna).questions == first.questions


def test_a_reader_who_sees_all_needs_no_view_of_his_own(field: QuestionField) -> None:
    assert field.of(EVERYONE) is field


def test_who_weighs_less_leads_less_far(field: QuestionField) -> None:
    asked = "what is the child lock for"
    doubted = QuestionField([replace(EXAMPLES[0], weight=0.2), *EXAMPLES[1:]], field.index).around(
        asked
    )
    trusted = field.around(asked)
    assert (
        0 < doubted.shares[doubted.places == 0].item() < trusted.shares[trusted.places == 0].item()
    )


def test_without_any_question_there_is_nothing_near(make_index: MakeIndex) -> None:
    field = QuestionField([], make_index([passage("door")]))
    near = field.around("child lock")
    terms, weights = field.led_to(near, near.shares)
    assert len(near.places) == len(terms) == len(weights) == 0
    assert np.isfinite(near.weights).all()

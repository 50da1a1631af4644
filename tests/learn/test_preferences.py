"""What each kind of feedback teaches, how much, and what holds it back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.learn.lessons import (
    DISPUTED,
    NEAR_TIE,
    NO_EVIDENCE,
    STRENGTH,
    UNVERIFIED,
    Told,
)
from flywheel.learn.objections import (
    CONTRADICTED,
    OVER_CAP,
    QUARANTINED,
    REJECTED,
    UNCOUNTED,
    WITHDRAWN,
)
from flywheel.learn.preferences import Learned, learn
from flywheel.learn.trust import PASSAGE_CAP, LearnSettings, cap
from flywheel.records import Correction, Example, Feedback, QuarantineDecision

SETTINGS = LearnSettings()
QUESTION = "Where is the child lock?"


def told(id: str, kind: str = "up", role: str = "curator", **values: Any) -> Told:
    """An act, some of it named, some of it where it stands."""
    placed = {
        key: values.pop(key) for key in ("evidence", "quoted", "shown", "place") & values.keys()
    }
    said: dict[str, Any] = {
        "user": "ines",
        "at": "2026-01-01T00:00:00+00:00",
        "question": QUESTION,
        "answer": "On the edge.",
    }
    act = Feedback(**(said | values | {"id": id, "kind": kind, "role": role}))
    return Told(act=act, **placed)


def edit(id: str, role: str = "curator", **values: Any) -> Told:
    """An edit and the correction that it makes; `marks` are the correction's own."""
    passages, marks = values.pop("passages", ("p1",)), values.pop("marks", {})
    made = told(id, "edit", role, **values)
    correction = Correction(
        id=id,
        question=made.act.question,
        answer=made.act.answer,
        evidence=("x",),
        passages=passages,
        user=made.act.user,
        role=made.act.role,
        at=made.act.at,
        verified=role != "asker",
    )
    return replace(made, correction=replace(correction, **marks))


def reasons(learned: Learned) -> dict[str, str]:
    return {each.id: each.reason for each in learned.left_out}


def only(learned: Learned) -> Example:
    assert learned.left_out == ()
    (example,) = learned.examples
    return example


def test_verified_edit_teaches_its_answer_and_passages_fully() -> None:
    example = only(learn([edit("a")], SETTINGS))
    assert (example.id, example.answer, example.passages) == ("a", "On the edge.", ("p1",))
    assert (example.weight, example.rejected) == (1.0, ())


def test_edit_over_a_shown_answer_is_preferred_to_it_and_to_what_it_quoted() -> None:
    learned = learn([edit("a", shown="In the boot.", quoted=(("p1", "p2"),))], SETTINGS)
    assert only(learned).rejected == ("p2",)
    (pair,) = learned.preferences
    assert (pair.chosen, pair.rejected, pair.id) == ("On the edge.", "In the boot.", "a")


def test_edit_that_leaves_the_answer_as_it_was_is_no_preference() -> None:
    assert learn([edit("a", shown="on the EDGE")], SETTINGS).preferences == ()


def test_asker_edit_teaches_where_to_look_and_not_what_to_say() -> None:
    learned = learn([edit("a", role="asker", shown="In the boot.")], SETTINGS)
    example = only(learned)
    assert (example.passages, example.answer) == (("p1",), "")
    assert example.weight == SETTINGS.asker_weight
    assert learned.preferences == ()


def test_confirmed_edit_of_an_asker_counts_as_a_curators() -> None:
    example = only(learn([edit("a", role="asker", marks={"verified": True})], SETTINGS))
    assert (example.weight, example.answer) == (1.0, "On the edge.")


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (edit("a", marks={"disputed": True}), DISPUTED),
        (edit("a", passages=()), NO_EVIDENCE),
        (edit("a", role="asker", passages=()), UNVERIFIED),
        (replace(edit("a"), correction=None), WITHDRAWN),
        (told("a", "cite"), NO_EVIDENCE),
        (told("a", "up", quoted=((),)), NO_EVIDENCE),
        (told("a", "rank", candidates=("On it.", "on it!"), order=(0, 1)), NEAR_TIE),
    ],
)
def test_act_that_teaches_nothing_has_its_reason(made: Told, reason: str) -> None:
    learned = learn([made], SETTINGS)
    assert (learned.examples, learned.preferences) == ((), ())
    assert reasons(learned) == {"a": reason}


@pytest.mark.parametrize(("kind", "weight"), [("up", 0.5), ("bookmark", 0.5)])
def test_liked_answer_teaches_what_it_quotes(kind: str, weight: float) -> None:
    example = only(learn([told("a", kind, quoted=(("p1", "p2"),))], SETTINGS))
    assert (example.passages, example.rejected) == (("p1", "p2"), ())
    assert (example.weight, example.answer) == (weight, "")


@pytest.mark.parametrize(("kind", "weight"), [("down", 0.5), ("delete", 0.5), ("flag", 0.25)])
def test_disliked_answer_rejects_what_it_quotes(kind: str, weight: float) -> None:
    example = only(learn([told("a", kind, quoted=(("p1",),))], SETTINGS))
    assert (example.passages, example.rejected, example.weight) == ((), ("p1",), weight)


def test_cite_from_the_top_of_a_list_counts_less_than_one_from_below() -> None:
    weights = [
        only(learn([told("a", "cite", evidence=("p1",), place=place)], SETTINGS)).weight
        for place in (1, 3, 9, 0)
    ]
    assert weights == pytest.approx([0.2, 0.6, 1.0, 1.0])


def test_ranking_gives_every_pair_and_what_the_best_and_the_worst_quote() -> None:
    rank = told(
        "a",
        "rank",
        candidates=("in the boot", "on the door", "under the seat"),
        order=(1, 2, 0),
        quoted=(("p1", "p2"), ("p2",), ()),
    )
    learned = learn([rank], SETTINGS)
    assert [(each.chosen, each.rejected) for each in learned.preferences] == [
        ("on the door", "under the seat"),
        ("on the door", "in the boot"),
        ("under the seat", "in the boot"),
    ]
    assert sum(each.weight for each in learned.preferences) == pytest.approx(0.5)
    assert (only(learned).passages, only(learned).rejected) == (("p2",), ("p1",))


def test_pairs_that_say_the_same_are_left_out_of_a_ranking() -> None:
    rank = told("a", "rank", candidates=("on it", "On it.", "under the seat"), order=(0, 1, 2))
    pairs = [(each.chosen, each.rejected) for each in learn([rank], SETTINGS).preferences]
    assert pairs == [("on it", "under the seat"), ("On it.", "under the seat")]


LONG = (
    "Charge the battery with at most {} kilowatts while the car is parked in a dry garage at home."
)


def test_answers_that_differ_in_a_number_or_a_negation_are_no_tie() -> None:
    for other in (LONG.format(11), LONG.format(7).replace("Charge", "Never charge")):
        rank = told("a", "rank", candidates=(LONG.format(7), other), order=(0, 1))
        assert len(learn([rank], SETTINGS).preferences) == 1


def test_users_last_word_on_an_answer_counts() -> None:
    first = told("b", "up", quoted=(("p1",),))
    later = told("a", "down", quoted=(("p1",),), at="2026-02-01T00:00:00+00:00")
    learned = learn([later, first], SETTINGS)
    assert [each.id for each in learned.examples] == ["a"]
    assert reasons(learned) == {"b": WITHDRAWN}


def test_curators_who_disagree_teach_nothing_but_their_own_other_words_do() -> None:
    acts = [
        told("a", "up", quoted=(("p1",),)),
        told("b", "down", user="tom", quoted=(("p1",),)),
        told("c", "up", user="tom", question="How fast?", quoted=(("p1",),)),
    ]
    learned = learn(acts, SETTINGS)
    assert reasons(learned) == {"a": DISPUTED, "b": DISPUTED}
    assert [each.id for each in learned.examples] == ["c"]


def test_correction_outweighs_what_curators_say_of_answers() -> None:
    acts = [edit("a"), told("b", "up", user="tom", quoted=(("p2",),))]
    assert reasons(learn(acts, SETTINGS)) == {"b": CONTRADICTED}


@pytest.mark.parametrize(
    "made",
    [
        edit("z", role="asker", user="mallory", passages=("p9",)),
        told("z", "cite", "asker", user="mallory", evidence=("p9",)),
        told("z", "up", "asker", user="mallory", quoted=(("p9",),)),
        told("z", "down", "asker", user="mallory", quoted=(("p1",),)),
    ],
)
def test_asker_does_not_teach_against_a_curator(made: Told) -> None:
    asked_alike = replace(made, act=replace(made.act, question="where IS the child lock"))
    learned = learn([edit("a"), asked_alike], SETTINGS)
    assert reasons(learned) == {"z": CONTRADICTED}
    elsewhere = replace(made, act=replace(made.act, question="How do I tow a caravan?"))
    assert reasons(learn([edit("a"), elsewhere], SETTINGS)) == {}


def test_asker_who_agrees_with_a_curator_teaches() -> None:
    acts = [edit("a"), told("z", "cite", "asker", evidence=("p1", "p7"))]
    assert [each.id for each in learn(acts, SETTINGS).examples] == ["a", "z"]


def flood(num_acts: int, step_hours: int = 8, passage: str = "") -> list[Told]:
    return [
        told(
            f"m{n:03}",
            "cite",
            "asker",
            user="mallory",
            question=f"question {n} about thing{n}?",
            evidence=(passage or f"p{n}",),
            at=f"2026-{1 + n // 56:02}-{1 + n // 2 % 28:02}T{n % 2 * step_hours:02}:00:00+00:00",
        )
        for n in range(num_acts)
    ]


def test_what_is_over_an_askers_cap_is_left_out_the_oldest_first() -> None:
    learned = learn(flood(40), SETTINGS)
    assert [each.id for each in learned.examples] == [f"m{n:03}" for n in range(30, 40)]
    assert Counter(reasons(learned).values()) == {OVER_CAP: 30}


def test_asker_counts_no_more_than_a_curator_on_any_passage() -> None:
    learned = learn(flood(40, passage="p9"), SETTINGS)
    assert [each.id for each in learned.examples] == ["m037", "m038", "m039"]
    assert sum(each.weight for each in learned.examples) <= PASSAGE_CAP
    mixed = [*flood(3, passage="p9"), told("d", "down", "asker", user="mallory", quoted=(("p9",),))]
    assert len(learn(mixed, SETTINGS).examples) == 3


def test_burst_teaches_nothing_until_released() -> None:
    acts = [replace(e, act=replace(e.act, at="2026-01-01T00:00:00+00:00")) for e in flood(30)]
    assert set(reasons(learn(acts, SETTINGS)).values()) == {QUARANTINED}
    decisions: dict[str, QuarantineDecision] = {"m000": "released", "m001": "rejected"}
    learned = learn(acts, SETTINGS, decisions)
    assert [each.id for each in learned.examples] == ["m000"]
    assert reasons(learned)["m001"] == REJECTED


def test_askers_can_be_left_out_by_the_settings() -> None:
    learned = learn([edit("a"), *flood(2)], LearnSettings(asker_weight=0))
    assert [each.id for each in learned.examples] == ["a"]
    assert set(reasons(learned).values()) == {UNCOUNTED}


PASSAGES = st.lists(st.sampled_from(["p1", "p2", "p3"]), unique=True, max_size=2).map(tuple)
TEXTS = st.sampled_from(
    ["on the left", "below the wheel", "在后车门", "in the boot", "on the LEFT"]
)


@st.composite
def anything(draw: st.DrawFn) -> list[Told]:
    """Acts of every kind by a few users on a few questions."""
    acts = []
    for number in range(draw(st.integers(0, 25))):
        kind = draw(st.sampled_from(sorted(STRENGTH)))
        role, user = draw(
            st.sampled_from([("asker", "mallory"), ("asker", "bo"), ("curator", "eve")])
        )
        candidates = tuple(draw(st.lists(TEXTS, min_size=2, max_size=4))) if kind == "rank" else ()
        said: dict[str, Any] = {
            "user": user,
            "question": draw(st.sampled_from([QUESTION, "How fast?", "儿童锁在哪里？"])),
            "answer": draw(TEXTS),
            "at": f"2026-01-{draw(st.integers(1, 28)):02}T08:00:00+00:00",
            "candidates": candidates,
            "order": tuple(draw(st.permutations(range(len(candidates))))),
            "quoted": tuple(draw(PASSAGES) for _ in candidates or "1"),
        }
        if kind == "edit":
            acts.append(edit(f"a{number}", role=role, passages=draw(PASSAGES), **said))
        else:
            place = draw(st.integers(0, 10))
            made = told(f"a{number}", kind, role, evidence=draw(PASSAGES), place=place, **said)
            acts.append(made)
    return acts


@given(acts=anything(), data=st.data())
def test_order_in_which_acts_come_changes_nothing(acts: list[Told], data: st.DataObject) -> None:
    assert learn(data.draw(st.permutations(acts)), SETTINGS) == learn(acts, SETTINGS)


@given(acts=anything())
def test_no_act_teaches_twice_and_none_is_lost(acts: list[Told]) -> None:
    learned = learn(acts, SETTINGS)
    examples = Counter(each.id for each in learned.examples)
    pairs = Counter((each.id, each.chosen, each.rejected) for each in learned.preferences)
    assert set(examples.values()) <= {1}
    taught = examples.keys() | {id for id, _, _ in pairs}
    assert taught.isdisjoint(reasons(learned))
    assert taught | reasons(learned).keys() == {each.act.id for each in acts}


@given(acts=anything())
def test_weights_are_within_0_and_1(acts: list[Told]) -> None:
    learned = learn(acts, SETTINGS)
    assert all(0 < each.weight <= 1 for each in learned.examples)
    assert all(0 < each.weight <= 1 for each in learned.preferences)
    for example in learned.examples:
        pairs = [each.weight for each in learned.preferences if each.id == example.id]
        assert not pairs or sum(pairs) == pytest.approx(example.weight)


@given(acts=anything(), asker_weight=st.floats(0.05, 1))
def test_asker_never_exceeds_his_cap(acts: list[Told], asker_weight: float) -> None:
    settings = LearnSettings(asker_weight=asker_weight, asker_share=0.5)
    roles = {each.act.id: each.act.role for each in acts}
    learned = learn(acts, settings)
    weights = {each.id: each.weight for each in learned.examples}
    for pair in learned.preferences:
        if pair.id not in {each.id for each in learned.examples}:
            weights[pair.id] = weights.get(pair.id, 0) + pair.weight
    spent = dict.fromkeys(("mallory", "bo", "eve"), 0.0)
    for each in acts:
        spent[each.act.user] += weights.get(each.act.id, 0)
    trusted = sum(weight for id, weight in weights.items() if roles[id] != "asker")
    for user in ("mallory", "bo"):
        assert spent[user] <= cap(trusted, settings) + 1e-9
        his = [each for each in learned.examples if each.user == user]
        for passage in ("p1", "p2", "p3"):
            about = [each for each in his if passage in (*each.passages, *each.rejected)]
            assert sum(each.weight for each in about) <= PASSAGE_CAP + 1e-9


@given(acts=anything(), num_acts=st.integers(1, 120))
def test_flood_leaves_what_others_teach_as_it_was(acts: list[Told], num_acts: int) -> None:
    """But for what it says against nobody: no one else's act goes or changes its weight."""
    curators = [each for each in acts if each.act.role != "asker"]
    alone = learn(curators, SETTINGS)
    flooded = learn([*curators, *flood(num_acts)], SETTINGS)
    others = tuple(each for each in flooded.examples if each.user != "mallory")
    assert others == alone.examples

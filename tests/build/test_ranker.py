"""The ranker learns from questions whose words stand in no document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flywheel.build import ranker
from flywheel.build.ranker import FEWEST, Fitted
from flywheel.records import Example, Hit, Passage
from flywheel.search.index import PassageIndex, Reader, build_index
from flywheel.search.learned import FEATURES, Candidate, LearnedRanker, candidates, features
from flywheel.search.question_field import QuestionField
from flywheel.search.rank import rank

NUM_TOPICS = 40
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu")
FORMS = ("What is up with the {}?", "My {} does not work", "Who looks after a {}?")
EVERYONE = Reader()


def word(number: int, kind: str) -> str:
    """A word for each number; those of different kinds share nothing."""
    first, second = divmod(number, 10)
    return SYLLABLES[first] + SYLLABLES[second] + kind + SYLLABLES[(first + second) % 10]


def passage(number: int) -> Passage:
    return Passage(
        id=f"p{number}",
        document=f"d{number}",
        title="Parts",
        headings=(),
        text=f"The {word(number, 'x')} is inspected by the workshop. Keep it dry at all times.",
        language="en",
        position=0,
    )


def question(number: int, way: int) -> str:
    return FORMS[way].format(word(number, "y"))


def examples(ways: Sequence[int] = (0, 1)) -> list[Example]:
    return [
        Example(
            id=f"{number}-{way}",
            question=question(number, way),
            passages=(f"p{number}",),
            group=f"{number}-{way}",
        )
        for number in range(NUM_TOPICS)
        for way in ways
    ]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> PassageIndex:
    folder = tmp_path_factory.mktemp("index")
    build_index(folder, [passage(number) for number in range(NUM_TOPICS)])
    return PassageIndex(folder)


def fit(index: PassageIndex, learned: Sequence[Example]) -> Fitted | None:
    def search(asked: str) -> list[Hit]:
        return rank(asked, index.search(asked, EVERYONE), index.frequencies)

    return ranker.fit(learned, index, search)


@pytest.fixture(scope="module")
def fitted(index: PassageIndex) -> Fitted:
    fitted = fit(index, examples())
    assert fitted
    return fitted


def best(learned: LearnedRanker, asked: str, reader: Reader = EVERYONE) -> list[str]:
    hits = learned.rank(learned.around(asked, reader), [], reader)
    return [hit.passage.id for hit in hits]


def test_a_new_wording_leads_where_the_old_ones_led(fitted: Fitted) -> None:
    firsts = [best(fitted.ranker, question(number, 2))[0] for number in range(NUM_TOPICS)]
    assert firsts == [f"p{number}" for number in range(NUM_TOPICS)]


def test_the_same_examples_teach_the_same(index: PassageIndex, fitted: Fitted) -> None:
    again = fit(index, examples())
    assert again
    near = fitted.ranker.around(question(3, 2), EVERYONE)
    assert again.ranker.rank(near, [], EVERYONE) == fitted.ranker.rank(near, [], EVERYONE)
    for one, other in zip(again.rehearsed, fitted.rehearsed, strict=True):
        assert one.hits == other.hits


def test_what_was_only_found_wrong_counts_too(index: PassageIndex) -> None:
    """It leads nowhere, but tells what is wrong for questions like it."""
    wrong = Example(id="w", question=question(3, 2), rejected=("p1",), group="w")
    result = fit(index, [*examples(), wrong])
    assert result
    assert "w" in {each.id for each in result.ranker.questions}
    refused = {each.example.id for each in result.rehearsed if not each.example.passages}
    assert refused == {"w"}, "and it is rehearsed, for what tells when to answer"
    corrected = replace(wrong, group=examples()[0].group)
    result = fit(index, [*examples(), corrected])
    assert result
    assert all(each.example.passages for each in result.rehearsed), "the answer is known"
    assert fit(index, [replace(each, passages=()) for each in examples()]) is None


def test_few_examples_teach_nothing(index: PassageIndex) -> None:
    assert fit(index, examples()[: FEWEST - 1]) is None


def test_examples_whose_passages_are_gone_teach_nothing(index: PassageIndex) -> None:
    assert fit(index, [replace(each, passages=("gone",)) for each in examples()]) is None


def test_no_question_sees_its_own_group(index: PassageIndex) -> None:
    """Where both wordings of a topic are one group, nothing that is left leads to its passage."""
    topics = {f"{number}-{way}": str(number) for number in range(10) for way in (0, 1)}
    grouped = [replace(each, group=topics.get(each.id, each.group)) for each in examples()]
    result = fit(index, grouped)
    assert result
    for each in result.rehearsed:
        groups = {result.ranker.questions[place].group for place in each.near.places.tolist()}
        assert each.example.group not in groups
        is_found = each.example.passages[0] in {hit.passage.id for hit in each.hits}
        assert is_found is (each.example.id not in topics)


def test_where_only_its_own_feedback_leads_to_the_evidence_nothing_is_learned(
    index: PassageIndex,
) -> None:
    assert fit(index, [replace(each, group=each.passages[0]) for each in examples()]) is None


def test_rehearsed_is_what_a_new_question_would_get(fitted: Fitted) -> None:
    """The other wording of its topic is another group, and leads to the passage."""
    right = [each.hits[0].passage.id == each.example.passages[0] for each in fitted.rehearsed]
    assert sum(right) > 0.9 * len(right)


def test_a_saved_ranker_orders_as_before_and_keeps_no_word_of_an_answer(
    index: PassageIndex, fitted: Fitted, tmp_path: Path
) -> None:
    told = [replace(each, answer="PRIVATE", evidence=("PRIVATE",), user="U") for each in examples()]
    result = fit(index, told)
    assert result
    result.ranker.save(tmp_path)
    loaded = LearnedRanker.load(tmp_path, index)
    for number in range(0, NUM_TOPICS, 7):
        assert best(loaded, question(number, 2)) == best(fitted.ranker, question(number, 2))
    kept = (tmp_path / "questions.jsonl").read_text()
    assert "PRIVATE" not in kept
    assert '"user": "U"' not in kept


def test_a_question_may_hold_any_character_that_ends_a_line_elsewhere(
    index: PassageIndex, tmp_path: Path
) -> None:
    odd = [replace(each, question=f"{each.question}\u2028\u0085\r\x0c?") for each in examples()]
    result = fit(index, odd)
    assert result
    result.ranker.save(tmp_path)
    assert LearnedRanker.load(tmp_path, index).questions == tuple(
        replace(each, user="") for each in odd
    )


def test_a_passage_in_the_language_of_the_question_is_told(index: PassageIndex) -> None:
    field = QuestionField(examples(), index)
    spoken = {
        asked: features(
            field,
            field.around(asked),
            [
                Candidate(passage=replace(passage(1), language=language), hit=None)
                for language in ("en", "zh-hans", "zh-hant", "mixed", "other")
            ],
        )[:, FEATURES.index("language")].tolist()
        for asked in ("How is it?", "怎么样？")
    }
    assert spoken == {"How is it?": [1, 0, 0, 1, 1], "怎么样？": [0, 1, 1, 1, 0]}


def test_questions_can_be_switched_off(fitted: Fitted) -> None:
    left = fitted.ranker.without(frozenset({"3-0", "3-1"}))
    assert best(fitted.ranker, question(3, 2))[0] == "p3"
    assert "p3" not in best(left, question(3, 2))[:1]
    assert best(left, question(4, 2))[0] == "p4"


def test_a_passage_that_may_not_be_read_is_no_candidate(fitted: Fitted) -> None:
    field = fitted.ranker.field
    near = field.around(question(3, 2))
    hidden = Reader(hidden=("d3",))
    assert "p3" in {each.passage.id for each in candidates(field, near, [])}
    view = field.of(hidden)
    near = view.around(question(3, 2))
    assert "p3" not in {each.passage.id for each in candidates(view, near, [])}
    assert "p3" not in best(fitted.ranker, question(3, 2), hidden)


def test_what_was_found_wrong_is_told_of_the_closest_question(index: PassageIndex) -> None:
    rejecting = [
        replace(each, rejected=("p1",)) if each.id == "3-0" else each for each in examples()
    ]
    field = QuestionField(rejecting, index)
    near = field.around(question(3, 2))
    hits = [Hit(passage=passage(1), score=1.0)]
    of = candidates(field, near, hits)
    rows = features(field, near, of)
    told = dict(
        zip(
            [each.passage.id for each in of],
            rows[:, FEATURES.index("closest_rejected")],
            strict=True,
        )
    )
    assert rows.shape == (len(of), len(FEATURES))
    assert told["p1"] > 0
    assert told["p3"] == 0


def test_without_a_candidate_nothing_is_ordered(fitted: Fitted) -> None:
    near = fitted.ranker.around("zzz", EVERYONE)
    assert fitted.ranker.rank(near, [], EVERYONE) == []


def test_a_question_is_in_the_part_of_its_group() -> None:
    every = examples()
    parts = {ranker.part_of(each, 2) for each in every}
    assert parts == {0, 1}
    same = [replace(each, group="g") for each in every]
    assert len({ranker.part_of(each, 2) for each in same}) == 1

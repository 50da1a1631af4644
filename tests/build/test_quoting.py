"""What is quoted follows what users wrote instead, and never loses evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flywheel.answer.choice import LearnedChoice, drafts
from flywheel.answer.quote import Quoter, num_words
from flywheel.answer.settings import QuoteSettings
from flywheel.build import quoting
from flywheel.build.quoting import FEWEST, opening_of, tell
from flywheel.build.ranker import Rehearsed
from flywheel.evaluate.text import coverage, rouge_l
from flywheel.records import Example, Hit, Passage
from flywheel.search.index import PassageIndex, build_index
from flywheel.search.question_field import QuestionField

NUM_TOPICS = FEWEST
SETTINGS = QuoteSettings()
FIRST = "Part {0} is checked by the workshop of the north every {0} days without any exception."
REST = (
    " Its cover is of grey steel and closes with a quarter turn of the handle."
    " The floor below it is swept in the evening by whoever leaves last."
    " Visitors look at it from behind the line that is painted on the floor."
    " Older forms of it are kept in the cellar until somebody asks for them."
)


def passage(number: int) -> Passage:
    return Passage(
        id=f"p{number}",
        document=f"d{number}",
        title="Parts",
        headings=(),
        text=FIRST.format(number) + REST,
        language="en",
        position=0,
    )


def answer(number: int) -> str:
    """What users write: the first sentence, and how they greet."""
    return "Hello, " + FIRST.format(number)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> PassageIndex:
    folder = tmp_path_factory.mktemp("index")
    build_index(folder, [passage(number) for number in range(NUM_TOPICS)])
    return PassageIndex(folder)


def example(number: int, **changes: object) -> Example:
    made = Example(
        id=str(number),
        question=f"When is part {number} checked?",
        answer=answer(number),
        evidence=(FIRST.format(number),),
        passages=(f"p{number}",),
        group=str(number),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def rehearsed(index: PassageIndex, examples: Sequence[Example]) -> list[Rehearsed]:
    field = QuestionField(examples, index)
    return [
        Rehearsed(
            example=each,
            near=field.around(each.question, without_group=each.group),
            hits=(
                Hit(passage=passage(int(each.id)), score=0.9),
                Hit(passage=passage((int(each.id) + 1) % NUM_TOPICS), score=0.2),
            ),
        )
        for each in examples
    ]


def worth(each: Example, text: str) -> tuple[float, float]:
    return rouge_l(text, each.answer), coverage(each.evidence[0], text)


def fit(index: PassageIndex, examples: Sequence[Example]) -> LearnedChoice | None:
    return quoting.fit(rehearsed(index, examples), index.frequencies, SETTINGS, worth)


def test_answers_become_as_short_as_what_users_write_and_open_alike(index: PassageIndex) -> None:
    examples = [example(number) for number in range(NUM_TOPICS)]
    choice = fit(index, examples)
    assert choice
    for each in rehearsed(index, examples)[:10]:
        unlearned = Quoter(each.example.question, index.frequencies, SETTINGS).draft(each.hits)
        learned = choice.draft(each.near, each.hits)
        assert num_words(learned.text) < 0.6 * num_words(unlearned.text)
        assert learned.text.startswith("Hello, ")
        assert each.example.evidence[0] in learned.text


def test_evidence_is_kept_though_users_never_write_it(index: PassageIndex) -> None:
    """The answers are short and the evidence is the whole passage: no less of it may be quoted."""
    examples = [example(number, evidence=(passage(number).text,)) for number in range(NUM_TOPICS)]
    choice = fit(index, examples)
    assert choice
    for each in rehearsed(index, examples)[:10]:
        assert each.example.evidence[0] in choice.draft(each.near, each.hits).text


def test_few_answers_teach_nothing(index: PassageIndex) -> None:
    assert fit(index, [example(number) for number in range(FEWEST - 1)]) is None
    one_part = [example(number, group="g") for number in range(NUM_TOPICS)]
    assert fit(index, one_part) is None
    silent = [example(number, answer="") for number in range(NUM_TOPICS)]
    assert fit(index, silent) is None


def test_a_saved_choice_drafts_as_before_and_keeps_no_word_of_an_answer(
    index: PassageIndex, tmp_path: Path
) -> None:
    examples = [
        example(number, answer=f"Hello, {FIRST.format(number)} PRIVATE")
        for number in range(NUM_TOPICS)
    ]
    choice = fit(index, examples)
    assert choice
    choice.save(tmp_path)
    loaded = LearnedChoice.load(tmp_path, index.frequencies, SETTINGS)
    for each in rehearsed(index, examples)[:10]:
        assert loaded.draft(each.near, each.hits) == choice.draft(each.near, each.hits)
    assert b"PRIVATE" not in b"".join(
        each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()
    )


def test_nothing_found_is_nothing_drafted(index: PassageIndex) -> None:
    examples = [example(number) for number in range(NUM_TOPICS)]
    choice = fit(index, examples)
    assert choice
    near = QuestionField(examples, index).around("When is part 3 checked?")
    assert choice.draft(near, []).text == ""


# How answers open


@pytest.mark.parametrize(
    ("answers", "opening"),
    [
        (["Hello, it is red."] * 30, "Hello, "),
        (["您好，可以。"] * 30, "您好，"),
        (["Hello, it is red."] * 16 + ["It is red."] * 14, "Hello, "),
        (["Hello, it is red."] * 14 + ["It is red."] * 16, ""),
        (["Hello, it is red."] * 10, ""),
        (["12, as it was."] * 30, ""),
        (["Yes, it is red."] * 30, ""),
        (["可以，随时。"] * 30, ""),
        (["The part that nobody ever looks at, is red."] * 30, ""),
    ],
)
def test_an_opening_is_a_word_or_two_that_most_answers_share(
    answers: list[str], opening: str
) -> None:
    assert opening_of([example(0, answer=each) for each in answers]) == opening


def test_each_language_opens_in_its_own_manner() -> None:
    chinese = [example(0, question="什么时候？", answer="您好，明天。")] * 30
    english = [example(0, answer="Tomorrow.")] * 30
    told = tell([*chinese, *english])
    assert told.opening("几点？") == "您好，"
    assert told.opening("When?") == ""


# Drafts


def test_drafts_are_verbatim_within_their_lengths_and_each_once(index: PassageIndex) -> None:
    each = rehearsed(index, [example(number) for number in range(4)])[0]
    quoter = Quoter(each.example.question, index.frequencies, SETTINGS)
    of = drafts(each.hits, quoter)
    told = {tuple((quotes.passage.id, quotes.spans) for quotes in one) for one in of}
    assert len(told) == len(of)
    for one in of:
        for quotes in one:
            for citation in quotes.citations:
                text = quotes.passage.text
                assert text[citation.start : citation.end] == citation.quote
    assert any(len(one) == 2 for one in of)
    shortest = min(sum(quotes.words for quotes in one) for one in of)
    assert shortest < 33

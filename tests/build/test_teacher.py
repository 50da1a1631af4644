"""A teacher's words are learned as far as the passages support them."""

from __future__ import annotations

import pytest

from flywheel.answer.prompt import UNTOLD, make_prompt, read_prompt
from flywheel.answer.settings import WriteSettings
from flywheel.build.teacher import MOST_FAILURES, taught_by
from flywheel.engine.fake import FakeEngine
from flywheel.engine.protocol import Request
from flywheel.errors import EngineError, ModelError
from flywheel.records import Conversation, Message, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import term_ids

TEXTS = (
    "The boot opens with the button under the lip. A light comes on inside.",
    "Inflate the tyres to 2.5 bar when they are cold. Check the pressure every month.",
)
PASSAGES = [
    Passage(
        id=f"p{place}",
        document="d",
        title="Manual",
        headings=("Part",),
        text=text,
        language="en",
        position=place,
    )
    for place, text in enumerate(TEXTS)
]


@pytest.fixture
def frequencies() -> Frequencies:
    counted = Frequencies.empty()
    for text in TEXTS:
        counted.add(term_ids(text))
    return counted


def exercise(answer: str, question: str = "How much air do the tyres need?") -> Conversation:
    prompt = make_prompt(question, PASSAGES, 1000, lambda text: len(text.split()))
    messages = (*prompt.messages, Message(role="assistant", content=answer))
    return Conversation(messages=messages, weight=0.5)


def taught(frequencies: Frequencies, said: str, answer: str = "Quoted. [2]") -> Conversation:
    engine = FakeEngine(lambda _: said)
    [after] = taught_by(engine, [exercise(answer)], frequencies, WriteSettings())
    return after


def test_a_prompt_is_read_back_with_what_it_shows() -> None:
    read = read_prompt(exercise("").messages[:-1])
    assert [each.text.strip() for each in read.passages] == list(TEXTS)
    assert [each.id for each in read.passages] == ["1", "2"]


def test_supported_words_replace_the_quote_with_the_number_of_their_passage(
    frequencies: Frequencies,
) -> None:
    after = taught(frequencies, "Inflate cold tyres to 2.5 bar. Check the pressure every month.")
    assert after.messages[-1].content == (
        "Inflate cold tyres to 2.5 bar. [2] Check the pressure every month. [2]"
    )
    assert after.weight == 0.5


@pytest.mark.parametrize(
    "said",
    ["", "Inflate the tyres to 3.5 bar. [2]", "Inflate cold tyres to 2.5 bar. Rims are free."],
)
def test_words_without_support_leave_the_exercise_as_it_was(
    frequencies: Frequencies, said: str
) -> None:
    assert taught(frequencies, said).messages[-1].content == "Quoted. [2]"


def test_nobody_is_asked_what_the_passages_do_not_tell(frequencies: Frequencies) -> None:
    engine = FakeEngine(lambda _: "Inflate cold tyres to 2.5 bar.")
    untold = exercise(UNTOLD["en"])
    assert taught_by(engine, [untold], frequencies, WriteSettings()) == (untold,)
    assert engine.requests == []


def test_a_teacher_that_is_gone_stops_the_build(frequencies: Frequencies) -> None:
    def down(request: Request) -> str:
        raise EngineError("Nobody answers.")

    exercises = [exercise("Quoted. [2]")] * (MOST_FAILURES + 20)
    with pytest.raises(ModelError, match="does not answer: Nobody answers"):
        taught_by(FakeEngine(down), exercises, frequencies, WriteSettings())


def test_a_single_failure_keeps_the_quote(frequencies: Frequencies) -> None:
    engine = FakeEngine(lambda _: "Inflate cold tyres to 2.5 bar.")
    engine.queue(EngineError("Broke off."))
    exercises = [exercise("Quoted. [2]") for _ in range(3)]
    said = [
        each.messages[-1].content
        for each in taught_by(engine, exercises, frequencies, WriteSettings())
    ]
    assert said.count("Quoted. [2]") == 1

"""What becomes of a model's words: shown with their sources, left out, or not trusted at all."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.answer.prompt import UNTOLD
from flywheel.answer.settings import WriteSettings
from flywheel.answer.write import Writer, Written, _split
from flywheel.engine.fake import FakeAnswer, FakeEngine
from flywheel.errors import EngineError
from flywheel.records import Hit, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import term_ids

PASSAGES = (
    "Inflate the tyres to 2.5 bar when they are cold. Check the pressure every month.",
    "儿童锁位于每个后车门的内侧边缘。用机械钥匙片插入槽中转动即可锁止。",
    "The boot opens with the button under the lip. A light comes on inside.",
)
HITS = [
    Hit(
        passage=Passage(
            id=f"p{place}",
            document="d",
            title="Manual",
            headings=(f"Part {place}",),
            text=text,
            language="en",
            position=place,
        ),
        score=1.0 - place / 10,
    )
    for place, text in enumerate(PASSAGES)
]
ASKED = "How much air do the tyres need?"
GASKED = "儿童锁在哪里？"


@pytest.fixture
def frequencies() -> Frequencies:
    counted = Frequencies.empty()
    for hit in HITS:
        counted.add(term_ids(hit.passage.text))
    return counted


def write(frequencies: Frequencies, said: str, question: str = ASKED) -> Written:
    """What is made of a model's words, which come a few characters at a time."""
    engine = FakeEngine()
    engine.queue(FakeAnswer(pieces=tuple(said[at : at + 3] for at in range(0, len(said), 3))))
    return Writer(lambda: engine, frequencies, WriteSettings()).write(question, HITS)


def test_each_sentence_is_shown_with_the_passage_that_supports_it(
    frequencies: Frequencies,
) -> None:
    said = "Inflate cold tyres to 2.5 bar [1]. The boot opens with the button under the lip. [3]"
    written = write(frequencies, said)
    assert written.shortfall == ""
    assert [each.passage for each in written.citations] == ["p0", "p2"]
    assert written.text == (
        "Inflate cold tyres to 2.5 bar. [1] The boot opens with the button under the lip. [2]"
    )
    assert written.draft == (
        "Inflate cold tyres to 2.5 bar. The boot opens with the button under the lip."
    )


def test_chinese_sentences_join_without_spaces(frequencies: Frequencies) -> None:
    said = "儿童锁位于后车门的内侧边缘。[2]用机械钥匙片插入槽中转动即可锁止。[2]"
    written = write(frequencies, said, GASKED)
    assert written.draft == "儿童锁位于后车门的内侧边缘。用机械钥匙片插入槽中转动即可锁止。"
    assert written.text.endswith("锁止。 [2]")
    assert len(written.citations) == 2


def test_a_sentence_without_a_number_finds_its_own_passage(frequencies: Frequencies) -> None:
    written = write(frequencies, "Check the pressure every month.")
    assert [each.quote for each in written.citations] == ["Check the pressure every month."]


def test_a_sentence_that_nothing_supports_is_left_out(frequencies: Frequencies) -> None:
    said = (
        "Inflate the tyres to 2.5 bar when cold. [1] Your dealer repairs rims free of charge. [1] "
        "Check the pressure every month. [1]"
    )
    written = write(frequencies, said)
    assert "dealer" not in written.text
    assert len(written.citations) == 2


@pytest.mark.parametrize(
    "said",
    [
        "Inflate the tyres to 2.5 bar. [7]",  # there is no such passage
        "Inflate the tyres to 2.5 bar. [3]",  # that one does not say so
        "Inflate the tyres to 3.5 bar. [1]",  # nor this one
    ],
)
def test_a_citation_that_does_not_hold_falls_back_to_quoting(
    frequencies: Frequencies, said: str
) -> None:
    written = write(frequencies, said)
    assert written.text == "" and "no passage supports" in written.shortfall


def test_an_answer_mostly_without_support_falls_back_to_quoting(frequencies: Frequencies) -> None:
    said = "Check the pressure every month. Rims are free. Dealers repair them. Ask for Bob."
    assert "3 of 4 sentences" in write(frequencies, said).shortfall


@pytest.mark.parametrize(("question", "language"), [(ASKED, "en"), (GASKED, "zh")])
def test_a_model_may_say_that_the_passages_do_not_tell(
    frequencies: Frequencies, question: str, language: str
) -> None:
    written = write(frequencies, {**UNTOLD}[language], question)  # type: ignore[index]
    assert written.is_untold and written.text == ""


def test_a_model_that_says_nothing_falls_back_to_quoting(frequencies: Frequencies) -> None:
    assert write(frequencies, " \n").shortfall == "the model wrote nothing"


def test_an_engine_that_fails_falls_back_to_quoting(frequencies: Frequencies) -> None:
    engine = FakeEngine()
    engine.queue(EngineError("The engine broke off."))
    written = Writer(lambda: engine, frequencies, WriteSettings()).write(ASKED, HITS)
    assert written.shortfall == "The engine broke off."


def test_sentences_come_one_by_one_and_whoever_stops_reading_stops_the_engine(
    frequencies: Frequencies,
) -> None:
    engine = FakeEngine()
    pieces = ("Check the pressure every month. [1]", " The boot", " opens with the button.")
    engine.queue(FakeAnswer(pieces=pieces, delay_seconds=0.05))
    stream = Writer(lambda: engine, frequencies, WriteSettings()).stream(ASKED, HITS)
    first = next(stream)
    assert first.text == "Check the pressure every month."
    assert first.citation is not None
    stream.close()
    engine.close()  # waits for the generation that was cancelled
    assert engine.num_cancelled == 1


def test_a_sentence_that_the_length_cut_is_not_shown(frequencies: Frequencies) -> None:
    engine = FakeEngine()
    said = "Check the pressure every month. Inflate the tyres to 2.5 bar when they are cold."
    engine.queue(said, said)
    # As the engine counts its tokens, the first limit falls into the second sentence.
    cut, whole = engine.count_tokens(said) - 4, engine.count_tokens(said) + 1
    drafts = [
        Writer(lambda: engine, frequencies, WriteSettings(max_tokens=limit))
        .write(ASKED, HITS)
        .draft
        for limit in (cut, whole)
    ]
    assert drafts == ["Check the pressure every month.", said]


def test_an_answer_that_was_broken_off_is_not_shown(frequencies: Frequencies) -> None:
    engine = FakeEngine()
    pieces = ("Check the pressure every month.", " Or never.")
    engine.queue(FakeAnswer(pieces=pieces, delay_seconds=0.2))
    closing = threading.Timer(0.3, engine.close)
    closing.start()
    written = Writer(lambda: engine, frequencies, WriteSettings()).write(ASKED, HITS)
    closing.join()
    assert written.text == "" and written.shortfall


def test_what_a_model_says_to_itself_first_is_no_part_of_the_answer(
    frequencies: Frequencies,
) -> None:
    thought = "<think>\nThe user asks for air. Rims are free. Dealers repair them.\n</think>\n\n"
    written = write(frequencies, thought + "Check the pressure every month. [1]")
    assert written.draft == "Check the pressure every month."


@given(
    st.lists(st.sampled_from(["A b. ", "[1]", "[1, 2] ", "中文。", "x", " ", "\n", "3.5 ", "?!"]))
)
def test_splitting_loses_nothing_wherever_the_pieces_end(pieces: Iterable[str]) -> None:
    waiting, sentences = "", []
    for piece in pieces:
        *whole, waiting = _split(waiting + piece)
        sentences += whole
    assert "".join([*sentences, waiting]) == "".join(pieces)
    assert not any(each.lstrip().startswith("[") for each in sentences[1:])

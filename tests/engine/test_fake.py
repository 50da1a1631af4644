from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from flywheel.engine.fake import FakeAnswer, FakeEngine
from flywheel.engine.protocol import Engine, Piece, Request, Sampling
from flywheel.errors import EngineError
from flywheel.records import Message

QUESTION = Request(messages=(Message(role="user", content="Which pressure?"),))


def text_of(pieces: Sequence[Piece], choice: int = 0) -> str:
    return "".join(piece.text for piece in pieces if piece.choice == choice)


def test_says_what_was_queued_in_turn_and_keeps_what_was_asked() -> None:
    fake = FakeEngine()
    engine: Engine = fake
    fake.queue("2.4 bar. 按照约定", FakeAnswer(pieces=("a ", "b")))

    first, second = list(engine.generate(QUESTION)), list(engine.generate(QUESTION))

    assert text_of(first) == "2.4 bar. 按照约定"
    assert [piece.text for piece in second] == ["a ", "b", ""]
    assert first[-1].finish == "stop"
    assert first[-1].num_tokens == len(first) - 1
    assert fake.requests == [QUESTION, QUESTION]


def test_answers_by_the_request_and_fails_with_nothing_to_say() -> None:
    fake = FakeEngine(lambda request: request.messages[0].content.upper())

    assert text_of(list(fake.generate(QUESTION))) == "WHICH PRESSURE?"
    with pytest.raises(EngineError, match="nothing more"):
        FakeEngine().generate(QUESTION)


def test_keeps_to_the_sampling() -> None:
    fake = FakeEngine(lambda _: "one two END three")

    stopped = list(fake.generate(Request(prompt="x", sampling=Sampling(stop=("END",)))))
    short = list(fake.generate(Request(prompt="x", sampling=Sampling(max_tokens=1))))
    two = list(fake.generate(Request(prompt="x", num_choices=2)))

    assert text_of(stopped) == "one two "
    assert (text_of(short), short[-1].finish) == ("one", "length")
    assert text_of(two, 0) == text_of(two, 1) == "one two END three"


def test_error_comes_after_what_was_said() -> None:
    fake = FakeEngine()
    fake.queue(FakeAnswer(text="one", error=EngineError("gone")), EngineError("busy"))

    generation = fake.generate(QUESTION)
    assert next(generation).text == "one"
    with pytest.raises(EngineError, match="gone"):
        next(generation)
    with pytest.raises(EngineError, match="busy"):
        list(fake.generate(QUESTION))


def test_counts_those_that_nobody_read_to_their_end() -> None:
    fake = FakeEngine()
    fake.queue(FakeAnswer(text="never said", delay_seconds=60))

    fake.generate(QUESTION).close()
    fake.close()

    assert fake.num_cancelled == 1


def test_embeds_by_the_text() -> None:
    one, other, again = FakeEngine().embed(["a", "b", "a"])

    assert one == again != other
    assert math.hypot(*one) == pytest.approx(1)

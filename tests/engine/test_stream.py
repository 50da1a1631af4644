"""From the thread that generates to the reader: each piece once, in order, singly or together."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flywheel.engine.protocol import Piece
from flywheel.engine.stream import Stream, StreamGeneration, Workers
from flywheel.errors import EngineError

TOO_LONG = 20.0
END = Piece(finish="stop", num_tokens=3)


def generation(work: Callable[[Stream], None]) -> StreamGeneration:
    return StreamGeneration(Workers().start(work, lambda: None, num_choices=1))


def texts(pieces: list[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


def test_pieces_that_gather_come_together_and_the_end_cuts_the_wait_short() -> None:
    def work(stream: Stream) -> None:
        for piece in (Piece(text="one"), Piece(text="二"), END):
            stream.put(piece)

    reading = generation(work)
    assert texts(reading.several(TOO_LONG)) == ["one", "二", ""]
    assert reading.several(TOO_LONG) == []
    assert list(reading) == []


def test_what_is_there_comes_at_once_and_the_rest_when_it_is_there() -> None:
    heard = threading.Event()

    def work(stream: Stream) -> None:
        stream.put(Piece(text="one"))
        assert heard.wait(TOO_LONG)
        stream.put(Piece(text="two"))
        stream.put(END)

    reading = generation(work)
    assert texts(reading.several()) == ["one"]
    heard.set()
    assert texts(reading.several(TOO_LONG)) == ["two", ""]


def test_singly_and_together_tell_each_piece_once() -> None:
    def work(stream: Stream) -> None:
        for number in range(100):
            stream.put(Piece(text=str(number)))
        stream.put(END)

    reading = generation(work)
    told = [next(reading).text]
    while several := reading.several():
        told += texts(several)
        told += texts([piece for piece in (next(reading, None),) if piece])
    assert told == [*map(str, range(100)), ""]


def test_an_error_comes_behind_the_pieces_before_it() -> None:
    def work(stream: Stream) -> None:
        stream.put(Piece(text="one"))
        raise EngineError("It broke off.")

    reading = generation(work)
    assert texts(reading.several(TOO_LONG)) == ["one"]
    with pytest.raises(EngineError, match="broke off"):
        reading.several(TOO_LONG)


def test_closing_ends_the_wait() -> None:
    def work(stream: Stream) -> None:
        stream.put(Piece(text="one"))
        stream.wait(TOO_LONG)

    reading = generation(work)
    assert texts(reading.several()) == ["one"]
    closing = threading.Timer(0, reading.close)
    closing.start()
    assert {piece.finish for piece in reading.several(TOO_LONG)} <= {"cancelled"}
    assert reading.several(TOO_LONG) == []
    closing.join()

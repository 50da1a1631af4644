"""docs/gate.md works an example; its numbers are what the gate says to its table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from flywheel.evaluate.exam import Sitting, sit
from flywheel.records import Answer, ExamQuestion, Passage
from flywheel.wheel.gate import decide
from flywheel.wheel.settings import GateSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")

EVIDENCE = "The child lock sits on the edge of each rear door."
OTHER = "Wipe the lens of the camera with a soft cloth."


def ranks() -> Iterator[tuple[int, int]]:
    """The right passage's rank with the champion and the challenger, of each question; 0: none."""
    for before, after, count in re.findall(r"^\| (\d|–) \| (\d|–) \| (\d+) \|$", PAGE, re.M):
        yield from [(rank(before), rank(after))] * int(count)


def rank(cell: str) -> int:
    return 0 if cell == "–" else int(cell)


def sitting(places: list[int]) -> Sitting:
    questions = [
        ExamQuestion(id=str(number), question=f"Question {number}?", evidence=(EVIDENCE,))
        for number in range(len(places))
    ]
    places_of = {each.question: place for each, place in zip(questions, places, strict=True)}
    return sit(questions, lambda question: answer(question, places_of[question]))


def answer(question: str, place: int) -> Answer:
    passages = tuple(
        Passage(
            id=str(number), document="d", title="Doors", headings=(), language="en",
            text=EVIDENCE if number == place else OTHER, position=number,
        )
        for number in range(1, 11)
    )  # fmt: skip
    return Answer(
        question=question,
        answer=passages[0].text,
        draft=passages[0].text,
        kind="answer",
        confidence=0.5,
        citations=(),
        passages=passages,
    )


def test_numbers_of_the_worked_example_are_the_gates() -> None:
    pairs = list(ranks())
    champion, challenger = (sitting([pair[side] for pair in pairs]) for side in (0, 1))
    assert f"{len(pairs)} questions" in PAGE
    for k, promote in ((1, True), (6, False)):
        decision = decide(champion, challenger, GateSettings(), k=k, newer_documents=False)
        assert decision.promote == promote
        told = f"k = {k}: {'promoted' if promote else 'kept'}\n" + "\n".join(decision.reasons)
        assert told in PAGE, f"docs/gate.md should say:\n{told}"

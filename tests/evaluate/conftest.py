"""Answers and passages to measure, made short."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flywheel.records import Answer, Citation, Kind, Passage

MakePassage = Callable[..., Passage]
MakeAnswer = Callable[..., Answer]


@pytest.fixture
def passage() -> MakePassage:
    def make(text: str, *, id: str = "", headings: tuple[str, ...] = ()) -> Passage:
        return Passage(
            id=id or text[:12],
            document="d",
            title="Manual",
            headings=headings,
            text=text,
            language="en",
            position=0,
        )

    return make


@pytest.fixture
def answer(passage: MakePassage) -> MakeAnswer:
    def make(
        *texts: str,
        draft: str = "",
        kind: Kind = "answer",
        confidence: float = 0.5,
        quote: str = "",
    ) -> Answer:
        """What was found; the quote is cited from the first text that holds it."""
        found = tuple(passage(text, id=str(place)) for place, text in enumerate(texts))
        cited = tuple(_cite(item, quote) for item in found if quote and quote in item.text)
        return Answer(
            question="?",
            answer=draft,
            draft=draft,
            kind=kind,
            confidence=confidence,
            citations=cited[:1],
            passages=found,
        )

    return make


def _cite(found: Passage, quote: str) -> Citation:
    start = found.text.index(quote)
    return Citation(
        document=found.document,
        title=found.title,
        headings=found.headings,
        passage=found.id,
        quote=quote,
        start=start,
        end=start + len(quote),
    )

"""A correction as an answer: the corrected words, with their evidence cited where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from flywheel.records import Answer, Citation, Correction, Passage
from flywheel.search.corrections import Match
from flywheel.search.index import PassageIndex, Reader
from flywheel.search.terms import fold, has_han


def corrected(question: str, match: Match, index: PassageIndex, reader: Reader) -> Answer | None:
    """The answer that a matching correction gives to this reader.

    None where evidence is named and none of it stands in a passage that the reader may see, or a
    part of it stood in a document that was deleted or closed to him just now: what is gone must not
    live on in an answer.
    """
    correction = match.correction
    held = index.fetch(correction.passages)
    passages = [each for each in held if reader.sees(each)]
    if correction.evidence and not passages:
        return None
    is_closed = any(each.document in reader.hidden for each in held)
    if is_closed and not _all_stand(correction.evidence, passages):
        return None
    text = correction.answer
    if match.disputed_with:
        text += "\n" + _dispute(question)
    return Answer(
        question=question,
        answer=text,
        draft=correction.answer,
        kind="answer",
        confidence=match.similarity,
        citations=tuple(_citations(correction, passages)),
        passages=tuple(passages),
        verified=correction.verified,
        correction=correction.id,
    )


def _all_stand(evidence: Sequence[str], passages: Sequence[Passage]) -> bool:
    """Whether every piece stands in these passages, or runs from one into the next."""
    ordered = sorted(passages, key=lambda each: (each.document, each.position))
    texts = [
        "".join(_plain(each.text) for each in of_document)
        for _, of_document in groupby(ordered, key=lambda each: each.document)
    ]
    return all(any(_plain(piece) in text for text in texts) for piece in evidence)


def _plain(text: str) -> str:
    return "".join(char for char in fold(text) if char.isalnum())


def _citations(correction: Correction, passages: list[Passage]) -> Iterator[Citation]:
    """Evidence that stands verbatim in a passage; its first place in each."""
    for passage in passages:
        for piece in correction.evidence:
            quote = piece.strip()
            start = passage.text.find(quote)
            if quote and start >= 0:
                yield Citation(
                    document=passage.document,
                    title=passage.title,
                    headings=passage.headings,
                    passage=passage.id,
                    quote=quote,
                    start=start,
                    end=start + len(quote),
                )


def _dispute(question: str) -> str:
    if has_han(question):
        return "（此答案有争议：另一条更正与之不同，正等待审核。）"
    return "(Disputed: another correction says otherwise. It waits for review.)"

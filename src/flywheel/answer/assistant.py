"""The whole path of a question: search → rank → quote → decide → write, where a model may.

By what was learned, if anything was.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

from flywheel.answer.choice import LearnedChoice
from flywheel.answer.decide import (
    BUILT_IN,
    Calibration,
    Decision,
    decide,
    features,
    readings,
)
from flywheel.answer.prompt import language_of
from flywheel.answer.quote import Draft, draft
from flywheel.answer.settings import DecideSettings, QuoteSettings
from flywheel.answer.write import Writer, Written, WrittenLanguage
from flywheel.engine.protocol import Sampling
from flywheel.engine.stopping import Stopping
from flywheel.records import Answer, Hit
from flywheel.search.frequencies import Frequencies
from flywheel.search.index import PassageIndex, Reader
from flywheel.search.learned import LearnedRanker
from flywheel.search.question_field import Neighbours
from flywheel.search.rank import rank
from flywheel.search.terms import has_han

NUM_PASSAGES = 10

_TURNS = threading.BoundedSemaphore((os.cpu_count() or 1) + 1)
"""Questions that are searched at once in this process. More are in each other's way: of 64 on two
cores, each computing a little at a time, the slowest twentieth took 1.6 s, and takes 0.75."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A question's answer beside what its confidence is estimated from."""

    answer: Answer
    features: tuple[float, ...] | None
    """None where nothing was found."""
    readings: tuple[str, ...]
    """The texts of the best readings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """A quoted answer, and what it was made from."""

    answer: Answer
    hits: list[Hit]
    near: Neighbours | None
    features: tuple[float, ...] | None
    frequencies: Frequencies
    """Of what the reader may see."""


class Assistant:
    """One version, ready to answer. Holds no state of its own between questions."""

    def __init__(
        self,
        index: PassageIndex,
        calibration: Calibration = BUILT_IN,
        quoting: QuoteSettings | None = None,
        deciding: DecideSettings | None = None,
        version: int = 0,
        ranker: LearnedRanker | None = None,
        choice: LearnedChoice | None = None,
        writers: Mapping[WrittenLanguage, Writer] | None = None,
    ) -> None:
        self.index = index
        self.calibration = calibration
        self.quoting = quoting or QuoteSettings()
        self.deciding = deciding or DecideSettings()
        self.version = version
        self.ranker = ranker
        self.choice = choice
        self.writers = dict(writers or {})
        """Who words the answers, by the language of the question; else the documents are quoted."""

    def ask(self, question: str, reader: Reader | None = None) -> Answer:
        """The cited answer to a question, of what this reader may see."""
        return self.observe(question, reader).answer

    def observe(self, question: str, reader: Reader | None = None) -> Observation:
        """Answers, and shows what confidence is estimated from: what it is fitted on.

        A model writes only where an answer is given at all: it is asked last, and may still say
        that the passages do not tell.
        """
        found = self._find(question, reader or Reader())
        answer = found.answer
        if writer := self._writer(found):
            started = time.perf_counter()
            written = writer.write(question, found.hits[:NUM_PASSAGES])
            answer = _worded(answer, written, found.hits, time.perf_counter() - started)
        texts = tuple(hit.passage.text for hit in readings(found.hits))
        return Observation(answer=answer, features=found.features, readings=texts)

    def stream(
        self,
        question: str,
        reader: Reader | None = None,
        sampling: Sampling | None = None,
        stopping: Stopping | None = None,
    ) -> Generator[str, None, Answer]:
        """The same answer as it comes: what is shown is never taken back.

        A quote comes at once, a model's words sentence by sentence. Where these fall short after
        some of them were shown, the documents' own words follow.

        Args:
            sampling: how a model's words are drawn; None takes the likeliest, as in the exam.
            stopping: tells when nobody wants the rest.
        """
        found = self._find(question, reader or Reader())
        answer = found.answer
        writer = self._writer(found)
        if writer is None:
            yield answer.answer
            return answer
        started = time.perf_counter()
        hits = found.hits[:NUM_PASSAGES]
        written = yield from writer.tell(question, hits, sampling, stopping)
        worded = _worded(answer, written, found.hits, time.perf_counter() - started)
        if not written.text:
            yield worded.answer
        elif written.shortfall:
            yield f"\n\n{answer.answer}"
            worded = _continued(worded, written)
        return worded

    def others(self, first: Answer, num: int, reader: Reader | None = None) -> list[Answer]:
        """Further answers to a question that was answered: each quotes what none before it does,
        and is as likely as it is that those before it are wrong and it is not.

        Args:
            num: how many at most; fewer are found where fewer passages match.
        """
        reader = reader or Reader()
        found = self._find(first.question, reader)
        used = {citation.passage for citation in first.citations}
        none_yet = 1 - first.confidence
        others: list[Answer] = []
        while len(others) < num:
            hits = [hit for hit in found.hits if hit.passage.id not in used]
            drafted = self._draft(first.question, hits, found.near, reader)
            if not drafted.citations:
                break
            used |= {citation.passage for citation in drafted.citations}
            values = features(first.question, hits, found.frequencies)
            chance = self.calibration.first.probability(values)
            others.append(
                replace(
                    found.answer,
                    answer=drafted.text,
                    draft=drafted.text,
                    kind="answer",
                    confidence=none_yet * chance,
                    citations=drafted.citations,
                    choices=(),
                )
            )
            none_yet *= 1 - chance
        return others

    def _find(self, question: str, reader: Reader) -> _Found:
        """What the documents tell, quoted, and whether it is to be said."""
        with _TURNS:
            return self._searched(question, reader)

    def _searched(self, question: str, reader: Reader) -> _Found:
        started = time.perf_counter()
        frequencies = self.index.of(reader).frequencies
        near = self.ranker.around(question, reader) if self.ranker else None
        hits = self.search(question, reader, near)
        searched = time.perf_counter()
        drafted = self._draft(question, hits, near, reader)
        values = features(question, hits, frequencies) if hits else None
        decision = decide(hits, values, self.calibration, self.deciding)
        done = time.perf_counter()
        answer = Answer(
            question=question,
            answer=_wording(question, drafted, decision, hits),
            draft=drafted.text,
            kind=decision.kind,
            confidence=decision.confidence,
            citations=drafted.citations,
            passages=tuple(hit.passage for hit in hits[:NUM_PASSAGES]),
            choices=decision.choices,
            version=self.version,
            timings_ms={
                "search": 1000 * (searched - started),
                "answer": 1000 * (done - searched),
                "total": 1000 * (done - started),
            },
        )
        return _Found(answer=answer, hits=hits, near=near, features=values, frequencies=frequencies)

    def _writer(self, found: _Found) -> Writer | None:
        """Who words an answer, if anybody does."""
        answer = found.answer
        writer = self.writers.get(language_of(answer.question)) if answer.kind == "answer" else None
        return writer and writer.weighed_by(found.frequencies)

    def quoting_only(self) -> Assistant:
        """The same, with nobody who words the answers."""
        return self.with_writers({})

    def strict(self) -> Assistant:
        """The same, where an engine that fails is an error and not a quoted answer."""
        writers = {language: writer.strict() for language, writer in self.writers.items()}
        return self.with_writers(writers)

    def with_writers(self, writers: Mapping[WrittenLanguage, Writer]) -> Assistant:
        """The same, with these to word the answers."""
        other = copy.copy(self)
        other.writers = dict(writers)
        return other

    def search(self, question: str, reader: Reader, near: Neighbours | None = None) -> list[Hit]:
        """What the question finds, best first.

        Args:
            near: what the version learned that is close to the question; None leaves it out.
        """
        frequencies = self.index.of(reader).frequencies
        hits = rank(question, self.index.search(question, reader), frequencies)
        return self.ranker.rank(near, hits, reader) if self.ranker and near else hits

    def _draft(
        self, question: str, hits: list[Hit], near: Neighbours | None, reader: Reader
    ) -> Draft:
        if self.choice is None or self.ranker is None or near is None:
            return draft(question, hits, self.index.of(reader).frequencies, self.quoting)
        return self.choice.of(self.ranker.field.of(reader)).draft(near, hits)


def _worded(quoted: Answer, written: Written, hits: list[Hit], seconds: float) -> Answer:
    """The answer in a model's words; as it was quoted, with the reason, where they fall short."""
    timings = quoted.timings_ms | {"write": 1000 * seconds}
    timings["total"] += 1000 * seconds
    if written.is_untold:
        # Silence is scored as silence: nothing is drafted.
        silent = _abstaining(quoted.question, hits)
        return replace(
            quoted, answer=silent, draft="", kind="abstain", citations=(), timings_ms=timings
        )
    if written.shortfall:
        return replace(quoted, shortfall=written.shortfall, timings_ms=timings)
    return replace(
        quoted,
        answer=written.text,
        draft=written.draft,
        citations=written.citations,
        is_written=True,
        timings_ms=timings,
    )


def _continued(quoted: Answer, written: Written) -> Answer:
    """The sentences that had been shown, each with its support, and then the quote."""
    return replace(
        quoted,
        answer=f"{written.text}\n\n{quoted.answer}",
        draft=f"{written.draft}\n\n{quoted.draft}",
        citations=tuple(dict.fromkeys((*written.citations, *quoted.citations))),
    )


def _wording(question: str, drafted: Draft, decision: Decision, hits: list[Hit]) -> str:
    """What is said: the draft, the choices, or that the documents do not tell."""
    if decision.kind == "answer":
        return drafted.text
    if decision.kind == "ask_back":
        asked = "您问的是哪一项？" if has_han(question) else "Which of these do you mean?"
        return "\n".join((asked, *(f"- {choice}" for choice in decision.choices)))
    return _abstaining(question, hits)


def _abstaining(question: str, hits: list[Hit]) -> str:
    """That the documents do not tell, and what comes nearest."""
    chinese = has_han(question)
    if not hits:
        return "文件中没有相关内容。" if chinese else "The documents say nothing about this."
    nearest = " › ".join((hits[0].passage.title, *hits[0].passage.headings[-1:]))
    if chinese:
        return f"文件中没有找到可靠的答案。最接近的是：{nearest}"
    return f"I found no reliable answer in the documents. The nearest is: {nearest}"

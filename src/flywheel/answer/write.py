"""Answers in a model's words, from the passages, each sentence checked before it is shown.

    prompt with the passages → the engine's words → sentence by sentence, what supports it → answer

A sentence that no passage supports is left out; where more are left out than stay, or the engine
fails, the documents are quoted instead (quote.py). Where the model says that the passages do not
tell, that is the answer. Which languages a version writes in is decided by the exam
(wheel/writing.py).
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from flywheel.answer.prompt import MARK, UNTOLD, Prompt, language_of, make_prompt, unmarked
from flywheel.answer.quote import sentences
from flywheel.answer.settings import WriteSettings
from flywheel.answer.support import Support, support
from flywheel.engine.protocol import Engine, Request, Sampling
from flywheel.engine.stopping import Stopping
from flywheel.errors import EngineError, FlywheelError
from flywheel.records import Citation, Hit
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import LATIN_WORD, fold, has_han

WrittenLanguage = Literal["en", "zh"]

_MARKS = re.compile(rf"(?:\s*{MARK.pattern})+")
LEFT_ALONE_SECONDS = 30
"""How long an engine that failed is not asked again."""

_THINKS = "<think>"
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_BEGUN = re.compile(r"\s*(?:[\[［【〔][\d\s,，、;；/-]*)?")
"""What may still become a mark."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One sentence that a model wrote."""

    text: str
    """Without the markers of citations, with the space before it."""
    citation: Citation | None
    """What supports it; None where nothing does, and it is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What came of letting a model write."""

    text: str
    """The answer, its sentences marked by the numbers of their citations; where it fell short, what
    had been shown by then."""
    draft: str
    """The same without the marks."""
    citations: tuple[Citation, ...]
    is_untold: bool = False
    """The model says that the passages do not tell."""
    shortfall: str = ""
    """Why the documents are to be quoted instead; empty where they need not."""


@dataclass(slots=True)
class _Rest:
    """How long an engine is left alone, whoever asks."""

    until: float = 0.0


class Writer:
    """A version's model, ready to word answers; its engine is opened when it is first asked."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        frequencies: Frequencies,
        settings: WriteSettings,
        *,
        is_strict: bool = False,
    ) -> None:
        """
        Args:
            engine: the open engine, whenever it is asked for.
            is_strict: an engine that fails is an error, and not a shortfall.
        """
        self._engine, self._frequencies, self._settings = engine, frequencies, settings
        self._is_strict = is_strict
        self._rest = _Rest()

    def strict(self) -> Writer:
        """The same, where an engine that fails is an error: it says nothing of the model."""
        return Writer(self._engine, self._frequencies, self._settings, is_strict=True)

    def weighed_by(self, frequencies: Frequencies) -> Writer:
        """The same, where words weigh otherwise: for a reader who may not see all."""
        other = copy.copy(self)
        other._frequencies = frequencies
        return other

    def write(self, question: str, hits: Sequence[Hit]) -> Written:
        """The whole answer.

        Raises:
            FlywheelError: the engine failed, and the writer is strict.
        """
        telling = self.tell(question, hits)
        while True:
            try:
                next(telling)
            except StopIteration as end:
                written: Written = end.value
                return written

    def tell(
        self,
        question: str,
        hits: Sequence[Hit],
        sampling: Sampling | None = None,
        stopping: Stopping | None = None,
    ) -> Generator[str, None, Written]:
        """The answer as it is written and checked: what is shown is never taken back.

        Where the engine fails it falls short, and is left alone for a while: nobody else should
        wait for it.

        Args:
            sampling: how to draw; None takes the likeliest words, as in the exam.
            stopping: tells when nobody wants the rest.

        Raises:
            FlywheelError: the engine failed, and the writer is strict.
        """
        answer = Collector(language_of(question))
        if time.monotonic() < self._rest.until:
            return answer.fallen_short("the model did not answer a moment ago")
        stopping = stopping or Stopping()
        try:
            with closing(self.stream(question, hits, sampling, stopping)) as sentences:
                for sentence in sentences:
                    if shown := answer.add(sentence):
                        yield shown
        except FlywheelError as error:
            if self._is_strict:
                raise
            if not stopping.is_set:
                self._rest.until = time.monotonic() + LEFT_ALONE_SECONDS
            return answer.fallen_short(str(error))
        return answer.written()

    def stream(
        self,
        question: str,
        hits: Sequence[Hit],
        sampling: Sampling | None = None,
        stopping: Stopping | None = None,
    ) -> Generator[Sentence]:
        """The sentences as they are written and checked. Closing it stops the engine.

        Raises:
            EngineError: the engine cannot be reached, refuses, or broke off.
        """
        prompt = make_prompt(
            question,
            [hit.passage for hit in hits],
            self._settings.context_tokens,
            self._engine().count_tokens,
        )
        yield from self.of_prompt(prompt, sampling, stopping)

    def of_prompt(
        self, prompt: Prompt, sampling: Sampling | None = None, stopping: Stopping | None = None
    ) -> Generator[Sentence]:
        """The same, of a prompt that was made before."""
        with closing(self._said(prompt, sampling, stopping or Stopping())) as said:
            for text in said:
                yield self._checked(text, prompt)

    def _said(
        self, prompt: Prompt, sampling: Sampling | None, stopping: Stopping
    ) -> Generator[str]:
        """What the model says, a sentence at a time; one that `max_tokens` cut is not said."""
        drawn = replace(sampling or Sampling(), max_tokens=self._settings.max_tokens, stop=())
        request = Request(messages=prompt.messages, sampling=drawn)
        waiting, finish = "", None
        with stopping.watching(self._engine().generate(request)) as said:
            for piece in said:
                waiting = _spoken(waiting + piece.text)
                finish = piece.finish or finish
                if waiting.lstrip().startswith(_THINKS):
                    continue
                *whole, waiting = _split(waiting)
                yield from whole
        if finish == "cancelled":
            raise EngineError("The engine was closed while it answered.")
        if waiting.strip() and finish != "length" and not waiting.lstrip().startswith(_THINKS):
            yield waiting

    def _checked(self, text: str, prompt: Prompt) -> Sentence:
        """A sentence with what supports it: of the passages that it names, else of all."""
        plain = unmarked(text)
        if _is_untold(plain):
            return Sentence(text=plain, citation=None)
        named = [int(each) for marks in MARK.findall(text) for each in re.findall(r"\d+", marks)]
        cited = [prompt.passages[n - 1] for n in named if 0 < n <= len(prompt.passages)]
        # Naming a passage that does not hold it, or does not exist, is a reason to leave it out.
        found: Support | None = None
        if cited or not named:
            found = support(plain, cited or prompt.passages, self._frequencies)
        return Sentence(text=plain, citation=found.citation if found else None)


class Collector:
    """Sentences → the answer; those without support are left out."""

    def __init__(self, language: WrittenLanguage) -> None:
        self._joint = "" if language == "zh" else " "
        self._text, self._draft = "", ""
        self._numbers: dict[Citation, int] = {}
        self._num_said, self._num_kept = 0, 0
        self._is_untold = False

    def add(self, sentence: Sentence) -> str:
        """Takes the next sentence. What of the answer may be shown now: with its mark, and what
        joins it to those before."""
        if not _says_something(sentence.text):
            return ""
        self._num_said += 1
        self._is_untold = self._is_untold or (self._num_said == 1 and _is_untold(sentence.text))
        if self._is_untold or sentence.citation is None:
            return ""
        self._num_kept += 1
        number = self._numbers.setdefault(sentence.citation, len(self._numbers) + 1)
        joint = self._between(sentence.text)
        shown = f"{joint}{sentence.text.strip()} [{number}]"
        self._text += shown
        self._draft += joint + sentence.text.strip()
        return shown

    def written(self) -> Written:
        """The whole answer, once there are no more sentences."""
        if self._is_untold:
            return Written(text="", draft="", citations=(), is_untold=True)
        if not self._num_said:
            return self.fallen_short("the model wrote nothing")
        if not self._num_kept:
            return self.fallen_short("no passage supports what the model wrote")
        num_left_out = self._num_said - self._num_kept
        if num_left_out > self._num_kept:
            return self.fallen_short(
                f"{num_left_out} of {self._num_said} sentences that the model wrote have no "
                "support in the passages"
            )
        return self._as_written()

    def fallen_short(self, reason: str) -> Written:
        """What there is so far, with why the documents are to be quoted."""
        return replace(self._as_written(), shortfall=reason)

    def _as_written(self) -> Written:
        return Written(text=self._text, draft=self._draft, citations=tuple(self._numbers))

    def _between(self, text: str) -> str:
        """A line break between two sentences stays."""
        if not self._text:
            return ""
        return "\n" if "\n" in text[: len(text) - len(text.lstrip())] else self._joint


def _spoken(text: str) -> str:
    """Without what a thinking model says to itself first, and without what steers a terminal."""
    return _THOUGHT.sub("", "".join(char for char in text if char == "\n" or char.isprintable()))


def _split(text: str) -> list[str]:
    """The sentences that are complete, then the rest, which more words may still belong to.

    The marks of a sentence's citations may stand behind its full stop: they belong to it.
    """
    cuts = [0]
    for span in sentences(text)[:-1]:
        marks = _MARKS.match(text, span.end)
        cut = marks.end() if marks else span.end
        if _BEGUN.fullmatch(text, cut):
            break
        if cut > cuts[-1]:
            cuts.append(cut)
    return [text[start:end] for start, end in pairwise([*cuts, len(text)])]


def _says_something(text: str) -> bool:
    return has_han(text) or LATIN_WORD.search(text) is not None


def _plain(text: str) -> str:
    return "".join(char for char in fold(text) if char.isalnum())


_UNTOLD: Mapping[str, str] = {language: _plain(text) for language, text in UNTOLD.items()}


def _is_untold(text: str) -> bool:
    return _plain(text) in _UNTOLD.values()

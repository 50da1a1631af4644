"""Questions put to a model as it will be asked, with the answer that it should have given.

The passages that answer stand among others that a search finds, at a random place; the answer cites
them by number. In some the right passages are left out, and the right answer is that nothing tells:
a model that always sees an answer learns to always give one (as in Zhang et al., "RAFT: Adapting
Language Model to Domain Specific RAG" (2024), section 3, where the golden document is left out of a
share of the questions).

The same for the same seed, question by question, whatever else is asked. Only passages of the
library are shown: who may be told what is settled by what is put into it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from flywheel.answer.prompt import UNTOLD, Prompt, harmless, make_prompt, marked, unmarked
from flywheel.answer.quote import Quoter, sentences
from flywheel.answer.settings import QuoteSettings
from flywheel.answer.support import support
from flywheel.build import questions
from flywheel.build.overlap import Overlap
from flywheel.records import (
    Conversation,
    ConversationPair,
    Example,
    ExamQuestion,
    Hit,
    Message,
    Passage,
    Preference,
)
from flywheel.search.frequencies import Frequencies

UNTOLD_SHARE = 1 / 6
"""Of the questions that something answers: those from which it is left out."""
UNANSWERABLE_SHARE = 0.1
"""Made questions that nothing answers, beside those that something does. With the share above a
quarter of what a model is asked has no answer, as when thresholds are fitted."""
NUM_OTHERS = 9
"""Passages beside the right one at most, as serving finds ten."""
NUM_SEARCHING = 2
"""Questions that are searched at once: the index works in threads of its own."""
QUOTED_WORDS = 60.0
"""Of the answer that is quoted from a passage which users only named."""

IN_EXAM = "shares its wording with the exam"
NOT_GIVEN = "its passages are not among those that may be learned from"
NO_ROOM = "what answers it does not fit into the prompt"
NO_ANSWER = "nothing tells how to answer it"
SAME_REPLIES = "both answers are the same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """What questions are put to a model with: as in serving."""

    passages: tuple[Passage, ...]
    search: Callable[[str], list[Hit]]
    """What a question finds, best first; may find other passages, which are passed over."""
    frequencies: Frequencies
    context_tokens: int
    count_tokens: Callable[[str], int]
    exam: Overlap = field(default_factory=Overlap)
    seed: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A question that no exercise was made of, or an item that is not learned from, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Exercises:
    """What a model is to learn from questions, and what it is not."""

    conversations: tuple[Conversation, ...] = ()
    pairs: tuple[ConversationPair, ...] = ()
    dropped: tuple[Dropped, ...] = ()


def made(library: Library, count: int, without: frozenset[str] = frozenset()) -> Exercises:
    """Exercises of at most `count` questions that the passages answer, and some that none does.

    The answer is the evidence, word for word.

    Args:
        without: the ids of documents that nothing is asked about.
    """
    asked_about = [each for each in library.passages if each.document not in without]
    num_unanswerable = round(count * UNANSWERABLE_SHARE)
    every = [
        *questions.make_questions(asked_about, count, library.seed),
        *questions.make_unanswerable(library.passages, num_unanswerable, library.seed),
    ]
    return _gathered(every, _Maker(library).of_question, library)


def taught(library: Library, examples: Sequence[Example]) -> Exercises:
    """Exercises of what users corrected and named: with their answer, else with a quote."""
    return _gathered(examples, _Maker(library).of_example, library)


def preferred(library: Library, preferences: Sequence[Preference]) -> Exercises:
    """Users' choices between two answers, each cited as far as what is found supports it."""
    return _gathered(preferences, _Maker(library).of_preference, library)


class _Drop(Exception):
    """No exercise, for this reason."""


Item = TypeVar("Item", ExamQuestion, Example, Preference)


def _gathered(
    items: Sequence[Item],
    make: Callable[[Item, list[Hit]], Conversation | ConversationPair],
    library: Library,
) -> Exercises:
    conversations: list[Conversation] = []
    pairs: list[ConversationPair] = []
    dropped: list[Dropped] = []
    with ThreadPoolExecutor(NUM_SEARCHING) as searching:
        found = searching.map(library.search, [each.question for each in items])
        for item, hits in zip(items, found, strict=True):
            try:
                exercise = make(item, hits)
            except _Drop as reason:
                dropped.append(Dropped(id=item.id, reason=str(reason)))
            else:
                if isinstance(exercise, Conversation):
                    conversations.append(exercise)
                else:
                    pairs.append(exercise)
    return Exercises(conversations=tuple(conversations), pairs=tuple(pairs), dropped=tuple(dropped))


class _Maker:
    """Makes exercises from the passages of one library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._passages = {each.id: each for each in library.passages}

    def of_question(self, item: ExamQuestion, hits: list[Hit]) -> Conversation:
        """A made question, with its evidence or the word that nothing tells as the answer."""
        self._check(item.question)
        others = self._others(hits)
        if not item.answerable:
            return self._untold(item.question, others)
        (evidence,) = item.evidence
        gold = next((each for each in others if evidence in each.text), None) or next(
            each for each in self._library.passages if evidence in each.text
        )
        others = [each for each in others if evidence not in each.text]
        rng = self._rng(item.question)
        if rng.random() < UNTOLD_SHARE:
            return self._untold(item.question, others)
        for prompt in self._prompts(item.question, [gold], others, rng):
            shown = _shown(prompt)
            numbers = [n for n, each in enumerate(shown, start=1) if evidence in each.text]
            if numbers:
                answer = _each_sentence(harmless(evidence), partial(_always, numbers[0]))
                return _conversation(prompt, answer)
        raise _Drop(NO_ROOM)

    def of_example(self, item: Example, hits: list[Hit]) -> Conversation:
        """A correction with its ideal answer; what was only named as right, with a quote."""
        self._check(item.question, item.answer)
        gold = [self._passages[id] for id in item.passages if id in self._passages]
        if not gold:
            raise _Drop(NOT_GIVEN if item.passages else NO_ANSWER)
        answer = harmless(unmarked(item.answer or self._quote(item.question, gold[0]))).strip()
        known = {each.text for each in gold}
        others = [each for each in self._others(hits) if each.text not in known]
        rng = self._rng(item.question)
        if rng.random() < UNTOLD_SHARE and not self._tells(others, item.question, answer):
            return self._untold(item.question, others, item.weight)
        for prompt in self._prompts(item.question, gold, others, rng):
            cited, num_cited = self._cited(answer, _shown(prompt), gold)
            if num_cited or _holds_whole(prompt, gold):
                return _conversation(prompt, cited, item.weight)
        raise _Drop(NO_ROOM)

    def of_preference(self, item: Preference, hits: list[Hit]) -> ConversationPair:
        """Both answers to the prompt that serving would make."""
        self._check(item.question, item.chosen, item.rejected)
        prompt = self._prompt(item.question, self._others(hits))
        chosen, rejected = (
            self._cited(harmless(unmarked(each)).strip(), _shown(prompt))[0]
            for each in (item.chosen, item.rejected)
        )
        if not chosen or not rejected:
            raise _Drop(NO_ANSWER)
        if chosen == rejected:
            raise _Drop(SAME_REPLIES)
        return ConversationPair(
            prompt=prompt.messages, chosen=chosen, rejected=rejected, weight=item.weight
        )

    def _check(self, *texts: str) -> None:
        if self._library.exam.holds(*texts):
            raise _Drop(IN_EXAM)

    def _rng(self, question: str) -> random.Random:
        return random.Random(f"{self._library.seed} {question}")

    def _others(self, hits: Iterable[Hit]) -> list[Passage]:
        given = (self._passages.get(hit.passage.id) for hit in hits)
        return [each for each in given if each][: NUM_OTHERS + 1]

    def _prompt(self, question: str, passages: Sequence[Passage]) -> Prompt:
        library = self._library
        return make_prompt(question, passages, library.context_tokens, library.count_tokens)

    def _prompts(
        self, question: str, gold: list[Passage], others: list[Passage], rng: random.Random
    ) -> Iterator[Prompt]:
        """With the right passages at random places among those that have room; else first."""
        others = others[:NUM_OTHERS]
        room = len(self._prompt(question, others).passages)
        last = room if room == len(others) else max(0, room - len(gold))
        passages = list(others)
        for each in gold:
            passages.insert(rng.randint(0, last), each)
        yield self._prompt(question, passages)
        yield self._prompt(question, [*gold, *others])

    def _untold(self, question: str, others: list[Passage], weight: float = 1.0) -> Conversation:
        prompt = self._prompt(question, others[:NUM_OTHERS])
        return _conversation(prompt, UNTOLD[prompt.language], weight)

    def _quote(self, question: str, passage: Passage) -> str:
        quoter = Quoter(question, self._library.frequencies, QuoteSettings())
        return "\n".join(each.quote for each in quoter.quote(passage, QUOTED_WORDS).citations)

    def _tells(self, others: list[Passage], question: str, answer: str) -> bool:
        """Whether the other passages say as well all that the answer says."""
        _, num_cited = self._cited(answer, _shown(self._prompt(question, others[:NUM_OTHERS])))
        return num_cited == len(sentences(answer))

    def _cited(
        self, answer: str, shown: Sequence[Passage], among: Sequence[Passage] | None = None
    ) -> tuple[str, int]:
        """The answer with each sentence cited that a passage supports, and how many are.

        Args:
            shown: what the prompt holds, in its order.
            among: those of them that may be cited; None for all.
        """
        ids = {each.id for each in (shown if among is None else among)}
        citable = [each for each in shown if each.id in ids]
        places = {each.id: number for number, each in enumerate(shown, start=1)}
        numbers: list[int] = []

        def number(sentence: str) -> int:
            found = support(sentence, citable, self._library.frequencies)
            numbers.append(places[found.citation.passage] if found else 0)
            return numbers[-1]

        return _each_sentence(answer, number), sum(each > 0 for each in numbers)


def _conversation(prompt: Prompt, answer: str, weight: float = 1.0) -> Conversation:
    reply = Message(role="assistant", content=answer)
    return Conversation(messages=(*prompt.messages, reply), weight=weight)


def _shown(prompt: Prompt) -> list[Passage]:
    """The passages as far as the prompt shows them."""
    pairs = zip(prompt.passages, prompt.shown, strict=True)
    return [replace(passage, text=text) for passage, text in pairs]


def _holds_whole(prompt: Prompt, gold: Sequence[Passage]) -> bool:
    whole = {each.id for each in _shown(prompt) if each in prompt.passages}
    return all(each.id in whole for each in gold)


def _always(number: int, _: str) -> int:
    return number


def _each_sentence(text: str, number: Callable[[str], int]) -> str:
    """The text with the number of its passage behind every sentence that has one."""
    parts: list[str] = []
    end = 0
    for span in sentences(text):
        sentence = text[span.start : span.end]
        of = number(sentence)
        parts += text[end : span.start], marked(sentence, [of]) if of else sentence
        end = span.end
    return "".join(parts) + text[end:]

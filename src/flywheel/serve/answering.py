"""An answer for a caller: how things stand, corrections, cache, the version, and the interaction.

    may it be asked? → corrected? → known from the cache? → the version's answer → may it be said?
    → kept → told

Runs on a thread, as a generator of what may be shown already. What it is shown as is openai.py's.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from flywheel.answer.prompt import language_of
from flywheel.engine.stopping import Stopping
from flywheel.moderation.moderator import Verdict
from flywheel.records import Answer
from flywheel.serve.cache import Place
from flywheel.wheel import answering
from flywheel.wheel.answering import Question, Standing

if TYPE_CHECKING:
    from flywheel.serve.service import Service

Cached = Literal["", "exact", "paraphrase"]

_REFUSED = {
    "en": "This is not answered here.",
    "zh": "此问题不予回答。",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a caller was told."""

    candidates: tuple[Answer, ...]
    version: int
    interaction: str = ""
    """What it is kept under; empty where nothing is kept."""
    cached: Cached = ""
    """Whether the answer was known, to the same question or to a paraphrase of it."""
    categories: tuple[str, ...] = ()
    """What moderation found in the question and the answers."""
    is_refused: bool = False
    """Moderation did not let the question, or its answer, through."""


def tell(
    service: Service,
    question: Question,
    id: str,
    num: int,
    stopping: Stopping,
    beside: Sequence[int] = (),
) -> Generator[str, None, Told]:
    """The answer as it comes, and what it came to once it is kept under `id`.

    Args:
        num: how many candidates are wanted; the first is the one that comes piece by piece.
        beside: the versions whose answers are further candidates, whatever the first one is.

    Raises:
        FlywheelError: there is no version, or not one of those; the store does not answer.
    """
    stands = answering.standing(service.workspace, question)
    others = [_standing_of(service, question, number) for number in beside]
    asked = service.moderation.check(question.text, "input")
    if asked.action == "refuse":
        service.metrics.answers.labels("refused", "question").inc()
        return (yield from _refusal(question, stands, asked))
    given = yield from _looked_after(
        service, _compared(service, question, stands, num, stopping, others)
    )
    told = replace(given, categories=tuple(sorted({*_names(asked), *given.categories})))
    if told.is_refused:
        service.metrics.answers.labels("refused", "answer").inc()
        rest = yield from _refusal(question, stands, asked)
        return replace(rest, categories=told.categories)
    if not stopping.is_set:
        started = time.perf_counter()
        kept = answering.keep(
            service.workspace, question, told.candidates, told.version, id, stands.num_erasures
        )
        told = replace(told, interaction=kept)
        service.metrics.step.labels("store").observe(time.perf_counter() - started)
    _count(service, told)
    return told


def _standing_of(service: Service, question: Question, number: int) -> tuple[Question, Standing]:
    asked = replace(question, version=number)
    return asked, answering.standing(service.workspace, asked)


def _compared(
    service: Service,
    question: Question,
    stands: Standing,
    num: int,
    stopping: Stopping,
    others: Sequence[tuple[Question, Standing]],
) -> Generator[str, None, Told]:
    """The answer, and behind its own candidates what other versions answer."""
    told = yield from _given(service, question, stands, num, stopping)
    beside = [
        answering.drained(_given(service, asked, its_own, 1, stopping)).candidates[0]
        for asked, its_own in others
        if not stopping.is_set
    ]
    return replace(told, candidates=(*told.candidates, *beside))


def _looked_after(
    service: Service, given: Generator[str, None, Told]
) -> Generator[str, None, Told]:
    """The answer as far as moderation lets it through, personal data masked where it is to be."""
    moderation, shown = service.moderation, ""
    while True:
        try:
            piece = next(given)
        except StopIteration as end:
            told: Told = end.value
            break
        # What a word list finds may reach over pieces.
        shown += piece
        if moderation.check(shown, "output").action == "refuse":
            given.close()
            return Told(candidates=(), version=0, is_refused=True)
        yield piece
    candidates: list[Answer] = []
    categories: set[str] = set()
    for each in told.candidates:
        verdict = moderation.check(each.answer, "output")
        categories |= _names(verdict)
        if verdict.action != "refuse":
            candidates.append(each)
    return replace(told, candidates=tuple(candidates), categories=tuple(categories))


def _names(verdict: Verdict) -> set[str]:
    return {name for name, is_found in verdict.categories.items() if is_found}


def _refusal(question: Question, stands: Standing, asked: Verdict) -> Generator[str, None, Told]:
    """Neither the question nor the answer is kept: nothing should learn from them."""
    text = _REFUSED[language_of(question.text)]
    yield text
    answer = Answer(
        question=question.text,
        answer=text,
        draft="",
        kind="abstain",
        confidence=0.0,
        citations=(),
        passages=(),
        version=stands.version.number,
    )
    return Told(
        candidates=(answer,),
        version=stands.version.number,
        categories=tuple(sorted(_names(asked))),
        is_refused=True,
    )


def _given(
    service: Service, question: Question, stands: Standing, num: int, stopping: Stopping
) -> Generator[str, None, Told]:
    workspace = service.workspace
    version = stands.version.number
    if corrected := answering.corrected(workspace, question, stands):
        # A user's words, and not the documents' own.
        first = service.moderation.mask_personal(corrected)
        yield first.answer
        others = _others(service, question, stands, first, num, stopping)
        return Told(candidates=(first, *others), version=version)
    place = _place(question, stands, num)
    known = service.cache.find(question.text, place) if place else None
    if place:
        service.metrics.cache.labels(known.how if known else "miss").inc()
    if known:
        yield known.candidates[0].answer
        return Told(candidates=known.candidates, version=version, cached=known.how)
    first = yield from answering.stream(workspace, question, stands, stopping)
    candidates = (first, *_others(service, question, stands, first, num, stopping))
    if place and not first.shortfall and not stopping.is_set:
        service.cache.put(question.text, place, candidates)
    return Told(candidates=candidates, version=version)


def _others(
    service: Service,
    question: Question,
    stands: Standing,
    first: Answer,
    num: int,
    stopping: Stopping,
) -> Sequence[Answer]:
    """Drawn again where the first was drawn, and then from other passages. Where the first is no
    answer there are no others."""
    if num <= 1 or first.kind != "answer":
        return ()
    drawn: list[Answer] = []
    if first.is_written:
        drawn = _drawn(service, question, stands, first, num - 1, stopping)
    num -= 1 + len(drawn)
    if num <= 0:
        return drawn
    return [*drawn, *answering.others(service.workspace, question, stands, first, num)]


def _drawn(
    service: Service,
    question: Question,
    stands: Standing,
    first: Answer,
    num: int,
    stopping: Stopping,
) -> list[Answer]:
    """What a model says where its words are drawn again, as far as it is something else."""
    sampling = question.sampling
    if sampling is None or sampling.temperature <= 0:
        return []
    found = {first.answer: first}
    for place in range(1, num + 1):
        seed = None if sampling.seed is None else sampling.seed + place
        again = replace(question, sampling=replace(sampling, seed=seed))
        if stopping.is_set:
            break
        drawn = answering.drained(answering.stream(service.workspace, again, stands, stopping))
        if drawn.is_written:
            found.setdefault(drawn.answer, drawn)
    return [each for each in found.values() if each is not first]


def _place(question: Question, stands: Standing, num: int) -> Place | None:
    """Where the answer holds; None where the next one to the same question may be another."""
    sampling = question.sampling
    if sampling and sampling.temperature > 0:
        return None
    return Place(
        version=stands.version.number,
        reader=stands.reader,
        sampling=(question.version is None,),
        num_candidates=num,
        num_erasures=stands.num_erasures,
    )


def _count(service: Service, told: Told) -> None:
    first, metrics = told.candidates[0], service.metrics
    origin = "correction" if first.correction else "model" if first.is_written else "quote"
    metrics.answers.labels(first.kind, origin).inc()
    if told.cached:
        metrics.saved.inc(first.timings_ms.get("total", 0.0) / 1000)
        return
    for step, milliseconds in first.timings_ms.items():
        if step != "total":
            metrics.step.labels(step).observe(milliseconds / 1000)

"""An answer for a caller: how things stand, corrections, cache, the version, and the interaction.

    moderated? → corrected? → known from the cache? → the version's answer → kept → told

Runs on a thread, as a generator of what may be shown already. What it is shown as is openai.py's.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from flywheel.engine.stopping import Stopping
from flywheel.records import Answer
from flywheel.serve.cache import Place
from flywheel.wheel import answering
from flywheel.wheel.answering import Question, Standing

if TYPE_CHECKING:
    from flywheel.serve.service import Service

Cached = Literal["", "exact", "paraphrase"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a caller was told."""

    candidates: tuple[Answer, ...]
    version: int
    cached: Cached = ""
    """Whether the answer was known, to the same question or to a paraphrase of it."""


def tell(
    service: Service, question: Question, id: str, num: int, stopping: Stopping
) -> Generator[str, None, Told]:
    """The answer as it comes, and what it came to once it is kept under `id`.

    Args:
        num: how many candidates are wanted; the first is the one that comes piece by piece.

    Raises:
        FlywheelError: there is no version, the store does not answer.
    """
    stands = answering.standing(service.workspace, question)
    given = yield from _given(service, question, stands, num, stopping)
    if not stopping.is_set:
        started = time.perf_counter()
        answering.keep(service.workspace, question, given.candidates, given.version, id)
        service.metrics.step.labels("store").observe(time.perf_counter() - started)
    _count(service, given)
    return given


def _given(
    service: Service, question: Question, stands: Standing, num: int, stopping: Stopping
) -> Generator[str, None, Told]:
    workspace = service.workspace
    version = stands.version.number
    if first := answering.corrected(workspace, question, stands):
        yield first.answer
        others = _others(service, question, stands, first, num)
        return Told(candidates=(first, *others), version=version)
    place = _place(question, stands, num)
    known = service.cache.find(question.text, place) if place else None
    if known:
        candidates = tuple(replace(each, question=question.text) for each in known.candidates)
        yield candidates[0].answer
        return Told(candidates=candidates, version=version, cached=known.how)
    first = yield from answering.stream(workspace, question, stands, stopping)
    candidates = (first, *_others(service, question, stands, first, num))
    if place and not first.shortfall and not stopping.is_set:
        service.cache.put(question.text, place, candidates)
    return Told(candidates=candidates, version=version)


def _others(
    service: Service, question: Question, stands: Standing, first: Answer, num: int
) -> Sequence[Answer]:
    """Where the first is no answer there are no others."""
    if num <= 1 or first.kind != "answer":
        return ()
    return answering.others(service.workspace, question, stands, first, num - 1)


def _place(question: Question, stands: Standing, num: int) -> Place | None:
    """Where the answer holds; None where the next one to the same question may be another."""
    sampling = question.sampling
    if sampling and sampling.temperature > 0:
        return None
    return Place(
        version=stands.version.number,
        reader=stands.reader,
        sampling=(stands.num_erasures, question.version is None),
        num_candidates=num,
    )


def _count(service: Service, told: Told) -> None:
    first, metrics = told.candidates[0], service.metrics
    origin = "correction" if first.correction else "model" if first.is_written else "quote"
    metrics.answers.labels(first.kind, origin).inc()
    if told.cached:
        metrics.cache.labels(told.cached).inc()
        metrics.saved.inc(first.timings_ms.get("total", 0.0) / 1000)
        return
    metrics.cache.labels("miss").inc()
    for step, milliseconds in first.timings_ms.items():
        if step != "total":
            metrics.step.labels(step).observe(milliseconds / 1000)

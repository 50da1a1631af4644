"""The stages of a turn: each an artifact under the hash of all that it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flywheel.answer.assistant import Assistant
from flywheel.answer.decide import Calibration
from flywheel.build import questions
from flywheel.build import ranker as ranker_fitting
from flywheel.build import thresholds as threshold_fitting
from flywheel.build.thresholds import Outcome
from flywheel.errors import WorkspaceError
from flywheel.evaluate import metrics
from flywheel.records import Example, ExamQuestion, from_json, to_json
from flywheel.search import index as search_index
from flywheel.search.index import PassageIndex, Reader, build_index
from flywheel.store import corrections, documents, interactions
from flywheel.wheel import growth
from flywheel.wheel.workspace import Workspace

NUM_TRAINING_QUESTIONS = 300
TRAINING_SEED = 1
UNANSWERABLE_SHARE = 0.25

Progress = Callable[[str, int, int], None]
"""A stage's name, how many of its items are done, and how many there are."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnable:
    """What a version may learn from."""

    examples: tuple[Example, ...]
    num_examined: int
    """Left out, since the exam asks nearly the same."""
    num_between: int = 0
    """Left out, since they would join an exam group to a training group."""

    @property
    def digest(self) -> str:
        """A hash of the examples, whatever the index."""
        lines = [to_json(each) for each in self.examples]
        return hashlib.sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()[:32]


def index(workspace: Workspace, progress: Progress) -> str:
    """The index of every passage that is kept. Returns the artifact's key."""
    with workspace.database.read() as conn:
        digest = documents.passages_digest(conn)
        num_passages = documents.num_passages(conn)
        if num_passages == 0:
            raise WorkspaceError("Nothing is staged. Add documents first: `flywheel add FOLDER`.")
        embedder = workspace.embedder
        inputs = {"passages": digest, "embedding": embedder.fingerprint if embedder else ""}
        key = workspace.artifacts.key("index", search_index.CODE_VERSION, inputs)

        def make(folder: Path) -> None:
            passages = documents.iterate_passages(conn)
            build_index(folder, _counted(passages, num_passages, "index", progress), embedder)

        workspace.artifacts.build("index", key, make)
    return key


def opened(workspace: Workspace, index_key: str) -> PassageIndex:
    """An index by its artifact's key."""
    place = workspace.artifacts.find("index", index_key)
    assert place is not None, "the stage before has built it"
    return PassageIndex(place, workspace.embedder)


def learnable(workspace: Workspace, exam: Sequence[ExamQuestion]) -> Learnable:
    """The corrections to learn from: verified, undisputed, and no copies of exam questions."""
    with workspace.database.read() as conn:
        every = [each for each in corrections.in_force(conn) if each.verified]
        held_out = [*(each.question for each in exam), *growth.held_out(conn)]
        asked = [each.question for each in interactions.list_questions(conn)]
    undisputed = [each for each in every if not each.disputed and each.passages]
    places = growth.places([each.question for each in undisputed], held_out, asked)
    learned = tuple(
        Example(
            id=each.id,
            question=each.question,
            answer=each.answer,
            passages=each.passages,
            group=str(place.group),
            user=each.user,
            access=each.access,
        )
        for each, place in zip(undisputed, places, strict=True)
        if place.part == "training"
    )
    parts = [place.part for place in places]
    return Learnable(
        examples=learned,
        num_examined=parts.count("exam"),
        num_between=parts.count("neither"),
    )


def ranker(workspace: Workspace, index_key: str, learnable: Learnable, progress: Progress) -> str:
    """The order learned from corrections. Returns the artifact's key; empty with too few."""
    if len(learnable.examples) < ranker_fitting.FEWEST:
        return ""
    inputs = {"index": index_key, "learned": learnable.digest}
    key = workspace.artifacts.key("ranker", ranker_fitting.CODE_VERSION, inputs)

    def make(folder: Path) -> None:
        index = opened(workspace, index_key)
        assistant = Assistant(index)
        everyone = Reader(access=tuple(sorted(index.labels())))
        fitted = ranker_fitting.fit(
            learnable.examples,
            index,
            lambda question: assistant.search(question, everyone),
            progress=lambda done, of: progress("ranker", done, of),
        )
        if fitted:
            fitted.save(folder)

    folder = workspace.artifacts.build("ranker", key, make)
    return key if (folder / "trees.npz").exists() else ""


def thresholds(
    workspace: Workspace, index_key: str, ranker_key: str, progress: Progress
) -> Calibration:
    """When to answer, fitted on questions made from the passages; never on the exam."""
    settings = workspace.settings
    inputs = {
        "index": index_key,
        "ranker": ranker_key,
        "quote": settings.quote.model_dump(mode="json"),
        "count": NUM_TRAINING_QUESTIONS,
    }
    key = workspace.artifacts.key("thresholds", threshold_fitting.CODE_VERSION, inputs)

    def make(folder: Path) -> None:
        index = opened(workspace, index_key)
        training = training_questions(index)
        ranked = workspace.ranker(ranker_key, index)
        assistant = Assistant(index, quoting=settings.quote, ranker=ranked)
        asked = _counted(training, len(training), "thresholds", progress)
        outcomes = [each for question in asked if (each := _outcome(assistant, question))]
        fitted = to_json(threshold_fitting.fit(outcomes))
        (folder / "calibration.json").write_text(json.dumps(fitted, indent=1), encoding="utf-8")

    folder = workspace.artifacts.build("thresholds", key, make)
    return from_json(
        Calibration, json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    )


def training_questions(index: PassageIndex) -> list[ExamQuestion]:
    """Synthetic questions to fit on; an exam never holds one of them."""
    return make_questions(index, NUM_TRAINING_QUESTIONS, TRAINING_SEED)


def make_questions(index: PassageIndex, count: int, seed: int) -> list[ExamQuestion]:
    """Questions made from an index's passages, a part of them not answered by any."""
    num_unanswerable = int(count * UNANSWERABLE_SHARE)
    answerable = questions.make_questions(index.passages(), count - num_unanswerable, seed)
    return [
        *answerable,
        *questions.make_unanswerable(index.passages(), num_unanswerable, seed),
    ]


def _outcome(assistant: Assistant, question: ExamQuestion) -> Outcome | None:
    """What the search told about a question whose evidence is known."""
    seen = assistant.observe(question.question)
    if seen.features is None:
        return None
    return Outcome(
        features=seen.features,
        first=bool(metrics.hits(question, seen.answer)),
        any_reading=any(
            metrics.is_about(text, piece) for text in seen.readings for piece in question.evidence
        ),
    )


def _counted(items: Iterable[T], total: int, stage: str, progress: Progress) -> Iterator[T]:
    for done, item in enumerate(items, start=1):
        yield item
        progress(stage, done, total)

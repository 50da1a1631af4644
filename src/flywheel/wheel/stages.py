"""The stages of a turn: each an artifact under the hash of all that it depends on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from flywheel.answer.assistant import Assistant
from flywheel.answer.decide import Calibration
from flywheel.build import questions
from flywheel.build import thresholds as threshold_fitting
from flywheel.build.thresholds import Outcome
from flywheel.errors import WorkspaceError
from flywheel.evaluate import metrics
from flywheel.records import ExamQuestion, from_json, to_json
from flywheel.search import index as search_index
from flywheel.search.index import PassageIndex, build_index
from flywheel.store import documents
from flywheel.wheel.workspace import Workspace

NUM_TRAINING_QUESTIONS = 300
TRAINING_SEED = 1
UNANSWERABLE_SHARE = 0.25

Progress = Callable[[str, int, int], None]
"""A stage's name, how many of its items are done, and how many there are."""

T = TypeVar("T")


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


def thresholds(workspace: Workspace, index_key: str, progress: Progress) -> Calibration:
    """When to answer, fitted on questions made from the passages; never on the exam."""
    settings = workspace.settings
    inputs = {
        "index": index_key,
        "quote": settings.quote.model_dump(mode="json"),
        "count": NUM_TRAINING_QUESTIONS,
    }
    key = workspace.artifacts.key("thresholds", threshold_fitting.CODE_VERSION, inputs)

    def make(folder: Path) -> None:
        place = workspace.artifacts.find("index", index_key)
        assert place is not None
        opened = PassageIndex(place, workspace.embedder)
        training = training_questions(opened)
        assistant = Assistant(opened, quoting=settings.quote)
        asked = _counted(training, len(training), "thresholds", progress)
        outcomes = [each for question in asked if (each := _outcome(assistant, question))]
        fitted = to_json(threshold_fitting.fit(outcomes))
        (folder / "calibration.json").write_text(json.dumps(fitted, indent=1), encoding="utf-8")

    folder = workspace.artifacts.build("thresholds", key, make)
    return from_json(
        Calibration, json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    )


def training_questions(opened: PassageIndex) -> list[ExamQuestion]:
    """Synthetic questions to fit on; an exam never holds one of them."""
    return make_questions(opened, NUM_TRAINING_QUESTIONS, TRAINING_SEED)


def make_questions(opened: PassageIndex, count: int, seed: int) -> list[ExamQuestion]:
    """Questions made from an index's passages, a part of them not answered by any."""
    num_unanswerable = int(count * UNANSWERABLE_SHARE)
    answerable = questions.make_questions(opened.passages(), count - num_unanswerable, seed)
    return [
        *answerable,
        *questions.make_unanswerable(opened.passages(), num_unanswerable, seed),
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

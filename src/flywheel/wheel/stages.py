"""The stages of a turn: each an artifact under the hash of all that it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flywheel.answer.assistant import Assistant
from flywheel.answer.decide import Calibration
from flywheel.answer.settings import QuoteSettings
from flywheel.build import questions
from flywheel.build import quoting as quoting_fitting
from flywheel.build import ranker as ranker_fitting
from flywheel.build import thresholds as threshold_fitting
from flywheel.build.thresholds import UNANSWERABLE_SHARE, Outcome
from flywheel.errors import WorkspaceError
from flywheel.evaluate import metrics
from flywheel.evaluate.text import coverage, rouge_l
from flywheel.records import Example, ExamQuestion, Passage, Preference, from_json, to_json
from flywheel.search.index import PassageIndex, build_index
from flywheel.store import documents, interactions
from flywheel.wheel import growth, learning
from flywheel.wheel.workspace import CHOICE, Workspace

if TYPE_CHECKING:
    from flywheel.search.embed import Embedder

HELD_OUT = {
    "exam": "the exam asks nearly the same",
    "neither": "between the exam's questions and those learned from",
}
"""Why what stands beside the exam teaches nothing."""

OUTCOMES = "outcomes.json"
"""What thresholds are fitted on, beside a ranker: features and whether it was right; no words."""

NUM_TRAINING_QUESTIONS = 300
TRAINING_SEED = 1

Progress = Callable[[str, int, int], None]
"""A stage's name, how many of its items are done, and how many there are."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnable:
    """What a version may learn from."""

    examples: tuple[Example, ...]
    left_out: Mapping[str, str]
    """The acts that teach nothing, each with its reason."""
    preferences: tuple[Preference, ...] = ()
    """What a model learns from besides; the order of passages does not."""

    @property
    def feedback(self) -> frozenset[str]:
        """The ids of the acts that taught it."""
        return frozenset(each.id for each in self.examples)

    @property
    def digest(self) -> str:
        """A hash of all of it but the groups: a question that somebody asks may join two of them,
        and teaches nothing."""
        values = [to_json(replace(each, group="")) for each in self.examples]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]

    def only(self, ids: Collection[str]) -> Learnable:
        """What these acts teach; preferences stay as they are."""
        return replace(self, examples=tuple(each for each in self.examples if each.id in ids))


def index(workspace: Workspace, progress: Progress) -> str:
    """The index of every passage that is kept. Returns the artifact's key."""
    with workspace.database.read() as conn:
        digest = documents.passages_digest(conn)
        num_passages = documents.num_passages(conn)
        if num_passages == 0:
            raise WorkspaceError("Nothing is staged. Add documents first: `flywheel add FOLDER`.")
        passages = documents.iterate_passages(conn)
        return _index_of(workspace, digest, _counted(passages, num_passages, "index", progress))


def index_without(
    workspace: Workspace, index_key: str, gone: Collection[str], progress: Progress
) -> str:
    """An index anew, without some documents. Returns the artifact's key; empty if none is left.

    From the index itself: what was staged since is for a turn.
    """
    # All at once: Lance stands still where one table is read while it writes another from that.
    every = opened(workspace, index_key).passages()
    left = [each for each in every if each.document not in gone]
    if not left:
        return ""
    counted = _counted(left, len(left), "index", progress)
    return _index_of(workspace, documents.digest_of(left), counted)


def _index_of(workspace: Workspace, digest: str, passages: Iterable[Passage]) -> str:
    key, embedder = workspace.index_key(digest), workspace.embedder
    workspace.artifacts.build("index", key, lambda folder: _build(folder, passages, embedder))
    return key


def _build(folder: Path, passages: Iterable[Passage], embedder: Embedder | None) -> None:
    build_index(folder, passages, embedder)


def opened(workspace: Workspace, index_key: str) -> PassageIndex:
    """An index by its artifact's key."""
    place = workspace.artifacts.find("index", index_key)
    assert place is not None, "the stage before has built it"
    return PassageIndex(place, workspace.embedder)


def learnable(workspace: Workspace, exam: Sequence[ExamQuestion]) -> Learnable:
    """What feedback teaches, but for copies of exam questions."""
    taught = learning.learned(workspace)
    with workspace.database.read() as conn:
        held_out = [*(each.question for each in exam), *growth.held_out(conn)]
        asked = [each.question for each in interactions.list_questions(conn)]
    of_examples = [each.question for each in taught.examples]
    of_preferences = [each.question for each in taught.preferences]
    both = growth.places([*of_examples, *of_preferences], held_out, asked)
    places, others = both[: len(taught.examples)], both[len(taught.examples) :]
    first_of: dict[int, str] = {}
    for each, place in zip(taught.examples, places, strict=True):
        first_of.setdefault(place.group, each.id)
    return Learnable(
        examples=tuple(
            replace(each, group=first_of[place.group])
            for each, place in zip(taught.examples, places, strict=True)
            if place.part == "training"
        ),
        left_out={
            each.id: HELD_OUT[place.part]
            for each, place in sorted(
                zip(taught.examples, places, strict=True), key=lambda pair: pair[1].part
            )
            if place.part != "training"
        }
        | {each.id: each.reason for each in taught.left_out},
        preferences=tuple(
            each
            for each, place in zip(taught.preferences, others, strict=True)
            if place.part == "training"
        ),
    )


def ranker(workspace: Workspace, index_key: str, learnable: Learnable, progress: Progress) -> str:
    """The order and the choice of quotes that feedback taught. Returns the artifact's key; empty
    with too few."""
    examples = learnable.examples
    if sum(bool(each.passages) for each in examples) < ranker_fitting.FEWEST:
        return ""
    settings = workspace.settings.quote
    inputs = {
        "index": index_key,
        "learned": learnable.digest,
        "quote": settings.model_dump(mode="json"),
        "quoting": quoting_fitting.CODE_VERSION,
    }
    key = workspace.artifacts.key("ranker", ranker_fitting.CODE_VERSION, inputs)

    def make(folder: Path) -> None:
        index = opened(workspace, index_key)
        assistant = Assistant(index)
        fitted = ranker_fitting.fit(
            examples,
            index,
            lambda question: assistant.search(question, index.everyone),
            progress=lambda done, of: progress("ranker", done, of),
        )
        if fitted:
            fitted.ranker.save(folder)
            _save_quoting(folder, fitted, index, settings)
            outcomes = threshold_fitting.rated(fitted.rehearsed, index.frequencies)
            told = json.dumps([to_json(each) for each in outcomes])
            (folder / OUTCOMES).write_text(told, encoding="utf-8")

    folder = workspace.artifacts.build("ranker", key, make)
    return key if (folder / "trees.npz").exists() else ""


def _save_quoting(
    folder: Path, fitted: ranker_fitting.Fitted, index: PassageIndex, settings: QuoteSettings
) -> None:
    """The choice of quotes, where there are answers to learn it from."""
    held = {each.id: each.text for each in fitted.ranker.field.passages.values()}

    def worth(example: Example, text: str) -> tuple[float, float]:
        pieces = example.evidence or [held[id] for id in example.passages if id in held]
        quoted = [coverage(piece, text) for piece in pieces]
        return rouge_l(text, example.answer), sum(quoted) / max(len(quoted), 1)

    choice = quoting_fitting.fit(fitted.rehearsed, index.frequencies, settings, worth)
    if choice:
        (folder / CHOICE).mkdir()
        choice.save(folder / CHOICE)


def thresholds(
    workspace: Workspace, index_key: str, ranker_key: str, progress: Progress
) -> Calibration:
    """When to answer; never fitted on the exam.

    On questions made from the passages, a quarter of them answered by none, and on those of
    feedback, where enough of them were refused.
    """
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
        chosen = workspace.choice(ranker_key, index, settings.quote)
        assistant = Assistant(index, quoting=settings.quote, ranker=ranked, choice=chosen)
        with ThreadPoolExecutor(ranker_fitting.NUM_SEARCHING) as asking:
            seen = asking.map(lambda question: _outcome(assistant, question), training)
            counted = _counted(seen, len(training), "thresholds", progress)
            outcomes = [each for each in counted if each]
        fitted = threshold_fitting.fit(outcomes, _rated(workspace, ranker_key))
        told = json.dumps(to_json(fitted), indent=1)
        (folder / "calibration.json").write_text(told, encoding="utf-8")

    folder = workspace.artifacts.build("thresholds", key, make)
    return from_json(
        Calibration, json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    )


def _rated(workspace: Workspace, ranker_key: str) -> list[Outcome]:
    """What feedback's questions told, as the ranker's stage left it."""
    folder = workspace.artifacts.find("ranker", ranker_key) if ranker_key else None
    if folder is None:
        return []
    told = json.loads((folder / OUTCOMES).read_text(encoding="utf-8"))
    return [from_json(Outcome, each) for each in told]


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
    seen = assistant.observe(question.question, assistant.index.everyone)
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

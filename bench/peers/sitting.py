"""How every peer sits an exam: asked one question at a time, answered with its best passage.

Runs inside a peer's own environment, so it knows nothing of Flywheel but the format of the lines
that `flywheel exam --answers` writes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

NUM_PASSAGES = 10


@dataclass(frozen=True)
class Found:
    """A passage that the peer found."""

    id: str
    text: str


@dataclass(frozen=True)
class Task:
    """What the command line asks for."""

    documents: Path
    exam: Path
    answers: Path
    fitted: bool


def read_task() -> Task:
    """The peer's arguments: DOCUMENTS EXAM ANSWERS [--fitted]."""
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", type=Path)
    parser.add_argument("exam", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--fitted", action="store_true")
    return Task(**vars(parser.parse_args()))


def sit(task: Task, num_passages: int, search: Callable[[str], Sequence[Found]]) -> None:
    """Asks every question, writes the answers with their latency, prints what all of it took."""
    started = time.perf_counter()
    questions = [json.loads(line) for line in task.exam.read_text(encoding="utf-8").splitlines()]
    with task.answers.open("w", encoding="utf-8") as file:
        for question in questions:
            before = time.perf_counter()
            found = search(question["question"])
            latency_ms = (time.perf_counter() - before) * 1000
            line = _line(question["id"], found[:NUM_PASSAGES]) | {"latency_ms": latency_ms}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    exam_seconds = time.perf_counter() - started
    print(json.dumps({"exam_seconds": exam_seconds, "passages": num_passages}))


def _line(question: str, found: Sequence[Found]) -> dict[str, object]:
    best = found[0].text if found else ""
    return {
        "id": question,
        "answer": best,
        "draft": best,
        "kind": "answer",
        "confidence": 1.0,
        "citations": [],
        "passages": [{"id": passage.id, "text": passage.text} for passage in found],
    }

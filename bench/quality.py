"""Flywheel and its peers on the same documents and questions, marked by the same scorer.

    python bench/quality.py [example legal medical] [--data ../shared/data] [--full]

One table a set of documents. Every system runs on its own, with no model and no feedback; every
answer file is scored by `flywheel.evaluate`, with 95 % bootstrap intervals over the questions.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import peer
from corpora import DATA, WORK, DataSet, Sizes, make
from flywheel.evaluate import exam, metrics, text
from flywheel.evaluate.metrics import Row
from flywheel.records import Answer, Citation, ExamQuestion, Passage, Score, from_json
from measure import CommandFailed, flywheel
from table import print_table

SHOWN = ("evidence_recall_at_10", "evidence_mrr", "answer_rouge_l")
SHORT = Sizes(num_legal_questions=300, num_topics=1000, num_medical_questions=300)
COLUMNS = (
    "system",
    "questions",
    "recall@10",
    "MRR",
    "ROUGE-L",
    "characters",
    "p50 ms",
    "index s",
    "peak MiB",
)
NOTE = (
    "`characters`: of the ten passages together, the median: what recall costs whoever reads them."
    "\n`p50 ms`: from the question to the answer; a peer's answer is its best passage. `index s`:"
    "\nfrom the files to the first question, each program's start included; Flywheel's index stays"
    "\non disk and its confidence is fitted, the peers' are in memory. `peak MiB`: of indexing for"
    "\nFlywheel, of the one process that does all for a peer. Default, fitted: see bench/peer.py."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One system on one set: what it answered and what that took."""

    system: str
    rows: Sequence[Row]
    index_seconds: float
    peak_bytes: int


def sit_flywheel(data_set: DataSet) -> Result:
    """A new workspace, the documents added, one turn, the exam sat."""
    folder = WORK / "quality" / data_set.name
    workspace, answers = folder / "workspace", folder / "flywheel.jsonl"
    shutil.rmtree(workspace, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    built = [
        flywheel(workspace, "init", str(workspace)),
        flywheel(workspace, "add", str(data_set.documents), "--json"),
        flywheel(workspace, "turn", "--json"),
    ]
    sat = flywheel(workspace, "exam", str(data_set.exam), "--json", "--answers", str(answers))
    latency_ms = float(json.loads(sat.stdout)["metrics"]["latency_p50_ms"]["value"])
    return Result(
        system="Flywheel",
        rows=mark(data_set.exam, answers, latency_ms),
        index_seconds=sum(step.seconds for step in built),
        peak_bytes=max(step.peak_bytes for step in built),
    )


def sit_peer(data_set: DataSet, other: peer.Peer) -> Result:
    """A peer in its own environment."""
    folder = WORK / "quality" / data_set.name
    folder.mkdir(parents=True, exist_ok=True)
    answers = folder / f"{other.name.replace(', ', '-')}.jsonl"
    sat = other.sit(data_set.documents, data_set.exam, answers)
    return Result(
        system=other.name,
        rows=mark(data_set.exam, answers),
        index_seconds=peer.index_seconds(sat),
        peak_bytes=sat.peak_bytes,
    )


def mark(exam_file: Path, answers_file: Path, latency_ms: float = 0.0) -> list[Row]:
    """The answers' rows; `latency_ms` stands in where a line does not name its own."""
    lines = map(json.loads, answers_file.read_text(encoding="utf-8").splitlines())
    by_id = {str(line["id"]): line for line in lines}
    return [
        metrics.mark(
            question,
            read_answer(question, by_id[question.id]),
            latency_ms=by_id[question.id].get("latency_ms", latency_ms),
            group=text.normalise(question.question),
        )
        for question in exam.read_exam(exam_file)
    ]


def read_answer(question: ExamQuestion, line: dict[str, Any]) -> Answer:
    """One line of an answer file, as far as it is scored here."""
    return Answer(
        question=question.question,
        answer=line["answer"],
        draft=line["draft"],
        kind=line["kind"],
        confidence=line["confidence"],
        citations=tuple(from_json(Citation, each) for each in line["citations"]),
        passages=tuple(_passage(found) for found in line["passages"]),
    )


def _passage(found: dict[str, str]) -> Passage:
    return Passage(
        id=found["id"],
        document="",
        title="",
        headings=(),
        text=found["text"],
        language="other",
        position=0,
    )


def results(data_set: DataSet) -> Iterator[Result]:
    """Flywheel, then each peer; one that cannot run here is named and left out."""
    yield sit_flywheel(data_set)
    for other in peer.ALL:
        try:
            yield sit_peer(data_set, other)
        except CommandFailed as error:
            print(f"{other.name}: left out, {error}", flush=True)


def table_rows(result: Result) -> Iterator[list[str]]:
    """A line for all questions, and one for each language where there are several."""
    parts: dict[str, list[Row]] = {}
    for row in result.rows:
        parts.setdefault(exam.split_of(row.question), []).append(row)
    scores = metrics.score(result.rows)
    yield [
        result.system,
        str(len(result.rows)),
        *_shown(scores),
        f"{_num_characters(result.rows):,.0f}",
        f"{scores['latency_p50_ms'].value:.1f}",
        f"{result.index_seconds:.1f}",
        f"{result.peak_bytes / 2**20:.0f}",
    ]
    for split in exam.SPLITS:
        if len(parts) > 1 and split in parts:
            part = parts[split]
            characters = f"{_num_characters(part):,.0f}"
            yield [
                f"– {split}",
                str(len(part)),
                *_shown(metrics.score(part)),
                characters,
                *("", "", ""),
            ]


def _num_characters(rows: Sequence[Row]) -> float:
    """The length of what one question's passages give to read, at the median."""
    return median(sum(len(passage.text) for passage in row.answer.passages) for row in rows)


def _shown(scores: dict[str, Score]) -> list[str]:
    return [_interval(scores.get(name)) for name in SHOWN]


def _interval(score: Score | None) -> str:
    return f"{score.value:.3f} ({score.low:.2f}–{score.high:.2f})" if score else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Flywheel beside its peers")
    parser.add_argument("sets", nargs="*", help="example, legal, medical; all without a name")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--full", action="store_true", help="all topics, all questions")
    arguments = parser.parse_args()
    for data_set in make(arguments.data, Sizes() if arguments.full else SHORT, arguments.sets):
        rows = [row for result in results(data_set) for row in table_rows(result)]
        print_table(data_set.name, COLUMNS, rows, NOTE)


if __name__ == "__main__":
    main()

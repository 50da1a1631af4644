"""The folders of documents and the exams that the benches run on.

    python bench/corpora.py [--data ../shared/data]

Makes, under `bench/.work/`, an exam for the car manual in `examples/` and, where the folder of
real data is there, two more: Chinese statutes with laypeople's questions (LeCoQA) and English
medical topics (MedQuAD). What a question is answered with is never in a document as a question.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "bench" / ".work"
DATA = ROOT.parent / "shared" / "data"
EXAMPLE = ROOT / "examples" / "owners-manual"

SEED = 20261
EVIDENCE_SENTENCES = 3
EVIDENCE_WORDS = 100
"""A list has no full stops: evidence ends after so many words in any case."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"\S+")

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """A folder of documents and the exam on them."""

    name: str
    documents: Path
    exam: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much of the large sets is used; None is all."""

    num_legal_questions: int | None = None
    num_topics: int | None = None
    num_medical_questions: int = 600


def example(data: Path, sizes: Sizes) -> DataSet:
    """The car manual that ships with Flywheel, with both halves of its exam."""
    del data, sizes
    lines = [
        json.loads(line)
        for file in sorted(EXAMPLE.glob("exam*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    unique = {line["id"]: line for line in lines}
    return DataSet(
        name="owners-manual",
        documents=EXAMPLE / "documents",
        exam=_write_exam("owners-manual", unique.values()),
    )


def legal(data: Path, sizes: Sizes) -> DataSet | None:
    """Chinese statutes; the evidence of a question is the articles that its answer rests on."""
    source = data / "legal-zh"
    if not (source / "laws").is_dir():
        return None
    text = (source / "questions.jsonl").read_text(encoding="utf-8")
    lines = [_legal_line(json.loads(line)) for line in text.splitlines()]
    kept = [line for line in lines if line]
    kept = _sample(kept, sizes.num_legal_questions)
    return DataSet(name="legal-zh", documents=source / "laws", exam=_write_exam("legal-zh", kept))


def medical(data: Path, sizes: Sizes) -> DataSet | None:
    """English topics, one document each; one question of a topic, its answer's start as evidence.

    Documents hold the answers under the topic's name, without the questions' text.
    """
    source = data / "medical-en" / "medquad.jsonl.gz"
    if not source.is_file():
        return None
    topics = _topics(data, sizes)
    documents = WORK / "medical-en" / "documents"
    shutil.rmtree(documents, ignore_errors=True)
    documents.mkdir(parents=True)
    for topic in topics:
        (documents / f"{topic['id']}.md").write_text(_topic_text(topic), encoding="utf-8")
    lines = [_medical_line(topic) for topic in _sample(topics, sizes.num_medical_questions)]
    return DataSet(
        name="medical-en", documents=documents, exam=_write_exam("medical-en", filter(None, lines))
    )


def medical_feedback(data: Path, sizes: Sizes) -> list[dict[str, Any]]:
    """The questions of the same topics that the exam does not ask, as corrections."""
    lines = []
    for topic in _topics(data, sizes):
        examined = _chosen(topic)
        for place, pair in enumerate(topic["qa"]):
            answer = _plain(pair["answer"])
            if pair is examined or not any(character.isalnum() for character in answer):
                continue
            lines.append(
                {
                    "id": f"{topic['id']}-{place}",
                    "kind": "edit",
                    "question": " ".join(pair["question"].split()),
                    "answer": answer,
                    "evidence": [first_sentences(answer)],
                    "user": "expert",
                }
            )
    return lines


def _topics(data: Path, sizes: Sizes) -> list[dict[str, Any]]:
    source = data / "medical-en" / "medquad.jsonl.gz"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        return _sample([json.loads(line) for line in file], sizes.num_topics)


def _chosen(topic: dict[str, Any]) -> dict[str, Any]:
    """The question of a topic that its exam asks."""
    pair: dict[str, Any] = random.Random(f"{SEED} {topic['id']}").choice(topic["qa"])
    return pair


def all_laws(data: Path) -> Path | None:
    """3,475 Chinese statutes and regulations, unpacked here once; 58 MB."""
    archive = data / "legal-zh" / "laws-all.tar.xz"
    folder = WORK / "laws-all"
    if folder.is_dir() or not archive.is_file():
        return folder if folder.is_dir() else None
    part = folder.with_name("laws-all.part")
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(part, filter="data")
    part.rename(folder)
    return folder


MAKERS: tuple[Callable[[Path, Sizes], DataSet | None], ...] = (example, legal, medical)


def make(data: Path, sizes: Sizes, names: Iterable[str] = ()) -> Iterator[DataSet]:
    """Every set that can be made here; one line for each that cannot."""
    wanted = set(names)
    for maker in MAKERS:
        if wanted and maker.__name__ not in wanted:
            continue
        data_set = maker(data, sizes)
        if data_set is None:
            print(f"{maker.__name__}: skipped, its data is not in {data}")
        else:
            yield data_set


def _sample(items: list[Item], number: int | None) -> list[Item]:
    """So many of the items, the same ones on every run, in their own order."""
    if number is None or number >= len(items):
        return items
    places = sorted(random.Random(SEED).sample(range(len(items)), number))
    return [items[place] for place in places]


def _write_exam(name: str, lines: Iterable[dict[str, Any]]) -> Path:
    path = WORK / name / "exam.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def _legal_line(record: dict[str, Any]) -> dict[str, Any] | None:
    """An exam's line, or None where the answer is no text."""
    if not isinstance(record["answer"], str):
        return None
    return {
        "id": record["id"],
        "question": record["question"],
        "answer": record["answer"],
        "evidence": [text.strip() for text in record["articles"].values() if text.strip()],
    }


def _topic_text(topic: dict[str, Any]) -> str:
    answers = [_plain(pair["answer"]) for pair in topic["qa"]]
    return "\n\n".join([f"# {topic['focus']}", *answers]) + "\n"


def _plain(text: str) -> str:
    """The text without the indentation and runs of spaces that its source's web page left."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _medical_line(topic: dict[str, Any]) -> dict[str, Any] | None:
    pair = _chosen(topic)
    answer = _plain(pair["answer"])
    if not any(character.isalnum() for character in answer):
        return None
    return {
        "id": topic["id"],
        "question": " ".join(pair["question"].split()),
        "answer": answer,
        "evidence": [first_sentences(answer)],
    }


def first_sentences(text: str) -> str:
    """The verbatim start of a text: three sentences, or 100 words where those are longer."""
    ends = [match.start() for match in _SENTENCE_END.finditer(text)]
    start = text[: ends[EVIDENCE_SENTENCES - 1]] if len(ends) >= EVIDENCE_SENTENCES else text
    words = list(_WORD.finditer(start))
    return start if len(words) <= EVIDENCE_WORDS else start[: words[EVIDENCE_WORDS - 1].end()]


def main() -> None:
    parser = argparse.ArgumentParser(description="make the exams that the benches sit")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    for data_set in make(parser.parse_args().data, Sizes()):
        num_files = sum(path.is_file() for path in data_set.documents.rglob("*"))
        num_questions = len(data_set.exam.read_text(encoding="utf-8").splitlines())
        print(f"{data_set.name}: {num_files} files, {num_questions} questions")


if __name__ == "__main__":
    main()

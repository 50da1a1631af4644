"""How often a correction answers a paraphrase, and how often a question that it does not answer.

    python bench/corrections.py [--errors] [--size 20000]

The pairs in bench/corrections/ were written by hand, about the example's invented car and about
the rules of an office: 300 paraphrases and 1,000 near misses, half of each Chinese. A third of the
base questions, by hash, is the development part. tuning.jsonl, more of both about offices, clinics,
statutes, banks and cars, and vocabulary.jsonl, everyday paraphrases, belong to no part. On these
the word lists and guards were written (`--errors` prints the pairs that go wrong). The figures are
from the other two thirds, whose errors no one has looked at. Each pair is asked of an index of
all base questions of its part.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flywheel.records import PUBLIC, Correction
from flywheel.search.corrections import CorrectionIndex, Match
from flywheel.search.terms import has_han
from table import print_table

HERE = Path(__file__).resolve().parent
DATA = HERE / "corrections"
DOCUMENTS = HERE.parent / "examples" / "owners-manual" / "documents"
SOURCES = HERE.parent / "examples" / "owners-manual" / "sources"
Z = 1.96


@dataclass(frozen=True, slots=True)
class Pair:
    """A question that has a correction, and another question that is asked."""

    group: str
    question: str
    asked: str
    changed: str = ""

    @property
    def language(self) -> str:
        return self.group[:2]

    @property
    def is_development(self) -> bool:
        return zlib.crc32(self.group.encode()) % 3 == 0


def pairs(name: str, field: str) -> list[Pair]:
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        Pair(row["id"][:6], row["question"], row[field], row.get("changed", "")) for row in rows
    ]


def tuning() -> tuple[list[Pair], list[Pair]]:
    """What is open to look at: paraphrases and near misses, of the development part and beside."""
    same = [pair for pair in pairs("paraphrases", "paraphrase") if pair.is_development]
    other = [pair for pair in pairs("near_misses", "near_miss") if pair.is_development]
    for line in (DATA / "tuning.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        id, question = row["id"], row["question"]
        same += [Pair(id, question, asked) for asked in row["paraphrases"]]
        other += [Pair(id, question, asked) for asked in row["near_misses"]]
    return same, other


def paragraphs() -> Iterator[str]:
    """The example's documents in pieces, as passages would be."""
    for file in sorted(
        (*DOCUMENTS.rglob("*.md"), *DOCUMENTS.rglob("*.html"), *SOURCES.rglob("*.md"))
    ):
        text = re.sub(r"<[^>]+>", " ", file.read_text(encoding="utf-8", errors="replace"))
        yield from (piece for piece in text.split("\n\n") if piece.strip())


def correction(id: str, question: str) -> Correction:
    return Correction(
        id=id,
        question=question,
        answer=f"The answer to {id}.",
        evidence=(),
        passages=(),
        user="curator",
        role="curator",
        at="2026-01-01T00:00:00.000+00:00",
        verified=True,
    )


def index_of(all_pairs: Iterable[Pair]) -> CorrectionIndex:
    questions = {pair.group: pair.question for pair in all_pairs}
    items = [correction(group, question) for group, question in questions.items()]
    return CorrectionIndex(items)


def ask(index: CorrectionIndex, question: str) -> Match | None:
    return index.match(question, "asker", (PUBLIC,))


def wilson(count: int, total: int) -> str:
    """A share with Wilson's interval of 95 %."""
    if not total:
        return "–"
    share, square = count / total, Z * Z
    centre = (share + square / (2 * total)) / (1 + square / total)
    spread = math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    half = Z * spread / (1 + square / total)
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    return f"{100 * share:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the pairs of one language, or of all."""

    hits: int
    wrong: int
    """Paraphrases that another question's correction answered."""
    paraphrases: int
    false: int
    near_misses: int


def outcome(same: Sequence[Pair], other: Sequence[Pair], index: CorrectionIndex) -> Outcome:
    served = [(pair.group, ask(index, pair.asked)) for pair in same]
    hits = sum(match is not None and match.correction.id == group for group, match in served)
    wrong = sum(match is not None for _, match in served) - hits
    false = sum(ask(index, pair.asked) is not None for pair in other)
    return Outcome(hits, wrong, len(same), false, len(other))


def print_errors(same: list[Pair], other: list[Pair], index: CorrectionIndex) -> None:
    for pair in same:
        match = ask(index, pair.asked)
        if match is None or match.correction.id != pair.group:
            print("missed ", pair.question, "|", pair.asked)
    for pair in other:
        if match := ask(index, pair.asked):
            print(
                "FALSE  ", match.correction.question, "|", pair.asked, f"| {match.similarity:.2f}"
            )


def print_quality(same: list[Pair], other: list[Pair]) -> None:
    index = index_of(same)
    rows = []
    for name, prefix in (("English", "en"), ("Chinese", "zh"), ("both", "")):
        result = outcome(
            [pair for pair in same if pair.group.startswith(prefix)],
            [pair for pair in other if pair.group.startswith(prefix)],
            index,
        )
        rows.append(
            [
                name,
                wilson(result.hits, result.paraphrases),
                str(result.wrong),
                str(result.paraphrases),
                wilson(result.false, result.near_misses),
                str(result.near_misses),
            ]
        )
    columns = ["", "hits", "wrong", "paraphrases", "false serves", "near misses"]
    print_table("Corrections, on the test part", columns, rows, "In brackets 95 %, by Wilson.")


def invented_questions(count: int, bases: Sequence[str]) -> Iterator[str]:
    """Questions of the length and words of real ones, no two alike: only their time matters."""
    chance = random.Random(0)
    texts = [piece for piece in paragraphs() if len(piece) > 40]
    for number in range(count):
        base, piece = chance.choice(bases), chance.choice(texts)
        joint = "" if has_han(base) else " "
        words = list(re.sub(r"\s+", "", piece)) if not joint else piece.split()
        start = chance.randrange(max(len(words) - 6, 1))
        yield f"{base[: len(base) // 2]} {joint.join(words[start : start + 6])} {number % 97}"


def print_time(size: int, all_pairs: list[Pair]) -> None:
    questions = sorted({pair.question for pair in all_pairs})
    corrections = [
        correction(str(number), question)
        for number, question in enumerate((*questions, *invented_questions(size, questions)))
    ][:size]
    started = time.perf_counter()
    index = CorrectionIndex(corrections)
    built = time.perf_counter() - started
    times = []
    for pair in all_pairs:
        started = time.perf_counter()
        ask(index, pair.asked)
        times.append(1000 * (time.perf_counter() - started))
    started = time.perf_counter()
    index.add(correction("new", "Which colour does the new key ring have?"))
    added = 1000 * (time.perf_counter() - started)
    p50, p95, top = np.percentile(times, (50, 95, 100))
    row = [f"{size:,}", f"{built:.2f}", f"{added:.2f}", f"{p50:.2f}", f"{p95:.2f}", f"{top:.2f}"]
    columns = ["corrections", "build, s", "add one, ms", "match p50, ms", "p95, ms", "longest, ms"]
    print_table("Corrections, time", columns, [row])


def main() -> None:
    parser = argparse.ArgumentParser(description="corrections: hits, false serves, time")
    parser.add_argument("--errors", action="store_true", help="the pairs of no test that go wrong")
    parser.add_argument("--size", type=int, default=20_000, help="corrections in the timed index")
    arguments = parser.parse_args()
    same, other = tuning()
    if arguments.errors:
        print_errors(same, other, index_of(same))
    else:
        same, other = pairs("paraphrases", "paraphrase"), pairs("near_misses", "near_miss")
        test = [pair for pair in same if not pair.is_development]
        print_quality(test, [pair for pair in other if not pair.is_development])
        print_time(arguments.size, same + other)


if __name__ == "__main__":
    main()

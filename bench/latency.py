"""How long searching and asking take as the passages grow.

    python bench/latency.py [--sizes 1000 10000 100000] [--data ../shared/data]

Passages are those of Chinese statutes where the folder of real data is there; without it they
are recombined from the example's sentences. In one process, through the Python API, one question
after the other; the first ten are not counted.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import quantiles

import lancedb  # noqa: F401 - so that its import is no part of the first index's time

from corpora import DATA, EXAMPLE, SEED, WORK, Sizes, example, legal
from flywheel.answer.assistant import Assistant
from flywheel.collect.pipeline import CollectSettings, collect
from flywheel.collect.read import scan
from flywheel.evaluate.exam import read_exam
from flywheel.records import Passage
from flywheel.search.index import PassageIndex, Reader, build_index
from table import print_table

SIZES = (1_000, 10_000, 100_000)
NUM_QUESTIONS = 200
NUM_WARM_UP = 10
_SENTENCE = re.compile(r"[^。！？.!?\n]+[。！？.!?\n]*")


def collected(source: Path) -> Iterator[Passage]:
    """The passages of a folder or an archive."""
    for outcome in collect(scan(str(source)), CollectSettings()):
        yield from outcome.passages


def recombined(passages: Sequence[Passage], number: int) -> Iterator[Passage]:
    """New passages of the same lengths, made of the sentences of these."""
    generator = random.Random(SEED)
    sentences = {
        language: [
            sentence
            for passage in passages
            if passage.language == language
            for sentence in _SENTENCE.findall(passage.text)
        ]
        for language in {passage.language for passage in passages}
    }
    for place in range(number):
        model = generator.choice(passages)
        pool = sentences[model.language]
        num_sentences = max(1, len(_SENTENCE.findall(model.text)))
        text = "".join(generator.choices(pool, k=num_sentences)) if pool else model.text
        yield replace(model, id=f"{place}", document=f"{place // 20}", text=text)


def passages_and_questions(data: Path, number: int) -> tuple[str, list[Passage], list[str]]:
    """What the passages are, up to so many of them in a random order, and questions on them."""
    archive = data / "legal-zh" / "laws-all.tar.xz"
    data_set = legal(data, Sizes()) if archive.is_file() else None
    if data_set is not None:
        passages = list(islice(collected(archive), number))
        name = "Chinese statutes"
    else:
        data_set = example(data, Sizes())
        passages = list(recombined(list(collected(EXAMPLE / "documents")), number))
        name = "recombined from the example"
    random.Random(SEED).shuffle(passages)
    questions = [question.question for question in read_exam(data_set.exam)]
    return name, passages, questions[: NUM_QUESTIONS + NUM_WARM_UP]


def latencies_ms(ask: Callable[[str], object], questions: Sequence[str]) -> list[float]:
    """What each question took, the first few left out."""
    taken = []
    for question in questions:
        before = time.perf_counter()
        ask(question)
        taken.append((time.perf_counter() - before) * 1000)
    return taken[NUM_WARM_UP:]


def row(passages: Sequence[Passage], questions: Sequence[str]) -> list[str]:
    """Builds an index of these passages and asks it."""
    folder = WORK / "latency"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = time.perf_counter()
    build_index(folder, passages)
    build_seconds = time.perf_counter() - before
    index = PassageIndex(folder)
    assistant = Assistant(index)
    searching = latencies_ms(lambda question: index.search(question, Reader()), questions)
    asking = latencies_ms(assistant.ask, questions)
    num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [
        f"{len(passages):,}",
        f"{build_seconds:.1f}",
        f"{num_bytes / 2**20:.0f}",
        *(f"{_percentile(taken, at):.1f}" for taken in (searching, asking) for at in (50, 95)),
    ]


def _percentile(values: Sequence[float], at: int) -> float:
    return quantiles(values, n=100, method="inclusive")[at - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description="latency of searching and asking")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    arguments = parser.parse_args()
    name, passages, questions = passages_and_questions(arguments.data, max(arguments.sizes))
    columns = ("passages", "build s", "index MiB", "search p50 ms", "p95", "ask p50 ms", "p95")
    sizes = sorted({min(size, len(passages)) for size in arguments.sizes})
    rows = [row(passages[:size], questions) for size in sizes]
    num_asked = len(questions) - NUM_WARM_UP
    print_table(
        f"latency: {name}, {num_asked} questions",
        columns,
        rows,
        "`search`: what matches, not yet in order. `ask`: search, rank, quote and decide.",
    )


if __name__ == "__main__":
    main()

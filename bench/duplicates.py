"""Which documents of a folder are taken for copies or older editions of others.

    python bench/duplicates.py FOLDER [PAIRS.tsv]

Prints what became of the documents, how surely pairs are found by their true similarity, and each
merge. PAIRS.tsv (`similarity path path` lines under a heading) names pairs that are known; without
it the exact similarity of all pairs of equal titles is computed here.

Reads Markdown and plain text only: this measures the judgement, not the extraction.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from flywheel.collect import dedupe
from flywheel.collect.dedupe import Fingerprint, Verdict, edition_key
from flywheel.records import Document

BINS = (0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1, 0.0)
Pair = tuple[float, str, str]


def documents(folder: Path) -> Iterator[Document]:
    for file in sorted((*folder.rglob("*.md"), *folder.rglob("*.txt"))):
        text = re.sub(r"<!--.*?-->\n?", "", file.read_text(encoding="utf-8"))
        heading = re.search(r"^# +(.+)", text, re.MULTILINE)
        path = str(file.relative_to(folder))
        yield Document(
            id=path,
            source=str(folder),
            path=path,
            title=heading[1].strip() if heading else file.stem,
            text=text,
            language="zh-hans",
            modified=file.stat().st_mtime,
        )


def known_pairs(file: Path) -> Iterator[Pair]:
    for line in file.read_text(encoding="utf-8").splitlines()[1:]:
        value, one, two = line.split("\t")
        yield float(value), one, two


def pairs_of_equal_titles(texts: Iterable[Document]) -> Iterator[Pair]:
    groups: dict[str, list[Document]] = defaultdict(list)
    for document in texts:
        groups[edition_key(document.title)].append(document)
    for group in groups.values():
        shingles = {each.path: dedupe._shingles(dedupe._normal_form(each.text)) for each in group}
        for one, two in combinations(shingles, 2):
            common = len(np.intersect1d(shingles[one], shingles[two], assume_unique=True))
            together = len(shingles[one]) + len(shingles[two]) - common
            yield common / max(together, 1), one, two


def print_found(
    pairs: list[Pair], prints: dict[str, Fingerprint], verdicts: dict[str, Verdict]
) -> None:
    print(
        "similarity    pairs  merged  other title  kept apart  largest difference to the estimate"
    )
    for low, high in zip(BINS, (1.01, *BINS), strict=False):
        rows = [pair for pair in pairs if low <= pair[0] < high]
        outcomes = Counter(outcome(one, two, prints, verdicts) for _, one, two in rows)
        error = max(
            (abs(value - dedupe.similarity(prints[a], prints[b])) for value, a, b in rows),
            default=0.0,
        )
        print(
            f"{low:.2f}–{min(high, 1):.2f} {len(rows):8} {outcomes['merged']:7}"
            f" {outcomes['other title']:12} {outcomes['kept apart']:11}  {error:.3f}"
        )


def outcome(
    one: str, two: str, prints: dict[str, Fingerprint], verdicts: dict[str, Verdict]
) -> str:
    if verdicts[one].fate != "kept" or verdicts[two].fate != "kept":
        return "merged"
    same_title = edition_key(prints[one].title) == edition_key(prints[two].title)
    return "kept apart" if same_title else "other title"


def main(folder: Path, pairs_file: Path | None) -> None:
    texts = list(documents(folder))
    started = time.perf_counter()
    prints = {text.id: dedupe.fingerprint(text) for text in texts}
    printed = time.perf_counter()
    verdicts = dedupe.resolve(prints.values())
    resolved = time.perf_counter()
    num_characters = sum(len(text.text) for text in texts)
    print(
        f"{len(texts)} documents, {num_characters / 1e6:.1f}M characters: fingerprints"
        f" {printed - started:.1f} s, verdicts {resolved - printed:.2f} s"
    )
    print(dict(Counter(verdict.fate for verdict in verdicts.values())), "\n")
    pairs = list(known_pairs(pairs_file) if pairs_file else pairs_of_equal_titles(texts))
    print_found(pairs, prints, verdicts)
    print()
    for document, verdict in verdicts.items():
        if verdict.fate != "kept":
            value = dedupe.similarity(prints[document], prints[verdict.other])
            print(f"{verdict.fate:10} {value:.2f}  {document}: {verdict.reason}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None)

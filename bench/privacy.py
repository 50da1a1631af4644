"""Precision and recall of `collect/privacy.py` on labelled texts, and its false phone numbers.

    python bench/privacy.py [LABELLED.json[.gz]] [--manuals FOLDER]

The labelled texts are a JSON list of `{"full_text", "spans": [{"entity_type",
"start_position", "end_position"}]}`, as Presidio's research data has them. A finding counts only
where kind, start and end are exact. In the manuals, which name no phone of anybody, every phone
found is taken for false.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flywheel.collect.personal.kinds import PersonalKind
from flywheel.collect.privacy import find

KIND_OF: dict[str, PersonalKind] = {
    "EMAIL_ADDRESS": "email",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "US_SSN": "ssn",
    "DOMAIN_NAME": "url",
    "PHONE_NUMBER": "phone",
}
HEADLINE: tuple[PersonalKind, ...] = ("email", "card", "iban", "ip")
PASSAGE_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """Exact matches by kind: what was right, what was false, what was missed."""

    right: Counter[PersonalKind] = field(default_factory=Counter)
    false: Counter[PersonalKind] = field(default_factory=Counter)
    missed: Counter[PersonalKind] = field(default_factory=Counter)


def count(rows: Iterable[dict[str, Any]]) -> Counts:
    """Compares what is found with the labels of each text."""
    counts = Counts()
    for row in rows:
        gold = {
            (KIND_OF[span["entity_type"]], span["start_position"], span["end_position"])
            for span in row["spans"]
            if span["entity_type"] in KIND_OF
        }
        found = {(item.kind, item.start, item.end) for item in find(row["full_text"])}
        counts.right.update(kind for kind, _, _ in found & gold)
        counts.false.update(kind for kind, _, _ in found - gold)
        counts.missed.update(kind for kind, _, _ in gold - found)
    return counts


def table_row(name: str, kinds: Iterable[PersonalKind], counts: Counts) -> str:
    """One line of the table: precision, recall and F1 over these kinds together."""
    kinds = list(kinds)
    right = sum(counts.right[kind] for kind in kinds)
    false = sum(counts.false[kind] for kind in kinds)
    missed = sum(counts.missed[kind] for kind in kinds)
    precision = right / (right + false) if right + false else 0.0
    recall = right / (right + missed) if right + missed else 0.0
    f1 = 2 * right / (2 * right + false + missed) if right + false + missed else 0.0
    return f"{name:<28}{precision:>10.3f}{recall:>8.3f}{f1:>8.3f}{right:>7}{false:>7}{missed:>8}"


def false_phones(folder: Path) -> tuple[int, float]:
    """Phones found in a folder's text files, and the thousands of passages that they hold."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.txt"))]
    num_phones = sum(len(find(text, ("phone",))) for text in texts)
    return num_phones, sum(map(len, texts)) / PASSAGE_CHARS / 1000


def main() -> None:
    data = Path("../shared/data")
    parser = argparse.ArgumentParser(description="measure what privacy.py finds")
    parser.add_argument(
        "labelled", nargs="?", type=Path, default=data / "privacy" / "presidio-synth.json.gz"
    )
    parser.add_argument("--manuals", type=Path, default=data / "manuals")
    arguments = parser.parse_args()
    if not arguments.labelled.is_file():
        sys.exit(f"no labelled texts at {arguments.labelled}: name the file as an argument")
    raw = arguments.labelled.read_bytes()
    raw = gzip.decompress(raw) if arguments.labelled.suffix == ".gz" else raw
    counts = count(json.loads(raw))

    print(
        f"{'kind':<28}{'precision':>10}{'recall':>8}{'F1':>8}{'right':>7}{'false':>7}{'missed':>8}"
    )
    for kind in KIND_OF.values():
        print(table_row(kind, [kind], counts))
    print(table_row("+".join(HEADLINE) + " (micro)", HEADLINE, counts))
    if arguments.manuals.is_dir():
        num_phones, thousands = false_phones(arguments.manuals)
        rate = num_phones / thousands if thousands else 0.0
        print(
            f"false phones in {arguments.manuals.name}: {num_phones}, "
            f"{rate:.2f} per 1,000 passages of {PASSAGE_CHARS} characters"
        )


if __name__ == "__main__":
    main()

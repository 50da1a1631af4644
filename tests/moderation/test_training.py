"""What labelled texts teach, and how honestly it is measured."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from flywheel.errors import FileFormatError, SourceError
from flywheel.lines import read_lines
from flywheel.moderation.training import (
    MIN_EXAMPLES,
    Labelled,
    LabelledLine,
    Measured,
    Trained,
    share,
    train,
)

BENCH = Path(__file__).resolve().parents[2] / "bench" / "moderation"
WORDS = "the of in to valve pump wheel oil"
NOISE = {"en": WORDS.split(), "zh": [*"的在油泵轮阀门螺栓"]}


def half(_: str) -> float:
    return 0.5


def texts(
    number: int, sign: str, language: Literal["en", "zh"], category: str = "bad", start: int = 0
) -> list[Labelled]:
    """As many with a sign, which are of the category, as without."""
    generator = random.Random(f"{sign} {start}")
    joint = " " if language == "en" else ""
    found = []
    for place in range(2 * number):
        words = generator.choices(NOISE[language], k=8)
        is_bad = place % 2 == 0
        text = joint.join([*words[:4], sign, *words[4:]] if is_bad else words)
        categories = frozenset((category,) if is_bad else ())
        found.append(Labelled(text=text, categories=categories, group=start + place))
    return found


def trained(of: Sequence[Labelled]) -> Trained:
    return train(of, [], half)


def row(of: Trained, language: str) -> Measured:
    [found] = [each for each in of.measured if each.language == language]
    return found


def test_both_languages_are_learned_and_measured_apart() -> None:
    both = [*texts(30, "bomb", "en"), *texts(30, "炸弹", "zh", start=1000)]
    done = trained(both)
    assert done.num_examples == {"bad": 60}
    for language in ("en", "zh"):
        measured = row(done, language)
        assert measured.recall.count == 30
        assert measured.precision.value > 0.9
        assert measured.recall.value > 0.9
    for text in ("oil in the bomb of wheel", "油泵炸弹螺栓轮阀"):
        assert done.classifier.scores(text)["bad"] > 0.5
    for text in ("oil in the pump of wheel", "油泵阀门螺栓轮阀"):
        assert done.classifier.scores(text)["bad"] < 0.5


def test_what_cannot_be_told_is_not_said_to_be() -> None:
    generator = np.random.default_rng(1)
    guesses = [
        Labelled(
            text=each.text,
            categories=frozenset(("bad",) if generator.random() < 0.5 else ()),
            group=each.group,
        )
        for each in texts(60, "of", "en")
    ]
    measured = row(trained(guesses), "en")
    assert measured.precision.low < 0.55
    assert measured.calibration_error < 0.2


def test_near_duplicates_are_never_on_both_sides() -> None:
    """Labels follow from a text's number alone, which copies would give away."""
    generator = random.Random(3)
    copied = []
    for number in range(50):
        text = " ".join(generator.choices(NOISE["en"], k=12))
        categories = frozenset(("bad",) if generator.random() < 0.5 else ())
        copied += [Labelled(text=text, categories=categories, group=number)] * 4
    assert row(trained(copied), "en").precision.low < 0.65


def test_pieces_of_documents_teach_what_is_harmless() -> None:
    # Of the lines only the bad ones are long; of the documents all are.
    lines = [
        replace(each, text=each.text if each.categories else each.text[:12])
        for each in texts(40, "bomb", "en")
    ]
    pieces = [each.text for each in texts(100, "wheel", "en", start=5000)]
    alone, taught = train(lines, [], half), train(lines, pieces, half)
    scores = [[of.classifier.scores(piece)["bad"] for piece in pieces] for of in (alone, taught)]
    assert np.mean(scores[1]) < 0.5 * np.mean(scores[0])
    assert row(taught, "en").alarms.count == len(pieces)
    assert row(taught, "en").alarms.value < 0.05


def test_flag_tells_of_its_own_category_alone() -> None:
    of_two = [*texts(30, "bomb", "en"), *texts(30, "idiot", "en", "rude", start=1000)]
    flags = [
        Labelled(
            text=f"pump bomb {number} idiot",
            categories=frozenset(("rude",)),
            group=5000 + number,
            tells_of=frozenset(("rude",)),
            weight=0.3,
        )
        for number in range(60)
    ]
    done = trained([*of_two, *flags])
    assert done.num_examples == {"bad": 30, "rude": 90}
    assert done.classifier.scores("the bomb of oil in the pump")["bad"] > 0.5
    measured = {each.category: each for each in done.measured}
    assert measured["rude"].recall.count == 30  # what counts less is not measured on


@pytest.mark.parametrize(("number", "others"), [(MIN_EXAMPLES - 1, 50), (50, MIN_EXAMPLES - 1)])
def test_too_few_are_refused_with_what_to_do(number: int, others: int) -> None:
    both = texts(50, "bomb", "en")
    bad = [each for each in both if each.categories][:number]
    harmless = [each for each in both if not each.categories][:others]
    with pytest.raises(SourceError, match=f'{MIN_EXAMPLES - 1} .*"bad"|"bad" has {number}') as told:
        trained([*bad, *harmless])
    assert "moderation/words/bad.txt" in str(told.value) or '"categories": []' in str(told.value)


def test_same_texts_make_the_same_classifier() -> None:
    one, other = trained(texts(30, "bomb", "en")), trained(texts(30, "bomb", "en"))
    assert np.array_equal(one.classifier.weights, other.classifier.weights)
    assert one.measured == other.measured


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": " ", "categories": []}', '"text" is empty'),
        ('{"text": "x"}', '"categories" is missing'),
        ('{"text": "x", "categories": ["No Name"]}', '"No Name" is no name for a category'),
        ('{"text": "x", "categories": [], "label": 1}', 'unknown key "label"'),
    ],
)
def test_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"text": "x", "categories": []}\n' + line, encoding="utf-8")
    with pytest.raises(FileFormatError) as raised:
        read_lines(path, LabelledLine)
    assert raised.value.line == 2
    assert problem in raised.value.problem


def test_interval_of_a_share() -> None:
    score = share(9, 10)
    assert (score.value, score.count) == (0.9, 10)
    assert (round(score.low, 4), round(score.high, 4)) == (0.5958, 0.9821)
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)


def test_lines_of_the_bench_are_told_apart_in_both_languages() -> None:
    lines = [
        line
        for file in sorted(BENCH.glob("labelled-*.jsonl"))
        for _, line in read_lines(file, LabelledLine)
    ]
    labelled = [
        Labelled(text=line.text, categories=frozenset(line.categories), group=number)
        for number, line in enumerate(lines)
    ]
    measured = train(labelled, [], half).measured
    assert len(measured) == 6
    assert all(each.precision.value > 0.5 and each.recall.value > 0.25 for each in measured)
    assert all(each.calibration_error < 0.1 for each in measured)

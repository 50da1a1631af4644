"""How often the gate errs, and what it sees: simulated sittings of which the truth is known.

    python bench/gate.py [--sittings 300] [--sizes 20 60 120 250]

The differences are those of MRR: most are 0, the others lie between ranks. Each row is one kind
of challenger; `gate` is the share of sittings in which a gain is shown (or a loss of the margin
ruled out), `seen` the same by a bootstrap of the seen questions alone, which the gate used to be.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flywheel.evaluate.compare import Comparison, compare
from flywheel.evaluate.exam import Sitting
from flywheel.evaluate.metrics import Row, mark
from flywheel.records import Answer, ExamQuestion
from table import print_table

METRIC = "evidence_mrr"
MARGIN = 0.05
SEED = 1

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]
"""A number of questions → the champion's and the challenger's values."""

RANKS = np.array([*(1 / rank for rank in range(1, 11)), 0.0])
SHARES = np.array([35, 13, 8, 5, 4, 3, 2, 2, 2, 1, 25]) / 100
"""How often the right passage stands at ranks 1 to 10, or nowhere, on the legal questions."""


def main() -> None:
    parser = argparse.ArgumentParser(description="measure how often the gate errs")
    parser.add_argument("--sittings", type=int, default=300)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 60, 120, 250])
    arguments = parser.parse_args()
    for title, kinds, k, shown in TABLES:
        rows = [
            [name, *measured(draw, arguments.sizes, arguments.sittings, k, shown)]
            for name, draw in kinds.items()
        ]
        columns = [f"{size} {by}" for size in arguments.sizes for by in ("seen", "gate")]
        note = f"{arguments.sittings} sittings each, in percent"
        print_table(title, ("challenger", *columns), rows, note)


def measured(
    draw: Draw,
    sizes: Sequence[int],
    num_sittings: int,
    k: int | None,
    shown: Callable[[Comparison], tuple[bool, bool]],
) -> list[str]:
    """For each size, how often the seen questions alone and the gate call it shown."""
    cells: list[str] = []
    for size in sizes:
        generator = np.random.default_rng(SEED)
        rows = blank_rows(size)
        counts = np.zeros(2)
        for _ in range(num_sittings):
            before, after = (sitting(rows, values) for values in draw(generator, size))
            counts += shown(compare(before, after, METRIC, k, SEED))
        cells += [f"{100 * count / num_sittings:.1f}" for count in counts]
    return cells


def swapped(share: float) -> Draw:
    """Another order in a share of the questions, neither better nor worse."""

    def draw(generator: np.random.Generator, size: int) -> tuple[Floats, Floats]:
        before, other = (generator.choice(RANKS, size, p=SHARES) for _ in range(2))
        return before, np.where(generator.random(size) < share, other, before)

    return draw


def traded(gain: float, share: float, loss: float) -> Draw:
    """A gain in a share of the questions, and a loss in as many as make up for it."""

    def draw(generator: np.random.Generator, size: int) -> tuple[Floats, Floats]:
        drawn = generator.random(size)
        before = np.where(drawn < share, 1 - gain, 1.0)
        lost = (drawn >= share) & (drawn < share + share * gain / loss)
        return before, np.where(lost, 1 - loss, 1.0)

    return draw


def improved(draw_others: Draw, share: float, gain: float) -> Draw:
    """A share of the questions gains, whatever becomes of the others; a gain below 0 loses."""

    def draw(generator: np.random.Generator, size: int) -> tuple[Floats, Floats]:
        before, after = draw_others(generator, size)
        is_changed = generator.random(size) < share
        low, high = (1 - gain, 1.0) if gain > 0 else (1.0, 1 + gain)
        return np.where(is_changed, low, before), np.where(is_changed, high, after)

    return draw


def blank_rows(size: int) -> list[Row]:
    """Questions, each a group of its own."""
    rows = []
    for place in range(size):
        question = ExamQuestion(id=str(place), question=f"{place}?", evidence=("evidence",))
        answer = Answer(
            question=question.question,
            answer="",
            draft="",
            kind="answer",
            confidence=0.5,
            citations=(),
            passages=(),
        )
        rows.append(mark(question, answer, latency_ms=1.0, group=str(place)))
    return rows


def sitting(rows: Sequence[Row], values: Floats) -> Sitting:
    """These questions with these values."""
    marked = [
        replace(row, values={METRIC: value})
        for row, value in zip(rows, values.tolist(), strict=True)
    ]
    return Sitting(rows=tuple(marked), metrics={}, metrics_by={}, seconds=0.0)


def gains(compared: Comparison) -> tuple[bool, bool]:
    return compared.low_seen > 0, compared.is_better


def rules_out(compared: Comparison) -> tuple[bool, bool]:
    return compared.shows_no_loss(MARGIN), compared.is_not_worse(MARGIN)


NO_BETTER = {
    "another order in 10 %": swapped(0.1),
    "another order in 30 %": swapped(0.3),
    "another order in 80 %": swapped(0.8),
    "30 % gain 1/6, 5 % lose all": traded(1 / 6, 0.3, 1.0),
    "20 % gain 1/2, 10 % lose all": traded(1 / 2, 0.2, 1.0),
    "5 % gain all, 30 % lose 1/6": traded(1.0, 0.05, 1 / 6),
}
BETTER = {
    "10 % gain all": improved(swapped(0.0), 0.1, 1.0),
    "10 % gain all, another order in 30 %": improved(swapped(0.3), 0.1, 1.0),
    "20 % gain 1/2, another order in 30 %": improved(swapped(0.3), 0.2, 0.5),
}
LOSES = {
    "5 % lose all": improved(swapped(0.0), MARGIN, -1.0),
    "10 % lose half": improved(swapped(0.0), 2 * MARGIN, -0.5),
    "5 % lose all, another order in 30 %": improved(swapped(0.3), MARGIN, -1.0),
}
SAME = {
    "nothing changes": swapped(0.0),
    "another order in 10 %": swapped(0.1),
    "another order in 30 %": swapped(0.3),
}

TABLES = (
    ("promoted, and no better (at most 2.5 %)", NO_BETTER, 1, gains),
    ("promoted, and better", BETTER, 1, gains),
    ("passed by a guard, and falls by 0.05 (at most 5 %)", LOSES, None, rules_out),
    ("passed by a guard, and does not fall", SAME, None, rules_out),
)

if __name__ == "__main__":
    main()

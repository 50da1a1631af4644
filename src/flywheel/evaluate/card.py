"""The report of a sitting: a table for the terminal, plain data for JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from flywheel.evaluate.exam import SPLITS, Sitting
from flywheel.evaluate.metrics import METRICS
from flywheel.records import Score, to_json


def score_data(sitting: Sitting) -> dict[str, Any]:
    """What `flywheel exam --json` prints, but for the version."""
    return {
        "num_questions": len(sitting.rows),
        "metrics": {name: to_json(score) for name, score in sitting.metrics.items()},
        "metrics_by": {
            split: {name: to_json(score) for name, score in scores.items()}
            for split, scores in sitting.metrics_by.items()
        },
        "seconds": round(sitting.seconds, 3),
    }


def score_table(sitting: Sitting) -> Table:
    """One line a metric: value, 95 % interval, items behind it, value by language.

    What the other tags give is in `score_data` alone: there may be any number of them.
    """
    splits = [split for split in SPLITS if split in sitting.metrics_by]
    table = Table(title=f"{len(sitting.rows)} questions, 95 % intervals")
    table.add_column("metric")
    for name in ("value", "interval", "items", *splits):
        table.add_column(name, justify="right")
    for name in METRICS:
        if name in sitting.metrics:
            score = sitting.metrics[name]
            table.add_row(
                name,
                _value(name, score.value),
                f"{_value(name, score.low)} – {_value(name, score.high)}",
                str(score.count),
                *(_split(name, sitting.metrics_by[split].get(name)) for split in splits),
            )
    return table


def _split(name: str, score: Score | None) -> str:
    return "" if score is None else _value(name, score.value)


def _value(name: str, value: float) -> str:
    return f"{value:.1f}" if name.endswith("_ms") else f"{value:.3f}"

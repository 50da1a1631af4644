"""The report's shape: what scripts and terminals get."""

from __future__ import annotations

import json
from collections.abc import Callable

from rich.console import Console

from flywheel.evaluate import card, exam
from flywheel.records import Answer, ExamQuestion

MakeAnswer = Callable[..., Answer]


def sat(answer: MakeAnswer) -> exam.Sitting:
    questions = [
        ExamQuestion(
            id=str(place), question=f"问题{place}？", evidence=("车轮螺母的拧紧力矩",), tags=("t",)
        )
        for place in range(6)
    ]
    return exam.sit(questions, lambda asked: answer("车轮螺母的拧紧力矩"))


def test_the_data_is_plain_json_with_intervals(answer: MakeAnswer) -> None:
    data = json.loads(json.dumps(card.score_data(sat(answer)), allow_nan=False))
    assert data["num_questions"] == 6
    score = {"value": 1.0, "low": 1.0, "high": 1.0, "count": 6}
    assert data["metrics"]["evidence_recall_at_10"] == score
    assert data["metrics_by"]["zh"]["evidence_recall_at_10"] == score
    assert "t" in data["metrics_by"]
    assert data["seconds"] >= 0


def test_the_table_has_a_line_a_metric_and_a_column_a_language(answer: MakeAnswer) -> None:
    console = Console(width=120, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(card.score_table(sat(answer)))
    shown = captured.get()
    assert "evidence_recall_at_10" in shown
    assert "1.000 – 1.000" in shown
    assert " zh " in shown
    assert "false_answer_rate" not in shown

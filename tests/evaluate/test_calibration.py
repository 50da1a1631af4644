"""The bins of the reliability diagram are those of the expected calibration error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.evaluate import metrics
from flywheel.evaluate.calibration import reliability, share
from flywheel.evaluate.metrics import Row
from flywheel.records import Answer, ExamQuestion


def row(confidence: float, hit: bool | None) -> Row:
    question = ExamQuestion(id=str(confidence), question="q")
    answer = Answer(
        question="q", answer="", draft="", kind="answer", confidence=confidence, citations=(),
        passages=(),
    )  # fmt: skip
    values = {} if hit is None else {"brier": (confidence - hit) ** 2}
    return Row(question=question, answer=answer, latency_ms=1, group="g", hit=hit, values=values)


def test_questions_lie_in_the_fifth_of_their_confidence() -> None:
    rows = [row(0.0, False), row(0.2, True), row(0.39, False), row(1.0, True), row(0.7, None)]
    bins = reliability(rows)
    assert [each.count for each in bins] == [1, 2, 0, 0, 1]
    assert bins[1].confidence == pytest.approx(0.295)
    assert bins[1].hits is not None and bins[1].hits.value == 0.5
    assert bins[2].hits is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_bins_come_to_the_calibration_error(pairs: list[tuple[float, bool]]) -> None:
    rows = [row(*pair) for pair in pairs]
    gap = sum(
        each.count * abs(each.confidence - each.hits.value)
        for each in reliability(rows)
        if each.hits
    )
    error = metrics.score(rows)["ece"].value
    assert gap / len(rows) == pytest.approx(error, abs=1e-9)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_interval_of_a_share_holds_it_and_stays_within_one(pair: tuple[int, int]) -> None:
    told = share(*pair)
    assert told is not None
    assert 0 <= told.low <= told.value <= told.high <= 1
    assert told.low < told.high


def test_share_of_nothing_is_none() -> None:
    assert share(0, 0) is None

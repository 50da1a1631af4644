"""What is kept of two sittings is compared as the sittings themselves would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from sqlalchemy import Connection
from tests.wheel.conftest import Domain

from flywheel.errors import UsageError
from flywheel.store import exam_rows, versions
from flywheel.store.exam_rows import ExamRow
from flywheel.wheel.comparison import EVERYTHING, compare_kept


def row(
    name: str,
    hit: bool,
    *,
    language: Literal["en", "zh"] = "en",
    group: str = "",
    digest: str = "d",
) -> ExamRow:
    """A question whose evidence is found first, or not at all."""
    value = float(hit)
    return ExamRow(
        question=name,
        digest=digest,
        language=language,
        kind="answer",
        confidence=0.9 if hit else 0.2,
        hit=hit,
        values={"evidence_mrr": value, "brier": 0.1, "citation_exact": 1.0},
        latency_ms=5.0,
        num_citations=2,
        group=group,
    )


def keep(domain: Domain, number: int, rows: Sequence[ExamRow]) -> None:
    """Keeps these rows as a version's; one that is not there yet is made like version 1."""

    def write(conn: Connection) -> None:

        if versions.get(conn, number) is None:
            versions.put(conn, replace(versions.require(conn, 1), number=number, parent=1))
        exam_rows.put_all(conn, number, {}, rows)

    domain.workspace.database.write(write)


def test_gain_is_seen_in_what_is_kept(domain: Domain) -> None:
    keep(domain, 1, [row(f"q{n}", n % 2 == 0) for n in range(60)])
    keep(domain, 2, [row(f"q{n}", True) for n in range(60)])
    found = compare_kept(domain.workspace, 1, 2)
    assert found is not None
    assert (found.first, found.second, found.num_questions, found.num_left_out) == (1, 2, 60, 0)
    gains = {each.metric: each for each in found.gains[EVERYTHING]}
    mrr = gains["evidence_mrr"]
    assert (mrr.champion, mrr.challenger, mrr.gain, mrr.num_groups) == (0.5, 1.0, 0.5, 60)
    assert 0.3 < mrr.low_seen < 0.5 < mrr.high_seen < 0.7 and mrr.is_better
    assert (gains["citation_exact"].gain, gains["citation_exact"].num_changed) == (0, 0)
    assert not [name for name in gains if name.startswith("latency_")]
    back = compare_kept(domain.workspace, 2, 1)
    assert back is not None
    assert {each.metric: each.gain for each in back.gains[EVERYTHING]}["evidence_mrr"] == -0.5


def test_near_duplicates_count_as_one(domain: Domain) -> None:
    keep(domain, 1, [row(f"q{n}", False, group="g") for n in range(20)] + [row("q", True)])
    keep(domain, 2, [row(f"q{n}", True, group="g") for n in range(20)] + [row("q", True)])
    found = compare_kept(domain.workspace, 1, 2)
    assert found is not None
    (mrr,) = [each for each in found.gains[EVERYTHING] if each.metric == "evidence_mrr"]
    assert (mrr.num_groups, mrr.num_changed, mrr.is_better) == (2, 1, False)


def test_languages_are_told_apart(domain: Domain) -> None:
    def rows(english: bool) -> list[ExamRow]:
        return [row(f"e{n}", english) for n in range(20)] + [
            row(f"z{n}", True, language="zh") for n in range(20)
        ]

    keep(domain, 1, rows(False))
    keep(domain, 2, rows(True))
    found = compare_kept(domain.workspace, 1, 2)
    assert found is not None and list(found.gains) == [EVERYTHING, "en", "zh"]
    gain = {
        part: {each.metric: each.gain for each in gains}["evidence_mrr"]
        for part, gains in found.gains.items()
    }
    assert gain == {EVERYTHING: 0.5, "en": 1.0, "zh": 0.0}


def test_only_questions_that_both_were_asked_are_compared(domain: Domain) -> None:
    keep(domain, 1, [row("a", True), row("b", True), row("c", True)])
    keep(domain, 2, [row("a", True), row("b", True, digest="edited"), row("d", True)])
    found = compare_kept(domain.workspace, 1, 2)
    assert found is not None
    assert (found.num_questions, found.num_left_out) == (1, 4)


def test_nothing_is_compared_where_nothing_is_kept(domain: Domain) -> None:
    keep(domain, 1, [])
    keep(domain, 2, [row("a", True)])
    assert compare_kept(domain.workspace, 1, 2) is None
    with pytest.raises(UsageError, match="no version 9"):
        compare_kept(domain.workspace, 1, 9)

"""The learning curve tells each version's scores beside how much it learned from."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection
from tests.wheel.conftest import Domain

from flywheel.store import versions
from flywheel.wheel.learning_curve import learning_curve


def test_points_tell_scores_and_what_was_learned_from(domain: Domain) -> None:
    def write(conn: Connection) -> None:
        first = versions.require(conn, 1)
        second = replace(first, number=2, parent=1, decision="kept")
        versions.put(conn, second)
        versions.put_lineage(conn, second, ["a", "b"], [])
        versions.put(conn, replace(first, number=3, parent=1, erased="e1"))
        versions.put(conn, replace(first, number=4, parent=1, metrics={}))

    domain.workspace.database.write(write)
    for _ in range(2):
        first, second = learning_curve(domain.workspace)
        assert (first.number, first.num_acts, first.has_served) == (1, 0, True)
        assert (second.number, second.num_acts, second.has_served) == (2, 2, False)
        assert second.scores["evidence_mrr"].count > 0

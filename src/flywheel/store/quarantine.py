"""What curators decided on acts in quarantine: values ↔ rows, on the caller's connection.

The acts themselves stand in the ledger and never change; that they are in quarantine follows
from their times (learn/trust.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select

from flywheel.records import QuarantineDecision
from flywheel.store.groups import in_groups
from flywheel.store.tables import quarantine


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A decision on one act."""

    id: str
    decision: QuarantineDecision
    decided_by: str
    decided_at: str
    """UTC, ISO 8601."""


def of_acts(conn: Connection, ids: Sequence[str]) -> list[Judged]:
    """The decisions on those of these acts that were decided on."""
    found: list[Judged] = []
    for group in in_groups(ids):
        rows = conn.execute(select(quarantine).where(quarantine.c.id.in_(group)))
        found.extend(Judged(**row._mapping) for row in rows)
    return found


def decide(
    conn: Connection, ids: Sequence[str], decision: QuarantineDecision, decided_by: str, at: str
) -> None:
    """Keeps a decision on acts, in place of an earlier one."""
    for group in in_groups(ids):
        conn.execute(delete(quarantine).where(quarantine.c.id.in_(group)))
        rows = [
            {"id": id, "decision": decision, "decided_by": decided_by, "decided_at": at}
            for id in group
        ]
        conn.execute(insert(quarantine), rows)


def put_all(conn: Connection, judged: Sequence[Judged]) -> None:
    """Keeps decisions as they were. Nothing else is kept of these acts."""
    if judged:
        conn.execute(insert(quarantine), [asdict(each) for each in judged])


def decisions(conn: Connection) -> dict[str, QuarantineDecision]:
    """Every decision, by the act's id."""
    return {row.id: row.decision for row in conn.execute(select(quarantine))}

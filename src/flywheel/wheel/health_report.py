"""The health of feedback as it was last measured: kept, since measuring reads all of it.

Each turn in the background measures it at its end, and whoever looks may ask for it anew. Nobody's
name and no act's id is kept, so that there is nothing to erase. Not here: what is measured
(learn/health.py) and what one act is left out for (learn/objections.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flywheel.learn.health import Verdict
from flywheel.records import from_json, to_json
from flywheel.store import feedback, state
from flywheel.wheel.health import Health, health

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

_KEPT = "health"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One measure, without anybody's name."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    count: int
    verdict: Verdict
    values: Mapping[str, str] = field(default_factory=dict)
    """What its words name besides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What there was to say on all feedback."""

    at: str
    """When. UTC, ISO 8601."""
    num_rows: int
    """Of feedback that were there, the erased ones too."""
    num_acts: int
    num_examples: int
    num_preferences: int
    readings: tuple[Reading, ...]
    left_out: Mapping[str, int]
    """How many acts teach nothing, by reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The last report, and what has changed since."""

    report: Report | None
    """None before the first."""
    num_since: int
    """Acts that came since; all where there is none."""
    loudest: str
    """Who has said the most; empty where nobody said anything."""


def measure(workspace: Workspace) -> Report:
    """Measures the health of all feedback, and keeps it."""
    with workspace.database.read() as conn:
        num_rows = sum(feedback.count_users(conn).values())
    report = _report(health(workspace), num_rows)
    workspace.database.write(lambda conn: state.put(conn, _KEPT, to_json(report)))
    return report


def kept(workspace: Workspace) -> Kept:
    """The health as it was last measured."""
    with workspace.database.read() as conn:
        found: dict[str, Any] | None = state.get(conn, _KEPT)
        counts = feedback.count_users(conn)
    report = from_json(Report, found) if found else None
    named = [user for user in counts if user]
    return Kept(
        report=report,
        num_since=max(0, sum(counts.values()) - (report.num_rows if report else 0)),
        loudest=max(named, key=lambda user: (counts[user], user), default=""),
    )


def _report(found: Health, num_rows: int) -> Report:
    return Report(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        num_rows=num_rows,
        num_acts=found.num_acts,
        num_examples=found.num_examples,
        num_preferences=found.num_preferences,
        readings=tuple(
            Reading(
                name=each.name,
                value=each.value,
                low=each.low,
                high=each.high,
                count=each.count,
                verdict=each.verdict,
                values=each.values,
            )
            for each in found.measures
        ),
        left_out={reason: len(ids) for reason, ids in found.left_out.items()},
    )

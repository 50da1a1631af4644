"""`flywheel trace`: what an answer came from, and what an act of feedback led to."""

from __future__ import annotations

from typing import Any

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import to_json
from flywheel.wheel import lineage
from flywheel.wheel.lineage import TracedFeedback, TracedInteraction

LISTED = 10
"""Learned questions that are printed; `--json` has them all."""


@click.command()
@click.argument("id")
@show.as_json
@click.pass_context
def trace(context: click.Context, id: str, as_json: bool) -> None:
    """Show what led to an answer, by its interaction's ID, or what became of feedback, by its."""
    with open_workspace(context) as workspace:
        traced = lineage.trace(workspace, id)
    if as_json:
        show.print_json(to_json(traced))
    elif isinstance(traced, TracedFeedback):
        _print_rows(_feedback_rows(traced))
    else:
        _print_rows(_interaction_rows(traced))


def _print_rows(rows: list[tuple[str, str]]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(name, show.one_line(value))
    show.console().print(table)


def _interaction_rows(traced: TracedInteraction) -> list[tuple[str, str]]:
    rows = [
        ("interaction", f"{traced.id}, {traced.at}, {traced.user or 'nobody'}"),
        ("question", traced.question),
    ]
    if traced.answer is None:
        rows.append(("answer", "erased, with what it quoted"))
    else:
        verified = ", verified" if traced.answer.verified else ""
        confidence = f"confidence {traced.answer.confidence:.2f}"
        rows.append((traced.answer.kind, f"{traced.answer.answer} ({confidence}{verified})"))
    rows += _version_rows(traced)
    for number, each in enumerate(traced.cited, start=1):
        place = " › ".join((each.title, *each.headings))
        date = f", {each.date}" if each.date else ""
        where = f"{each.source} › {each.path}" if each.path else each.document
        rows.append((f"[{number}]", f"{place}: “{each.quote}” ({where}{date}; {each.state})"))
    if traced.correction:
        rows.append(("answered by", _feedback_line(traced.correction)))
    for taught in traced.taught[:LISTED]:
        rows.append(("learned from", f"{taught.feedback}, {taught.user}: {taught.question}"))
    if len(traced.taught) > LISTED:
        rows.append(("", f"… and {len(traced.taught) - LISTED} more: --json lists them all"))
    rows += [("feedback", _feedback_line(each)) for each in traced.given]
    return rows


def _version_rows(traced: TracedInteraction) -> list[tuple[str, str]]:
    version = traced.version
    if version is None:
        return []
    parent = f", parent {version.parent}" if version.parent else ""
    erased = ", erased since" if version.erased else ""
    said = f"{version.number}, {version.decision}{parent}{erased}, {version.bundle_hash[:16]}"
    return [("version", said), *(("", reason) for reason in version.reasons)]


def _feedback_rows(traced: TracedFeedback) -> list[tuple[str, str]]:
    act = traced.feedback
    rows = [("feedback", f"{act.id}, {act.kind}"), ("by", f"{act.user} ({act.role}), {act.at}")]
    told: list[tuple[str, Any]] = [
        ("question", act.question),
        ("answer", act.answer),
        ("reason", act.reason),
        ("interaction", act.interaction),
    ]
    rows += [(name, value) for name, value in told if value]
    rows += [("evidence", piece) for piece in act.evidence]
    if traced.correction:
        rows.append(("correction", _state(traced)))
    learned = ", ".join(map(str, traced.versions))
    rows.append(("learned by", f"version {learned}" if learned else f"none: {traced.reason}"))
    return rows


def _feedback_line(traced: TracedFeedback) -> str:
    act = traced.feedback
    state = f": {_state(traced)}" if traced.correction else ""
    return f"{act.id}, {act.kind} by {act.user} ({act.role}), {act.at}{state}"


def _state(traced: TracedFeedback) -> str:
    """What holds of a correction now."""
    entry = traced.correction
    assert entry is not None
    correction = entry.correction
    decided = f" (by {entry.decided_by})" if entry.decided_by else ""
    if entry.withdrawn:
        return f"withdrawn: {entry.withdrawn}{decided}"
    told = ["verified" if correction.verified else "its user's own, not verified"]
    if correction.disputed:
        told.append("disputed")
    if correction.review:
        told.append(f"in review: {correction.review}")
    return ", ".join(told) + decided

"""`flywheel feedback health`: whether what users say can be learned from."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.learn.health import Measure
from flywheel.wheel.health import Health
from flywheel.wheel.health import health as measure_health

LISTED = 5
"""Ids that are printed for a reason; `--json` has them all."""


@click.command()
@show.as_json
@click.pass_context
def health(context: click.Context, as_json: bool) -> None:
    """Say whether feedback can be learned from, and what is left out and why."""
    with open_workspace(context) as workspace:
        found = measure_health(workspace)
    if as_json:
        show.print_json(asdict(found))
        return
    console = show.console()
    console.print(_measures(found))
    console.print(_left_out(found))
    num_left_out = sum(map(len, found.left_out.values()))
    console.print(
        f"{show.count(found.num_acts, 'act')} kept; they give "
        f"{show.count(found.num_examples, 'example')} and "
        f"{show.count(found.num_preferences, 'preference')}; {num_left_out} left out"
    )


def _measures(found: Health) -> Table:
    table = Table("measure", "value", "95 %", "from", "verdict", box=None)
    for each in found.measures:
        verdict = f"{each.verdict}: {show.one_line(each.words)}"
        table.add_row(each.name, *_figures(each), f"{each.count} {each.of}", verdict)
    return table


def _figures(each: Measure) -> tuple[str, str]:
    if each.value is None or each.low is None or each.high is None:
        return "–", ""
    counted = each.low == each.high
    return f"{each.value:.2f}", "" if counted else f"{each.low:.2f} to {each.high:.2f}"


def _left_out(found: Health) -> Table:
    table = Table("left out of the learning", "acts", "ids", box=None)
    for reason, ids in found.left_out.items():
        more = f" … and {len(ids) - LISTED} more" if len(ids) > LISTED else ""
        table.add_row(reason, str(len(ids)), show.one_line(", ".join(ids[:LISTED])) + more)
    return table

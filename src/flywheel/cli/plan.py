"""`flywheel plan`: what fits this machine and this workspace, and why."""

from __future__ import annotations

import click
from rich.table import Table

from flywheel.build.planned import Plan
from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import to_json
from flywheel.wheel.planning import plan as make_plan


@click.command()
@show.as_json
@click.pass_context
def plan(context: click.Context, as_json: bool) -> None:
    """Say which model of its own fits: sizes, memory, time, and why."""
    with open_workspace(context) as workspace:
        planned = make_plan(workspace)
    if as_json:
        totals = {"memory_bytes": planned.memory_bytes, "seconds": planned.seconds}
        show.print_json(to_json(planned) | totals)
        return
    console = show.console()
    console.print(_table(planned))
    for note in planned.notes:
        console.print(show.one_line(note))


def _table(planned: Plan) -> Table:
    table = Table("what", "value", "why", "source", box=None, padding=(0, 2, 0, 0))
    for reason in planned.reasons:
        cells = (reason.what, reason.value, reason.why, reason.source)
        table.add_row(*map(show.one_line, cells))
    return table

"""`flywheel doctor`: whether a workspace can serve, and what to do where it cannot."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from flywheel.cli import show
from flywheel.cli.workspace import expanded
from flywheel.wheel.workspace import Workspace


@click.command()
@show.as_json
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Look at settings, store, versions, keys, disk and what else serving needs; change nothing.

    Ends with 1 where something fails. Each line says what was found, and what to do.
    """
    from flywheel.wheel.doctor.examine import examine

    found = examine(expanded(Workspace.find(context.obj)))
    fails = any(each.status == "fail" for each in found)
    if as_json:
        show.print_json({"ok": not fails, "checks": [asdict(each) for each in found]})
    else:
        for each in found:
            advice = f"  — {show.one_line(each.advice)}" if each.advice else ""
            click.echo(f"{each.status:<4}  {show.one_line(each.what)}{advice}")
    if fails:
        sys.exit(1)

"""`flywheel feedback review`, `confirm` and `withdraw`: corrections that wait for a curator."""

from __future__ import annotations

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import Correction, to_json
from flywheel.wheel import feedback as wheel
from flywheel.wheel.feedback import OWNER
from flywheel.wheel.review.corrections import Waiting, waiting


@click.command()
@show.as_json
@click.pass_context
def review(context: click.Context, as_json: bool) -> None:
    """List the corrections that wait: disputed, without evidence, or only suggested."""
    with open_workspace(context) as workspace:
        found = waiting(workspace)
    if as_json:
        show.print_json({"corrections": [_as_json(each) for each in found]})
        return
    for each in found:
        _print(each)
    click.echo(f"{show.count(len(found), 'correction')} wait for a curator")
    if found:
        click.echo("To decide: flywheel feedback confirm ID, or flywheel feedback withdraw ID")


@click.command()
@click.argument("id")
@show.as_json
@click.pass_context
def confirm(context: click.Context, id: str, as_json: bool) -> None:
    """Serve the correction ID to all; those that contradict it are withdrawn."""
    with open_workspace(context) as workspace:
        correction = wheel.confirm(workspace, id, OWNER)
    if as_json:
        show.print_json(to_json(correction))
    else:
        click.echo(f"{_says(correction)}\nserved to all from now on")


@click.command()
@click.argument("id")
@show.as_json
@click.pass_context
def withdraw(context: click.Context, id: str, as_json: bool) -> None:
    """Serve the correction ID to nobody from now on."""
    with open_workspace(context) as workspace:
        wheel.withdraw(workspace, id, OWNER)
    if as_json:
        show.print_json({"withdrawn": id})
    else:
        click.echo(f"{show.one_line(id)} is withdrawn")


def _as_json(each: Waiting) -> dict[str, object]:
    against = [to_json(other) for other in each.against]
    return to_json(each.correction) | {"reasons": list(each.reasons), "against": against}


def _print(each: Waiting) -> None:
    click.echo(f"{_says(each.correction)}\n  waits: {'; '.join(each.reasons)}")
    for other in each.against:
        click.echo(f"  against {_says(other)}")
    click.echo()


def _says(correction: Correction) -> str:
    said = f'"{correction.question}" → "{correction.answer}"'
    return show.one_line(f"{correction.id}, {correction.user}: {said}")

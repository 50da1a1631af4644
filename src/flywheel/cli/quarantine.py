"""`flywheel feedback quarantine`, `release` and `reject`: askers' acts that came in a burst."""

from __future__ import annotations

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import QuarantineDecision, to_json
from flywheel.wheel.feedback import OWNER
from flywheel.wheel.quarantine import Quarantined, decide, quarantined

_ids = click.argument("ids", metavar="[ID]...", nargs=-1)
_user = click.option("--user", default="", help="All of this user's acts that wait.")


@click.command()
@show.as_json
@click.pass_context
def quarantine(context: click.Context, as_json: bool) -> None:
    """List what came in a burst, and what was decided on it."""
    with open_workspace(context) as workspace:
        entries = quarantined(workspace)
    if as_json:
        acts = [to_json(each.act) | {"decision": each.decision} for each in entries]
        show.print_json({"acts": acts})
        return
    for each in entries:
        click.echo(_line(each))
    waiting = sum(each.decision is None for each in entries)
    click.echo(f"{waiting} of {show.count(len(entries), 'act')} in quarantine wait for a curator")


@click.command()
@_ids
@_user
@show.as_json
@click.pass_context
def release(context: click.Context, ids: tuple[str, ...], user: str, as_json: bool) -> None:
    """Let acts in quarantine teach from the next turn on."""
    _decide(context, "released", ids, user, as_json)


@click.command()
@_ids
@_user
@show.as_json
@click.pass_context
def reject(context: click.Context, ids: tuple[str, ...], user: str, as_json: bool) -> None:
    """Never learn from acts in quarantine."""
    _decide(context, "rejected", ids, user, as_json)


def _decide(
    context: click.Context,
    decision: QuarantineDecision,
    ids: tuple[str, ...],
    user: str,
    as_json: bool,
) -> None:
    if not ids and not user:
        raise click.UsageError("Name the IDs of acts, or their --user.", context)
    with open_workspace(context) as workspace:
        num_acts = decide(workspace, decision, OWNER, ids, user)
    if as_json:
        show.print_json({decision: num_acts})
    else:
        click.echo(f"{show.count(num_acts, 'act')} {decision}")


def _line(each: Quarantined) -> str:
    act = each.act
    decided = each.decision or "waits"
    return show.one_line(
        f"{act.id}  {act.at[:16]}  {act.user}  {act.kind}  {decided}  {act.question}"
    )

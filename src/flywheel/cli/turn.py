"""`flywheel turn`: one revolution of the wheel."""

from __future__ import annotations

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.evaluate.card import score_table
from flywheel.records import to_json
from flywheel.wheel import turn as wheel


@click.command()
@click.option(
    "--model", is_flag=True, help="Build a language model too, from [build] in flywheel.toml."
)
@show.as_json
@click.pass_context
def turn(context: click.Context, model: bool, as_json: bool) -> None:
    """Build a version from what is staged, examine it, and promote it if it is good enough."""
    with open_workspace(context) as workspace, show.progress_bar() as progress:
        turned = wheel.turn(workspace, progress, model=model)
    if as_json:
        show.print_json(
            {
                "version": turned.version,
                "decision": turned.decision,
                "reasons": list(turned.reasons),
                "champion": turned.champion,
                "metrics": {name: to_json(score) for name, score in turned.metrics.items()},
                "seconds": round(turned.seconds, 3),
            }
        )
        return
    print_turned(turned)


def print_turned(turned: wheel.Turned) -> None:
    """What a turn came to: the score table, the decision and its reasons."""
    console = show.console()
    if turned.sitting is None:
        console.print(f"{turned.reasons[0].capitalize()}. Version {turned.champion} serves.")
        return
    console.print(score_table(turned.sitting))
    decision = f"Version {turned.version}: {turned.decision}, in {turned.seconds:.1f} s"
    console.print(f"{decision}. Version {turned.champion} serves.")
    for reason in turned.reasons:
        console.print(f"  {reason}")

"""`flywheel versions`: what the turns have built, which of it serves, and how they compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import to_json
from flywheel.wheel import versions as wheel

if TYPE_CHECKING:
    from rich.table import Table

    from flywheel.wheel.comparison import Compared

reason_option = click.option("--reason", default="", help="Why; kept in the history.")


@click.group(invoke_without_command=True)
@show.as_json
@click.pass_context
def versions(context: click.Context, as_json: bool) -> None:
    """List the versions: scores with intervals, decision, parent; the champion is marked."""
    if context.invoked_subcommand:
        return
    with open_workspace(context) as workspace:
        listed = wheel.list_versions(workspace)
        primary = workspace.settings.gate.primary
    if as_json:
        show.print_json(
            {
                "versions": [
                    to_json(each)
                    | {
                        "asked": listed.asked.get(each.number, 0),
                        "feedback": listed.rated.get(each.number, {}),
                    }
                    for each in listed.versions
                ],
                "champion": listed.champion,
                "history": [to_json(each) for each in listed.history],
            }
        )
        return
    if not listed.versions:
        click.echo("No version yet. Make one from what is staged: flywheel turn")
        return
    show.console().print(_table(listed, primary))


@versions.command()
@click.argument("number", type=int)
@reason_option
@show.as_json
@click.pass_context
def promote(context: click.Context, number: int, reason: str, as_json: bool) -> None:
    """Let version NUMBER serve from the next question on, whatever the gate said of it."""
    with open_workspace(context) as workspace:
        promoted = wheel.promote(workspace, number, reason=reason)
    _print_promoted(promoted, as_json)


@versions.command()
@reason_option
@show.as_json
@click.pass_context
def rollback(context: click.Context, reason: str, as_json: bool) -> None:
    """Go back to the champion before; again, to the one before that."""
    with open_workspace(context) as workspace:
        promoted = wheel.rollback(workspace, reason=reason)
    _print_promoted(promoted, as_json)


@versions.command()
@click.argument("a", type=int)
@click.argument("b", type=int)
@show.as_json
@click.pass_context
def compare(context: click.Context, a: int, b: int, as_json: bool) -> None:
    """Let versions A and B sit the workspace's exam, and show what B gains. Decides nothing."""
    from flywheel.wheel.comparison import compare_versions

    with open_workspace(context) as workspace, show.progress_bar() as progress:
        compared = compare_versions(workspace, a, b, progress)
    if as_json:
        show.print_json(_compared_data(compared))
        return
    show.console().print(_gains_table(compared))
    if compared.synthetic:
        click.echo("The exam is synthetic: questions made from the documents, not users' own.")


def _print_promoted(promoted: wheel.Promoted, as_json: bool) -> None:
    if as_json:
        show.print_json(
            {
                "champion": promoted.champion,
                "before": promoted.before,
                "passed": list(promoted.passed),
            }
        )
        return
    for problem in promoted.passed:
        click.echo(problem)
    instead = f", in place of version {promoted.before}" if promoted.before else ""
    click.echo(f"Version {promoted.champion} serves{instead}.")


def _table(listed: wheel.Listed, primary: str) -> Table:
    from rich.table import Table

    table = Table(title=show.count(len(listed.versions), "version"))
    for name in ("version", "made", "parent", primary, "interval", "decision", "reasons"):
        table.add_column(name)
    for each in listed.versions:
        score = each.metrics.get(primary)
        table.add_row(
            f"{each.number}{' (serves)' if each.number == listed.champion else ''}",
            each.created_at,
            str(each.parent or ""),
            f"{score.value:.3f}" if score else "",
            f"{score.low:.3f} – {score.high:.3f}" if score else "",
            "erased: never serves again" if each.erased else each.decision,
            show.one_line("; ".join(each.reasons)),
        )
    return table


def _compared_data(compared: Compared) -> dict[str, Any]:
    return {
        "versions": [compared.first, compared.second],
        "num_questions": compared.num_questions,
        "synthetic": compared.synthetic,
        "gains": {
            part: {
                each.metric: {
                    "first": each.champion,
                    "second": each.challenger,
                    "gain": each.gain,
                    "low": each.low_seen,
                    "high": each.high_seen,
                    "num_groups": each.num_groups,
                    "num_changed": each.num_changed,
                }
                for each in gains
            }
            for part, gains in compared.gains.items()
        },
    }


def _gains_table(compared: Compared) -> Table:
    """One line a metric; of each language apart the gain alone, the rest is in `--json`."""
    from rich.table import Table

    whole, *parts = compared.gains
    apart = {
        part: {each.metric: f"{each.gain:+.3f}" for each in compared.gains[part]} for part in parts
    }
    table = Table(
        title=f"version {compared.second} against {compared.first}, "
        f"{compared.num_questions} questions, 95 % intervals"
    )
    table.add_column("metric")
    heads = (f"version {compared.first}", f"version {compared.second}", "gain", "interval")
    for name in (*heads, "differ", *(f"gain {part}" for part in parts)):
        table.add_column(name, justify="right")
    for each in compared.gains[whole]:
        table.add_row(
            each.metric,
            f"{each.champion:.3f}",
            f"{each.challenger:.3f}",
            f"{each.gain:+.3f}",
            f"{each.low_seen:+.3f} – {each.high_seen:+.3f}",
            f"{each.num_changed} of {each.num_groups}",
            *(apart[part].get(each.metric, "") for part in parts),
        )
    return table

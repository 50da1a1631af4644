"""`flywheel versions`: what the turns have built."""

from __future__ import annotations

import click
from rich.table import Table

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.records import to_json
from flywheel.store import feedback, interactions
from flywheel.store import versions as version_store


@click.command()
@show.as_json
@click.pass_context
def versions(context: click.Context, as_json: bool) -> None:
    """List the versions: scores, decision, parent; the champion is marked."""
    with open_workspace(context) as workspace, workspace.database.read() as conn:
        every = version_store.list_versions(conn)
        champion = version_store.champion(conn)
        primary = workspace.settings.gate.primary
        asked, rated = interactions.count_versions(conn), feedback.count_rated(conn)
    serving = champion.number if champion else None
    if as_json:
        # A series to look at; the gate never sees it, since users rate what they happen to ask.
        data = [
            to_json(each)
            | {"asked": asked.get(each.number, 0), "feedback": rated.get(each.number, {})}
            for each in every
        ]
        show.print_json({"versions": data, "champion": serving})
        return
    if not every:
        click.echo("No version yet. Make one from what is staged: flywheel turn")
        return
    table = Table(title=show.count(len(every), "version"))
    for name in ("version", "made", "parent", primary, "decision", "reasons"):
        table.add_column(name)
    for each in every:
        score = each.metrics.get(primary)
        table.add_row(
            f"{each.number}{' (serves)' if each.number == serving else ''}",
            each.created_at,
            str(each.parent or ""),
            f"{score.value:.3f}" if score else "",
            each.decision,
            "; ".join(each.reasons),
        )
    show.console().print(table)

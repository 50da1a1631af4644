"""`flywheel feedback`: what users said about answers, brought in and judged by the owner."""

from __future__ import annotations

from pathlib import Path

import click

from flywheel.cli import show
from flywheel.cli.health import health
from flywheel.cli.quarantine import quarantine, reject, release
from flywheel.cli.review import confirm, review, withdraw
from flywheel.cli.workspace import open_workspace
from flywheel.wheel.feedback import Accepted, import_file

LISTED = 20
"""Notes that are printed; `--json` has them all."""


@click.group()
def feedback() -> None:
    """Bring in what users said about answers, and decide on it."""


for command in (review, confirm, withdraw, health, quarantine, release, reject):
    feedback.add_command(command)


@feedback.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--untrusted", is_flag=True, help="Take the edits for askers': none serves all unconfirmed."
)
@show.as_json
@click.pass_context
def import_(context: click.Context, file: Path, untrusted: bool, as_json: bool) -> None:
    """Import FILE, all of it or nothing; its corrections are served at once.

    FILE has one JSON object a line: "kind" (up, down, edit, rank, bookmark, delete, flag or cite)
    and "question" or "interaction", and where they apply "answer", "evidence" (a list of verbatim
    texts of the documents), "candidates", "order", "candidate", "reason", "user", "at" and "id".
    """
    with open_workspace(context) as workspace:
        accepted = import_file(workspace, file, trusted=not untrusted)
    if as_json:
        show.print_json(
            {
                "imported": accepted.imported,
                "known": accepted.known,
                "kinds": dict(accepted.kinds),
                "notes": list(accepted.notes),
                "seconds": round(accepted.seconds, 3),
            }
        )
        return
    _print(accepted)


def _print(accepted: Accepted) -> None:
    kinds = ", ".join(f"{num} {kind}" for kind, num in accepted.kinds.items())
    counts = f"{accepted.imported} imported" + (f" ({kinds})" if kinds else "")
    known = f", {accepted.known} known before" if accepted.known else ""
    click.echo(f"{counts}{known} in {accepted.seconds:.1f} s")
    for note in accepted.notes[:LISTED]:
        click.echo(f"  {note}")
    if len(accepted.notes) > LISTED:
        click.echo(f"  … and {len(accepted.notes) - LISTED} more: --json lists them all")
    if accepted.imported:
        click.echo("Corrections are served from now on. To learn from all of it: flywheel turn")

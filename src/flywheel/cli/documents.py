"""`flywheel add` and `flywheel documents`: what is staged, and what became of every file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import click
from rich.table import Table

from flywheel.cli import show
from flywheel.cli.workspace import open_workspace
from flywheel.wheel import ingest

LISTED = 20
"""Files that `add` names, of those that were not kept."""


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--access",
    multiple=True,
    metavar="LABEL",
    help="Who may read them; repeatable. Default: as before, or everybody.",
)
@show.as_json
@click.pass_context
def add(
    context: click.Context, sources: tuple[str, ...], access: tuple[str, ...], as_json: bool
) -> None:
    """Collect files, folders, archives or http(s) pages, and stage them for the next turn."""
    with open_workspace(context) as workspace, show.progress_bar() as progress:
        added = ingest.add(workspace, sources, access or None, progress)
    if as_json:
        rows = [file_row(each) for each in added.files]
        show.print_json({"documents": rows, "seconds": round(added.seconds, 3)})
        return
    print_added(added)
    if added.num_deleted or any(each.fate != "unchanged" for each in added.files):
        click.echo("Next: flywheel turn")


def print_added(added: ingest.Added) -> None:
    """What an add did, in words: counts, then the files that were set aside."""
    counts = Counter(each.fate for each in added.files)
    parts = [f"{num} {fate}" for fate, num in counts.most_common()]
    if added.num_deleted:
        parts.append(f"{added.num_deleted} deleted")
    num_files = show.count(len(added.files), "file")
    click.echo(f"{num_files} in {added.seconds:.1f} s: {', '.join(parts)}")
    aside = [each for each in added.files if each.fate not in ("kept", "unchanged")]
    for each in aside[:LISTED]:
        click.echo(f"  {each.fate:<10} {show.one_line(f'{each.path}: {each.reason}')}")
    if len(aside) > LISTED:
        click.echo(f"  … and {len(aside) - LISTED} more: flywheel documents")


def file_row(each: ingest.FileFate) -> dict[str, Any]:
    """A file's fate as `--json` prints it."""
    return {
        "source": each.source,
        "path": each.path,
        "fate": each.fate,
        "reason": each.reason,
        "passages": each.passages,
    }


@click.command()
@show.as_json
@click.pass_context
def documents(context: click.Context, as_json: bool) -> None:
    """List every file that was added, with its fate and the reason."""
    with open_workspace(context) as workspace:
        rows = ingest.staged(workspace)
    if as_json:
        show.print_json({"documents": [file_row(each) for each in rows]})
        return
    if not rows:
        click.echo("No documents yet. Add some: flywheel add DOCUMENTS")
        return
    show.console().print(_table(rows))


def _table(rows: Sequence[ingest.FileFate]) -> Table:
    table = Table(title=show.count(len(rows), "file"))
    for name in ("source", "path", "fate", "passages", "reason"):
        table.add_column(name, justify="right" if name == "passages" else "left")
    for each in rows:
        source, path = show.one_line(PurePath(each.source).name), show.one_line(each.path)
        table.add_row(source, path, each.fate, str(each.passages), show.one_line(each.reason))
    return table

"""`flywheel backup` and `flywheel restore`: all that cannot be made again, in one file and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flywheel.cli import show
from flywheel.cli.workspace import expanded, open_workspace
from flywheel.errors import WorkspaceError
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from flywheel.wheel.backup.make import Manifest


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@show.as_json
@click.pass_context
def backup(context: click.Context, file: Path, as_json: bool) -> None:
    """Write all that cannot be made again to FILE, also while the server runs.

    FILE may be a folder: the backup in it is named after the time. Keep it where only you can
    read it, since it holds everything.
    """
    from flywheel.wheel.backup.make import backup as back_up

    with open_workspace(context) as workspace, show.progress_bar() as progress:
        made = back_up(workspace, expanded(file), progress)
    if as_json:
        show.print_json(
            {
                "file": str(made.file),
                "bytes": made.size_bytes,
                "at": made.at,
                "champion": made.champion,
                "rows": made.num_rows,
                "files": made.num_files,
                "notes": list(made.notes),
                "seconds": round(made.seconds, 3),
            }
        )
        return
    click.echo(
        f"{made.file}: {show.count(made.num_rows, 'row')} and "
        f"{show.count(made.num_files, 'file')} as of {made.at}, "
        f"{made.size_bytes / 2**20:.1f} MiB, in {made.seconds:.1f} s"
    )
    for note in made.notes:
        click.echo(f"  {show.one_line(note)}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--store", default="", metavar="URL", help="A blank database to restore into.")
@click.option("--yes", is_flag=True, help="Replace the workspace that is there without a question.")
@show.as_json
@click.pass_context
def restore(
    context: click.Context, file: Path, folder: Path | None, store: str, yes: bool, as_json: bool
) -> None:
    """Make FOLDER the workspace that FILE is a backup of.

    FOLDER is the workspace that the other commands would use, or this folder where there is none.
    What was erased in it after the backup was made is erased again.
    """
    from flywheel.wheel.backup import restore as wheel

    root = expanded(folder) if folder else _found(context)
    file = expanded(file)
    over = yes
    if Workspace.is_at(root) and not yes:
        _confirm(root, wheel.read_manifest(file, root.absolute()))
        over = True
    with show.progress_bar() as progress:
        made = wheel.restore(file, root, store=store, over=over, progress=progress)
    if as_json:
        show.print_json(
            {
                "folder": str(made.root),
                "at": made.at,
                "champion": made.champion,
                "rows": made.num_rows,
                "files": made.num_files,
                "erased_again": made.num_erased_again,
                "notes": list(made.notes),
                "seconds": round(made.seconds, 3),
            }
        )
        return
    serves = f"version {made.champion} serves" if made.champion else "no version serves"
    click.echo(
        f"{made.root} is as it was at {show.one_line(made.at)}: {serves}; "
        f"{show.count(made.num_rows, 'row')} and {show.count(made.num_files, 'file')}, "
        f"in {made.seconds:.1f} s"
    )
    if made.num_erased_again:
        click.echo(f"  {show.count(made.num_erased_again, 'erasure')} done again")
    for note in made.notes:
        click.echo(f"  {show.one_line(note)}")


def _found(context: click.Context) -> Path:
    try:
        return expanded(Workspace.find(context.obj))
    except WorkspaceError:
        return Path()


def _confirm(root: Path, manifest: Manifest) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{root} is a workspace: add --yes to replace it without a question."
        )
    click.echo(
        f"{root} is a workspace. What came in after {show.one_line(manifest.at)} is lost: "
        "questions, feedback, documents, versions and keys.",
        err=True,
    )
    click.confirm("Replace it?", abort=True, err=True)

"""`flywheel init`, and how the other commands find their workspace."""

from __future__ import annotations

from pathlib import Path

import click

from flywheel.errors import WorkspaceError
from flywheel.wheel.workspace import Workspace


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.pass_context
def init(context: click.Context, folder: Path | None) -> None:
    """Make FOLDER (default: this one) a workspace, with a commented flywheel.toml."""
    with Workspace.init(expanded(folder or context.obj or Path())) as workspace:
        click.echo(f"{workspace.root} is a workspace now. Next: flywheel add DOCUMENTS")


def open_workspace(context: click.Context) -> Workspace:
    """The workspace that `--workspace`, the environment or the current folder names."""
    return Workspace.open(expanded(Workspace.find(context.obj)))


def expanded(folder: Path) -> Path:
    """A folder with its `~` as the home that it stands for.

    Raises:
        WorkspaceError: `~name` where nobody has that name.
    """
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise WorkspaceError(f"{folder}: there is no such home. Write the path in full.") from error

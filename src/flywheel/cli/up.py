"""`flywheel up`: from a folder of documents to an assistant, in one command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from flywheel.cli import show
from flywheel.cli.documents import print_added
from flywheel.cli.turn import print_turned
from flywheel.cli.workspace import expanded
from flywheel.errors import WorkspaceError
from flywheel.wheel import ingest
from flywheel.wheel import turn as wheel
from flywheel.wheel.workspace import Workspace


@click.command()
@click.argument("documents", nargs=-1, required=True)
@click.pass_context
def up(context: click.Context, documents: tuple[str, ...]) -> None:
    """Make a workspace if there is none, add DOCUMENTS, turn the wheel once, and serve."""
    with _opened(context) as workspace:
        with show.progress_bar() as progress:
            added = ingest.add(workspace, documents, progress=progress)
        print_added(added)
        with show.progress_bar() as progress:
            turned = wheel.turn(workspace, progress)
        print_turned(turned)
        root = workspace.root
    _serve(root)


def _serve(root: Path) -> None:
    """In the place of this process, which holds the memory that a turn has taken."""
    sys.stdout.flush()
    code = "from flywheel.cli import main; main()"
    os.execv(sys.executable, [sys.executable, "-P", "-c", code, "-w", str(root), "serve"])


def _opened(context: click.Context) -> Workspace:
    """The workspace that is there, or a new one in the folder named or in this one."""
    try:
        folder = Workspace.find(context.obj)
    except WorkspaceError:
        folder = Path()
    folder = expanded(folder)
    if Workspace.is_at(folder):
        return Workspace.open(folder)
    workspace = Workspace.init(folder)
    click.echo(f"{workspace.root} is a workspace now.")
    return workspace

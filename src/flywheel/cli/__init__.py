"""The command line: parse → build → run → show, and no logic of its own.

Every command does what the Python API does too. Results go to stdout (as one JSON object with
`--json`), progress and warnings to stderr. Ends with 0; 1 for a user's error; 2 for wrong usage.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import click

from flywheel.cli import ask, documents, exam, turn, up, versions, workspace
from flywheel.errors import FlywheelError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flywheel-assistant", prog_name="flywheel")
@click.option(
    "-w",
    "--workspace",
    type=click.Path(path_type=Path),
    help="The workspace's folder. Default: FLYWHEEL_WORKSPACE, or from here upwards.",
)
@click.pass_context
def flywheel(context: click.Context, workspace: Path | None) -> None:
    """Your documents and your users' corrections, as a small, cited, measured assistant."""
    context.obj = workspace


for command in (
    workspace.init,
    documents.add,
    documents.documents,
    turn.turn,
    ask.ask,
    exam.exam,
    versions.versions,
    up.up,
):
    flywheel.add_command(command)


def main() -> None:
    """The `flywheel` command."""
    try:
        flywheel(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("Stopped. What is finished is kept; the same command goes on from there.")
    except FlywheelError as error:
        _fail(str(error))
    except BrokenPipeError:
        # Whoever reads has seen enough; Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail("The disk is full. Free some space and run the same command again.")


def _fail(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(1)

"""The command line: parse → build → run → show, and no logic of its own.

Every command does what the Python API does too. Results go to stdout (as one JSON object with
`--json`), progress and warnings to stderr. Ends with 0; 1 for a user's error; 2 for wrong usage.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import cast

import click

from flywheel.errors import FlywheelError, UsageError

COMMANDS = {
    "init": ("workspace", "Make a folder a workspace."),
    "add": ("documents", "Collect documents, and stage them for the next turn."),
    "documents": ("documents", "List what was added, and what became of every file."),
    "turn": ("turn", "Build a version, examine it, and let it serve if it is good enough."),
    "ask": ("ask", "Answer a question, with citations."),
    "feedback": ("feedback", "Bring in what users said about answers, and decide on it."),
    "exam": ("exam", "Say how good the answers to a file of questions are."),
    "versions": ("versions", "List the versions; promote one, roll back, compare two."),
    "plan": ("plan", "Say which model of its own fits this machine, and why."),
    "vocabulary": ("vocabulary", "Show what a base's vocabulary is worth here; trim it."),
    "serve": ("serve", "Serve it: an API as OpenAI's, for many people at once."),
    "keys": ("keys", "Make, list and revoke the keys that let people and programs in."),
    "moderation": ("moderation", "Train and try what looks after questions and answers."),
    "backup": ("backup", "Write all that cannot be made again to one file."),
    "restore": ("backup", "Make a folder the workspace that a backup is of."),
    "doctor": ("doctor", "Say what is wrong with a workspace, and what to do."),
    "trace": ("trace", "Show what an answer or an act of feedback came from and led to."),
    "erase": ("erase", "Erase a user, a source or an interaction, and prove it."),
    "up": ("up", "All at once: init, add, turn and serve."),
}
"""Name → the module that it stands in, and its line in the list of commands."""

_UNLISTED = {"worker": "worker"}
"""Those that other programs start, not people."""


class Commands(MutableMapping[str, click.Command]):
    """The commands, each imported when it is first looked at.

    `flywheel --help` takes 0.1 s so, and 1.5 s with all that the commands import.
    """

    def __init__(self) -> None:
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            file = _UNLISTED.get(name) or COMMANDS[name][0]
            module = importlib.import_module(f"{__name__}.{file}")
            self._added[name] = cast(click.Command, getattr(module, name))
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS.keys() | _UNLISTED.keys() | self._added.keys())

    def __len__(self) -> int:
        return len(list(iter(self)))


class Group(click.Group):
    """Lists the commands in the order in which they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names; the list of commands is printed by `format_commands` without them."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=Group, commands=Commands(), context_settings={"help_option_names": ["-h", "--help"]}
)
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


def main() -> None:
    """The `flywheel` command."""
    try:
        flywheel(prog_name="flywheel", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _fail("Stopped. What is finished is kept; the same command goes on from there.")
    except UsageError as error:
        _fail(str(error), code=2)
    except FlywheelError as error:
        _fail(str(error))
    except BrokenPipeError:
        # Whoever reads has seen enough; Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(_explained(error))


def _explained(error: OSError) -> str:
    """What a state of the machine means for the user.

    Raises:
        OSError: it is none that a user could mend.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Free some space and run the same command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
        return f"{error.filename}: {error.strerror}. See who may read and write there."
    raise error


def _fail(message: str, code: int = 1) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)

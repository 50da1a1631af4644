"""Runs a command in a process of its own, which ends with kill -9 at a named moment.

A moment is a function that the command calls: the process dies when it is called, or when it has
just returned. All processes are forked from one that has imported what they need.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

CODE = """
import importlib, json, os, signal, sys
import lancedb, sklearn.linear_model, sklearn.ensemble
import flywheel.cli.erase, flywheel.cli.versions
from flywheel.cli import main

def die_at(moment):
    when, _, place = moment.partition(" ")
    module, _, name = place.rpartition(":")
    owner = importlib.import_module(module)
    *path, name = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    function = getattr(owner, name)

    def dying(*arguments, **named):
        if when == "after":
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)

for line in sys.stdin:
    moment, arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        die_at(moment)
        sys.argv = ["flywheel", *arguments]
        main()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killer:
    """The process that the others are forked from."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, moment: str, arguments: Sequence[str]) -> int:
        """The exit status: -9 where the moment came, `before` or `after` a `module:function`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([moment, list(arguments)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def killer() -> Iterator[Killer]:
    """A process to fork from, as long as it is needed."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Killer(process)
        process.kill()

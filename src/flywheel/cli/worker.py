"""`flywheel worker`: the process that does the jobs, for `flywheel serve` and other supervisors."""

from __future__ import annotations

import os
import signal
import stat
import threading

import click

from flywheel.cli.workspace import open_workspace
from flywheel.wheel.worker import Worker

NICENESS = 10
"""Of 20: so the server's answers go before."""


@click.command(hidden=True)
@click.pass_context
def worker(context: click.Context) -> None:
    """Do the jobs that the server is asked for, one after the other, until it is told to stop.

    Ends with SIGTERM, with Ctrl-C, or when whoever holds the other end of its stdin is gone.
    """
    _stand_back()
    with open_workspace(context) as workspace:
        doing = Worker(workspace)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: doing.stop())
        if _has_holder():
            threading.Thread(target=_stop_with_holder, args=(doing,), daemon=True).start()
        doing.work()


def _stand_back() -> None:
    """Leaves the server a core, where there are several, and the first place on all of them."""
    os.nice(NICENESS)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[1:] or cores)


def _has_holder() -> bool:
    """Whether stdin is a pipe. A service manager's /dev/null has ended from the start."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _stop_with_holder(doing: Worker) -> None:
    while os.read(0, 1024):
        pass
    doing.stop()

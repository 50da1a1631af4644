"""Runs a command and measures it: seconds on the clock, and the peak memory of all its processes.

Memory is the sum of the resident sizes of the command and its descendants, sampled every 20 ms
from /proc. Pages that forked processes share count for each of them, so that the figure errs on
the high side. Where there is no /proc it is the largest single process, as the system reports it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.02
_PROC = Path("/proc")
FLYWHEEL = (sys.executable, "-c", "from flywheel.cli import main; main()")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What a command printed and took."""

    stdout: str
    seconds: float
    peak_bytes: int


class CommandFailed(Exception):
    """A measured command ended with another code than 0."""


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Runs a command to its end.

    Raises:
        CommandFailed: with the last lines that the command wrote to stderr.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=out, stderr=err, env=os.environ | dict(environment or {})
        )
        sampler = _Sampler(process.pid)
        sampler.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        sampler.finish()
        out.seek(0)
        err.seek(0)
        if code:
            last = "\n".join(err.read().strip().splitlines()[-5:])
            raise CommandFailed(f"{' '.join(command[:6])} … ended with {code}: {last}")
        return Run(stdout=out.read(), seconds=seconds, peak_bytes=sampler.peak_bytes)


def flywheel(workspace: Path, *arguments: str) -> Run:
    """Runs one `flywheel` command on a workspace."""
    return run([*FLYWHEEL, "-w", str(workspace), *arguments])


class _Sampler(threading.Thread):
    """Watches a process and its descendants until told to finish."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._done = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        while _PROC.is_dir() and not self._done.wait(SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _tree_bytes(self._pid))

    def finish(self) -> None:
        self._done.set()
        self.join()
        if not self.peak_bytes:
            largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            self.peak_bytes = largest if sys.platform == "darwin" else largest * 1024


def _tree_bytes(pid: int) -> int:
    """The resident size of a process and all its descendants, now; 0 once it is gone."""
    total, waiting = 0, [pid]
    while waiting:
        process = waiting.pop()
        try:
            pages = int((_PROC / str(process) / "statm").read_text().split()[1])
            for task in (_PROC / str(process) / "task").iterdir():
                waiting.extend(map(int, (task / "children").read_text().split()))
        except (OSError, IndexError):
            continue
        total += pages * resource.getpagesize()
    return total

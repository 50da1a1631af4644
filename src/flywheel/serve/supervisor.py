"""Keeps one child process running: the turn worker beside the server.

The child reads a pipe that nobody writes to. Its end tells the child to stop, and it comes in any
case when the server's process is no more, however that ended.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Sequence

LOG = logging.getLogger("flywheel.supervisor")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
_TERMINATE_SECONDS = 5.0


class Supervisor:
    """Starts a command, and again whenever it ends, after pauses that grow."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        longest_pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        """
        Args:
            first_pause_seconds: before the second start; each further one doubles it, until the
                child has lived for as long as the longest.
        """
        self._command = list(command)
        self._first, self._longest = first_pause_seconds, longest_pause_seconds
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_at = 0.0
        self._thread = threading.Thread(target=self._keep_up, name="supervisor", daemon=True)

    def start(self) -> None:
        """Starts the child."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Lets the child read the end of its pipe; it is not started again."""
        with self._lock:
            if not self._stopping.is_set():
                self._asked_at = time.monotonic()
            self._stopping.set()
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def stop(self, grace_seconds: float) -> None:
        """Ends the child, which may stop by itself until so long after it was asked."""
        self.ask_to_stop()
        if self._process is not None:
            left = max(0.0, self._asked_at + grace_seconds - time.monotonic())
            if not _ends(self._process, left):
                LOG.warning("The turn worker does not stop by itself, and is ended.")
                self._process.terminate()
                if not _ends(self._process, _TERMINATE_SECONDS):
                    self._process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_up(self) -> None:
        pause = self._first
        while not self._stopping.is_set():
            since = time.monotonic()
            status = self._run()
            if self._stopping.is_set():
                return
            if time.monotonic() - since >= self._longest:
                pause = self._first
            LOG.warning("The turn worker ended (%s); it is started again in %g s.", status, pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, self._longest)

    def _run(self) -> str:
        """Starts the child and waits for its end. What that was like."""
        try:
            with self._lock:
                if self._stopping.is_set():
                    return "not started"
                # In a session of its own, Ctrl+C at the terminal reaches only the server.
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, start_new_session=True
                )
        except OSError as error:
            return error.strerror or "cannot be started"
        status = self._process.wait()
        with self._lock:
            if self._process.stdin is not None:
                self._process.stdin.close()
        return f"status {status}"


def _ends(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True

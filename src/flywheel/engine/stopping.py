"""Lets another thread end a generation: of a caller who went away, or whose time is up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from flywheel.engine.protocol import Generation

G = TypeVar("G", bound=Generation)


class Stopping:
    """Whether an answer is still wanted. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Generation | None = None
        self._is_set = False

    @property
    def is_set(self) -> bool:
        """Whether nobody wants it any more."""
        return self._is_set

    def stop(self) -> None:
        """Ends what is generated now, and whatever would be begun later."""
        with self._lock:
            self._is_set = True
            running = self._running
        if running is not None:
            running.close()

    @contextmanager
    def watching(self, generation: G) -> Iterator[G]:
        """The generation, closed at its end and as soon as it is stopped."""
        with generation:
            with self._lock:
                self._running = generation
                stopped = self._is_set
            try:
                if stopped:
                    generation.close()
                yield generation
            finally:
                with self._lock:
                    self._running = None

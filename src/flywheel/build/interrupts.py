"""Ctrl-C while a model is trained: it is heard between two steps, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is asked for instead of raised, so that no step is left half done; a second one is.

    Only the main thread is ever interrupted.
    """
    is_asked = False

    def ask(*_: Any) -> None:
        nonlocal is_asked
        if is_asked:
            raise KeyboardInterrupt
        is_asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: is_asked
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    if is_asked:
        raise KeyboardInterrupt

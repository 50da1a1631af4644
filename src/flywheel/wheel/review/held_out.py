"""Which questions are held out: those of the exam, and those that ask nearly the same.

For whoever lists what users asked: a held-out question is not to be corrected, since it would then
tell nothing any more of what the versions can do. What learning leaves out, growth.py says.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.errors import FlywheelError
from flywheel.evaluate.exam import read_exam
from flywheel.learn.groups import NEAR_DUPLICATE
from flywheel.search.terms import term_ids
from flywheel.wheel import growth

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

_MAX_REMEMBERED = 5000
"""Questions of which it is known: as many as several lists hold."""


class HeldOut:
    """The held-out questions of one moment. Safe to share between threads."""

    def __init__(self, questions: Iterable[str]) -> None:
        self.questions = tuple(questions)
        self._terms = [_terms(each) for each in self.questions]
        self._known: dict[str, bool] = {}

    def asks(self, question: str) -> bool:
        """Whether one of them asks the same, or nearly."""
        if question not in self._known:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            terms = _terms(question)
            self._known[question] = any(_are_near(terms, each) for each in self._terms)
        return self._known.get(question, False)


_memory: WeakKeyDictionary[Workspace, HeldOut] = WeakKeyDictionary()


def held_out(workspace: Workspace) -> HeldOut:
    """Those of the exam's file and those that were drawn, with or without their answers."""
    with workspace.database.read() as conn:
        questions = (*_written(workspace), *growth.held_out(conn))
    known = _memory.get(workspace)
    if known is None or known.questions != questions:
        known = _memory[workspace] = HeldOut(questions)
    return known


def _written(workspace: Workspace) -> tuple[str, ...]:
    """What the exam's file asks. A file that cannot be read holds nothing out: the turn tells."""
    path = workspace.root / workspace.settings.exam.file
    try:
        status = path.stat()
        # A new state has a new number, however soon it comes and whatever its length.
        return _read(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except (OSError, FlywheelError):
        return ()


@lru_cache(maxsize=4)
def _read(path: Path, modified: int, size: int, number: int) -> tuple[str, ...]:
    return tuple(each.question for each in read_exam(path))


def _terms(question: str) -> frozenset[int]:
    return frozenset(term_ids(question).tolist())


def _are_near(one: frozenset[int], other: frozenset[int]) -> bool:
    above, below = NEAR_DUPLICATE
    shared = len(one & other)
    return shared > 0 and below * shared >= above * (len(one) + len(other) - shared)

"""What the first question would wait for, done before it comes.

Opening an index, reading the word lists and loading a model take from half a second to some
seconds; whoever asks first should not pay for it. And what is there for as long as the server is
need not be looked through by Python's collector again and again: each time it stopped all threads
for a tenth of a second, and of the answers at 30 a second one in a hundred took 290 ms instead of
50.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from typing import TYPE_CHECKING

from flywheel.errors import FlywheelError
from flywheel.wheel import answering
from flywheel.wheel.answering import Question

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

_QUESTIONS = ("Where do I begin, and how?", "从哪里开始，怎么做？")


def warm(workspace: Workspace) -> None:
    """Opens the version that serves, its model in this process, and all that questions need.

    Nothing is kept of it, and nothing is sent to a remote model. Where there is no version yet, or
    it cannot be opened, nothing happens: whoever asks is told.
    """
    with suppress(FlywheelError):
        for question in _QUESTIONS:
            asked = Question(text=question, user="", quoting_only=True)
            _, version = answering.answer(workspace, asked)
        for writer in version.bundle.get("writers", {}).values():
            if writer["model"]:
                workspace.engines.of(writer)
    gc.collect()
    gc.freeze()

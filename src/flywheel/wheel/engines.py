"""The engines that word answers: each opened when it is first asked, closed with what it served.

A version names its engine in its bundle; here it becomes a file of the artifacts, or the remote one
that the settings still name. Light to import: nothing is loaded before an answer is to be worded.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.artifacts import Artifacts
from flywheel.build.machine import memory_bytes
from flywheel.build.settings import MODEL_FILE
from flywheel.engine.settings import EngineSettings
from flywheel.errors import WorkspaceError

if TYPE_CHECKING:
    from flywheel.engine.protocol import Engine


MEMORY_SHARE = 1 / 16
"""Of the machine's memory, for what a model keeps of the answers that it is writing."""
MIN_SLOTS, MAX_SLOTS = 4, 32
"""Answers that a model writes at once. Of 32 askers at 16M parameters, 32 slots tell 1.6 times the
words that 4 do; a request may want 4 candidates."""


class Engines:
    """Those of one workspace. Safe to use from several threads."""

    def __init__(self, artifacts: Artifacts, settings: EngineSettings) -> None:
        self._artifacts, self._settings = artifacts, settings
        self._open: dict[str, Engine] = {}
        self._opening = threading.Lock()

    def of(self, writer: Mapping[str, Any]) -> Engine:
        """The open engine of a writer, as a bundle has it.

        Raises:
            WorkspaceError: it is missing from the artifacts, the settings name it no more, or it
                was examined with other words around the passages.
            EngineError: it cannot be served here.
        """
        key = _key(writer)
        with self._opening:
            if key not in self._open:
                self._open[key] = self._opened(writer)
            return self._open[key]

    def close(self, keep: Iterable[Mapping[str, Any]] = ()) -> None:
        """Closes those that are open; whoever still writes opens one again.

        Args:
            keep: the writers whose engines stay open.
        """
        kept = {_key(writer) for writer in keep}
        with self._opening:
            engines = [self._open.pop(key) for key in self._open.keys() - kept]
        for engine in engines:
            engine.close()

    def _opened(self, writer: Mapping[str, Any]) -> Engine:
        from flywheel.answer.prompt import PROMPT_VERSION

        if writer["prompt"] != PROMPT_VERSION:
            raise WorkspaceError(
                "This version's model was examined with the prompt of another release. "
                "`flywheel turn --model` examines it anew."
            )
        return self._embedded(writer) if writer["model"] else self._remote(writer["engine"])

    def _embedded(self, writer: Mapping[str, Any]) -> Engine:
        from flywheel.answer.prompt import TEMPLATE_TOKENS
        from flywheel.engine.embedded import EmbeddedEngine

        folder = self._artifacts.find("model", writer["model"])
        if folder is None:
            raise WorkspaceError(
                f"A model is missing from {self._artifacts.root}. `flywheel turn --model` builds "
                "it again; `flywheel versions rollback` goes back."
            )
        write = writer["write"]
        context = write["context_tokens"] + write["max_tokens"] + TEMPLATE_TOKENS
        file = folder / MODEL_FILE
        return EmbeddedEngine.open(file, num_slots=num_slots(file, context), context_tokens=context)

    def _remote(self, named: Mapping[str, str]) -> Engine:
        from flywheel.engine.remote import RemoteEngine

        settings = self._settings
        if (settings.url, settings.model) != (named["url"], named["model"]):
            raise WorkspaceError(
                "The settings no longer name the engine that this version was examined with, so "
                "nothing is sent to it."
            )
        return RemoteEngine.open(settings)


def num_slots(file: Path, context_tokens: int, memory: int | None = None) -> int:
    """How many answers a model can write at once in a modest share of the memory.

    Args:
        file: the model as GGUF.
        context_tokens: prompt and answer of each one together.
        memory: in bytes; None is this machine's.
    """
    from flywheel.engine.gguf_head import cache_bytes

    token_bytes = cache_bytes(file)
    if token_bytes is None:
        return MIN_SLOTS
    share = MEMORY_SHARE * (memory_bytes() if memory is None else memory)
    return max(MIN_SLOTS, min(MAX_SLOTS, int(share / (token_bytes * context_tokens))))


def _key(writer: Mapping[str, Any]) -> str:
    return json.dumps([writer["model"], writer["engine"], writer["prompt"]], sort_keys=True)

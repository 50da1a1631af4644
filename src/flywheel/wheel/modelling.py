"""A model of the domain's own: what the workspace gives it to learn from, and where it is kept.

What a model learned it may say to anybody, so it learns only from what everybody may read. Light
to import: torch is loaded when a model is built (build/specialist.py).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flywheel.errors import ModelError, SettingsError
from flywheel.store import documents, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.records import ExamQuestion
    from flywheel.store.versions import Version
    from flywheel.wheel.stages import Learnable, Progress
    from flywheel.wheel.workspace import Workspace

LEARNED = "learned.json"
"""In a model's artifact: the ids of the feedback that taught it."""

NEEDED = ("torch", "transformers", "peft", "gguf", "xllamacpp")


def check(workspace: Workspace) -> None:
    """Sees to it that a model can be built, before anything takes its time.

    Raises:
        SettingsError: the settings name none.
        ModelError: what it takes is not installed.
    """
    settings = workspace.settings
    if settings.engine.url:
        return
    if not settings.build.base:
        raise SettingsError(
            'Name what the model starts from in flywheel.toml: [build] base = "new", a folder, or '
            "a name on the Hugging Face hub. `flywheel plan` says what fits."
        )
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"A model needs {', '.join(missing)}: pip install torch==2.13.0, then "
            "pip install 'flywheel-assistant[model]'."
        )


def writer(
    workspace: Workspace,
    index: str,
    learnable: Learnable,
    exam: Sequence[ExamQuestion],
    progress: Progress,
) -> dict[str, Any]:
    """What words answers, as a bundle has it: the remote engine that is named, or a model.

    Raises:
        ModelError: it cannot be built here, or what is to be served is not what was trained.
    """
    from flywheel.answer.prompt import PROMPT_VERSION

    settings = workspace.settings
    write = settings.write.model_dump(mode="json")
    common = {"write": write, "prompt": PROMPT_VERSION}
    if settings.engine.url:
        return {"model": "", "engine": settings.engine.model_dump(mode="json"), **common}
    raise NotImplementedError


def put_lineage(conn: Connection, workspace: Workspace, version: Version) -> None:
    """Keeps what the version's models were made of, so that an erasure finds them."""
    for each in version.bundle.get("writers", {}).values():
        if each["model"] and not versions.held_by(conn, each["model"]):
            learned = _learned(workspace, each["model"])
            versions.put_held(conn, each["model"], {*documents.shown(conn), *learned})


def _learned(workspace: Workspace, key: str) -> list[str]:
    folder = workspace.artifacts.find("model", key)
    learned: list[str] = json.loads((folder / LEARNED).read_text()) if folder else []
    return learned

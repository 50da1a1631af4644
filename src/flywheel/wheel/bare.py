"""The bare model: the one that words answers, asked for itself, without documents or checks.

For curators, who look at what it learned, and for the writing aid. The champion's where it has one;
else that of the newest version that was tried with one; else the engine that the settings name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flywheel.answer.prompt import PROMPT_VERSION
from flywheel.store import versions

if TYPE_CHECKING:
    from flywheel.engine.protocol import Engine
    from flywheel.wheel.workspace import Workspace


def writer(workspace: Workspace) -> dict[str, Any] | None:
    """What words answers, as a bundle has it; None where there is nothing."""
    return next(_writers(workspace), None)


def engine(workspace: Workspace) -> Engine | None:
    """The open engine of it; None where there is none.

    Raises:
        EngineError: it cannot be served here.
    """
    found = writer(workspace)
    return None if found is None else workspace.engines.of(found)


def _writers(workspace: Workspace) -> Iterator[dict[str, Any]]:
    with workspace.database.read() as conn:
        champion = versions.champion(conn)
        newest = list(reversed(versions.list_versions(conn)))
    for version in [champion, *newest] if champion else newest:
        for each in version.bundle.get("writers", {}).values():
            if not version.erased and _is_there(workspace, each):
                yield each
    settings = workspace.settings
    if settings.engine.url:
        named = {"url": settings.engine.url, "model": settings.engine.model}
        write = settings.write.model_dump(mode="json")
        yield {"model": "", "engine": named, "write": write, "prompt": PROMPT_VERSION}


def _is_there(workspace: Workspace, writer: dict[str, Any]) -> bool:
    """Whether it can still be asked: neither erased nor taken out of the settings."""
    if writer["prompt"] != PROMPT_VERSION:
        return False
    if writer["model"]:
        return workspace.artifacts.find("model", writer["model"]) is not None
    engine = workspace.settings.engine
    return (engine.url, engine.model) == (writer["engine"]["url"], writer["engine"]["model"])

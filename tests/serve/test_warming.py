"""A server is warm before the first question, and has asked nobody and kept nothing for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.serve.warming import warm
from flywheel.store import interactions
from flywheel.wheel.ingest import add
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import Workspace


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """What is frozen for a server is not for the other tests."""
    yield
    gc.unfreeze()


def test_the_version_that_serves_is_open_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "锁.md").write_text("# Locks 锁\n\nTurn the key. 转动钥匙。\n", encoding="utf-8")
    with Workspace.init(tmp_path / "workspace") as workspace:
        add(workspace, [str(documents)])
        turn(workspace)
        warm(workspace)
        with workspace.database.read() as conn:
            assert interactions.count_versions(conn) == {}
        monkeypatch.setattr(workspace, "assemble", None)  # what is open needs it no more
        assert "Locks" in workspace.ask("Where is the key?").answer.answer


def test_without_a_version_there_is_nothing_to_warm(tmp_path: Path) -> None:
    with Workspace.init(tmp_path) as workspace:
        warm(workspace)
    assert gc.get_freeze_count() > 0

"""The commands as a user types them, in this process; and one workspace that is ready."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flywheel.cli import main

DOCUMENTS = {
    "doors.md": """# Doors

Every door opens from inside by pulling the handle twice.

## Child lock

The child lock sits on the edge of each rear door. Turn it with the key.
""",
    "车窗.md": """# 车窗

## 防夹保护

车窗上升时遇到阻力会自动停下并略微下降。
""",
    "note.txt": "x",
}


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        (line,) = self.out.splitlines()
        value: dict[str, Any] = json.loads(line)
        return value


Run = Callable[..., Ended]


@pytest.fixture
def flywheel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command as `flywheel` would, in the folder where the test stands."""
    monkeypatch.delenv("FLYWHEEL_WORKSPACE", raising=False)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["flywheel", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    return run


@pytest.fixture(scope="session")
def _ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from flywheel.wheel.ingest import add
    from flywheel.wheel.turn import turn
    from flywheel.wheel.workspace import Workspace

    place = tmp_path_factory.mktemp("cli") / "place"
    (place / "documents").mkdir(parents=True)
    for path, text in DOCUMENTS.items():
        (place / "documents" / path).write_text(text, encoding="utf-8")
    with Workspace.init(place / "workspace") as workspace:
        add(workspace, [str(place / "documents")])
        turn(workspace)
    shutil.copytree(place, place.with_name("kept"))
    return place


@pytest.fixture
def ready(_ready: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with version 1, where the test stands; `../documents` is what it is made of."""
    monkeypatch.chdir(_ready.parent)
    shutil.rmtree(_ready)
    shutil.copytree(_ready.with_name("kept"), _ready)
    monkeypatch.chdir(_ready / "workspace")
    return _ready / "workspace"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, where the test stands; there is no workspace above it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

"""A small domain: a folder of documents, the workspace made of it, and what its user does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flywheel.records import Answer
from flywheel.wheel import ingest
from flywheel.wheel.ingest import FileFate
from flywheel.wheel.turn import Turned, turn
from flywheel.wheel.workspace import Workspace

DOCUMENTS = {
    "doors.md": """# Doors

Every door opens from inside by pulling the handle twice.

## Child lock

The child lock sits on the edge of each rear door. Turn it with the key.

## Window lock

Press the button with the crossed window to block the rear windows.
""",
    "车窗.md": """# 车窗

## 儿童锁

儿童锁在后车门的边缘。用钥匙转动它即可锁上。

## 防夹保护

车窗上升时遇到阻力会自动停下并略微下降。
""",
    "charging-2023.md": """# Charging at home (2023)

The wallbox charges with at most 7 kilowatts. A full charge takes nine hours.

## Timer

Set the departure time in the menu, then the battery is warm when you leave.
""",
    "charging-2025.md": """# Charging at home (2025)

The wallbox charges with at most 11 kilowatts. A full charge takes six hours.

## Timer

Set the departure time in the menu, then the battery is warm when you leave.
""",
}


class Domain:
    """One domain at its place on the disk; every step is what a user would do."""

    def __init__(self, place: Path) -> None:
        self.documents, self.root = place / "documents", place / "workspace"
        self._open: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        """Open, with the settings as they stood at the first look since `configure`."""
        if self._open is None:
            there = Workspace.is_at(self.root)
            self._open = Workspace.open(self.root) if there else Workspace.init(self.root)
        return self._open

    def configure(self, toml: str) -> None:
        """Writes flywheel.toml, for whoever opens the workspace next."""
        self.close()
        (self.root / "flywheel.toml").write_text(toml, encoding="utf-8")

    def write(self, path: str, text: str | bytes) -> Path:
        """Puts a document into the folder."""
        place = self.documents / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        return place

    def add(self, *sources: Path | str, access: Sequence[str] | None = None) -> list[FileFate]:
        """Every file with its fate, of the folder if no other source is named."""
        named = [str(each) for each in sources or (self.documents,)]
        return list(ingest.add(self.workspace, named, access).files)

    def fates(self, *sources: Path | str, access: Sequence[str] | None = None) -> dict[str, str]:
        """Adds, and gives each path with its fate."""
        return {each.path: each.fate for each in self.add(*sources, access=access)}

    def turn(self) -> Turned:
        """One revolution."""
        return turn(self.workspace)

    def ask(self, question: str, labels: Sequence[str] | None = None) -> Answer:
        """What the champion answers to whoever may read these labels."""
        return self.workspace.ask(question, labels=labels).answer

    def found(self, question: str, labels: Sequence[str] | None = None) -> str:
        """The texts of all that a question finds."""
        return "\n".join(each.text for each in self.ask(question, labels).passages)

    def close(self) -> None:
        """Closes the workspace."""
        if self._open is not None:
            self._open.close()
            self._open = None


def kept(domain: Domain, place: Path) -> Path:
    """Closes a domain and keeps a copy of it beside its place: an id follows from a path."""
    domain.close()
    shutil.copytree(place, place.with_name("kept"))
    return place


def restored(place: Path) -> Iterator[Domain]:
    """The domain as it was kept, at the same place, for one test."""
    shutil.rmtree(place)
    shutil.copytree(place.with_name("kept"), place)
    domain = Domain(place)
    yield domain
    domain.close()


@pytest.fixture(autouse=True)
def _no_workspace_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYWHEEL_WORKSPACE", raising=False)


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[Domain]:
    """A workspace with nothing in it, beside an empty folder."""
    domain = Domain(tmp_path)
    domain.documents.mkdir()
    assert domain.workspace
    yield domain
    domain.close()


@pytest.fixture(scope="session")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where version 1 of the domain is, and as it was beside it."""
    place = tmp_path_factory.mktemp("wheel") / "domain"
    domain = Domain(place)
    for path, text in DOCUMENTS.items():
        domain.write(path, text)
        os.utime(domain.documents / path, (1_700_000_000, 1_700_000_000))
    domain.add()
    domain.turn()
    return kept(domain, place)


@pytest.fixture
def domain(_place: Path) -> Iterator[Domain]:
    """The four documents, added and turned into version 1."""
    yield from restored(_place)

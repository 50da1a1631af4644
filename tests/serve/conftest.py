"""A workspace that is served: by the real server on a port of its own, in this process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from flywheel.records import Role
from flywheel.serve.server import Server, bind, make_config, url_of
from flywheel.wheel import keys
from flywheel.wheel.ingest import add
from flywheel.wheel.serving import ServeSettings
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

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
    "tyres.md": """# Tyres

## Pressure

The tyre pressure is 2.4 bar in front and 2.6 bar at the rear.

## Winter

In winter the tyre pressure is 0.2 bar higher.
""",
}
FOR_STAFF = {
    "pay.md": """# Pay

The workshop pays its apprentices nine hundred zorkmids a month.
""",
}


@dataclass(frozen=True)
class Served:
    """A running server, and how to reach it as whom."""

    url: str
    workspace: Workspace
    app: FastAPI
    secrets: dict[Role, str]

    @property
    def base_url(self) -> str:
        """What clients of the OpenAI API are given."""
        return f"{self.url}/v1"

    def client(self, role: Role = "asker") -> httpx.Client:
        """Speaks to the server as somebody in this role."""
        headers = {"Authorization": f"Bearer {self.secrets[role]}"}
        return httpx.Client(base_url=self.base_url, headers=headers, timeout=30, trust_env=False)

    def key(self, role: Role, name: str, *access: str) -> str:
        """Another key's secret."""
        return keys.add(self.workspace.database, name, role, access or None).secret


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Runs an app on a free port; gives its URL."""
    settings = ServeSettings(port=0, grace_seconds=1)
    with bind("127.0.0.1", 0) as listener:
        server = Server(make_config(app, settings), settings.grace_seconds)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        try:
            yield url_of(listener, "127.0.0.1")
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("serve") / "place"
    for folder, documents in (("documents", DOCUMENTS), ("staff", FOR_STAFF)):
        (place / folder).mkdir(parents=True)
        for path, text in documents.items():
            (place / folder / path).write_text(text, encoding="utf-8")
    with Workspace.init(place / "workspace") as workspace:
        add(workspace, [str(place / "documents")])
        add(workspace, [str(place / "staff")], access=["staff"])
        turn(workspace)
    shutil.copytree(place, place.with_name("kept"))
    return place


@pytest.fixture
def root(_built: Path) -> Path:
    """The folder of a workspace with version 1, as it was built."""
    shutil.rmtree(_built)
    shutil.copytree(_built.with_name("kept"), _built)
    return _built / "workspace"


@pytest.fixture
def serve(root: Path) -> Iterator[Callable[[str], Served]]:
    """Serves the workspace with the settings that a test gives as TOML."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def served(settings: str = "") -> Served:
            from flywheel.serve.app import create_app

            (root / "flywheel.toml").write_text(settings, encoding="utf-8")
            workspace = stack.enter_context(Workspace.open(root))
            roles: tuple[Role, ...] = ("asker", "curator", "owner")
            made = {
                role: keys.add(workspace.database, f"the {role}", role).secret for role in roles
            }
            app = create_app(workspace)
            url = stack.enter_context(serving(app))
            return Served(url=url, workspace=workspace, app=app, secrets=made)

        yield served


@pytest.fixture
def served(serve: Callable[[str], Served]) -> Served:
    """The workspace served as it comes."""
    return serve("")

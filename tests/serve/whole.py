"""The whole server as `flywheel serve` runs it, its sockets' bounds too, on a thread of a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from tests.serve.standing import SECONDS, Client

from flywheel.records import Role
from flywheel.serve.guard import GUARD, Guard
from flywheel.serve.protocol import SocketBounds
from flywheel.serve.server import Server, bind, make_config
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

    from flywheel.serve.bodies import Patience


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """A running server, and how to reach it as whom."""

    port: int
    workspace: Workspace
    app: FastAPI
    secrets: dict[Role, str]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, role: Role | None = "asker", secret: str = "") -> httpx.Client:
        """Speaks to it as somebody in this role, with this secret, or as nobody."""
        secret = secret or (self.secrets[role] if role else "")
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, trust_env=False)

    def key(self, role: Role, name: str, *access: str) -> str:
        """Another key's secret."""
        return keys.add(self.workspace.database, name, role, access or None).secret

    def connection(self) -> Client:
        """A socket that says exactly what it is told."""
        return Client(self.port)


@contextmanager
def whole(
    root: Path,
    settings: str = "",
    *,
    bounds: SocketBounds | None = None,
    patience: Patience | None = None,
) -> Iterator[Whole]:
    """Serves a workspace with the settings that a test gives as TOML."""
    from flywheel.serve.app import create_app

    (root / "flywheel.toml").write_text(settings, encoding="utf-8")
    with Workspace.open(root) as workspace:
        roles: tuple[Role, ...] = ("asker", "curator", "owner")
        secrets = {role: keys.add(workspace.database, f"the {role}", role).secret for role in roles}
        app = create_app(workspace)
        listener = bind("127.0.0.1", 0)
        server = Server(make_config(app, workspace.settings.serve, bounds), grace_seconds=0)
        started = threading.Event()
        server.on_started = started.set
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            assert started.wait(SECONDS)
            guard: Guard = server.lifespan.state[GUARD]
            guard._patience = patience or guard._patience
            yield Whole(
                port=listener.getsockname()[1], workspace=workspace, app=app, secrets=secrets
            )
        finally:
            server.should_exit = True
            thread.join(SECONDS)
            listener.close()

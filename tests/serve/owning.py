"""The owner's routes alone, in a small app around a blank workspace, without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from flywheel.records import Role
from flywheel.serve import documents, jobs, versions
from flywheel.serve.auth import Callers
from flywheel.serve.cache import AnswerCache
from flywheel.serve.errors import add_handlers
from flywheel.serve.limits import Guesses, Limits
from flywheel.serve.metrics import Metrics
from flywheel.serve.service import Service
from flywheel.store import jobs as job_store
from flywheel.store.jobs import Job
from flywheel.wheel import jobs as wheel_jobs
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace

SETTINGS = """
[serve]
requests_per_minute = 1000000
max_upload_megabytes = 1
upload_quota_megabytes = 2
"""


@dataclass(frozen=True)
class Owned:
    """The app, its workspace and who may call it."""

    app: FastAPI
    workspace: Workspace
    client: TestClient
    """Calls as an owner who may read everything."""
    clients: dict[str, TestClient] = field(default_factory=dict)

    def calling(self, name: str, role: Role = "owner", *access: str) -> TestClient:
        """Calls by a key of its own."""
        if name not in self.clients:
            secret = keys.add(self.workspace.database, name, role, access or None).secret
            headers = {"Authorization": f"Bearer {secret}"}
            # A defect is told as 500, as a real server tells it.
            client = TestClient(self.app, headers=headers, raise_server_exceptions=False)
            self.clients[name] = client
        return self.clients[name]

    def work(self) -> list[Job]:
        """Does what waits, as the worker would; gives what it came to."""
        ended: list[Job] = []
        while (job := self.workspace.database.write(_begin_next)) is not None:
            wheel_jobs.run_job(self.workspace.root, job.id)
            done = wheel_jobs.get(self.workspace, job.id)
            assert done is not None
            ended.append(done)
        return ended


def _begin_next(conn: Connection) -> Job | None:
    id = job_store.next_queued(conn)
    return None if id is None else job_store.start(conn, id, wheel_jobs.now())


@contextmanager
def owned(root: Path) -> Iterator[Owned]:
    """A workspace in that folder, blank where there is none."""
    if not Workspace.is_at(root):
        Workspace.init(root).close()
        (root / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")
    with Workspace.open(root) as workspace:
        settings = workspace.settings
        service = Service(
            workspace,
            limits=Limits(settings.serve),
            guesses=Guesses(),
            callers=Callers(),
            cache=AnswerCache(settings.cache),
            metrics=Metrics(),
        )
        app = FastAPI()
        app.state.service = service
        add_handlers(app)
        for each in (documents, jobs, versions):
            app.include_router(each.router)
        made = keys.add(workspace.database, "ines", "owner")
        headers = {"Authorization": f"Bearer {made.secret}"}
        try:
            yield Owned(
                app, workspace, TestClient(app, headers=headers, raise_server_exceptions=False)
            )
        finally:
            service.close()


def error(reply: Any) -> dict[str, Any]:
    """An error's fields."""
    found: dict[str, Any] = reply.json()["error"]
    return found

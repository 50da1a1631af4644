"""What who runs the server looks at: is it alive, is it ready, and its figures for Prometheus."""

from __future__ import annotations

from typing import get_args

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from flywheel.errors import FlywheelError
from flywheel.serve.auth import Owner
from flywheel.serve.metrics import CONTENT_TYPE, Metrics
from flywheel.serve.service import Service, Serving
from flywheel.serve.shapes import ERRORS
from flywheel.store import jobs as job_store
from flywheel.store import versions as version_store
from flywheel.store.jobs import JobState
from flywheel.wheel.workspace import Workspace

router = APIRouter(tags=["operations"], responses=ERRORS)


class Health(BaseModel):
    """How the server is."""

    status: str


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """Whether the process runs. Needs no key, and tells nothing else."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", response_model=Health)
async def readyz(service: Serving) -> Response:
    """Whether questions are answered: the store, a version and its index. Needs no key."""
    try:
        await service.run(_look, service.workspace)
    except FlywheelError:
        # What is wrong is for `flywheel doctor`, not for whoever asks.
        return JSONResponse({"status": "not ready"}, 503, {"Retry-After": "10"})
    return JSONResponse({"status": "ready"})


@router.get("/metrics", responses={200: {"content": {CONTENT_TYPE: {}}}})
async def metrics(service: Serving, caller: Owner) -> Response:
    """The figures, as Prometheus reads them; with an owner's key."""
    _read(service)
    page = await service.run(service.metrics.page)
    return Response(page, media_type=CONTENT_TYPE)


def add_readings(metrics: Metrics, workspace: Workspace) -> None:
    """Has the jobs and the versions looked up whenever somebody reads the figures."""

    def jobs() -> dict[str, float]:
        with workspace.database.read() as conn:
            counted = job_store.count_states(conn)
        return {state: counted.get(state, 0) for state in get_args(JobState)}

    def versions() -> dict[str, float]:
        with workspace.database.read() as conn:
            champion = version_store.champion(conn)
            newest = version_store.next_number(conn) - 1
        return {"champion": champion.number if champion else 0, "newest": newest}

    metrics.add_readings("flywheel_jobs", "Turns and adds in the background, by state.", jobs)
    metrics.add_readings(
        "flywheel_version", "Numbers of versions; 0 where there is none.", versions
    )


def _look(workspace: Workspace) -> None:
    workspace.assistant(workspace.champion())


def _read(service: Service) -> None:
    service.metrics.running.set(service.limits.num_running)
    service.metrics.waiting.set(service.limits.num_waiting)

"""`/v1/turns` and `/v1/jobs`: what owners let the worker do, and how far that is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from flywheel.records import to_json
from flywheel.serve.auth import Owner
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Service, Serving
from flywheel.serve.shapes import ERRORS, Body
from flywheel.store.jobs import Job, JobKind, JobState, TurnArguments
from flywheel.wheel import jobs
from flywheel.wheel.keys import Caller

router = APIRouter(prefix="/v1", tags=["jobs"], responses=ERRORS)

MAX_LISTED = 100

Limit = Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many at most.")]

_EXAMPLE: dict[str, Any] = {
    "object": "job",
    "id": "6f1d0c6e8f0b4d5aa3f2b1c0d9e8f7a6",
    "kind": "add",
    "arguments": {"access": ["public"], "files": ["handbook.pdf", "手册.docx"]},
    "user": "ines",
    "state": "done",
    "created_at": "2026-05-04T09:30:00.125+00:00",
    "started_at": "2026-05-04T09:30:00.501+00:00",
    "ended_at": "2026-05-04T09:30:04.777+00:00",
    "progress": {"stage": "collect", "done": 2, "total": 2},
    "result": {
        "fates": {"kept": 2},
        "documents": [
            {
                "source": "upload:efa1f375d7619434",
                "path": "handbook.pdf",
                "fate": "kept",
                "reason": "",
                "passages": 41,
            }
        ],
        "num_deleted": 0,
        "seconds": 2.913,
    },
    "error": "",
}


class TurnBody(Body):
    """What a turn is told."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": False}, {"model": True}]},
    )

    model: bool = Field(
        default=False,
        strict=True,
        description="Builds a language model too, as `[build]` says, or tries `[engine]`'s.",
    )


class ProgressOut(BaseModel):
    """How far a job has come."""

    stage: str = Field(description="`waiting` where a command holds the workspace.")
    done: int
    total: int = Field(description="0 where nobody can tell.")


class JobOut(BaseModel):
    """One job of the worker."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    object: Literal["job"]
    id: str
    kind: JobKind
    arguments: dict[str, Any] = Field(
        description="Of a turn `model`; of an add the `files` and their `access` labels; of a "
        "source, which is added in the console, its `source` and their `access` labels."
    )
    user: str
    state: JobState
    created_at: str
    started_at: str | None
    ended_at: str | None
    progress: ProgressOut
    result: dict[str, Any] = Field(
        description="Once done: what `flywheel turn --json` or `flywheel add --json` prints."
    )
    error: str = Field(description="Why it failed.")


class JobList(BaseModel):
    """Jobs, the latest first."""

    object: Literal["list"]
    data: list[JobOut]
    has_more: bool


@router.post("/turns", status_code=202, response_model=JobOut, summary="Start a turn")
async def start_turn(service: Serving, caller: Owner, body: TurnBody | None = None) -> Response:
    """Lets the worker build a version from what is staged and corrected, and examine it.

    Where such a turn waits already, that one is the reply.
    """
    arguments = TurnArguments(model=body.model if body else False)
    async with service.limits.admitted(caller.key):
        job = await service.run(jobs.submit, service.workspace, arguments, caller)
    return JSONResponse(job_data(job), 202)


@router.get("/jobs", response_model=JobList, summary="List jobs")
async def list_jobs(
    service: Serving,
    caller: Owner,
    limit: Limit = 20,
    after: Annotated[str, Query(description="Goes on behind the job of this id.")] = "",
) -> Response:
    """Lists what the worker does, has done and is to do, the latest first."""
    async with service.limits.admitted(caller.key):
        before = await _find(service, caller, after) if after else None
        if after and before is None:
            raise ApiError(400, "after: there is no such job.", param="after")
        found = await service.run(
            jobs.list_jobs, service.workspace, limit + 1, before, caller.access
        )
    return JSONResponse(
        {
            "object": "list",
            "data": [job_data(each) for each in found[:limit]],
            "has_more": len(found) > limit,
        }
    )


@router.get("/jobs/{id}", response_model=JobOut, summary="Show a job")
async def get_job(service: Serving, caller: Owner, id: str) -> Response:
    """Shows a job: its state, how far it has come, and what it came to."""
    async with service.limits.admitted(caller.key):
        return JSONResponse(job_data(await _require(service, caller, id)))


@router.post("/jobs/{id}/cancel", response_model=JobOut, summary="Cancel a job")
async def cancel_job(service: Serving, caller: Owner, id: str) -> Response:
    """Cancels a job that waits or runs. What it has finished stays, and is not done again."""
    async with service.limits.admitted(caller.key):
        await _require(service, caller, id)
        await service.run(jobs.cancel, service.workspace, id, caller)
        job = await _require(service, caller, id)
    if job.state != "cancelled":
        raise ApiError(409, f"This job has ended: it is {job.state}.", code="job_ended")
    return JSONResponse(job_data(job))


def job_data(job: Job) -> dict[str, Any]:
    """A job as it is told."""
    values = to_json(job)
    values.pop("attempts")
    return {"object": "job", "kind": job.kind} | values


async def _find(service: Service, caller: Caller, id: str) -> Job | None:
    return await service.run(jobs.get, service.workspace, id, caller.access)


async def _require(service: Service, caller: Caller, id: str) -> Job:
    job = await _find(service, caller, id)
    if job is None:
        raise ApiError(404, "There is no such job. GET /v1/jobs lists them.", code="job_not_found")
    return job

"""`/v1/versions`: what the turns have built, and which of it serves."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from flywheel.records import to_json
from flywheel.serve.auth import Curator, Owner
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Serving
from flywheel.serve.shapes import ERRORS, Body
from flywheel.store.versions import By, Decision
from flywheel.wheel import versions
from flywheel.wheel.keys import Caller
from flywheel.wheel.versions import Promoted
from flywheel.wheel.workspace import Workspace

router = APIRouter(prefix="/v1", tags=["versions"], responses=ERRORS)

MAX_REASON_CHARS = 1000


class ReasonBody(Body):
    """Why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"reason": "It reads the new price list."},
                {"reason": "它读过新的价目表。"},
            ]
        },
    )

    reason: str = Field(default="", max_length=MAX_REASON_CHARS, description="Kept in the history.")


class ScoreOut(BaseModel):
    """A metric's value with its interval."""

    value: float
    low: float
    high: float
    count: int


class VersionOut(BaseModel):
    """One version: all that answers, and how it was examined."""

    number: int
    created_at: str
    parent: int | None
    bundle: dict[str, Any]
    bundle_hash: str
    metrics: dict[str, ScoreOut]
    decision: Decision
    reasons: list[str]
    erased: str | None
    asked: int = Field(description="Questions that it was asked.")
    feedback: dict[str, int] = Field(description="Its answers with feedback, by kind.")


class PromotionOut(BaseModel):
    """How a version came to serve."""

    version: int | None
    by: By
    user: str
    reason: str
    at: str


class VersionList(BaseModel):
    """Every version, as `flywheel versions --json` prints them."""

    object: Literal["list"]
    versions: list[VersionOut]
    champion: int | None
    history: list[PromotionOut]


class PromotedOut(BaseModel):
    """What promoting or rolling back came to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"champion": 3, "before": 4, "passed": []}]}
    )

    champion: int
    before: int | None
    passed: list[str] = Field(description="Why earlier champions could not serve.")


@router.get("/versions", response_model=VersionList, summary="List versions")
async def list_versions(service: Serving, caller: Curator) -> Response:
    """Lists the versions with their scores, and how each champion came to serve."""
    async with service.limits.admitted(caller.key):
        return JSONResponse(await service.run(_listed, service.workspace))


@router.post("/versions/{number}/promote", response_model=PromotedOut, summary="Promote a version")
async def promote(
    service: Serving, caller: Owner, number: int, body: ReasonBody | None = None
) -> Response:
    """Lets a version serve from the next question on, whatever the gate said of it."""
    reason = body.reason if body else ""
    async with service.limits.admitted(caller.key):
        promoted = await service.run(_promote, service.workspace, number, caller, reason)
    if promoted is None:
        raise ApiError(
            404, "There is no such version. GET /v1/versions lists them.", code="version_not_found"
        )
    return JSONResponse(_data(promoted))


@router.post("/versions/rollback", response_model=PromotedOut, summary="Roll back")
async def rollback(service: Serving, caller: Owner, body: ReasonBody | None = None) -> Response:
    """Goes back to the champion before; again, to the one before that."""
    reason = body.reason if body else ""
    async with service.limits.admitted(caller.key):
        promoted = await service.run(
            versions.rollback, service.workspace, caller.name, reason, caller
        )
    return JSONResponse(_data(promoted))


def _promote(workspace: Workspace, number: int, caller: Caller, reason: str) -> Promoted | None:
    if not versions.is_there(workspace, number):
        return None
    return versions.promote(workspace, number, caller.name, reason, caller)


def _listed(workspace: Workspace) -> dict[str, Any]:
    listed = versions.list_versions(workspace)
    return {
        "object": "list",
        "versions": [
            to_json(each)
            | {
                "asked": listed.asked.get(each.number, 0),
                "feedback": dict(listed.rated.get(each.number, {})),
            }
            for each in listed.versions
        ],
        "champion": listed.champion,
        "history": [to_json(each) for each in listed.history],
    }


def _data(promoted: Promoted) -> dict[str, Any]:
    return {
        "champion": promoted.champion,
        "before": promoted.before,
        "passed": list(promoted.passed),
    }

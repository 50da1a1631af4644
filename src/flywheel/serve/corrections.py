"""`/v1/corrections`: those that wait for a curator, and what he decides.

What is not there and what is not the caller's to see are the same to him.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from flywheel.errors import UsageError
from flywheel.records import (
    PUBLIC,
    Correction,
    Role,
    to_json,
)
from flywheel.serve.auth import Curator
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Serving
from flywheel.serve.shapes import ERRORS
from flywheel.wheel import feedback as wheel
from flywheel.wheel import sight
from flywheel.wheel.keys import Caller
from flywheel.wheel.review.corrections import Waiting, waiting
from flywheel.wheel.workspace import Workspace

router = APIRouter(prefix="/v1", tags=["feedback"], responses=ERRORS)

MAX_LISTED = 1000

Id = Annotated[str, Path(max_length=20_000)]


class CorrectionOut(BaseModel):
    """A question with its ideal answer."""

    object: Literal["correction"] = "correction"
    id: str
    question: str
    answer: str
    evidence: list[str]
    passages: list[str] = Field(description="The ids of those that hold the evidence.")
    user: str
    role: Role
    at: str
    verified: bool
    disputed: bool
    access: list[str] = Field(description="Of the labels that let read it, those of the caller.")


class WaitingOut(CorrectionOut):
    """A correction that waits for a curator."""

    reasons: list[str]
    against: list[CorrectionOut] = Field(description="What else is said to the same question.")


class WaitingList(BaseModel):
    """Those that wait, of one question together."""

    object: Literal["list"] = "list"
    data: list[WaitingOut]
    has_more: bool


class WithdrawnOut(BaseModel):
    """A correction that serves no more."""

    object: Literal["correction"] = "correction"
    id: str
    withdrawn: Literal[True] = True


@router.get("/corrections", response_model=WaitingList, summary="List corrections that wait")
async def list_waiting(
    service: Serving,
    caller: Curator,
    state: Annotated[Literal["waiting"], Query(description="Which to list.")] = "waiting",
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many at most.")] = 100,
) -> Response:
    """Lists what waits for a curator: disputed, without its evidence, or only suggested."""
    async with service.limits.admitted(caller.key):
        found = await service.run(waiting, service.workspace, caller.access)
    data = [_waiting(each, caller) for each in found[:limit]]
    return _reply(WaitingList(data=data, has_more=len(found) > limit))


@router.post(
    "/corrections/{id:path}/confirm", response_model=CorrectionOut, summary="Confirm a correction"
)
async def confirm(service: Serving, caller: Curator, id: Id) -> Response:
    """Serves a correction to all who may read what it rests on; those that contradict it are
    withdrawn."""
    async with service.limits.admitted(caller.key):
        confirmed = await service.run(_confirm, service.workspace, id, caller)
    return _reply(_correction(confirmed, caller))


@router.post(
    "/corrections/{id:path}/withdraw", response_model=WithdrawnOut, summary="Withdraw a correction"
)
async def withdraw(service: Serving, caller: Curator, id: Id) -> Response:
    """Serves a correction to nobody from now on."""
    async with service.limits.admitted(caller.key):
        await service.run(_withdraw, service.workspace, id, caller)
    return _reply(WithdrawnOut(id=id))


def _confirm(workspace: Workspace, id: str, caller: Caller) -> Correction:
    _check_correction(workspace, id, caller)
    try:
        return wheel.confirm(workspace, id, by=caller)
    except UsageError as error:
        raise _withdrawn(error) from error


def _withdraw(workspace: Workspace, id: str, caller: Caller) -> None:
    _check_correction(workspace, id, caller)
    try:
        wheel.withdraw(workspace, id, by=caller)
    except UsageError as error:
        raise _withdrawn(error) from error


def _check_correction(workspace: Workspace, id: str, caller: Caller) -> None:
    if not sight.sees_correction(workspace, id, caller):
        raise ApiError(404, "There is no such correction.", code="correction_not_found")


def _withdrawn(error: UsageError) -> ApiError:
    return ApiError(409, str(error), code="correction_withdrawn")


def _waiting(each: Waiting, caller: Caller) -> WaitingOut:
    return WaitingOut(
        **_correction(each.correction, caller).model_dump(),
        reasons=list(each.reasons),
        against=[_correction(other, caller) for other in each.against],
    )


def _correction(found: Correction, caller: Caller) -> CorrectionOut:
    data = to_json(found)
    labels = None if caller.access is None else {PUBLIC, *caller.access}
    data["access"] = [each for each in found.access if labels is None or each in labels]
    del data["review"]
    return CorrectionOut(**data)


def _reply(told: BaseModel) -> JSONResponse:
    return JSONResponse(told.model_dump(mode="json"))

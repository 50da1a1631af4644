"""`/v1/keys` and `/v1/audit`: whom owners let in, and what owners and curators did."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from flywheel.errors import UsageError
from flywheel.records import Role, to_json
from flywheel.serve.auth import Owner
from flywheel.serve.errors import ApiError
from flywheel.serve.service import Serving
from flywheel.serve.shapes import ERRORS, Body
from flywheel.store.keys import Key, KeyState
from flywheel.wheel import keys
from flywheel.wheel.keys import MAX_DAYS, MAX_LABELS, MAX_NAME_CHARS, Caller
from flywheel.wheel.workspace import Workspace

router = APIRouter(prefix="/v1", tags=["keys"], responses=ERRORS)

MAX_LISTED = 1000

_EXAMPLE: dict[str, Any] = {
    "object": "key",
    "id": "5f0c2a9be1d4",
    "name": "service desk 客服",
    "role": "asker",
    "access": ["public", "staff"],
    "created_at": "2026-05-04T09:30:00.125+00:00",
    "expires_at": None,
    "revoked_at": None,
    "state": "valid",
}


class KeyBody(Body):
    """A key to make."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "service desk 客服", "role": "asker", "access": ["staff"], "days": 365},
                {"name": "ines", "role": "curator"},
            ]
        }
    )

    name: str = Field(
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="The user that whoever holds it acts as: a line of printable characters.",
    )
    role: Role
    access: list[Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]] | None = Field(
        default=None,
        max_length=MAX_LABELS,
        description="The labels that it reads beside what is public. Without any an owner's reads "
        "everything, and all others what is public.",
    )
    days: int | None = Field(
        default=None, ge=1, le=MAX_DAYS, description="How long it holds; null for ever."
    )


class KeyOut(BaseModel):
    """A key, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    object: Literal["key"] = "key"
    id: str
    name: str = Field(description="Empty where its user was erased.")
    role: Role
    access: list[str] | None = Field(description="The labels that it reads; null is everything.")
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    state: KeyState


class MadeOut(KeyOut):
    """A new key, with its secret, which is told this once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_EXAMPLE | {"key": "fw-…", "notes": []}]}
    )

    key: str = Field(description="The secret. Nobody can tell it again.")
    notes: list[str] = Field(description="What looks like a slip of the pen.")


class KeyList(BaseModel):
    """All keys, the oldest first."""

    object: Literal["list"] = "list"
    data: list[KeyOut]


class ActOut(BaseModel):
    """One thing that an owner or a curator did."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-05-04T09:30:00.125+00:00",
                    "user": "ines",
                    "role": "owner",
                    "action": "keys.add",
                    "target": "5f0c2a9be1d4",
                }
            ]
        }
    )

    at: str
    user: str = Field(description="Empty where the user was erased.")
    role: Role
    action: str
    target: str = Field(description="The id of what it was done to.")


class ActList(BaseModel):
    """What was done, the latest first."""

    object: Literal["list"] = "list"
    data: list[ActOut]


@router.get("/keys", response_model=KeyList, summary="List keys")
async def list_keys(service: Serving, caller: Owner) -> Response:
    """Lists who may call, never with what they call by."""
    async with service.limits.admitted(caller.key):
        listed = await service.run(keys.list_keys, service.workspace.database)
    return _reply(KeyList(data=[_out(each) for each in listed]))


@router.post("/keys", response_model=MadeOut, summary="Make a key")
async def add_key(service: Serving, caller: Owner, body: KeyBody) -> Response:
    """Makes a key; its secret is told this once."""
    async with service.limits.admitted(caller.key):
        made = await service.run(_add, service.workspace, body, caller)
    return _reply(made)


@router.delete("/keys/{id}", response_model=KeyOut, summary="Revoke a key")
async def revoke_key(
    service: Serving,
    caller: Owner,
    id: Annotated[str, Path(description="The key's id, not its secret.")],
) -> Response:
    """Lets nobody in by a key from now on, nor by the sessions that it began."""
    async with service.limits.admitted(caller.key):
        revoked = await service.run(_revoke, service.workspace, id, caller)
    service.callers.forget()
    return _reply(_out(revoked))


@router.get("/audit", response_model=ActList, summary="Read the audit log")
async def list_acts(
    service: Serving,
    caller: Owner,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many at most.")] = 100,
    skip: Annotated[int, Query(ge=0, lt=2**31, description="Leaves out so many, to page.")] = 0,
) -> Response:
    """Lists what owners and curators did: who, when, what, and to what; no words of anybody's."""
    async with service.limits.admitted(caller.key):
        acts = await service.run(keys.acts, service.workspace.database, limit, skip)
    return _reply(ActList(data=[ActOut(**to_json(each)) for each in acts]))


def _add(workspace: Workspace, body: KeyBody, caller: Caller) -> MadeOut:
    database = workspace.database
    made = keys.add(database, body.name, body.role, body.access, body.days, by=caller)
    slips = keys.carried_by_none(database, made.key.access or ())
    return MadeOut(
        **_out(made.key).model_dump(),
        key=made.secret,
        notes=[f'No document carries the label "{each}" yet.' for each in slips],
    )


def _revoke(workspace: Workspace, id: str, caller: Caller) -> Key:
    known = {each.id for each in keys.list_keys(workspace.database)}
    try:
        return keys.revoke(workspace.database, id, by=caller)
    except UsageError as error:
        status, code = (409, "key_revoked") if id in known else (404, "key_not_found")
        raise ApiError(status, str(error), code=code) from error


def _out(key: Key) -> KeyOut:
    return KeyOut(
        id=key.id,
        name=key.name,
        role=key.role,
        access=None if key.access is None else list(key.access),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        state=keys.state_of(key),
    )


def _reply(told: BaseModel) -> JSONResponse:
    # What is told of keys is for nobody's cache.
    return JSONResponse(told.model_dump(mode="json"), headers={"Cache-Control": "no-store"})

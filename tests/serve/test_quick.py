"""A quick route answers and refuses as FastAPI's own does, and is described as it is."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from flywheel.serve.errors import ApiError, add_handlers
from flywheel.serve.quick import QuickRoute


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=5)
    number: int | None = None


async def caller(request: Request) -> str:
    request.app.state.num_calls += 1
    name = request.headers.get("X-Name", "")
    if not name:
        raise ApiError(401, "Who is it?")
    return name


async def ask(name: Annotated[str, Depends(caller)], body: Body, request: Request) -> Response:
    """Asks."""
    told = {"name": name, "text": body.text, "number": body.number, "path": request.url.path}
    return JSONResponse(told)


async def listed(name: Annotated[str, Depends(caller)], item: str) -> Response:
    """Takes something from the path, which is FastAPI's to read."""
    return JSONResponse({"name": name, "item": item})


def app(route_class: type[APIRoute] = APIRoute) -> FastAPI:
    router = APIRouter(route_class=route_class)
    router.post("/ask")(ask)
    router.get("/items/{item}")(listed)
    made = FastAPI()
    add_handlers(made)
    made.include_router(router)
    made.state.num_calls = 0
    return made


JSON = {"Content-Type": "application/json"}
NAMED = {"X-Name": "ana"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON | NAMED, '{"text": "锁"}'),
        (JSON | NAMED, '{"text": "lock", "number": "5"}'),
        ({"Content-Type": "Application/JSON; charset=utf-8"} | NAMED, '{"text": "lock"}'),
        (JSON | NAMED, '{"text": "a lock"}'),
        (JSON | NAMED, '{"text": 5, "more": 1}'),
        (JSON | NAMED, "[]"),
        (JSON | NAMED, "null"),
        (JSON | NAMED, ""),
        (JSON | NAMED, '{"text": '),
        (NAMED, '{"text": "lock"}'),
        ({"Content-Type": "text/plain"} | NAMED, '{"text": "lock"}'),
        (JSON, '{"text": "lock"}'),
        (JSON, '{"text": "a lock"}'),
        (JSON, '{"text": '),
    ],
)
def test_it_answers_as_a_careful_route_does(headers: dict[str, str], body: str) -> None:
    quick, careful = app(QuickRoute), app()
    told = []
    for each in (quick, careful):
        reply = TestClient(each).post("/ask", content=body.encode(), headers=headers)
        told.append((reply.status_code, reply.json(), each.state.num_calls))
    assert told[0] == told[1]


def test_it_is_described_as_a_careful_route_is() -> None:
    assert app(QuickRoute).openapi() == app().openapi()


def test_an_endpoint_that_takes_something_else_is_called_by_fastapi() -> None:
    reply = TestClient(app(QuickRoute)).get("/items/锁", headers=NAMED)
    assert reply.json() == {"name": "ana", "item": "锁"}

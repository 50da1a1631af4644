"""A route that is asked hundreds of times a second: its parameters are made without FastAPI.

FastAPI works out at each request what an endpoint's parameters are, which takes as long as all the
rest that is done for it on the loop. Here it is worked out once, for endpoints that take a body and
what depends on the request alone. What is no JSON goes FastAPI's way, and what is wrong in it is
told as FastAPI does; the OpenAPI document is FastAPI's, too.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self, get_args, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

Dependency = Callable[[Request], Awaitable[Any]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class QuickRoute(APIRoute):
    """A route whose endpoint is called directly where its parameters allow it."""

    def get_route_handler(self) -> Handler:
        """FastAPI's hook for how a request is answered."""
        careful = super().get_route_handler()
        parameters = _Parameters.of(self.endpoint)
        if parameters is None:
            return careful
        endpoint = self.endpoint

        async def handler(request: Request) -> Response:
            try:
                body = await _json(request)
            except ValueError:
                return await careful(request)
            response: Response = await endpoint(**await parameters.arguments(request, body))
            return response

        return handler


async def _json(request: Request) -> Any:
    """What a request's body says.

    Raises:
        ValueError: it is not said to be JSON, or is none.
    """
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ValueError
    return json.loads(await request.body())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parameters:
    """What an endpoint takes, by name."""

    dependencies: Mapping[str, Dependency]
    body: str
    model: type[BaseModel]
    request: str | None

    @classmethod
    def of(cls, endpoint: Callable[..., Any]) -> Self | None:
        """None where it takes anything else than one body, dependencies and the request."""
        hints = get_type_hints(endpoint, include_extras=True)
        del hints["return"]
        dependencies = {name: _dependency(hint) for name, hint in hints.items()}
        others = {name: hints[name] for name, each in dependencies.items() if each is None}
        bodies = [name for name, hint in others.items() if _is_model(hint)]
        requests = [name for name, hint in others.items() if hint is Request]
        if len(bodies) != 1 or len(bodies) + len(requests) != len(others):
            return None
        return cls(
            dependencies={name: each for name, each in dependencies.items() if each},
            body=bodies[0],
            model=others[bodies[0]],
            request=next(iter(requests), None),
        )

    async def arguments(self, request: Request, body: Any) -> dict[str, Any]:
        """What the endpoint is called with.

        Dependencies come first, as with FastAPI: whoever may not call is not told of his body.

        Raises:
            RequestValidationError: the body is not as it should be.
        """
        arguments: dict[str, Any] = {}
        for name, depend in self.dependencies.items():
            arguments[name] = await depend(request)
        try:
            arguments[self.body] = self.model.model_validate(body, from_attributes=True)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            told = [{**each, "loc": ("body", *each["loc"])} for each in errors]
            raise RequestValidationError(told, body=body) from None
        if self.request is not None:
            arguments[self.request] = request
        return arguments


def _dependency(hint: Any) -> Dependency | None:
    depends = [each for each in get_args(hint)[1:] if isinstance(each, Depends)]
    found: Dependency | None = depends[0].dependency if depends else None
    return found


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)

"""Errors as the OpenAI reference has them, so that clients' own handling of errors works.

{"error": {"message": "…", "type": "invalid_request_error", "param": "model", "code": "…"}}
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from flywheel.errors import (
    EngineError,
    FlywheelError,
    ModelError,
    RequestRefused,
    StoreError,
    WorkspaceBusy,
    WorkspaceError,
)

if TYPE_CHECKING:
    from flywheel.wheel.keys import Caller

LOG = logging.getLogger("flywheel.errors")

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "rate_limit_error",
    "server_error",
]

_TYPES: Mapping[int, ErrorType] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_STATUS: tuple[tuple[type[FlywheelError], int], ...] = (
    (WorkspaceBusy, 409),
    (WorkspaceError, 503),
    (StoreError, 503),
    (ModelError, 503),
    (RequestRefused, 400),
    (EngineError, 502),
)

_NOT_NOW = (
    "This cannot be done now. Whoever runs the server finds the reason in its log, or by "
    "`flywheel doctor`."
)


class ApiError(Exception):
    """What a caller did wrong, or what the server cannot do now."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """
        Args:
            code: what a program tells errors apart by.
            param: the field of the request that it is about.
            retry_after: seconds after which it is worth another try.
        """
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """The JSON that a client reads. It may name what he sent, which need be no Unicode."""
        kind = _TYPES.get(self.status)
        kind = kind or ("server_error" if self.status >= 500 else "invalid_request_error")
        return {
            "error": {
                "message": _encodable(self.message),
                "type": kind,
                "param": None if self.param is None else _encodable(self.param),
                "code": self.code,
            }
        }

    def headers(self) -> dict[str, str]:
        """When to come again, and how to sign in."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    def response(self) -> JSONResponse:
        """As it is sent."""
        return JSONResponse(self.body(), self.status, self.headers())


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def api_error(error: FlywheelError, *, in_full: bool = False) -> ApiError:
    """A user's mistake or a state of the machine, as a caller is told it.

    Args:
        in_full: whether he runs the machine. To others its state is not told: it names folders and
            hosts, and commands that they cannot give.
    """
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    is_state = status in (409, 503)
    if status >= 500:
        LOG.warning("%s", error)
    message = str(error) if in_full or not is_state else _NOT_NOW
    return ApiError(status, message, retry_after=10 if is_state else None)


def add_handlers(app: FastAPI) -> None:
    """Lets the app tell errors in this shape."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(FlywheelError, _on_flywheel_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_defect)


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    service = getattr(request.app.state, "service", None)
    if service is not None and error.status in (429, 503, 504):
        service.metrics.refused.labels(error.code or "unavailable").inc()
    return _told(request, error)


def _told(request: Request, error: ApiError) -> Response:
    """As JSON; or as a page, where the request is one's, which then says how (console/page.py)."""
    as_page: Callable[[ApiError], Response] | None = getattr(request.state, "as_page", None)
    return as_page(error) if as_page else error.response()


async def _on_flywheel_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FlywheelError)
    caller: Caller | None = getattr(request.state, "caller", None)
    return _told(request, api_error(error, in_full=caller is not None and caller.may("owner")))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part != "body"]
    param = ".".join(place) or None
    message = first["msg"].removeprefix("Value error, ")
    told = ApiError(400, f"{param}: {message}" if param else message, param=param)
    return _told(request, told)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    tell: Callable[[Request], Awaitable[Response]] | None = getattr(
        request.app.state, "tell_no_page", None
    )
    if tell and error.status_code == 404 and _is_browsed(request):
        return await tell(request)
    response = ApiError(error.status_code, str(error.detail)).response()
    response.headers.update(error.headers or {})
    return response


def _is_browsed(request: Request) -> bool:
    """Whether somebody typed or followed an address that is no program's."""
    return (
        request.method == "GET"
        and not request.url.path.startswith("/v1/")
        and "text/html" in request.headers.get("Accept", "")
    )


async def _on_defect(request: Request, error: Exception) -> Response:
    """The traceback goes to the log, never to the caller."""
    told = ApiError(500, "The server met a defect of its own; its log says more.")
    return _told(request, told)

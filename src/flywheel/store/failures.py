"""What the drivers report, as the one or two lines that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, OperationalError

from flywheel.errors import StoreError

_LOCKED = "is being written by another process. Let that one finish, then run this again."
_FULL = (
    "has no room: its disk is full. Free some space and run this again; "
    "what was acknowledged is kept."
)
_READ_ONLY = "cannot be written: it, its folder or its file system is read-only."
_UNREACHABLE = "does not answer. See that the server runs and that store.url is right."
_REFUSED = "refuses the sign-in. See the user name and the password in store.url."
_ABSENT = "is not there. Create it (createdb), or correct store.url."
_CROWDED = "takes no more connections. Stop other clients, or raise its max_connections."
_CANNOT_OPEN = "cannot be opened. See that its folder exists and may be written."
_FAILING_DISK = "cannot be read or written: its disk reports errors."
_DAMAGED = "is damaged, or is no database. Restore it from a backup."

# Primary result codes, https://www.sqlite.org/rescode.html
_SQLITE = {
    5: _LOCKED,
    6: _LOCKED,
    8: _READ_ONLY,
    10: _FAILING_DISK,
    11: _DAMAGED,
    13: _FULL,
    14: _CANNOT_OPEN,
    26: _DAMAGED,
}

# Codes and classes of https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL = {
    "53100": _FULL,
    "53300": _CROWDED,
    "55P03": _LOCKED,
    "40P01": _LOCKED,
    "40001": _LOCKED,
    "25006": _READ_ONLY,
    "3D000": _ABSENT,
    "28": _REFUSED,
    "08": _UNREACHABLE,
    "57": _UNREACHABLE,
}


def explain(error: BaseException, name: str) -> BaseException:
    """A StoreError where `error` is a state of the machine; any other error as it is."""
    if not isinstance(error, DBAPIError):
        return error
    problem = _problem(error)
    if problem is None:
        return error
    explained = StoreError(f"{name} {problem}")
    explained.__cause__ = error
    return explained


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Raises StoreError for what the driver of the database `name` reports within."""
    try:
        yield
    except DBAPIError as error:
        raise explain(error, name) from error


def _problem(error: DBAPIError) -> str | None:
    driver_error: Any = error.orig
    sqlite_code = getattr(driver_error, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return _SQLITE.get(sqlite_code & 0xFF)
    state = getattr(driver_error, "sqlstate", None)
    if state is not None:
        return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2])
    return _sign_in_problem(str(driver_error)) if isinstance(error, OperationalError) else None


def _sign_in_problem(message: str) -> str:
    """A refused connection has no code in psycopg, only the server's words."""
    if "does not exist" in message and "database" in message:
        return _ABSENT
    if "authentication failed" in message or "no password supplied" in message:
        return _REFUSED
    if "too many clients" in message or "connection slots" in message:
        return _CROWDED
    return _UNREACHABLE

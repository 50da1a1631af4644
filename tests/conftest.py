"""What tests of several layers share: a real PostgreSQL on a loopback port, and no time limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from postgresql import Server, Unavailable, running

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    try:
        with running() as server:
            yield server
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def make_database(server: Server) -> Callable[[], str]:
    """Makes a new, blank database on the server, and gives its URL."""
    return server.make_database

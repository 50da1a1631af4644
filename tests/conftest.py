"""What tests of several layers share: a real PostgreSQL on a loopback port, an index of a few
passages, and no time limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from flywheel.records import Passage
from flywheel.search.index import PassageIndex, build_index
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


@pytest.fixture
def make_index(tmp_path: Path) -> Callable[[Sequence[Passage]], PassageIndex]:
    """Makes and opens the index of some passages."""

    def make(passages: Sequence[Passage]) -> PassageIndex:
        build_index(tmp_path, passages)
        return PassageIndex(tmp_path)

    return make

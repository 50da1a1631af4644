"""Bytes that no client means harm nothing: bench/raw.py against the whole server, in process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.serve.whole import Whole, whole

from raw import ODD_METHODS, Attempt, Requests, bombard, routes_of

SETTINGS = "[serve]\nrequests_per_minute = 1000000\nconcurrent = 1000\n"


@pytest.fixture
def served(root: Path) -> Iterator[Whole]:
    with whole(root, SETTINGS) as served:
        yield served


def own_errors(served: Whole) -> list[str]:
    """The lines of the server's figures that count its own failures."""
    with served.client("owner") as client:
        lines = client.get("/metrics").text.splitlines()
    return [line for line in lines if "requests_total{" in line and 'status="500"' in line]


def test_whatever_comes_is_answered_or_hung_up_on(
    served: Whole, caplog: pytest.LogCaptureFixture
) -> None:
    document = httpx.get(f"{served.url}/openapi.json", trust_env=False).json()
    made = Requests(1, served.secrets, routes_of(document)).attempts()
    with caplog.at_level(logging.ERROR):
        tally = bombard(served.port, [next(made) for _ in range(400)], quiet_seconds=0.1)
    assert not tally.failures
    assert not own_errors(served)
    assert not [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    with served.client() as client:
        assert client.get("/v1/models").status_code == 200


def test_no_method_holds_the_server(served: Whole) -> None:
    heads = [
        b"%b %b HTTP/1.%d\r\nHost: localhost\r\n%b\r\n" % (method, target, minor, more)
        for method in ODD_METHODS
        for target in (b"/healthz", b"localhost:1")
        for minor in (0, 1)
        for more in (b"", b"Connection: upgrade\r\nUpgrade: h2c\r\n")
    ]
    attempts = [Attempt(kind="method", pieces=(head,)) for head in heads]
    assert not bombard(served.port, attempts, quiet_seconds=0.1).failures

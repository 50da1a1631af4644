"""Callers: known at once, and no longer than a second after their key has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flywheel.serve.auth import KNOWN_SECONDS, Callers
from flywheel.store import keys as key_store
from flywheel.store.database import Database
from flywheel.wheel import keys


class Clock:
    """Seconds as they are told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """What callers are asked of: a database, and how often each function looked into it."""

    def __init__(self, database: Database) -> None:
        self.workspace = SimpleNamespace(database=database)
        self.asked: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens between reading and telling."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.asked.append(function.__name__)
        found = function(*args)
        await asyncio.sleep(0)
        self.meanwhile()
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Database.open(f"sqlite:///{tmp_path}/flywheel.db") as database:
        yield Desk(database)


def names(callers: Callers, desk: Desk, *secrets: str) -> list[str | None]:
    """Who calls with each of these secrets, all at once."""

    async def every() -> list[Any]:
        calls = (callers.of(desk, "key", each) for each in secrets)  # type: ignore[arg-type]
        return await asyncio.gather(*calls)

    return [each and each.name for each in asyncio.run(every())]


def test_each_key_is_looked_up_once_and_all_together_once_a_second(desk: Desk) -> None:
    clock = Clock()
    callers = Callers(clock)
    secrets = [keys.add(desk.workspace.database, name, "asker").secret for name in ("ana", "李")]
    for _ in range(3):
        assert names(callers, desk, *secrets, *secrets) == ["ana", "李", "ana", "李"]
        clock.now += KNOWN_SECONDS
    assert desk.asked.count("stamp") == 3
    assert desk.asked.count("caller_of") == 4  # those that came at once in the first second


def test_a_key_that_was_revoked_lets_nobody_in_a_second_later(desk: Desk) -> None:
    clock = Clock()
    callers = Callers(clock)
    first, second = (keys.add(desk.workspace.database, name, "asker") for name in ("ana", "bo"))
    assert names(callers, desk, first.secret, second.secret) == ["ana", "bo"]
    keys.revoke(desk.workspace.database, first.key.id)
    clock.now = KNOWN_SECONDS
    assert names(callers, desk, first.secret, second.secret) == [None, "bo"]
    assert not callers.has_known("key", first.secret)
    assert callers.has_known("key", second.secret)


def test_a_key_that_expires_lets_nobody_in_a_second_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    callers = Callers(clock)
    made = keys.add(desk.workspace.database, "ana", "asker", days=1)
    assert names(callers, desk, made.secret) == ["ana"]

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Tomorrow:
            return cls.fromtimestamp((datetime.now(UTC) + timedelta(days=1)).timestamp(), tz)

    monkeypatch.setattr(keys, "datetime", Tomorrow)
    clock.now = KNOWN_SECONDS
    assert names(callers, desk, made.secret) == [None]


def test_what_was_read_before_somebody_was_let_out_is_not_remembered(desk: Desk) -> None:
    callers = Callers(Clock())
    made = keys.add(desk.workspace.database, "ana", "asker")
    desk.meanwhile = callers.forget
    assert names(callers, desk, made.secret) == ["ana"]
    assert not callers.has_known("key", made.secret)


def test_every_change_of_keys_has_another_stamp(desk: Desk) -> None:
    database = desk.workspace.database
    seen = {keys.stamp(database)}
    made = keys.add(database, "ana", "asker", days=1)
    seen.add(keys.stamp(database))
    with database.read() as conn:
        seen.add(key_store.stamp(conn, str(made.key.expires_at)))
    keys.revoke(database, made.key.id)
    seen.add(keys.stamp(database))
    assert len(seen) == 4

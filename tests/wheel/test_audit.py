"""The audit log is read by user and action, by pages that miss and repeat nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flywheel.store import audit as store
from flywheel.store.audit import Act
from flywheel.store.database import Database
from flywheel.wheel import audit
from flywheel.wheel.audit import Wanted

USERS = ("", "Inés", "伊内斯")
ACTIONS = ("keys.add", "keys.revoke")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database.open(f"sqlite:///{tmp_path}/flywheel.db")
    acts = [
        Act(
            at=f"2026-03-01T08:00:{number:02d}.000+00:00",
            user=USERS[number % 3],
            role="owner",
            action=ACTIONS[number % 2],
            target=f"{number}",
        )
        for number in range(30)
    ]
    for each in acts:
        database.write(lambda conn, each=each: store.put(conn, each))  # type: ignore[misc]
    return database


def targets(database: Database, wanted: Wanted, limit: int) -> list[str]:
    told: list[str] = []
    before: int | None = None
    while True:
        page = audit.page(database, wanted, limit=limit, before=before)
        told += [each.act.target for each in page.entries]
        assert len(page.entries) <= limit
        if page.before is None:
            return told
        before = page.before


@pytest.mark.parametrize("limit", [1, 7, 30, 99])
def test_pages_are_the_whole_log_the_latest_first(database: Database, limit: int) -> None:
    assert targets(database, Wanted(), limit) == [str(number) for number in range(29, -1, -1)]


def test_pages_go_on_where_they_were_while_more_is_done(database: Database) -> None:
    first = audit.page(database, Wanted(), limit=10)
    late = Act(at="2026-03-02", user="Inés", role="owner", action="keys.add", target="late")
    database.write(lambda conn: store.put(conn, late))
    second = audit.page(database, Wanted(), limit=10, before=first.before)
    assert [each.act.target for each in second.entries] == [str(n) for n in range(19, 9, -1)]


def test_acts_of_a_user_of_a_kind_and_of_those_who_were_erased(database: Database) -> None:
    assert targets(database, Wanted(user="Inés"), 4) == [str(n) for n in range(28, 0, -3)]
    assert targets(database, Wanted(user=""), 4) == [str(n) for n in range(27, -1, -3)]
    assert targets(database, Wanted(action="keys.add"), 4) == [str(n) for n in range(28, -1, -2)]
    both = targets(database, Wanted(user="Inés", action="keys.add"), 4)
    assert both == ["28", "22", "16", "10", "4"]
    assert targets(database, Wanted(user="nobody"), 4) == []


def test_users_are_named_once_each(database: Database) -> None:
    assert audit.users(database) == list(USERS)


def test_no_user_is_named_where_nothing_was_done(tmp_path: Path) -> None:
    empty = Database.open(f"sqlite:///{tmp_path}/other.db")
    assert audit.users(empty) == []
    assert "".join(audit.exported(empty, Wanted())) == ""


def test_the_log_is_exported_line_by_line(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "EXPORT_ACTS", 4)
    text = "".join(audit.exported(database, Wanted(user="伊内斯")))
    lines = [json.loads(line) for line in text.splitlines()]
    assert [each["target"] for each in lines] == [str(n) for n in range(29, 1, -3)]
    assert lines[0] == {
        "at": "2026-03-01T08:00:29.000+00:00",
        "user": "伊内斯",
        "role": "owner",
        "action": "keys.revoke",
        "target": "29",
    }
    assert "伊内斯" in text


def test_the_latest_act_of_a_kind_is_found(database: Database) -> None:
    with database.read() as conn:
        last = store.latest(conn, "keys.add")
        assert last is not None and last.target == "28"
        assert store.latest(conn, "keys.add", "4") is not None
        assert store.latest(conn, "keys.add", "5") is None

"""Keys let in whom they should, for as long as they should, and only as whom they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from flywheel.errors import UsageError
from flywheel.records import Role
from flywheel.store.database import Database
from flywheel.store.tables import keys as key_table
from flywheel.store.tables import metadata, sessions
from flywheel.wheel import keys
from flywheel.wheel.keys import Caller, Made


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database.open(f"sqlite:///{tmp_path}/flywheel.db")


def expire(database: Database, key: str) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="milliseconds")
    change = update(key_table).where(key_table.c.id == key).values(expires_at=past)
    database.write(lambda conn: conn.execute(change).close())


def caller(made: Made) -> Caller:
    key = made.key
    return Caller(key=key.id, name=key.name, role=key.role, access=key.access)


def told(database: Database) -> list[tuple[str, str, str]]:
    return [(each.user, each.action, each.target) for each in keys.acts(database)]


@pytest.mark.parametrize(
    ("role", "access", "reads"),
    [
        ("asker", None, ("public",)),
        ("asker", ["staff", "内部"], ("public", "staff", "内部")),
        ("curator", [], ("public",)),
        ("owner", None, None),
        ("owner", ["staff"], ("public", "staff")),
    ],
)
def test_a_key_lets_in_who_holds_it_as_its_name(
    database: Database, role: Role, access: list[str] | None, reads: tuple[str, ...] | None
) -> None:
    made = keys.add(database, " 客服 desk ", role, access)
    found = keys.caller_of(database, made.secret)
    assert found == caller(made)
    assert (found.name, found.role, found.access, found.csrf) == ("客服 desk", role, reads, "")
    assert keys.caller_of(database, made.secret[:-1]) is None
    assert keys.caller_of(database, "") is None


def test_the_secret_is_kept_nowhere(database: Database, tmp_path: Path) -> None:
    made = keys.add(database, "ines", "owner")
    cookie = keys.sign_in(database, made.key)
    database.close()
    for file in tmp_path.iterdir():
        assert made.secret.encode() not in file.read_bytes()
        assert cookie.encode() not in file.read_bytes()
    assert made.secret not in repr(made.key)


def test_roles_may_what_lower_ones_may() -> None:
    def may(role: Role) -> list[bool]:
        who = Caller(key="", name="", role=role, access=None)
        return [who.may("asker"), who.may("curator"), who.may("owner")]

    assert may("asker") == [True, False, False]
    assert may("curator") == [True, True, False]
    assert may("owner") == [True, True, True]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "\u202eowner", "\ud800", "x" * 101])
def test_names_and_labels_that_mislead_are_refused(database: Database, name: str) -> None:
    with pytest.raises(UsageError, match="name is a line of 1 to 100 characters"):
        keys.add(database, name, "asker")
    with pytest.raises(UsageError, match="label is a line of 1 to 100 characters"):
        keys.add(database, "desk", "asker", [name])
    assert keys.list_keys(database) == []


@pytest.mark.parametrize("days", [0, -1, 36_501, 10**30])
def test_days_that_are_none_are_refused(database: Database, days: int) -> None:
    with pytest.raises(UsageError, match="holds for 1 to 36500 days"):
        keys.add(database, "desk", "asker", days=days)


def test_an_expired_key_lets_nobody_in_nor_do_its_sessions(database: Database) -> None:
    made = keys.add(database, "desk", "curator", days=1)
    cookie = keys.sign_in(database, made.key)
    assert keys.caller_of(database, made.secret)
    assert keys.caller_of_session(database, cookie)
    expire(database, made.key.id)
    assert keys.caller_of(database, made.secret) is None
    assert keys.caller_of_session(database, cookie) is None
    [key] = keys.list_keys(database)
    assert keys.state_of(key) == "expired"


def test_a_revoked_key_lets_nobody_in_nor_do_its_sessions(database: Database) -> None:
    made = keys.add(database, "desk", "asker")
    other = keys.add(database, "desk", "asker")
    cookie = keys.sign_in(database, made.key)
    assert keys.state_of(keys.revoke(database, made.key.id)) == "revoked"
    assert keys.caller_of(database, made.secret) is None
    assert keys.caller_of_session(database, cookie) is None
    assert keys.caller_of(database, other.secret) == caller(other)
    with pytest.raises(UsageError, match=f"The key {made.key.id} was revoked at 20"):
        keys.revoke(database, made.key.id)


@pytest.mark.parametrize("id", ["", "none", "0" * 12, "\x00" * 12, "\ud800", "钥" * 12, "x" * 9999])
def test_what_is_no_key_cannot_be_revoked(database: Database, id: str) -> None:
    with pytest.raises(UsageError, match="There is no"):
        keys.revoke(database, id)
    assert told(database) == []


def test_a_session_is_another_at_each_sign_in_and_ends_the_one_before(database: Database) -> None:
    key = keys.add(database, "ines", "owner").key
    first = keys.sign_in(database, key)
    second = keys.sign_in(database, key, instead_of=first)
    assert keys.caller_of_session(database, first) is None
    found = keys.caller_of_session(database, second)
    assert found and found.csrf not in ("", second)
    keys.sign_out(database, second)
    keys.sign_out(database, second)
    assert keys.caller_of_session(database, second) is None


def test_an_expired_session_lets_nobody_in(database: Database) -> None:
    cookie = keys.sign_in(database, keys.add(database, "ines", "owner").key)
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="milliseconds")
    database.write(lambda conn: conn.execute(update(sessions).values(expires_at=past)).close())
    assert keys.caller_of_session(database, cookie) is None


def test_a_one_time_link_signs_in_by_the_oldest_valid_owner(database: Database) -> None:
    assert keys.first_owner(database) is None
    keys.add(database, "desk", "asker")
    first = keys.add(database, "ines", "owner").key
    second = keys.add(database, "tom", "owner").key
    found = keys.first_owner(database)
    assert found and found.id in (first.id, second.id)
    keys.revoke(database, first.id)
    assert keys.first_owner(database) == second
    expire(database, second.id)
    assert keys.first_owner(database) is None


def test_an_owner_who_reads_little_gives_nobody_more(database: Database) -> None:
    boss = caller(keys.add(database, "ines", "owner", ["staff"]))
    assert keys.add(database, "desk", "asker", ["staff"], by=boss).key.access == ("public", "staff")
    for role, access in (("owner", None), ("asker", ["board"]), ("curator", ["staff", "board"])):
        with pytest.raises(UsageError, match="You may read public, staff"):
            keys.add(database, "desk", role, access, by=boss)  # type: ignore[arg-type]


def test_what_was_done_is_written_down_with_who_did_it(database: Database) -> None:
    made = keys.add(database, "ines", "owner")
    desk = keys.add(database, "desk", "asker", by=caller(made))
    keys.sign_in(database, made.key)
    keys.sign_in(database, desk.key)  # what askers do is not audited
    keys.revoke(database, desk.key.id, by=caller(made))
    assert told(database) == [
        ("ines", "keys.revoke", desk.key.id),
        ("ines", "sessions.start", made.key.id),
        ("ines", "keys.add", desk.key.id),
        ("owner", "keys.add", made.key.id),
    ]


def test_no_table_holds_a_secret_by_name(database: Database) -> None:
    columns = {column.name for table in metadata.sorted_tables for column in table.c}
    assert columns.isdisjoint({"secret", "token", "cookie", "password"})
    database.close()


def test_keys_are_paged_the_newest_first_those_that_hold_apart(database: Database) -> None:
    made = [keys.add(database, f"user {number}", "asker").key for number in range(7)]
    keys.revoke(database, made[2].id)
    expire(database, made[4].id)
    told: list[str] = []
    page = keys.page(database, 2)
    while page:
        told += [each.id for each in page]
        page = keys.page(database, 2, before=(page[-1].created_at, page[-1].id))
    newest_first = sorted(made, key=lambda each: (each.created_at, each.id), reverse=True)
    gone = {made[2].id, made[4].id}
    assert told == [each.id for each in newest_first if each.id not in gone]
    ended = keys.page(database, 9, valid=False)
    assert [each.id for each in ended] == [each.id for each in newest_first if each.id in gone]
    assert keys.get(database, made[0].id) == made[0]
    assert keys.get(database, "nobody") is None


def test_the_last_owners_key_can_be_spared(database: Database) -> None:
    first, second = (keys.add(database, name, "owner").key for name in ("ines", "bo"))
    keys.add(database, "cleo", "curator")
    assert not keys.is_last_owner(database, first)
    keys.revoke(database, second.id, spare_last_owner=True)
    assert keys.is_last_owner(database, first)
    revoked = keys.get(database, second.id)
    assert revoked is not None and not keys.is_last_owner(database, revoked)
    with pytest.raises(keys.LastOwner):
        keys.revoke(database, first.id, spare_last_owner=True)
    late = keys.add(database, "late", "owner").key
    expire(database, late.id)
    # One that has expired lets nobody in.
    with pytest.raises(keys.LastOwner):
        keys.revoke(database, first.id, spare_last_owner=True)
    assert keys.state_of(keys.revoke(database, first.id)) == "revoked"
    with pytest.raises(UsageError, match="no key"):
        keys.revoke(database, "0123456789ab", spare_last_owner=True)


def test_known_labels_are_those_of_documents_that_one_may_give(database: Database) -> None:
    assert keys.labels(database, caller(keys.add(database, "ines", "owner"))) == []

"""`flywheel keys`: a secret is shown once, and what is listed lets nobody in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flywheel.wheel import keys
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from tests.cli.conftest import Run

DESK = ("--name", "service desk 客服", "--role", "asker")


def caller(root: Path, secret: str) -> Caller | None:
    with Workspace.open(root) as workspace:
        return keys.caller_of(workspace.database, secret)


def test_a_key_is_shown_once_with_a_call_to_try(flywheel: Run, ready: Path) -> None:
    ended = flywheel("keys", "add", *DESK, "--days", "30")
    assert (ended.code, ended.err) == (0, "")
    [secret] = set(re.findall(r"fw-[\w-]+", ended.out))
    assert f'curl http://127.0.0.1:8000/v1/models -H "Authorization: Bearer {secret}"' in ended.out
    assert 'acts as "service desk 客服" (asker), reads public, until 20' in ended.out
    assert "shown this once" in ended.out
    found = caller(ready, secret)
    assert found and (found.name, found.role) == ("service desk 客服", "asker")
    assert "fw-" not in flywheel("keys", "list").out


def test_a_key_as_json_is_its_id_and_its_secret(flywheel: Run, ready: Path) -> None:
    made = flywheel("keys", "add", "--name", "ines", "--role", "owner", "--json").data
    assert made.keys() == {"id", "key"}
    found = caller(ready, made["key"])
    assert found and (found.key, found.access) == (made["id"], None)


def test_labels_that_no_document_carries_are_warned_about(flywheel: Run, ready: Path) -> None:
    ended = flywheel("keys", "add", *DESK, "--access", "stuff", "--access", "public", "--json")
    assert ended.err == 'No document carries the label "stuff" yet.\n'
    found = caller(ready, ended.data["key"])
    assert found and found.access == ("public", "stuff")


def test_keys_are_listed_with_what_they_may(flywheel: Run, ready: Path) -> None:
    assert flywheel("keys", "list").out.startswith("No keys yet.")
    first = flywheel("keys", "add", *DESK, "--access", "staff", "--json").data["id"]
    second = flywheel("keys", "add", "--name", "ines", "--role", "owner", "--json").data["id"]
    flywheel("keys", "revoke", first)
    listed = {each["id"]: each for each in flywheel("keys", "list", "--json").data["keys"]}
    assert listed.keys() == {first, second}
    assert listed[first].keys() == {
        "id", "name", "role", "access", "created", "expires", "state",
    }  # fmt: skip
    assert (listed[first]["access"], listed[first]["state"]) == (["public", "staff"], "revoked")
    assert (listed[second]["access"], listed[second]["state"]) == (None, "valid")
    told = flywheel("keys", "list").out
    assert "2 keys" in told
    assert "everything" in told
    assert "service desk 客服" in told


def test_revoked_key_lets_nobody_in(flywheel: Run, ready: Path) -> None:
    made = flywheel("keys", "add", *DESK, "--json").data
    ended = flywheel("keys", "revoke", made["id"])
    assert ended.out == f'{made["id"]} ("service desk 客服") lets nobody in any more\n'
    assert caller(ready, made["key"]) is None
    again = flywheel("keys", "revoke", made["id"], "--json")
    assert (again.code, again.out) == (2, "")
    assert again.err.startswith(f"The key {made['id']} was revoked at 20")
    other = flywheel("keys", "add", *DESK, "--json").data["id"]
    assert flywheel("keys", "revoke", other, "--json").data == {"revoked": other}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--name", "", "--role", "asker"), "A key's name is a line of 1 to 100 characters."),
        (("--name", "x", "--role", "asker", "--access", ""), "A key's label is a line"),
        ((*DESK, "--days", "0"), "A key holds for 1 to 36500 days"),
        (("--name", "x", "--role", "admin"), "Invalid value for '--role'"),
        (("--name", "x"), "Missing option '--role'"),
    ],
)
def test_wrong_usage_says_what_is_right(
    flywheel: Run, ready: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = flywheel("keys", "add", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_key_that_is_not_there(flywheel: Run, ready: Path) -> None:
    for id in ("none", "fw-abc", "0123456789ab"):
        ended = flywheel("keys", "revoke", id)
        assert (ended.code, ended.out) == (2, "")
        assert "`flywheel keys list` shows them" in ended.err

"""Owners let in whom they want over HTTP, and see what was done; nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flywheel.records import Role
from flywheel.serve.app import create_app
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.open(root) as opened:
        yield opened


@pytest.fixture
def http(workspace: Workspace) -> TestClient:
    return TestClient(create_app(workspace), base_url="http://127.0.0.1")


def by(workspace: Workspace, role: Role, *access: str) -> dict[str, str]:
    """The header of a new key."""
    made = keys.add(workspace.database, f"the {role}", role, access or None)
    return {"Authorization": f"Bearer {made.secret}"}


DESK = {"name": "service desk 客服", "role": "asker", "access": ["staff"], "days": 30}


def test_a_key_is_made_told_once_listed_and_revoked(http: TestClient, workspace: Workspace) -> None:
    owner = by(workspace, "owner")
    reply = http.post("/v1/keys", json=DESK, headers=owner)
    assert (reply.status_code, reply.headers["Cache-Control"]) == (200, "no-store")
    made = reply.json()
    assert made["key"].startswith(keys.PREFIX)
    assert (made["name"], made["access"], made["notes"]) == (DESK["name"], ["public", "staff"], [])
    desk = {"Authorization": f"Bearer {made['key']}"}
    assert http.get("/v1/me", headers=desk).json()["key"] == made["id"]
    listed = http.get("/v1/keys", headers=owner)
    assert made["key"] not in listed.text
    assert [(each["id"], each["state"]) for each in listed.json()["data"]][1:] == [
        (made["id"], "valid")
    ]
    revoked = http.delete(f"/v1/keys/{made['id']}", headers=owner).json()
    assert (revoked["id"], revoked["state"]) == (made["id"], "revoked")
    # At once, where it is this server that revokes it.
    assert http.get("/v1/me", headers=desk).status_code == 401
    again = http.delete(f"/v1/keys/{made['id']}", headers=owner)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "key_revoked")


def test_label_that_no_document_carries_is_noted(http: TestClient, workspace: Workspace) -> None:
    body = DESK | {"access": ["staff", "stuff"]}
    made = http.post("/v1/keys", json=body, headers=by(workspace, "owner")).json()
    assert made["notes"] == ['No document carries the label "stuff" yet.']


@pytest.mark.parametrize("role", ["asker", "curator"])
def test_only_owners_may(http: TestClient, workspace: Workspace, role: Role) -> None:
    who = by(workspace, role)
    for method, path in (
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/0123456789ab"),
        ("GET", "/v1/audit"),
    ):
        body = DESK if method == "POST" else None
        assert http.request(method, path, json=body).status_code == 401
        refused = http.request(method, path, json=body, headers=who)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert [each.role for each in keys.list_keys(workspace.database)] == [role]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"role": "admin"},
        {"access": [""]},
        {"access": ["a\u202e"]},
        {"access": ["x"] * 101},
        {"days": 0},
        {"days": 10**9},
        {"user": "somebody else"},
        {"id": "chosen"},
    ],
)
def test_what_makes_no_key_is_refused_by_name(
    http: TestClient, workspace: Workspace, wrong: dict[str, object]
) -> None:
    reply = http.post("/v1/keys", json=DESK | wrong, headers=by(workspace, "owner"))
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert len(keys.list_keys(workspace.database)) == 1


def test_an_owner_who_reads_little_gives_nobody_more(
    http: TestClient, workspace: Workspace
) -> None:
    boss = by(workspace, "owner", "staff")
    for wrong in ({"access": ["board"]}, {"role": "owner", "access": None}):
        reply = http.post("/v1/keys", json=DESK | wrong, headers=boss)
        assert reply.status_code == 400
        assert "may read no more than that" in reply.json()["error"]["message"]
    assert http.post("/v1/keys", json=DESK, headers=boss).status_code == 200


@pytest.mark.parametrize(
    "id", ["none", "0123456789ab", "%F0%9F%94%91", "'%20OR%201=1--", "x" * 999]
)
def test_key_that_is_not_there(http: TestClient, workspace: Workspace, id: str) -> None:
    reply = http.delete(f"/v1/keys/{id}", headers=by(workspace, "owner"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "key_not_found")


def test_audit_tells_who_did_what_the_latest_first(http: TestClient, workspace: Workspace) -> None:
    owner = by(workspace, "owner")
    made = http.post("/v1/keys", json=DESK, headers=owner).json()
    http.delete(f"/v1/keys/{made['id']}", headers=owner)
    told = http.get("/v1/audit", headers=owner).json()["data"]
    assert [(each["user"], each["action"], each["target"]) for each in told[:2]] == [
        ("the owner", "keys.revoke", made["id"]),
        ("the owner", "keys.add", made["id"]),
    ]
    page = http.get("/v1/audit", params={"limit": 1, "skip": 1}, headers=owner).json()["data"]
    assert page == told[1:2]
    for wrong in ({"limit": 0}, {"limit": 10**30}, {"skip": -1}, {"skip": 2**31}, {"limit": "x"}):
        assert http.get("/v1/audit", params=wrong, headers=owner).status_code == 400

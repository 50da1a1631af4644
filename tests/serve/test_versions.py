"""`/v1/versions`: curators look, owners promote and roll back, and it is written down who did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.owning import Owned, error, owned

from flywheel.wheel import keys
from flywheel.wheel.turn import turn

WRITES = ("/v1/versions/1/promote", "/v1/versions/rollback")


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owned]:
    """A blank workspace, which stays so."""
    with owned(tmp_path_factory.mktemp("versions") / "workspace") as found:
        yield found


@pytest.fixture
def built(root: Path) -> Iterator[Owned]:
    """A workspace with version 1, and a second one that answers in fewer words."""
    (root / "flywheel.toml").write_text("[quote]\nmax_words = 40\n", encoding="utf-8")
    with owned(root) as found:
        turn(found.workspace)
        yield found


def test_versions_are_listed_promoted_and_rolled_back(built: Owned) -> None:
    listed = built.client.get("/v1/versions").json()
    assert [each["number"] for each in listed["versions"]] == [1, 2]
    first = listed["versions"][0]
    assert (first["decision"], first["asked"], first["feedback"]) == ("promoted", 0, {})
    assert set(first["metrics"]["evidence_mrr"]) == {"value", "low", "high", "count"}
    assert set(first) > {"created_at", "parent", "bundle", "bundle_hash", "reasons", "erased"}

    standing = listed["champion"]
    other = 3 - standing
    reason = "读过新的价目表 🚗"
    promoted = built.client.post(f"/v1/versions/{other}/promote", json={"reason": reason})
    assert promoted.json() == {"champion": other, "before": standing, "passed": []}
    back = built.client.post("/v1/versions/rollback")
    assert back.json() == {"champion": standing, "before": other, "passed": []}

    history = built.client.get("/v1/versions").json()["history"]
    assert [
        (each["version"], each["by"], each["user"], each["reason"]) for each in history[-2:]
    ] == [
        (other, "owner", "ines", reason),
        (standing, "rollback", "ines", ""),
    ]
    acts = [(act.user, act.action, act.target) for act in keys.acts(built.workspace.database, 2)]
    assert acts == [
        ("ines", "versions.rollback", str(standing)),
        ("ines", "versions.promote", str(other)),
    ]
    again = built.client.post(f"/v1/versions/{standing}/promote")
    assert (again.status_code, error(again)["message"]) == (
        400,
        f"Version {standing} serves already.",
    )


def test_blank_workspace_has_no_versions(owner: Owned) -> None:
    assert owner.client.get("/v1/versions").json() == {
        "object": "list",
        "versions": [],
        "champion": None,
        "history": [],
    }
    reply = owner.client.post("/v1/versions/rollback")
    assert (reply.status_code, error(reply)["message"]) == (
        400,
        "There is no earlier champion to go back to.",
    )


def test_curators_may_look_and_only_owners_act(owner: Owned) -> None:
    curator = owner.calling("eve", "curator")
    assert curator.get("/v1/versions").status_code == 200
    assert owner.calling("ann", "asker").get("/v1/versions").status_code == 403
    for path in WRITES:
        reply = curator.post(path, json={"reason": "mine"})
        assert (reply.status_code, error(reply)["code"]) == (403, "forbidden")


@pytest.mark.parametrize("number", ["1", "0", "-1", str(2**31), str(2**63), "9" * 4000])
def test_version_that_is_not_there_is_not_found(owner: Owned, number: str) -> None:
    reply = owner.client.post(f"/v1/versions/{number}/promote", json={})
    assert reply.status_code in (404, 400), reply.text
    assert len(number) > 1000 or error(reply)["code"] == "version_not_found"


@pytest.mark.parametrize("number", ["x", "%00", "1.5", "%ff", "１", "1e3"])
def test_what_is_no_number_is_of_no_version(owner: Owned, number: str) -> None:
    assert owner.client.post(f"/v1/versions/{number}/promote").status_code in (400, 404)


@pytest.mark.parametrize(
    "body", ['{"reason": 1}', '{"reason": null}', '{"why": "x"}', "[]", "1", "{", "\x00",
             '{"reason": "%s"}' % ("x" * 1001), '{"reason": "\\ud800"}', "[" * 100_000]
)  # fmt: skip
def test_body_that_is_no_reason_is_refused(owner: Owned, body: str) -> None:
    for path in WRITES:
        reply = owner.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code == 400, reply.text
        assert error(reply)["type"] == "invalid_request_error"

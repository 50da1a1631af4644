"""`/v1/turns` and `/v1/jobs`: owners ask, look and cancel; nothing that is sent breaks them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.owning import Owned, error, owned

from flywheel.store.jobs import AddArguments
from flywheel.wheel import jobs, keys

MISSING = "0" * 32
ROUTES = (
    ("POST", "/v1/turns"),
    ("GET", "/v1/jobs"),
    ("GET", f"/v1/jobs/{MISSING}"),
    ("POST", f"/v1/jobs/{MISSING}/cancel"),
)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owned]:
    with owned(tmp_path / "workspace") as found:
        yield found


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owned]:
    """The same without a job, which stays so."""
    with owned(tmp_path_factory.mktemp("jobs") / "workspace") as found:
        yield found


def test_turn_is_a_job_that_can_be_looked_at_until_it_ended(owner: Owned) -> None:
    started = owner.client.post("/v1/turns", json={"model": False})
    assert started.status_code == 202
    job = started.json()
    assert job == {
        "object": "job",
        "id": job["id"],
        "kind": "turn",
        "arguments": {"model": False},
        "user": "ines",
        "state": "queued",
        "created_at": job["created_at"],
        "started_at": None,
        "ended_at": None,
        "progress": {"stage": "", "done": 0, "total": 0},
        "result": {},
        "error": "",
    }
    assert owner.client.get(f"/v1/jobs/{job['id']}").json() == job
    owner.work()
    failed = owner.client.get(f"/v1/jobs/{job['id']}").json()
    assert (failed["state"], failed["error"][:18]) == ("failed", "Nothing is staged.")
    assert failed["created_at"] <= failed["started_at"] <= failed["ended_at"]


def test_second_turn_is_the_one_that_waits(owner: Owned) -> None:
    first = owner.client.post("/v1/turns").json()
    assert owner.client.post("/v1/turns", json={}).json()["id"] == first["id"]
    other = owner.client.post("/v1/turns", json={"model": True}).json()
    assert (other["id"] != first["id"], other["arguments"]) == (True, {"model": True})


@pytest.mark.parametrize(
    "body", ["1", "[]", '"a"', '{"model": 1}', '{"model": "true"}', '{"x": 1}']
)
def test_body_that_is_no_turns_is_refused(idle: Owned, body: str) -> None:
    reply = idle.client.post(
        "/v1/turns", content=body, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 400
    assert error(reply)["type"] == "invalid_request_error"
    assert idle.client.get("/v1/jobs").json()["data"] == []


def test_job_is_cancelled_once_and_by_whom_is_kept(owner: Owned) -> None:
    id = owner.client.post("/v1/turns").json()["id"]
    for _ in range(2):
        cancelled = owner.client.post(f"/v1/jobs/{id}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert owner.work() == []
    acts = [(act.user, act.action, act.target) for act in keys.acts(owner.workspace.database)]
    assert acts[:2] == [("ines", "jobs.cancel", id), ("ines", "jobs.turn", id)]


def test_job_that_has_ended_is_not_cancelled(owner: Owned) -> None:
    id = owner.client.post("/v1/turns").json()["id"]
    owner.work()
    reply = owner.client.post(f"/v1/jobs/{id}/cancel")
    assert (reply.status_code, error(reply)["code"]) == (409, "job_ended")


def test_jobs_are_listed_in_pages_the_latest_first(owner: Owned) -> None:
    ids = [jobs.submit(owner.workspace, AddArguments(access=(label,))).id for label in "abcd"][::-1]
    pages: list[str] = []
    after = ""
    while True:
        page = owner.client.get("/v1/jobs", params={"limit": 3, "after": after}).json()
        pages += [each["id"] for each in page["data"]]
        after = pages[-1]
        if not page["has_more"]:
            break
    assert pages == ids


def test_owner_of_some_labels_sees_no_job_of_others(owner: Owned) -> None:
    hidden = jobs.submit(owner.workspace, AddArguments(access=("board",), files=("sale.md",)))
    shown = jobs.submit(owner.workspace, AddArguments(access=("hr", "board")))
    some = owner.calling("hr", "owner", "hr")
    assert [each["id"] for each in some.get("/v1/jobs").json()["data"]] == [shown.id]
    for reply in (
        some.get(f"/v1/jobs/{hidden.id}"),
        some.post(f"/v1/jobs/{hidden.id}/cancel"),
        some.get("/v1/jobs", params={"after": hidden.id}),
    ):
        assert reply.status_code in (400, 404) and "sale" not in reply.text
    assert owner.client.get(f"/v1/jobs/{hidden.id}").json()["state"] == "queued"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_jobs_are_the_owners_alone(idle: Owned, method: str, path: str) -> None:
    for role in ("asker", "curator"):
        reply = idle.calling(role, role).request(method, path)
        assert (reply.status_code, error(reply)["type"]) == (403, "permission_error")
    nobody = idle.client.request(method, path, headers={"Authorization": "Bearer no"})
    assert nobody.status_code == 401


@pytest.mark.parametrize(
    "id", [MISSING, "x", "%00", "%ff", "%ED%A0%80", "a" * 5000, "..%2f..%2fetc", "字", "%0d%0aX:1"]
)
def test_id_of_no_job_is_not_found(idle: Owned, id: str) -> None:
    for reply in (idle.client.get(f"/v1/jobs/{id}"), idle.client.post(f"/v1/jobs/{id}/cancel")):
        assert reply.status_code == 404, reply.text


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", f"limit={2**63}", f"limit=-{9 * 10**99}", "limit=x", "limit=",
              "limit=%00", "after=x", "after=%00", f"after={MISSING}", "after=%ED%A0%80"]
)  # fmt: skip
def test_page_of_nowhere_is_refused(idle: Owned, query: str) -> None:
    reply = idle.client.get(f"/v1/jobs?{query}")
    assert reply.status_code == 400
    assert error(reply)["param"] in ("after", "query.limit", "limit")

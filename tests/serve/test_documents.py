"""`/v1/documents`: what owners send is kept before it is acknowledged, and none of it does harm."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serve.owning import Owned, error, owned

from flywheel.serve import multipart
from flywheel.wheel import incoming, keys
from flywheel.wheel.incoming import files_of
from flywheel.wheel.workspace import UPLOADS

DOORS = "# Doors\n\nEvery door opens from inside by pulling the handle twice.\n"
WINDOWS = "# 车窗\n\n车窗上升时遇到阻力会自动停下并略微下降。\n"
MISSING = "0" * 20
BOUNDARY = "x"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
MEGABYTE = 1 << 20


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owned]:
    with owned(tmp_path / "workspace") as found:
        yield found


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owned]:
    """The same with nothing in it, which stays so."""
    with owned(tmp_path_factory.mktemp("documents") / "workspace") as found:
        yield found


def upload(client: TestClient, *files: tuple[str, str | bytes], access: Sequence[str] = ()) -> Any:
    return client.post(
        "/v1/documents",
        files=[("files", each) for each in files],
        data={"access": list(access)},
    )


def rows(owner: Owned, client: TestClient | None = None) -> dict[str, dict[str, Any]]:
    """What is listed, by path."""
    listed = (client or owner.client).get("/v1/documents", params={"limit": 100}).json()
    return {each["path"]: each for each in listed["data"]}


def kept(owner: Owned) -> list[str]:
    """The names of all files among the uploads."""
    return sorted(each.name for each in files_of(owner.workspace.root / UPLOADS))


def part(disposition: str, content: bytes = b"x", headers: str = "") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n"
    return head.encode() + content + b"\r\n"


def end() -> bytes:
    return f"--{BOUNDARY}--\r\n".encode()


A_FILE = part('name="files"; filename="a.md"', DOORS.encode())


def test_upload_is_acknowledged_once_it_is_kept_and_its_job_waits(owner: Owned) -> None:
    reply = upload(owner.client, ("doors.md", DOORS), ("车窗.md", WINDOWS), access=["hr", " hr"])
    assert reply.status_code == 202
    job = reply.json()
    assert (job["object"], job["kind"], job["state"]) == ("job", "add", "queued")
    assert job["arguments"] == {"access": ["hr"], "files": ["doors.md", "车窗.md"]}
    assert (job["user"], job["left_out"]) == ("ines", [])
    assert kept(owner) == ["doors.md", "车窗.md"]
    assert rows(owner) == {}

    [done] = owner.work()
    assert done.result["fates"] == {"kept": 2}
    row = rows(owner)["车窗.md"]
    assert row == {
        "object": "document",
        "id": row["id"],
        "source": row["source"],
        "path": "车窗.md",
        "fate": "kept",
        "reason": "",
        "passages": 1,
        "access": ["hr"],
    }
    acts = [(act.user, act.action, act.target) for act in keys.acts(owner.workspace.database)]
    assert acts[0] == ("ines", "jobs.add", job["id"])


def test_deleted_upload_is_gone_from_the_disk_and_the_list(owner: Owned) -> None:
    upload(owner.client, ("doors.md", DOORS), ("车窗.md", WINDOWS))
    owner.work()
    id = rows(owner)["doors.md"]["id"]
    reply = owner.client.delete(f"/v1/documents/{id}")
    assert (reply.status_code, reply.json()["kind"]) == (202, "add")
    assert kept(owner) == ["车窗.md"]
    [done] = owner.work()
    assert (done.state, done.result["num_deleted"]) == ("done", 1)
    assert rows(owner).keys() == {"车窗.md"}
    assert owner.client.delete(f"/v1/documents/{id}").status_code == 404
    acts = [(act.action, act.target) for act in keys.acts(owner.workspace.database)]
    assert ("documents.delete", id) in acts


def test_document_that_was_not_uploaded_is_not_deleted_here(owner: Owned, tmp_path: Path) -> None:
    from flywheel.wheel.ingest import add

    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "doors.md").write_text(DOORS, encoding="utf-8")
    add(owner.workspace, [str(tmp_path / "documents")])
    reply = owner.client.delete(f"/v1/documents/{rows(owner)['doors.md']['id']}")
    assert (reply.status_code, "not uploaded" in error(reply)["message"]) == (400, True)
    assert (tmp_path / "documents" / "doors.md").exists()


def test_documents_are_listed_in_pages(owner: Owned) -> None:
    upload(owner.client, *((f"{name}.md", f"{DOORS} {name * 50}") for name in "abc字"))
    owner.work()
    pages: list[str] = []
    after = ""
    while True:
        page = owner.client.get("/v1/documents", params={"limit": 3, "after": after}).json()
        pages += [each["path"] for each in page["data"]]
        after = page["data"][-1]["id"]
        if not page["has_more"]:
            break
    assert pages == ["a.md", "b.md", "c.md", "字.md"]


def test_owner_of_some_labels_sees_and_sends_no_others(owner: Owned) -> None:
    some = owner.calling("hr", "owner", "hr")
    upload(owner.client, ("sale.md", DOORS), access=["board"])
    upload(some, ("pay.md", WINDOWS), access=["hr"])
    owner.work()
    hidden = rows(owner)["sale.md"]["id"]
    assert rows(owner, some).keys() == {"pay.md"}
    for reply in (
        some.delete(f"/v1/documents/{hidden}"),
        some.get("/v1/documents", params={"after": hidden}),
        upload(some, ("sale.md", WINDOWS), access=["hr", "board"]),
    ):
        assert reply.status_code in (400, 403, 404) and "board" not in reply.text
    assert kept(owner) == ["pay.md", "sale.md"]
    assert owner.work() == []


def test_documents_are_the_owners_alone(idle: Owned) -> None:
    for role in ("asker", "curator"):
        client = idle.calling(role, role)
        for reply in (
            upload(client, ("a.md", DOORS)),
            client.get("/v1/documents"),
            client.delete(f"/v1/documents/{MISSING}"),
        ):
            assert (reply.status_code, error(reply)["code"]) == (403, "forbidden")
    nobody = idle.client.get("/v1/documents", headers={"Authorization": "Bearer no"})
    assert nobody.status_code == 401
    assert kept(idle) == []


def test_what_an_add_would_leave_out_is_named_and_the_rest_kept(owner: Owned) -> None:
    reply = upload(owner.client, (".DS_Store", b"x"), ("doors.md", DOORS), ("x/~$a.docx", b"x"))
    assert [each["name"] for each in reply.json()["left_out"]] == [".DS_Store", "x/~$a.docx"]
    assert kept(owner) == ["doors.md"]
    nothing = upload(owner.client, (".DS_Store", b"x"))
    assert nothing.status_code == 400
    assert ".DS_Store: files of such names are left out" in error(nothing)["message"]


@pytest.mark.parametrize(
    "given",
    [
        "../../../etc/cron.d/a.md",
        "/etc/a.md",
        "..\\..\\a.md",
        "C:\\a.md",
        "a\x00.md",
        "http://127.0.0.1:1/a.md",
        "CON.md",
        f"{'长' * 400}.md",
        "%2e%2e%2fa.md",
        "a\u202e.md",
    ],
)
def test_no_name_leads_out_of_the_uploads(owner: Owned, given: str) -> None:
    before = {each for each in owner.workspace.root.parent.rglob("*") if UPLOADS not in each.parts}
    body = part('name="files"; filename="' + given + '"', DOORS.encode()) + end()
    reply = owner.client.post("/v1/documents", content=body, headers=FORM)
    assert reply.status_code == 202, reply.text
    [name] = reply.json()["arguments"]["files"]
    assert kept(owner) == [name]
    after = {each for each in owner.workspace.root.parent.rglob("*") if UPLOADS not in each.parts}
    assert after == before


def test_name_in_gb18030_is_read(owner: Owned) -> None:
    body = A_FILE.replace(b"a.md", "车门手册.md".encode("gb18030")) + end()
    reply = owner.client.post("/v1/documents", content=body, headers=FORM)
    assert reply.json()["arguments"]["files"] == ["车门手册.md"]


def test_file_over_the_limit_is_refused_and_leaves_nothing(owner: Owned) -> None:
    reply = upload(owner.client, ("a.md", DOORS), ("b.md", b"x" * (MEGABYTE + 1)))
    assert (reply.status_code, error(reply)["code"]) == (413, "file_too_large")
    assert kept(owner) == [] and owner.work() == []
    assert upload(owner.client, ("b.md", b"x" * MEGABYTE)).status_code == 202


def test_uploads_over_the_quota_are_refused_until_there_is_room(owner: Owned) -> None:
    for name in ("a.md", "b.md"):
        assert upload(owner.client, (name, b"x" * (MEGABYTE - 10))).status_code == 202
    full = upload(owner.client, ("c.md", b"x" * 100))
    assert (full.status_code, error(full)["code"]) == (413, "upload_quota")
    assert kept(owner) == ["a.md", "b.md"]
    assert upload(owner.client, ("c.md", b"x" * 10)).status_code == 202
    (owner.workspace.root / UPLOADS).joinpath(
        next(files_of(owner.workspace.root / UPLOADS))
    ).unlink()  # as an erase does
    assert upload(owner.client, ("d.md", b"x" * 100)).status_code == 202


def test_full_disk_is_told_and_can_be_tried_again(
    owner: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(incoming, "sync", full)
        reply = upload(owner.client, ("a.md", DOORS))
    assert (reply.status_code, error(reply)["message"][:17]) == (503, "The disk is full:")
    assert owner.work() == []
    assert upload(owner.client, ("a.md", DOORS)).status_code == 202


def test_form_without_files_is_refused(idle: Owned) -> None:
    for body in (end(), part('name="access"') + end(), part('name="files"; filename=""') + end()):
        reply = idle.client.post("/v1/documents", content=body, headers=FORM)
        assert reply.status_code == 400, reply.text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "ends early"),
        (A_FILE, "ends early"),
        (A_FILE[:-30], "ends early"),
        (b"not a form at all", "damaged"),
        (b"\x00" * 1000, "damaged"),
        (b"--x\r\nContent-Type: text/plain\r\n\r\nx\r\n" + end(), "damaged"),
        (b'--x\r\nContent-Disposition: attachment; name="files"\r\n\r\nx\r\n' + end(), "damaged"),
        (part('filename="a.md"') + end(), "damaged"),
        (part('name="files"', DOORS.encode()) + end(), "labels as fields"),
        (part('name="file"; filename="a.md"') + end(), 'under the name "files"'),
        (part('name="access"; filename="a.md"') + end(), 'under the name "files"'),
        (A_FILE + part('name="user"', b"eve") + end(), "labels as fields"),
        (A_FILE + part('name="access"', b"\xff") + end(), "UTF-8"),
        (A_FILE + part('name="access"', b"") + end(), "access label"),
        (A_FILE + part('name="access"', b"a\x00b") + end(), "access label"),
        (A_FILE + part('name="access"', b"a" * 101) + end(), "access label"),
        (A_FILE + part('name="access"', b"a" * 5000) + end(), "A field may have"),
        (A_FILE + part('name="files"; filename="b"', headers="A: b\r\n" * 5000) + end(), ""),
        (A_FILE + part(f'name="files"; filename="{"b" * 9000}"') + end(), ""),
        (A_FILE * 101 + end(), "may hold 100 files"),
        (A_FILE + part('name="access"', b"a") * 301 + end(), "files and fields"),
    ],
)  # fmt: skip
def test_form_that_means_nothing_is_refused_and_leaves_nothing(
    idle: Owned, body: bytes, says: str
) -> None:
    reply = idle.client.post("/v1/documents", content=body, headers=FORM)
    assert (reply.status_code, says in error(reply)["message"]) == (400, True), reply.text
    assert kept(idle) == []


def test_form_that_is_mostly_no_file_is_refused(
    idle: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "MAX_BESIDE_BYTES", 10_000)
    for body in (b"\r\n" * 10_000 + A_FILE + end(), A_FILE + end() + b"x" * 20_000):
        reply = idle.client.post("/v1/documents", content=body, headers=FORM)
        assert reply.status_code == 400, reply.text
    assert kept(idle) == []


@pytest.mark.parametrize(
    "media_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 5000}",
        "multipart/mixed; boundary=x",
        "application/json",
        "text/plain",
        "",
        ";;;=",
    ],
)
def test_body_of_another_type_is_refused(idle: Owned, media_type: str) -> None:
    reply = idle.client.post(
        "/v1/documents", content=A_FILE + end(), headers={"Content-Type": media_type}
    )
    assert reply.status_code in (400, 415), reply.text
    assert kept(idle) == []


def test_no_bytes_bring_about_a_defect(idle: Owned) -> None:
    """Bodies that are nearly forms: bytes changed, left out, put in, doubled."""
    chance = random.Random(7)
    whole = A_FILE + part('name="access"', "员工".encode()) + end()
    for _ in range(300):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            cut = chance.randrange(12)
            middle = chance.choice(
                [
                    b"",
                    chance.randbytes(cut),
                    b"\r\n",
                    b"--x",
                    b"--",
                    b'"',
                    b"\x00",
                    bytes(body[:at]),
                ]
            )
            body[at : at + cut] = middle
            body = body or bytearray(b"-")
        reply = idle.client.post("/v1/documents", content=bytes(body), headers=FORM)
        assert reply.status_code in (202, 400, 413), (bytes(body), reply.text)
        for each in files_of(idle.workspace.root / UPLOADS):
            assert reply.status_code == 202 and each.parent.name != ".incoming"
            each.unlink()


def test_client_that_goes_away_leaves_nothing(idle: Owned) -> None:
    """What came in so far is deleted, whatever ends the request."""
    import asyncio

    async def go_away(error: BaseException | None) -> list[str]:
        sent: list[Any] = []
        came = iter([{"type": "http.request", "body": A_FILE[:-20], "more_body": True}])

        async def receive() -> Any:
            for each in came:
                return each
            seen.append(kept(idle))
            if error:
                raise error
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        secret = idle.client.headers["Authorization"]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/documents",
            "raw_path": b"/v1/documents",
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"authorization", secret.encode()),
                (b"content-type", FORM["Content-Type"].encode()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await idle.app(scope, receive, send)
        return [str(each.get("status", "")) for each in sent]

    seen: list[list[str]] = []
    assert asyncio.run(go_away(None))[0] == "400"
    assert [len(each) for each in seen] == [1], "it was on its way"
    assert kept(idle) == []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(go_away(asyncio.CancelledError()))
    assert kept(idle) == []


@pytest.mark.parametrize(
    "id", [MISSING, "x", "%00", "%ff", "%ED%A0%80", "a" * 5000, "..%2f..%2fetc", "字"]
)
def test_id_of_no_document_is_not_found(idle: Owned, id: str) -> None:
    assert idle.client.delete(f"/v1/documents/{id}").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        f"limit={2**63}",
        "limit=x",
        "after=x",
        "after=%00",
        f"after={MISSING}",
    ],
)
def test_page_of_nowhere_is_refused(idle: Owned, query: str) -> None:
    assert idle.client.get(f"/v1/documents?{query}").status_code == 400


def test_routes_are_in_the_openapi_document_with_examples(idle: Owned) -> None:
    document = idle.client.get("/openapi.json").json()
    post = document["paths"]["/v1/documents"]["post"]
    assert set(post["requestBody"]["content"]) == {"multipart/form-data"}
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) == 10
    for path, method, operation in operations:
        assert operation["summary"] and operation["description"], (path, method)
        codes = set(operation["responses"])
        assert codes >= {"400", "401", "403", "404", "429", "503"}, (path, method)
        success = operation["responses"]["202" if "202" in codes else "200"]
        assert "$ref" in success["content"]["application/json"]["schema"], (path, method)

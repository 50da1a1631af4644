"""Attacks on the whole server by whoever reaches its port, or holds an asker's key: one test each.

What documents attack with is test_injection.py's, texts that are to take long test_growth.py's,
bytes that are no request test_fuzz.py's.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from tests.serve.standing import Client, Reply
from tests.serve.whole import Whole, whole

from flywheel.records import Role
from flywheel.serve.bodies import Patience
from flywheel.serve.limits import GUESSES_PER_MINUTE
from flywheel.serve.observing import JsonLines
from flywheel.serve.protocol import SocketBounds
from flywheel.store import interactions
from flywheel.wheel import keys
from flywheel.wheel.workspace import UPLOADS

QUESTION, FRAGE = "Where is the child lock?", "儿童锁在哪里？"
EVIL = "https://evil.example.org"

FOR_NOBODY = "get /, get /healthz, get /readyz, get /signin, post /signin, post /signout"
FOR_CURATORS = (
    "get /v1/versions, get /v1/corrections, post /v1/corrections/{id}/confirm, "
    "post /v1/corrections/{id}/withdraw"
)
FOR_OWNERS = (
    "get /v1/documents, post /v1/documents, delete /v1/documents/{id}, post /v1/turns, "
    "get /v1/jobs, get /v1/jobs/{id}, post /v1/jobs/{id}/cancel, get /v1/keys, post /v1/keys, "
    "delete /v1/keys/{id}, get /v1/audit, post /v1/versions/{number}/promote, "
    "post /v1/versions/rollback, get /metrics"
)


@pytest.fixture(scope="module")
def attacked(_built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One server for all: whoever attacks has a key of his own, or an address."""
    root = tmp_path_factory.mktemp("attacked") / "workspace"
    shutil.copytree(_built.with_name("kept") / "workspace", root)
    with whole(root, "[serve]\nrequests_per_minute = 100000\nmax_upload_megabytes = 1\n") as served:
        yield served


def body(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "flywheel", "messages": [{"role": "user", "content": question}]} | more


def ask(client: httpx.Client, question: str, **more: Any) -> dict[str, Any]:
    reply = client.post("/v1/chat/completions", json=body(question, **more))
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def code(reply: httpx.Response) -> tuple[int, str | None]:
    error = reply.json()["error"]
    return reply.status_code, error["code"]


def raw(attacked: Whole, text: str, source: str = "127.0.0.1") -> Reply:
    with Client(attacked.port, source) as client:
        client.send(text)
        return client.reply()


# Keys


@pytest.mark.parametrize("role", [None, "asker", "curator"])
def test_no_route_lets_in_who_may_not(attacked: Whole, role: Role | None) -> None:
    """Every operation of the document: a new one is for askers, or has its place above."""
    document = httpx.get(f"{attacked.url}/openapi.json", trust_env=False).json()
    closed = set(FOR_OWNERS.split(", "))
    closed |= set(FOR_CURATORS.split(", ")) if role == "asker" else set()
    let_in: set[str] = set()
    refused: set[str] = set()
    with attacked.client(role) as client:
        for path, operations in document["paths"].items():
            for method in operations:
                sent: dict[str, Any] = {} if method in ("get", "delete") else {"json": {}}
                if (method, path) == ("post", "/v1/documents"):
                    sent = {"files": {"files": ("a.md", b"x")}}
                place = path.replace("{number}", "1").replace("{id}", "x").replace("{model}", "x")
                status = client.request(method, place, **sent).status_code
                (refused if status in (401, 403) else let_in).add(f"{method} {path}")
    if role is None:
        assert let_in - {"post /signin", "post /signout"} <= set(FOR_NOBODY.split(", "))
    else:
        assert refused - {"post /signin"} == closed


def test_twenty_guesses_a_minute_and_no_more_whatever_address_they_claim(attacked: Whole) -> None:
    def guess(number: int) -> Reply:
        head = (
            f"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer fw-{number}\r\n"
            f"X-Forwarded-For: 192.0.2.{number}\r\nForwarded: for=192.0.2.{number}\r\n\r\n"
        )
        return raw(attacked, head, source="127.0.0.7")

    replies = [guess(number) for number in range(GUESSES_PER_MINUTE + 5)]
    statuses = [reply.status for reply in replies]
    assert statuses[: GUESSES_PER_MINUTE - 1] == [401] * (GUESSES_PER_MINUTE - 1)
    assert statuses[-1] == 429
    assert int(replies[-1].headers["retry-after"]) >= 1


def test_who_guesses_locks_nobody_out_who_shares_the_address(attacked: Whole) -> None:
    """Behind a proxy all have one address; a browser's signing in makes all keys be asked anew."""
    asker = attacked.key("asker", "attacks by guessing")
    victim = attacked.key("asker", "a newcomer")

    def get(secret: str) -> int:
        head = f"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\r\n"
        return raw(attacked, head, source="127.0.0.8").status

    for number in range(GUESSES_PER_MINUTE + 5):
        get(f"fw-{number}")
    form = f"key={asker}"
    signed_in = raw(
        attacked,
        "POST /signin HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n\r\n{form}",
        source="127.0.0.8",
    )
    assert signed_in.status == 303
    assert get("fw-guessed") == 429
    assert get(victim) == 200


def test_an_almost_right_key_is_as_wrong_as_any(attacked: Whole) -> None:
    """Looked up by its hash: nothing compares the characters of secrets, and none is kept."""
    secret = attacked.key("asker", "has a key")
    almost = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    asked: list[tuple[str, Any]] = []

    def note(*args: Any) -> None:
        asked.append((args[2], args[3]))

    def statements(sent: str) -> list[str]:
        asked.clear()
        event.listen(engine, "before_cursor_execute", note)
        assert keys.caller_of(attacked.workspace.database, sent) is None
        event.remove(engine, "before_cursor_execute", note)
        assert secret not in repr(asked) and sent not in repr(asked)
        return [statement for statement, _ in asked]

    engine = attacked.workspace.database._reading
    assert statements(almost) == statements("fw-" + "x" * 43)
    files = [attacked.workspace.root / f"flywheel.db{suffix}" for suffix in ("", "-wal")]
    assert not any(secret.encode() in file.read_bytes() for file in files if file.exists())


def test_a_revoked_key_lets_nobody_in(attacked: Whole) -> None:
    with attacked.client("owner") as owner:
        made = owner.post("/v1/keys", json={"name": "leaver 离职", "role": "curator"}).json()
        with attacked.client(secret=made["key"]) as leaver:
            assert leaver.get("/v1/me").status_code == 200
            assert owner.delete(f"/v1/keys/{made['id']}").status_code == 200
            assert code(leaver.get("/v1/me")) == (401, "invalid_api_key")


# Others' things


@pytest.mark.parametrize("question", [QUESTION, FRAGE])
def test_an_asker_sees_and_judges_nobody_elses_interactions(attacked: Whole, question: str) -> None:
    mine, other = (attacked.key("asker", name) for name in ("anna 安娜", "attacker"))
    with attacked.client(secret=mine) as client:
        id = ask(client, question)["flywheel"]["interaction"]
        assert client.get(f"/v1/interactions/{id}").status_code == 200
    with attacked.client(secret=other) as client:
        act = {"kind": "down", "interaction": id, "candidate": 0}
        assert code(client.get(f"/v1/interactions/{id}")) == (404, "interaction_not_found")
        assert code(client.post("/v1/feedback", json=act)) == (404, "interaction_not_found")


@pytest.mark.parametrize(
    ("question", "lie"), [(QUESTION, "There is none."), (FRAGE, "根本没有儿童锁。")]
)
def test_an_askers_correction_reaches_only_himself(
    attacked: Whole, question: str, lie: str
) -> None:
    liar, other = (attacked.key("asker", f"{name} of {lie}") for name in ("liar", "other"))
    act = {"kind": "edit", "question": question, "answer": lie}
    with attacked.client(secret=liar) as client:
        given = client.post("/v1/feedback", json=act).json()["led_to"][0]
        assert given["outcome"] == "served_to_you"
        assert ask(client, question)["choices"][0]["message"]["content"] == lie
        confirmed = client.post(f"/v1/corrections/{given['id']}/confirm")
        assert code(confirmed) == (403, "forbidden")
    with attacked.client(secret=other) as client:
        assert lie not in ask(client, question)["choices"][0]["message"]["content"]


def test_nobody_acts_as_another_by_saying_so(attacked: Whole) -> None:
    with attacked.client(secret=attacked.key("asker", "honest")) as client:
        headers = {
            "X-User": "the owner",
            "X-Forwarded-User": "the owner",
            "OpenAI-Organization": "x",
        }
        told = client.post(
            "/v1/chat/completions", json=body(QUESTION, user="the owner"), headers=headers
        ).json()
        for field in ("user", "role", "verified", "access"):
            act = {"kind": "up", "question": QUESTION, "answer": "x", field: "owner"}
            assert client.post("/v1/feedback", json=act).status_code == 400
        me = client.get("/v1/me", headers=headers).json()
    assert (me["name"], me["role"]) == ("honest", "asker")
    with attacked.workspace.database.read() as conn:
        kept = interactions.get(conn, told["flywheel"]["interaction"])
    assert kept is not None and kept.user == "honest"


@pytest.mark.parametrize(
    "question", ["What does the workshop pay its apprentices?", "学徒每月多少 zorkmids？"]
)
def test_what_a_key_may_not_read_is_found_by_no_way(attacked: Whole, question: str) -> None:
    asker, staff = attacked.key("asker", "outside"), attacked.key("asker", "inside", "staff")
    with attacked.client(secret=staff) as client:
        told = ask(client, "What does the workshop pay its apprentices?", n=4)
        assert "zorkmids" in told["choices"][0]["message"]["content"]
        passage = told["choices"][0]["flywheel"]["citations"][0]["passage"]
        id = told["flywheel"]["interaction"]
    with attacked.client(secret=asker) as client:
        for model in ("flywheel", "flywheel-1"):
            said = ask(client, question, n=4, model=model) | {"flywheel": {}}
            assert "zorkmids" not in json.dumps(said) and "Pay" not in json.dumps(said)
        for place in (f"passages/{passage}", f"interactions/{id}"):
            assert client.get(f"/v1/{place}").status_code == 404
        act = {"kind": "edit", "question": "x?", "answer": "y", "evidence": ["zorkmids a month"]}
        given = client.post("/v1/feedback", json=act).json()
        assert given["led_to"][0]["outcome"] == "no_evidence"


@pytest.mark.parametrize(
    "id",
    ["x' OR '1'='1", "x') OR ('1'='1", "' UNION SELECT secret_hash FROM keys --", "%", "_", "*"],
)
def test_ids_are_no_part_of_a_query(attacked: Whole, id: str) -> None:
    with attacked.client("owner") as client:
        for place in ("passages", "interactions", "jobs"):
            assert client.get(f"/v1/{place}/{id}").status_code == 404
        for place in ("keys", "documents"):
            assert client.delete(f"/v1/{place}/{id}").status_code == 404
        for place in ("documents", "jobs"):
            assert client.get(f"/v1/{place}", params={"after": id}).status_code == 400


@pytest.mark.parametrize(
    "model",
    ["../../etc/passwd", "flywheel-1/../flywheel-bare", "flywheel-0", "flywheel-１", "飞轮",
     "flywheel-1\n", "flywheel-99999999999", "file:///etc/passwd", "{{7*7}}", "flywheel-bare"],
)  # fmt: skip
def test_a_models_name_leads_nowhere(attacked: Whole, model: str) -> None:
    with attacked.client() as client:
        chat = client.post("/v1/chat/completions", json=body(QUESTION, model=model))
        assert chat.status_code in (403, 404)
        assert "49" not in chat.text and "root:" not in chat.text
        for route, field in (("completions", "prompt"), ("embeddings", "input")):
            sent = {"model": model, field: "x"}
            assert client.post(f"/v1/{route}", json=sent).status_code in (400, 403, 404)


# Browsers


def test_a_name_that_is_bent_to_this_address_reaches_nothing(attacked: Whole) -> None:
    """DNS rebinding: the page's own name is not one of the server's, whatever key comes along."""
    with attacked.client("owner") as client:
        for host in ("evil.example.org", f"evil.example.org:{attacked.port}", "localhost.evil.org"):
            assert code(client.get("/v1/me", headers={"Host": host})) == (421, "host_not_allowed")


@contextmanager
def signed_in(attacked: Whole) -> Iterator[httpx.Client]:
    """A browser that is signed in as the owner."""
    with attacked.client(None) as browser:
        done = browser.post("/signin", data={"key": attacked.secrets["owner"]})
        assert done.status_code == 303
        flags = done.headers["Set-Cookie"].lower()
        assert "httponly" in flags and "samesite=strict" in flags
        yield browser


def test_another_page_does_nothing_with_the_browsers_cookie(attacked: Whole) -> None:
    with signed_in(attacked) as browser:
        token = browser.get("/v1/me").json()["csrf"]
        sent: dict[str, Any] = {"json": {"name": "mallory", "role": "owner"}}
        assert code(browser.post("/v1/keys", **sent)) == (403, "csrf")
        wrong = {"X-CSRF-Token": token[:-1] + ("A" if token[-1] != "A" else "B")}
        assert code(browser.post("/v1/keys", **sent, headers=wrong)) == (403, "csrf")
        right = {"X-CSRF-Token": token}
        for origin in (EVIL, "null", "http://localhost:1", f"http://127.0.0.1:{attacked.port}.x"):
            refused = browser.post("/v1/keys", **sent, headers=right | {"Origin": origin})
            assert code(refused) == (403, "origin_not_allowed")
        cross = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert browser.get("/v1/me", headers=cross).status_code == 403
        own = right | {"Origin": attacked.url}
        made = browser.post("/v1/keys", json={"name": "ines", "role": "asker"}, headers=own)
        assert made.status_code == 200
        names = [each["name"] for each in browser.get("/v1/keys").json()["data"]]
    assert "mallory" not in names


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "",
     "text/plain; application/json", "text/json"],
)  # fmt: skip
def test_a_form_is_no_json(attacked: Whole, kind: str) -> None:
    """What a page elsewhere can make a browser send without asking first."""
    sent = json.dumps({"name": "mallory", "role": "owner"})
    with attacked.client("owner") as client:
        refused = client.post("/v1/keys", content=sent, headers={"Content-Type": kind})
    assert code(refused) == (415, "media_type")


def test_a_form_with_a_file_needs_the_sessions_token_too(attacked: Whole) -> None:
    folder = attacked.workspace.root / UPLOADS
    before = sorted(folder.rglob("*"))
    with signed_in(attacked) as browser:
        refused = browser.post("/v1/documents", files={"files": ("planted.md", b"# Lies")})
    assert code(refused) == (403, "csrf")
    assert sorted(folder.rglob("*")) == before


def test_another_page_signs_nobody_in(attacked: Whole) -> None:
    """As the attacker, so that what the victim asks is the attacker's to read."""
    asker = attacked.key("asker", "signs others in")
    with attacked.client(None) as browser:
        refused = browser.post("/signin", data={"key": asker}, headers={"Origin": EVIL})
        assert code(refused) == (403, "origin_not_allowed")
        assert not browser.cookies


@pytest.mark.parametrize(
    "token", ["<script>alert(1)</script>", '"><img src=x onerror=x>', "令牌'\""]
)
def test_no_page_holds_what_was_sent(attacked: Whole, token: str) -> None:
    with attacked.client(None) as browser:
        page = browser.get("/signin", params={"token": token})
        lost = browser.get(f"/{token}")
    assert token not in page.text and token not in lost.text
    assert "<script" not in page.text and "unsafe" not in page.headers["Content-Security-Policy"]
    assert lost.headers["Content-Type"] == "application/json"
    assert lost.headers["X-Content-Type-Options"] == "nosniff"


# Heads, and what is written of them


@pytest.mark.parametrize(
    "head",
    [
        "GET /v1/models/%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: localhost\r\n",
        "GET /v1/models/%E2%80%A8x HTTP/1.1\r\nHost: localhost\r\n",
        "GET /v1/models/%1b[2J HTTP/1.1\r\nHost: localhost\r\n",
        "GET /v1/me?x=%00 HTTP/1.1\r\nHost: localhost\r\n",
        "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\x1b[2J\r\n",
        "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\rX: y\r\n",
        "GET /v1/me HTTP/1.1\r\nHost: localhost\r\n\tfolded: yes\r\n",
        "GET /v1/me HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.org\r\n",
        "GET /v1/me HTTP/1.1\r\nHost: localhost, evil.example.org\r\n",
        "GET http://evil.example.org/v1/me HTTP/1.1\r\nHost: localhost\r\n",
    ],
    ids=range(10),
)
def test_a_head_brings_no_line_of_its_own(
    attacked: Whole, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = f"Authorization: Bearer {attacked.secrets['owner']}\r\n\r\n"
    with caplog.at_level(logging.DEBUG):
        reply = raw(attacked, head + key)
    assert reply.status == 400
    assert "set-cookie" not in reply.headers
    lines = [JsonLines().format(record) for record in caplog.records]
    assert not any("\n" in line or "\x1b" in line or "evil" in line for line in lines)


def test_what_is_forwarded_and_where_to_is_taken_from_no_header(
    attacked: Whole, caplog: pytest.LogCaptureFixture
) -> None:
    claims = {
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-For": "192.0.2.1",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1;host=evil.example.org",
        "X-Original-URL": "/v1/keys",
        "X-Rewrite-URL": "/v1/keys",
        "X-HTTP-Method-Override": "DELETE",
        "User-Agent": '"} {"level": "error',
        "Referer": EVIL,
    }
    with caplog.at_level(logging.INFO, logger="flywheel.requests"), attacked.client() as client:
        assert client.get("/v1/me", headers=claims).json()["object"] == "me"
        moved = client.post("/signout", headers=claims, data={})
    assert moved.headers["Location"] == "/signin"
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert "evil" not in json.dumps(lines) and "192.0.2.1" not in json.dumps(lines)


@pytest.mark.parametrize(
    "name", ["a\nb", "a\r\nX: y", "客服\u2028x", "\x1b[2J", "a\u202eb", "\x00", " "]
)
def test_a_name_is_one_line_that_can_be_read(attacked: Whole, name: str) -> None:
    with attacked.client("owner") as client:
        for made in ({"name": name}, {"name": "x", "access": [name]}):
            assert client.post("/v1/keys", json={"role": "asker"} | made).status_code == 400


# What frames a request


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 200",
        "Content-Length: 6, 200",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length: +6",
    ],
)
def test_a_request_that_can_be_framed_in_two_ways_hides_no_other(
    attacked: Whole, framing: str
) -> None:
    """Smuggling: a proxy in front may see one request where the server would see two."""
    key = f"Authorization: Bearer {attacked.secrets['owner']}\r\n"
    hidden = f"GET /v1/keys HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"
    with attacked.connection() as client:
        client.send(
            f"POST /v1/turns HTTP/1.1\r\nHost: localhost\r\n{key}Content-Type: application/json\r\n"
            f"{framing}\r\n\r\n0\r\n\r\nX{hidden}"
        )
        text = client.rest()
    assert text.startswith(b"HTTP/1.1 400")
    assert text.count(b"HTTP/1.1 ") == 1
    assert b'"object":"key"' not in text


# Too much, and too slow


@pytest.mark.parametrize(
    ("sent", "status", "wanted"),
    [
        (b'{"model": "' + b"x" * 2**20 + b'"}', 413, "body_too_large"),
        (b'{"metadata": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "invalid_json"),
        (b'{"seed": ' + b"9" * 5_000 + b"}", 400, "invalid_json"),
        (b'{"seed": 1e999}', 400, "invalid_json"),
        ('{"model": "\\ud800", "文": "\\u0000"}'.encode(), 400, "invalid_json"),
        (b'{"stop": [' + b"1," * 400_000 + b"1]}", 400, None),
        (b"{" + b", ".join(b'"k%d": 0' % each for each in range(70_000)) + b"}", 400, None),
    ],
    ids=["large", "deep", "digits", "infinite", "half", "many wrong items", "many unknown fields"],
)
def test_json_that_is_too_much_is_refused(
    attacked: Whole, sent: bytes, status: int, wanted: str | None
) -> None:
    with attacked.client() as client:
        headers = {"Content-Type": "application/json"}
        refused = client.post("/v1/chat/completions", content=sent, headers=headers)
    assert code(refused) == (status, wanted)
    assert len(refused.content) < 1000


def test_many_mistakes_are_told_as_one(attacked: Whole) -> None:
    with attacked.client() as client:
        unknown = {f"文{number}": 0 for number in range(1000)}
        refused = client.post("/v1/chat/completions", json=body(QUESTION) | unknown)
    assert refused.json()["error"]["message"] == "It is wrong in 1000 places."


def test_who_is_slow_is_let_go_and_holds_nobody_up(root: Path) -> None:
    bounds = SocketBounds(head_seconds=0.3, drain_seconds=0.3)
    patience = Patience(stall_seconds=0.3, bytes_per_second=1e9, linger_seconds=0.1)
    with whole(root, bounds=bounds, patience=patience) as served:
        key = f"Authorization: Bearer {served.secrets['owner']}\r\n"
        post = f"Host: localhost\r\n{key}Content-Length: 5000\r\n"
        slow = {
            "head": "GET /v1/me HTTP/1.1\r\nHost: localhost\r\n",
            "json": f"POST /v1/turns HTTP/1.1\r\n{post}Content-Type: application/json\r\n\r\n{{",
            "file": f"POST /v1/documents HTTP/1.1\r\n{post}Content-Type: multipart/form-data; "
            "boundary=b\r\n\r\n--b\r\n",
        }
        waiting = {name: served.connection() for name in slow}
        for name, text in slow.items():
            waiting[name].send(text)
        deaf = served.connection()
        get = f"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"
        deaf.send(get * 30)
        with served.client() as client:
            assert ask(client, QUESTION)["choices"]
        for client_of_it in waiting.values():
            assert b"408" in client_of_it.rest().partition(b"\r\n")[0]
            client_of_it.close()
        deaf.close()
        limits = served.app.state.service.limits
        assert (limits.num_running, limits.num_waiting) == (0, 0)
        assert not list((served.workspace.root / UPLOADS).rglob("*.md"))


def test_a_crowd_of_one_key_leaves_the_others_their_places(root: Path) -> None:
    with whole(root, "[serve]\nrequests_per_minute = 60\nconcurrent = 2\n") as served:
        other = served.key("asker", "other 别人")
        with served.client() as crowd, served.client(secret=other) as client:
            statuses = [
                crowd.post("/v1/moderations", json={"input": "x"}).status_code for _ in range(30)
            ]
            assert statuses.count(200) <= 15 and statuses[-1] == 429
            assert ask(client, FRAGE)["choices"]


def test_who_signs_in_again_and_again_is_told_to_wait(root: Path) -> None:
    """Each session is a row that stays for hours, and makes all keys be asked for anew."""
    slowly = "[serve]\nrequests_per_minute = 60\n"
    with whole(root, slowly) as served, served.client(None) as browser:
        form = {"key": served.secrets["asker"]}
        statuses = [browser.post("/signin", data=form).status_code for _ in range(30)]
    assert statuses.count(303) <= 15 and statuses[-1] == 429


@pytest.mark.parametrize("piece", ["the window lock", "后车门的边缘"])
def test_many_small_tasks_in_one_request_count_as_many(root: Path, piece: str) -> None:
    """Each is looked for in all that the documents say."""
    with whole(root, "[serve]\nrequests_per_minute = 60\n") as served, served.client() as client:
        evidence = [f"{piece} {number}" for number in range(20)]
        act = {"kind": "edit", "question": "x?", "answer": "y", "evidence": evidence}
        first = client.post("/v1/feedback", json=act)
        assert first.status_code == 200, "a whole bucket may go at once"
        second = client.post("/v1/feedback", json=act | {"question": "z?"})
    assert code(second) == (429, "rate_limit_exceeded")
    assert int(second.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("count", [1001, 10**8, 1e8])
@pytest.mark.parametrize("name", ["minItems", "maxItems"])
def test_a_schema_that_no_engine_could_write_out_is_refused(
    attacked: Whole, name: str, count: float
) -> None:
    inner = {"type": "array", name: count, "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"列表": {"anyOf": [inner]}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with attacked.client("curator") as client:
        asked = body(QUESTION, model="flywheel-bare", response_format=form)
        refused = client.post("/v1/chat/completions", json=asked)
    assert refused.status_code == 400
    assert "1,000 at most" in refused.json()["error"]["message"]

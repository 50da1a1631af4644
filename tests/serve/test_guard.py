"""What is refused before anything works on it, how it is refused, and what every reply carries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.standing import Reply, Standing, read, reply

from flywheel.serve.bodies import MAX_DEPTH, Budget, Patience, checked_json
from flywheel.serve.errors import ApiError
from flywheel.serve.guard import UPLOADS, Guard
from flywheel.wheel.serving import ServeSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON = ("Content-Type", "application/json")
FILLED_IN = ("Content-Type", "application/x-www-form-urlencoded")
FORM = ("Content-Type", "multipart/form-data; boundary=x")
SETTINGS = ServeSettings(
    hosts=("assistant.example.org", "助手.example.org"),
    origins=("https://chat.example.org", "https://聊天.example.org"),
    upload_quota_megabytes=1,
)
QUICK = Patience(stall_seconds=0.05, bytes_per_second=1e6, linger_seconds=0.05)


class Call:
    """One request to an ASGI app: its body comes in pieces, and what goes back is kept."""

    def __init__(
        self,
        method: str = "GET",
        path: str = "/x",
        *headers: tuple[str, str],
        body: Sequence[bytes] = (),
        stalls: bool = False,
        query: bytes = b"",
    ) -> None:
        """
        Args:
            stalls: the body does not end with the last piece, and nothing more comes.
        """
        named = {name.lower() for name, _ in headers}
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        if "host" not in named:
            pairs.append((b"host", b"localhost:8000"))
        if body and not named & {"content-length", "transfer-encoding"}:
            pairs.append((b"content-length", str(sum(map(len, body))).encode()))
        self.scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": pairs,
            "server": ("192.0.2.7", 8000),
            "client": ("192.0.2.9", 1234),
        }
        self._pieces = list(body) or [b""]
        self._stalls = stalls
        self.gone = asyncio.Event()
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self._pieces:
            body = self._pieces.pop(0)
            return {
                "type": "http.request",
                "body": body,
                "more_body": bool(self._pieces) or self._stalls,
            }
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def reply(self) -> Reply:
        """What was sent."""
        first, *others = self.sent
        assert first["type"] == "http.response.start"
        assert {each["type"] for each in others} == {"http.response.body"}
        assert not others[-1].get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in first["headers"]}
        assert len(headers) == len(first["headers"]), "no header is there twice"
        body = b"".join(each.get("body", b"") for each in others)
        return Reply(status=first["status"], headers=headers, body=body)


async def asked(call: Call, app: ASGIApp, patience: Patience = QUICK) -> Reply:
    """What comes back through a guard."""
    await Guard(app, SETTINGS, patience)(call.scope, call.receive, call.send)
    return call.reply()


def ask(
    method: str = "GET",
    path: str = "/x",
    *headers: tuple[str, str],
    body: Sequence[bytes] = (),
    stalls: bool = False,
    query: bytes = b"",
    app: ASGIApp | None = None,
) -> Reply:
    """The same, from outside of any loop."""

    async def scenario() -> Reply:
        call = Call(method, path, *headers, body=body, stalls=stalls, query=query)
        return await asked(call, app or Standing())

    return asyncio.run(scenario())


def refused(reply: Reply) -> tuple[int, str | None]:
    """The status and the code of an error that is told in OpenAI's shape."""
    error = json.loads(reply.body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return reply.status, error["code"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:8000", 200),
        ("127.0.0.1:9999", 200),
        ("[::1]:8000", 200),
        ("[0:0:0:0:0:0:0:1]", 200),
        ("192.0.2.7:8000", 200),  # the address that the connection came in at
        ("192.0.2.8:8000", 421),
        ("assistant.example.org", 200),
        ("assistant.example.org:443", 200),
        ("xn--fiqs8s.example.org", 421),
        ("evil.example.org", 421),
        ("localhost.evil.example.org", 421),
        ("0.0.0.0:8000", 421),
        ("localhost@evil.example.org", 400),
        ("localhost:8000:1", 400),
        ("localhost/../x", 400),
        ("", 400),
    ],
)
def test_the_server_answers_only_to_its_names(host: str, status: int) -> None:
    assert ask("GET", "/x", ("Host", host)).status == status


def test_an_address_that_stands_for_all_is_no_name() -> None:
    async def scenario() -> None:
        for host in ("0.0.0.0", "::"):
            call = Call("GET", "/x", ("Host", f"[{host}]" if ":" in host else host))
            await Guard(Standing(), ServeSettings(host=host))(call.scope, call.receive, call.send)
            assert call.reply().status == 421

    asyncio.run(scenario())


def test_a_name_in_chinese_is_known_as_browsers_send_it() -> None:
    sent = "助手.example.org".encode("idna").decode()
    assert ask("GET", "/x", ("Host", sent)).status == 200
    origin = "https://" + "聊天.example.org".encode("idna").decode()
    assert ask("GET", "/x", ("Origin", origin)).status == 200


def test_a_refusal_says_what_to_do_and_reflects_nothing() -> None:
    told = ask("GET", "/x", ("Host", "evil<script>.example.org"), ("X-Other", "<script>"))
    assert "script" not in told.body.decode() + str(told.headers)
    told = ask("GET", "/x", ("Host", "evil.example.org"), ("Origin", "https://evil.example.org"))
    assert refused(told) == (421, "host_not_allowed")
    assert b"flywheel.toml" in told.body
    assert "evil" not in told.body.decode() + str(told.headers)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("https://localhost:8000", 200),  # a proxy that speaks TLS
        ("http://localhost:3000", 403),
        ("http://localhost", 403),
        ("http://127.0.0.1:8000", 403),
        ("https://chat.example.org", 200),
        ("HTTPS://CHAT.example.org", 200),
        ("http://chat.example.org", 403),
        ("https://chat.example.org.evil.org", 403),
        ("null", 403),
        ("file://", 403),
        ("https://[", 403),
        ("junk", 403),
    ],
)
def test_only_pages_of_the_server_or_of_the_settings_may_call(origin: str, status: int) -> None:
    told = ask("POST", "/x", ("Origin", origin), JSON, body=[b"{}"])
    assert told.status == status
    allowed = told.headers.get("access-control-allow-origin")
    assert allowed == (origin.lower() if "chat" in origin.lower() and status == 200 else None)
    assert told.headers["vary"] == "Origin"


def test_a_default_port_is_the_same_place() -> None:
    host = ("Host", "assistant.example.org")
    assert ask("GET", "/x", host, ("Origin", "https://assistant.example.org")).status == 200
    assert ask("GET", "/x", host, ("Origin", "https://assistant.example.org:443")).status == 200
    assert ask("GET", "/x", host, ("Origin", "https://assistant.example.org:444")).status == 403


@pytest.mark.parametrize(
    ("method", "site", "mode", "status"),
    [
        ("GET", "same-origin", "cors", 200),
        ("GET", "none", "navigate", 200),
        ("GET", "cross-site", "navigate", 200),
        ("GET", "cross-site", "no-cors", 403),
        ("GET", "same-site", "no-cors", 403),
        ("POST", "cross-site", "navigate", 403),
    ],
)
def test_a_page_elsewhere_may_link_here_but_not_fetch(
    method: str, site: str, mode: str, status: int
) -> None:
    told = ask(method, "/x", ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode))
    assert told.status == status


def test_a_preflight_is_answered_for_pages_of_the_settings_only() -> None:
    wish = ("Access-Control-Request-Method", "POST")
    headers = ("Access-Control-Request-Headers", "authorization, x-stainless-os")
    app = Standing()
    told = ask("OPTIONS", "/x", ("Origin", "https://chat.example.org"), wish, headers, app=app)
    assert told.status == 204
    assert told.headers["access-control-allow-origin"] == "https://chat.example.org"
    assert told.headers["access-control-allow-headers"] == "Authorization, Content-Type, *"
    assert "access-control-allow-credentials" not in told.headers
    told = ask("OPTIONS", "/x", ("Origin", "https://evil.example.org"), wish, headers, app=app)
    assert refused(told) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in told.headers
    assert not app.seen


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/x", [JSON], 200),
        ("/x", [("Content-Type", "Application/JSON; charset=utf-8")], 200),
        ("/x", [("Content-Type", "text/plain")], 415),
        ("/x", [FILLED_IN], 200),
        ("/v1/x", [FILLED_IN], 415),
        ("/x", [FORM], 415),
        ("/x", [], 415),
        ("/x", [JSON, ("Content-Encoding", "gzip")], 415),
        (UPLOADS, [FORM], 200),
        (UPLOADS, [FORM, ("Content-Encoding", "gzip")], 415),
        (UPLOADS + "/", [FORM], 415),
        (UPLOADS, [JSON], 200),
        ("/signin", [FILLED_IN], 200),
        ("/signout", [FILLED_IN], 200),
        ("/signin", [FORM], 415),
    ],
)
def test_a_body_is_json_and_a_file_goes_to_one_path(
    path: str, headers: list[tuple[str, str]], status: int
) -> None:
    assert ask("POST", path, *headers, body=[b"{}"]).status == status


def test_what_is_filled_in_arrives_as_it_is_and_is_small() -> None:
    app = Standing()
    ask("POST", "/signin", FILLED_IN, body=[b"key=fw-a%2Bb"], app=app)
    told = ask("POST", "/signin", FILLED_IN, body=[b"key=" + b"x" * 8192], app=app)
    assert refused(told) == (413, "body_too_large")
    assert app.seen == [("/signin", b"key=fw-a%2Bb")]


def test_a_request_without_a_body_needs_no_media_type() -> None:
    assert ask("POST").status == 200
    assert ask("POST", "/x", ("Content-Length", "0")).status == 200


def test_a_body_arrives_whole_and_unchanged() -> None:
    app = Standing()
    text = json.dumps({"question": "儿童锁在哪里？ \\ \" '"}).encode()
    pieces = [text[:5], b"", text[5:]]
    ask("POST", "/x", JSON, ("Transfer-Encoding", "chunked"), body=pieces, app=app)
    ask("POST", "/x", JSON, body=[b"\xef\xbb\xbf{}"], app=app)
    assert app.seen == [("/x", text), ("/x", b"{}")]


def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    app = Standing()
    told = ask("POST", "/x", JSON, ("Content-Length", str(2**20 + 1)), app=app, stalls=True)
    assert refused(told) == (413, "body_too_large")
    assert told.headers["connection"] == "close"
    assert not app.seen


def test_a_refused_body_is_read_on_for_a_moment_so_that_its_sender_reads_the_reply() -> None:
    async def scenario() -> None:
        for stalls in (False, True):
            announced = ("Content-Length", str(2**21))
            call = Call("POST", "/x", JSON, announced, body=[b" " * 2**20] * 2, stalls=stalls)
            assert refused(await asked(call, Standing())) == (413, "body_too_large")
            assert not call._pieces
            assert ("connection" in call.reply().headers) == stalls
        asks_first = Call("POST", "/x", JSON, announced, ("Expect", "100-continue"), stalls=True)
        assert refused(await asked(asks_first, Standing())) == (413, "body_too_large")
        assert asks_first._pieces

    asyncio.run(scenario())


def test_a_body_that_does_not_say_so_is_counted() -> None:
    app = Standing()
    chunked = ("Transfer-Encoding", "chunked")
    told = ask("POST", "/x", JSON, chunked, body=[b'"', *[b"x" * 2**18] * 4, b'"'], app=app)
    assert refused(told) == (413, "body_too_large")
    assert not app.seen


def test_an_upload_may_be_larger_and_is_cut_off_where_it_could_never_be_kept() -> None:
    megabytes = [b"x" * 2**20] * 6
    chunked = ("Transfer-Encoding", "chunked")
    app = Standing()
    assert ask("POST", UPLOADS, FORM, body=megabytes[:5], app=app).status == 200
    assert len(app.seen[0][1]) == 5 * 2**20
    for told in (
        ask("POST", UPLOADS, FORM, body=megabytes, app=app),
        ask("POST", UPLOADS, FORM, chunked, body=megabytes, app=app),
    ):
        assert refused(told) == (413, "body_too_large")
    assert len(app.seen) == 1


def test_an_upload_may_be_empty() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, is_whole = await read(receive)
        await reply(send, 200, b"text/plain", body if is_whole else b"cut off")
        assert (await receive())["type"] == "http.disconnect"

    async def scenario() -> None:
        call = Call("POST", UPLOADS, FORM, ("Transfer-Encoding", "chunked"))
        working = asyncio.create_task(asked(call, app))
        while len(call.sent) < 2:
            await asyncio.sleep(0)
        call.gone.set()
        assert (await working).body == b""

    asyncio.run(scenario())


@pytest.mark.parametrize(("path", "kind"), [("/x", JSON), (UPLOADS, FORM)])
def test_a_body_that_does_not_go_on_is_given_up(path: str, kind: tuple[str, str]) -> None:
    app = Standing()
    told = ask("POST", path, kind, body=[b"{"], stalls=True, app=app)
    assert refused(told) == (408, "body_too_slow")
    assert told.headers["connection"] == "close"
    assert not app.seen


def test_a_body_that_trickles_is_given_up_too() -> None:
    async def scenario() -> None:
        call = Call("POST", "/x", JSON, ("Content-Length", "1000"))

        async def drop() -> Message:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": b" ", "more_body": True}

        await Guard(Standing(), SETTINGS, QUICK)(call.scope, drop, call.send)
        assert refused(call.reply()) == (408, "body_too_slow")

    asyncio.run(scenario())


def test_large_bodies_share_a_budget_that_small_ones_do_not_need() -> None:
    async def scenario() -> None:
        guard = Guard(Standing(), SETTINGS, Patience(linger_seconds=0))
        guard._budget = Budget(2**20)
        large = [b'"' + b"x" * 900_000]

        def post(body: Sequence[bytes], stalls: bool) -> Call:
            chunked = ("Transfer-Encoding", "chunked")
            return Call("POST", "/x", JSON, chunked, body=body, stalls=stalls)

        async def go(call: Call) -> None:
            await guard(call.scope, call.receive, call.send)

        slow = post(large, stalls=True)
        waiting = asyncio.create_task(go(slow))
        await asyncio.sleep(0)
        late, small = post([*large, b'"'], stalls=False), post([b"{}"], stalls=False)
        await go(late)
        assert refused(late.reply()) == (503, "busy")
        await go(small)
        assert small.reply().status == 200
        slow.gone.set()
        await waiting
        late = post([*large, b'"'], stalls=False)
        await go(late)
        assert late.reply().status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'[{"a":' * 33 + b"1" + b"}]" * 33,
        b"[" + b"[]," * 30_000 + b"[]]",
        b"1" * 65,
        b"[0." + b"3" * 65 + b"]",
        b"1e400",
        b"-1E+999999999",
        b"NaN",
        b"[Infinity]",
        b'"\\ud800"',
        b'{"a\\u0000": 1}',
        b'["\\u0000"]',
        b'"\xff"',
        '"文"'.encode("gbk"),
        '"text"'.encode("utf-16"),
        b'"\x01"',
        b"[1,]",
        b"{'a': 1}",
        b"",
        b" ",
    ],
    ids=range(22),
)
def test_json_that_parsers_or_the_database_fail_on_is_refused(body: bytes) -> None:
    told = ask("POST", "/x", JSON, ("Transfer-Encoding", "chunked"), body=[body])
    assert refused(told) == (400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b'{"text": "' + b"[{" * 5000 + b'"}',
        b'["' + b"9" * 1000 + b'", "1e999", "\\\\u0000", 1e99, 12345678901234567890]',
        '{"question": "儿童锁在哪里？😀"}'.encode(),
        b'"\\ud83d\\ude00"',
        b'["\\"[", "]\\\\"]',
    ],
    ids=range(6),
)
def test_json_that_only_looks_like_it_is_not(body: bytes) -> None:
    assert checked_json(body) == body


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(alphabet='"\\[{e1文'),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=50,
    )
)
def test_json_passes_exactly_if_it_holds_nothing_of_the_kind(value: Any) -> None:
    body = json.dumps(value).encode()
    if "\\u0000" in json.dumps(value).replace("\\\\", ""):
        with pytest.raises(ApiError):
            checked_json(body)
    else:
        assert checked_json(body) == body


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (Call("GET", "/x", ("Host", "localhost"), ("Host", "evil.example.org")), 400),
        (Call("GET", "/x", ("Authorization", "Bearer a"), ("Authorization", "Bearer b")), 400),
        (Call("POST", "/x", JSON, ("Content-Length", "2"), ("Content-Length", "3")), 400),
        (Call("POST", "/x", JSON, ("Content-Length", "2"), ("Transfer-Encoding", "chunked")), 400),
        (Call("POST", "/x", JSON, ("Content-Length", "-2")), 400),
        (Call("POST", "/x", JSON, ("Content-Length", "0x2")), 400),
        (Call("POST", "/x", JSON, ("Content-Length", "9" * 30)), 400),
        (Call("GET", "/x", ("X-Other", "a\r\nSet-Cookie: b=c")), 400),
        (Call("GET", "/x", ("X-Other", "a\0")), 400),
        (Call("GET", "/x", ("X Other", "a")), 400),
        (Call("GET", "/x\r\nlog line"), 400),
        (Call("GET", "/x\x1b[2J"), 400),
        (Call("GET", "/x\u2028y"), 400),
        (Call("GET", "/x", query=b"id=%00"), 400),
        (Call("GET", "/" + "x" * 8192), 414),
        (Call("GET", "/x", query=b"q=" + b"x" * 8192), 414),
        (Call("GET", "/车窗", ("X-Other", "\xe4\tb"), ("X-Other", "again"), query=b"q=%e4"), 200),
    ],
    ids=range(17),
)
def test_a_head_can_be_read_in_one_way_only(call: Call, status: int) -> None:
    told = asyncio.run(asked(call, Standing()))
    assert told.status == status
    assert "set-cookie" not in told.headers


def test_every_reply_tells_browsers_to_be_strict() -> None:
    broken = ask("GET", "/x", ("Host", "evil.example.org"))
    for told in (ask(), broken, ask("GET", "/page")):
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["referrer-policy"] == "no-referrer"
        assert told.headers["cache-control"] == "no-store"
        assert told.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in told.headers["content-security-policy"]
    assert "default-src 'none'" in ask().headers["content-security-policy"]
    assert "default-src 'self'" in ask("GET", "/page").headers["content-security-policy"]


def test_a_route_may_say_otherwise() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"Cache-Control", b"max-age=60"), (b"content-security-policy", b"sandbox")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    told = ask(app=app)
    assert told.headers["Cache-Control"] == "max-age=60"
    assert told.headers["content-security-policy"] == "sandbox"
    assert "cache-control" not in told.headers


def test_a_defect_is_told_as_one_and_nothing_of_it_to_the_caller() -> None:
    async def scenario() -> None:
        call = Call("GET", "/broken")
        with pytest.raises(RuntimeError, match="a defect"):
            await asked(call, Standing())
        assert refused(call.reply()) == (500, None)
        assert b"RuntimeError" not in call.reply().body

    asyncio.run(scenario())


def test_work_for_a_client_that_goes_away_is_ended() -> None:
    async def scenario() -> None:
        for path in ("/wait", "/events"):
            app, call = Standing(), Call("GET", path)
            guard = Guard(app, SETTINGS)
            working = asyncio.create_task(guard(call.scope, call.receive, call.send))
            while not app.begun.is_set():
                await asyncio.sleep(0)
            call.gone.set()
            await working
            assert app.cancelled == [path]

    asyncio.run(scenario())


def test_a_client_that_goes_away_while_it_sends_leaves_nothing() -> None:
    async def scenario() -> None:
        for path, kind in (("/x", JSON), (UPLOADS, FORM)):
            app = Standing()
            call = Call("POST", path, kind, ("Content-Length", "9"), body=[b"{"], stalls=True)
            call.gone.set()
            await Guard(app, SETTINGS)(call.scope, call.receive, call.send)
            assert not app.seen

    asyncio.run(scenario())


def after_the_end(path: str) -> tuple[Call, Guard]:
    """A request that was under way when the guard was told to end all."""

    async def scenario() -> tuple[Call, Guard]:
        app, call = Standing(), Call("GET", path)
        guard = Guard(app, SETTINGS)
        working = asyncio.create_task(guard(call.scope, call.receive, call.send))
        while not app.begun.is_set():
            await asyncio.sleep(0)
        guard.end_all()
        await working
        return call, guard

    return asyncio.run(scenario())


def test_a_server_that_stops_ends_a_stream_with_an_error_event() -> None:
    call, guard = after_the_end("/events")
    told = call.reply()
    *_, last = told.body.decode().strip().split("\n\n")
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (told.status, error["code"]) == (200, "stopping")
    assert not guard._running


def test_a_server_that_stops_tells_who_waits_to_come_again() -> None:
    told = after_the_end("/wait")[0].reply()
    assert refused(told) == (503, "stopping")
    assert told.headers["retry-after"]


def test_a_server_that_stops_leaves_other_replies_visibly_cut() -> None:
    sent = after_the_end("/text")[0].sent
    assert sent[-1]["more_body"]


def test_refusals_are_counted_by_code() -> None:
    async def scenario() -> None:
        guard = Guard(Standing(), SETTINGS)
        for host in ("evil.example.org", "other.example.org"):
            call = Call("GET", "/x", ("Host", host))
            await guard(call.scope, call.receive, call.send)
        assert guard.refused == {"host_not_allowed": 2}

    asyncio.run(scenario())


def test_nothing_but_http_comes_through() -> None:
    async def scenario() -> None:
        call = Call()
        call.scope["type"] = "websocket"
        app = Standing()
        await Guard(app, SETTINGS)(call.scope, call.receive, call.send)
        assert call.sent == [{"type": "websocket.close", "code": 1008}]
        assert not app.seen

    asyncio.run(scenario())


NAMES = (
    "host origin content-type content-length transfer-encoding content-encoding expect "
    "sec-fetch-site access-control-request-method x-other"
)
HEADERS = st.tuples(
    st.sampled_from(NAMES.split()),
    st.sampled_from(["localhost", "application/json", "multipart/form-data", "0", "2", "chunked"])
    | st.text(st.characters(max_codepoint=255), max_size=20),
)


@given(
    method=st.sampled_from(["GET", "POST", "OPTIONS", "DELETE", "HEAD"]),
    path=st.sampled_from(["/x", UPLOADS, "/page", "/broken"]) | st.text(max_size=20),
    headers=st.lists(HEADERS, max_size=6),
    body=st.lists(st.binary(max_size=20), max_size=3),
    stalls=st.booleans(),
)
def test_whatever_comes_is_answered_once_and_is_no_defect(
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: list[bytes],
    stalls: bool,
) -> None:
    async def scenario() -> None:
        call = Call(method, path.encode("utf-8", "replace").decode(), *headers, body=body)
        call._stalls = stalls
        patience = Patience(stall_seconds=0.001, bytes_per_second=1e9, linger_seconds=0)
        if path == "/broken":
            return
        told = await asked(call, Standing(), patience)
        assert told.status in (200, 204, 400, 403, 408, 413, 414, 415, 421)
        if told.status >= 400:
            assert refused(told)

    asyncio.run(scenario())

"""Browsers sign in once by a link or by a key, and nothing but their own pages acts for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flywheel.serve.app import create_app
from flywheel.serve.auth import COOKIE, CSRF_HEADER, KNOWN_SECONDS, SECURE_COOKIE, Callers
from flywheel.serve.session import TOKEN_SECONDS, SignIns
from flywheel.wheel import keys
from flywheel.wheel.keys import Made
from flywheel.wheel.workspace import Workspace

OWN_PAGE = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}

Visit = Callable[[], TestClient]


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.open(root) as opened:
        yield opened


@pytest.fixture
def owner(workspace: Workspace) -> Made:
    return keys.add(workspace.database, "ines", "owner")


@pytest.fixture
def visit(workspace: Workspace, owner: Made) -> Visit:
    """Another browser, each time, at one and the same server."""
    app = create_app(workspace)

    def opened() -> TestClient:
        return TestClient(
            app, base_url="http://127.0.0.1", headers=OWN_PAGE, follow_redirects=False
        )

    return opened


@pytest.fixture
def browser(visit: Visit) -> TestClient:
    return visit()


def link(browser: TestClient) -> str:
    sign_ins: SignIns = browser.app.state.sign_ins  # type: ignore[attr-defined]
    return sign_ins.make()


def me(browser: TestClient) -> dict[str, object]:
    reply = browser.get("/v1/me")
    return reply.json() if reply.status_code == 200 else {}


def attributes(cookie: str) -> set[str]:
    return {part.strip().lower() for part in cookie.split(";")[1:]}


def test_a_link_signs_in_once_by_its_button_alone(visit: Visit, owner: Made) -> None:
    browser = visit()
    token = link(browser)
    for _ in range(3):  # a mail's scanner, a preview, the user himself
        shown = browser.get("/signin", params={"token": token})
        assert shown.status_code == 200
        assert f'name="token" value="{token}"' in shown.text
    assert "Set-Cookie" not in shown.headers
    done = browser.post("/signin", data={"token": token})
    assert (done.status_code, done.headers["Location"]) == (303, "/")
    told = me(browser)
    assert (told["name"], told["role"], told["access"]) == ("ines", "owner", None)
    assert told["key"] == owner.key.id
    late = visit()
    refused = late.post("/signin", data={"token": token})
    assert (refused.status_code, me(late)) == (401, {})
    assert "This link no longer works" in refused.text


@pytest.mark.parametrize(("language", "role"), [("en", "asker"), ("zh-CN", "提问者")])
def test_whoever_signed_in_is_told_as_whom_and_may_leave(
    browser: TestClient, workspace: Workspace, language: str, role: str
) -> None:
    assert browser.get("/").headers["Location"] == "/signin"
    made = keys.add(workspace.database, "<b>客服</b>", "asker")
    browser.post("/signin", data={"key": made.secret})
    assert browser.get("/").headers["Location"] == "/ask"
    page = browser.get("/ask", headers={"Accept-Language": language})
    assert role in page.text and "&lt;b&gt;客服&lt;/b&gt;" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    csrf = me(browser)["csrf"]
    assert f'name="csrf" value="{csrf}"' in page.text
    assert browser.post("/signout", data={"csrf": csrf}).status_code == 303
    assert browser.get("/").headers["Location"] == "/signin"


def test_a_key_signs_in_as_its_user(browser: TestClient, workspace: Workspace) -> None:
    made = keys.add(workspace.database, "客服", "asker", ["staff"])
    assert browser.post("/signin", data={"key": f" {made.secret} "}).status_code == 303
    told = me(browser)
    assert (told["name"], told["role"], told["access"]) == ("客服", "asker", ["public", "staff"])


def test_a_key_needs_no_token_against_other_pages(browser: TestClient, owner: Made) -> None:
    reply = browser.get("/v1/me", headers={"Authorization": f"Bearer {owner.secret}"})
    assert reply.json()["csrf"] is None
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("form", [{"key": "fw-none"}, {"token": "none"}, {"key": ""}, {}])
def test_what_lets_nobody_in_says_so(browser: TestClient, form: dict[str, str]) -> None:
    refused = browser.post("/signin", data=form)
    assert refused.status_code == 401
    assert "<form" in refused.text
    assert "Set-Cookie" not in refused.headers
    assert me(browser) == {}


def test_guessing_is_slowed_down_and_stops_nobody_who_was_let_in(
    visit: Visit, workspace: Workspace, owner: Made
) -> None:
    known = visit()
    known.headers["Authorization"] = f"Bearer {owner.secret}"
    assert me(known)
    browser = visit()
    codes = [browser.post("/signin", data={"key": f"fw-{n}"}).status_code for n in range(40)]
    assert codes[0] == 401
    assert codes[-1] == 429
    refused = browser.get("/v1/me", headers={"Authorization": "Bearer fw-41"})
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
    assert me(known)


def test_link_without_a_valid_owner_is_not_used_up(
    browser: TestClient, workspace: Workspace, owner: Made
) -> None:
    token = link(browser)
    keys.revoke(workspace.database, owner.key.id)
    refused = browser.post("/signin", data={"token": token})
    assert "flywheel keys add" in refused.text
    keys.add(workspace.database, "tom", "owner")
    assert browser.post("/signin", data={"token": token}).status_code == 303


def test_cookie_is_for_this_server_and_no_script(browser: TestClient, owner: Made) -> None:
    done = browser.post("/signin", data={"key": owner.secret})
    cookie = done.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    wanted = {"httponly", "samesite=strict", "path=/", f"max-age={keys.SESSION_HOURS * 3600}"}
    assert attributes(cookie) == wanted


def test_cookie_is_for_encrypted_connections_alone_where_there_is_one(
    browser: TestClient, owner: Made
) -> None:
    forwarded = {"X-Forwarded-Proto": "https, http"}
    done = browser.post("/signin", data={"key": owner.secret}, headers=forwarded)
    cookie = done.headers["Set-Cookie"]
    assert cookie.startswith(f"{SECURE_COOKIE}=")
    assert {"secure", "path=/", "httponly", "samesite=strict"} <= attributes(cookie)
    assert "domain" not in cookie.lower()
    value = cookie.partition("=")[2].partition(";")[0]
    # A cookie of the plain name, which another host could have planted, stands for nobody here.
    for name, status in ((SECURE_COOKIE, 200), (COOKIE, 401)):
        sent = forwarded | {"Cookie": f"{name}={value}"}
        assert browser.get("/v1/me", headers=sent).status_code == status


def test_session_is_another_after_each_sign_in(visit: Visit, owner: Made) -> None:
    browser = visit()
    browser.post("/signin", data={"key": owner.secret})
    first = browser.cookies[COOKIE]
    browser.post("/signin", data={"key": owner.secret})
    assert browser.cookies[COOKIE] != first
    other = visit()
    other.cookies.set(COOKIE, first)
    assert me(other) == {}
    # A cookie that somebody planted is not taken over.
    planted = {"Cookie": f"{COOKIE}=planted"}
    done = visit().post("/signin", data={"key": owner.secret}, headers=planted)
    assert "planted" not in done.headers["Set-Cookie"]


def test_what_changes_something_needs_the_session_token(visit: Visit, owner: Made) -> None:
    browser = visit()
    browser.post("/signin", data={"key": owner.secret})
    body = {"name": "desk", "role": "asker"}
    assert browser.post("/v1/keys", json=body).status_code == 403
    for token in (b"", b"x", "令牌".encode()):
        sent = {CSRF_HEADER.encode(): token}
        assert browser.post("/v1/keys", json=body, headers=sent).status_code == 403
    other = visit()
    other.post("/signin", data={"key": owner.secret})
    foreign = {CSRF_HEADER: str(me(other)["csrf"])}
    assert browser.post("/v1/keys", json=body, headers=foreign).status_code == 403
    own = {CSRF_HEADER: str(me(browser)["csrf"])}
    assert browser.post("/v1/keys", json=body, headers=own).status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_page_signs_nobody_in_or_out(
    browser: TestClient, owner: Made, page: dict[str, str]
) -> None:
    refused = browser.post("/signin", data={"key": owner.secret}, headers=page)
    assert (refused.status_code, me(browser)) == (403, {})
    browser.post("/signin", data={"key": owner.secret})
    csrf = str(me(browser)["csrf"])
    assert browser.post("/signout", data={"csrf": csrf}, headers=page).status_code == 403
    assert me(browser)


def test_signing_out_ends_the_session_at_once(visit: Visit, owner: Made) -> None:
    browser = visit()
    browser.post("/signin", data={"key": owner.secret})
    cookie, csrf = browser.cookies[COOKIE], str(me(browser)["csrf"])
    assert browser.post("/signout", data={}).status_code in (400, 403)
    assert browser.post("/signout", data={"csrf": "x"}).status_code == 403
    assert me(browser)
    done = browser.post("/signout", data={"csrf": csrf})
    assert (done.status_code, done.headers["Location"]) == (303, "/signin")
    assert COOKIE not in browser.cookies
    assert browser.get("/v1/me", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401
    assert browser.post("/signout", headers={CSRF_HEADER: csrf}).status_code == 303


def test_revoking_a_key_ends_its_sessions_within_a_second(
    browser: TestClient, workspace: Workspace, owner: Made
) -> None:
    now = 0.0
    browser.app.state.service.callers = Callers(lambda: now)  # type: ignore[attr-defined]
    browser.post("/signin", data={"key": owner.secret})
    bearer = {"Authorization": f"Bearer {owner.secret}"}
    assert me(browser)
    assert browser.get("/v1/me", headers=bearer).status_code == 200
    keys.revoke(workspace.database, owner.key.id)  # as another process would
    now = KNOWN_SECONDS
    assert KNOWN_SECONDS <= 1
    assert me(browser) == {}
    assert browser.get("/v1/me", headers=bearer).status_code == 401


@pytest.mark.parametrize(
    ("accepts", "language", "title"),
    [
        ("", "en", "Sign in"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans", "登录"),
        ("en-GB,zh;q=0.5", "en", "Sign in"),
        ("zh;q=x, en", "en", "Sign in"),
        ("de, zh-Hant;q=0.4", "zh-Hans", "登录"),
    ],
)
def test_page_speaks_the_browsers_language(
    browser: TestClient, accepts: str, language: str, title: str
) -> None:
    shown = browser.get("/signin", headers={"Accept-Language": accepts})
    assert f'<html lang="{language}" ' in shown.text
    assert f"<h1>{title}</h1>" in shown.text
    refused = browser.post("/signin", data={"key": "fw-none"}, headers={"Accept-Language": accepts})
    assert f'<html lang="{language}" ' in refused.text


def test_page_runs_nothing_and_repeats_nothing(browser: TestClient) -> None:
    hostile = '"><script>alert(1)</script>'
    for shown in (
        browser.get("/signin", params={"token": hostile}),
        browser.post("/signin", data={"token": hostile}),
        browser.post("/signin", data={"key": hostile}),
    ):
        assert "script" not in shown.text
        assert "style=" not in shown.text
        assert not re.search(r"\son\w+=", shown.text)
        policy = shown.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert shown.headers["Cache-Control"] == "no-store"
        # A browser must still say which page sends the form: Origin would be null otherwise.
        assert shown.headers["Referrer-Policy"] == "same-origin"


def test_a_form_of_another_kind_or_too_large_is_refused(browser: TestClient, owner: Made) -> None:
    assert browser.post("/signin", json={"key": owner.secret}).status_code == 401
    assert browser.post("/signin", data={"key": "x" * 5000}).status_code == 413
    assert browser.post("/signin", data={"key": "x" * 300}).status_code == 400
    assert browser.post("/signin", data={"key": "x", "user": "owner"}).status_code == 400
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.post("/v1/keys", content=b"name=x", headers=form).status_code == 415


def test_tokens_hold_ten_minutes_and_are_forgotten() -> None:
    now = 0.0
    sign_ins = SignIns(lambda: now)
    first, second = sign_ins.make(), sign_ins.make()
    assert first != second
    now = TOKEN_SECONDS - 1
    assert sign_ins.holds(first)
    assert sign_ins.take(first)
    assert not sign_ins.take(first)
    now = TOKEN_SECONDS
    assert not sign_ins.holds(second)
    assert not sign_ins.take(second)
    assert not sign_ins.take("")

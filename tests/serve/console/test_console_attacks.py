"""What somebody tries on the console who means no good: nothing of it works.

Every route is tried by every role, with and without the session's token, and from another page.
Not here: what shows to whom (test_console_access.py), and hostile text in a browser
(test_hostile.py).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import APIRouter

from flywheel.records import Role
from flywheel.serve.app import CONSOLE
from flywheel.serve.auth import CSRF_HEADER
from flywheel.serve.console import rendering
from flywheel.serve.console.ask import page as ask
from flywheel.serve.console.ask.exchange import Exchange
from flywheel.serve.console.page import Page
from flywheel.serve.console.review.view import difference
from flywheel.wheel import keys

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn, Visitor

LEAST: dict[str, Role] = {
    "/ask": "asker",
    "/passages": "asker",
    "/review": "curator",
    "/exam": "curator",
    "/wheel": "curator",
    "/documents": "owner",
    "/settings": "owner",
}
"""Who may look at a page and what is below it."""

OF_OWNERS = re.compile(r"/wheel/(turns|jobs/.*|rollback|versions/.*/promote)")
"""What curators see and do not do."""

FREE = ("/static/{stamp}/{name}", "/preferences")
"""What says and changes nothing of the workspace."""


def routes(router: APIRouter) -> Iterator[tuple[str, str]]:
    """Methods and paths, those of routers within it, too."""
    for each in router.routes:
        inner = getattr(each, "original_router", None)
        if inner is not None:
            yield from routes(inner)
        else:
            path: str = each.path  # type: ignore[attr-defined]
            yield from ((method, path) for method in each.methods)  # type: ignore[attr-defined]


ROUTES = sorted(
    {found for module in CONSOLE for found in routes(module.router) if found[1] not in FREE}
)


def least(method: str, path: str) -> Role:
    """The role that a route needs."""
    if method == "POST" and OF_OWNERS.fullmatch(path):
        return "owner"
    return LEAST["/" + path.split("/")[1]]


def at(path: str) -> str:
    """A place that a route may stand for."""
    return re.sub(r"\{\w+\}", "1", path)


def test_there_are_routes_to_try() -> None:
    assert len(ROUTES) > 60
    assert {method for method, _ in ROUTES} == {"GET", "POST"}


def test_no_route_is_for_whoever_has_not_signed_in(served: Served) -> None:
    with httpx.Client(base_url=served.url, trust_env=False) as nobody:
        told = {
            f"{method} {path}": nobody.request(method, at(path)).headers.get("location", "")
            for method, path in ROUTES
        }
    assert [each for each, place in told.items() if not place.startswith("/signin")] == []


@pytest.mark.parametrize("role", ["asker", "curator"])
def test_no_route_is_for_whoever_has_not_its_role(
    served: Served, signed_in: SignedIn, roles: tuple[Role, ...], role: Role
) -> None:
    client = signed_in(served.url, served.secrets[role])
    acts = keys.acts(served.workspace.database)
    tried = [
        (method, path)
        for method, path in ROUTES
        if roles.index(least(method, path)) > roles.index(role)
    ]
    assert len(tried) > 20
    told = {
        f"{method} {path}": client.request(
            method, at(path), headers={"Content-Type": "application/x-www-form-urlencoded"}
        ).status_code
        for method, path in tried
    }
    assert [each for each, status in told.items() if status != 403] == []
    assert keys.acts(served.workspace.database) == acts


def test_no_form_passes_without_its_sessions_token(
    serve: Callable[[str], Served], signed_in: SignedIn
) -> None:
    served = serve("[serve]\nrequests_per_minute = 100000")
    owner = signed_in(served.url, served.secrets["owner"])
    others = signed_in(served.url, served.secrets["curator"]).headers[CSRF_HEADER]
    del owner.headers[CSRF_HEADER]
    acts = keys.acts(served.workspace.database)
    passed = []
    for method, path in ROUTES:
        if method == "GET":
            continue
        for sent in (
            {"data": {"csrf": ""}},
            {"data": {"csrf": others}},
            {"data": {"csrf": others}, "headers": {CSRF_HEADER: "x"}},
            {"json": {"csrf": others}},
            {"params": {"csrf": owner.cookies.get("flywheel_session", "")}},
        ):
            reply = owner.post(at(path), **sent)
            if reply.status_code != 403:
                passed.append((path, sent, reply.status_code))
    assert passed == []
    assert keys.acts(served.workspace.database) == acts


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:9"])
def test_no_form_of_another_page_passes_though_it_knew_the_token(
    served: Served, signed_in: SignedIn, origin: str
) -> None:
    owner = signed_in(served.url, served.secrets["owner"])
    posts = [path for method, path in ROUTES if method == "POST"]
    told = {
        path: owner.post(at(path), data={}, headers={"Origin": origin}).status_code
        for path in (*posts, "/preferences", "/signin", "/signout")
    }
    assert set(told.values()) == {403}


def test_looking_changes_nothing(served: Served, signed_in: SignedIn) -> None:
    owner = signed_in(served.url, served.secrets["owner"])
    database = served.workspace.database
    before = database.commits()
    told = {
        path: owner.get(at(path)).status_code
        for method, path in ROUTES
        if method == "GET" and not path.startswith("/static")
    }
    assert [path for path, status in told.items() if status >= 500] == []
    assert database.commits() == before


def test_every_page_and_picture_lets_a_browser_run_nothing(
    served: Served, signed_in: SignedIn
) -> None:
    owner = signed_in(served.url, served.secrets["owner"])
    for method, path in ROUTES:
        if method == "POST":
            continue
        reply = owner.get(at(path))
        policy = reply.headers["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy, path
        assert reply.headers["x-content-type-options"] == "nosniff", path
        assert reply.headers["x-frame-options"] == "DENY", path
        kind = reply.headers.get("content-type", "")
        assert "no-store" in reply.headers["cache-control"] or "svg" in kind, path
        if "svg" in kind:
            assert "script-src" not in policy, path  # so that opened by itself it runs nothing
        if "html" in kind:
            assert not re.search(r"<[^>]+ (?:style|on\w+)=|<script(?![^>]* src=)", reply.text), path


def test_a_form_is_small_and_holds_what_the_database_takes(
    served: Served, signed_in: SignedIn
) -> None:
    asker = signed_in(served.url, served.secrets["asker"])
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in ("question=a%00b", "question=a\0b", "question=x" + "&a=b" * 1000, "&" * 400_000):
        reply = asker.post("/ask", content=body, headers=kind)
        assert reply.status_code == 400, body[:40]
        assert reply.json()["error"]["code"] == "invalid_form"
    assert asker.post("/ask", content="question=", headers=kind).status_code == 400


def test_two_answers_that_have_nothing_in_common_are_compared_all_the_same() -> None:
    one, other = (" ".join(f"{letter}{number}" for number in range(745)) for letter in "ab")
    runs = list(difference(one, other))
    assert "".join(each.text for each in runs) == one
    assert sum(each.is_own for each in runs) == 745


def test_pages_are_made_on_threads_so_that_nobody_waits_for_what_another_wrote(
    served: Served, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rendering.render
    threads = []

    def render(*args: Any, **named: Any) -> str:
        threads.append(threading.current_thread().name)
        return made(*args, **named)

    monkeypatch.setattr(rendering, "render", render)
    asker = signed_in(served.url, served.secrets["asker"])
    for path in ("/ask", "/ask/history", "/nowhere", "/review", "/signin"):
        shown = asker.get(path)
        assert int(shown.headers["content-length"]) == len(shown.content) > 0
    assert len(threads) >= 4
    assert all(name.startswith("flywheel-serve") for name in threads)


def test_what_was_said_and_replaced_is_shown_in_short(served: Served, signed_in: SignedIn) -> None:
    asker = signed_in(served.url, served.secrets["asker"])
    told = asker.post(
        "/v1/chat/completions",
        json={"model": "flywheel", "messages": [{"role": "user", "content": "A child lock?"}]},
    ).json()
    interaction = told["flywheel"]["interaction"]
    edits = [
        {
            "kind": "edit",
            "interaction": interaction,
            "candidate": 0,
            "answer": f"{n} " + "*_" * 9_000,
        }
        for n in range(30)
    ]
    assert asker.post("/v1/feedback", json={"items": edits}).status_code < 300
    shown = asker.get(f"/ask/interactions/{interaction}").text
    assert len(shown.encode()) < 300_000


def test_a_conversation_in_a_form_is_as_short_as_in_an_address(
    served: Served, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def looked_up(_: object, ids: Sequence[str], *__: object) -> list[Exchange]:
        asked.append(len(ids))
        return []

    monkeypatch.setattr(ask, "exchanges", looked_up)
    asker = signed_in(served.url, served.secrets["asker"])
    chain = [f"{number:032x}" for number in range(100)]
    asker.get("/ask", params={"after": chain})
    asker.post("/ask", data={"question": "Where is the child lock?", "after": chain})
    assert asked and max(asked) <= ask.MOST_EXCHANGES
    assert asker.post("/ask", data={"question": "?", "after": ["x" * 10_000]}).status_code == 400


def test_what_was_typed_is_gone_once_its_writer_has_signed_out(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    visiting = visitor(served.url, served.secrets["asker"])
    page = visiting.page
    page.fill("#question", "A word for nobody else")
    page.click("details.menu > summary")
    page.click("form[action='/signout'] button")
    page.fill("#key", served.secrets["curator"])
    page.press("#key", "Enter")
    page.wait_for_url(served.url + "/ask")
    assert page.input_value("#question") == ""
    assert visiting.complaints == []


def test_no_more_is_exported_at_once_than_a_key_may_have_open(
    served: Served, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    curator = signed_in(served.url, served.secrets["curator"])
    asked: list[object] = []
    run = Page.run

    async def noted(page: Page, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        asked.append(function)
        return await run(page, function, *args, **named)

    monkeypatch.setattr(Page, "run", noted)
    assert curator.get("/review/export.json").json() == []
    assert next in asked

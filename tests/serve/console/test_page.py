"""Who sees a page, what it lets a browser do, and how it tells what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from flywheel.records import Role
from flywheel.serve.auth import CSRF_HEADER
from flywheel.serve.console.page import POLICY
from flywheel.serve.console.preferences import own_place
from flywheel.serve.console.words import PageLanguage

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn

MAY: dict[str, Role] = {
    "/ask": "asker",
    "/review": "curator",
    "/documents": "owner",
    "/exam": "curator",
    "/wheel": "curator",
    "/settings": "owner",
}
RANKS: tuple[Role, ...] = ("asker", "curator", "owner")


def test_each_role_sees_its_pages_and_is_told_of_no_others(
    served: Served, signed_in: SignedIn
) -> None:
    for rank, role in enumerate(RANKS):
        client = signed_in(served.url, served.secrets[role])
        start = client.get("/ask").text.partition("<main")[0]
        for path, least in MAY.items():
            reply = client.get(path)
            may = rank >= RANKS.index(least)
            assert reply.status_code == (200 if may else 403), (role, path)
            # An asker has one page, and no list of them.
            assert (f'href="{path}"' in start) is (may and role != "asker")
            assert reply.headers["Content-Security-Policy"] == POLICY
            assert reply.headers["Cache-Control"] == "no-store"


def test_whoever_has_not_signed_in_comes_back_to_where_he_wanted_to_go(served: Served) -> None:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        reply = client.get("/exam?version=2")
        assert (reply.status_code, reply.headers["Location"]) == (
            303,
            "/signin?next=/exam%3Fversion%3D2",
        )
        part = client.get("/exam", headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["HX-Retarget"]) == (401, "#notices")
        form = {"key": served.secrets["owner"], "next": "/exam?version=2"}
        entered = client.post("/signin", data=form)
        assert (entered.status_code, entered.headers["Location"]) == (303, "/exam?version=2")


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:1",
        "",
        "/a b",
        "/\n",
    ],
)
def test_nobody_is_sent_to_another_server(place: str) -> None:
    assert own_place(place) == "/"


def test_a_form_passes_with_its_sessions_token_alone(served: Served, signed_in: SignedIn) -> None:
    client = signed_in(served.url, served.secrets["owner"])
    token = client.headers.pop(CSRF_HEADER)
    refused = client.post("/signout", data={"csrf": "none"})
    assert refused.status_code == 403
    assert client.post("/signout", data={"csrf": token}).status_code == 303
    assert client.get("/ask").status_code == 303


@pytest.mark.parametrize(("language", "says"), [("en", "the role of owner"), ("zh", "所有者角色")])
def test_what_goes_wrong_is_told_in_the_pages_language(
    served: Served, signed_in: SignedIn, language: PageLanguage, says: str
) -> None:
    client = signed_in(served.url, served.secrets["asker"], language)
    page = client.get("/documents")
    assert says in page.text and "<html" in page.text
    part = client.get("/documents", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Retarget"]) == (403, "#notices")
    assert says in part.text and "<html" not in part.text


def test_an_address_where_nothing_is_shows_a_page_to_a_browser_and_json_to_a_program(
    served: Served, signed_in: SignedIn
) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}
    client = signed_in(served.url, served.secrets["curator"], "zh")
    page = client.get("/nowhere", headers=browser)
    assert page.status_code == 404
    assert "此地址没有页面" in page.text and 'href="/review"' in page.text
    assert page.headers["Content-Security-Policy"] == POLICY
    assert client.get("/nowhere").json()["error"]["type"] == "not_found_error"
    assert client.get("/v1/nowhere", headers=browser).json()["error"]["message"] == "Not Found"
    with httpx.Client(base_url=served.url, trust_env=False) as stranger:
        page = stranger.get("/nowhere", headers=browser)
        assert page.status_code == 404
        assert 'href="/review"' not in page.text


def test_language_and_theme_are_kept_for_the_browser(served: Served, signed_in: SignedIn) -> None:
    client = signed_in(served.url, served.secrets["asker"])
    assert '<html lang="en" data-theme="auto">' in client.get("/ask").text
    form = {"language": "zh", "theme": "dark", "next": "/ask?a=1"}
    reply = client.post("/preferences", data=form)
    assert reply.headers["Location"] == "/ask?a=1"
    page = client.get("/ask").text
    assert '<html lang="zh-Hans" data-theme="dark">' in page
    assert 'data-shortcuts="off"' in page  # the box was not ticked
    client.cookies.set("flywheel_preferences", "xx.blue.")
    assert '<html lang="en" data-theme="auto">' in client.get("/ask").text


def test_static_files_are_kept_for_ever_under_the_name_of_their_content(served: Served) -> None:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        page = client.get("/signin").text
        place = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        sheet = client.get(place)
        assert sheet.headers["Content-Type"] == "text/css; charset=utf-8"
        assert "immutable" in sheet.headers["Cache-Control"]
        old = client.get("/static/older/console.css")
        assert (old.content, old.headers["Cache-Control"]) == (sheet.content, "no-cache")
        for none in ("nothing.css", "..%2fpage.py", "console.css%00"):
            assert client.get(f"/static/x/{none}").status_code in (400, 404)

"""The console as people see it: by a browser where there is one, and by a client that is signed in.

The browser is the machine's own Chromium. It lives as long as a module, since its loop is in the
way of others that a test starts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import httpx
import pytest

from flywheel.records import Role
from flywheel.serve.auth import CSRF_HEADER
from flywheel.serve.console.words import PageLanguage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

LOCALES: dict[PageLanguage, str] = {"en": "en-US", "zh": "zh-CN"}

SignedIn = Callable[..., httpx.Client]
Theme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without any page open."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@dataclass(frozen=True)
class Visitor:
    """Somebody before a browser of his own, and what it complained of."""

    page: Page
    url: str
    complaints: list[str]
    """Scripts that failed, and what the content security policy held back."""

    def go(self, path: str) -> Page:
        """Opens a page of the console."""
        self.page.goto(self.url + path)
        return self.page


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Opens a browser's window, signed in by a key where one is given."""
    contexts = []

    def opened(
        url: str,
        key: str = "",
        *,
        language: PageLanguage = "en",
        theme: Theme = "light",
        width: int = 1280,
    ) -> Visitor:
        context = browser.new_context(
            locale=LOCALES[language],
            color_scheme=theme,
            viewport={"width": width, "height": 900},
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Content Security" in said.text else None,
        )
        visiting = Visitor(page, url, complaints)
        if key:
            visiting.go("/signin")
            page.fill("#key", key)
            page.press("#key", "Enter")
            page.wait_for_url(url + "/ask")
        return visiting

    yield opened
    for each in contexts:
        each.close()


@pytest.fixture
def signed_in() -> Iterator[SignedIn]:
    """A client that signed in by a key as a browser does, without one."""
    clients: list[httpx.Client] = []

    def entered(url: str, key: str, language: PageLanguage = "en") -> httpx.Client:
        client = httpx.Client(
            base_url=url,
            headers={"Accept-Language": LOCALES[language], "Origin": url},
            timeout=30,
            trust_env=False,
        )
        clients.append(client)
        assert client.post("/signin", data={"key": key}).status_code == 303
        client.headers[CSRF_HEADER] = client.get("/v1/me").json()["csrf"]
        return client

    yield entered
    for each in clients:
        each.close()


@pytest.fixture
def roles() -> tuple[Role, ...]:
    """From the one who may the least."""
    return ("asker", "curator", "owner")

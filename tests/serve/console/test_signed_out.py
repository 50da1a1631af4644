"""A session that ends while somebody types takes nothing of it along."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from flywheel.serve.auth import COOKIE
from flywheel.serve.console.words import PageLanguage, Words
from flywheel.wheel import keys

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import Visitor

ANSWER = "On the edge of each rear door. 在后车门边缘。"


def end_session(served: Served, page: Page) -> None:
    """As its twelve hours would."""
    cookie = next(each for each in page.context.cookies() if each["name"] == COOKIE)
    keys.sign_out(served.workspace.database, cookie["value"])
    served.app.state.service.callers.forget()


def sign_in_elsewhere(served: Served, page: Page, secret: str) -> None:
    """In another tab; then comes back."""
    other = page.context.new_page()
    other.goto(f"{served.url}/signin")
    other.fill("#key", secret)
    other.press("#key", "Enter")
    other.wait_for_url(f"{served.url}/ask")
    other.close()
    with page.expect_response("**/v1/me"):
        page.evaluate("window.dispatchEvent(new Event('focus'))")


def begin(visiting: Visitor) -> Page:
    """Asks, and types a correction."""
    page = visiting.page
    page.locator("#question").fill("Where is the child lock?")
    page.keyboard.press("Enter")
    page.locator(".exchange[data-interaction] .candidate").first.wait_for()
    page.locator("[data-key=e]").first.click()
    page.locator("textarea[data-edit]").fill(ANSWER)
    return page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_typed_is_sent_after_signing_in_again(
    served: Served, visitor: Callable[..., Visitor], language: PageLanguage
) -> None:
    page = begin(visitor(served.url, served.secrets["curator"], language=language))
    end_session(served, page)
    page.locator(".editing button[type=submit]").click()
    page.locator("#notices .notice").wait_for()
    told = Words(language)("console.problem.signed_out")
    assert told in page.locator("#notices").inner_text()
    assert page.locator("textarea[data-edit]").input_value() == ANSWER
    sign_in_elsewhere(served, page, served.secrets["curator"])
    page.locator(".editing button[type=submit]").click()
    page.locator(".own-answer").wait_for()
    assert ANSWER in page.locator(".own-answer").inner_text()


def test_nothing_is_sent_in_the_name_of_somebody_else_who_signed_in(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    page = begin(visitor(served.url, served.secrets["curator"]))
    end_session(served, page)
    page.locator(".editing button[type=submit]").click()
    page.locator("#notices .notice").wait_for()
    sign_in_elsewhere(served, page, served.secrets["owner"])
    with page.expect_response("**/edit") as answered:
        page.locator(".editing button[type=submit]").click()
    assert answered.value.status == 403
    assert page.locator("textarea[data-edit]").input_value() == ANSWER

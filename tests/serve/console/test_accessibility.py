"""Every page passes axe-core's checks (WCAG 2.2 AA), in both themes and languages, wide and narrow,
empty and full; and none is wider than a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from flywheel.serve.console.words import PageLanguage

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import Theme, Visitor

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

PHONE, DESK = 360, 1440

FILE = re.compile(r"\.\w+$")
"""What is taken along, and is no page."""


def addresses(visiting: Visitor) -> Iterator[str]:
    """Every page that a link leads to, one of each kind: of many documents, one."""
    waiting, seen = ["/ask"], set()
    while waiting:
        path = waiting.pop(0)
        kind = "/".join("*" if any(c.isdigit() for c in part) else part for part in path.split("/"))
        if kind in seen:
            continue
        seen.add(kind)
        yield path
        links = visiting.page.eval_on_selector_all("a[href^='/']", "all => all.map(a => a.href)")
        paths = [re.split("[?#]", each.removeprefix(visiting.url))[0] for each in links]
        waiting += [each for each in paths if not FILE.search(each)]


def faults(page: Page) -> list[str]:
    """What axe-core finds wrong, and where."""
    found: Any = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
    return [
        f"{page.url} {each['id']}: {node['html'][:160]}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(
    ("language", "theme", "width"),
    [("en", "light", DESK), ("zh", "dark", DESK), ("zh", "light", PHONE), ("en", "dark", PHONE)],
)
def test_every_page_can_be_used_by_everybody(
    served: Served,
    visitor: Callable[..., Visitor],
    language: PageLanguage,
    theme: Theme,
    width: int,
) -> None:
    with served.client("asker") as asker:
        for question in (
            "Where is the child lock?",
            "儿童锁在哪里？",
            "Which colour has the moon?",
        ):
            asker.post("/chat/completions", json=asked(question))
        asker.post("/feedback", json={"kind": "edit", "question": "?", "answer": "Red."})
    visiting = visitor(
        served.url, served.secrets["owner"], language=language, theme=theme, width=width
    )
    page = visiting.page
    found: list[str] = []
    visited = []
    for path in addresses(visiting):
        visiting.go(path)
        page.wait_for_load_state("networkidle")
        visited.append(path)
        found += faults(page)
        too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if too_wide > 0:
            found.append(f"{path} is {too_wide} pixels wider than the window")
    assert {"/ask", "/review", "/documents", "/exam", "/wheel", "/settings"} <= set(visited)
    assert (found, visiting.complaints) == ([], [])


def asked(question: str) -> dict[str, Any]:
    """A chat's body."""
    return {"model": "flywheel", "messages": [{"role": "user", "content": question}]}

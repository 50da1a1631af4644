"""The whole way round the wheel in a browser, by keyboard alone, in English and in Chinese.

An asker corrects an answer and gets his own from then on; a curator confirms it, and somebody else
gets it; an owner adds a document, turns the wheel and watches, sees version 2 serve, and goes back.
The server is `flywheel serve` with its worker, in processes of their own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flywheel.records import Role
from flywheel.serve.console.words import PageLanguage, Words
from flywheel.wheel import keys
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.serve.console.conftest import Visitor

PEOPLE: dict[str, Role] = {"tom": "asker", "li": "asker", "wei": "curator", "ines": "owner"}

MOST_TABS = 150
PATIENCE_MS = 120_000
"""For a turn on a machine that does other things, too."""

SERVE = """
import sys
from pathlib import Path
from flywheel.cli.serve import serve
serve.main(["--port", "0"], obj=Path(sys.argv[1]))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What is asked and corrected in a language."""

    question: str
    found: str
    """What the documents say to it."""
    corrected: str
    file: str
    text: str


TOLD: dict[PageLanguage, Told] = {
    "en": Told(
        question="Where is the child lock?",
        found="edge of each rear door",
        corrected="On the edge of each rear door, below the latch.",
        file="lamps.md",
        text="# Lamps\n\nThe fog lamp is switched on by pulling the light switch once.\n",
    ),
    "zh": Told(
        question="儿童锁在哪里？",
        found="儿童锁在后车门的边缘",
        corrected="在后车门边缘，锁扣下方。",
        file="车灯.md",
        text="# 车灯\n\n向外拉一次灯光开关即可打开雾灯。\n",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """`flywheel serve` in a process, and its people's keys."""

    url: str
    secrets: dict[str, str]


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    with Workspace.open(root) as workspace:
        secrets = {
            name: keys.add(workspace.database, name, role).secret for name, role in PEOPLE.items()
        }
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Server(url=process.stdout.readline().split()[-1], secrets=secrets)
        finally:
            process.terminate()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_correction_goes_round_the_wheel(
    server: Server, visitor: Callable[..., Visitor], language: PageLanguage, tmp_path: Path
) -> None:
    told, t = TOLD[language], Words(language)
    tom, li, wei, ines = (
        visitor(server.url, server.secrets[name], language=language) for name in PEOPLE
    )

    # An asker asks, looks at what it rests on, and says what the answer should be.
    answer = ask(tom.page, told.question)
    assert told.found in answer
    press(tom.page, ".note a", "Enter")
    assert told.found in tom.page.locator("dialog[open] mark").first.inner_text()
    tom.page.keyboard.press("Escape")
    leave_field(tom.page)
    tom.page.keyboard.press("e")
    tom.page.locator(".editing textarea[data-edit]:focus").wait_for()
    tom.page.keyboard.press("Control+A")
    tom.page.keyboard.insert_text(told.corrected)
    tom.page.keyboard.press("Control+Enter")
    tom.page.locator(".own-answer").wait_for()
    assert t("ask.outcome.served_to_you") in tom.page.locator(".led").inner_text()

    # It is his from now on, and nobody else's.
    assert told.corrected in ask(tom.page, told.question, anew=True)
    assert t("ask.sure.suggested_by_you") in tom.page.locator(".candidate").first.inner_text()
    assert told.corrected not in ask(li.page, told.question)

    # A curator confirms it by one key; it is everybody's.
    wei.go("/review")
    wei.page.locator("#item").wait_for()
    assert told.question in wei.page.locator("#item").inner_text()
    assert told.corrected in wei.page.locator("#item").inner_text() + values(wei.page)
    wei.page.keyboard.press("c")
    wei.page.locator("[data-said='1'], #review-said:not(:empty)").first.wait_for(state="attached")
    assert told.corrected in ask(li.page, told.question, anew=True)
    assert t("ask.sure.confirmed") in li.page.locator(".candidate").first.inner_text()

    # An owner adds a document, turns the wheel and watches it.
    file = tmp_path / told.file
    file.write_text(told.text, encoding="utf-8")
    ines.go("/documents/add")
    with ines.page.expect_file_chooser() as chooser:
        press(ines.page, "[data-files]", "Enter")
    chooser.value.set_files(file)
    ines.page.locator("#jobs .job .badge[data-tone='good']").first.wait_for(timeout=PATIENCE_MS)
    assert told.file in ines.page.locator("#jobs .job").first.inner_text()
    ines.go("/wheel")
    ines.page.keyboard.press("t")
    ines.page.locator(".wheel-now, #now .card").first.wait_for()
    ines.page.get_by_role("link", name=t("wheel.version", number=2), exact=True).first.wait_for(
        timeout=PATIENCE_MS
    )
    ines.go("/wheel")
    assert served(ines.page) == "/wheel/versions/2"
    assert told.text.splitlines()[-1] in ask(ines.page, told.text.splitlines()[-1], place="/ask")

    # And goes back.
    ines.go("/wheel")
    press(ines.page, "[data-opens='go-back']", "Enter")
    press(ines.page, "#go-back button.primary", "Enter")
    ines.page.wait_for_load_state("networkidle")
    ines.go("/wheel")
    assert served(ines.page) == "/wheel/versions/1"
    assert [each.complaints for each in (tom, li, wei, ines)] == [[], [], [], []]


def ask(page: Page, question: str, *, anew: bool = False, place: str = "") -> str:
    """Asks; gives what the first candidate says."""
    if place:
        page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/", 3)[2] + place)
    if anew:
        leave_field(page)
        page.keyboard.press("n")
        page.locator("#thread:not(:has(.exchange))").wait_for(state="attached")
    page.locator("#question").focus()
    page.keyboard.insert_text(question)
    page.keyboard.press("Enter")
    candidate = page.locator(".exchange[data-interaction] .candidate").last
    candidate.wait_for()
    return candidate.locator(".answer").inner_text()


def press(page: Page, selector: str, key: str) -> None:
    """Goes to an element by the tab key, and presses a key there."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            page.keyboard.press(key)
            return
    raise AssertionError(f"no tab leads to {selector}")


def leave_field(page: Page) -> None:
    """Goes on from a text field to where single keys act."""
    page.evaluate("document.activeElement.blur()")


def values(page: Page) -> str:
    """What stands in the text fields."""
    found: list[str] = page.eval_on_selector_all("textarea", "all => all.map(a => a.value)")
    return "\n".join(found)


def served(page: Page) -> str | None:
    """The address of the version that serves."""
    return page.locator("#serves-title a").get_attribute("href")

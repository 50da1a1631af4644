"""The Ask page in a browser: by keyboard alone, as the answer comes, and when things go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tests.serve.console.test_ask import HOSTILE, QUESTION, QUESTIONS, QUOTE, answered, put

from flywheel.answer.settings import WriteSettings
from flywheel.answer.write import Writer
from flywheel.engine.fake import FakeAnswer, FakeEngine
from flywheel.serve.console.words import PageLanguage, Words

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import Visitor


@pytest.fixture
def writing(served: Served) -> Iterator[FakeEngine]:
    """The champion's answers are worded by this engine."""
    engine = FakeEngine()
    assistant = served.workspace.assistant(served.workspace.champion())
    writer = Writer(lambda: engine, assistant.index.frequencies, WriteSettings())
    assistant.writers.update({"en": writer, "zh": writer})
    yield engine
    engine.close()


def ask(page: Page, question: str = QUESTION) -> None:
    """Types a question and sends it, and waits for the answer to stand there."""
    before = page.locator("#thread [data-interaction]").count()
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")
    page.locator("#thread [data-interaction]").nth(before).wait_for()


def text(page: Page, selector: str) -> str:
    return page.locator(selector).first.inner_text()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everything_is_done_by_keys(
    served: Served, visitor: Callable[..., Visitor], language: PageLanguage
) -> None:
    visiting = visitor(served.url, served.secrets["asker"], language=language)
    page, t = visiting.page, Words(language)
    question, quote = QUESTIONS[language]
    page.keyboard.type(question)  # the box has the focus
    page.keyboard.press("Enter")
    candidate = page.locator(".candidate[data-index]")
    candidate.wait_for()
    assert quote in candidate.inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.locator("[data-key=u][aria-pressed=true]").wait_for()
    page.keyboard.press("d")  # the focus is where it was
    page.locator("[data-key=d][aria-pressed=true]").wait_for()
    assert page.locator("[data-key=u][aria-pressed=true]").count() == 0
    assert t("ask.outcome.will_be_learned") in candidate.inner_text()
    page.keyboard.press("b")
    page.locator("[data-key=b][aria-pressed=true]").wait_for()
    page.keyboard.press("x")
    page.get_by_text(t("ask.hidden")).wait_for()
    page.keyboard.press("x")
    page.locator("[data-key=b][aria-pressed=true]").wait_for()
    page.keyboard.press("f")
    page.locator("#panel[open]").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("[data-key=f][aria-pressed=true]").wait_for()
    assert t("ask.reason.outdated") in candidate.inner_text()
    page.keyboard.press("e")
    page.locator("[data-edit]:focus").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.type("42")
    page.keyboard.press("Control+Enter")
    page.locator(".own-answer").wait_for()
    assert t("ask.outcome.served_to_you") in candidate.inner_text()
    page.reload()
    assert t("ask.outcome.served_to_you") in candidate.inner_text(), "it stays"
    assert visiting.complaints == []


def test_a_citation_opens_in_its_document_and_closes_again(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    page = visitor(served.url, served.secrets["asker"]).page
    ask(page)
    page.locator(".note a").first.press("Enter")
    page.locator("#panel[open] mark").first.wait_for()
    assert QUOTE.startswith(text(page, "#panel mark")[:20])
    page.keyboard.press("ArrowRight")
    page.locator(".crumbs", has_text="Window lock").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#panel[open]").count() == 0
    assert page.evaluate("document.activeElement.closest('.note') !== null")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_moves_or_is_found_is_said_to_whoever_does_not_see_it(
    served: Served, visitor: Callable[..., Visitor], language: PageLanguage
) -> None:
    page, t = visitor(served.url, served.secrets["asker"], language=language).page, Words(language)
    page.locator(".compare summary").click()
    page.locator(".compare input[name=num][value='2']").check()
    ask(page)
    page.locator(".candidate[data-index]").nth(1).focus()
    page.keyboard.press("[")
    assert text(page, "#said") == t("ask.rank.place", letter="B", place=1, total=2)
    for place in ("/ask", "/ask/history"):
        page.goto(f"{served.url}{place}")
        page.locator("#history-q").fill("lock 儿童")
        page.locator("#said", has_text=t("ask.history.none_found")).wait_for(state="attached")
        assert page.locator("#history-list[aria-live]").count() == 0


def test_enter_that_ends_a_chinese_word_does_not_send(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    page = visitor(served.url, served.secrets["asker"], language="zh").page
    page.locator("#question").fill("儿童锁")
    for options in ("{isComposing: true}", "{keyCode: 229}"):
        page.evaluate(
            "document.getElementById('question').dispatchEvent(new KeyboardEvent('keydown', "
            f"Object.assign({{key: 'Enter', bubbles: true, cancelable: true}}, {options})))"
        )
    page.keyboard.press("Shift+Enter")
    assert page.locator(".exchange").count() == 0
    assert page.locator("#question").input_value() == "儿童锁\n"


def test_an_answer_is_shown_as_it_comes_and_can_be_stopped(
    served: Served, visitor: Callable[..., Visitor], writing: FakeEngine
) -> None:
    said = f"{QUOTE} [1] Turn it with the key. [1] " * 40
    writing.queue(FakeAnswer(text=said, delay_seconds=0.02))
    page = visitor(served.url, served.secrets["asker"]).page
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator(".coming .plain", has_text="edge of each rear door").wait_for()
    page.locator("[data-stop]").click()
    page.get_by_text(Words("en")("ask.stopped")).wait_for()
    assert page.locator("[data-interaction]").count() == 0
    writing.queue(f"{QUOTE} [1]")
    page.locator("[data-again]").click()
    page.locator("[data-interaction]").wait_for()
    assert Words("en")("ask.origin.written") in text(page, ".candidate[data-index]")


@pytest.mark.parametrize(
    ("status", "headers", "word"),
    [
        (429, {"Retry-After": "7"}, "ask.failed.429"),
        (503, {}, "ask.failed.503"),
        (200, {}, "ask.failed.broken"),
        (0, {}, "ask.failed.offline"),
    ],
)
def test_what_goes_wrong_is_told_and_the_question_stays(
    served: Served,
    visitor: Callable[..., Visitor],
    status: int,
    headers: dict[str, str],
    word: str,
) -> None:
    page = visitor(served.url, served.secrets["asker"]).page
    place = "**/v1/chat/completions"
    if status:
        half = 'data: {"choices":[{"index":0,"delta":{"content":"The"}}]}\n\n'
        page.route(place, lambda r: r.fulfill(status=status, headers=headers, body=half))
    else:
        page.route(place, lambda route: route.abort())
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.get_by_text(Words("en")(word)).first.wait_for()
    assert page.locator("#question").input_value() == QUESTION
    assert ("7 seconds" in text(page, ".asking")) == bool(headers)
    page.unroute(place)
    page.locator("[data-again]").click()
    page.locator("[data-interaction]").wait_for()
    assert page.locator(".asking").count() == 0


def test_a_conversation_goes_on_after_a_reload(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    page = visitor(served.url, served.secrets["asker"]).page
    ask(page, "What is the tyre pressure in front?")
    page.reload()
    ask(page, "And in winter?")
    asked = page.locator(".question").all_inner_texts()
    assert asked[-1] == "What is the tyre pressure in front? And in winter?"
    assert page.locator("#history-list li").count() == 2
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.wait_for_url(served.url + "/ask")
    assert page.locator(".exchange").count() == 0


def test_answers_are_ranked_by_dragging_and_by_keys(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    kept = put(
        served, question=QUESTION, candidates=tuple(map(answered, ("One.", "Two.", "Three.")))
    )
    page = visitor(served.url, served.secrets["asker"]).page
    page.goto(f"{served.url}/ask?after={kept.id}")
    letters = page.locator(".candidate .letter")
    letters.nth(2).drag_to(page.locator(".candidate").first)
    assert letters.all_inner_texts() == ["C", "A", "B"]
    page.locator(".candidate").nth(2).focus()
    page.keyboard.press("[")
    assert letters.all_inner_texts() == ["C", "B", "A"]
    page.keyboard.press("r")
    page.get_by_text("Ranked C · B · A.").first.wait_for()
    page.reload()
    assert letters.all_inner_texts() == ["C", "B", "A"]


def test_words_that_are_selected_become_evidence(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    page = visitor(served.url, served.secrets["curator"]).page
    ask(page)
    page.locator("[data-key=e]").click()
    page.locator("[data-edit]").fill("On the doors.")
    for each in page.locator(".piece input").all():
        each.set_checked(False)
    assert page.locator("[data-cite]").is_hidden()
    place = page.locator(".piece span").first.bounding_box()
    assert place
    page.mouse.move(place["x"] + 2, place["y"] + 8)
    page.mouse.down()
    page.mouse.move(place["x"] + 90, place["y"] + 8, steps=4)
    page.mouse.up()
    page.locator("[data-cite]").click()
    assert page.locator("[data-selected] li").count() == 1
    assert page.locator(".piece input:checked").count() == 0, "selecting is not ticking"
    page.locator(".edit button[type=submit]").click()
    page.locator(".own-answer").wait_for()
    assert Words("en")("ask.outcome.served_to_all") in text(page, ".led")


def test_hostile_answers_execute_nothing(served: Served, visitor: Callable[..., Visitor]) -> None:
    kept = put(
        served,
        question=HOSTILE,
        candidates=(
            answered(f"{HOSTILE}\n\n```{HOSTILE}\n```"),
            answered(HOSTILE, kind="ask_back", choices=(HOSTILE, f"<b>{HOSTILE}")),
        ),
    )
    visiting = visitor(served.url, served.secrets["asker"])
    page = visiting.page
    page.on("dialog", lambda dialog: visiting.complaints.append(dialog.message))
    page.goto(f"{served.url}/ask?after={kept.id}")
    ask(page, HOSTILE)
    page.locator("[data-key=e]").first.click()
    page.locator(".editing").wait_for()
    assert page.locator("main img, main script, main [onerror]").count() == 0
    assert visiting.complaints == []

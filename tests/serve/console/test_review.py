"""The page /review: what waits, decided with one key, by two curators at once too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.wheel.reviewing import burst, correct, flag, suggest

from flywheel.serve.console.words import PageLanguage, Words
from flywheel.store import exam_items
from flywheel.store.exam_items import ExamItem
from flywheel.wheel import keys

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn, Visitor

QUESTION = "Which colour has the moon of the child lock?"
ASKED = "Where is the child lock?"
EVIDENCE = "The child lock sits on the edge of each rear door."
HTMX = {"HX-Request": "true"}

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


def ask(served: Served, question: str, role: Any = "asker") -> dict[str, Any]:
    with served.client(role) as client:
        reply = client.post(
            "/chat/completions",
            json={"model": "flywheel", "messages": [{"role": "user", "content": question}]},
        )
    told = reply.json()
    first = told["choices"][0]
    return {**told["flywheel"], **first["flywheel"], "answer": first["message"]["content"]}


def form_of(page: str) -> dict[str, str]:
    """What the form of the item that is shown sends by itself."""
    form = page.partition('class="review-form')[2].partition("</form>")[0]
    return {name: value for name, value in HIDDEN.findall(form) if name != "csrf"}


def form_for(client: httpx.Client, kind: str, item: str) -> dict[str, str]:
    shown = client.get("/review", params={"kind": kind, "item": item})
    assert shown.status_code == 200
    return form_of(shown.text)


def decide(
    client: httpx.Client, form: dict[str, str], decision: str, answer: str = "", **values: Any
) -> httpx.Response:
    data = form | {"decision": decision, "answer": answer} | values
    return client.post("/review/decide", data=data, headers=HTMX)


@pytest.fixture
def ines(served: Served, signed_in: SignedIn) -> httpx.Client:
    return signed_in(served.url, served.key("owner", "ines"))


@pytest.fixture
def olaf(served: Served, signed_in: SignedIn) -> httpx.Client:
    return signed_in(served.url, served.key("owner", "olaf"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_empty_queue_says_what_to_do_next(
    served: Served, signed_in: SignedIn, language: PageLanguage
) -> None:
    shown = signed_in(served.url, served.secrets["curator"], language).get("/review").text
    assert Words(language)("review.empty.title") in shown
    assert 'href="/wheel"' in shown


def test_page_is_for_curators(served: Served, signed_in: SignedIn) -> None:
    asker = signed_in(served.url, served.secrets["asker"])
    for path in ("/review", "/review/export.json", "/review/agreement", "/review/passages?find=x"):
        assert asker.get(path).status_code == 403
    form = {"kind": "abstained", "item": "x", "seen": "x"}
    assert asker.post("/review/decide", data=form).status_code == 403


def test_confirmed_answer_is_served_to_the_next_asker_and_the_next_item_comes(
    served: Served, ines: httpx.Client
) -> None:
    asked = ask(served, QUESTION)["interaction"]
    ask(served, "Which colour has the sun of the wallbox?")
    shown = ines.get("/review").text
    assert QUESTION in shown
    form = form_of(shown)
    assert form["item"] == asked
    reply = decide(ines, form, "confirmed", "Silver.")
    assert reply.status_code == 200
    assert "the sun of the wallbox" in reply.text
    assert re.search(r'id="review-said"[^>]*hx-swap-oob="true">Confirmed. 1 left<', reply.text)
    answer = ask(served, QUESTION)
    assert (answer["answer"], answer["verified"]) == ("Silver.", True)
    acts = [(act.user, act.action) for act in keys.acts(served.workspace.database)]
    assert ("ines", "review.confirmed") in acts


def test_answer_is_filled_in_with_its_quotes_ticked(served: Served, ines: httpx.Client) -> None:
    asked = ask(served, ASKED)["interaction"]
    flag(served.workspace, "f", asked)
    shown = ines.get("/review").text
    textarea = re.search(r"<textarea[^>]*>([^<]*)</textarea>", shown)
    assert textarea is not None
    assert EVIDENCE in textarea[1]
    ticked = re.findall(r'name="sentence" value="([^"]+)" checked><span>([^<]+)', shown)
    assert EVIDENCE in [text for _, text in ticked]
    decide(ines, form_of(shown), "confirmed", "On the edge.", sentence=[id for id, _ in ticked])
    answer = ask(served, ASKED)
    assert answer["answer"] == "On the edge."
    assert EVIDENCE in answer["citations"][0]["quote"]


def test_old_answer_is_asked_for_again_by_the_page(served: Served, ines: httpx.Client) -> None:
    correct(served.workspace, "c", ASKED, "Somewhere.", "olaf")
    asked = ask(served, ASKED)["interaction"]
    flag(served.workspace, "f", asked)
    shown = ines.get("/review").text
    (place,) = re.findall(r'hx-get="(/review/suggestion[^"]+)"', shown)
    part = ines.get(place.replace("&amp;", "&"), headers=HTMX).text
    assert "Somewhere." in part
    assert Words("en")("review.answered_by_now") in part


def test_other_passages_are_looked_for(served: Served, ines: httpx.Client) -> None:
    part = ines.get("/review/passages", params={"find": "child lock"}, headers=HTMX).text
    assert EVIDENCE in part


def test_edited_suggestion_is_served_and_confirming_takes_the_chosen_side(
    served: Served, ines: httpx.Client
) -> None:
    suggest(served.workspace, "s", QUESTION, "Sliver.")
    form = form_for(ines, "suggested", "s")
    assert decide(ines, form, "edited", "Silver.").status_code == 200
    assert ask(served, QUESTION)["answer"] == "Silver."
    for user in ("eve", "bo"):
        correct(served.workspace, user, ASKED, f"{user} says so.", user)
    shown = ines.get("/review", params={"kind": "disputed", "item": "eve"}).text
    assert "<mark>eve</mark>" in shown
    decide(ines, form_of(shown), "confirmed", chosen="bo")
    assert ask(served, ASKED)["answer"] == "bo says so."


def test_drawn_question_gets_gold_and_the_page_says_why_it_is_never_corrected(
    served: Served, ines: httpx.Client
) -> None:
    asked = ask(served, QUESTION)["interaction"]
    item = ExamItem(id="x", question=QUESTION, interaction=asked, user="ada", at="2026-01-01")
    served.workspace.database.write(lambda conn: exam_items.put_all(conn, [item]))
    shown = ines.get("/review").text
    assert Words("en")("review.why.exam") in shown
    assert form_of(shown)["kind"] == "exam"
    refused = decide(ines, form_of(shown), "confirmed", "Silver.", selected=["Of cheese it is."])
    assert (refused.status_code, refused.headers["HX-Retarget"]) == (400, "#notices")
    assert decide(ines, form_of(shown), "confirmed", "Silver.").status_code == 200
    assert not ask(served, QUESTION)["verified"]
    with served.workspace.database.read() as conn:
        (gold,) = exam_items.list_items(conn)
    assert (gold.state, gold.answer, gold.decided_by) == ("gold", "Silver.", "ines")


def test_burst_is_decided_on(served: Served, ines: httpx.Client) -> None:
    burst(served.workspace, "mallory")
    shown = ines.get("/review").text
    assert "mallory: 22 acts" in shown
    assert decide(ines, form_of(shown), "rejected").status_code == 200
    assert decide(ines, form_of(shown), "rejected").status_code == 409
    assert Words("en")("review.empty.title") in ines.get("/review").text


def test_decision_without_an_answer_is_refused_in_the_readers_language(
    served: Served, signed_in: SignedIn
) -> None:
    ask(served, QUESTION)
    reader = signed_in(served.url, served.key("owner", "ines"), "zh")
    reply = decide(reader, form_of(reader.get("/review").text), "confirmed", "  ")
    assert reply.status_code == 400
    assert Words("zh")("review.no_answer") in reply.text


def test_form_without_the_sessions_token_is_refused(served: Served, ines: httpx.Client) -> None:
    ask(served, QUESTION)
    form = form_of(ines.get("/review").text)
    del ines.headers["X-CSRF-Token"]
    assert decide(ines, form, "unanswerable").status_code == 403


def test_skipped_item_comes_at_the_end(served: Served, ines: httpx.Client) -> None:
    for question in (QUESTION, QUESTION, "Which colour has the sun of the wallbox?"):
        ask(served, question)
    form = form_of(ines.get("/review").text)
    names = ("kind", "item", "only")
    reply = ines.post("/review/skip", data={name: form[name] for name in names}, headers=HTMX)
    second = form_of(reply.text)
    assert second["item"] != form["item"]
    decide(ines, second, "unanswerable")
    assert form_of(ines.get("/review").text)["item"] == form["item"]


def test_last_decision_is_taken_back(served: Served, ines: httpx.Client) -> None:
    ask(served, QUESTION)
    form = form_of(ines.get("/review").text)
    reply = decide(ines, form, "confirmed", "Silver.")
    assert 'action="/review/undo"' in reply.text
    again = ines.post("/review/undo", data={"only": ""}, headers=HTMX)
    assert form_of(again.text)["item"] == form["item"]
    assert not ask(served, QUESTION)["verified"]
    nothing = ines.post("/review/undo", data={"only": ""}, headers=HTMX)
    assert nothing.status_code == 409


def test_works_without_scripts(served: Served, ines: httpx.Client) -> None:
    suggest(served.workspace, "s", QUESTION, "Silver.")
    form = form_of(ines.get("/review").text) | {"decision": "confirmed"}
    reply = ines.post("/review/decide", data=form)
    assert (reply.status_code, reply.headers["location"]) == (303, "/review")
    assert ask(served, QUESTION)["answer"] == "Silver."


# Two curators.


def test_second_curator_sees_the_first_ones_decision_and_goes_on_from_there(
    served: Served, ines: httpx.Client, olaf: httpx.Client
) -> None:
    ask(served, QUESTION)
    forms = [form_of(each.get("/review").text) for each in (ines, olaf)]
    assert decide(ines, forms[0], "confirmed", "Silver.").status_code == 200
    late = decide(olaf, forms[1], "confirmed", "Of cheese.")
    assert late.status_code == 409
    assert Words("en").of("review.first", "confirmed", user="ines") in late.text
    assert "<p>Silver.</p>" in late.text
    assert ask(served, QUESTION)["answer"] == "Silver."
    # What he typed is still there, and with what he has seen now he may decide otherwise.
    assert ">Of cheese.</textarea>" in late.text or "/review/suggestion" in late.text
    assert decide(olaf, form_of(late.text), "confirmed", "Grey.").status_code == 200
    assert ask(served, QUESTION)["answer"] == "Grey."


def test_open_item_says_who_else_looks_and_who_has_decided(
    served: Served, ines: httpx.Client, olaf: httpx.Client
) -> None:
    suggest(served.workspace, "s", QUESTION, "Silver.")
    form = form_for(ines, "suggested", "s")
    watched = {name: form[name] for name in ("kind", "item", "seen")}
    assert "olaf" not in ines.get("/review/watch", params=watched, headers=HTMX).text
    form_for(olaf, "suggested", "s")
    assert "olaf is looking" in ines.get("/review/watch", params=watched, headers=HTMX).text
    decide(olaf, form, "withdrawn")
    part = ines.get("/review/watch", params=watched, headers=HTMX).text
    assert Words("en").of("review.first", "withdrawn", user="olaf") in part


# What curators take along.


def test_export_is_a_file_that_parses(served: Served, ines: httpx.Client) -> None:
    correct(served.workspace, "c", QUESTION, "Silver.", "ines")
    reply = ines.get("/review/export.json")
    assert reply.headers["Content-Disposition"].startswith("attachment")
    (task,) = json.loads(reply.text)
    assert task["data"]["question"] == QUESTION
    assert ines.get("/review/labelling.xml").text.startswith("<View>")


def test_agreement_is_told_in_words(served: Served, ines: httpx.Client) -> None:
    for user in ("ines", "olaf"):
        correct(served.workspace, user, QUESTION, "Silver.", user)
    part = ines.get("/review/agreement", headers=HTMX).text
    assert "ines · olaf" in part
    assert "100%" in part
    assert "<html" not in part


def test_narrow_curator_is_not_shown_what_he_may_not_read(
    served: Served, signed_in: SignedIn, ines: httpx.Client
) -> None:
    question = "How many zorkmids a month does the workshop pay its apprentices?"
    asked = ask(served, question, "owner")["interaction"]
    flag(served.workspace, "f", asked)
    assert "zorkmids" in ines.get("/review").text
    narrow = signed_in(served.url, served.key("curator", "nora", "public"))
    for path in ("/review", f"/review?kind=flagged&item={asked}", "/review/export.json"):
        assert "zorkmids" not in narrow.get(path).text
    form = {"kind": "flagged", "item": asked, "seen": "x", "decision": "dismissed"}
    assert narrow.post("/review/decide", data=form).status_code == 409


def test_hostile_markup_stays_text(served: Served, ines: httpx.Client) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    suggest(served.workspace, "<s>", f"{hostile} colour?", f"{hostile} [a](javascript:x)")
    for user in ("eve", "bo"):
        correct(served.workspace, f"<{user}>", f"{hostile} size?", f"{user} {hostile}", user)
    for path in ("/review?only=suggested", "/review?only=disputed"):
        shown = ines.get(path).text
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "javascript:x" not in shown.replace("[a](javascript:x)", "")


def test_passages_are_found_and_cited_in_a_browser(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    from playwright.sync_api import expect

    suggest(served.workspace, "s", ASKED, "On the egde.")
    visiting = visitor(served.url, served.key("owner", "ines"))
    page = visiting.go("/review")
    expect(page.locator("#item")).to_be_focused()
    page.keyboard.press("e")
    page.get_by_label(EVIDENCE).check()
    page.keyboard.press("Escape")
    page.locator("#item-answer").fill("On the edge.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#review-said")).to_contain_text("0 left")
    answer = ask(served, ASKED)
    assert (answer["answer"], answer["citations"][0]["quote"]) == ("On the edge.", EVIDENCE)
    page.keyboard.press("u")
    expect(page.locator("#item")).to_be_focused()
    assert visiting.complaints == []


def test_old_answer_is_filled_in_meanwhile_and_others_are_looked_for_in_a_browser(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    from playwright.sync_api import expect

    correct(served.workspace, "c", ASKED, "Somewhere.", "olaf")
    flag(served.workspace, "f", ask(served, ASKED)["interaction"])
    page = visitor(served.url, served.key("owner", "ines")).go("/review")
    expect(page.locator("#item-answer")).to_have_value("Somewhere.")
    page.locator("#find-passages").fill("wallbox tyre pressure")
    expect(page.locator("#more-passages")).to_contain_text("tyre pressure")
    expect(page.locator("#item-question")).to_have_text(ASKED)


def test_queue_is_worked_through_by_keys_alone(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    from playwright.sync_api import expect

    for each in (QUESTION, QUESTION, "后车门的月亮是什么颜色？"):
        ask(served, each)
    suggest(served.workspace, "s", "When is noon?", "At twelve.")
    visiting = visitor(served.url, served.key("owner", "ines"))
    page = visiting.go("/review")
    said, item = page.locator("#review-said"), page.locator("#item")
    question = page.locator("#item-question")

    def press(key: str, left: str) -> None:
        expect(item).to_be_focused()
        page.keyboard.press(key)
        expect(said).to_contain_text(left)

    expect(question).to_have_text(QUESTION)
    expect(item).to_be_focused()
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("Silver.")
    page.keyboard.press("Control+Enter")
    expect(said).to_contain_text("2 left")
    assert ask(served, QUESTION)["answer"] == "Silver."
    put_off = question.inner_text()
    press("s", "Put off")
    expect(question).not_to_have_text(put_off)
    press("x" if question.inner_text() != "When is noon?" else "Enter", "1 left")
    expect(question).to_have_text(put_off)
    press("x" if put_off != "When is noon?" else "Enter", "0 left")
    page.keyboard.press("u")
    expect(said).to_contain_text("1 left")
    expect(question).to_have_text(put_off)
    expect(item).to_be_focused()
    assert visiting.complaints == []

"""The Ask page over HTTP, as a browser without scripts uses it: it answers, keeps what is said, and
shows nobody what is not his."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from flywheel.records import Answer, Citation, Feedback, Interaction, Passage
from flywheel.serve.console.words import PageLanguage, Words
from flywheel.store import documents, interactions, versions
from flywheel.store import feedback as feedback_store
from flywheel.wheel.moderation.judging import write_word_list

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn

QUESTIONS: dict[PageLanguage, tuple[str, str]] = {
    "en": ("Where is the child lock?", "The child lock sits on the edge of each rear door."),
    "zh": ("儿童锁在哪里？", "儿童锁在后车门的边缘。"),
}
QUESTION, QUOTE = QUESTIONS["en"]
HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(1)</script>' [x](javascript:alert(1))"


@pytest.fixture
def asker(served: Served, signed_in: SignedIn) -> httpx.Client:
    return signed_in(served.url, served.secrets["asker"])


@pytest.fixture
def curator(served: Served, signed_in: SignedIn) -> httpx.Client:
    return signed_in(served.url, served.secrets["curator"])


def ask(client: httpx.Client, question: str = QUESTION, **more: Any) -> str:
    """The id of the interaction that asking on the page leads to."""
    reply = client.post("/ask", data={"question": question, **more})
    assert reply.status_code == 303, reply.text
    place: str = reply.headers["Location"]
    return place.rpartition("#x-")[2]


def page(client: httpx.Client, id: str) -> str:
    """The interaction's page, its references to characters resolved."""
    reply = client.get(f"/ask/interactions/{id}")
    assert reply.status_code == 200
    return unescape(reply.text)


def token(shown: str, candidate: int = 0) -> str:
    """What a form of the candidate carries."""
    found = re.findall(rf'name="candidate" value="{candidate}"><input[^>]*value="(\w+)"', shown)
    return str(found[0])


def say(client: httpx.Client, id: str, act: str, candidate: int = 0, **more: Any) -> str:
    """Presses a button; gives the page after it."""
    data = {"candidate": candidate, "act": act, "token": token(page(client, id), candidate)}
    reply = client.post(f"/ask/interactions/{id}/acts", data=data | more)
    assert reply.status_code == 303, reply.text
    return page(client, id)


def edit(client: httpx.Client, id: str, answer: str, **more: Any) -> str:
    data = {"candidate": 0, "token": token(page(client, id)), "answer": answer}
    reply = client.post(f"/ask/interactions/{id}/edit", data=data | more)
    assert reply.status_code == 303, reply.text
    return page(client, id)


def pressed(shown: str) -> list[str]:
    """What the buttons that are pressed would take back."""
    return re.findall(r'value="-(\w+)" id="[^"]*" aria-pressed="true"', shown)


def acts(served: Served, id: str) -> list[Feedback]:
    with served.workspace.database.read() as conn:
        return feedback_store.of_interaction(conn, id)


def put(served: Served, **values: Any) -> Interaction:
    """Keeps an interaction as if it had been asked."""
    blank: dict[str, Any] = {
        "id": "f" * 32,
        "version": 1,
        "user": "the asker",
        "at": "2026-11-28T12:00:00+00:00",
    }
    kept = Interaction(**blank | values)
    served.workspace.database.write(lambda conn: interactions.put(conn, kept))
    return kept


def answered(text: str, **values: Any) -> Answer:
    blank: dict[str, Any] = {
        "question": QUESTION,
        "answer": text,
        "draft": text,
        "kind": "answer",
        "confidence": 0.9,
        "citations": (),
        "passages": (),
        "version": 1,
    }
    return Answer(**blank | values)


def listed(client: httpx.Client, **query: str) -> list[str]:
    """The questions of the history."""
    shown = client.get("/ask/history", params=query).text
    return [unescape(each) for each in re.findall(r'<span class="text">([^<]*)</span>', shown)]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_form_without_scripts_is_answered_with_sources_and_how_sure_it_is(
    served: Served, signed_in: SignedIn, language: PageLanguage
) -> None:
    client, t = signed_in(served.url, served.secrets["asker"], language), Words(language)
    question, quote = QUESTIONS[language]
    reply = client.post("/ask", data={"question": question}, follow_redirects=True)
    shown = unescape(reply.text)
    assert reply.status_code == 200 and quote in re.sub("<[^>]*>", "", shown)
    assert t("ask.origin.quoted") in shown and t("ask.act.edit") in shown
    assert re.search(r'<sup class="note"><a href="/passages/\w+\?start=\d+&end=\d+&of=\w+"', shown)
    assert any(t(f"ask.sure.{each}") in shown for each in ("sure", "fairly_sure", "unsure"))


def test_a_conversation_stands_in_the_address_and_is_asked_on(asker: httpx.Client) -> None:
    first = ask(asker, "What is the tyre pressure in front?")
    reply = asker.post("/ask", data={"question": "And in winter?", "after": first})
    place = reply.headers["Location"]
    shown = unescape(asker.get(place.partition("#")[0]).text)
    assert place.count("after=") == 2
    assert "What is the tyre pressure in front? And in winter?" in shown
    assert shown.count('<article class="exchange" id=') == 2


def test_several_answers_stand_side_by_side_under_letters(
    served: Served, asker: httpx.Client
) -> None:
    add_version(served, 2)
    shown = page(asker, ask(asker, num=2, beside=2))
    assert [letter for letter in "ABC" if f">{letter}</h3>" in shown] == ["A", "B", "C"]
    assert "version 2" in shown


def add_version(served: Served, number: int) -> None:
    def write(conn: Any) -> None:
        versions.put(conn, replace(versions.require(conn, 1), number=number, parent=1))

    served.workspace.database.write(write)


def test_what_cannot_be_asked_leaves_what_was_typed(asker: httpx.Client) -> None:
    long = "Where? " * 2000
    for question, beside, says in ((long, 1, "8,000"), (QUESTION, 7, "not there")):
        reply = asker.post("/ask", data={"question": question, "beside": beside})
        assert reply.status_code in (400, 404)
        shown = unescape(reply.text)
        assert says in shown and question.strip() in shown


def test_a_form_without_the_sessions_token_is_refused(served: Served, asker: httpx.Client) -> None:
    id = ask(asker)
    data = {"candidate": 0, "act": "up", "token": token(page(asker, id))}
    asker.headers.pop("X-CSRF-Token")
    assert asker.post("/ask", data={"question": QUESTION}).status_code == 403
    assert asker.post(f"/ask/interactions/{id}/acts", data=data).status_code == 403
    assert acts(served, id) == []


def test_what_moderation_refuses_is_told_and_not_kept(
    serve: Callable[[str], Served], signed_in: SignedIn
) -> None:
    served = serve('[moderation]\ninput = "refuse"\n')
    write_word_list(served.workspace, "rude", "zorkmid\n")
    client = signed_in(served.url, served.secrets["asker"])
    reply = client.post("/ask", data={"question": "Where is my zorkmid?"})
    assert reply.status_code == 200
    assert Words("en")("ask.not_kept") in unescape(reply.text)
    assert listed(client) == []


def test_the_latest_rating_counts_and_one_that_is_pressed_again_is_taken_back(
    served: Served, asker: httpx.Client
) -> None:
    id = ask(asker)
    assert pressed(page(asker, id)) == []
    assert pressed(say(asker, id, "up")) == ["up"]
    shown = say(asker, id, "down")
    assert pressed(shown) == ["down"]
    assert "Will be learned at the next turn." in shown and "A later word" in shown
    assert pressed(say(asker, id, "up")) == ["up"], "said anew, it counts anew"
    assert pressed(say(asker, id, "-up")) == []
    assert [act.kind for act in acts(served, id)] == ["up", "down", "up", "retract"]


def test_taking_one_thing_back_leaves_the_others(served: Served, asker: httpx.Client) -> None:
    id = ask(asker)
    for act in ("up", "bookmark"):
        say(asker, id, act)
    say(asker, id, "flag", reason="outdated", text="Since <2024>")
    shown = say(asker, id, "-bookmark")
    assert sorted(pressed(shown)) == ["flag", "up"]
    assert "It is out of date: Since <2024>" in shown
    told = {each.kind for each in acts(served, id)}
    assert told == {"up", "bookmark", "flag", "retract"}


def test_what_is_hidden_stays_so_until_it_is_brought_back(asker: httpx.Client) -> None:
    id = ask(asker)
    say(asker, id, "bookmark")
    shown = say(asker, id, "delete")
    assert "Hidden from you." in shown and QUOTE not in re.sub("<[^>]*>", "", shown)
    assert pressed(say(asker, id, "-delete")) == ["bookmark"]


def test_the_same_press_twice_counts_once(served: Served, asker: httpx.Client) -> None:
    id = ask(asker)
    data = {"candidate": 0, "act": "up", "token": token(page(asker, id))}
    for _ in range(2):
        assert asker.post(f"/ask/interactions/{id}/acts", data=data).status_code == 303
    assert len(acts(served, id)) == 1


def test_a_script_gets_the_candidate_with_what_it_led_to(asker: httpx.Client) -> None:
    id = ask(asker)
    data = {"candidate": 0, "act": "up", "token": token(page(asker, id))}
    headers = {"HX-Request": "true"}
    reply = asker.post(f"/ask/interactions/{id}/acts", data=data, headers=headers)
    assert reply.status_code == 200 and "<html" not in reply.text
    assert 'aria-pressed="true"' in reply.text and "Will be learned" in reply.text


def test_an_askers_edit_serves_him_and_a_curators_serves_all(
    served: Served, asker: httpx.Client, curator: httpx.Client, signed_in: SignedIn
) -> None:
    other = signed_in(served.url, served.key("asker", "bob"))
    id = ask(asker)
    shown = edit(asker, id, "On the *rear* doors.", selected=QUOTE)
    assert "Served to you from now on; waits for a curator" in shown
    own, others = page(asker, ask(asker)), page(other, ask(other))
    assert "Suggested by you" in own and "On the <em>rear</em> doors." in own
    assert "On the <em>rear</em> doors." not in others
    shown = edit(curator, ask(curator), "At the edge of the rear doors.", selected=QUOTE)
    assert "Served to the next asker now" in shown
    assert "Confirmed by a curator" in page(other, ask(other))


def test_an_edit_cites_what_is_ticked_word_by_word(served: Served, asker: httpx.Client) -> None:
    id = ask(asker)
    form = unescape(asker.get(f"/ask/interactions/{id}/edit").text)
    values = re.findall(r'name="sentence" value="([^"]+)"( checked)?', form)
    assert any(checked for _, checked in values), "what the answer quotes is ticked"
    of_lock = [value for value, checked in values if checked]
    edit(asker, id, "Rear doors.", sentence=[*of_lock, "no:1:2", "x"])
    kept = acts(served, id)[-1]
    assert kept.evidence == (f"{QUOTE} Turn it with the key.",)
    whole = re.findall(r'name="passage" value="([^"]+)"', form)
    edit(asker, id, "All of it.", passage=whole[0], selected=["", QUOTE])
    assert len(acts(served, id)[-1].evidence) == 2


def test_an_edit_without_an_answer_is_refused(served: Served, asker: httpx.Client) -> None:
    id = ask(asker)
    data = {"candidate": 0, "token": token(page(asker, id)), "answer": "  "}
    reply = asker.post(f"/ask/interactions/{id}/edit", data=data)
    assert (reply.status_code, acts(served, id)) == (400, [])


def test_an_order_of_candidates_is_kept_and_shown(served: Served, asker: httpx.Client) -> None:
    kept = put(served, question=QUESTION, candidates=tuple(map(answered, ("One.", "Two.", "Six."))))
    data = {"token": token(page(asker, kept.id)), "order": [2, 0, 1]}
    assert asker.post(f"/ask/interactions/{kept.id}/rank", data=data).status_code == 303
    shown = page(asker, kept.id)
    assert "Ranked C · A · B." in shown
    assert re.findall("<p>(One|Two|Six)", shown) == ["Six", "One", "Two"]
    [act] = acts(served, kept.id)
    assert (act.order, act.candidates) == ((2, 0, 1), ("One.", "Two.", "Six."))


def test_what_is_asked_back_can_be_chosen_and_what_is_not_found_can_be_written(
    served: Served, asker: httpx.Client
) -> None:
    back = answered(
        "Which of these do you mean?\n- Doors\n- Tyres", kind="ask_back", choices=("Doors", "Tyres")
    )
    kept = put(served, question="lock?", candidates=(back,))
    shown = page(asker, kept.id)
    assert re.findall(r'name="question" value="(Doors|Tyres)"', shown) == ["Doors", "Tyres"]
    nearest = passage_of(served)
    silent = answered("Nothing.", kind="abstain", passages=(nearest,))
    kept = put(served, id="e" * 32, question="lock?", candidates=(silent,))
    shown = page(asker, kept.id)
    assert "What comes nearest" in shown and f"/passages/{nearest.id}" in shown
    assert "You know it? Write the answer" in shown


def test_a_reading_that_is_chosen_is_asked_with_what_was_asked(
    served: Served, asker: httpx.Client
) -> None:
    readings = ("Doors › Child lock warning", "Doors › Child lock")
    text = "Which of these do you mean?\n" + "\n".join(f"- {each}" for each in readings)
    back = answered(text, kind="ask_back", choices=readings)
    kept = put(served, question="And the lock?", candidates=(back,))
    shown = page(asker, ask(asker, readings[1], after=kept.id))
    assert "And the lock? Doors › Child lock</h2>" in shown


def passage_of(served: Served, title: str = "Doors") -> Passage:
    with served.workspace.database.read() as conn:
        return next(each for each in documents.iterate_passages(conn) if each.title == title)


def test_a_passage_shows_the_quote_where_it_stands(asker: httpx.Client) -> None:
    shown = page(asker, ask(asker))
    [href, *_] = re.findall(r'href="(/passages/[^"]+)"', shown)
    shown = unescape(asker.get(href).text)
    assert f"<mark>{QUOTE}" in shown and "Child lock" in shown
    assert "Every door opens from inside" in shown, "what stands before it"
    assert "Press the button with the crossed window" in shown, "and after it"
    part = asker.get(href, headers={"HX-Request": "true"}).text
    assert "<html" not in part and 'id="panel-title"' in part


def test_a_passage_that_is_served_no_more_is_shown_as_it_was_cited(
    served: Served, asker: httpx.Client
) -> None:
    gone = replace(passage_of(served), id="0123456789abcdef", text="It was blue.")
    kept = put(served, question="?", candidates=(answered("Blue.", passages=(gone,)),))
    shown = asker.get(f"/passages/{gone.id}", params={"of": kept.id})
    assert shown.status_code == 200 and "It was blue." in shown.text
    assert "no more" in unescape(shown.text)
    assert asker.get(f"/passages/{gone.id}").status_code == 404


def test_nobody_sees_what_is_not_his(
    served: Served, asker: httpx.Client, curator: httpx.Client, signed_in: SignedIn
) -> None:
    staff = signed_in(served.url, served.key("asker", "eve", "staff"))
    id = ask(staff, "What are apprentices paid?")
    assert "zorkmids" in page(staff, id)
    pay = passage_of(served, "Pay")
    for path in (
        f"/ask/interactions/{id}",
        f"/ask/interactions/{id}/exchange",
        f"/ask/interactions/{id}/candidates/0",
        f"/ask/interactions/{id}/edit",
        f"/ask/interactions/{id}/flag",
        f"/passages/{pay.id}",
        f"/passages/{pay.id}?of={id}",
    ):
        for stranger in (asker, curator):
            reply = stranger.get(path)
            assert reply.status_code == 404 and "zorkmids" not in reply.text, path
    assert staff.get(f"/passages/{pay.id}").status_code == 200
    data = {"candidate": 0, "act": "up", "token": "0" * 32}
    assert asker.post(f"/ask/interactions/{id}/acts", data=data).status_code == 404
    assert listed(asker) == [] and "zorkmids" not in asker.get("/ask", params={"after": id}).text


def test_an_answer_whose_document_is_closed_is_gone_and_its_question_stays(
    served: Served, signed_in: SignedIn
) -> None:
    staff = signed_in(served.url, served.key("asker", "eve", "staff"))
    id = ask(staff, "What are apprentices paid?")
    pay = passage_of(served, "Pay")
    served.workspace.database.write(
        lambda conn: documents.set_access(conn, [pay.document], ["board"])
    )
    assert staff.get(f"/ask/interactions/{id}").status_code == 404
    assert listed(staff) == ["What are apprentices paid?"]


def test_curators_see_what_others_asked_and_said(
    served: Served, asker: httpx.Client, curator: httpx.Client
) -> None:
    id = ask(asker)
    edit(asker, id, "On the rear doors.", selected=QUOTE)
    shown = page(curator, id)
    assert "asked by the asker" in shown and "On the rear doors." in shown
    assert pressed(shown) == []


def test_the_history_is_searched_filtered_and_paged(
    served: Served, asker: httpx.Client, signed_in: SignedIn
) -> None:
    for number in range(45):
        put(
            served,
            id=f"{number:032x}",
            at=f"2026-11-28T12:00:{number:02}+00:00",
            question=f"问题 {number}：轮胎" if number % 2 else f"Question {number} 100%_ tyre",
            candidates=(answered("It."),),
        )
    first = listed(asker)
    assert first[0].startswith("Question 44") and len(first) == 20
    assert listed(asker, q="轮胎 43") == ["问题 43：轮胎"]
    assert listed(asker, q="100%_ 12") == ["Question 12 100%_ tyre"]
    assert listed(asker, q="nothing") == []
    say(asker, f"{7:032x}", "bookmark")
    say(asker, f"{9:032x}", "bookmark")
    say(asker, f"{9:032x}", "-bookmark")
    assert listed(asker, only="bookmarked") == ["问题 7：轮胎"]
    seen = list(pages(asker))
    assert len(seen) == len(set(seen)) == 45
    other = signed_in(served.url, served.key("asker", "bob"))
    assert listed(other) == []


def pages(client: httpx.Client) -> Iterator[str]:
    """Every question of the history, page by page."""
    path = "/ask/history"
    while path:
        shown = unescape(client.get(path).text)
        yield from re.findall(r'<span class="text">([^<]*)</span>', shown)
        following = re.search(r'rel="next" href="([^"]+)"', shown)
        path = following[1] if following else ""


def test_markup_of_any_origin_stays_text(served: Served, asker: httpx.Client) -> None:
    passage = replace(
        passage_of(served), id="0" * 16, title=HOSTILE, headings=(HOSTILE,), text=f"{HOSTILE}\n"
    )
    quoted = Citation(
        document=passage.document,
        title=HOSTILE,
        headings=(HOSTILE,),
        passage=passage.id,
        quote=HOSTILE,
        start=0,
        end=len(HOSTILE),
    )
    text = f"# {HOSTILE}\n\n{HOSTILE}\n\n```{HOSTILE}\n{HOSTILE}\n```\n\n| {HOSTILE} |\n|---|\n"
    candidates = (
        answered(text, citations=(quoted,), passages=(passage,)),
        answered(HOSTILE, kind="ask_back", choices=(HOSTILE,), shortfall=HOSTILE),
        answered(HOSTILE, kind="abstain", passages=(passage,)),
    )
    kept = put(served, question=HOSTILE, candidates=candidates)
    say(asker, kept.id, "flag", reason="other", text=HOSTILE)
    edit(asker, kept.id, HOSTILE, selected=HOSTILE)
    paths = [
        f"/ask/interactions/{kept.id}",
        f"/ask/interactions/{kept.id}/edit",
        f"/ask/interactions/{kept.id}/flag",
        f"/ask?after={kept.id}&q=%22%3E%3Cimg%20src=x%3E",
        f"/ask/history?q={HOSTILE[:20]}",
        f"/passages/{passage.id}?start=0&end={len(HOSTILE)}&of={kept.id}",
    ]
    for path in paths:
        reply = asker.get(path)
        assert reply.status_code == 200
        assert "<img" not in reply.text and "<script>" not in reply.text, path
        assert "javascript:" not in "".join(re.findall(r'href="[^"]*"', reply.text))
        assert not re.search(r"<[^>]*\sonerror=", re.sub(r'"[^"]*"', '""', reply.text)), path

"""Owners set what is done about each category, edit the lists and try a text; it counts at once."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from flywheel.wheel import keys
from flywheel.wheel.moderation import judging as moderation
from flywheel.wheel.moderation import rules, word_lists

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn, Visitor

LIST = "# Not for the desk.\nkill you\nidiot*\n炸弹\n!kill switch\n"
PLACE = "/settings/moderation"


@pytest.fixture
def owner(served: Served, signed_in: SignedIn) -> httpx.Client:
    """A browser that signed in as the owner, before two lists."""
    moderation.write_word_list(served.workspace, "threats", LIST)
    moderation.write_word_list(served.workspace, "侮辱", "白痴\n")
    return signed_in(served.url, served.secrets["owner"])


def seen(client: httpx.Client, path: str = PLACE) -> str:
    """What a form of the page says that its reader saw."""
    return str(re.findall(r'name="seen" value="([^"]*)"', client.get(path).text)[0])


def rule_form(client: httpx.Client, **values: Any) -> dict[str, Any]:
    return {
        "seen": seen(client),
        "input": "mark",
        "output": "mark",
        "threshold": "0.7",
        "category": ["threats", "侮辱"],
        "category_input": ["", ""],
        "category_output": ["", ""],
        "category_threshold": ["", ""],
        **values,
    }


def flagged(served: Served, text: str, direction: str = "input") -> str:
    with served.client("asker") as client:
        reply = client.post("/moderations", json={"input": text, "direction": direction})
    return str(reply.json()["results"][0]["flywheel"]["action"])


def acts(served: Served) -> list[tuple[str, str, str]]:
    told = keys.acts(served.workspace.database)
    return [(each.user, each.action, each.target) for each in told if "moderation" in each.action]


def test_rules_are_set_per_category_and_direction_and_act_at_once(
    served: Served, owner: httpx.Client
) -> None:
    assert flagged(served, "I k1ll you") == "mark"
    form = rule_form(
        owner,
        category_input=["refuse", "allow"],
        category_output=["", "refuse"],
        category_threshold=["0,25", ""],
        mask_personal="on",
    )
    reply = owner.post(f"{PLACE}/rules", data=form)
    assert reply.headers["Location"] == f"{PLACE}?done=rules"
    assert flagged(served, "I k1ll you") == "refuse"
    assert (flagged(served, "白痴"), flagged(served, "白痴", "output")) == ("allow", "refuse")
    found = rules.in_force(served.workspace).settings
    assert (found.threshold_of("threats"), found.mask_personal) == (0.25, True)
    page = owner.get(f"{PLACE}?done=rules").text
    assert "The rules are saved" in page and 'value="0.25"' in page
    assert acts(served)[0] == ("the owner", "moderation.rules", "*, threats, 侮辱")
    assert owner.post(f"{PLACE}/reset", data={"seen": seen(owner)}).status_code == 303
    assert flagged(served, "I k1ll you") == "mark"
    assert (served.workspace.root / "flywheel.toml").read_text(encoding="utf-8") == ""


WRONG_RULES: list[tuple[dict[str, Any], str]] = [
    ({"threshold": "0"}, "above 0"),
    ({"threshold": "1.01"}, "above 0"),
    ({"threshold": "nan"}, "above 0"),
    ({"threshold": ""}, "above 0"),
    ({"threshold": "a"}, "above 0"),
    ({"category_threshold": ["7", ""]}, "of threats"),
    ({"category": ["threats"]}, "incomplete"),
    ({"category": ["threats", "../x"]}, "lower-case letters"),
    ({"input": "shout"}, "input"),
    ({"category_input": ["shout", ""]}, "category_input"),
    ({"other": "x"}, "other"),
]


def test_rules_that_cannot_be_are_refused_with_the_reason(
    served: Served, owner: httpx.Client
) -> None:
    form = rule_form(owner)
    for values, says in WRONG_RULES:
        reply = owner.post(f"{PLACE}/rules", data=form | values)
        assert reply.status_code == 400 and says in reply.text, values
    assert not rules.in_force(served.workspace).is_own


def test_the_second_of_two_owners_sees_what_the_first_set(
    served: Served, owner: httpx.Client, signed_in: SignedIn
) -> None:
    other = signed_in(served.url, served.key("owner", "Bo 博"))
    first, second = rule_form(other, threshold="0.55"), rule_form(owner, threshold="0.66")
    assert other.post(f"{PLACE}/rules", data=first).status_code == 303
    reply = owner.post(f"{PLACE}/rules", data=second)
    assert reply.status_code == 409
    assert "Bo 博" in reply.text and 'value="0.55"' in reply.text and "0.66" not in reply.text
    assert rules.in_force(served.workspace).settings.threshold == 0.55
    late = owner.post(f"{PLACE}/reset", data={"seen": second["seen"]})
    assert late.status_code == 409 and rules.in_force(served.workspace).is_own
    assert len(acts(served)) == 3  # two lists, and the first one's rules


def test_a_text_is_tried_with_what_caused_the_verdict(served: Served, owner: httpx.Client) -> None:
    text = "We <b>k1ll you</b>, 白-痴!"
    page = owner.post(f"{PLACE}/try", data={"text": text})
    assert page.status_code == 200 and "<html" in page.text
    part = owner.post(f"{PLACE}/try", data={"text": text}, headers={"HX-Request": "true"}).text
    assert "<html" not in part and "<b>" not in part
    assert "<mark>k1ll you</mark>" in part and "<mark>白-痴</mark>" in part
    assert "kill you" in part and "marked" in part
    fine = owner.post(f"{PLACE}/try", data={"text": "Where is the child lock?"}).text
    assert "Not found" in fine and "<mark>" not in fine
    assert owner.post(f"{PLACE}/try", data={"text": "x" * 20_001}).status_code == 400
    # Nothing of it is kept.
    with served.workspace.database.read() as conn:
        kept = conn.exec_driver_sql("select count(*) from interactions where question like '%ill%'")
        assert kept.scalar_one() == 0


def test_rules_are_tried_on_recent_questions_before_they_are_saved(
    served: Served, owner: httpx.Client
) -> None:
    assert "No question was asked yet" in owner.get(f"{PLACE}/effects").text
    for question in ("Where is the child lock?", "I kill you", "白痴"):
        served.workspace.ask(question, "ines")
    now = owner.get(f"{PLACE}/effects").text
    counts = re.compile(r"<strong>(\d+)</strong>")
    assert counts.findall(now)[:3] == ["0", "2", "1"]  # refused, marked, let through
    form = rule_form(owner, category_input=["refuse", "allow"])
    draft = owner.post(f"{PLACE}/effects", data=form).text
    assert "nothing is changed yet" in draft
    assert counts.findall(draft)[:3] == ["1", "0", "2"]
    assert not rules.in_force(served.workspace).is_own
    assert "child lock" not in now + draft and "白痴" not in now + draft


def test_phrases_are_listed_added_edited_and_deleted(served: Served, owner: httpx.Client) -> None:
    place = f"{PLACE}/words/threats"
    page = owner.get(place).text
    for phrase in ("kill you", "idiot", "炸弹", "kill switch"):
        assert phrase in page
    assert 'href="/settings/moderation/words/%E4%BE%AE%E8%BE%B1"' in owner.get(PLACE).text
    add = {"category": "threats", "seen": seen(owner, place), "text": "杀了你", "kind": "phrase"}
    assert owner.post(f"{PLACE}/phrases", data=add).headers["Location"] == f"{place}?done=saved"
    assert flagged(served, "我要杀了你") == "mark"
    change = {"category": "threats", "seen": seen(owner, place), "text": "stupid", "kind": "open"}
    assert 'value="idiot"' in owner.get(f"{place}?edit=3").text
    assert owner.post(f"{PLACE}/phrases", data=change | {"line": "3"}).status_code == 303
    assert (flagged(served, "stupidly"), flagged(served, "idiotic")) == ("mark", "allow")
    gone = {"category": "threats", "seen": seen(owner, place), "line": "2"}
    assert owner.post(f"{PLACE}/phrases/delete", data=gone).status_code == 303
    found = word_lists.read(served.workspace, "threats")
    assert found.text == "# Not for the desk.\nstupid*\n炸弹\n!kill switch\n杀了你\n"
    assert [each[1:] for each in acts(served)[:3]] == [("moderation.words", "threats")] * 3


def test_a_phrase_that_cannot_be_is_refused_with_the_reason(
    served: Served, owner: httpx.Client
) -> None:
    form = {"category": "threats", "seen": seen(owner, f"{PLACE}/words/threats")}
    for text, says in (
        ("", "letter or a digit"),
        ("x", "One letter"),
        ("KILL YOU", "already"),
        ("#a", "begin with"),
    ):
        reply = owner.post(f"{PLACE}/phrases", data=form | {"text": text})
        assert reply.status_code == 400 and says in reply.text, text
    assert word_lists.read(served.workspace, "threats").text == LIST


def test_of_two_who_edit_a_list_the_second_keeps_what_he_typed_and_overwrites_nothing(
    served: Served, owner: httpx.Client, signed_in: SignedIn
) -> None:
    place = f"{PLACE}/words/threats"
    other, before = signed_in(served.url, served.key("owner", "Bo 博")), seen(owner, place)
    form = {"category": "threats", "seen": before, "kind": "phrase"}
    assert other.post(f"{PLACE}/phrases", data=form | {"text": "burn it"}).status_code == 303
    second = owner.post(f"{PLACE}/phrases", data=form | {"text": "break it"})
    assert second.status_code == 409
    assert "Bo 博" in second.text and "burn it" in second.text and 'value="break it"' in second.text
    whole = owner.post(
        f"{PLACE}/lists", data={"category": "threats", "seen": before, "text": "mine\nalone\n"}
    )
    assert whole.status_code == 409
    assert "burn it" in whole.text and "mine\nalone" in whole.text
    late = owner.post(
        f"{PLACE}/phrases/delete", data={"category": "threats", "seen": before, "line": "2"}
    )
    assert late.status_code == 409
    assert word_lists.read(served.workspace, "threats").text == LIST + "burn it\n"
    # Once he has seen it, he may.
    again = {"category": "threats", "seen": seen(owner, place), "text": "break it"}
    assert owner.post(f"{PLACE}/phrases", data=again).status_code == 303


def test_a_list_is_edited_as_a_text_and_deleted(served: Served, owner: httpx.Client) -> None:
    place = f"{PLACE}/words/threats"
    page = owner.get(f"{place}?view=text").text
    assert html.escape(LIST) in page
    form = {"category": "threats", "seen": seen(owner, f"{place}?view=text")}
    wrong = owner.post(f"{PLACE}/lists", data=form | {"text": "fine\n# so\n?!\n"})
    assert wrong.status_code == 400 and "Line 3" in wrong.text and "?!" in wrong.text
    # A browser ends lines with both signs.
    sent = form | {"text": "# new\r\n爆炸\r\n"}
    assert owner.post(f"{PLACE}/lists", data=sent).status_code == 303
    assert word_lists.read(served.workspace, "threats").text == "# new\n爆炸\n"
    assert (flagged(served, "爆炸"), flagged(served, "kill you")) == ("mark", "allow")
    last = {"category": "threats", "seen": seen(owner, place), "text": ""}
    assert owner.post(f"{PLACE}/lists", data=last).headers["Location"] == f"{PLACE}?done=deleted"
    assert "threats" not in moderation.word_lists(served.workspace)


def test_a_list_begins_with_its_category(served: Served, owner: httpx.Client) -> None:
    reply = owner.get(f"{PLACE}/words", params={"category": " Violence/Threats "})
    assert reply.headers["Location"] == f"{PLACE}/words/violence/threats"
    page = owner.get(reply.headers["Location"])
    assert page.status_code == 200 and "The list is empty" in page.text
    form = {"category": "violence/threats", "seen": seen(owner, page.url.path), "text": "拳头"}
    assert owner.post(f"{PLACE}/phrases", data=form).status_code == 303
    assert flagged(served, "拳头") == "mark"
    for name in ("", "..", "../threats", "a/b/c", "a b", "x.txt", "<b>"):
        assert owner.get(f"{PLACE}/words", params={"category": name}).status_code == 400
        bad = {"category": name, "seen": "", "text": "kill"}
        assert owner.post(f"{PLACE}/phrases", data=bad).status_code == 400


def test_a_long_list_is_searched_and_comes_in_pages(served: Served, owner: httpx.Client) -> None:
    text = "".join(f"phrase {number}\n" for number in range(3000))
    moderation.write_word_list(served.workspace, "spam", text)
    place = f"{PLACE}/words/spam"
    page = owner.get(place)
    assert (
        len(page.content) < 60_000 and "phrase 49<" in page.text and "phrase 50<" not in page.text
    )
    (following,) = re.findall(r'rel="next" href="([^"]+)"', page.text)
    assert "phrase 50<" in owner.get(following).text
    found = owner.get(place, params={"q": "PHRASE 2999"}).text
    assert "phrase 2999" in found and "phrase 1<" not in found
    assert "No phrase of the list matches" in owner.get(place, params={"q": "none"}).text
    moderation.write_word_list(served.workspace, "long", "字" * 100 + "\n" + text * 3)
    for reply in (
        owner.get(f"{PLACE}/words/long?view=text"),
        owner.post(f"{PLACE}/lists", data={"category": "long", "text": "字" * 40_000}),
    ):
        assert reply.status_code == 400 and "too long" in reply.text
    assert 'value="phrase 1499"' in owner.get(place, params={"edit": "1500"}).text


def test_what_cannot_be_read_is_told_and_can_be_mended(served: Served, owner: httpx.Client) -> None:
    folder = served.workspace.root / "moderation"
    assert flagged(served, "kill you") == "mark"
    (folder / "words" / "threats.txt").write_text("x\nkill you\n", encoding="utf-8")
    (folder / "rules.toml").write_text("input =", encoding="utf-8")
    page = owner.get(PLACE).text
    assert "cannot be read; what was read before stays in force" in page
    assert str(served.workspace.root) not in page
    assert flagged(served, "kill you") == "mark"
    gone = {"category": "threats", "seen": seen(owner, f"{PLACE}/words/threats"), "line": "1"}
    assert owner.post(f"{PLACE}/phrases/delete", data=gone).status_code == 303
    assert owner.post(f"{PLACE}/rules", data=rule_form(owner)).status_code == 303
    assert "cannot be read" not in owner.get(PLACE).text


def test_a_workspace_without_moderation_says_what_to_do(
    served: Served, signed_in: SignedIn
) -> None:
    for language, says in (("en", "No list yet"), ("zh", "还没有词表")):
        page = signed_in(served.url, served.secrets["owner"], language).get(PLACE).text
        assert says in page and "flywheel moderation train" in page


def test_in_a_browser_a_text_is_judged_where_it_was_typed(
    served: Served, owner: httpx.Client, visitor: Callable[..., Visitor]
) -> None:
    visiting = visitor(served.url, served.secrets["owner"], language="zh")
    page = visiting.go(PLACE)
    page.fill("#try-text", "你这个白 痴")
    page.press("#try-text", "Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tried mark")
    assert page.text_content("#tried mark") == "白 痴"
    page.select_option("#all-input", "refuse")
    page.click("form[action$=rules] button[type=button]")
    page.wait_for_selector("#effects:not(:empty)")
    page.click("form[action$=rules] button[type=submit]")
    page.wait_for_url("**/settings/moderation?done=rules")
    assert "规则已保存" in (page.text_content("main") or "")
    assert flagged(served, "白痴") == "refuse"
    assert visiting.complaints == []

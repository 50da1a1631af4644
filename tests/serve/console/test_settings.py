"""Owners let people in, see what is set and what was done; nobody else does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import httpx
import pytest
from sqlalchemy import update

import flywheel
from flywheel.engine.settings import EngineSettings
from flywheel.serve.auth import CSRF_HEADER
from flywheel.serve.console.words import PageLanguage, Words, catalogue
from flywheel.store import audit as audit_store
from flywheel.store.audit import Act
from flywheel.store.jobs import JobKind
from flywheel.store.tables import keys as key_table
from flywheel.wheel import keys
from flywheel.wheel.review.decisions import Decision
from flywheel.wheel.settings import Settings, StoreSettings

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import SignedIn, Visitor

SECRET = re.compile(r"fw-[\w-]{43}")


@pytest.fixture
def owner(served: Served, signed_in: SignedIn) -> httpx.Client:
    """A browser that signed in as the owner."""
    return signed_in(served.url, served.secrets["owner"])


def made(served: Served) -> list[str]:
    return [each.name for each in keys.list_keys(served.workspace.database)]


def key_of(served: Served, name: str) -> str:
    (found,) = (e.id for e in keys.list_keys(served.workspace.database) if e.name == name)
    return found


PATHS = (
    "/settings",
    "/settings/workspace",
    "/settings/moderation",
    "/settings/moderation/words/threats",
    "/settings/moderation/effects",
    "/settings/audit",
    "/settings/audit.jsonl",
    "/settings/about",
    "/settings/about/checks",
)


def test_nobody_but_owners_sees_or_changes_settings(served: Served, signed_in: SignedIn) -> None:
    curator = signed_in(served.url, served.secrets["curator"])
    for path in PATHS:
        assert curator.get(path).status_code == 403, path
    for path in ("keys", "keys/0123456789ab/revoke"):
        assert curator.post(f"/settings/{path}", data={}).status_code == 403, path
    for path in ("rules", "reset", "try", "effects", "phrases", "phrases/delete", "lists"):
        assert curator.post(f"/settings/moderation/{path}", data={}).status_code == 403, path
    assert len(made(served)) == 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_is_there_in_both_languages(
    served: Served, signed_in: SignedIn, language: PageLanguage
) -> None:
    client = signed_in(served.url, served.secrets["owner"], language)
    for path in PATHS:
        reply = client.get(path)
        assert reply.status_code == 200, path
        assert reply.headers["Cache-Control"] == "no-store"
        assert len(reply.content) < 60_000
    about = client.get("/settings/about").text
    assert flywheel_version() in about and "0BSD" in about and f"{served.url}/v1" in about
    assert Words(language)("settings.about.question") in about


def flywheel_version() -> str:
    from importlib.metadata import version

    return version("flywheel-assistant")


def test_a_key_is_shown_once_with_how_to_use_it(served: Served, owner: httpx.Client) -> None:
    form = {
        "name": " Anna 安娜 ",
        "role": "curator",
        "label": ["staff"],
        "others": "board， stuff",
        "days": "30",
    }
    reply = owner.post("/settings/keys", data=form)
    assert (reply.status_code, reply.headers["Cache-Control"]) == (200, "no-store")
    (secret,) = SECRET.findall(reply.text)
    assert f"{served.url}/signin" in reply.text and f'base_url="{served.url}/v1"' in reply.text
    # Labels that no document carries are a slip of the pen.
    assert "“board”" in reply.text and "“stuff”" in reply.text and "“staff”" not in reply.text
    found = keys.caller_of(served.workspace.database, secret)
    assert found is not None
    assert (found.name, found.role) == ("Anna 安娜", "curator")
    assert found.access == ("board", "public", "staff", "stuff")
    assert owner.get("/settings/keys").headers["Location"] == "/settings"
    for path in ("/settings", "/settings/audit"):
        page = owner.get(path).text
        assert "Anna 安娜" in page and not SECRET.search(page)
    assert '<input type="checkbox" name="label" value="staff">' in owner.get("/settings").text


WRONG_KEYS: list[tuple[dict[str, str], str]] = [
    ({"name": "  "}, "visible characters"),
    ({"name": "a\x07b"}, "visible characters"),
    ({"name": "x" * 101}, "visible characters"),
    ({"name": "bo", "others": "a\u202eb"}, "A label is"),
    ({"name": "bo", "others": ",".join(map(str, range(120)))}, "A label is"),
    ({"name": "bo", "role": "admin"}, "role"),
    ({"name": "bo", "days": "31"}, "days"),
    ({"name": "bo", "user": "ines"}, "user"),
]


def test_a_form_that_makes_no_key_says_why_and_keeps_what_was_typed(
    served: Served, owner: httpx.Client
) -> None:
    for form, says in WRONG_KEYS:
        reply = owner.post("/settings/keys", data=form)
        assert reply.status_code == 400, form
        assert says in reply.text and not SECRET.search(reply.text), form
        if "others" in form:
            assert f'value="{form["others"]}"' in reply.text
    assert len(made(served)) == 3


def test_an_owner_with_labels_gives_no_more_than_he_has(
    served: Served, signed_in: SignedIn
) -> None:
    boss = signed_in(served.url, served.key("owner", "boss", "staff"))
    refused = boss.post("/settings/keys", data={"name": "bo", "others": "board"})
    assert refused.status_code == 400 and "no more than you may read" in refused.text
    assert "bo" not in made(served)
    # Without a label his owner reads what is public, and not everything.
    reply = boss.post("/settings/keys", data={"name": "deputy", "role": "owner"})
    found = keys.caller_of(served.workspace.database, SECRET.findall(reply.text)[0])
    assert found is not None and found.access == ("public",)


def test_a_key_is_revoked_once_it_is_confirmed(served: Served, owner: httpx.Client) -> None:
    asker = key_of(served, "the asker")
    asked = owner.get(f"/settings/keys/{asker}")
    assert "the asker" in asked.text and "signed out" in asked.text
    assert f'href="/settings/keys/{asker}"' in owner.get("/settings").text
    reply = owner.post(f"/settings/keys/{asker}/revoke")
    assert reply.headers["Location"] == "/settings?done=revoked"
    with served.client("asker") as client:
        assert client.get("/me").status_code == 401
    assert "The key is revoked" in owner.get("/settings?done=revoked").text
    assert asker not in owner.get("/settings").text
    assert asker in owner.get("/settings?ended=1").text
    again = owner.post(f"/settings/keys/{asker}/revoke")
    assert again.status_code == 409 and "revoked already" in again.text
    for id in ("0123456789ab", "none", "'--"):
        assert owner.get(f"/settings/keys/{id}").status_code == 404
        assert owner.post(f"/settings/keys/{id}/revoke").status_code == 404


def test_a_form_without_the_sessions_token_revokes_nothing(
    served: Served, owner: httpx.Client
) -> None:
    token, asker = owner.headers.pop(CSRF_HEADER), key_of(served, "the asker")
    assert owner.post(f"/settings/keys/{asker}/revoke").status_code == 403
    reply = owner.post(f"/settings/keys/{asker}/revoke", data={"csrf": token})
    assert reply.status_code == 303


def test_the_last_owner_keeps_his_key_and_who_revokes_his_own_is_signed_out(
    served: Served, owner: httpx.Client, signed_in: SignedIn
) -> None:
    own = key_of(served, "the owner")
    page = owner.get(f"/settings/keys/{own}").text
    assert "last valid key" in page and f"/settings/keys/{own}/revoke" not in page
    refused = owner.post(f"/settings/keys/{own}/revoke")
    assert refused.status_code == 409 and "last valid key" in refused.text
    other = signed_in(served.url, served.key("owner", "deputy"))
    assert "you will be signed out" in owner.get(f"/settings/keys/{own}").text
    assert "you will be signed out" not in other.get(f"/settings/keys/{own}").text
    assert owner.post(f"/settings/keys/{own}/revoke").headers["Location"] == "/signin"
    assert owner.get("/settings").headers["Location"].startswith("/signin")
    assert other.get("/settings").status_code == 200


def test_keys_come_in_pages_and_those_of_erased_users_without_a_name(
    served: Served, owner: httpx.Client
) -> None:
    database = served.workspace.database
    for number in range(60):
        keys.add(database, f"user {number}", "asker")
    erased = key_of(served, "user 59")
    change = update(key_table).where(key_table.c.id == erased).values(name="")
    database.write(lambda conn: conn.execute(change).close())
    first = owner.get("/settings").text
    assert len(first.encode()) < 60_000
    assert "erased user" in first and "user 58" in first and "user 3<" not in first
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = owner.get(following.replace("&amp;", "&")).text
    assert "user 3<" in second and "user 58" not in second and 'rel="next"' not in second


def test_settings_are_shown_with_what_they_mean_and_no_secret(
    serve: Callable[[str], Served], signed_in: SignedIn
) -> None:
    served = serve('[serve]\nconcurrent = 77\n[privacy]\nmask_documents = ["email"]\n')
    workspace = served.workspace
    workspace.settings = workspace.settings.model_copy(
        update={
            "store": StoreSettings(url="postgresql+psycopg://fw:s3cr/et@db/flywheel"),
            "engine": EngineSettings(url="https://gpu/v1?api_key=s3cr", model="m"),
        }
    )
    page = signed_in(served.url, served.secrets["owner"]).get("/settings/workspace").text
    assert "s3cr" not in page and "fw:***@db/flywheel" in page
    for section, info in Settings.model_fields.items():
        assert f"[{section}]" in page
        for name in getattr(info.annotation, "model_fields", ()):
            assert f"<code>{name}</code>" in page
    assert "77" in page and "1 changed" in page and "Kinds to replace before indexing" in page
    assert str(workspace.root) not in page
    zh = signed_in(served.url, served.secrets["owner"], "zh").get("/settings/workspace").text
    assert "建立索引前要替换的类别" in zh and "Kinds to replace" not in zh


def test_every_setting_means_in_english_what_flywheel_toml_says_and_something_in_chinese() -> None:
    english, chinese = catalogue("en"), catalogue("zh")
    for section, info in Settings.model_fields.items():
        model = info.annotation
        assert model is not None
        assert english[f"settings.stage.{section}"] == one_line(model.__doc__)
        for kind in ("section", "counts", "stage"):
            assert f"settings.{kind}.{section}" in chinese
        for name, field in getattr(model, "model_fields", {}).items():
            key = f"settings.meaning.{section}.{name}"
            assert english[key] == one_line(field.description), key
            assert re.search("[\u4e00-\u9fff]", chinese[key]), key


def one_line(text: str | None) -> str:
    """Without examples in Chinese, which have no place among English words."""
    return re.sub(r' or "[\u4e00-\u9fff]+"', "", " ".join((text or "").split()))


def act(number: int, user: str = "Inés", action: str = "corrections.confirm") -> Act:
    return Act(
        at=f"2026-03-01T08:00:{number % 60:02d}.000+00:00",
        user=user,
        role="curator",
        action=action,
        target=f"target-{number}",
    )


def record(served: Served, *acts: Act) -> None:
    for each in acts:
        served.workspace.database.write(lambda conn, each=each: audit_store.put(conn, each))  # type: ignore[misc]


def test_the_audit_log_tells_in_words_and_is_filtered(served: Served, signed_in: SignedIn) -> None:
    record(
        served,
        act(1),
        act(2, user="<b>伊内斯</b>"),
        act(3, action="versions.promote"),
        act(4, action="newer.than_words"),
        act(5, user="", action="keys.add"),
    )
    owner = signed_in(served.url, served.secrets["owner"])
    page = owner.get("/settings/audit").text
    assert "confirmed a correction" in page and "promoted a version" in page
    assert "newer.than_words" in page and "erased user" in page
    assert "<b>伊内斯" not in page and "&lt;b&gt;伊内斯&lt;/b&gt;" in page
    assert "the owner" in page  # whose key was used to sign in

    def targets(**query: str) -> list[str]:
        shown = owner.get("/settings/audit", params=query).text
        return re.findall(r"target-\d", shown)

    assert targets(who="=Inés") == ["target-4", "target-3", "target-1"]
    assert targets(who="=") == ["target-5"]
    assert targets(who="=Inés", action="versions.promote") == ["target-3"]
    assert targets(action="newer.than_words") == ["target-4"]
    nothing = owner.get("/settings/audit", params={"who": "=nobody"})
    assert "Nothing of this kind was done" in nothing.text
    zh = signed_in(served.url, served.secrets["owner"], "zh").get("/settings/audit").text
    assert "确认更正" in zh and "newer.than_words" in zh


def test_the_audit_log_is_paged_and_exported(served: Served, owner: httpx.Client) -> None:
    record(served, *(act(number) for number in range(120)))
    told: list[str] = []
    place: str | None = "/settings/audit?who=%3DIn%C3%A9s"
    while place:
        page = owner.get(place).text
        told += re.findall(r"<code>target-(\d+)</code>", page)
        following = re.findall(r'rel="next" href="([^"]+)"', page)
        place = following[0].replace("&amp;", "&") if following else None
    assert told == [str(number) for number in range(119, -1, -1)]
    export = owner.get("/settings/audit.jsonl", params={"who": "=Inés"})
    assert export.headers["Content-Type"] == "application/x-ndjson"
    assert "attachment" in export.headers["Content-Disposition"]
    lines = [json.loads(line) for line in export.text.splitlines()]
    assert [each["target"] for each in lines] == [f"target-{n}" for n in range(119, -1, -1)]
    everything = owner.get("/settings/audit.jsonl").text.splitlines()
    assert {json.loads(line)["action"] for line in everything[120:]} == {
        "keys.add",
        "sessions.start",
    }
    for wrong in ({"before": "x"}, {"before": "-1"}, {"before": str(2**31)}):
        assert owner.get("/settings/audit", params=wrong).status_code == 400


def test_every_act_that_is_recorded_has_words() -> None:
    source = Path(flywheel.__file__).parent
    calls = re.compile(
        r'(?:record\((?:[^()"]|\([^()]*\))*?|_ACTION|ACTION)\s*[,=]?\s*f?"([a-z_]+\.[a-z_{}.]+)"'
    )
    found = {
        action
        for file in source.rglob("*.py")
        for action in calls.findall(file.read_text(encoding="utf-8"))
        if "{" not in action
    }
    assert {"keys.add", "versions.promote", "moderation.words", "moderation.rules"} <= found
    found |= {f"jobs.{kind}" for kind in get_args(JobKind)}
    found |= {f"review.{decision}" for decision in get_args(Decision)}
    assert {action for action in found if f"settings.act.{action}" not in catalogue("en")} == set()


def test_the_machines_state_is_told_without_where_it_lies(
    served: Served, owner: httpx.Client
) -> None:
    part = owner.get("/settings/about/checks").text
    assert "flywheel.toml is read" in part and "keys: " in part and "<html" not in part
    assert str(served.workspace.root) not in part


def test_htmx_is_told_with_the_version_that_is_served() -> None:
    from flywheel.serve.console.settings.workspace import VENDORED

    vendored = Path(flywheel.serve.console.__file__).parent / "vendored"
    (name, version, licence) = VENDORED[0]
    assert f'version:"{version}"' in (vendored / f"{name}.min.js").read_text(encoding="utf-8")
    assert licence == "0BSD" and "Zero-Clause BSD" in (vendored / "htmx.LICENSE").read_text("utf-8")
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["license"] == "Apache-2.0"


def test_in_a_browser_a_key_is_made_and_copied_and_gone_once_the_page_is_left(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    visiting = visitor(served.url, served.secrets["owner"])
    page: Page = visiting.go("/settings")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.fill("#key-name", "Anna 安娜")
    page.press("#key-name", "Enter")
    secret = page.text_content("#secret") or ""
    assert SECRET.fullmatch(secret)
    page.click("[data-copies=secret]")
    page.wait_for_function("document.querySelector('[data-copies] span').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert secret not in page.content()
    page.click("main .button.primary")
    page.wait_for_url(served.url + "/settings")
    assert visiting.complaints == []

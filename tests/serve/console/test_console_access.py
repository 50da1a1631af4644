"""Nothing of a document shows on any page to somebody who may not read it, whoever he is.

Words that stand nowhere else are planted in documents with a label and in all that was asked and
said about them. Then everything that the console shows is asked for by people without that label,
with the addresses that somebody has who may read it all.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import Column, Connection, select
from tests.serve.conftest import serving

from flywheel.records import Role
from flywheel.serve.app import CONSOLE, create_app
from flywheel.serve.auth import CSRF_HEADER
from flywheel.store import documents, exam_items, tables
from flywheel.store import jobs as job_store
from flywheel.store.exam_items import ExamItem
from flywheel.wheel import ingest, keys, sight, stages, versions
from flywheel.wheel import jobs as wheel_jobs
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.keys import Caller
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import Workspace

SETTINGS = """
[serve]
requests_per_minute = 100000000
"""
LABEL = "board"

PUBLIC_DOCUMENTS = {
    "doors.md": "# Doors\n\nEvery door opens from inside by pulling the handle twice.\n",
    "车窗.md": "# 车窗\n\n儿童锁在后车门的边缘。用钥匙转动它即可锁上。\n",
    "tyres.md": "# Tyres\n\nThe tyre pressure is 2.4 bar in front and 2.6 bar at the rear.\n",
}
HIDDEN_DOCUMENTS = {
    "qfileword.md": """# Pay qtitleword

## Wages qheadword

The workshop pays its apprentices nine hundred qcoinword a month in every season.

Bonuses of qbonusword are paid in December to everybody who stayed for a year.
""",
    "薪酬鑫鑫.md": """# 薪酬淼淼

学徒每月的薪酬是九百枚焱焱币。

年终奖垚垚元在十二月发放给所有员工。
""",
    "qdroppedword.bin": "\x00\x01\x02",
}
WORDS = re.compile(r"q[a-z]{2,12}word|鑫鑫|淼淼|焱焱|垚垚|犇犇", re.IGNORECASE)
"""What is planted. Whoever sees one of them sees something that is hidden from him."""

HREF = re.compile(r'(?:href|src|srcset|hx-get|action)="([^"#]+)')
ROLES: tuple[Role, ...] = ("asker", "curator", "owner")


@dataclass(kw_only=True)
class World:
    """A server with what is hidden, and what somebody may know of it by its name."""

    url: str
    workspace: Workspace
    ids: dict[str, list[str]]
    """What may stand in the place of a parameter of a path or of a query, by its kind."""
    hidden: dict[str, list[str]]
    """Those of them that are of what is hidden."""
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    def client(self, name: str, role: Role, *access: str) -> httpx.Client:
        """A browser of somebody's, signed in."""
        if name not in self.clients:
            secret = keys.add(self.workspace.database, name, role, access or None).secret
            client = httpx.Client(
                base_url=self.url, headers={"Origin": self.url}, timeout=60, trust_env=False
            )
            assert client.post("/signin", data={"key": secret}).status_code == 303
            client.headers[CSRF_HEADER] = client.get("/v1/me").json()["csrf"]
            self.clients[name] = client
        return self.clients[name]


def ask(client: httpx.Client, question: str, n: int = 1) -> dict[str, Any]:
    reply = client.post(
        "/v1/chat/completions",
        json={"model": "flywheel", "n": n, "messages": [{"role": "user", "content": question}]},
    )
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def say(client: httpx.Client, **act: Any) -> None:
    assert client.post("/v1/feedback", json=act).status_code < 300


def spoken_of(world: World) -> None:
    """Lets people who may read everything ask and say all that can be said of what is hidden."""
    ada = world.client("ada", "asker", LABEL)
    bo, ines = world.client("bo", "asker", LABEL), world.client("ines", "curator", LABEL)
    olaf = world.client("olaf", "owner")
    english = "What does the workshop pay its apprentices in qasked1word?"
    chinese = "犇犇学徒每月的薪酬是多少？"
    pay, bonus = "nine hundred qcoinword a month", "Bonuses of qbonusword are paid in December"
    for client in (ada, bo, ines, olaf):
        for question in (english, chinese, "Who is paid bonuses of qbonusword, qasked2word?"):
            told = ask(client, question, n=2)
            interaction = told["flywheel"]["interaction"]
            for act in ("up", "bookmark"):
                say(client, kind=act, interaction=interaction, candidate=0)
            say(client, kind="flag", interaction=interaction, candidate=0,
                reason="wrong: qreasonword")  # fmt: skip
    ask(ada, "Where sleeps the qlostword of the moon?")
    interaction = ask(ada, english)["flywheel"]["interaction"]
    say(ada, kind="edit", interaction=interaction, candidate=0, answer="It is qadaword.",
        evidence=[pay])  # fmt: skip
    say(ines, kind="edit", question=english, answer="It is qinesword.", evidence=[pay])
    say(olaf, kind="edit", question=english, answer="It is qolafword.", evidence=[pay])
    say(ines, kind="edit", question="Qconfirmedword or what is paid?", answer="A qbonusword.",
        evidence=[bonus])  # fmt: skip
    ask(ada, "Qconfirmedword or what is paid?")
    for number in range(25):
        say(
            bo,
            kind="down",
            question=f"Qburst{'abcde'[number % 5]}word {number}?",
            answer="Qoldword.",
        )
    form: dict[str, Any] = {
        "question": "What are the wages, qexamword?",
        "answer": "Qgoldword.",
        "tags": "qtagword",
        "evidence": pay,
    }
    assert olaf.post("/exam/questions", data=form).status_code == 303
    form |= {"question": "Which door opens?", "answer": "Every door.", "tags": "doors",
             "evidence": ["Every door opens from inside by pulling the handle twice."]}  # fmt: skip
    assert olaf.post("/exam/questions", data=form).status_code == 303
    items = [
        ExamItem(id=f"drawn{number}", question="What is paid, qdrawnword?", user="ada",
                 interaction=interaction, at="2026-01-01T00:00:00.000+00:00")
        for number in range(2)
    ]  # fmt: skip
    world.workspace.database.write(lambda conn: exam_items.put_all(conn, items))


SHUT = re.compile("shutterling")
"""What stands in a document that anybody may read until it is closed."""


def uploaded(world: World) -> None:
    """A file that an owner sent, and sent anew; and one that is open for now."""
    olaf = world.client("olaf", "owner")
    sent = [
        ("qvaultword.md", "The vault opens at qhourword and closes at noon.", LABEL),
        ("qvaultword.md", "The vault opens at qnextword and closes at noon.", LABEL),
        (
            "blinds.md",
            "The blinds of the canteen are lowered by the shutterling at nine.",
            "public",
        ),
    ]
    for name, text, label in sent:
        files = {"files": (name, f"# {name}\n\n{text}\n".encode())}
        reply = olaf.post("/v1/documents", files=files, data={"access": label})
        assert reply.status_code < 300, reply.text
        done(world)


def done(world: World) -> None:
    """Does what the worker has to do."""

    def begin(conn: Connection) -> job_store.Job | None:
        id = job_store.next_queued(conn)
        return None if id is None else job_store.start(conn, id, wheel_jobs.now())

    while job := world.workspace.database.write(begin):
        wheel_jobs.run_job(world.workspace.root, job.id)


def known(world: World) -> dict[str, list[str]]:
    """Every id that there is, by the names of the parameters in whose place it may stand."""
    with world.workspace.database.read() as conn:

        def of(column: Column[Any]) -> list[str]:
            return [str(each) for each in conn.scalars(select(column))]

        interactions, staged = of(tables.interactions.c.id), of(tables.documents.c.id)
        passages, acts = of(tables.passages.c.id), of(tables.feedback.c.id)
        jobs, numbers = of(tables.jobs.c.id), of(tables.versions.c.number)
        sources = sorted(set(of(tables.documents.c.source)))
        exam = of(tables.exam_rows.c.question)
        key_ids = of(tables.keys.c.id)
    return {
        "interactions": interactions, "documents": staged, "passages": passages, "acts": acts,
        "jobs": jobs, "versions": numbers, "sources": sources, "exam": sorted(set(exam)),
        "keys": key_ids,
    }  # fmt: skip


def hidden(world: World) -> dict[str, list[str]]:
    """The ids of what those who read only what is public may know nothing of."""
    narrow = Caller(key="k", name="nobody", role="curator", access=("public",))
    workspace = world.workspace
    with workspace.database.read() as conn:
        staged = [each for each in documents.list_documents(conn) if LABEL in each.access]
    return {
        "interactions": [
            id for id in world.ids["interactions"] if not sight.interaction(workspace, id, narrow)
        ],
        "documents": [each.id for each in staged],
        "sources": sorted({each.source for each in staged}),
        "jobs": [
            id for id in world.ids["jobs"] if not wheel_jobs.get(workspace, id, narrow.access)
        ],
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Asked, said, learned from, and served."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "NUM_TRAINING_QUESTIONS", 80)
        with made(tmp_path_factory.mktemp("console-access")) as found:
            yield found


@contextmanager
def made(place: Path) -> Iterator[World]:
    for folder, files in (("open", PUBLIC_DOCUMENTS), ("qfolderword", HIDDEN_DOCUMENTS)):
        (place / folder).mkdir()
        for name, text in files.items():
            (place / folder / name).write_text(text, encoding="utf-8")
    root = place / "workspace"
    Workspace.init(root).close()
    (root / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")
    with Workspace.open(root) as workspace:
        ingest.add(workspace, [str(place / "open")])
        ingest.add(workspace, [str(place / "qfolderword")], access=[LABEL])
        turn(workspace)
        with serving(create_app(workspace)) as url:
            world = World(url=url, workspace=workspace, ids={}, hidden={})
            uploaded(world)
            spoken_of(world)
            turned = turn(workspace)
            if turned.champion != turned.version:
                versions.promote(workspace, turned.version, "olaf", "It holds more.")
            spoken_of_again(world)
            world.ids = known(world)
            world.hidden = hidden(world)
            yield world
            for each in world.clients.values():
                each.close()


def spoken_of_again(world: World) -> None:
    """After the second version, so that something waits again."""
    ada = world.client("ada", "asker", LABEL)
    ask(ada, "What are bonuses of qbonusword, qlastword?")
    say(ada, kind="edit", question="A qsuggestedword?", answer="Qwaitsword.",
        evidence=["nine hundred qcoinword a month"])  # fmt: skip


def routes(router: APIRouter) -> Iterator[tuple[str, str]]:
    """Methods and paths, those of routers within it, too."""
    for each in router.routes:
        inner = getattr(each, "original_router", None)
        if inner is not None:
            yield from routes(inner)
        else:
            yield from ((method, each.path) for method in each.methods)  # type: ignore[attr-defined]


GETS = sorted(
    {path for module in CONSOLE for method, path in routes(module.router) if method == "GET"}
)

QUERIES: Mapping[str, tuple[dict[str, str], ...]] = {
    "/ask": ({"q": "x"},),
    "/ask/history": ({"q": "q"}, {"only": "bookmarked"}),
    "/review": tuple({"only": each} for each in ("flagged", "suggested", "exam", "quarantine")),
    "/documents": ({"q": "word"}, {"fate": "superseded"}, {"fate": "failed"}, {"label": LABEL}),
    "/exam/hardest": ({"version": "1"}, {"tag": "qtag" + "word"}),
    "/exam/near": (
        {"question": "What are the wages?"},
        {"question": "What does the workshop pay?"},
    ),
    "/exam/passages": ({"find": "workshop pays apprentices"}, {"find": "薪酬"}),
    "/review/passages": ({"find": "workshop pays apprentices"}, {"find": "薪酬"}),
    "/exam/questions": ({"q": "wages"},),
    "/wheel/compare": ({"a": "1", "b": "2"},),
    "/wheel/compare/figures": ({"a": "1", "b": "2"},),
    "/wheel/compare/picture.svg": ({"a": "1", "b": "2"},),
    "/wheel/learning/picture.svg": ({"metric": "evidence_mrr"},),
    "/settings": ({"ended": "1"},),
}


def addresses(world: World) -> Iterator[tuple[str, dict[str, str]]]:
    """Every page with every id that could stand in its address."""
    ids = world.ids
    of_path = {
        "/ask/": ids["interactions"],
        "/passages/": ids["passages"],
        "/documents/jobs/": ids["jobs"],
        "/documents/report/": [
            "fates",
            "reasons",
            "languages",
            "copies",
            "lengths_en",
            "lengths_zh",
        ],
        "/documents/": ids["documents"],
        "/exam/": ids["exam"],
        "/wheel/versions/": ids["versions"],
        "/settings/keys/": ids["keys"],
        "/settings/moderation/": ["insults"],
        "/static/": [],
    }
    for path in GETS:
        for query in ({}, *QUERIES.get(path, ())):
            if "{" not in path:
                yield path, query
        if "{" in path:
            known_ids = next(of_path[each] for each in of_path if path.startswith(each))
            for id in known_ids:
                named = path.replace("{place}", "0")
                yield re.sub(r"\{\w+\}", quote(id, safe=""), named), {}
    of_review = {
        ("flagged", "abstained", "unsure"): ids["interactions"],
        ("disputed", "evidence", "suggested", "quarantine"): ids["acts"][::2],
        ("exam",): ["drawn0"],
    }
    for kinds, its_ids in of_review.items():
        for kind, id in itertools.product(kinds, its_ids):
            yield "/review", {"kind": kind, "item": id}
            if kind in ("flagged", "exam"):
                yield "/review/suggestion", {"kind": kind, "item": id}
                yield "/review/watch", {"kind": kind, "item": id, "seen": "x"}
    for id, of in zip(itertools.cycle(ids["passages"]), ids["interactions"], strict=False):
        yield f"/passages/{id}", {"of": of}
    for id in ids["interactions"]:
        yield "/ask", {"after": id}
    for id in ids["documents"]:
        yield f"/documents/{id}/difference", {"served": "true"}
        yield "/documents", {"after": id}
    for id in ids["jobs"]:
        yield "/documents/add", {"job": id}
        yield "/wheel/turns", {"after": id}
    for source in ids["sources"]:
        yield "/documents", {"source": source}
    for id in ids["exam"]:
        yield "/exam/near", {"question": "What are the wages?", "key": id}


def shows(reply: httpx.Response, sent: str = "", words: re.Pattern[str] = WORDS) -> set[str]:
    """The planted words of a reply that whoever asked did not send himself."""
    headers = "\n".join(f"{name}: {value}" for name, value in reply.headers.items())
    text = unescape(reply.text) + headers + json.dumps(reply.text)
    own = {each.lower() for each in words.findall(sent)}
    return {each.lower() for each in words.findall(text)} - own


def crawled(
    world: World,
    client: httpx.Client,
    *,
    follows: bool = True,
    words: re.Pattern[str] = WORDS,
) -> tuple[int, dict[str, set[str]]]:
    """How many pages were looked at, and what showed on which.

    Args:
        follows: whether every link of every page is looked at, too.
    """
    waiting = [(path, tuple(query.items())) for path, query in addresses(world)]
    seen, leaks, num = set(waiting), dict[str, set[str]](), 0
    for place, (path, query) in enumerate(waiting):
        for headers in ({}, {"HX-Request": "true"})[: 1 + (place % 7 == 0)]:
            reply = client.get(path, params=dict(query) or None, headers=headers)
            num += 1
            assert reply.status_code < 500, (path, query)
            if found := shows(reply, f"{path} {query}", words):
                leaks.setdefault(f"{path} {dict(query)}", set()).update(found)
            if not follows or "html" not in reply.headers.get("content-type", ""):
                continue
            for href in HREF.findall(reply.text):
                further: tuple[str, tuple[tuple[str, str], ...]] = urljoin(path, unescape(href)), ()
                is_new = further not in seen and "theme=dark" not in further[0]
                if is_new and further[0].startswith("/") and not further[0].startswith("/static"):
                    seen.add(further)
                    waiting.append(further)
    return num, leaks


@pytest.mark.parametrize("role", ROLES)
def test_no_page_shows_what_its_reader_may_not_read(world: World, role: Role) -> None:
    num, leaks = crawled(world, world.client(f"narrow {role}", role, "public"))
    assert leaks == {}
    assert num > 300


def test_whoever_may_read_it_all_is_shown_it(world: World) -> None:
    """Else the test above would find nothing because nothing is there."""
    _, shown = crawled(world, world.client("olaf", "owner"), follows=False)
    assert len(set().union(*shown.values())) > 25


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_done_to_what_somebody_may_not_read(world: World, role: Role) -> None:
    client = world.client(f"narrow {role}", role, "public")
    ids, token = world.ids, {"token": "0" * 32}
    hidden = world.hidden
    of_review = {"seen": "x", "decision": "confirmed", "answer": "Mine."}
    sent: list[tuple[str, dict[str, Any]]] = []
    for id in hidden["interactions"]:
        sent += [
            (f"/ask/interactions/{id}/acts", token | {"candidate": 0, "act": "up"}),
            (f"/ask/interactions/{id}/edit", token | {"candidate": 0, "answer": "Mine."}),
            (f"/ask/interactions/{id}/rank", token | {"order": [1, 0]}),
            ("/review/decide", of_review | {"kind": "flagged", "item": id}),
        ]
    for id in ids["acts"]:
        sent.append(("/review/decide", of_review | {"kind": "suggested", "item": id, "chosen": id}))
    for id in hidden["documents"]:
        sent += [(f"/documents/{id}/labels", {"access": "public"}), (f"/documents/{id}/delete", {})]
    for id in hidden["jobs"]:
        sent.append((f"/wheel/jobs/{id}/cancel", {}))
    for source in hidden["sources"]:
        sent.append(("/documents/sources", {"source": source, "access": "public"}))
    acts = keys.acts(world.workspace.database)
    for path, data in sent:
        reply = client.post(path, data=data, headers={"HX-Request": "true"})
        assert 400 <= reply.status_code < 500, (path, data)
        assert not shows(reply, json.dumps(data)), (path, data)
    assert keys.acts(world.workspace.database) == acts


def test_what_is_closed_to_somebody_is_gone_from_every_page_of_his(world: World) -> None:
    nora, olaf = world.client("nora", "owner", "public"), world.client("olaf", "owner")
    told = ask(nora, "Who lowers the blinds of the canteen at nine?", n=2)["flywheel"]
    say(nora, kind="flag", interaction=told["interaction"], candidate=0, reason="wrong")
    world.ids = known(world)
    _, before = crawled(world, nora, follows=False, words=SHUT)
    assert {page.split("/")[1].split(" ")[0] for page in before} >= {
        "ask", "documents", "passages", "review",
    }  # fmt: skip
    with world.workspace.database.read() as conn:
        blinds = next(e for e in documents.list_documents(conn) if e.path == "blinds.md")
    form = {"access": LABEL, "seen": "public"}
    assert olaf.post(f"/documents/{blinds.id}/labels", data=form).status_code == 303
    _, after = crawled(world, nora, follows=False, words=SHUT)
    assert after == {}


def test_of_whoever_was_erased_no_page_shows_a_word(world: World) -> None:
    """Nor do pages that were counted, remembered or drawn before."""
    olaf = world.client("olaf", "owner")
    words = {"qlostword", "qadaword", "qsuggestedword", "qwaitsword", "qlastword"}
    _, before = crawled(world, olaf, follows=False)
    assert words <= set().union(*before.values())
    erase(world.workspace, "user", "ada")
    _, after = crawled(world, olaf, follows=False)
    assert {page: found & words for page, found in after.items() if found & words} == {}

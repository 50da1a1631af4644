"""Whatever stands in documents, questions, answers and reasons is text: none of it is executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sqlalchemy import Connection

from flywheel.records import Answer, Citation, Feedback, Interaction, Kind, Passage
from flywheel.search.wording import wording
from flywheel.serve.console.ask.page import MOST_EXCHANGES
from flywheel.store import documents, interactions
from flywheel.store import feedback as feedback_store

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import Visitor

NUM_CANDIDATES = 200
EACH = 4
"""Candidates of one question."""

CALL = "window.executed=(window.executed||0)+1"
SHAPES = (
    "<script>{call}</script>",
    "<img src=x onerror={call}>",
    "<svg onload={call}>",
    "<svg><script>{call}</script></svg>",
    "<iframe srcdoc='<script>parent.{call}</script>'></iframe>",
    "[press](javascript:{call})",
    "<a href=javascript:{call}>press</a>",
    "<details open ontoggle={call}>",
    "<style>body{{background:url(/stolen)}}</style>",
    "<link rel=stylesheet href=//127.0.0.1:9/x.css>",
    "![x](http://127.0.0.1:9/stolen)",
    "<form action=//127.0.0.1:9><button autofocus onfocus={call}>x</button></form>",
    '"><script>{call}</script>',
    "' onmouseover='{call}",
    "</textarea><script>{call}</script>",
    "</template><img src=x onerror={call}>",
    "{{{{ 7 * 7 }}}}{{% include 'layout.html' %}}",
    "<div hx-get=/v1/me hx-trigger=load hx-on::load={call}>",
    "<meta http-equiv=refresh content='0;url=//127.0.0.1:9'>",
    "<base href=//127.0.0.1:9>",
    "<input data-key=u onfocus={call} autofocus>",
    "<math><mtext><style><img src=x onerror={call}></style></mtext></math>",
    "`<script>{call}</script>`",
    "| a |\n|---|\n| <img src=x onerror={call}> |",
    "&lt;script&gt;{call}&lt;/script&gt;",
)
"""Ways in which text has become markup elsewhere."""


def hostile(number: int) -> str:
    """One of them, which a reader can tell from the others."""
    return f"{number} " + SHAPES[number % len(SHAPES)].format(call=CALL)


def candidate(number: int, document: str) -> Answer:
    """An answer that is hostile in every part that is shown."""
    text = hostile(number)
    passage = Passage(
        id=f"p{number}", document=document, title=text, headings=(text,), text=text,
        language="en", position=0,
    )  # fmt: skip
    cited = Citation(
        document=document, title=text, headings=(text,), passage=passage.id, quote=text,
        start=0, end=len(text),
    )  # fmt: skip
    kinds: tuple[Kind, ...] = ("answer", "answer", "ask_back", "abstain")
    return Answer(
        question=text, answer=text, draft=text, kind=kinds[number % 4], confidence=0.5,
        citations=(cited,), passages=(passage,), choices=(text,) if number % 4 == 2 else (),
        version=1,
    )  # fmt: skip


def interaction(number: int, document: str, user: str) -> Interaction:
    """A question with several candidates."""
    numbers = range(number * EACH, (number + 1) * EACH)
    return Interaction(
        id=f"{number:032x}", question=hostile(number), version=1, user=user,
        candidates=tuple(candidate(each, document) for each in numbers),
        at=f"2026-05-04T09:{number:02d}:00.000+00:00",
    )  # fmt: skip


def flag(number: int, user: str) -> Feedback:
    """What somebody says of it."""
    return Feedback(
        id=f"flag-{number}", kind="flag", user=user, role="asker", question=hostile(number),
        interaction=f"{number:032x}", candidate=0, answer=hostile(number),
        reason=hostile(number + 1), at=f"2026-05-04T10:{number:02d}:00.000+00:00",
    )  # fmt: skip


def quiet(page: Page) -> bool:
    """Whether nothing was executed, and the page is where it was."""
    return page.evaluate("window.executed") is None


def test_two_hundred_hostile_candidates_execute_nothing(
    served: Served, visitor: Callable[..., Visitor]
) -> None:
    user = "the owner"
    with served.workspace.database.read() as conn:
        document = next(iter(documents.list_documents(conn))).id
    given = [interaction(number, document, user) for number in range(NUM_CANDIDATES // EACH)]
    acts = [flag(number, user) for number in range(len(given))]
    put(served, given, acts)
    visiting = visitor(served.url, served.secrets["owner"])
    page = visiting.page
    elsewhere: list[str] = []
    page.on(
        "request", lambda sent: elsewhere.append(sent.url) if visiting.url not in sent.url else None
    )
    page.on("dialog", lambda dialog: dialog.dismiss())
    shown = 0
    for start in range(0, len(given), MOST_EXCHANGES):
        some = given[start : start + MOST_EXCHANGES]
        visiting.go(f"/ask?{urlencode([('after', each.id) for each in some])}")
        shown += page.locator(".candidate").count()
        assert quiet(page), some
        text = page.locator("main").inner_text()
        assert [each for each in some if each.question.partition(" ")[2][:20] not in text] == []
    visiting.go(f"/ask/interactions/{given[0].id}")
    assert quiet(page)
    assert shown == NUM_CANDIDATES
    for path in (
        "/ask",
        "/ask/history",
        "/review",
        "/wheel",
        "/exam",
        "/documents",
        "/settings/audit",
    ):
        visiting.go(path)
        page.wait_for_load_state("networkidle")
        assert quiet(page), path
    assert (visiting.complaints, elsewhere) == ([], [])


def put(served: Served, given: Sequence[Interaction], acts: Sequence[Feedback]) -> None:
    """Keeps them, as if they had been asked and said."""

    def write(conn: Connection) -> None:
        interactions.put_all(conn, [(each, wording(each.question).key) for each in given])
        feedback_store.put_all(conn, acts, {act.id: f"hash {act.id}" for act in acts})

    served.workspace.database.write(write)

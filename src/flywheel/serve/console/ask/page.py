"""The page /ask: a question, its answer as it comes, and the conversation that goes on from there.

With a script the answer streams from `/v1/chat/completions` (static/ask.js); without one the form
is answered with the whole page. The conversation stands in the address, as the interactions that
it consists of. What is said of answers is acts.py's, what was asked before history.py's.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.answer.conversation import standalone
from flywheel.engine.protocol import Sampling
from flywheel.errors import FlywheelError, WorkspaceError
from flywheel.records import Message
from flywheel.serve.answering import Told, tell
from flywheel.serve.console.ask import acts, history, passages
from flywheel.serve.console.ask.exchange import Exchange, exchanges, is_writing
from flywheel.serve.console.page import AskerPage, Page, PageError, PageForm
from flywheel.serve.errors import ApiError, api_error
from flywheel.serve.openai import MAX_QUESTION_CHARS
from flywheel.serve.shapes import MAX_CANDIDATES
from flywheel.serve.streaming import Work
from flywheel.store import versions
from flywheel.wheel.answering import Question
from flywheel.wheel.keys import Caller
from flywheel.wheel.workspace import Workspace

router = APIRouter(include_in_schema=False)
for each in (acts, history, passages):
    router.include_router(each.router)

MOST_EXCHANGES = 8
"""Of a conversation, on one page: as many as a follow-up is understood by."""

NUM_VERSIONS = 6
"""The latest versions are offered to compare with."""

TEMPERATURE = 0.8
"""Where other wordings are drawn."""

Id = Annotated[str, Field(max_length=200)]
After = Annotated[Sequence[Id], Query(max_length=100)]


class AskForm(PageForm):
    """What the page sends without a script."""

    question: str = Field(max_length=4 * MAX_QUESTION_CHARS)
    after: list[Id] = Field(default=[], max_length=100)
    num: int = Field(default=1, ge=1, le=MAX_CANDIDATES)
    beside: list[int] = Field(default=[], max_length=NUM_VERSIONS)
    vary: Literal["", "on"] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparing:
    """What answers can be compared with."""

    versions: tuple[int, ...]
    champion: int | None
    """None where no turn has made a version yet."""
    is_writing: bool
    """Whether a model words the answers, so that other wordings can be drawn."""


@router.get("/ask")
async def show(
    page: AskerPage, after: After = (), q: Annotated[str, Query(max_length=32_000)] = ""
) -> Response:
    """The page, with the conversation that its address names."""
    return await _page(page, after, question=q)


@router.post("/ask")
async def answer(page: AskerPage, form: Annotated[AskForm, Form()]) -> Response:
    """Answers, for a browser without scripts."""
    try:
        told = await _told(page, form)
    except (ApiError, FlywheelError) as error:
        in_full = page.caller.may("owner")
        problem = error if isinstance(error, ApiError) else api_error(error, in_full=in_full)
        return await _page(page, form.after, question=form.question, problem=problem)
    if not told.interaction:
        return await _page(page, form.after, refused=(form.question, told.candidates[0].answer))
    chain = [*form.after, told.interaction][-MOST_EXCHANGES:]
    return page.see(f"/ask?{urlencode([('after', id) for id in chain])}#x-{told.interaction}")


async def _page(
    page: Page,
    after: Sequence[str],
    *,
    question: str = "",
    problem: ApiError | None = None,
    refused: tuple[str, str] | None = None,
) -> Response:
    comparing = await page.run(_comparing, page.workspace, page.caller)
    shown = await page.run(exchanges, page.workspace, after[-MOST_EXCHANGES:], page.caller, page.t)
    before = await page.run(history.listed, page.workspace, page.caller)
    return page.html(
        "ask/index.html",
        status=problem.status if problem else 200,
        headers=problem.headers() if problem else None,
        exchanges=shown,
        history=before,
        comparing=comparing,
        question=question,
        problem=_in_words(page, problem) if problem else "",
        refused=refused,
        most_chars=MAX_QUESTION_CHARS,
        temperature=TEMPERATURE,
        most_candidates=MAX_CANDIDATES,
    )


def _in_words(page: Page, problem: ApiError) -> str:
    if isinstance(problem, PageError):
        return page.t(problem.key, **problem.values)
    key = f"ask.failed.{problem.status}"
    return page.t(key) if page.t.has(key) else problem.message


async def _told(page: Page, form: AskForm) -> Told:
    text = form.question.strip()
    if not text:
        raise PageError(400, "ask.problem.empty")
    if len(text) > MAX_QUESTION_CHARS:
        raise PageError(400, "ask.problem.long", num=MAX_QUESTION_CHARS)
    service, caller = page.service, page.caller
    after = form.after[-MOST_EXCHANGES:]
    before = await page.run(exchanges, page.workspace, after, caller, page.t)
    beside = tuple(dict.fromkeys(form.beside))[: MAX_CANDIDATES - 1]
    num = min(form.num, MAX_CANDIDATES - len(beside))
    question = Question(
        text=standalone(_messages(before, text))[:MAX_QUESTION_CHARS],
        user=caller.name,
        labels=caller.access,
        sampling=Sampling(temperature=TEMPERATURE) if form.vary else None,
    )
    service.limits.take(caller.key, len(beside))
    id = uuid.uuid4().hex
    async with (
        service.limits.admitted(caller.key),
        Work(
            service,
            lambda stopping: tell(service, question, id, num, stopping, beside),
            whole=True,
        ) as work,
    ):
        return await work.result()


def _messages(before: Sequence[Exchange], question: str) -> list[Message]:
    """The conversation as a model is told it."""
    said: list[Message] = []
    for each in before:
        said.append(Message(role="user", content=each.interaction.question))
        said.append(Message(role="assistant", content=each.reply))
    first = before[-1].candidates[0] if before and before[-1].candidates else None
    chosen = dict(first.readings).get(question, question) if first else question
    return [*said, Message(role="user", content=chosen)]


def _comparing(workspace: Workspace, caller: Caller) -> Comparing:
    with workspace.database.read() as conn:
        listed = versions.list_versions(conn)
    numbers = sorted((each.number for each in listed if not each.erased), reverse=True)
    try:
        champion, writes = workspace.champion().number, is_writing(workspace, caller)
    except WorkspaceError:
        champion, writes = None, False
    return Comparing(versions=tuple(numbers[:NUM_VERSIONS]), champion=champion, is_writing=writes)

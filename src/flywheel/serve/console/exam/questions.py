"""The pages below /exam/questions: the exam's own questions, found, added, changed and deleted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.errors import FileFormatError, SourceError
from flywheel.serve.console.exam.hardest import address, require
from flywheel.serve.console.exam.words import tabs
from flywheel.serve.console.page import CuratorPage, Page, PageError, PageForm
from flywheel.store.exam_items import ExamItem
from flywheel.wheel.exam import file as exam_file
from flywheel.wheel.exam import listing as exam_listing
from flywheel.wheel.exam import overview as exam_overview
from flywheel.wheel.exam import questions as exam_questions
from flywheel.wheel.exam.listing import Held, Listing
from flywheel.wheel.exam.questions import Draft, Overtaken, Refused

router = APIRouter(include_in_schema=False)

NUM_ON_A_PAGE = 25
MAX_DRAWN = 50

Key = Annotated[str, Path(max_length=64)]
Text = Annotated[str, Query(max_length=500)]
Language = Annotated[str, Query(pattern="^(en|zh|cross-lingual)?$")]


class QuestionForm(PageForm):
    """A question as a curator writes it."""

    question: str = Field(default="", max_length=5_000)
    answerable: Literal["yes", "no"] = "yes"
    answer: str = Field(default="", max_length=20_000)
    evidence: list[Annotated[str, Field(max_length=20_000)]] = Field(
        default_factory=list, max_length=20
    )
    tags: str = Field(default="", max_length=1_000)
    seen: str = Field(default="", max_length=64)
    """The digest of the line that is changed."""

    def to_draft(self) -> Draft:
        """As the wheel takes it."""
        return Draft(
            question=self.question,
            answer=self.answer,
            evidence=tuple(self.evidence),
            answerable=self.answerable == "yes",
            tags=tuple(self.tags.replace("，", ",").split(",")),
        )


class SeenForm(PageForm):
    """What is to be deleted."""

    seen: str = Field(default="", max_length=64)


@router.get("/exam/questions")
async def show(
    page: CuratorPage,
    q: Text = "",
    language: Language = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    skip: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> Response:
    """The questions, page by page."""
    problem, listing = "", Listing(questions=(), num_hidden=0)
    try:
        listing = await page.run(exam_listing.listing, page.workspace, page.caller.access)
    except FileFormatError as error:
        problem = page.t("exam.problem.line", line=error.line, problem=error.problem)
    except SourceError:
        problem = page.t("exam.problem.file")
    found = [each for each in listing.questions if _fits(each, q, language, tag)]
    chosen: dict[str, str | int] = {"q": q, "language": language, "tag": tag}
    after = skip + NUM_ON_A_PAGE
    drawn = await page.run(exam_listing.drawn, page.workspace)
    return page.html(
        "exam/questions.html",
        tabs=tabs(page),
        listing=listing,
        problem=problem,
        found=found[skip:after],
        num_found=len(found),
        first=skip + 1,
        chosen=chosen,
        tags=sorted({tag for each in listing.questions for tag in each.question.tags}),
        drawn=Counter(each.state for each in drawn),
        waiting=_waiting(page, drawn),
        file=page.workspace.settings.exam.file,
        next_href=address("/exam/questions", chosen | {"skip": after})
        if after < len(found)
        else "",
        first_href=address("/exam/questions", chosen) if skip else "",
    )


@router.get("/exam/questions/new")
async def new(page: CuratorPage, q: Text = "") -> Response:
    """An empty form."""
    return await _form(page, None, QuestionForm(question=q))


@router.post("/exam/questions")
async def add(page: CuratorPage, form: Annotated[QuestionForm, Form()]) -> Response:
    """Adds a question."""
    try:
        held = await page.run(exam_questions.add, page.workspace, form.to_draft(), page.caller)
    except Refused as error:
        return await _form(page, None, form, error)
    return page.see(f"/exam/questions/{held.key}?saved=added")


@router.get("/exam/questions/{key}")
async def change(
    page: CuratorPage, key: Key, saved: Annotated[str, Query(pattern="^(added|changed)?$")] = ""
) -> Response:
    """A question's form, as it stands in the file."""
    held = require(await page.run(exam_listing.find, page.workspace, key, page.caller.access))
    return await _form(page, held, _form_of(held), saved=saved)


@router.post("/exam/questions/{key}")
async def edit(page: CuratorPage, key: Key, form: Annotated[QuestionForm, Form()]) -> Response:
    """Writes a question anew, unless somebody was first."""
    held = await page.run(exam_listing.find, page.workspace, key, page.caller.access)
    try:
        await page.run(
            exam_questions.edit, page.workspace, key, form.to_draft(), form.seen, page.caller
        )
    except Refused as error:
        return await _form(page, require(held), form, error)
    except Overtaken as overtaken:
        return await _form(page, overtaken.held, form, overtaken=overtaken)
    return page.see(f"/exam/questions/{key}?saved=changed")


@router.post("/exam/questions/{key}/delete")
async def delete(page: CuratorPage, key: Key, form: Annotated[SeenForm, Form()]) -> Response:
    """Takes a question out, unless somebody changed it."""
    try:
        await page.run(exam_questions.delete, page.workspace, key, form.seen, page.caller)
    except Overtaken as overtaken:
        if overtaken.held is None:
            raise PageError(404, "exam.problem.not_there") from None
        now = overtaken.held
        return await _form(page, now, _form_of(now), overtaken=overtaken)
    return page.see("/exam/questions")


@router.get("/exam/export.jsonl")
async def export(page: CuratorPage) -> Response:
    """The questions as an exam file: as it lies, and those that were drawn and answered."""
    listing = await page.run(exam_listing.listing, page.workspace, page.caller.access)
    data = (exam_file.data_of(each.question) for each in listing.questions)
    content = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in data)
    headers = {
        "Content-Disposition": 'attachment; filename="exam.jsonl"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type="application/jsonl", headers=headers)


async def _form(
    page: Page,
    held: Held | None,
    form: QuestionForm,
    refused: Refused | None = None,
    overtaken: Overtaken | None = None,
    saved: str = "",
) -> Response:
    """The form of a question, with what is to be said about it."""
    status = 409 if overtaken else 422 if refused else 200
    judging = await page.run(exam_overview.is_turning, page.workspace)
    return page.html(
        "exam/question.html",
        status=status,
        held=held,
        form=form,
        refused=refused,
        overtaken=overtaken,
        saved=saved,
        is_judging=judging,
        seen=held.digest if held else "",
        place=f"/exam/questions/{held.key}" if held else "/exam/questions",
    )


def _form_of(held: Held) -> QuestionForm:
    question = held.question
    return QuestionForm(
        question=question.question,
        answerable="yes" if question.answerable else "no",
        answer=question.answer or "",
        evidence=list(question.evidence),
        tags=", ".join(question.tags),
        seen=held.digest,
    )


def _fits(held: Held, wanted: str, language: str, tag: str) -> bool:
    question = held.question
    if language not in ("", held.language) or (tag and tag not in question.tags):
        return False
    told = "\n".join((question.id, question.question, question.answer or "", *question.evidence))
    return wanted.strip().casefold() in told.casefold()


def _waiting(page: Page, drawn: Sequence[ExamItem]) -> list[ExamItem]:
    """Drawn questions that wait. Who may not read everything is shown them one by one in the
    review, as far as he may read what was answered."""
    waiting = [each for each in drawn if each.state == "waiting"]
    return waiting[:MAX_DRAWN] if page.caller.access is None else []

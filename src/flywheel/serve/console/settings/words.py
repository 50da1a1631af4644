"""/settings/moderation/words: a category's list, phrase by phrase or as the text that it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.moderation.settings import is_category
from flywheel.serve.console.page import OwnerPage, Page, PageError, PageForm
from flywheel.wheel.keys import Caller
from flywheel.wheel.moderation import word_lists
from flywheel.wheel.moderation.rules import Outdated
from flywheel.wheel.moderation.word_lists import Entry, PhraseError, PhraseKind, WordList
from flywheel.wheel.workspace import Workspace

router = APIRouter()

PAGE_SIZE = 50
PLACE = "/settings/moderation/words"
KINDS: tuple[PhraseKind, ...] = ("phrase", "open", "exception")

MAX_TEXT_BYTES = 100_000
"""Of a list that is edited as a text: so that neither the page nor what it sends is too large."""

_Category = Annotated[str, Field(max_length=200)]
_Seen = Annotated[str, Field(max_length=64)]
_Line = Annotated[int, Query(ge=0, lt=10**7)]


class PhraseForm(PageForm):
    """A phrase to add, or to put in the place of another."""

    category: _Category
    seen: _Seen = ""
    text: str = Field(default="", max_length=2_000)
    kind: PhraseKind = "phrase"
    line: int = Field(default=0, ge=0, lt=10**7)
    """Of the one whose place it takes; 0 adds it."""


class LineForm(PageForm):
    """A phrase to take away."""

    category: _Category
    seen: _Seen = ""
    line: int = Field(ge=1, lt=10**7)


class ListForm(PageForm):
    """A whole list, as a text."""

    category: _Category
    seen: _Seen = ""
    text: str = Field(default="", max_length=MAX_TEXT_BYTES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """What an owner tried, where it was not done."""

    text: str = ""
    kind: PhraseKind = "phrase"
    problem: str = ""
    """The name of the text that says why not."""
    line: int = 0
    """Of the list that it is about; 0 for a new phrase."""
    outdated: Outdated | None = None
    """Who was quicker."""


@router.get(PLACE)
async def find(page: OwnerPage, category: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Goes to a category's list, which begins empty."""
    return page.see(f"{PLACE}/{quote(_category(category))}")


@router.get(f"{PLACE}/{{category:path}}")
async def show(
    page: OwnerPage,
    category: str,
    q: Annotated[str, Query(max_length=200)] = "",
    after: _Line = 0,
    edit: _Line = 0,
    view: Annotated[Literal["", "text"], Query()] = "",
    done: Annotated[Literal["", "saved", "deleted"], Query()] = "",
) -> Response:
    """A list: a page of its phrases, or its text."""
    found = await page.run(word_lists.read, page.workspace, _category(category))
    if view:
        _check_size(found.text)
        return _as_text(page, found, Edited(text=found.text))
    return _as_phrases(page, found, Edited(), q=q.strip(), after=after, edit=edit, done=done)


@router.post("/settings/moderation/phrases")
async def put(page: OwnerPage, form: Annotated[PhraseForm, Form()]) -> Response:
    """Adds a phrase, or changes one; it counts from the next text on."""
    tried = Edited(text=form.text, kind=form.kind, line=form.line)

    def changed(found: WordList) -> str:
        return found.with_phrase(form.text, form.kind, form.line)

    return await _change(page, form.category, form.seen, changed, tried, "saved")


@router.post("/settings/moderation/phrases/delete")
async def delete(page: OwnerPage, form: Annotated[LineForm, Form()]) -> Response:
    """Takes a phrase away."""

    def changed(found: WordList) -> str:
        return found.without(form.line)

    return await _change(page, form.category, form.seen, changed, Edited(), "deleted")


@router.post("/settings/moderation/lists")
async def put_list(page: OwnerPage, form: Annotated[ListForm, Form()]) -> Response:
    """Puts a text in the place of a list; an empty one takes the list away."""
    category, text = _category(form.category), form.text.replace("\r\n", "\n")
    _check_size(text)
    try:
        await page.run(
            word_lists.write, page.workspace, category, text, seen=form.seen, by=page.caller
        )
    except PhraseError as error:
        found = await page.run(word_lists.read, page.workspace, category)
        tried = Edited(text=text, problem=error.problem, line=error.line)
        return _as_text(page, found, tried, seen=form.seen, status=400)
    except Outdated as error:
        found = await page.run(word_lists.read, page.workspace, category)
        return _as_text(page, found, Edited(text=text, outdated=error), status=409)
    if not text.strip():
        return page.see("/settings/moderation?done=deleted")
    return page.see(f"{PLACE}/{quote(category)}?done=saved")


async def _change(
    page: Page,
    name: str,
    seen: str,
    changed: Callable[[WordList], str],
    tried: Edited,
    done: str,
) -> Response:
    category = _category(name)
    try:
        await page.run(_write, page.workspace, category, seen, changed, page.caller)
    except PhraseError as error:
        told, status = Edited(text=tried.text, kind=tried.kind, problem=error.problem), 400
    except Outdated as error:
        told, status = Edited(text=tried.text, kind=tried.kind, outdated=error), 409
    else:
        return page.see(f"{PLACE}/{quote(category)}?done={done}")
    found = await page.run(word_lists.read, page.workspace, category)
    return _as_phrases(page, found, told, edit=tried.line if status == 400 else 0, status=status)


def _write(
    workspace: Workspace,
    category: str,
    seen: str,
    changed: Callable[[WordList], str],
    by: Caller,
) -> None:
    found = word_lists.read(workspace, category)
    if found.digest != seen:
        raise word_lists.outdated(workspace, category)
    word_lists.write(workspace, category, changed(found), seen=seen, by=by)


def _as_phrases(
    page: Page,
    found: WordList,
    edited: Edited,
    *,
    q: str = "",
    after: int = 0,
    edit: int = 0,
    done: str = "",
    status: int = 200,
) -> Response:
    wanted = [each for each in found.entries if q.casefold() in each.text.casefold()]
    shown, following = _piece(wanted, after, edit)
    return page.html(
        "settings/words.html",
        status=status,
        found=found,
        shown=shown,
        num_wanted=len(wanted),
        next=following,
        edited=edited,
        kinds=KINDS,
        q=q,
        after=after,
        edit=edit,
        done=done,
        place=f"{PLACE}/{quote(found.category)}",
        tab="moderation",
    )


def _as_text(
    page: Page, found: WordList, edited: Edited, *, seen: str = "", status: int = 200
) -> Response:
    return page.html(
        "settings/list.html",
        status=status,
        found=found,
        seen=seen or found.digest,
        edited=edited,
        place=f"{PLACE}/{quote(found.category)}",
        max_chars=MAX_TEXT_BYTES,
        tab="moderation",
    )


def _piece(entries: list[Entry], after: int, edit: int) -> tuple[list[Entry], int]:
    """Those of a page, and the line behind which the next page begins; 0 where there is none.

    What is being edited is on its page whatever was asked for.
    """
    start = next((at for at, each in enumerate(entries) if each.line > after), len(entries))
    if edit:
        at = next((at for at, each in enumerate(entries) if each.line == edit), start)
        start = at - at % PAGE_SIZE if not start <= at < start + PAGE_SIZE else start
    shown = entries[start : start + PAGE_SIZE]
    is_last = start + PAGE_SIZE >= len(entries)
    return shown, 0 if is_last else shown[-1].line


def _check_size(text: str) -> None:
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise PageError(400, "settings.words.too_long")


def _category(name: str) -> str:
    name = name.strip().lower()
    if not is_category(name):
        raise PageError(400, "settings.words.no_category")
    return name

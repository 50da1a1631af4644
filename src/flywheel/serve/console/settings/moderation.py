"""/settings/moderation: what is done about each category; a text is tried, and rules are, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query
from pydantic import Field
from starlette.responses import Response

from flywheel.errors import FlywheelError
from flywheel.moderation import classifier as classifiers
from flywheel.moderation.settings import (
    ACTIONS,
    Action,
    CategorySettings,
    ModerationSettings,
    is_category,
)
from flywheel.serve.console.page import OwnerPage, Page, PageError, PageForm
from flywheel.wheel.moderation import effects, rules, word_lists
from flywheel.wheel.moderation.effects import Judgement
from flywheel.wheel.moderation.judging import moderation_of
from flywheel.wheel.moderation.rules import Outdated, Rules
from flywheel.wheel.moderation.word_lists import Summary
from flywheel.wheel.workspace import Workspace

router = APIRouter()

MAX_TRIED_CHARS = 20_000

_MAX_CATEGORIES = 1_000
_DONE = ("rules", "reset", "deleted")

_Short = Annotated[str, Field(max_length=200)]
_OwnAction = Literal["", "allow", "mark", "refuse"]
"""Of one category; empty is as for all."""


class RulesForm(PageForm):
    """The rules as they are to be: the categories' are told in columns, in the same order."""

    seen: str = Field(default="", max_length=64)
    input: Action
    output: Action
    threshold: _Short = ""
    mask_personal: Literal["", "on"] = ""
    category: list[_Short] = Field(default=[], max_length=_MAX_CATEGORIES)
    category_input: list[_OwnAction] = Field(default=[], max_length=_MAX_CATEGORIES)
    category_output: list[_OwnAction] = Field(default=[], max_length=_MAX_CATEGORIES)
    category_threshold: list[_Short] = Field(default=[], max_length=_MAX_CATEGORIES)

    def settings(self) -> ModerationSettings:
        """Them, checked.

        Raises:
            PageError: a threshold is none, or a category.
        """
        columns = self.category_input, self.category_output, self.category_threshold
        if any(len(each) != len(self.category) for each in columns):
            raise PageError(400, "settings.moderation.incomplete")
        own = {
            category: CategorySettings(
                input=of_input or None,
                output=of_output or None,
                threshold=_threshold(threshold, category) if threshold.strip() else None,
            )
            for category, of_input, of_output, threshold in zip(
                self.category, *columns, strict=True
            )
            if _checked(category)
        }
        return ModerationSettings(
            input=self.input,
            output=self.output,
            threshold=_threshold(self.threshold, ""),
            mask_personal=bool(self.mask_personal),
            categories={name: each for name, each in own.items() if each != CategorySettings()},
        )


class TryForm(PageForm):
    """A text to judge."""

    text: str = Field(default="", max_length=MAX_TRIED_CHARS)


class ResetForm(PageForm):
    """That flywheel.toml counts again."""

    seen: str = Field(default="", max_length=64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What there is to say of the classifier."""

    at: str
    examples: tuple[tuple[str, int], ...]
    num_flags: int
    num_documents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """What the page shows."""

    rules: Rules
    categories: tuple[str, ...]
    """That have rules of their own, or could."""
    lists: Sequence[Summary]
    trained: Trained | None
    problem: str
    """Why what lies there is not used; empty where it is."""


@router.get("/settings/moderation")
async def show(page: OwnerPage, done: Annotated[str, Query(max_length=40)] = "") -> Response:
    """The rules, the lists, and the classifier's state."""
    return await _shown(page, done=done if done in _DONE else "")


@router.post("/settings/moderation/rules")
async def change(page: OwnerPage, form: Annotated[RulesForm, Form()]) -> Response:
    """Sets the rules, which count from the next text on."""
    settings = form.settings()
    try:
        await page.run(rules.write, page.workspace, settings, seen=form.seen, by=page.caller)
    except Outdated as error:
        return await _shown(page, outdated=error, status=409)
    return page.see("/settings/moderation?done=rules")


@router.post("/settings/moderation/reset")
async def reset(page: OwnerPage, form: Annotated[ResetForm, Form()]) -> Response:
    """Lets the rules of flywheel.toml count again."""
    try:
        await page.run(rules.reset, page.workspace, seen=form.seen, by=page.caller)
    except Outdated as error:
        return await _shown(page, outdated=error, status=409)
    return page.see("/settings/moderation?done=reset")


@router.post("/settings/moderation/try")
async def try_text(page: OwnerPage, form: Annotated[TryForm, Form()]) -> Response:
    """What a text is judged as. Nothing of it is kept."""
    judged = await page.run(effects.judge, page.workspace, form.text)
    if page.wants_fragment:
        return page.fragment("settings/judged.html", judged=judged)
    return await _shown(page, judged=judged, tried=form.text)


@router.get("/settings/moderation/effects")
async def effects_now(page: OwnerPage) -> Response:
    """What the rules do to the questions that were asked last: fetched after the page."""
    settings = (await page.run(rules.in_force_or_default, page.workspace)).settings
    return await _effects(page, settings, is_draft=False)


@router.post("/settings/moderation/effects")
async def effects_of(page: OwnerPage, form: Annotated[RulesForm, Form()]) -> Response:
    """What the rules in the form would do to them. Nothing is changed."""
    return await _effects(page, form.settings(), is_draft=True)


def overview(workspace: Workspace) -> Overview:
    """The state of a workspace's moderation."""
    moderation = moderation_of(workspace)
    moderator = moderation.moderator
    found = rules.in_force_or_default(workspace)
    lists = word_lists.summaries(workspace)
    known = {*moderator.categories, *found.settings.categories, *(each.category for each in lists)}
    return Overview(
        rules=found,
        categories=tuple(sorted(known)),
        lists=lists,
        trained=_trained(workspace),
        problem=moderation.problem.replace(f"{workspace.root}/", ""),
    )


async def _shown(
    page: Page,
    *,
    done: str = "",
    outdated: Outdated | None = None,
    judged: Judgement | None = None,
    tried: str = "",
    status: int = 200,
) -> Response:
    return page.html(
        "settings/moderation.html",
        status=status,
        found=await page.run(overview, page.workspace),
        actions=ACTIONS,
        done=done,
        outdated=outdated,
        judged=judged,
        tried=tried,
        max_chars=MAX_TRIED_CHARS,
        tab="moderation",
    )


async def _effects(page: Page, settings: ModerationSettings, *, is_draft: bool) -> Response:
    told = await page.run(effects.of_rules, page.workspace, settings)
    return page.fragment("settings/effects.html", told=told, is_draft=is_draft)


def _trained(workspace: Workspace) -> Trained | None:
    try:
        about: dict[str, Any] | None = classifiers.read_page(workspace.root / rules.FOLDER)
    except FlywheelError:
        return None
    if about is None:
        return None
    learned = about.get("learned_from", {})
    return Trained(
        at=datetime.fromisoformat(about["trained_at"]).isoformat(),
        examples=tuple(sorted(about.get("examples", {}).items())),
        num_flags=len(learned.get("flags", ())),
        num_documents=len(learned.get("documents", ())),
    )


def _threshold(text: str, category: str) -> float:
    try:
        value = float(text.strip().replace(",", ".")) if len(text) < 50 else 0
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        if category:
            raise PageError(400, "settings.moderation.bad_threshold_of", category=category)
        raise PageError(400, "settings.moderation.bad_threshold")
    return value


def _checked(category: str) -> bool:
    if not is_category(category):
        raise PageError(400, "settings.words.no_category")
    return True

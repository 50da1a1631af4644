"""`[moderation]`: what is done about each category. Apart, so that reading it imports little.

Which categories there are follows from the word lists and from what the classifier was trained on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from flywheel.records import StageSettings

Action = Literal["allow", "mark", "refuse"]
Direction = Literal["input", "output"]

ACTIONS: tuple[Action, ...] = get_args(Action)
"""From the mildest to the strictest."""

CATEGORY = re.compile(r"[^\W_]+(?:-[^\W_]+)*(?:/[^\W_]+(?:-[^\W_]+)*)?")
"""A category's name: words joined by hyphens, and at most one / for a kind within a category. It
is a path to a word list, too, so that nothing else may stand in it."""


class CategorySettings(StageSettings):
    """What is done about one category; what it leaves open is as for all."""

    input: Action | None = None
    output: Action | None = None
    threshold: float | None = Field(default=None, gt=0, le=1)


class ModerationSettings(StageSettings):
    """What is done about questions and answers that word lists (moderation/words/CATEGORY.txt) or
    the classifier (`flywheel moderation train`) take for one of their categories."""

    input: Action = "mark"
    """About a question: "allow" only scores it, "mark" answers it and says what was found,
    "refuse" does not answer it."""
    output: Action = "mark"
    """About an answer: "refuse" does not give it."""
    threshold: float = Field(default=0.7, gt=0, le=1)
    """From which probability on the classifier counts. What a word list finds counts always."""
    mask_personal: bool = False
    """Masks personal data in answers, such as a user's phone number in a correction, but for what
    stands in the passages: a manual's hotline stays."""
    categories: dict[str, CategorySettings] = Field(default={})
    """Categories with rules of their own, each in a section of its own below this one, such as
    [moderation.categories.threats] with input = "refuse" and threshold = 0.9."""

    @field_validator("categories", mode="before")
    @classmethod
    def _named_and_known(cls, categories: Any) -> Any:
        if not isinstance(categories, Mapping):
            return categories
        for name, values in categories.items():
            if not is_category(str(name)):
                raise ValueError(f'"{name}" is no name for a category; {CATEGORY_HINT}')
            if isinstance(values, Mapping):
                _check_keys(str(name), values)
        return categories

    def action(self, category: str, direction: Direction) -> Action:
        """What is done about a category that was found."""
        own: Action | None = getattr(self.categories.get(category), direction, None)
        everyone: Action = getattr(self, direction)
        return own or everyone

    def threshold_of(self, category: str) -> float:
        """From which probability on a category counts as found."""
        own = self.categories.get(category)
        return self.threshold if own is None or own.threshold is None else own.threshold


CATEGORY_HINT = "names are like insults, self-harm or violence/threats: small letters and hyphens"


def is_category(name: str) -> bool:
    """Whether a category may have this name."""
    return CATEGORY.fullmatch(name) is not None and name == name.lower()


def strictest(actions: list[Action]) -> Action:
    """The strictest of several actions; of none, `allow`."""
    return max(actions, key=ACTIONS.index, default="allow")


def _check_keys(category: str, values: Mapping[str, Any]) -> None:
    known = list(CategorySettings.model_fields)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
            raise ValueError(f'{category} has no "{key}"; {hint}')

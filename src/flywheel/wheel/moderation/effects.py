"""What moderation does to a text, and would do by other rules to what was asked last.

For owners who are about to change a list or a rule: nothing is kept, and no question is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from flywheel.moderation.settings import Action, ModerationSettings
from flywheel.store import interactions
from flywheel.wheel.moderation.judging import moderation_of

if TYPE_CHECKING:
    from flywheel.moderation.moderator import Verdict
    from flywheel.moderation.words import Span
    from flywheel.wheel.workspace import Workspace

NUM_RECENT = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundCategory:
    """What was found of one category."""

    name: str
    score: float
    threshold: float
    phrases: tuple[str, ...]
    """Of its list, that stand in the text."""
    input: Action
    """What is done about it in a question."""
    output: Action
    """And in an answer."""

    @property
    def is_found(self) -> bool:
        """Whether it counts."""
        return self.score >= self.threshold


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stretch of a text that is of one kind."""

    text: str
    categories: tuple[str, ...]
    """Whose phrases stand here; none where nothing does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a text is judged as, and why."""

    input: Action
    """As a question."""
    output: Action
    """As an answer."""
    categories: tuple[FoundCategory, ...]
    """The most probable first."""
    pieces: tuple[Piece, ...]
    """The whole text, cut where phrases begin and end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """What rules would do to the questions that were asked last."""

    num_questions: int
    actions: Mapping[Action, int] = field(default_factory=dict)
    """How many questions each would be done to."""
    categories: Mapping[str, int] = field(default_factory=dict)
    """In how many each category would be found."""


def judge(workspace: Workspace, text: str) -> Judgement:
    """What a text is judged as, by the rules, lists and classifier of now."""
    moderation = moderation_of(workspace)
    moderator, settings = moderation.moderator, moderation.rules.settings
    asked, answered = moderator.check(text, "input"), moderator.check(text, "output")
    found = [
        FoundCategory(
            name=name,
            score=score,
            threshold=settings.threshold_of(name),
            phrases=_phrases(asked, name),
            input=settings.action(name, "input"),
            output=settings.action(name, "output"),
        )
        for name, score in asked.scores.items()
    ]
    return Judgement(
        input=asked.action,
        output=answered.action,
        categories=tuple(sorted(found, key=lambda each: (-each.score, each.name))),
        pieces=_pieces(text, asked.spans),
    )


def of_rules(workspace: Workspace, settings: ModerationSettings) -> Effects:
    """What rules would do to the last questions, of all users together. Those that were refused
    are not kept, and so are not among them."""
    with workspace.database.read() as conn:
        questions = interactions.recent_questions(conn, NUM_RECENT)
    moderator = moderation_of(workspace).moderator.under(settings)
    verdicts = [moderator.check(each, "input") for each in questions]
    found = (name for each in verdicts for name, flag in each.categories.items() if flag)
    return Effects(
        num_questions=len(questions),
        actions=Counter(each.action for each in verdicts),
        categories=dict(Counter(found).most_common()),
    )


def _phrases(verdict: Verdict, category: str) -> tuple[str, ...]:
    found = (each.phrase for each in verdict.spans if each.category == category)
    return tuple(dict.fromkeys(found))


def _pieces(text: str, spans: tuple[Span, ...]) -> tuple[Piece, ...]:
    cuts = sorted({0, len(text), *(at for each in spans for at in (each.start, each.end))})
    return tuple(
        Piece(
            text=text[start:end],
            categories=tuple(
                sorted({each.category for each in spans if each.start <= start < each.end})
            ),
        )
        for start, end in pairwise(cuts)
    )

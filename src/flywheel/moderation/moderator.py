"""The judgement on one text: word lists and the classifier together, by the owner's rules.

Pure: where lists and classifier are kept, and when they are read again, is the wheel's task.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass

from flywheel.moderation.classifier import Classifier
from flywheel.moderation.settings import Action, Direction, ModerationSettings, strictest
from flywheel.moderation.words import Phrase, Span, WordLists


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was found in a text."""

    flagged: bool
    """Whether any category was found about which something is done."""
    action: Action
    """The strictest of what is done about them."""
    categories: dict[str, bool]
    """Of every category that is looked for, whether it was found and something is done."""
    scores: dict[str, float]
    """How probable each is; 1 where a phrase of its list stands in the text."""
    spans: tuple[Span, ...] = ()
    """Where the phrases of lists stand, also of categories that are allowed."""


NOTHING = Verdict(flagged=False, action="allow", categories={}, scores={})


class Moderator:
    """Judges texts. Never changes."""

    def __init__(
        self,
        settings: ModerationSettings,
        phrases: Iterable[Phrase] = (),
        classifier: Classifier | None = None,
    ) -> None:
        phrases = list(phrases)
        self._settings, self._lists, self._classifier = settings, WordLists(phrases), classifier
        listed = {phrase.category for phrase in phrases}
        learned = classifier.categories if classifier else ()
        self.categories = tuple(sorted(listed | {*learned}))
        """What is looked for."""

    def under(self, settings: ModerationSettings) -> Moderator:
        """The same lists and classifier by other rules."""
        other = copy(self)
        other._settings = settings
        return other

    @property
    def digest(self) -> str:
        """The classifier's, or nothing."""
        return self._classifier.digest if self._classifier else ""

    def check(self, text: str, direction: Direction) -> Verdict:
        """What a question (`input`) or an answer (`output`) holds, and what is done about it."""
        if not self.categories:
            return NOTHING
        scores = dict.fromkeys(self.categories, 0.0)
        if self._classifier:
            scores |= self._classifier.scores(text)
        spans = self._lists.find(text)
        scores |= {span.category: 1.0 for span in spans}
        found = {name: score >= self._settings.threshold_of(name) for name, score in scores.items()}
        actions = {name: self._settings.action(name, direction) for name in scores}
        flags = {name: found[name] and actions[name] != "allow" for name in scores}
        return Verdict(
            flagged=any(flags.values()),
            action=strictest([actions[name] for name, flag in flags.items() if flag]),
            categories=flags,
            scores=scores,
            spans=spans,
        )

"""Lists and classifier together, by the owner's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flywheel.moderation.classifier import Classifier
from flywheel.moderation.moderator import NOTHING, Moderator
from flywheel.moderation.ngrams import NUM_BUCKETS, grams
from flywheel.moderation.settings import ModerationSettings
from flywheel.moderation.words import read_phrases

PHRASES = [
    *read_phrases("threats", "kill you\n杀了你\n", Path("threats.txt")),
    *read_phrases("insults", "idiot*\n白痴\n", Path("insults.txt")),
]


def rules(**values: Any) -> ModerationSettings:
    return ModerationSettings.model_validate(values)


def classifier_of(*words: str) -> Classifier:
    """Takes every text with one of these words, more or less, for an insult."""
    weights = np.zeros((NUM_BUCKETS, 1), np.float32)
    for word in words:
        weights[grams([word]).buckets] = 1
    return Classifier(
        categories=("insults",),
        weights=weights,
        bias=np.zeros(1),
        slope=np.ones((2, 1)),
        offset=np.full((2, 1), -1.0),
    )


def test_with_nothing_to_look_for_nothing_is_found() -> None:
    assert Moderator(rules()).check("I will kill you", "input") is NOTHING


def test_listed_phrase_is_flagged_with_its_place() -> None:
    for text, piece in (("I will k1ll you.", "k1ll you"), ("我要殺了你。", "殺了你")):
        verdict = Moderator(rules(), PHRASES).check(text, "input")
        assert (verdict.flagged, verdict.action) == (True, "mark")
        assert verdict.categories == {"threats": True, "insults": False}
        assert verdict.scores == {"threats": 1.0, "insults": 0.0}
        [span] = verdict.spans
        assert (span.category, text[span.start : span.end]) == ("threats", piece)


def test_strictest_rule_of_what_was_found_counts() -> None:
    moderator = Moderator(
        rules(categories={"threats": {"input": "refuse", "output": "mark"}}), PHRASES
    )
    both = "idiot, I will kill you"
    assert moderator.check(both, "input").action == "refuse"
    assert moderator.check(both, "output").action == "mark"
    assert moderator.check("idiot", "input").action == "mark"


def test_allowed_category_is_scored_and_never_flagged() -> None:
    moderator = Moderator(rules(categories={"insults": {"input": "allow"}}), PHRASES)
    verdict = moderator.check("白痴", "input")
    assert (verdict.flagged, verdict.action) == (False, "allow")
    assert (verdict.categories["insults"], verdict.scores["insults"]) == (False, 1.0)
    assert len(verdict.spans) == 1


def test_classifier_counts_from_the_threshold_on() -> None:
    classifier = classifier_of("moron")
    [score] = classifier.scores("moron").values()
    for threshold, flagged in ((score - 0.01, True), (score + 0.01, False)):
        rule = rules(threshold=threshold)
        assert Moderator(rule, [], classifier).check("moron", "input").flagged is flagged
        own = rules(categories={"insults": {"threshold": threshold}})
        assert Moderator(own, [], classifier).check("moron", "input").flagged is flagged


def test_category_of_list_and_classifier_is_one() -> None:
    moderator = Moderator(rules(), PHRASES, classifier_of("moron"))
    assert moderator.categories == ("insults", "threats")
    assert 0 < moderator.check("moron", "input").scores["insults"] < 1
    assert moderator.check("moron, idiots", "input").scores["insults"] == 1.0

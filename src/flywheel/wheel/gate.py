"""Promote the challenger, or keep the champion: the decision, its rule and its reasons.

Version 1 is promoted without a contest. After that a challenger is promoted when it is shown to
be better on the primary metric; or when it is as good as the best version ever promoted on a
gain, and cheaper; or, where newer documents are all that it brings, when it shows no loss, since
what the documents say now is worth more than what they said. Each time no guarded metric may
fall, and too few questions to tell are no proof. docs/gate.md works an example.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from flywheel.evaluate.compare import Comparison, compare
from flywheel.evaluate.exam import Sitting
from flywheel.wheel.reasons import say
from flywheel.wheel.settings import GateSettings

SEED = 1

CHEAPER = 0.9
"""The largest share of the bytes or of the time that counts as cheaper: what is less than a tenth
is no reason to change what serves."""

Rule: TypeAlias = Literal[
    "first", "unexamined", "newer documents", "gain", "cheaper", "guard", "no gain", "unmeasured"
]
"""What decided: the first five promote, the last three keep; `newer documents` may do either."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether the challenger serves from now on, and why."""

    promote: bool
    rule: Rule
    reasons: tuple[str, ...]
    tested_gain: bool = False
    """Whether it spent some of the error that all decisions on the same questions share."""
    sets_bar: bool = False
    """Whether later versions that are only cheaper must be as good as this one."""


FIRST = Decision(
    promote=True,
    rule="first",
    reasons=(say("first"),),
    sets_bar=True,
)
UNEXAMINED = Decision(
    promote=True,
    rule="unexamined",
    reasons=(say("unexamined"),),
    sets_bar=True,
)
"""A few short texts must not be stuck with what they said at first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What the challenger costs, in the champion's share: counted, or timed with an interval."""

    what: str
    share: float
    high: float
    """The upper bound of the share; the share itself where it was counted."""

    @property
    def is_cheaper(self) -> bool:
        """Whether it is worth a change."""
        return self.high <= CHEAPER


def decide(
    champion: Sitting,
    challenger: Sitting,
    settings: GateSettings,
    *,
    k: int,
    newer_documents: bool,
) -> Decision:
    """Compares two sittings of the same questions.

    A guard has 0.05 to err with at each decision, whatever `k`: all guards must pass, so that
    there are not more errors for more guards; and one that grew stricter with every turn would in
    the end block all.

    Args:
        k: this is the k-th decision on a gain on these questions, from 1.
        newer_documents: they are all that sets the challenger apart.
    """
    names = _shared(champion, challenger, settings)
    lost = _lost(champion, challenger, settings)
    unguarded = _unguarded(champion, settings)
    if newer_documents:
        compared = [compare(champion, challenger, name, None, SEED) for name in names]
        return _newer(compared, lost, unguarded, settings)
    guarded = [name for name in names if name in settings.guards]
    guards = [compare(champion, challenger, name, None, SEED) for name in guarded]
    falls = [_falls(each, settings) for each in guards if not _holds(each, settings)]
    if lost or falls:
        return Decision(promote=False, rule="guard", reasons=(*lost, *falls))
    if settings.primary not in names:
        return _unmeasured(settings)
    gain = compare(champion, challenger, settings.primary, k, SEED)
    return Decision(
        promote=gain.is_better,
        rule="gain" if gain.is_better else "no gain",
        reasons=(_gain(gain), *map(_guarded, guards), *unguarded),
        tested_gain=True,
        sets_bar=gain.is_better,
    )


def as_good_and_cheaper(
    kept: Decision,
    best: Sitting,
    challenger: Sitting,
    settings: GateSettings,
    saving: Saving,
    number: int,
    *,
    k: int,
) -> Decision:
    """Another look at a challenger without a gain, which costs less.

    Compared with the best version ever promoted on a gain, not with the last one: small losses
    that no exam could see would otherwise add up.

    Args:
        kept: the decision that it shows no gain.
        best: the sitting of version `number`, of the same questions.
        k: as `decide` had it. Who tries again and again pays for it here too.
    """
    names = _shared(best, challenger, settings)
    compared = [compare(best, challenger, name, k, SEED, settings.margin) for name in names]
    cost = {"share": f"{saving.share:.2f}", "saving": saving.what, "number": number}
    falls = _lost(best, challenger, settings)
    if settings.primary not in names:
        falls.append(say("incomparable", metric=settings.primary))
    falls += [_falls(each, settings) for each in compared if not _holds(each, settings)]
    if falls:
        against = say("not_as_good", **cost, falls="; ".join(falls))
        return replace(kept, reasons=(*kept.reasons, against))
    reason = say("cheaper", **cost, as_good=", ".join(_guarded(each) for each in compared))
    return replace(kept, promote=True, rule="cheaper", reasons=(reason, *kept.reasons))


def takes_over(best: Sitting, challenger: Sitting, settings: GateSettings) -> bool:
    """Whether a version with a gain is the best one now: it is, unless an earlier one was better
    than the champion that it gained on. What cannot be measured any more defends nothing."""
    bar = best.metrics.get(settings.primary)
    return bar is None or challenger.metrics[settings.primary].value >= bar.value


def _newer(
    compared: list[Comparison], lost: list[str], unguarded: list[str], settings: GateSettings
) -> Decision:
    """On newer documents: no loss may show in the questions that were seen.

    To rule out an unseen one takes 59 questions even where no answer changes. Who has fewer would
    never get to see a changed document, and who has no exam would; so the loss that could have
    gone unseen is named instead.
    """
    rule: Rule = "newer documents"
    falls = [_falls(each, settings) for each in compared if not each.shows_no_loss(settings.margin)]
    if lost or falls:
        return Decision(promote=False, rule=rule, reasons=(*lost, *falls))
    primary = next((each for each in compared if each.metric == settings.primary), None)
    if primary is None:
        return _unmeasured(settings)
    reason = say("newer", **_values(primary))
    unseen = max((each for each in compared), key=lambda each: -each.low)
    notes = (
        ()
        if _holds(unseen, settings)
        else (
            say(
                "unseen",
                questions=_questions(unseen),
                metric=unseen.metric,
                loss=f"{-unseen.low:.2f}",
            ),
        )
    )
    return Decision(promote=True, rule=rule, reasons=(reason, *notes, *unguarded))


def _unmeasured(settings: GateSettings) -> Decision:
    reasons = (say("unmeasured", metric=settings.primary),)
    return Decision(promote=False, rule="unmeasured", reasons=reasons)


def _shared(one: Sitting, other: Sitting, settings: GateSettings) -> list[str]:
    """The primary and guarded metrics that both sittings have."""
    wanted = dict.fromkeys((settings.primary, *settings.guards))
    return [name for name in wanted if name in one.metrics and name in other.metrics]


def _lost(champion: Sitting, challenger: Sitting, settings: GateSettings) -> list[str]:
    """Why a guard blocks that only the champion can be measured by, as where nothing is answered
    any more."""
    return [
        say("lost", metric=name)
        for name in settings.guards
        if name in champion.metrics and name not in challenger.metrics
    ]


def _unguarded(champion: Sitting, settings: GateSettings) -> list[str]:
    """Which guards watch nothing; none blocks, since a first exam may have no gold answers."""
    return [
        say("unguarded", metric=name) for name in settings.guards if name not in champion.metrics
    ]


def _holds(each: Comparison, settings: GateSettings) -> bool:
    return each.is_not_worse(settings.margin)


def _falls(each: Comparison, settings: GateSettings) -> str:
    values = _values(each) | {"margin": f"{settings.margin:g}", "low": f"{each.low:+.3f}"}
    if each.low_seen > -settings.margin:
        return say("too_few", **values, questions=_questions(each))
    return say("may_fall", **values)


def _gain(each: Comparison) -> str:
    return say(
        "gains" if each.is_better else "no_gain",
        **_values(each),
        low=f"{each.low:+.3f}",
        alpha=f"{each.alpha:.3g}",
        smallest=f"{each.smallest_gain:.3f}",
    )


def _guarded(each: Comparison) -> str:
    return say("guarded", **_values(each), low=f"{each.low:+.3f}")


def _questions(each: Comparison) -> str:
    return "1 question is" if each.num_groups == 1 else f"{each.num_groups} questions are"


def _values(each: Comparison) -> dict[str, str]:
    return {
        "metric": each.metric,
        "before": f"{each.champion:.3f}",
        "after": f"{each.challenger:.3f}",
    }

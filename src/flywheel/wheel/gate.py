"""Promote the challenger, or keep the champion: the decision and its reasons.

Version 1 is promoted without a contest. After that a challenger must be shown to be better on
the primary metric; one that only carries newer documents must be shown to be no worse, since
what the documents say now is worth more than what they said. Either way no guarded metric may
fall, and too few questions to tell is no proof.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field, field_validator

from flywheel.evaluate.compare import Comparison, compare
from flywheel.evaluate.exam import Sitting
from flywheel.evaluate.metrics import METRICS
from flywheel.records import StageSettings

SEED = 1


class GateSettings(StageSettings):
    """What decides whether a new version serves."""

    primary: str = "evidence_mrr"
    """The metric that a challenger must gain on."""
    guards: tuple[str, ...] = ("evidence_recall_at_10", "answer_rouge_l")
    """Metrics that must not fall."""
    margin: float = Field(default=0.05, gt=0, le=0.5)
    """How much a guarded metric may seem to lose at worst."""

    @field_validator("primary", "guards")
    @classmethod
    def _known(cls, names: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in [names] if isinstance(names, str) else names:
            if name not in METRICS:
                raise ValueError(f"{name} is no metric; there are {', '.join(METRICS)}")
        return names


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether the challenger serves from now on, and why."""

    promote: bool
    reasons: tuple[str, ...]
    tested_gain: bool = False
    """Whether it spent some of the error that all decisions on the same questions share."""


FIRST = Decision(promote=True, reasons=("the first version is promoted without a contest",))
UNEXAMINED = Decision(
    promote=True,
    reasons=("it carries newer documents, too few to make an exam of; write one in exam.jsonl",),
)
"""A few short texts must not be stuck with what they said at first."""


def decide(
    champion: Sitting,
    challenger: Sitting,
    settings: GateSettings,
    *,
    k: int,
    newer_documents: bool,
) -> Decision:
    """Compares two sittings of the same questions.

    Args:
        k: this is the k-th decision on a gain on these questions, from 1.
        newer_documents: the documents are all that the two versions differ in.
    """
    compared = {
        metric: compare(champion, challenger, metric, k=1, seed=SEED)
        for metric in _shared(champion, challenger, (settings.primary, *settings.guards))
    }
    blocks = [
        _falls(compared[metric], settings.margin)
        for metric in settings.guards
        if metric in compared and not compared[metric].is_not_worse(settings.margin)
    ]
    if blocks:
        return Decision(promote=False, reasons=tuple(blocks))
    if settings.primary not in compared:
        reason = f"the exam has no question that measures {settings.primary}"
        return Decision(promote=False, reasons=(reason,))
    if newer_documents:
        return _newer(compared[settings.primary], settings.margin)
    gain = compare(champion, challenger, settings.primary, k=k, seed=SEED)
    return Decision(promote=gain.is_better, reasons=(_gain(gain),), tested_gain=True)


def _shared(champion: Sitting, challenger: Sitting, metrics: tuple[str, ...]) -> list[str]:
    wanted = dict.fromkeys(metrics)
    return [name for name in wanted if name in champion.metrics and name in challenger.metrics]


def _newer(primary: Comparison, margin: float) -> Decision:
    if primary.is_not_worse(margin):
        reason = (
            f"it carries newer documents and {primary.metric} does not fall: {_values(primary)}"
        )
        return Decision(promote=True, reasons=(reason,))
    return Decision(promote=False, reasons=(_falls(primary, margin),))


def _falls(each: Comparison, margin: float) -> str:
    if each.low > -margin:
        few = "1 question is" if each.num_groups == 1 else f"{each.num_groups} questions are"
        return f"{each.metric}: {few} too few to rule out a loss; add more to the exam"
    return (
        f"{each.metric} may fall by more than {margin:g}: {_values(each)}, "
        f"change at least {each.low:+.3f}"
    )


def _gain(each: Comparison) -> str:
    verdict = "gains" if each.is_better else "shows no gain"
    return (
        f"{each.metric} {verdict}: {_values(each)}, lower bound {each.low:+.3f} at "
        f"α = {each.alpha:.3g}; {each.smallest_gain:.3f} is the smallest gain this exam could see"
    )


def _values(each: Comparison) -> str:
    return f"{each.champion:.3f} → {each.challenger:.3f}"

"""Preference health: whether what users say can be learned from, in words a curator understands.

Looks at acts and changes nothing; what a single act is left out for stands in preferences.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from flywheel.learn.agreement import Interval, alpha, difference, share
from flywheel.learn.feedback import normal_form, retracted
from flywheel.learn.lessons import are_alike
from flywheel.records import Feedback
from flywheel.search.terms import has_han

Verdict = Literal["good", "look", "too few"]

FEWEST = 20
"""Fewer items than this tell nothing: the interval of a share is then 0.4 wide."""

AGREED = 0.667
"""The least alpha for tentative conclusions; Krippendorff, "Content analysis" (2004), page 241."""

LARGEST_SHARE = 0.5
"""From here on one user outvotes all others together."""

MANY_TIES = 0.2
"""Share of ranked pairs that say the same; from here on the candidates are worth a look."""

_JUDGED_RIGHT = {"up": True, "bookmark": True, "down": False, "delete": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One line of the table."""

    name: str
    value: float | None
    """None where nothing was there to measure."""
    low: float | None = None
    high: float | None = None
    count: int
    """How many of `of` it is from."""
    of: str
    verdict: Verdict
    words: str
    """What the figure says, or what to do."""
    values: dict[str, str] = field(default_factory=dict)
    """What `words` names, nobody's name among it: for whoever says it in another language."""


def measure(acts: Iterable[Feedback]) -> tuple[Measure, ...]:
    """Every line of the table, on whatever acts there are."""
    ordered = sorted(acts, key=lambda act: (act.at, act.id))
    ranks = [_Ranked.of(act) for act in ordered if act.kind == "rank"]
    gone = retracted(ordered)
    said = [act for act in ordered if act.kind != "retract" and act.id not in gone]
    return (
        _answers_agreed(_judgements(ordered)),
        _ranks_agreed(_oriented(ordered)),
        _largest_share(said),
        _effective_users(said),
        _length_bias(ranks),
        _language_bias(said),
        _near_ties(ranks),
        _position_bias(ranks),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ranked:
    """What one ranking says."""

    best: str
    worst: str
    first_won: bool
    num_candidates: int
    num_pairs: int
    num_ties: int

    @classmethod
    def of(cls, act: Feedback) -> _Ranked:
        pairs = list(combinations(act.candidates, 2))
        return cls(
            best=act.candidates[act.order[0]],
            worst=act.candidates[act.order[-1]],
            first_won=act.order[0] == 0,
            num_candidates=len(act.candidates),
            num_pairs=len(pairs),
            num_ties=sum(are_alike(one, other) for one, other in pairs),
        )


def _judgements(acts: Sequence[Feedback]) -> list[dict[str, bool]]:
    """Of each answer to a question, who calls it right or wrong; a user's latest word counts."""
    units: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for act in acts:
        if act.kind in _JUDGED_RIGHT:
            unit = normal_form(act.question), normal_form(act.answer)
            units[unit][act.user] = _JUDGED_RIGHT[act.kind]
        elif act.kind == "retract":
            units[normal_form(act.question), normal_form(act.answer)].pop(act.user, None)
    return [each for each in units.values() if each]


def _oriented(acts: Sequence[Feedback]) -> list[dict[str, bool]]:
    """Of each pair of answers to a question, who prefers the first; and who the second.

    Both, since which of the two is called the first means nothing.
    """
    units: dict[tuple[str, str, str], dict[str, bool]] = defaultdict(dict)
    for act in acts:
        if act.kind == "rank":
            question = normal_form(act.question)
            answers = [normal_form(act.candidates[place]) for place in act.order]
            for better, worse in combinations(answers, 2):
                if better != worse:
                    units[question, better, worse][act.user] = True
                    units[question, worse, better][act.user] = False
    return list(units.values())


def _answers_agreed(units: Sequence[dict[str, bool]]) -> Measure:
    several = [each for each in units if len(each) > 1]
    return _agreement("agreement on answers", several, len(several), "answers judged by several")


def _ranks_agreed(units: Sequence[dict[str, bool]]) -> Measure:
    several = [each for each in units if len(each) > 1]
    # Every pair is there in both directions.
    return _agreement("agreement on ranks", several, len(several) // 2, "pairs ranked by several")


def _agreement(name: str, units: Sequence[dict[str, bool]], count: int, of: str) -> Measure:
    return _line(
        name,
        alpha(units),
        count,
        of,
        "users mean the same by right and wrong",
        look="users contradict each other: write down what a good answer is",
        is_bad=lambda interval: interval.low < AGREED,
    )


def _largest_share(acts: Sequence[Feedback]) -> Measure:
    counts = Counter(act.user for act in acts)
    user, most = max(counts.items(), key=lambda each: (each[1], each[0]), default=("", 0))
    return _line(
        "largest share of one user",
        _exactly(most / len(acts)) if acts else None,
        len(acts),
        "acts",
        f"most are from {user}, who outvotes nobody",
        look=f"{user} outvotes all others: ask more users",
        is_bad=lambda interval: interval.value > LARGEST_SHARE,
    )


def _effective_users(acts: Sequence[Feedback]) -> Measure:
    """1 / Σ p², the inverse of Simpson's index (1949): so many users who said equally much."""
    counts = Counter(act.user for act in acts)
    squares = sum(n * n for n in counts.values())
    return _line(
        "effective number of users",
        _exactly(len(acts) ** 2 / squares) if squares else None,
        len(acts),
        "acts",
        f"of {len(counts)}: so many, if all had said equally much",
        look="in effect one user speaks: ask more users",
        is_bad=lambda interval: interval.value < 2,
        values={"users": str(len(counts))},
    )


def _length_bias(ranks: Sequence[_Ranked]) -> Measure:
    lengths = [(len(each.best), len(each.worst)) for each in ranks]
    unequal = [(best, worst) for best, worst in lengths if best != worst]
    longer = sum(best > worst for best, worst in unequal)
    which = "longer" if 2 * longer > len(unequal) else "shorter"
    return _line(
        "longer answer wins",
        share(longer, len(unequal)) if unequal else None,
        len(unequal),
        "rankings",
        "length decides nothing: 0.5 is within the interval",
        look=f"the {which} answers win: see whether they are better",
        is_bad=lambda interval: not interval.low <= 0.5 <= interval.high,
        values={"which": which},
    )


def _language_bias(acts: Sequence[Feedback]) -> Measure:
    judged: dict[bool, list[bool]] = {True: [], False: []}
    for act in acts:
        if act.kind in _JUDGED_RIGHT:
            judged[has_han(act.answer or act.question)].append(_JUDGED_RIGHT[act.kind])
    both = all(judged.values())
    chinese, other = (share(sum(each), len(each) or 1) for each in (judged[True], judged[False]))
    return _line(
        "Chinese answers liked more",
        difference(chinese, other) if both else None,
        min(map(len, judged.values())),
        "judgements in the rarer language",
        "answers in both languages are liked alike: 0 is within the interval",
        look="answers in one language are liked less: see what they lack",
        is_bad=lambda interval: not interval.low <= 0 <= interval.high,
    )


def _near_ties(ranks: Sequence[_Ranked]) -> Measure:
    num_pairs = sum(each.num_pairs for each in ranks)
    num_ties = sum(each.num_ties for each in ranks)
    return _line(
        "ranked pairs that say the same",
        share(num_ties, num_pairs) if num_pairs else None,
        num_pairs,
        "ranked pairs",
        "the candidates differ, so that their order tells something",
        look="candidates are almost equal: their order teaches nothing",
        is_bad=lambda interval: interval.low > MANY_TIES,
    )


def _position_bias(ranks: Sequence[_Ranked]) -> Measure:
    won = sum(each.first_won for each in ranks)
    chance = sum(1 / each.num_candidates for each in ranks) / max(len(ranks), 1)
    return _line(
        "first candidate wins",
        share(won, len(ranks)) if ranks else None,
        len(ranks),
        "rankings",
        f"no oftener than by chance, {chance:.2f}",
        look=f"oftener than by chance, {chance:.2f}: show candidates in another order",
        is_bad=lambda interval: interval.low > chance,
        values={"chance": f"{chance:.2f}"},
    )


def _exactly(value: float) -> Interval:
    """Of what is counted, not sampled."""
    return Interval(value=value, low=value, high=value)


def _line(
    name: str,
    interval: Interval | None,
    count: int,
    of: str,
    good: str,
    *,
    look: str,
    is_bad: Callable[[Interval], bool],
    values: dict[str, str] | None = None,
) -> Measure:
    verdict: Verdict = "good"
    if interval is None or count < FEWEST:
        verdict = "too few"
    elif is_bad(interval):
        verdict = "look"
    few = f"{FEWEST} are needed to tell" if count < FEWEST else "all say the same of everything"
    return Measure(
        name=name,
        value=interval.value if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        count=count,
        of=of,
        verdict=verdict,
        words={"good": good, "look": look, "too few": few}[verdict],
        values=values or {},
    )

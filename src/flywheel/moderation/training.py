"""Labelled texts → a classifier, and how good it is on texts that it has not seen.

    B buckets · K categories · T texts

Each category is a logistic regression of its own, fitted to all texts, and to pieces of the
documents, which hold none: a few hundred lines alone leave it at a loss with prose. What it is said
to be good for is measured on folds that it was not fitted to, English and Chinese apart: a margin
becomes a probability by what was seen on the labelled lines of the other folds (Platt 1999), and
counts from the threshold on that the settings name.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from flywheel.errors import SourceError
from flywheel.moderation.classifier import Classifier, sigmoid
from flywheel.moderation.ngrams import NUM_BUCKETS, grams
from flywheel.moderation.settings import CATEGORY_HINT, is_category
from flywheel.records import Score
from flywheel.search.terms import has_han

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Floats: TypeAlias = npt.NDArray[np.float64]
    Integers: TypeAlias = npt.NDArray[np.int64]
    Booleans: TypeAlias = npt.NDArray[np.bool_]

MIN_EXAMPLES = 20
"""Texts of a category, and as many without it: with fewer, five folds say nothing."""

LEAST_CALIBRATED = 10
"""Texts of a category in one language, and as many without it, by which its margins are read."""

NUM_FOLDS = 5
SEED = 20261

STRENGTH = 10.0
"""How closely the texts are followed (scikit-learn's C). On the bench's lines 1 is a little worse,
100 no better, and weighing rare n-grams up helps one language as much as it harms the other."""

NUM_BINS = 5
TEXTS_AT_ONCE = 1_000
"""Whose n-grams are counted together."""

Z = 1.959964
"""Standard deviations that hold 95 %."""


class LabelledLine(BaseModel):
    """One text as an owner labels it; no category says that it is harmless."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(pattern=r"\S")
    categories: list[str]

    @field_validator("categories")
    @classmethod
    def _are_names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not is_category(name):
                raise ValueError(f'"{name}" is no name for a category; {CATEGORY_HINT}')
        return names


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """One text to learn from."""

    text: str
    categories: frozenset[str]
    group: int
    """Texts that say nearly the same share it; none is measured by what learned from another."""
    tells_of: frozenset[str] | None = None
    """The categories that were decided on; None for all, so that the others are absent."""
    weight: float = 1.0
    """How much it counts beside the owner's word; only what counts in full is measured on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """How good a category is found in one language, on texts that were not learned from."""

    category: str
    language: Literal["en", "zh"]
    """`zh` where there is any Chinese character."""
    precision: Score
    """Of what was found, how much is of the category; with how many were found."""
    recall: Score
    """Of what is of the category, how much was found; with how many there are."""
    alarms: Score
    """Of pieces of the documents, how many were taken for the category; with how many there are."""
    calibration_error: float
    """How far probabilities are from the share that is of the category: the mean of five bins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A classifier and what it is good for."""

    classifier: Classifier
    measured: tuple[Measured, ...]
    num_texts: int
    num_examples: dict[str, int]
    """Of each category."""


def train(
    texts: Sequence[Labelled], pieces: Sequence[str], threshold_of: Callable[[str], float]
) -> Trained:
    """Fits a classifier to all categories that the texts name.

    Args:
        pieces: of the documents, which hold nothing of any category.
        threshold_of: from which probability on a category counts as found, for the figures.

    Raises:
        SourceError: a category has too few texts.
    """
    counts = Counter(name for each in texts for name in each.categories)
    for name in sorted(counts):
        _check_enough(name, texts)
    data = _Data(texts, pieces)
    fits = {name: _fit(data, name) for name in sorted(counts)}
    weights = np.zeros((NUM_BUCKETS, len(fits)), np.float32)
    for column, each in enumerate(fits.values()):
        weights[data.buckets, column] = each.whole.weights
    classifier = Classifier(
        categories=tuple(fits),
        weights=weights,
        bias=np.array([each.whole.bias for each in fits.values()]),
        slope=np.array([each.calibration.slope for each in fits.values()]).T,
        offset=np.array([each.calibration.offset for each in fits.values()]).T,
    )
    measured = [
        row for name, each in fits.items() for row in _measure(data, name, each, threshold_of(name))
    ]
    return Trained(
        classifier=classifier,
        measured=tuple(measured),
        num_texts=len(texts),
        num_examples=dict(sorted(counts.items())),
    )


def enough(category: str, texts: Iterable[Labelled]) -> bool:
    """Whether there are as many texts with and without a category as it takes to learn it."""
    return min(_num_with_and_without(category, texts)) >= MIN_EXAMPLES


def _num_with_and_without(category: str, texts: Iterable[Labelled]) -> tuple[int, int]:
    telling = [each for each in texts if each.tells_of is None or category in each.tells_of]
    num_with = sum(category in each.categories for each in telling)
    return num_with, len(telling) - num_with


def _check_enough(category: str, texts: Iterable[Labelled]) -> None:
    num_with, num_without = _num_with_and_without(category, texts)
    if num_with < MIN_EXAMPLES:
        raise SourceError(
            f'"{category}" has {num_with} of the {MIN_EXAMPLES} examples that learning it takes. '
            f"Add lines, or list its phrases in moderation/words/{category}.txt, which need none."
        )
    if num_without < MIN_EXAMPLES:
        raise SourceError(
            f'{num_without} texts are not of "{category}"; learning what it is not takes '
            f'{MIN_EXAMPLES}. Add harmless lines of your own domain, with "categories": [].'
        )


class _Data:
    """The texts as rows of n-grams, [T, distinct buckets], and what is known of each.

    The pieces of the documents come last, as texts without a category.
    """

    def __init__(self, labelled: Sequence[Labelled], pieces: Sequence[str]) -> None:
        from scipy.sparse import csr_matrix

        first = max((each.group for each in labelled), default=0) + 1
        texts = [
            *labelled,
            *(
                Labelled(text=piece, categories=frozenset(), group=group)
                for group, piece in enumerate(pieces, start=first)
            ),
        ]
        starts = range(0, len(texts), TEXTS_AT_ONCE)
        found = [grams([each.text for each in texts[at : at + TEXTS_AT_ONCE]]) for at in starts]
        rows = np.concatenate([each.texts + at for at, each in zip(starts, found, strict=True)])
        values = np.concatenate([each.values for each in found])
        buckets = np.concatenate([each.buckets for each in found])
        self.texts = texts
        self.is_piece: Booleans = np.arange(len(texts)) >= len(labelled)
        self.buckets, columns = np.unique(buckets, return_inverse=True)
        shape = (len(texts), len(self.buckets))
        self.rows: csr_matrix = csr_matrix((values, (rows, columns)), shape=shape)
        self.weights = np.array([each.weight for each in texts])
        self.is_chinese: Booleans = np.array([has_han(each.text) for each in texts])

    def labels(self, category: str) -> tuple[Integers, Booleans]:
        """Whether each text is of the category, and whether it tells; [T] each."""
        labels = np.array([category in each.categories for each in self.texts], dtype=np.int64)
        telling = [each.tells_of is None or category in each.tells_of for each in self.texts]
        return labels, np.array(telling)


@dataclass(frozen=True, slots=True)
class _Regression:
    weights: Floats
    bias: float


@dataclass(frozen=True, slots=True)
class _Calibration:
    slope: Floats
    """[2], with `offset`: of other texts, and of Chinese ones."""
    offset: Floats

    def of(self, margins: Floats, is_chinese: Booleans) -> Floats:
        languages = is_chinese.astype(np.int64)
        return sigmoid(margins * self.slope[languages] + self.offset[languages])


@dataclass(frozen=True, slots=True)
class _Fit:
    """One category: what all texts teach, and what each fold is thought of by the others."""

    whole: _Regression
    calibration: _Calibration
    chances: Floats
    """[T]: of each text, by what did not learn from it."""


def _fit(data: _Data, category: str) -> _Fit:
    labels, telling = data.labels(category)
    folds = _folds(data, labels)
    margins = np.zeros(len(labels))
    for fold in range(NUM_FOLDS):
        held_out, seen = folds == fold, telling & (folds != fold)
        regression = _regress(data, labels, seen)
        margins[held_out] = data.rows[held_out] @ regression.weights + regression.bias
    chances = np.zeros(len(labels))
    for fold in range(NUM_FOLDS):
        held_out, seen = folds == fold, telling & (folds != fold) & ~data.is_piece
        calibration = _calibrate(data, margins, labels, seen)
        chances[held_out] = calibration.of(margins[held_out], data.is_chinese[held_out])
    lines = telling & ~data.is_piece
    return _Fit(
        whole=_regress(data, labels, telling),
        calibration=_calibrate(data, margins, labels, lines),
        chances=chances,
    )


def _folds(data: _Data, labels: Integers) -> Integers:
    """The fold of each text, [T]. Groups stay whole; each kind of text is in every fold alike."""
    kinds: dict[tuple[bool, ...], list[int]] = defaultdict(list)
    seen: set[int] = set()
    for place in np.random.default_rng(SEED).permutation(len(labels)).tolist():
        group = data.texts[place].group
        if group not in seen:
            seen.add(group)
            kind = (bool(labels[place]), bool(data.is_chinese[place]), bool(data.is_piece[place]))
            kinds[kind].append(group)
    in_order = (group for kind in sorted(kinds) for group in kinds[kind])
    fold_of = {group: number % NUM_FOLDS for number, group in enumerate(in_order)}
    return np.array([fold_of[each.group] for each in data.texts])


def _regress(data: _Data, labels: Integers, seen: Booleans) -> _Regression:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels[seen])) < 2:  # a group may hold all there are of a category
        return _Regression(np.zeros(data.rows.shape[1]), 0.0)
    # In its dual form: 3 ms for 444 texts, where lbfgs takes 7 s over as many n-grams.
    model = LogisticRegression(
        C=STRENGTH, solver="liblinear", dual=True, max_iter=10_000, random_state=SEED
    )
    model.fit(data.rows[seen], labels[seen], sample_weight=data.weights[seen])
    return _Regression(model.coef_[0], float(model.intercept_[0]))


def _calibrate(data: _Data, margins: Floats, labels: Integers, seen: Booleans) -> _Calibration:
    """What margins mean, in each language; in both together where one has too few texts."""
    slopes, offsets = [], []
    for of_language in (~data.is_chinese, data.is_chinese):
        chosen = seen & of_language
        if min(np.bincount(labels[chosen], minlength=2)) < LEAST_CALIBRATED:
            chosen = seen
        slope, offset = _platt(margins[chosen], labels[chosen], data.weights[chosen])
        slopes.append(slope)
        offsets.append(offset)
    return _Calibration(np.array(slopes), np.array(offsets))


def _platt(margins: Floats, labels: Integers, weights: Floats) -> tuple[float, float]:
    """Slope and offset of Platt's sigmoid, towards his smoothed targets: nothing is certain."""
    from sklearn.linear_model import LogisticRegression

    num_with, num_without = int(labels.sum()), int((1 - labels).sum())
    targets = np.where(labels == 1, (num_with + 1) / (num_with + 2), 1 / (num_without + 2))
    model = LogisticRegression(C=1e6, solver="liblinear", max_iter=1000, random_state=SEED)
    model.fit(
        np.concatenate([margins, margins])[:, None],
        np.repeat([1, 0], len(margins)),
        sample_weight=np.concatenate([targets, 1 - targets]) * np.tile(weights, 2),
    )
    # A margin that says the opposite of what it should is worth nothing, not its reverse.
    return max(0.0, float(model.coef_[0, 0])), float(model.intercept_[0])


def _measure(data: _Data, category: str, fit: _Fit, threshold: float) -> list[Measured]:
    labels, telling = data.labels(category)
    found = fit.chances >= threshold
    rows: list[Measured] = []
    for language in ("en", "zh"):
        of_language = data.is_chinese if language == "zh" else ~data.is_chinese
        counted = telling & of_language & (data.weights >= 1) & ~data.is_piece
        if not counted.any():
            continue
        pieces = of_language & data.is_piece
        right = int((counted & found & (labels == 1)).sum())
        rows.append(
            Measured(
                category=category,
                language="zh" if language == "zh" else "en",
                precision=share(right, int((counted & found).sum())),
                recall=share(right, int((counted & (labels == 1)).sum())),
                alarms=share(int((pieces & found).sum()), int(pieces.sum())),
                calibration_error=_calibration_error(fit.chances[counted], labels[counted]),
            )
        )
    return rows


def _calibration_error(chances: Floats, labels: Integers) -> float:
    bins = np.minimum((chances * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    gaps = np.bincount(bins, chances - labels, NUM_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def share(part: int, whole: int) -> Score:
    """A share with its 95 % interval (Wilson 1927); of nothing, anything may be true."""
    if whole == 0:
        return Score(value=0.0, low=0.0, high=1.0, count=0)
    value = part / whole
    middle = (value + Z**2 / (2 * whole)) / (1 + Z**2 / whole)
    width = Z * math.sqrt(value * (1 - value) / whole + (Z / (2 * whole)) ** 2)
    width /= 1 + Z**2 / whole
    return Score(
        value=value, low=max(0.0, middle - width), high=min(1.0, middle + width), count=whole
    )

"""The trained classifier: how probable each category is, from a text's n-grams.

    B buckets · K categories · T texts
    L languages: 0 without, 1 with Chinese characters

A logistic regression for each category, scored with numpy alone. Kept as two files: arrays, and a
page that says what they are, which is written last. How it is fitted is told in training.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from flywheel.errors import StoreError
from flywheel.moderation.ngrams import NUM_BUCKETS, grams, parts
from flywheel.search.terms import has_han

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Weights: TypeAlias = npt.NDArray[np.float32]

PARTS_AT_ONCE = 64
"""Sentences scored together: three times as quick as one by one, and no text takes much memory."""

PAGE = "classifier.json"
FORMAT = 1
"""Of both files. Raised when what n-grams are, or how they are weighed, changes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Classifier:
    """What was learned of each category."""

    categories: tuple[str, ...]
    weights: Weights
    """[B, K]."""
    bias: Floats
    """[K]."""
    slope: Floats
    """[L, K], with `offset`: what turns a margin into a probability (Platt 1999). Of each language,
    since a Chinese text has fewer n-grams, and smaller margins."""
    offset: Floats
    digest: str = ""
    """What tells it from others; empty until it is kept."""

    def scores(self, text: str) -> dict[str, float]:
        """How probable each category is: of the part of the text where it is most so."""
        best = np.zeros(len(self.categories))
        of_text = parts(text)
        for start in range(0, len(of_text), PARTS_AT_ONCE):
            chances = self._chances(of_text[start : start + PARTS_AT_ONCE])
            best = np.maximum(best, chances.max(axis=0))
        return dict(zip(self.categories, best.tolist(), strict=True))

    def _chances(self, texts: Sequence[str]) -> Floats:
        """[T, K]; of a text with nothing visible 0."""
        found, num_texts = grams(texts), len(texts)
        weighed = self.weights[found.buckets] * found.values[:, None]
        margins = self.bias + np.stack(
            [np.bincount(found.texts, column, num_texts) for column in weighed.T], axis=1
        )
        languages = np.array([int(has_han(text)) for text in texts])
        is_seen = np.bincount(found.texts, minlength=num_texts) > 0
        return is_seen[:, None] * sigmoid(margins * self.slope[languages] + self.offset[languages])


def sigmoid(values: Floats) -> Floats:
    """The logistic function."""
    chances: Floats = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return chances


def save(classifier: Classifier, folder: Path, about: Mapping[str, Any]) -> Classifier:
    """Puts a classifier into a folder, in place of the one that is there. All of it or nothing.

    Args:
        about: what else the page should say, JSON-ready.

    Returns:
        It, with its digest.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        weights=classifier.weights,
        bias=classifier.bias,
        slope=classifier.slope,
        offset=classifier.offset,
    )
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _weights_name(digest), buffer.getvalue())
    page = {"format": FORMAT, "digest": digest, "categories": list(classifier.categories)}
    text = json.dumps(page | dict(about), ensure_ascii=False, indent=1)
    write_whole(folder / PAGE, text.encode())
    _clear(folder, keep=digest)
    return replace(classifier, digest=digest)


def load(folder: Path) -> Classifier | None:
    """The classifier in a folder; None where there is none.

    Raises:
        StoreError: it is damaged, or of another release.
    """
    for _ in range(3):
        page = read_page(folder)
        if page is None:
            return None
        path = folder / _weights_name(str(page.get("digest", "")))
        # Another one may have taken its place since its page was read.
        with suppress(FileNotFoundError):
            return _read(path, page)
    raise _damaged(folder / PAGE, "the weights that it names are missing")


def read_page(folder: Path) -> dict[str, Any] | None:
    """What is said about the classifier in a folder; None where there is none."""
    try:
        page = json.loads((folder / PAGE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(folder / PAGE, "it cannot be read") from error
    if not isinstance(page, dict) or page.get("format") != FORMAT:
        raise _damaged(folder / PAGE, "another release has made it")
    return page


def remove(folder: Path) -> None:
    """Deletes the classifier in a folder. None there is fine."""
    with suppress(FileNotFoundError):
        (folder / PAGE).unlink()
    _clear(folder, keep="")


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that nobody ever sees half of, and that outlives a power cut."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _read(path: Path, page: Mapping[str, Any]) -> Classifier:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != page["digest"]:
        raise _damaged(path, "it has changed since it was made")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            classifier = Classifier(
                categories=tuple(map(str, page["categories"])),
                weights=arrays["weights"],
                bias=arrays["bias"],
                slope=arrays["slope"],
                offset=arrays["offset"],
                digest=str(page["digest"]),
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(path, "it cannot be read") from error
    if classifier.weights.shape != (NUM_BUCKETS, len(classifier.categories)):
        raise _damaged(path, "another release has made it")
    return classifier


def _weights_name(digest: str) -> str:
    return f"weights-{digest[:16]}.npz"


def _clear(folder: Path, keep: str) -> None:
    """Deletes the weights of earlier classifiers."""
    for path in folder.glob("weights-*.npz"):
        if not keep or path.name != _weights_name(keep):
            path.unlink(missing_ok=True)


def _damaged(path: Path, problem: str) -> StoreError:
    return StoreError(
        f"{path} is of no use: {problem}. `flywheel moderation train` makes it again."
    )

"""What the workspace's documents need of a base's vocabulary, and the base cut to that.

Reads the passages and hands them to build/vocabulary.py and build/trimming.py; only those that
everybody may read, since a model learns from no others. Light to import: torch is loaded where a
base is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flywheel.build.shape import Shape
from flywheel.errors import ModelError, SettingsError, UsageError, WorkspaceError
from flywheel.records import PUBLIC
from flywheel.store import documents
from flywheel.wheel.planning import base_folder, read_shape, require_extra

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from flywheel.build.trimming import Comparison
    from flywheel.build.vocabulary import Kept, Needs
    from flywheel.wheel.stages import Progress
    from flywheel.wheel.workspace import Workspace

SIZES = (4096, 8192, 16384, 32768)
COVERED_ENOUGH = 0.99
"""Of the documents' tokens: the smallest of SIZES that keeps so many is taken where none is set."""

_FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Worth:
    """What a vocabulary of one size is worth to the documents."""

    size: int
    covered: float
    """The share of the documents' tokens that are kept."""
    bytes_per_token: float
    memory_bytes: int
    """Of the model's weights in float32."""
    saved: float
    """The share of the whole model's memory that is not needed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """A base's vocabulary beside what the documents use of it."""

    base: str
    num_tokens: int
    """Of the base's tokenizer."""
    num_used: int
    """Of those: how many the documents have."""
    num_passages: int
    num_bytes: int
    worth: tuple[Worth, ...]
    """From the smallest size to the whole vocabulary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trimmed:
    """A base that was cut to a smaller vocabulary."""

    folder: Path
    num_tokens_before: int
    worth: Worth
    bytes_per_token_before: float
    memory_bytes_before: int
    num_passages: int
    num_covered: int
    """Passages of which every token is kept: each is split as before, which was checked."""


def show(workspace: Workspace, progress: Progress) -> Vocabulary:
    """What the documents need of the vocabulary of `build.base`, for several sizes.

    Raises:
        SettingsError: no base is named.
        WorkspaceError: nothing is staged.
        ModelError: what it takes is not installed, the base is not there, or its vocabulary is of
            a type that cannot be trimmed.
    """
    folder, texts = _base(workspace), _texts(workspace)
    from flywheel.build.base import load_tokenizer
    from flywheel.build.chat_template import chat_template_for
    from flywheel.build.trimming import trim_tokenizer

    tokenizer = load_tokenizer(folder)
    tokenizer.chat_template = tokenizer.chat_template or chat_template_for(tokenizer)
    shape = read_shape(folder)
    needed = _needs(tokenizer, texts, progress)
    worth = []
    for kept in _choices(needed, _reserve(workspace, tokenizer)):
        trimmed = trim_tokenizer(tokenizer, kept)
        compared = _compared(tokenizer, trimmed, kept, texts, progress)
        num_rows = len(kept.ids)
        # The whole vocabulary stays as it is, with the rows that no token has.
        is_whole = num_rows == len(needed.vocabulary)
        worth.append(_of(compared, shape, shape.vocab_size if is_whole else num_rows))
    return Vocabulary(
        base=workspace.settings.build.base,
        num_tokens=len(needed.vocabulary),
        num_used=len(needed.counts),
        num_passages=needed.num_texts,
        num_bytes=needed.num_bytes,
        worth=tuple(worth),
    )


def trim(workspace: Workspace, folder: Path, size: int, progress: Progress) -> Trimmed:
    """Writes `build.base` with a smaller vocabulary, as a folder of Hugging Face's layout.

    Args:
        folder: made here; must not be there, or be empty.
        size: how many tokens. 0: `build.vocabulary`, or the smallest of SIZES that covers enough.

    Raises:
        UsageError: the folder is in use.
        SettingsError, WorkspaceError, ModelError: as `show` does.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty. Name a new folder for the trimmed base.")
    source, texts = _base(workspace), _texts(workspace)
    from flywheel.build.base import load_base, save
    from flywheel.build.trimming import named_ids, trim_model, trim_tokenizer
    from flywheel.build.vocabulary import choose

    base = load_base(str(source), workspace.root)
    needed = _needs(base.tokenizer, texts, progress)
    reserve = _reserve(workspace, base.tokenizer)
    size = size or workspace.settings.build.vocabulary or _enough(needed, reserve)
    kept = choose(needed, size, reserve=reserve, also=named_ids(base.model))
    trimmed = trim_tokenizer(base.tokenizer, kept)
    compared = _compared(base.tokenizer, trimmed, kept, texts, progress)
    shape = Shape.of(base.model.config.to_dict())
    trim_model(base.model, kept)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    save(base.model, trimmed, part)
    if folder.exists():
        folder.rmdir()
    part.rename(folder)
    return Trimmed(
        folder=folder,
        num_tokens_before=len(needed.vocabulary),
        worth=_of(compared, shape, len(kept.ids)),
        bytes_per_token_before=compared.bytes_per_token_before,
        memory_bytes_before=shape.num_params * _FLOAT_BYTES,
        num_passages=compared.num_texts,
        num_covered=compared.num_covered,
    )


def _base(workspace: Workspace) -> Path:
    named = workspace.settings.build.base
    if named in ("", "new"):
        raise SettingsError(
            "Only a base's vocabulary can be trimmed, and none is named. Name one in "
            "flywheel.toml: [build] base = a folder, or a name on the Hugging Face hub."
        )
    require_extra()
    return base_folder(workspace)


def _texts(workspace: Workspace) -> list[str]:
    """The passages that everybody may read, each below its headings."""
    with workspace.database.read() as conn:
        texts = [
            "\n".join([each.title, *each.headings, each.text])
            for each in documents.iterate_passages(conn)
            if PUBLIC in each.access
        ]
    if not texts:
        raise WorkspaceError(
            "Nothing that everybody may read is staged. Add documents first: `flywheel add FOLDER`."
        )
    return texts


def _needs(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], progress: Progress) -> Needs:
    from flywheel.build.vocabulary import needs

    return needs(tokenizer, _counted(texts, "vocabulary", progress))


def _reserve(workspace: Workspace, tokenizer: PreTrainedTokenizerBase) -> Needs | None:
    """What the owner's general text needs; None where there is none.

    Raises:
        SettingsError: a file of `build.general` is not there, or is no text.
    """
    from flywheel.build.vocabulary import needs

    texts = []
    for name in workspace.settings.build.general:
        path = workspace.root / Path(name).expanduser()
        try:
            texts += path.read_text(encoding="utf-8").splitlines(keepends=True)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"build.general names {path}, which cannot be read.") from error
    return needs(tokenizer, texts) if texts else None


def _choices(needed: Needs, reserve: Needs | None) -> Iterator[Kept]:
    """What is kept at each of SIZES that holds what must be kept, and all of it at last."""
    from flywheel.build.vocabulary import choose

    whole = len(needed.vocabulary)
    for size in (size for size in SIZES if size < whole):
        try:
            kept = choose(needed, size, reserve=reserve)
        except ModelError:
            continue
        yield kept
    yield choose(needed, whole)


def _enough(needed: Needs, reserve: Needs | None) -> int:
    """The smallest size that covers enough of the documents."""
    choices = _choices(needed, reserve)
    return next(len(kept.ids) for kept in choices if needed.covered(kept) >= COVERED_ENOUGH)


def _compared(
    tokenizer: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
    kept: Kept,
    texts: Sequence[str],
    progress: Progress,
) -> Comparison:
    """Both tokenizers on the documents.

    Raises:
        ModelError: a passage of which every token is kept is split otherwise.
    """
    from flywheel.build.trimming import compare

    stage = f"{len(kept.ids)} tokens"
    compared = compare(tokenizer, trimmed, kept, _counted(texts, stage, progress))
    if compared.num_identical < compared.num_covered:
        raise ModelError(
            f"Trimming this base's vocabulary to {len(kept.ids)} tokens would split "
            f"{compared.num_covered - compared.num_identical} passages otherwise than before. "
            "Leave it whole, and report this base."
        )
    return compared


def _of(compared: Comparison, shape: Shape, num_rows: int) -> Worth:
    num_params = replace(shape, vocab_size=num_rows).num_params
    return Worth(
        size=num_rows,
        covered=compared.covered,
        bytes_per_token=compared.bytes_per_token_after,
        memory_bytes=num_params * _FLOAT_BYTES,
        saved=1 - num_params / shape.num_params,
    )


def _counted(texts: Sequence[str], stage: str, progress: Progress) -> Iterator[str]:
    for done, text in enumerate(texts, start=1):
        yield text
        progress(stage, done, len(texts))

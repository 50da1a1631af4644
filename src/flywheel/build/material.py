"""What a model is made from, and the mixture of it that it learns: as the workspace gives it.

Not here: what a mixture is (mixture.py), and how exercises are worded (exercises.py, teacher.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from flywheel.answer.settings import WriteSettings
from flywheel.build import mixture
from flywheel.build.conversations import read_training
from flywheel.build.exercises import Exercises, Library
from flywheel.build.mixture import Mixture
from flywheel.build.overlap import Overlap
from flywheel.build.phases import SEED, Told
from flywheel.build.settings import BuildSettings
from flywheel.build.teacher import taught_by
from flywheel.engine.protocol import Engine
from flywheel.records import (
    Conversation,
    Example,
    ExamQuestion,
    Hit,
    Passage,
    Preference,
    from_json,
    to_json,
)
from flywheel.search.frequencies import Frequencies

TAUGHT = "taught.json"
"""A teacher's words, beside the checkpoints."""
GENERAL_BYTES = 2**20
"""Of general language, that a trimmed vocabulary's reserve is counted on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What a model is made from."""

    passages: tuple[Passage, ...]
    """Those that everybody may read: it may say to anybody what it learned."""
    examples: tuple[Example, ...]
    preferences: tuple[Preference, ...]
    exam: tuple[ExamQuestion, ...]
    """What must not be learned."""
    search: Callable[[str], list[Hit]]
    frequencies: Frequencies
    settings: BuildSettings
    write: WriteSettings
    root: Path
    """What the names of files in the settings are relative to."""
    num_made: int
    """Questions to make from the passages, at most."""
    teacher: Engine | None = None
    """A larger model, whose words the exercises are answered in."""

    @property
    def learned(self) -> tuple[str, ...]:
        """The ids of the feedback that teaches it."""
        told = {each.id for each in self.examples} | {each.id for each in self.preferences}
        return tuple(sorted(told))


def mixed_from(
    material: Material,
    tokenizer: PreTrainedTokenizerFast,
    write: WriteSettings,
    training: Path,
    told: Told,
) -> Mixture:
    """All that the model learns from, in prompts of the length that it will be asked by.

    Args:
        training: where a teacher's words are kept.

    Raises:
        SourceError, FileFormatError: a file that the settings name cannot be read.
        ModelError: the teacher does not answer any more.
    """

    def count_tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    root, settings = material.root, material.settings
    library = Library(
        passages=material.passages,
        search=material.search,
        frequencies=material.frequencies,
        context_tokens=write.context_tokens,
        count_tokens=count_tokens,
        exam=Overlap(material.exam, (each.text for each in material.passages)),
        seed=SEED,
    )
    return mixture.mix(
        library,
        num_made=material.num_made,
        examples=material.examples,
        preferences=material.preferences,
        files=[read_training(root / Path(name).expanduser()) for name in settings.data],
        general=[root / Path(name).expanduser() for name in settings.general],
        teach=lambda made: _taught(made, material, write, training / TAUGHT, told),
    )


def _taught(
    made: Exercises, material: Material, write: WriteSettings, file: Path, told: Told
) -> Exercises:
    """The exercises in a teacher's words; kept, so that a training that goes on learns the same."""
    if material.teacher is None:
        return made
    if not file.is_file():
        taught = taught_by(
            material.teacher,
            made.conversations,
            material.frequencies,
            write,
            lambda done, of: told("the teacher", done, of),
        )
        part = file.with_suffix(".part")
        part.write_text(json.dumps([to_json(each) for each in taught]), encoding="utf-8")
        part.replace(file)
    kept = json.loads(file.read_text(encoding="utf-8"))
    return replace(made, conversations=tuple(from_json(Conversation, each) for each in kept))


def general_of(material: Material) -> Sequence[str]:
    """General language that the owner named, some of it: for a trimmed vocabulary's reserve."""
    paths = [material.root / Path(name).expanduser() for name in material.settings.general]
    return mixture.general_texts(paths, GENERAL_BYTES, Overlap()).train

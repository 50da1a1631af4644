"""flywheel.toml → Settings. A stage's settings stand beside it, where importing that is quick."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from flywheel.answer.settings import DecideSettings, QuoteSettings, WriteSettings
from flywheel.build.settings import BuildSettings
from flywheel.collect.pipeline import CollectSettings
from flywheel.collect.privacy import PrivacySettings
from flywheel.collect.quality import QualitySettings
from flywheel.collect.read import ReadSettings
from flywheel.collect.split import SplitSettings
from flywheel.engine.settings import EngineSettings
from flywheel.errors import SettingsError
from flywheel.learn.trust import LearnSettings
from flywheel.moderation.settings import ModerationSettings
from flywheel.records import StageSettings
from flywheel.wheel.serving import CacheSettings, ServeSettings

FILE = "flywheel.toml"


class StoreSettings(StageSettings):
    """Where what must not be lost is kept."""

    url: str = "sqlite:///flywheel.db"
    """SQLite in the workspace, or `postgresql+psycopg://user:password@host/database`."""


class SearchSettings(StageSettings):
    """How passages are found."""

    embedding: str = ""
    """A sentence-transformers model to search by meaning as well: a folder, or a name on the
    Hugging Face hub that is in the local cache. Empty: full text only, no model needed."""


class ExamSettings(StageSettings):
    """What every turn is measured by."""

    file: str = "exam.jsonl"
    """Held-out questions with gold answers and evidence, relative to the workspace. Where there
    is no such file, an exam is made from the documents and marked as synthetic."""
    num_synthetic: int = Field(default=200, ge=20, le=5000)
    """Questions of such a synthetic exam."""


class GateSettings(StageSettings):
    """What decides whether a new version serves."""

    primary: str = "evidence_mrr"
    """The metric that a challenger must gain on."""
    guards: tuple[str, ...] = ("evidence_recall_at_10", "evidence_quoted", "answer_rouge_l")
    """Metrics that must not fall. The second and the third watch each other: shorter answers
    raise the likeness to short gold answers and drop evidence, longer ones the reverse."""
    margin: float = Field(default=0.05, gt=0, le=0.5)
    """How much a guarded metric may seem to lose at worst."""
    primary_of_writing: str = "answer_rouge_l"
    """The metric that a model's words must gain on over the documents' own, in each language."""
    guards_of_writing: tuple[str, ...] = ("answer_f1", "selective_accuracy", "citation_exact")
    """Metrics that must not fall where a model writes."""

    @property
    def of_writing(self) -> GateSettings:
        """The rules by which a model earns the right to write."""
        return self.model_copy(
            update={"primary": self.primary_of_writing, "guards": self.guards_of_writing}
        )

    @field_validator("primary", "guards", "primary_of_writing", "guards_of_writing")
    @classmethod
    def _known(cls, names: str | tuple[str, ...]) -> str | tuple[str, ...]:
        from flywheel.evaluate.metrics import PER_QUESTION

        for name in [names] if isinstance(names, str) else names:
            if name not in PER_QUESTION:
                raise ValueError(f"{name} is no metric; there are {', '.join(PER_QUESTION)}")
        return names


class Settings(StageSettings):
    """Everything that flywheel.toml may say."""

    store: StoreSettings = StoreSettings()
    read: ReadSettings = ReadSettings()
    quality: QualitySettings = QualitySettings()
    privacy: PrivacySettings = PrivacySettings()
    split: SplitSettings = SplitSettings()
    search: SearchSettings = SearchSettings()
    quote: QuoteSettings = QuoteSettings()
    decide: DecideSettings = DecideSettings()
    write: WriteSettings = WriteSettings()
    build: BuildSettings = BuildSettings()
    engine: EngineSettings = EngineSettings()
    learn: LearnSettings = LearnSettings()
    exam: ExamSettings = ExamSettings()
    gate: GateSettings = GateSettings()
    serve: ServeSettings = ServeSettings()
    cache: CacheSettings = CacheSettings()
    moderation: ModerationSettings = ModerationSettings()

    @property
    def collect(self) -> CollectSettings:
        """The sections that decide what becomes of a file."""
        return CollectSettings(
            read=self.read, quality=self.quality, privacy=self.privacy, split=self.split
        )


def load_settings(path: Path) -> Settings:
    """The settings in a file; what it does not name has its default.

    Raises:
        SettingsError: not TOML, a key that does not exist, or a value out of its range.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_problem(error)}") from error


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "model_type":
        return f"{name} is a section: write [{name}] on a line of its own, its keys below."
    if first["type"] != "extra_forbidden":
        return f"{name}: {first['msg'].removeprefix('Value error, ')}"
    nearest = difflib.get_close_matches(name, _names(Settings), n=1, cutoff=0.4)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return f"there is no setting {name}.{hint}"


def _names(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, info in model.model_fields.items():
        nested = _nested(info.annotation)
        names.append(prefix + name)
        if nested:
            names.extend(_names(nested, f"{prefix}{name}."))
    return names


def _nested(annotation: Any) -> type[BaseModel] | None:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def commented_toml() -> str:
    """A flywheel.toml that says what can be set and sets nothing."""
    lines = ["# Flywheel workspace. Each line below shows a default; remove its # to change it."]
    for section, info in Settings.model_fields.items():
        model = _nested(info.annotation)
        assert model is not None
        lines += ["", f"[{section}]", *_comment(model.__doc__ or "")]
        for name, field in model.model_fields.items():
            lines += [*_comment(field.description or ""), f"#{name} = {_toml(field.default)}"]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line.strip()}" for line in text.strip().splitlines()]


def _toml(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's too.
    return json.dumps(value, ensure_ascii=False)

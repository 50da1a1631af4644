"""A model of the domain's own: what the workspace gives it to learn from, and where it is kept.

What a model learned it may say to anybody, so it learns only from what everybody may read. Light
to import: torch is loaded when a model is built (build/specialist.py).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.answer.assistant import Assistant
from flywheel.answer.prompt import PROMPT_VERSION
from flywheel.build.plan import NEW
from flywheel.build.planned import Plan
from flywheel.build.settings import REPORT_FILE
from flywheel.errors import ModelError, SettingsError, SourceError, WorkspaceError
from flywheel.records import PUBLIC, from_json, to_json
from flywheel.search.index import Reader
from flywheel.store import documents, versions
from flywheel.wheel import planning

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.build.material import Material
    from flywheel.engine.protocol import Engine
    from flywheel.records import ExamQuestion
    from flywheel.store.versions import Version
    from flywheel.wheel.stages import Learnable, Progress
    from flywheel.wheel.workspace import Workspace

TRAINING = "training"
"""The folder of checkpoints beside the stages' artifacts."""
PLAN = "plan.json"
"""Beside the checkpoints: what was measured of the machine differs from time to time."""


def check(workspace: Workspace) -> None:
    """Sees to it that a model can be built, before anything takes its time.

    Raises:
        SettingsError: the settings name none.
        ModelError: what it takes is not installed, or the base is not there.
    """
    settings = workspace.settings
    if settings.engine.url:
        from flywheel.engine.remote import RemoteEngine

        RemoteEngine.open(settings.engine).close()
        if not settings.build.base:
            return
    if not settings.build.base:
        raise SettingsError(
            'Name what the model starts from in flywheel.toml: [build] base = "new", a folder, or '
            "a name on the Hugging Face hub. `flywheel plan` says what fits."
        )
    planning.require_extra()
    if settings.build.base != NEW:
        planning.base_folder(workspace)


def writer(
    workspace: Workspace,
    index: str,
    learnable: Learnable,
    exam: Sequence[ExamQuestion],
    progress: Progress,
) -> dict[str, Any]:
    """What words answers, as a bundle has it: a model of one's own, or the engine that is named.

    Where both are named, the engine is the model's teacher.

    Raises:
        ModelError: it cannot be built here, or what is to be served is not what was trained.
    """
    settings = workspace.settings
    if not settings.build.base:
        write = settings.write.model_dump(mode="json")
        engine = {"url": settings.engine.url, "model": settings.engine.model}
        return {"model": "", "engine": engine, "write": write, "prompt": PROMPT_VERSION}
    key = model(workspace, index, learnable, exam, progress)
    write = report(workspace, key)["write"]
    return {"model": key, "engine": {}, "write": write, "prompt": PROMPT_VERSION}


def model(
    workspace: Workspace,
    index_key: str,
    learnable: Learnable,
    exam: Sequence[ExamQuestion],
    progress: Progress,
) -> str:
    """The model of the domain, as `[build]` says. Returns the artifact's key."""
    from flywheel.build import specialist
    from flywheel.build.material import Material
    from flywheel.wheel import stages

    index = stages.opened(workspace, index_key)
    passages = tuple(each for each in index.passages() if PUBLIC in each.access)
    if not passages:
        raise ModelError(
            "A model learns only from what everybody may read, and every document has an access "
            "label. Add some without one."
        )
    assistant = Assistant(index)
    material = Material(
        passages=passages,
        examples=tuple(each for each in learnable.examples if PUBLIC in each.access),
        preferences=tuple(each for each in learnable.preferences if PUBLIC in each.access),
        exam=tuple(exam),
        search=lambda question: assistant.search(question, Reader()),
        frequencies=index.frequencies,
        settings=workspace.settings.build,
        write=workspace.settings.write,
        root=workspace.root,
        num_made=planning.num_made(len(passages)),
    )
    inputs = _inputs(workspace, material)
    key = workspace.artifacts.key("model", specialist.CODE_VERSION, inputs)
    training = _training(workspace, inputs)

    def make(folder: Path) -> None:
        plan = _planned(workspace, learnable, training / PLAN)
        with _teacher(workspace) as teacher:
            taught = replace(material, teacher=teacher)
            specialist.build(plan, taught, folder, training, progress)

    workspace.artifacts.build("model", key, make)
    shutil.rmtree(training, ignore_errors=True)
    return key


@contextmanager
def _teacher(workspace: Workspace) -> Iterator[Engine | None]:
    """The engine that the settings name beside a base, for as long as it teaches."""
    if not workspace.settings.engine.url:
        yield None
        return
    from flywheel.engine.remote import RemoteEngine

    engine = RemoteEngine.open(workspace.settings.engine)
    try:
        yield engine
    finally:
        engine.close()


def _planned(workspace: Workspace, learnable: Learnable, file: Path) -> Plan:
    """The plan that a training began with, so that it goes on as it began; else a new one."""
    if file.is_file():
        return from_json(Plan, json.loads(file.read_text(encoding="utf-8")))
    plan = planning.plan(workspace, learnable)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(to_json(plan), indent=1), encoding="utf-8")
    part.replace(file)
    return plan


def _training(workspace: Workspace, inputs: Mapping[str, Any]) -> Path:
    """Where checkpoints lie. Another precision of the served file is no other training; what is
    left of a training for which anything else was different is deleted."""
    settings = {key: each for key, each in inputs["settings"].items() if key != "precision"}
    own = dict(inputs) | {"settings": settings}
    folder = workspace.artifacts.root / TRAINING
    folder.mkdir(parents=True, exist_ok=True)
    training = folder / workspace.artifacts.key(TRAINING, 1, own)
    for other in folder.iterdir():
        if other != training:
            shutil.rmtree(other)
    training.mkdir(exist_ok=True)
    return training


def _inputs(workspace: Workspace, material: Material) -> dict[str, Any]:
    """All that a model depends on, but the machine."""
    settings = material.settings
    named = [*settings.data, *settings.general]
    from flywheel.build import export, loop, mixture

    versions_of = [mixture.CODE_VERSION, loop.CODE_VERSION, export.CODE_VERSION]
    files = {name: _digest(workspace.root / Path(name).expanduser()) for name in named}
    base = {} if settings.base == NEW else _base_digest(planning.base_folder(workspace))
    learned = [to_json(replace(each, group="")) for each in material.examples]
    chosen = [to_json(replace(each, group="")) for each in material.preferences]
    return {
        "passages": documents.digest_of(material.passages),
        "learned": _hashed([*learned, *chosen]),
        "exam": _hashed([to_json(each) for each in material.exam]),
        "settings": settings.model_dump(mode="json"),
        "write": material.write.model_dump(mode="json"),
        "files": files,
        "code": versions_of,
        "teacher": [workspace.settings.engine.url, workspace.settings.engine.model],
        "base": base,
    }


def _base_digest(folder: Path) -> dict[str, str]:
    """Of what makes a base another one; 1.2 GB of weights take 2 s."""
    return {
        place.name: _digest(place)
        for place in sorted(folder.iterdir())
        if place.suffix in (".json", ".txt", ".jinja", ".safetensors")
    }


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}.") from error


def _hashed(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def report(workspace: Workspace, key: str) -> dict[str, Any]:
    """How a model was built and what it is worth, as `specialist.Made` in JSON.

    Raises:
        WorkspaceError: it is missing from the artifacts.
    """
    folder = workspace.artifacts.find("model", key)
    if folder is None:
        raise WorkspaceError(
            f"A model is missing from {workspace.artifacts.root}. `flywheel turn --model` builds "
            "it again."
        )
    found: dict[str, Any] = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
    return found


def put_lineage(conn: Connection, workspace: Workspace, version: Version) -> None:
    """Keeps what the version's models were made of, so that an erasure finds them."""
    for each in version.bundle.get("writers", {}).values():
        if each["model"] and not versions.held_by(conn, each["model"]):
            made = report(workspace, each["model"])
            versions.put_held(conn, each["model"], [*made["documents"], *made["learned"]])

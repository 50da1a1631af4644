"""What fits this machine and this workspace: reads both, and hands them to build/plan.py.

Not here: any rule (build/rules.py), and the training (wheel/turn.py).
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.build.corpus import Corpus, Sample, count, per_token
from flywheel.build.plan import NEW, NEW_CONTEXT, base_context, make_plan
from flywheel.build.planned import Plan
from flywheel.build.shape import Shape
from flywheel.errors import EngineError, ModelError
from flywheel.records import PUBLIC, Conversation, ConversationPair, Message
from flywheel.store import documents
from flywheel.wheel import learning

if TYPE_CHECKING:
    from flywheel.build.pace import Pace
    from flywheel.learn.preferences import Learned
    from flywheel.wheel.stages import Learnable
    from flywheel.wheel.workspace import Workspace

MADE_PER_PASSAGE = 2
MOST_MADE = 1000
"""Questions made from the passages; each takes a search, 25 to 60 ms."""
FILLED = 0.7
"""Of the prompt's budget, that the passages of an exercise fill on average: 0.68 on the example,
0.74 on statutes."""

_NEEDED = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "safetensors",
    "gguf",
    "jinja2",
    "pyppmd",
    "xllamacpp",
)
"""The extra's modules: what trains, what is asked for on the way, and what serves in the end."""


def plan(workspace: Workspace, taught: Learned | Learnable | None = None) -> Plan:
    """The plan for the workspace's own model; takes some seconds, most of them for trying out.

    Args:
        taught: what feedback teaches, where that is known already; else it is read.

    Raises:
        ModelError: torch is not installed, the base is not there or of an unknown architecture,
            there is nothing to learn from, or nothing fits.
    """
    require_extra()
    from flywheel.build import allocator
    from flywheel.build.machine import probe
    from flywheel.build.pace import EVEN, measure_pace

    settings = workspace.settings.build
    base = None if settings.base in ("", NEW) else base_folder(workspace)
    shape = read_shape(base) if base else None
    corpus = read_corpus(workspace, base, taught or learning.learned(workspace))
    machine = probe()
    pace: Pace = EVEN
    planned = make_plan(corpus, machine, settings, shape, pace)
    if planned.is_tight:
        # As the training itself: the trial's time is for what the training will do.
        allocator.give_back()
    for _ in range(2):
        # Tried out on the draft's sizes; a quicker or slower machine may lead to another one.
        pace = measure_pace(planned.step, machine)
        allocator.trim()
        again = make_plan(corpus, machine, settings, shape, pace)
        if again.shape.width == planned.shape.width:
            return again
        planned = again
    return planned


def require_extra() -> None:
    """Says what to install where something of what trains and serves models is missing.

    Raises:
        ModelError: it is, or the engine does not load, as without the system's libgomp1.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"A model of one's own needs {', '.join(missing)}: not installed here. "
            "`pip install torch==2.13.0`, then `pip install 'flywheel-assistant[model]'` "
            "(docs/models.md)."
        )
    from flywheel.engine.llama_server import library

    try:
        library()
    except EngineError as error:
        raise ModelError(str(error)) from error


def base_folder(workspace: Workspace) -> Path:
    """The folder of the base that the settings name.

    Raises:
        ModelError: it is not on this machine.
    """
    from flywheel.build.base import find_base

    return find_base(workspace.settings.build.base, workspace.root)


def read_shape(folder: Path) -> Shape:
    """The shape of a base.

    Raises:
        ModelError: it has no config.json, or is of another architecture.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no model: its config.json cannot be read.") from error
    return Shape.of(config)


def num_made(num_passages: int) -> int:
    """How many questions are made from passages for a model to learn from."""
    return min(MOST_MADE, MADE_PER_PASSAGE * num_passages)


def read_corpus(workspace: Workspace, base: Path | None, taught: Learned | Learnable) -> Corpus:
    """What the workspace holds to learn from, counted with the base's tokenizer or a new one.

    Only what everybody may read. Exercises are counted as they will be: as many as are made, each
    as long as a prompt may be, and feedback as it stands.
    """
    sample, languages, num_passages = Sample(), Counter[Any](), 0
    with workspace.database.read() as conn:
        for passage in documents.iterate_passages(conn):
            if PUBLIC in passage.access:
                num_passages += 1
                languages[passage.language] += sample.add(passage.text)
    conversations, pairs = _items(workspace)
    num_exercises = num_made(num_passages) + sum(PUBLIC in each.access for each in taught.examples)
    preferences = [each for each in taught.preferences if PUBLIC in each.access]
    write = workspace.settings.write
    longest = base_context(read_shape(base)) if base else NEW_CONTEXT
    context = min(write.context_tokens, longest)
    per_token = _per_token(sample.texts, base)
    exercise_bytes = round(FILLED * context * sorted(per_token.values())[len(per_token) // 2])
    return Corpus(
        num_bytes=sample.num_bytes,
        bytes_per_token=per_token,
        num_conversations=len(conversations) + num_exercises,
        num_pairs=len(pairs) + len(preferences),
        conversation_bytes=sum(_size(each.messages) for each in conversations)
        + num_exercises * exercise_bytes,
        pair_bytes=sum(
            _size(pair.prompt) + len(pair.chosen.encode()) + len(pair.rejected.encode())
            for pair in pairs
        )
        + sum(
            exercise_bytes + len(each.chosen.encode()) + len(each.rejected.encode())
            for each in preferences
        ),
        languages=tuple(language for language, _ in languages.most_common()),
    )


def _per_token(texts: list[str], base: Path | None) -> dict[int, float]:
    if base is None:
        return count(texts)
    from flywheel.build.base import load_tokenizer

    tokenizer = load_tokenizer(base)

    def num_tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    return {read_shape(base).vocab_size: per_token(texts, num_tokens)}


def _items(workspace: Workspace) -> tuple[list[Conversation], list[ConversationPair]]:
    """What the owner's files hold."""
    from flywheel.build.conversations import read_training

    conversations: list[Conversation] = []
    pairs: list[ConversationPair] = []
    for name in workspace.settings.build.data:
        training = read_training(workspace.root / Path(name).expanduser())
        conversations += training.conversations
        pairs += training.pairs
    return conversations, pairs


def _size(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content.encode()) for message in messages)

"""A model of the domain's own, from what it is to learn to the file that serves.

    texts → vocabulary → base → exercises → phases of training → merged → GGUF → parity → its worth

The plot of all that builds a model; each step has a file of its own. A training that is stopped
goes on from its checkpoints, the rest is made again.

Not here: where the material comes from, and whether the model may speak (wheel/modelling.py,
wheel/writing.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from flywheel.answer.prompt import TEMPLATE_TOKENS
from flywheel.answer.settings import WriteSettings
from flywheel.build import adapters, allocator, compression, mixture, parity, peak, phases
from flywheel.build.base import Base, load_base, new_model, save
from flywheel.build.compression import BitsPerByte
from flywheel.build.export import Exported, require_exportable, write_gguf
from flywheel.build.gguf_vocabulary import read_vocabulary
from flywheel.build.keystrokes import Keystrokes, keystrokes
from flywheel.build.material import Material, general_of, mixed_from
from flywheel.build.mixture import Mixture
from flywheel.build.parity import Parity
from flywheel.build.phases import SEED, Told
from flywheel.build.plan import NEW
from flywheel.build.planned import Outcome, Phase, Plan, outcome
from flywheel.build.settings import MODEL_FILE, REPORT_FILE, BuildSettings
from flywheel.build.training import Report
from flywheel.build.trimming import named_ids, trim_model, trim_tokenizer
from flywheel.build.vocabulary import choose, needs, train_tokenizer
from flywheel.engine.embedded import EmbeddedEngine
from flywheel.errors import ModelError
from flywheel.records import (
    Message,
    to_json,
)

CODE_VERSION = 2

TRAINED = "trained"
MOST_OF_CONTEXT = 0.25
"""Of a small model's context, that an answer may take."""
SMALL = 50_000_000
"""Parameters up to which a model types for keystrokes, and is scored on as much text as
compression.py takes; a larger one would take longer at that than an exam."""
LARGE_BYTES = 8 * 1024
NUM_PARITY_PROMPTS = 20
PARITY_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A model, as it was built and measured."""

    plan: Plan
    outcome: Outcome
    phases: tuple[Report, ...]
    num_tokens: int
    """Of its vocabulary."""
    num_exercises: int
    num_pairs: int
    dropped: Mapping[str, int]
    """What was not learned from, by the reason."""
    exported: Exported
    parity: Parity
    bits: BitsPerByte | None
    """None where no document was held out."""
    keys: tuple[Keystrokes, ...]
    """With one continuation shown, and with several; of the same text."""
    write: WriteSettings
    """What it may be given to read and may write, within its context."""
    learned: tuple[str, ...]
    """The ids of the feedback that taught it."""
    documents: tuple[str, ...]
    """The ids of the documents that it learned from."""
    notes: tuple[str, ...] = ()


def build(plan: Plan, material: Material, folder: Path, training: Path, told: Told) -> Made:
    """Builds a model into a folder: the file that serves, what it was made of, and the report.

    Args:
        training: where checkpoints lie, which outlive this call if it is stopped.

    Raises:
        ModelError: the base cannot be used, the loss is no number, or what was exported is not
            what was trained.
        FileFormatError: a file of `build.data` or `build.general` cannot be read.
        KeyboardInterrupt: on Ctrl-C; what was trained is kept as a checkpoint.
    """
    if plan.is_tight:
        allocator.give_back()
    # Held-out documents stay unseen in every way: the model is measured on them.
    texts = mixture.texts(material.passages).train
    told("vocabulary", 0, 1)
    model, tokenizer, notes = _begun(plan, material, texts)
    told("vocabulary", 1, 1)
    require_exportable(model)
    read_vocabulary(tokenizer, model.config.vocab_size)
    write = _within(material.write, plan)
    told("exercises", 0, 1)
    mixed = mixed_from(material, tokenizer, write, training, told)
    told("exercises", 1, 1)
    before = _held_besides(model, plan)
    trainable = _trainable(model, plan)
    learned: list[tuple[Phase, Report]] = []
    left_out = Counter(each.reason for each in mixed.dropped)
    for phase in plan.phases:
        data = phases.data_of(tokenizer, phase, mixed, plan.step.context, left_out)
        if data:
            done = phases.learn(trainable, data, plan, phase, training, material.settings, told)
            learned.append((phase, done))
    # In full precision first: half of it would round away much of what an adapter learned.
    torch.nn.Module.to(trainable, device="cpu", dtype=torch.float32)
    merged = adapters.merge(trainable)
    merged.eval()  # type: ignore[no-untyped-call]
    save(merged, tokenizer, folder / TRAINED)
    told("export", 0, 2)
    exported = write_gguf(merged, tokenizer, folder / MODEL_FILE, material.settings.precision)
    told("export", 1, 2)
    checked = _checked(folder / MODEL_FILE, merged, tokenizer, mixed, plan, material.settings)
    told("export", 2, 2)
    made = Made(
        plan=plan,
        outcome=_outcome(plan, learned, before),
        phases=tuple(done for _, done in learned),
        num_tokens=len(tokenizer),
        num_exercises=len(mixed.conversations.train) + len(mixed.conversations.held_out),
        num_pairs=len(mixed.pairs.train) + len(mixed.pairs.held_out),
        dropped=dict(left_out),
        exported=exported,
        parity=checked,
        bits=_bits(merged, tokenizer, mixed, told),
        keys=_keys(merged, tokenizer, mixed, told),
        write=write,
        learned=material.learned,
        documents=tuple(sorted({each.document for each in material.passages})),
        notes=notes,
    )
    (folder / REPORT_FILE).write_text(json.dumps(to_json(made), indent=1), encoding="utf-8")
    return made


def _begun(
    plan: Plan, material: Material, texts: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, tuple[str, ...]]:
    """The model before it learns anything, its tokenizer, and what its owner should know."""
    if plan.base == NEW:
        tokenizer = train_tokenizer(texts, plan.shape.vocab_size)
        shape = replace(plan.shape, vocab_size=len(tokenizer))
        return new_model(shape, tokenizer, SEED, context=plan.step.context), tokenizer, ()
    is_lora = plan.step.method == "lora"
    is_halved = is_lora and plan.step.number == "bfloat16"
    dtype = torch.bfloat16 if is_halved else torch.float32
    base = load_base(plan.base, material.root, dtype=dtype)
    _require_spelling(base, texts)
    if plan.shape.vocab_size >= len(base.tokenizer):
        return base.model, base.tokenizer, base.notes
    # What general language needs, where the owner named some, is worth more than the lowest ids.
    general = general_of(material)
    kept = choose(
        needs(base.tokenizer, texts),
        plan.shape.vocab_size,
        reserve=needs(base.tokenizer, general) if general else None,
        also=named_ids(base.model),
    )
    trimmed = trim_tokenizer(base.tokenizer, kept)
    trim_model(base.model, kept)
    note = f"its vocabulary is trimmed from {len(base.tokenizer)} tokens to {len(trimmed)}"
    return base.model, trimmed, (*base.notes, note)


def _require_spelling(base: Base, texts: Sequence[str]) -> None:
    """
    Raises:
        ModelError: the base has neither tokens nor bytes for some character of the texts.
    """
    unknown = base.tokenizer.unk_token_id
    if unknown is None:
        return
    for text in texts:
        encoded = base.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        if unknown in encoded["input_ids"]:
            start, end = encoded["offset_mapping"][encoded["input_ids"].index(unknown)]
            raise ModelError(
                f"{base.source.name} cannot write these documents: it has no token for "
                f"{text[start:end]!r} and no bytes to spell it. Name another base."
            )


def _within(write: WriteSettings, plan: Plan) -> WriteSettings:
    """What a model of this context can be given to read, and may write."""
    context = plan.step.context
    most = min(write.max_tokens, int(context * MOST_OF_CONTEXT))
    room = context - most - TEMPLATE_TOKENS
    return write.model_copy(
        update={"context_tokens": min(write.context_tokens, room), "max_tokens": most}
    )


def _held_besides(model: PreTrainedModel, plan: Plan) -> int:
    """What the process holds beside the model, in bytes; of a card, nothing yet."""
    device = torch.device(plan.device)
    if device.type == "cuda":
        return 0
    peak.begin(device)
    own = sum(each.numel() * each.element_size() for each in model.parameters())
    return max(0, peak.peak_bytes(device) - own)


def _trainable(model: PreTrainedModel, plan: Plan) -> adapters.Trainable:
    if plan.step.method != "lora":
        return model
    return adapters.add_lora(model, rank=plan.step.rank, seed=SEED)


def _checked(
    file: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    mixed: Mixture,
    plan: Plan,
    settings: BuildSettings,
) -> Parity:
    """The served file against the trained model, on texts and on prompts as they will be asked.

    Raises:
        ModelError: they differ; says on which prompt and token.
    """
    texts = [*mixed.documents.held_out, *mixed.documents.train][: NUM_PARITY_PROMPTS // 2]
    asked = [*mixed.conversations.held_out, *mixed.conversations.train]
    asked = asked[: NUM_PARITY_PROMPTS - len(texts)]
    prompts: list[str | Sequence[Message]] = [text[:PARITY_CHARACTERS] for text in texts]
    prompts += [each.messages[:-1] for each in asked]
    room = max(plan.step.context, parity.MAX_PROMPT_TOKENS) + parity.NUM_NEW_TOKENS + 1
    engine = EmbeddedEngine.open(file, num_slots=1, context_tokens=room)
    try:
        found = parity.check(engine, model, tokenizer, prompts, precision=settings.precision)
    finally:
        engine.close()
    parity.require(found)
    return found


def _outcome(plan: Plan, learned: Sequence[tuple[Phase, Report]], before: int) -> Outcome:
    """What was predicted beside what it took, as if every phase had gone to its last step."""
    seconds = sum(
        done.num_tokens / done.tokens_per_second * phase.num_steps / max(1, done.num_steps)
        for phase, done in learned
        if done.tokens_per_second
    )
    measured = max((each.peak_memory_bytes for _, each in learned), default=before)
    planned = replace(plan, phases=tuple(phase for phase, _ in learned)) if learned else plan
    return outcome(planned, measured - before, seconds)


def _bits(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, mixed: Mixture, told: Told
) -> BitsPerByte | None:
    if not mixed.documents.held_out:
        return None
    told("bits per byte", 0, 1)
    max_bytes = compression.MAX_BYTES if _is_small(model) else LARGE_BYTES
    found = compression.compare(
        model, tokenizer, mixed.documents.held_out, mixed.documents.train, max_bytes
    )
    told("bits per byte", 1, 1)
    return found


def _keys(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, mixed: Mixture, told: Told
) -> tuple[Keystrokes, ...]:
    if not mixed.documents.held_out or not _is_small(model):
        return ()
    told("keystrokes", 0, 1)
    found = keystrokes(model, tokenizer, mixed.documents.held_out)
    told("keystrokes", 1, 1)
    return found


def _is_small(model: PreTrainedModel) -> bool:
    return sum(each.numel() for each in model.parameters()) <= SMALL

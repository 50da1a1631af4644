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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from flywheel.answer.prompt import TEMPLATE_TOKENS
from flywheel.answer.settings import WriteSettings
from flywheel.build import adapters, allocator, compression, loop, mixture, parity, peak
from flywheel.build.base import Base, load_base, new_model, save
from flywheel.build.batches import Rows, pack, pairs_as_rows
from flywheel.build.compression import BitsPerByte
from flywheel.build.conversations import read_training
from flywheel.build.exercises import Exercises, Library
from flywheel.build.export import Exported, require_exportable, write_gguf
from flywheel.build.gguf_vocabulary import read_vocabulary
from flywheel.build.keystrokes import Keystrokes, keystrokes
from flywheel.build.loop import Report, TrainingData, TrainSettings
from flywheel.build.mixture import GENERAL_SHARE, Mixture
from flywheel.build.objectives import DirectPreference, NextToken, Objective, Supervised
from flywheel.build.overlap import Overlap
from flywheel.build.parity import Parity
from flywheel.build.plan import NEW
from flywheel.build.planned import Outcome, Phase, Plan, outcome
from flywheel.build.sequences import (
    tokenise_conversations,
    tokenise_pairs,
    tokenise_texts,
)
from flywheel.build.settings import MODEL_FILE, REPORT_FILE, BuildSettings
from flywheel.build.teacher import taught_by
from flywheel.build.trimming import named_ids, trim_model, trim_tokenizer
from flywheel.build.vocabulary import choose, needs, train_tokenizer
from flywheel.engine.embedded import EmbeddedEngine
from flywheel.engine.protocol import Engine
from flywheel.errors import ModelError
from flywheel.records import (
    Conversation,
    Example,
    ExamQuestion,
    Hit,
    Message,
    Passage,
    Preference,
    from_json,
    to_json,
)
from flywheel.search.frequencies import Frequencies

CODE_VERSION = 2

SEED = 1
TRAINED = "trained"
TAUGHT = "taught.json"
"""A teacher's words, beside the checkpoints."""

MOST_OF_CONTEXT = 0.25
"""Of a small model's context, that an answer may take."""
PATIENCE = 2
NUM_LOOKS = 5
"""Looks at the validation part in one phase, each of which leaves a checkpoint."""
LOOKED_AT_SHARE = 0.02
"""Of a phase's tokens, in one look; a document of any length may be held out."""
SMALL = 50_000_000
"""Parameters up to which a model types for keystrokes, and is scored on as much text as
compression.py takes; a larger one would take longer at that than an exam."""
LARGE_BYTES = 8 * 1024
GENERAL_BYTES = 2**20
"""Of general language, that a trimmed vocabulary's reserve is counted on."""
NUM_PARITY_PROMPTS = 20
PARITY_CHARACTERS = 300

Told = Callable[[str, int, int], None]
"""A stage's name, how much of it is done, and how much there is."""


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
    mixed = _mixed(material, tokenizer, write, training, told)
    told("exercises", 1, 1)
    before = _held_besides(model, plan)
    trainable = _trainable(model, plan)
    learned: list[tuple[Phase, Report]] = []
    left_out = Counter(each.reason for each in mixed.dropped)
    for phase in plan.phases:
        data = _data(tokenizer, phase, mixed, plan.step.context, left_out)
        if data:
            done = _trained(trainable, data, plan, phase, training, material.settings, told)
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
    general = _general(material)
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


def _general(material: Material) -> Sequence[str]:
    paths = [material.root / Path(name).expanduser() for name in material.settings.general]
    return mixture.general_texts(paths, GENERAL_BYTES, Overlap()).train


def _within(write: WriteSettings, plan: Plan) -> WriteSettings:
    """What a model of this context can be given to read, and may write."""
    context = plan.step.context
    most = min(write.max_tokens, int(context * MOST_OF_CONTEXT))
    room = context - most - TEMPLATE_TOKENS
    return write.model_copy(
        update={"context_tokens": min(write.context_tokens, room), "max_tokens": most}
    )


def _mixed(
    material: Material,
    tokenizer: PreTrainedTokenizerFast,
    write: WriteSettings,
    training: Path,
    told: Told,
) -> Mixture:
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


def _trained(
    model: adapters.Trainable,
    data: TrainingData,
    plan: Plan,
    phase: Phase,
    training: Path,
    settings: BuildSettings,
    told: Told,
) -> Report:
    """One phase: the model in place, and what became of it."""
    step = plan.step
    objectives: dict[str, Objective] = {
        "next_token": NextToken(),
        "supervised": Supervised(),
        "preference": DirectPreference(),
    }
    # All phases together may take what the owner allows, each in its share of the plan.
    allowed = 60 * settings.max_minutes * phase.seconds / plan.seconds
    name = f"learning {'text' if phase.objective == 'next_token' else phase.objective}"

    def follow(at: loop.Progress) -> None:
        per_step = phase.num_tokens // phase.num_steps
        told(f"{name}, in tokens", at.step * per_step, at.num_steps * per_step)

    return loop.train(
        model,
        data,
        objectives[phase.objective],
        TrainSettings(
            num_steps=phase.num_steps,
            batch_rows=step.rows * step.accumulation,
            micro_rows=step.rows,
            learning_rate=phase.learning_rate,
            seed=SEED,
            evaluate_every=max(1, phase.num_steps // NUM_LOOKS),
            patience=PATIENCE,
            replay_share=GENERAL_SHARE if data.replay else 0.0,
            precision="bf16" if step.number == "bfloat16" else "f32",
            save_memory=step.recompute,
            max_seconds=allowed,
        ),
        training / phase.objective,
        follow,
        torch.device(plan.device),
    )


def _data(
    tokenizer: PreTrainedTokenizerFast,
    phase: Phase,
    mixed: Mixture,
    context: int,
    left_out: Counter[str],
) -> TrainingData | None:
    """What a phase learns from and is looked at by; None where nothing fits into the context."""

    def text(texts: Sequence[str]) -> Rows | None:
        sequences = tokenise_texts(texts, tokenizer, context)
        return pack(sequences, context, SEED) if sequences else None

    def said(part: str) -> Rows | None:
        if phase.objective == "next_token":
            return text(getattr(mixed.documents, part))
        if phase.objective == "supervised":
            of = tokenise_conversations(getattr(mixed.conversations, part), tokenizer, context)
            left_out.update(of.num_left_out)
            return pack(of.items, context, SEED) if of.items else None
        pairs = tokenise_pairs(getattr(mixed.pairs, part), tokenizer, context)
        left_out.update(pairs.num_left_out)
        return pairs_as_rows(pairs.items) if pairs.items else None

    train = said("train")
    if train is None:
        return None
    looked_at = round(LOOKED_AT_SHARE * phase.num_tokens / context)
    return TrainingData(
        train=train,
        validation=_first(said("held_out"), looked_at),
        replay=text(mixed.general.train),
        general=_first(text(mixed.general.held_out), looked_at),
    )


def _first(rows: Rows | None, count: int) -> Rows | None:
    return rows and replace(rows, rows=rows.rows[: max(1, count)])


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

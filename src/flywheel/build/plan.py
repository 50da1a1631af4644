"""What fits: a model's sizes, its training and what they cost, for a machine, a corpus and a time.

Every value comes with its reason and the rule's source, so that whoever disagrees knows with what.
The same inputs give the same plan: what was measured of the machine is one of them.

Not here: the probe (machine.py), memory and time of one step (footprint.py, pace.py), the rules
(rules.py), the counting of tokens (corpus.py), the words of the reasons (reasons.py), and the
training itself (loop.py). Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from flywheel.answer.prompt import TEMPLATE_TOKENS
from flywheel.build import rules
from flywheel.build.bases import BASES
from flywheel.build.corpus import SIZES, Corpus
from flywheel.build.footprint import Number, Step, footprint
from flywheel.build.machine import Machine
from flywheel.build.pace import EVEN, Pace, Speeds, speeds, step_seconds
from flywheel.build.planned import GIB, Device, Objective, Phase, Plan
from flywheel.build.reasons import explained
from flywheel.build.settings import BuildSettings
from flywheel.build.shape import Shape
from flywheel.errors import ModelError

NEW = "new"

Rates = dict[Objective, float]

SUPERVISED_SHARE = 0.4
PREFERENCE_SHARE = 0.2
"""Of the time, at most; the text has the rest."""
RANK = 16
MIN_STEPS = 20
"""Fewer steps change nothing that an exam could see."""
ENOUGH_STEPS = 100
"""From here on a base's batches need not be smaller than they are best."""
MARGIN = 1.15
"""How much of what is predicted has to be free: the prediction is good to 15 %."""
QUICKER = 1.5
"""How much quicker products in bfloat16 must be: it halves the digits, and does nothing for what
is no product."""
NEW_CONTEXT = 512
BASE_CONTEXT = 2048
"""Holds what `[write]` gives a model to read, 1,500 tokens, and an answer of 300; less where the
base is made for less."""
MIN_CONTEXT = 256
BASE_BATCH_TOKENS = 16_384
"""Of a base's step at most: LoRA bears large batches worse than full training (LORA_HOLDS)."""
TRIM_FROM = 1.5
"""A base's vocabulary is trimmed where it is so many times what its body deserves."""

LADDER = (
    (64, 2),
    (64, 4),
    (128, 3),
    (128, 5),
    (192, 5),
    (256, 5),
    (256, 8),
    (384, 7),
    (384, 10),
    (512, 10),
    (640, 11),
    (768, 12),
    (896, 15),
    (1024, 20),
)
"""Width and depth of new models, from the smallest: 16 to 60 columns a layer, within which the
loss hardly depends on the aspect (rules.ASPECT)."""


def make_plan(
    corpus: Corpus,
    machine: Machine,
    settings: BuildSettings,
    base: Shape | None = None,
    pace: Pace = EVEN,
) -> Plan:
    """The plan for a corpus on a machine.

    Args:
        base: the shape of the base that the settings name; None plans a new model.
        pace: how steps of such a model went here (`pace.measure_pace`); without it, time is told
            from the machine's speeds alone.

    Raises:
        ModelError: there is nothing to learn from, or not even the smallest fits; says what would.
    """
    if corpus.num_bytes + corpus.conversation_bytes == 0:
        raise ModelError(
            "There is no text to learn from. Add documents with `flywheel add`, or name files of "
            "conversations as build.data."
        )
    room = Room.of(machine, settings, pace)
    plan = _new(corpus, room, settings) if base is None else _of(base, corpus, room, settings)
    return explained(plan, corpus, machine, settings, base)


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a plan may use, and how quick it goes there."""

    device: Device
    number: Number
    memory_bytes: int
    seconds: float
    speeds: Speeds
    pace: Pace

    @classmethod
    def of(cls, machine: Machine, settings: BuildSettings, pace: Pace = EVEN) -> Room:
        """The card's room where there is one that works, else the machine's."""
        card = machine.usable_card
        place = card or machine
        free = card.free_bytes if card else machine.available_bytes
        named = int(settings.max_memory_gb * GIB)
        quick = place.bf16_flops >= QUICKER * place.fp32_flops
        return cls(
            device="cuda" if card else "cpu",
            number="bfloat16" if quick else "float32",
            memory_bytes=min(named, free) if named else free,
            seconds=60 * settings.max_minutes,
            speeds=speeds(machine, is_half=quick),
            pace=pace,
        )

    def holds(self, step: Step) -> bool:
        """Whether a step fits, with the margin that a prediction needs."""
        return MARGIN * footprint(step).total <= self.memory_bytes

    def seconds_per_token(self, step: Step) -> float:
        return step_seconds(step, self.speeds, self.pace) / step.num_tokens


def _new(corpus: Corpus, room: Room, settings: BuildSettings) -> Plan:
    """The largest new model whose text, time and memory are there; else the smallest."""
    for width, depth in reversed(LADDER):
        shape = new_shape(width, depth, _new_vocabulary(width, depth, corpus, settings))
        wanted = rules.TOKENS_PER_PARAMETER * shape.num_params
        enough = rules.EPOCHS * corpus.num_tokens(shape.vocab_size) >= wanted
        plan = _planned_new(shape, wanted, corpus, room) if enough else None
        if plan and plan.num_text_tokens + plan.step.num_tokens >= wanted:
            return plan
    return _smallest(corpus, room, settings)


def _smallest(corpus: Corpus, room: Room, settings: BuildSettings) -> Plan:
    """The smallest new model, on more passes over the text than are worth it, or on fewer tokens.

    Raises:
        ModelError: it does not fit in memory, or in the time there is hardly a step.
    """
    width, depth = LADDER[0]
    shape = new_shape(width, depth, _new_vocabulary(width, depth, corpus, settings))
    there = rules.MOST_EPOCHS * corpus.num_tokens(shape.vocab_size)
    wanted = min(rules.TOKENS_PER_PARAMETER * shape.num_params, there)
    plan = _planned_new(shape, wanted, corpus, room)
    if plan is None:
        needed = footprint(_least_step(shape, "new", room)).total
        raise ModelError(
            f"Not even the smallest new model fits: it needs {_gb(MARGIN * needed)} GB of memory, "
            f"and {_gb(room.memory_bytes)} are there. Free some, or raise build.max_memory_gb."
        )
    step = plan.step
    fewest = min(MIN_STEPS * step.num_tokens, wanted)
    if plan.num_text_tokens + step.num_tokens < fewest:
        minutes = fewest * room.seconds_per_token(step) / 60 / (1 - _most_other_share(corpus))
        raise ModelError(
            f"Not even the smallest new model is done in {settings.max_minutes:g} minutes here. "
            f"Set build.max_minutes to {_rounded_up(minutes):g} or more."
        )
    return plan


def new_shape(width: int, depth: int, vocab_size: int) -> Shape:
    """The shape of a new model: heads of 64 columns, or 32 in narrow ones."""
    num_heads = width // (64 if width >= 256 else 32)
    return Shape(
        vocab_size=vocab_size,
        width=width,
        depth=depth,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        hidden=rules.hidden_width(width),
    )


def _new_vocabulary(width: int, depth: int, corpus: Corpus, settings: BuildSettings) -> int:
    if settings.vocabulary:
        return settings.vocabulary
    wanted = rules.vocabulary(new_shape(width, depth, 1).num_body_params, width)
    fewest = rules.COMMON_CHARACTERS if _writes_chinese(corpus) else SIZES[0]
    there = max(corpus.bytes_per_token)
    return max(SIZES[0], min(there, max(_nearest_size(wanted), _nearest_size(fewest))))


def _writes_chinese(corpus: Corpus) -> bool:
    return any(language.startswith("zh") for language in corpus.languages)


def _nearest_size(wanted: float) -> int:
    """The one of SIZES that is nearest by ratio."""
    return min(SIZES, key=lambda size: abs(math.log(size / wanted)))


def _planned_new(shape: Shape, wanted: int, corpus: Corpus, room: Room) -> Plan | None:
    operations = rules.compute(shape, wanted)
    template = Step(shape=shape, method="new", context=NEW_CONTEXT, rows=1, number=room.number)
    step = _arranged(template, rules.batch_tokens(operations), room)
    if step is None:
        return None
    rate = rules.new_learning_rate(operations)
    rates: Rates = {"next_token": rate, "supervised": rate / 15, "preference": rate / 150}
    return _plan(NEW, step, _phases(step, wanted, corpus, room, rates), room)


def _of(base: Shape, corpus: Corpus, room: Room, settings: BuildSettings) -> Plan:
    """A base's training: with LoRA, or in full where the text is more than an adapter holds.

    Raises:
        ModelError: neither fits; says what would.
    """
    for step in _base_steps(base, corpus, settings, room):
        plan = _planned_base(step, corpus, room, settings)
        if plan and num_steps(plan) >= min(MIN_STEPS, _steps_there(plan, corpus)):
            return plan
    raise ModelError(_no_base_fits(base, corpus, room, settings))


def _steps_there(plan: Plan, corpus: Corpus) -> int:
    """As many steps as there is anything to learn from."""
    tokens = corpus.num_bytes + corpus.conversation_bytes + corpus.pair_bytes
    return max(1, tokens // plan.step.num_tokens // 8)


def _base_steps(base: Shape, corpus: Corpus, settings: BuildSettings, room: Room) -> Iterator[Step]:
    """What comes into question, the best first: methods, each with ever smaller vocabularies."""
    context = base_context(base)
    full = Step(shape=base, method="full", context=context, rows=1, number=room.number)
    lora = replace(full, method="lora", rank=RANK)
    sizes = trimmed_sizes(base, settings)
    num_tokens = min(
        corpus.num_tokens(base.vocab_size),
        _num_readable(replace(full, shape=replace(base, vocab_size=sizes[0])), corpus, room),
    )
    holds = rules.adapter_holds(lora.num_adapter_params, num_tokens)
    for each in (lora,) if holds else (full, lora):
        for vocab_size in sizes:
            yield replace(each, shape=replace(base, vocab_size=vocab_size))


def base_context(base: Shape) -> int:
    """The longest rows of a base's training, in tokens."""
    return min(BASE_CONTEXT, base.context or BASE_CONTEXT)


def _num_readable(template: Step, corpus: Corpus, room: Room) -> int:
    """How many tokens of text there is time for, in steps of the largest batches."""
    step = replace(template, accumulation=max(1, BASE_BATCH_TOKENS // template.context))
    seconds = room.seconds * (1 - _most_other_share(corpus))
    return int(seconds / room.seconds_per_token(step))


def trimmed_sizes(base: Shape, settings: BuildSettings) -> list[int]:
    """Vocabularies for a base: as set, or what its body deserves and then less; else its own."""
    if settings.vocabulary:
        return [min(settings.vocabulary, base.vocab_size)]
    deserved = _nearest_size(rules.vocabulary(base.num_body_params, base.width))
    if base.vocab_size < TRIM_FROM * deserved:
        return [base.vocab_size]
    return [size for size in (deserved, deserved // 2) if size >= 8192] or [deserved]


def _planned_base(
    template: Step, corpus: Corpus, room: Room, settings: BuildSettings
) -> Plan | None:
    """A base's training in one way, or None where it does not fit.

    Where time is short, in smaller batches and at last in shorter rows, so that the optimizer
    takes enough steps to get somewhere.
    """
    shape = template.shape
    wanted = rules.EPOCHS * corpus.num_tokens(shape.vocab_size)
    batch_tokens = min(rules.batch_tokens(rules.compute(shape, max(1, wanted))), BASE_BATCH_TOKENS)
    rate = rules.base_learning_rate(shape, adapter=template.method == "lora")
    rates: Rates = {"next_token": rate, "supervised": rate, "preference": rate / 10}
    plan = None
    while batch_tokens >= MIN_CONTEXT:
        context = min(template.context, 2 ** int(math.log2(batch_tokens)))
        step = _arranged(replace(template, context=context), batch_tokens, room)
        if step is None:
            break
        plan = _plan(settings.base, step, _phases(step, wanted, corpus, room, rates), room)
        if num_steps(plan) >= ENOUGH_STEPS or plan.seconds < 0.5 * room.seconds:
            break
        batch_tokens /= 2
    return plan


def num_steps(plan: Plan) -> int:
    """Of the optimizer, in all phases."""
    return sum(phase.num_steps for phase in plan.phases)


def _plan(base: str, step: Step, phases: tuple[Phase, ...], room: Room) -> Plan:
    return Plan(
        base=base,
        device=room.device,
        step=step,
        phases=phases,
        memory=footprint(step),
        memory_limit=room.memory_bytes,
        seconds_limit=room.seconds,
    )


def _arranged(template: Step, batch_tokens: float, room: Room) -> Step | None:
    """A step of about so many tokens that fits, or None.

    As many rows at once as fit; else one, with activations computed again; else shorter rows.
    """
    for step in _arrangements(template, batch_tokens):
        if room.holds(step):
            return step
    return None


def _arrangements(template: Step, batch_tokens: float) -> Iterator[Step]:
    context = template.context
    while context >= min(MIN_CONTEXT, template.context):
        num_rows = max(1, round(batch_tokens / context))
        most = 2 ** (num_rows.bit_length() - 1)
        for recompute in (False, True):
            rows = most
            while rows:
                yield replace(
                    template,
                    context=context,
                    rows=rows,
                    accumulation=max(1, round(num_rows / rows)),
                    recompute=recompute,
                )
                rows //= 2
        context //= 2


def _least_step(shape: Shape, method: Literal["new", "full", "lora"], room: Room) -> Step:
    """The step that needs least memory."""
    return Step(
        shape=shape,
        method=method,
        context=min(MIN_CONTEXT, base_context(shape)),
        rows=1,
        number=room.number,
        recompute=True,
        rank=RANK if method == "lora" else 0,
    )


def _phases(step: Step, wanted: int, corpus: Corpus, room: Room, rates: Rates) -> tuple[Phase, ...]:
    """The phases, the text first, cut to the time that is there.

    A pair costs a pass of the reference model besides: a third more.
    """
    per_token = room.seconds_per_token(step)
    per_byte = 1 / corpus.bytes_per_token_at(step.shape.vocab_size)
    sizes: dict[Objective, float] = {
        "supervised": corpus.conversation_bytes * per_byte
        + corpus.num_conversations * TEMPLATE_TOKENS,
        "preference": corpus.pair_bytes * per_byte + 2 * corpus.num_pairs * TEMPLATE_TOKENS,
        "next_token": corpus.num_bytes * per_byte,
    }
    plans: tuple[tuple[Objective, float, float, float], ...] = (
        ("supervised", sizes["supervised"] * rules.SUPERVISED_EPOCHS, per_token, SUPERVISED_SHARE),
        (
            "preference",
            sizes["preference"] * rules.PREFERENCE_EPOCHS,
            per_token * 4 / 3,
            PREFERENCE_SHARE,
        ),
        ("next_token", wanted, per_token, 1.0),
    )
    left, made = room.seconds, []
    for objective, tokens, seconds, share in plans:
        spent = min(tokens * seconds, share * room.seconds, left)
        num_steps = math.floor(spent / seconds / step.num_tokens + 1e-6)
        if not num_steps:
            # What is less than a step's worth is one step, if there is time for it.
            num_steps = int(bool(tokens) and left >= seconds * step.num_tokens)
        num_tokens = num_steps * step.num_tokens
        left -= num_tokens * seconds
        if num_steps:
            made.append(
                Phase(
                    objective=objective,
                    num_tokens=num_tokens,
                    num_steps=num_steps,
                    epochs=num_tokens / sizes[objective],
                    learning_rate=rates[objective],
                    seconds=num_tokens * seconds,
                )
            )
    return tuple(sorted(made, key=lambda phase: phase.objective != "next_token"))


def _most_other_share(corpus: Corpus) -> float:
    return SUPERVISED_SHARE * bool(corpus.num_conversations) + PREFERENCE_SHARE * bool(
        corpus.num_pairs
    )


def _no_base_fits(base: Shape, corpus: Corpus, room: Room, settings: BuildSettings) -> str:
    """Why no way of training a base fits, and what would."""
    vocab_size = min(trimmed_sizes(base, settings))
    least = _least_step(replace(base, vocab_size=vocab_size), "lora", room)
    needed = MARGIN * footprint(least).total
    if needed <= room.memory_bytes:
        minutes = MIN_STEPS * step_seconds(least, room.speeds, room.pace) / 60
        return (
            f"{settings.base} is too slow here: even with LoRA {MIN_STEPS} steps take "
            f"{_rounded_up(minutes):g} minutes, and build.max_minutes is "
            f"{settings.max_minutes:g}. Raise it, or name a smaller base."
        )
    return (
        f"{settings.base} does not fit: even with LoRA on a vocabulary of {vocab_size:,} it needs "
        f"{_gb(needed)} GB, and {_gb(room.memory_bytes)} are there. {_what_would_fit(room)}"
    )


def _what_would_fit(room: Room) -> str:
    for each in reversed(BASES):
        vocab_size = min(trimmed_sizes(each.shape, BuildSettings()))
        if room.holds(_least_step(replace(each.shape, vocab_size=vocab_size), "lora", room)):
            return f"{each.name} would fit."
    return 'A new model may: build.base = "new".'


def _gb(num_bytes: float) -> str:
    return f"{num_bytes / GIB:.1f}" if num_bytes >= GIB / 10 else f"{num_bytes / GIB:.3f}"


def _rounded_up(minutes: float) -> float:
    """To two digits."""
    unit = 10 ** (math.floor(math.log10(minutes)) - 1)
    return float(math.ceil(minutes / unit) * unit)

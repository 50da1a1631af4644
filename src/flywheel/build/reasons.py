"""Why a plan says what it says: one reason for each value, with the published rule's source.

Words only: whatever is decided is decided in plan.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flywheel.build import rules
from flywheel.build.corpus import Corpus
from flywheel.build.machine import Machine
from flywheel.build.planned import GIB, Phase, Plan, Reason
from flywheel.build.settings import BuildSettings
from flywheel.build.shape import Shape

PROBE = "measured here, build/machine.py"
SIZES = "counted, build/footprint.py"
SPEED = "measured here, build/pace.py"
CORPUS = "counted in the workspace, build/corpus.py"
SETTING = "flywheel.toml, [build]"

_PHASES = {"next_token": "text", "supervised": "conversations", "preference": "preferences"}


def explained(
    plan: Plan, corpus: Corpus, machine: Machine, settings: BuildSettings, base: Shape | None
) -> Plan:
    """The plan with its reasons and notes."""
    reasons = (
        _method(plan, corpus),
        _vocabulary(plan, corpus, settings, base),
        *_sizes(plan, base),
        _tokens(plan, corpus),
        *_step(plan),
        *_rates(plan),
        _precision(plan, machine),
        *_memory(plan, settings),
        *_time(plan, settings),
    )
    return replace(plan, reasons=reasons, notes=tuple(_notes(plan, corpus, machine, settings)))


def _method(plan: Plan, corpus: Corpus) -> Reason:
    if plan.step.method == "new":
        return Reason(
            what="method",
            value="new",
            why="from scratch, since build.base names no base"
            if not plan.base or plan.base == "new"
            else "from scratch",
            source=SETTING,
        )
    # What there is no time for fills no adapter.
    num_tokens = min(corpus.num_tokens(plan.shape.vocab_size), plan.num_text_tokens)
    if plan.step.method == "full":
        return Reason(
            what="method",
            value="full",
            why=f"{count(num_tokens)} tokens are more than an adapter of rank 16 holds, and all "
            f"{count(plan.shape.num_params)} parameters fit",
            source=f"{rules.LORA_HOLDS}; {rules.LORA_FORGETS}",
        )
    step = plan.step
    holds = rules.adapter_holds(step.num_adapter_params, num_tokens)
    why = (
        f"{count(step.num_adapter_params)} parameters beside the frozen base hold 2 bits each, "
        f"enough for {count(num_tokens)} tokens, and the base forgets less"
        if holds
        else "training the base in full needs more memory or time than there is"
    )
    return Reason(
        what="method",
        value=f"LoRA, rank {step.rank}",
        why=why,
        source=f"{rules.LORA}; {rules.LORA_HOLDS}; {rules.LORA_FORGETS}",
    )


def _vocabulary(plan: Plan, corpus: Corpus, settings: BuildSettings, base: Shape | None) -> Reason:
    size = plan.shape.vocab_size
    value = f"{size:,} tokens"
    if settings.vocabulary:
        return Reason(what="vocabulary", value=value, why="as set", source=SETTING)
    per_token = f"{corpus.bytes_per_token_at(size):.1f} bytes a token"
    if base is not None and size == base.vocab_size:
        why = f"the base's own: no larger than its layers deserve; {per_token}"
    elif base is not None:
        why = f"trimmed from {base.vocab_size:,}, about what the base's layers deserve"
    else:
        chinese = any(language.startswith("zh") for language in corpus.languages)
        why = f"what the layers deserve: their parameters^0.83; {per_token}"
        if chinese:
            why += "; not fewer than common Han characters need"
    chinese_source = f"; {rules.CHARACTERS}" if "Han" in why else ""
    return Reason(what="vocabulary", value=value, why=why, source=rules.VOCABULARY + chinese_source)


def _sizes(plan: Plan, base: Shape | None) -> Iterator[Reason]:
    shape = plan.shape
    embeddings = shape.num_embedding_params / shape.num_params
    yield Reason(
        what="parameters",
        value=count(shape.num_params),
        why=f"{embeddings:.0%} of them are the vocabulary's"
        + ("" if base else f"; {_why_not_larger(plan)}"),
        source=SIZES if base else f"{SIZES}; {rules.CHINCHILLA}",
    )
    value = f"{shape.width} wide, {shape.depth} layers, {shape.num_heads} heads"
    if base:
        yield Reason(what="shape", value=value, why="the base's", source="its config.json")
        return
    yield Reason(
        what="shape",
        value=value,
        why=f"{shape.width / shape.depth:.0f} columns a layer: the loss hardly depends on it; "
        f"MLP {shape.hidden} wide",
        source=f"{rules.ASPECT}; {rules.GATED}",
    )


def _why_not_larger(plan: Plan) -> str:
    wanted = rules.TOKENS_PER_PARAMETER * plan.shape.num_params
    if (
        sum(each.num_tokens for each in plan.phases if each.objective == "next_token")
        < 0.9 * wanted
    ):
        return "the smallest there is, and still more than its tokens"
    return "the largest whose tokens, time and memory are there"


def _tokens(plan: Plan, corpus: Corpus) -> Reason:
    num_tokens = corpus.num_tokens(plan.shape.vocab_size)
    phase = next((each for each in plan.phases if each.objective == "next_token"), None)
    if phase is None:
        return Reason(
            what="tokens of text",
            value="none",
            why="conversations and preferences take all the time",
            source=SETTING,
        )
    value = f"{count(phase.num_tokens)}, {phase.epochs:.2g} passes over {count(num_tokens)}"
    wanted = rules.TOKENS_PER_PARAMETER * plan.shape.num_params
    if plan.step.method != "new":
        why = "up to 4 passes are nearly as good as fresh text"
        if phase.epochs < 0.95 * rules.EPOCHS:
            why += "; time allows no more"
        return Reason(what="tokens of text", value=value, why=why, source=rules.REPEATED)
    if phase.num_tokens >= 0.95 * wanted:
        why = "20 for each parameter; up to 4 passes are nearly as good as fresh text"
    elif phase.epochs >= 0.95 * rules.MOST_EPOCHS:
        why = (
            f"20 for each parameter would be {count(wanted)}; after 16 passes more is worth little"
        )
    else:
        why = f"20 for each parameter would be {count(wanted)}; time allows no more"
    return Reason(
        what="tokens of text",
        value=value,
        why=why,
        source=f"{rules.CHINCHILLA}; {rules.REPEATED}",
    )


def _step(plan: Plan) -> Iterator[Reason]:
    step = plan.step
    yield Reason(
        what="context",
        value=f"{step.context} tokens",
        why="longest text in one piece"
        + ("" if step.method == "new" else ", passages and answer together"),
        source=f"{SIZES}: the longest that fits",
    )
    yield Reason(
        what="batch",
        value=f"{step.rows} × {step.context} tokens"
        + (f", {step.accumulation} times a step" if step.accumulation > 1 else ""),
        why=f"{count(step.num_tokens)} tokens a step, by the operations of the whole training",
        source=rules.COMPUTE,
    )
    if step.recompute:
        yield Reason(
            what="activations",
            value="computed twice",
            why="a third more time, for memory that is not there otherwise",
            source=rules.RECOMPUTE,
        )


def _rates(plan: Plan) -> Iterator[Reason]:
    for phase in plan.phases:
        why, source = _rate(plan, phase)
        yield Reason(
            what=f"learning rate, {_PHASES[phase.objective]}",
            value=f"{phase.learning_rate:.1e}",
            why=f"{why}; warm-up, stable, decay",
            source=f"{source}; {rules.SCHEDULE}",
        )


def _rate(plan: Plan, phase: Phase) -> tuple[str, str]:
    new = plan.step.method == "new"
    if phase.objective == "preference":
        return "a tenth of that on conversations", f"{rules.TULU_3}; {rules.DPO}"
    if phase.objective == "supervised" and new:
        return "a fifteenth of that on text", rules.LLAMA_2
    if new:
        return "by the operations of the whole training", rules.COMPUTE
    times = "" if plan.step.method == "full" else ", ten times that of full training"
    return f"by the base's width{times}", rules.LORA_HOLDS


def _precision(plan: Plan, machine: Machine) -> Reason:
    place = machine.usable_card or machine
    ratio = place.bf16_flops / place.fp32_flops if place.fp32_flops else 0.0
    told = (
        f"bfloat16 is {ratio:.1f} times as quick"
        if ratio >= 1
        else f"bfloat16 is {1 / max(ratio, 1e-3):.1f} times slower"
    )
    return Reason(what="precision", value=plan.step.number, why=f"{told} here", source=PROBE)


def _memory(plan: Plan, settings: BuildSettings) -> Iterator[Reason]:
    memory = plan.memory
    parts = (
        ("parameters", memory.parameters),
        ("gradients", memory.gradients),
        ("optimizer", memory.optimizer),
        ("activations", memory.activations),
        ("logits", memory.logits),
    )
    yield Reason(
        what="memory at the peak",
        value=size(memory.total),
        why=", ".join(f"{name} {size(part)}" for name, part in parts),
        source=SIZES,
    )
    where = "of the card" if plan.device == "cuda" else "of this machine"
    yield Reason(
        what="memory that is there",
        value=size(plan.memory_limit),
        why="as set" if settings.max_memory_gb else f"what is free {where}",
        source=SETTING if settings.max_memory_gb else PROBE,
    )


def _time(plan: Plan, settings: BuildSettings) -> Iterator[Reason]:
    parts = ", ".join(
        f"{_PHASES[phase.objective]} {duration(phase.seconds)} ({phase.num_steps} steps)"
        for phase in plan.phases
    )
    yield Reason(
        what="time",
        value=duration(plan.seconds),
        why=f"{parts}; at most {settings.max_minutes:g} min are allowed",
        source=SPEED,
    )


def _notes(plan: Plan, corpus: Corpus, machine: Machine, settings: BuildSettings) -> Iterator[str]:
    if not settings.base:
        yield (
            'No model is built until build.base names one in flywheel.toml: "new" for this plan, '
            "or a base (docs/models.md)."
        )
    if plan.step.method == "new":
        yield (
            "A small model from scratch makes no answerer: it is a writing aid and a challenger, "
            "and quoting goes on answering unless the exam shows otherwise. A base can be more."
        )
        wanted = rules.TOKENS_PER_PARAMETER * plan.shape.num_params
        there = rules.EPOCHS * corpus.num_tokens(plan.shape.vocab_size)
        if there < wanted:
            text = f"{corpus.num_bytes / 1e6:.1f} MB"
            yield (
                f"{text} of text are too little even for the smallest model: files of general "
                "language as build.general would help more than time."
            )
        if plan.num_text_tokens < plan.shape.num_params:
            yield (
                f"In {settings.max_minutes:g} minutes it sees {count(plan.num_text_tokens)} tokens "
                f"with {count(plan.shape.num_params)} parameters: it learns which words are "
                "frequent and little else. Raise build.max_minutes for more."
            )
    card = machine.card
    if card and card.problem:
        yield (
            f"{card.name} (compute capability {card.capability}) is not used: {card.problem}. "
            "Another build of torch may run on it: docs/models.md."
        )


def count(number: float) -> str:
    """1.2 million, 350 thousand, 999."""
    for unit, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= unit:
            return f"{number / unit:.3g} {word}"
    return f"{number:.0f}"


def size(num_bytes: float) -> str:
    """1.2 GB, 350 MB; of 1,024³ and 1,024² bytes, as cards are sold."""
    return f"{num_bytes / GIB:.1f} GB" if num_bytes >= GIB else f"{num_bytes / 2**20:.0f} MB"


def duration(seconds: float) -> str:
    """45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

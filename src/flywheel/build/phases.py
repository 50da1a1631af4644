"""One phase of a model's training: what it learns from, as a plan has it, and the learning.

Not here: the loop (loop.py), what phases there are (plan.py), and their material (mixture.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from flywheel.build import adapters, loop
from flywheel.build.batches import Rows, pack, pairs_as_rows
from flywheel.build.mixture import GENERAL_SHARE, Mixture
from flywheel.build.objectives import DirectPreference, NextToken, Objective, Supervised
from flywheel.build.planned import Phase, Plan
from flywheel.build.sequences import tokenise_conversations, tokenise_pairs, tokenise_texts
from flywheel.build.settings import BuildSettings
from flywheel.build.training import Progress, Report, TrainingData, TrainSettings

SEED = 1
PATIENCE = 2
NUM_LOOKS = 5
"""Looks at the validation part in one phase, each of which leaves a checkpoint."""
LOOKED_AT_SHARE = 0.02
"""Of a phase's tokens, in one look; a document of any length may be held out."""

Told = Callable[[str, int, int], None]
"""A stage's name, how much of it is done, and how much there is."""


def learn(
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

    def follow(at: Progress) -> None:
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


def data_of(
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

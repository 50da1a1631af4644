"""Served files beside the trained models that they were made of.

    python bench/export.py [--full] [--data ../shared]

A llama (with a matrix of its own for the output), a qwen2 and a qwen3 (tied) learn the example's
text, and tinystories-656k is taken where it is there. Each is exported in every precision; greedy
continuations of 64 tokens after 20 prompts are compared with transformers', and the
log-probabilities of the five likeliest tokens at every step.

Short: models of 64 columns and 2 layers. Full: of 256 and 2, on the whole example.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from corpora import ROOT
from flywheel.build import parity
from flywheel.build.base import load_base
from flywheel.build.export import write_gguf
from flywheel.build.parity import ALLOWANCES, Prompt
from flywheel.build.settings import Precision
from flywheel.build.shape import FAMILIES, Family
from flywheel.engine.embedded import EmbeddedEngine
from table import print_table
from trained import trained

NUM_PROMPTS, NUM_PROMPT_TOKENS, NUM_NEW_TOKENS = 20, 8, 64
STORIES = (
    "Once upon a time there was a",
    "The little dog saw a",
    "One day, Lily went to the park",
    "Tom had a red ball. He",
    "The cat was sad because",
    "Mom said that it was time to",
    "A bird sat in the big tree and",
    "They played together with the",
    "The boy wanted to go to the",
    "Ben and his friend found a",
    "It was a sunny day and the",
    "The old man had a small",
    "She looked at the sky and saw",
    "Sue liked to play with her",
    "The bear was hungry and he",
    "In the forest there lived a",
    "Max ran very fast to the",
    "The girl was happy because she",
    "Once there was a little fish who",
    "Dad came home with a new",
)
COLUMNS = (
    "model",
    "weights",
    "file KiB",
    "export s",
    "continuations equal",
    "worst",
    "95 % within",
    "mean",
)
NOTE = (
    f"`continuations equal`: of {NUM_PROMPTS} prompts, token for token over {NUM_NEW_TOKENS} greedy"
    "\ntokens. `worst` and so on: between the log-probabilities of the five likeliest tokens, all"
    "\nalong the trained model's continuation (base e). f32 is served with attention and cache in"
    "\nf32, the others as always; q8_0 and q4_0 also multiply with activations in 8 bits."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is exported, and what it is asked."""

    name: str
    model: Any
    tokenizer: Any
    prompts: tuple[Prompt, ...]


def subjects(shared: Path, *, full: bool) -> Iterator[Subject]:
    for family in FAMILIES:
        yield _trained(family, full=full)
    stories = shared / "models" / "tinystories-656k"
    if not stories.is_dir():
        print(f"tinystories-656k: skipped, it is not in {stories}", flush=True)
        return
    base = load_base(str(stories), Path())
    yield Subject(
        name="tinystories-656k", model=base.model, tokenizer=base.tokenizer, prompts=STORIES
    )


def _trained(family: Family, *, full: bool) -> Subject:
    tied = family != "llama"
    start = perf_counter()
    if full:
        each = trained(
            family,
            tied=tied,
            width=256,
            depth=2,
            num_texts=99,
            max_characters=10_000,
            num_steps=150,
            learning_rate=1e-3,
        )
    else:
        each = trained(family, tied=tied)
    num = sum(parameter.numel() for parameter in each.model.parameters())
    ids = torch.tensor([each.ids[:256]])
    with torch.no_grad():
        loss = float(each.model(input_ids=ids, labels=ids).loss)
    print(
        f"{family}: {num / 1e6:.1f}M parameters, {len(each.tokenizer)} tokens, trained for "
        f"{perf_counter() - start:.0f} s to a loss of {loss:.2f}",
        flush=True,
    )
    prompts = tuple(each.prompts(NUM_PROMPTS, NUM_PROMPT_TOKENS))
    return Subject(name=family, model=each.model, tokenizer=each.tokenizer, prompts=prompts)


def compare(subject: Subject, precision: Precision, folder: Path) -> list[str]:
    """One row."""
    path = folder / f"{subject.name}-{precision}.gguf"
    start = perf_counter()
    exported = write_gguf(subject.model, subject.tokenizer, path, precision)
    seconds = perf_counter() - start
    engine = EmbeddedEngine.open(
        path, num_slots=1, context_tokens=256, exact_cache=precision == "f32"
    )
    found = parity.check(
        engine,
        subject.model,
        subject.tokenizer,
        subject.prompts,
        precision=precision,
        num_new_tokens=NUM_NEW_TOKENS,
    )
    engine.close()
    if not found.passed:
        print(f"{subject.name} in {precision} does not pass: {found.problem}", flush=True)
    return [
        subject.name,
        precision,
        f"{exported.size_bytes / 1024:,.0f}",
        f"{seconds:.2f}",
        f"{found.num_equal_prompts} of {found.num_prompts}",
        f"{found.worst_difference:.5f}",
        f"{found.large_difference:.5f}",
        f"{found.mean_difference:.5f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="served files beside their trained models")
    parser.add_argument("--full", action="store_true", help="larger models, trained for minutes")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            compare(subject, precision, Path(folder))
            for subject in subjects(options.data, full=options.full)
            for precision in ALLOWANCES
        ]
    print_table("Exported models", COLUMNS, rows, NOTE)


if __name__ == "__main__":
    main()

"""What trimming a base's vocabulary keeps, and what it saves.

    python bench/trim.py [--data ../shared/data] [--steps 6] [--tokens 128] [--prompts 100]

Three tables. The real tokenizer of Qwen 2.5 cut to 16,384 tokens for Chinese statutes and for
English medical answers: every covered paragraph must be split alike, and a model of the shape of
Qwen2.5-0.5B with random weights must predict alike. That model's memory and the time of a LoRA
step, whole and trimmed, in two processes that take turns. And a real small model cut from 2,048 to
1,024 tokens, which must go on with stories alike.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from corpora import DATA
from flywheel.build.encoding import encode
from flywheel.build.extending import extend_tokenizer, find_terms
from flywheel.build.trimming import Comparison, compare, named_ids, trim_model, trim_tokenizer
from flywheel.build.vocabulary import Kept, Needs, choose, needs
from table import print_table
from trim_costs import QWEN_ROWS, SEED, SIZE, print_costs, qwen

SMALLER = (4_096, 8_192)
NUM_TERMS = 1_000
STORIES_SIZE = 1_024
NUM_CHECKED = 4
"""Paragraphs whose predictions are compared, 64 tokens or longer."""
NUM_DECODED = 5_000
"""Paragraphs that are decoded again, evenly spread."""
CONTINUATION = 64

NAMES = ("Tim", "Lily", "Sam", "Mia", "Ben", "Sue", "Max", "Anna", "Tom", "Lucy")
OPENINGS = (
    "Once upon a time, there was a little dog named {}.",
    "One day, {} went to the park with mom.",
    "{} had a big red ball.",
    "{} was sad. The rain did not stop.",
    "It was a sunny day and {} wanted to play.",
    "{} and a friend found a shiny box in the garden.",
    "There was a small house near the sea. {} lived there.",
    "{} saw a bird in a tree.",
    "At night, {} could not sleep.",
    "{} liked to help dad in the kitchen.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """A corpus in paragraphs, and what is kept for it of Qwen's tokens."""

    name: str
    texts: Sequence[str]
    needed: Needs
    kept: Kept
    trimmed: PreTrainedTokenizerFast
    compared: Comparison


def legal(data: Path) -> Iterator[str]:
    """The paragraphs of the statutes."""
    for path in sorted((data / "legal-zh" / "laws").rglob("*")):
        if path.is_file():
            yield from _paragraphs(path.read_text(encoding="utf-8"))


def medical(data: Path) -> Iterator[str]:
    """The paragraphs of the questions and answers."""
    with gzip.open(data / "medical-en" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            for pair in json.loads(line)["qa"]:
                yield from _paragraphs(f"{pair['question']}\n{pair['answer']}")


CORPORA: dict[str, Callable[[Path], Iterator[str]]] = {"legal-zh": legal, "medical-en": medical}


def read_domain(name: str, data: Path, tokenizer: PreTrainedTokenizerBase) -> Domain:
    """A corpus with the trimmed tokenizer for it."""
    texts = list(CORPORA[name](data))
    return _domain(name, texts, needs(tokenizer, texts), SIZE, tokenizer)


def _domain(
    name: str, texts: Sequence[str], needed: Needs, size: int, tokenizer: PreTrainedTokenizerBase
) -> Domain:
    kept = choose(needed, size)
    trimmed = trim_tokenizer(tokenizer, kept)
    return Domain(
        name=name,
        texts=texts,
        needed=needed,
        kept=kept,
        trimmed=trimmed,
        compared=compare(tokenizer, trimmed, kept, texts),
    )


def unclosed(domain: Domain, tokenizer: PreTrainedTokenizerBase) -> Comparison:
    """The same size without what the tokens are made of, for comparison: not lossless."""
    by_use = sorted(domain.needed.counts, key=lambda id: -domain.needed.counts[id])
    spare = (id for id in sorted(domain.needed.vocabulary) if id not in domain.needed.counts)
    ids = list(dict.fromkeys([*sorted(domain.needed.required), *by_use, *spare]))[:SIZE]
    kept = Kept(ids=tuple(sorted(ids)))
    return compare(tokenizer, trim_tokenizer(tokenizer, kept), kept, domain.texts)


def print_tokenizers(domains: Sequence[Domain], tokenizer: PreTrainedTokenizerBase) -> None:
    """What the trimmed tokenizers make of their corpora, and of each other's."""
    rows = []
    for domain in domains:
        own = domain.compared
        naive = unclosed(domain, tokenizer)
        rows.append(
            (
                domain.name,
                f"{len(domain.needed.counts):,}",
                f"{own.covered:.2%}",
                f"{own.num_covered:,} of {own.num_texts:,}",
                f"{own.num_identical / own.num_covered:.2%}",
                f"{own.bytes_per_token_before:.2f} → {own.bytes_per_token_after:.2f}",
                f"{naive.num_identical / naive.num_covered:.2%}",
            )
        )
    print_table(
        f"The tokenizer of Qwen 2.5, {len(tokenizer):,} tokens cut to {SIZE:,}",
        (
            "corpus",
            "tokens used",
            "tokens covered",
            "paragraphs covered",
            "of them split alike",
            "bytes per token",
            "alike without closure",
        ),
        rows,
    )
    _print_smaller(domains, tokenizer)
    _print_others(domains, tokenizer)


def _print_smaller(domains: Sequence[Domain], tokenizer: PreTrainedTokenizerBase) -> None:
    """What smaller vocabularies still cover."""
    smaller = [
        _domain(each.name, each.texts, each.needed, size, tokenizer)
        for each in domains
        for size in SMALLER
    ]
    rows = [
        (
            f"{each.name}, {len(each.kept.ids):,}",
            f"{own.covered:.2%}",
            f"{own.num_covered:,} of {own.num_texts:,}",
            f"{own.num_identical / own.num_covered:.2%}",
            f"{own.bytes_per_token_before:.2f} → {own.bytes_per_token_after:.2f}",
        )
        for each in smaller
        for own in [each.compared]
    ]
    columns = ("tokens covered", "paragraphs covered", "of them split alike", "bytes per token")
    print_table("Smaller still", ("corpus, tokens", *columns), rows)


def _print_others(domains: Sequence[Domain], tokenizer: PreTrainedTokenizerBase) -> None:
    """What a trimmed tokenizer costs on text that it was not made for, and that none is lost."""
    rows = []
    for domain in domains:
        for other in domains:
            if other is domain:
                continue
            crossed = compare(tokenizer, domain.trimmed, domain.kept, other.texts)
            rows.append(
                (
                    f"{domain.name} on {other.name}",
                    f"{crossed.covered:.2%}",
                    f"{crossed.bytes_per_token_before:.2f} → {crossed.bytes_per_token_after:.2f}",
                    f"{_alike(tokenizer, domain.trimmed, other.texts):.2%}",
                )
            )
    print_table(
        "Other text than it was trimmed for",
        ("trimmed for", "tokens covered", "bytes per token", "decoded as before"),
        rows,
    )


def print_extended(domains: Sequence[Domain]) -> None:
    """What the domain's terms save as tokens of their own, on top of the trimmed vocabulary."""
    rows = []
    for domain in domains:
        terms = find_terms(domain.trimmed, domain.texts, NUM_TERMS)
        extended = extend_tokenizer(domain.trimmed, terms)
        before, own = domain.compared.num_tokens_after, needs(extended, domain.texts)
        rows.append(
            (
                domain.name,
                f"{len(domain.trimmed):,} → {len(extended):,}",
                f"{before:,} → {own.num_tokens:,}",
                f"{1 - own.num_tokens / before:.1%}",
                f"{own.num_bytes / before:.2f} → {own.num_bytes / own.num_tokens:.2f}",
            )
        )
    print_table(
        f"Extended by {NUM_TERMS:,} terms of the same corpus",
        ("corpus", "vocabulary", "tokens of the corpus", "fewer", "bytes per token"),
        rows,
    )


def _alike(
    tokenizer: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, texts: Sequence[str]
) -> float:
    some = texts[:: max(1, len(texts) // NUM_DECODED)]
    pairs = zip(encode(tokenizer, some), encode(trimmed, some), strict=True)
    return statistics.mean(
        tokenizer.decode(before) == trimmed.decode(after) for before, after in pairs
    )


def largest_difference(domain: Domain, tokenizer: PreTrainedTokenizerBase) -> float:
    """Of the log-probabilities that the trimmed model gives and the whole one, renormalised over
    the kept rows, at every place of some covered paragraphs."""
    model = qwen(QWEN_ROWS)
    whole = encode(tokenizer, domain.texts)
    held = set(domain.kept.ids)
    checked = [ids for ids in whole if len(ids) >= 64 and held.issuperset(ids)][:NUM_CHECKED]
    rows = torch.tensor(domain.kept.ids)
    with torch.no_grad():
        before = [model(torch.tensor([ids])).logits[0][:, rows].log_softmax(-1) for ids in checked]
        trim_model(model, domain.kept)
        new_ids = domain.kept.new_ids
        after = [
            model(torch.tensor([[new_ids[id] for id in ids]])).logits[0].log_softmax(-1)
            for ids in checked
        ]
    return max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))


def print_stories(folder: Path, num_prompts: int) -> None:
    """Continuations of a real model, whole and trimmed."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    prompts = [opening.format(name) for opening in OPENINGS for name in NAMES][:num_prompts]
    needed = needs(tokenizer, [*_sampled(model, tokenizer, prompts), *prompts])
    kept = choose(needed, STORIES_SIZE, also=named_ids(model))
    trimmed, small = trim_tokenizer(tokenizer, kept), copy.deepcopy(model)
    trim_model(small, kept)
    before = [_go_on(model, tokenizer, prompt) for prompt in prompts]
    after = [_go_on(small, trimmed, prompt) for prompt in prompts]
    pairs = list(zip(before, after, strict=True))
    covered = [(b, a) for b, a in pairs if set(b) <= set(kept.ids)]
    identical = sum(b == [kept.ids[id] for id in a] for b, a in covered)
    texts = sum(tokenizer.decode(b) == trimmed.decode(a) for b, a in pairs)
    row = (
        f"{len(tokenizer):,} → {len(kept.ids):,}",
        f"{model.num_parameters():,} → {small.num_parameters():,}",
        str(len(prompts)),
        f"{len(covered)} ({len(covered) / len(prompts):.0%})",
        f"{identical} of {len(covered)}",
        f"{texts} of {len(prompts)}",
    )
    print_table(
        "tinystories-656k, real weights",
        ("tokens", "parameters", "prompts", "covered", "identical", "same text, of all"),
        [row],
        f"Greedy continuations of {CONTINUATION} tokens. Covered: each token of the prompt and of "
        "the whole model's continuation is kept. Kept is what 200 stories need that the model "
        "told by sampling.",
    )


def _sampled(model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[str]:
    """Stories to count tokens in: of the model's own, by chance, and none of those compared."""
    torch.manual_seed(SEED)
    stories = []
    for prompt in (*prompts, *prompts)[:200]:
        ids = torch.tensor(encode(tokenizer, [prompt]))
        told = model.generate(ids, max_new_tokens=CONTINUATION, do_sample=True)
        stories.append(str(tokenizer.decode(told[0], skip_special_tokens=True)))
    return stories


def _go_on(model: Any, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    told: list[int] = model.generate(ids, max_new_tokens=CONTINUATION, do_sample=False)[0].tolist()
    return told


def _paragraphs(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.strip())


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what trimming keeps and saves")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--steps", type=int, default=6, help="pairs of LoRA steps")
    parser.add_argument("--tokens", type=int, default=128, help="tokens in a step")
    parser.add_argument("--prompts", type=int, default=100, help="stories to go on with")
    arguments = parser.parse_args()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(2)
    shared = arguments.data.parent
    _measure_qwen(shared / "tokenizers" / "qwen2.5", arguments.data)
    print_costs(arguments.steps, arguments.tokens)
    stories = shared / "models" / "tinystories-656k"
    if stories.is_dir():
        print_stories(stories, arguments.prompts)
    else:
        print(f"stories: skipped, there is no {stories}")


def _measure_qwen(folder: Path, data: Path) -> None:
    if not folder.is_dir() or not (data / "legal-zh" / "laws").is_dir():
        print(f"qwen: skipped, there is no {folder}, or no statutes in {data}")
        return
    tokenizer = AutoTokenizer.from_pretrained(folder)
    domains = [read_domain(name, data, tokenizer) for name in CORPORA]
    print_tokenizers(domains, tokenizer)
    print_extended(domains)
    rows = [(each.name, f"{largest_difference(each, tokenizer):.1e}") for each in domains]
    print_table(
        "Predictions of a model of that shape with random weights, whole and trimmed",
        ("corpus", "largest difference of a log-probability"),
        rows,
        f"{NUM_CHECKED} covered paragraphs of 64 tokens and more, every place, all {SIZE:,} rows; "
        "the whole model's are renormalised over the kept rows.",
    )


if __name__ == "__main__":
    main()

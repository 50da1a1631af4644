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
import resource
import statistics
import subprocess
import sys
import time
import warnings
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
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.utils import logging

from corpora import DATA
from flywheel.build.encoding import encode
from flywheel.build.trimming import Comparison, compare, named_ids, trim_model, trim_tokenizer
from flywheel.build.vocabulary import Kept, Needs, choose, needs
from table import print_table

SIZE = 16_384
SMALLER = (4_096, 8_192)
STORIES_SIZE = 1_024
QWEN_ROWS = 151_936
SEED = 1
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


def _alike(
    tokenizer: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, texts: Sequence[str]
) -> float:
    some = texts[:: max(1, len(texts) // NUM_DECODED)]
    pairs = zip(encode(tokenizer, some), encode(trimmed, some), strict=True)
    return statistics.mean(
        tokenizer.decode(before) == trimmed.decode(after) for before, after in pairs
    )


def qwen(num_rows: int) -> Any:
    """A model of the shape of Qwen2.5-0.5B with random normal weights, in float32."""
    torch.manual_seed(SEED)
    config = Qwen2Config(
        vocab_size=num_rows,
        hidden_size=896,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        intermediate_size=4864,
        tie_word_embeddings=True,
        bos_token_id=151643,
        eos_token_id=151645,
        dtype="float32",
    )
    made: Any = Qwen2ForCausalLM(config)
    return made.eval()


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


class Worker:
    """A process that holds the model, whole or trimmed, and takes one LoRA step at a time."""

    def __init__(self, kind: str, num_tokens: int) -> None:
        command = [sys.executable, __file__, "--worker", kind, "--tokens", str(num_tokens)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.parameter_bytes = int(self._read()["parameter_bytes"])

    def step(self) -> float:
        """Seconds of one step."""
        self._write("step")
        return float(self._read()["seconds"])

    def finish(self) -> int:
        """The peak of its resident memory in bytes."""
        self._write("end")
        peak = int(self._read()["peak_bytes"])
        self._process.wait()
        return peak

    def _write(self, word: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        read: dict[str, Any] = json.loads(self._process.stdout.readline())
        return read


def work(kind: str, num_tokens: int) -> None:
    """What a worker does: loads, then a step for each line that it reads.

    The trimmed model is made at its size at once, so that the peak is that of training.
    """
    from peft import LoraConfig, get_peft_model

    torch.set_num_threads(2)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    made = qwen(SIZE if kind == "trimmed" else QWEN_ROWS).train()
    parameter_bytes = sum(each.numel() * each.element_size() for each in made.parameters())
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    model = get_peft_model(made, LoraConfig(r=8, target_modules=targets, task_type="CAUSAL_LM"))
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    ids = torch.randint(0, SIZE, (1, num_tokens))
    print(json.dumps({"parameter_bytes": parameter_bytes}), flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        started = time.perf_counter()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)
    print(json.dumps({"peak_bytes": _peak_bytes()}), flush=True)


def _peak_bytes() -> int:
    """Of this process' resident memory.

    From /proc, since what getrusage says begins with the peak of the process that started this.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def print_costs(num_steps: int, num_tokens: int) -> None:
    """Memory and time of the two, taken in turns; the first step of each warms up."""
    whole, trimmed = Worker("whole", num_tokens), Worker("trimmed", num_tokens)
    pairs = [(whole.step(), trimmed.step()) for _ in range(num_steps + 1)][1:]
    peaks = whole.finish(), trimmed.finish()
    seconds = [statistics.median(each) for each in zip(*pairs, strict=True)]
    ratios = sorted(after / before for before, after in pairs)
    rows = [
        _cost("parameters", whole.parameter_bytes / 1e6, trimmed.parameter_bytes / 1e6, "MB"),
        _cost("peak resident memory", peaks[0] / 1e6, peaks[1] / 1e6, "MB"),
        (
            "LoRA step",
            f"{seconds[0]:.2f} s",
            f"{seconds[1]:.2f} s",
            f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})",
        ),
    ]
    note = (
        f"The shape of Qwen2.5-0.5B in float32 on 2 threads; LoRA of rank 8 on the four matrices "
        f"of attention, one row of {num_tokens} tokens; {num_steps} pairs of steps in turns, the "
        "ratio's median and range."
    )
    names = (f"{QWEN_ROWS:,} rows", f"{SIZE:,} rows", "ratio")
    print_table("Memory and time of a model of 0.5B", ("", *names), rows, note)


def _cost(name: str, before: float, after: float, unit: str) -> tuple[str, str, str, str]:
    return name, f"{before:,.0f} {unit}", f"{after:,.0f} {unit}", f"{after / before:.3f}"


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
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if arguments.worker:
        work(arguments.worker, arguments.tokens)
        return
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

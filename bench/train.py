"""Training beside a bare loop and beside TRL: how fast, and whether the loss is the same.

    python bench/train.py [--trl PYTHON] [--rounds 5] [--steps 5] [--threads N]
                          [--only speed losses chat]

Speed: one model, one set of texts, one batch. Contenders run in processes of their own, in turns,
so that a busy machine slows all alike; what counts is the median of the ratios of each round. The
bare loop is what one would write: packed rows with restarting positions, the model's own loss on
its labels, AdamW. Losses: supervised and preferences on one batch, in float32. Chat: the shared
conversations and preferences teach the small real model, by LoRA; what is said of them is said of
items that were held out.

TRL runs in an environment of its own: that of `--trl`, or of the variable FLYWHEEL_TRL, or one that
is made from `bench/peers/trl.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from corpora import DATA, SEED, WORK
from flywheel.build import objectives
from flywheel.build.adapters import Trainable, add_lora, as_reference, merge
from flywheel.build.base import load_base, new_model, save
from flywheel.build.batches import Notes, Rows, pack, pairs_as_rows, row_numbers
from flywheel.build.conversations import read_training
from flywheel.build.loop import evaluate, train
from flywheel.build.machine import probe
from flywheel.build.objectives import DirectPreference, NextToken, Objective, Supervised
from flywheel.build.sequences import (
    TokenPair,
    TokenSequence,
    tokenise_conversations,
    tokenise_pairs,
)
from flywheel.build.shape import Shape
from flywheel.build.training import TrainingData, TrainSettings
from flywheel.build.vocabulary import train_tokenizer
from peer import PEERS, install
from table import print_table

MODELS = DATA.parent / "models"
FOLDER = WORK / "train"
CONTEXT = 512
BATCH = 8
VOCABULARY = 8192
SHAPE = Shape(vocab_size=VOCABULARY, width=384, depth=6, num_heads=6, num_kv_heads=2, hidden=1024)
PEER = PEERS / "trl_train.py"
NUM_COMPARED = 8
"""Items in the batch whose loss is compared."""
LOSS_NAMES = {"sft": ["supervised"], "dpo": ["sigmoid", "sigmoid_norm"]}
NUM_FOLDS = 4
NUM_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What all contenders are told."""

    kind: str
    model: str
    data: str
    steps: int
    precision: str
    threads: int
    batch: int = BATCH
    context: int = CONTEXT
    seed: int = SEED
    fitted: bool = False
    packing: bool = True
    losses: tuple[str, ...] = ()
    beta: float = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a contender tells of one round. Items are tokens, or preferences."""

    seconds: float
    core_seconds: float
    num_items: float


def main() -> None:
    parser = argparse.ArgumentParser(description="training beside a bare loop and beside TRL")
    parser.add_argument("--trl", type=Path, help="the Python of an environment that has TRL")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="of the optimizer, in each round")
    parser.add_argument("--threads", type=int, help="of each contender; one on a busy machine")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        serve(arguments.contender, Task(**json.loads(arguments.task)))
        return
    if not (DATA / "chat").is_dir():
        print(f"train: skipped, its data is not in {DATA}")
        return
    torch.set_num_threads(os.cpu_count() or 1)
    for part in arguments.only:
        PARTS[part](arguments)


def speed(arguments: argparse.Namespace) -> None:
    """Tokens and preferences per second of each contender."""
    python = trl_python(arguments)
    machine = probe()
    precision = "bf16" if machine.bf16_flops > machine.fp32_flops else "f32"
    texts, pairs = make_speed_data()
    learning = Task(
        kind="sft",
        model=str(FOLDER / "model"),
        data=str(texts),
        steps=arguments.steps,
        precision=precision,
        threads=arguments.threads or machine.num_cores,
    )
    preferring = replace(learning, kind="dpo", data=str(pairs))
    for title, unit, contenders in (
        (
            f"Next token, {SHAPE.num_params / 1e6:.0f}M parameters, {precision}",
            "tokens/s",
            {
                "flywheel": own("flywheel", learning),
                "bare loop": own("bare", learning),
                "TRL, default": peer(python, learning),
                "TRL, fitted": peer(python, replace(learning, fitted=True)),
            },
        ),
        (
            f"Preferences (DPO), the same model, {precision}",
            "pairs/s",
            {
                "flywheel": own("flywheel", preferring),
                "TRL, default": peer(python, preferring),
                "TRL, fitted": peer(python, replace(preferring, fitted=True)),
            },
        ),
    ):
        print_speed(title, unit, in_turns(contenders, arguments.rounds))


def make_speed_data() -> tuple[Path, Path]:
    """Writes the model, and what it learns from as token ids."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    read = [read_training(file) for file in sorted((DATA / "chat").glob("*_demo.json"))]
    said = [conversation for each in read for conversation in each.conversations]
    told = [message.content for conversation in said for message in conversation.messages]
    tokenizer = train_tokenizer(told, VOCABULARY)
    save(new_model(SHAPE, tokenizer, SEED, context=CONTEXT), tokenizer, FOLDER / "model")
    sequences = tokenise_conversations(said, tokenizer, CONTEXT).items
    pairs = tokenise_pairs([pair for each in read for pair in each.pairs], tokenizer, CONTEXT).items
    # All tokens are learned from, as TRL does by default.
    texts = [_as_text(each, learned=np.arange(len(each)) > 0) for each in sequences]
    return write_items("texts", texts), write_items("pairs", [_as_pair(each) for each in pairs])


def _as_text(item: TokenSequence, learned: np.ndarray[Any, Any]) -> dict[str, list[int]]:
    labels = np.where(learned, item.ids, -100)
    return {"input_ids": item.ids.tolist(), "labels": labels.tolist()}


def _as_pair(item: TokenPair) -> dict[str, list[int]]:
    return {
        "prompt_ids": item.prompt.tolist(),
        "chosen_ids": item.chosen.tolist(),
        "rejected_ids": item.rejected.tolist(),
    }


def write_items(name: str, items: Sequence[dict[str, list[int]]]) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(items))
    return path


def in_turns(contenders: dict[str, list[str]], num_rounds: int) -> dict[str, list[Result]]:
    """The results of each contender, one round after the other; a first one is not counted."""
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(running(command)) for name, command in contenders.items()
        }
        results: dict[str, list[Result]] = {name: [] for name in contenders}
        for number in range(num_rounds + 1):
            for name, ask in started.items():
                result = ask()
                if number:
                    results[name].append(result)
    return results


def own(contender: str, task: Task) -> list[str]:
    told = ["--contender", contender, "--task", json.dumps(asdict(task))]
    return [sys.executable, __file__, *told]


def peer(python: Path, task: Task) -> list[str]:
    return [str(python), str(PEER), json.dumps(asdict(task))]


@contextmanager
def running(command: Sequence[str]) -> Iterator[Callable[[], Result]]:
    """A contender in a process of its own, that runs a round when it is asked to."""
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=_environment(),
        ) as process,
    ):
        requests, answers = process.stdin, process.stdout
        assert requests is not None and answers is not None

        def ask() -> Result:
            requests.write("\n")
            requests.flush()
            answer = answers.readline()
            if not answer:
                said.seek(0)
                raise SystemExit(f"A contender broke off: {said.read()[-2000:]}")
            return Result(**json.loads(answer))

        yield ask
        requests.close()


def _environment() -> dict[str, str]:
    return os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def print_speed(title: str, unit: str, results: dict[str, list[Result]]) -> None:
    first, *others = results
    rows = [[first, f"{_rate(results[first]):,.1f}", "", ""]]
    for name in others:
        pairs = list(zip(results[first], results[name], strict=True))
        clock = median(
            (ours.num_items / ours.seconds) / (theirs.num_items / theirs.seconds)
            for ours, theirs in pairs
        )
        cores = median(
            (ours.num_items / ours.core_seconds) / (theirs.num_items / theirs.core_seconds)
            for ours, theirs in pairs
        )
        rows.append([name, f"{_rate(results[name]):,.1f}", f"{clock:.2f}", f"{cores:.2f}"])
    print_table(
        title,
        ["", unit, "flywheel is faster by", "by time of the cores"],
        rows,
        f"medians of {len(results[first])} rounds in turns; batches of {BATCH}, context {CONTEXT}; "
        "the first step of a round is not counted",
    )


def _rate(results: Sequence[Result]) -> float:
    return median(each.num_items / each.seconds for each in results)


def serve(contender: str, task: Task) -> None:
    """Runs a round for each line of the input."""
    torch.set_num_threads(task.threads)
    for _ in sys.stdin:
        print(json.dumps(asdict(CONTENDERS[contender](task))), flush=True)


class Noted(DirectPreference):
    """Says what computing the reference took."""

    seconds, core_seconds = 0.0, 0.0

    def note(self, model: Trainable, rows: Rows) -> Notes:
        begun = now()
        noted = super().note(model, rows)
        Noted.seconds, Noted.core_seconds = (
            after - before for before, after in zip(begun, now(), strict=True)
        )
        return noted


def now() -> tuple[float, float]:
    """On the clock, and on the cores."""
    return time.perf_counter(), time.process_time()


def train_with_flywheel(task: Task) -> Result:
    """The loop as it is called anywhere; a preference's reference is part of its time."""
    model = load_base(task.model, Path("/")).model
    settings = TrainSettings(
        num_steps=task.steps,
        batch_rows=task.batch,
        micro_rows=task.batch,
        seed=task.seed,
        evaluate_every=task.steps + 1,
        precision="bf16" if task.precision == "bf16" else "f32",
    )
    is_text = task.kind == "sft"
    # As many preferences as are learned from.
    rows = read_rows(task, limit=task.batch * task.steps)
    folder = FOLDER / f"run-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    ends: list[tuple[float, float]] = []
    objective: Objective = NextToken() if is_text else Noted()
    data = TrainingData(train=rows)
    report = train(model, data, objective, settings, folder, lambda _: ends.append(now()))
    shutil.rmtree(folder)
    counted = 1 - 1 / task.steps
    num_items = report.num_tokens if is_text else task.batch * task.steps
    return Result(
        seconds=ends[-1][0] - ends[0][0] + counted * Noted.seconds,
        core_seconds=ends[-1][1] - ends[0][1] + counted * Noted.core_seconds,
        num_items=counted * num_items,
    )


def train_bare(task: Task) -> Result:
    """Five lines around the model, on the same rows in the same order."""
    model = load_base(task.model, Path("/")).model
    model.train()
    rows = read_rows(task, limit=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    is_bf16 = task.precision == "bf16"
    num_tokens = 0
    ends: list[tuple[float, float]] = []
    for step in range(task.steps):
        numbers = row_numbers(rows, step * task.batch, task.batch, task.seed)
        ids, positions, labels = padded(rows, numbers)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = model(input_ids=ids, position_ids=positions, labels=labels, use_cache=False).loss
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        num_tokens += sum(len(rows.items[place]) for row in numbers for place in rows.rows[row])
        ends.append(now())
    return Result(
        seconds=ends[-1][0] - ends[0][0],
        core_seconds=ends[-1][1] - ends[0][1],
        num_items=num_tokens * (1 - 1 / task.steps),
    )


def padded(rows: Rows, numbers: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows as a plain model takes them, (b, context) each: ids, positions and labels.

    Where positions begin anew, transformers lets the texts not see each other.
    """
    ids = torch.zeros(len(numbers), CONTEXT, dtype=torch.long)
    positions, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, number in enumerate(numbers):
        start = 0
        for item in (rows.items[each] for each in rows.rows[number]):
            assert isinstance(item, TokenSequence)
            end = start + len(item)
            ids[place, start:end] = torch.from_numpy(item.ids)
            positions[place, start:end] = torch.arange(len(item))
            labels[place, start + 1 : end] = torch.from_numpy(item.ids[1:])
            start = end
    return ids, positions, labels


def read_rows(task: Task, limit: int) -> Rows:
    """The task's data; of preferences only the first `limit`."""
    items = json.loads(Path(task.data).read_text())
    if task.kind == "dpo":
        return pairs_as_rows([_read_pair(each) for each in items[:limit]])
    return pack([_read_text(each) for each in items], task.context, task.seed)


def _read_text(item: dict[str, list[int]]) -> TokenSequence:
    labels = np.array(item["labels"])
    return TokenSequence(ids=np.array(item["input_ids"], dtype=np.int32), is_target=labels != -100)


def _read_pair(item: dict[str, list[int]]) -> TokenPair:
    prompt, chosen, rejected = (
        np.array(item[f"{name}_ids"], dtype=np.int32) for name in ("prompt", "chosen", "rejected")
    )
    return TokenPair(prompt=prompt, chosen=chosen, rejected=rejected)


CONTENDERS: dict[str, Callable[[Task], Result]] = {
    "flywheel": train_with_flywheel,
    "bare": train_bare,
}


def losses(arguments: argparse.Namespace) -> None:
    """The loss of one batch here and in TRL, of a real model that has learned something."""
    python = trl_python(arguments)
    rows = []
    base = load_base(str(MODELS / "tinystories-656k"), Path("/"))
    texts, pairs = read_chat(base.tokenizer)
    learned = FOLDER / "learned"
    reference = FOLDER / "reference"
    save(base.model, base.tokenizer, reference)
    data = TrainingData(train=pack(texts[:64], CONTEXT, SEED))
    train(base.model, data, Supervised(), TrainSettings(num_steps=4), FOLDER / "learning")
    save(base.model, base.tokenizer, learned)
    for kind in LOSS_NAMES:
        items: Sequence[dict[str, list[int]]] = (
            [_as_text(each, each.is_target) for each in texts[:NUM_COMPARED]]
            if kind == "sft"
            else [_as_pair(each) for each in pairs[:NUM_COMPARED]]
        )
        task = Task(
            kind=kind,
            model=str(learned),
            data=str(write_items(f"compared-{kind}", items)),
            steps=1,
            precision="f32",
            threads=1,
            packing=False,
            losses=tuple(LOSS_NAMES[kind]),
        )
        told = _losses_there(python, task, reference)
        for name in task.losses:
            ours = _loss_here(task, name, base.model, reference)
            rows.append([name, f"{ours:.7f}", f"{told[name]:.7f}", f"{abs(ours - told[name]):.1e}"])
    print_table(
        f"Loss of one batch of {NUM_COMPARED}, float32",
        ["", "flywheel", "TRL", "difference"],
        rows,
        "sigmoid_norm: log-ratios divided by the lengths of the replies",
    )


def _losses_there(python: Path, task: Task, reference: Path) -> dict[str, float]:
    told = asdict(task) | ({"reference": str(reference)} if task.kind == "dpo" else {})
    command = [str(python), str(PEER), json.dumps(told)]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment())
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _loss_here(task: Task, name: str, model: PreTrainedModel, reference: Path) -> float:
    rows = read_rows(task, limit=NUM_COMPARED)
    objective: Objective = Supervised()
    if task.kind == "dpo":
        objective = DirectPreference(normalise_length=name == "sigmoid_norm")
        rows = rows.with_notes(objective.note(load_base(str(reference), Path("/")).model, rows))
    return evaluate(model, rows, objective, micro_rows=len(rows)).loss


def chat(arguments: argparse.Namespace) -> None:
    """Conversations, then preferences, teach the small real model by LoRA."""
    del arguments
    base = load_base(str(MODELS / "tinystories-656k"), Path("/"))
    texts, pairs = read_chat(base.tokenizer)
    shutil.rmtree(FOLDER / "chat", ignore_errors=True)
    held_out = texts[::10]
    taught = [each for place, each in enumerate(texts) if place % 10]
    judged = pack(held_out, CONTEXT, SEED)
    adapted = add_lora(base.model, rank=16, seed=SEED)
    before = evaluate(adapted, judged, Supervised()).loss
    settings = TrainSettings(num_steps=160, learning_rate=3e-3)
    data = TrainingData(train=pack(taught, CONTEXT, SEED))
    train(adapted, data, Supervised(), settings, FOLDER / "chat" / "supervised")
    after = evaluate(adapted, judged, Supervised()).loss
    save(merge(adapted), base.tokenizer, FOLDER / "chat" / "taught")
    folds = [preferences_of_fold(pairs, number) for number in range(NUM_FOLDS)]
    right = np.concatenate([fold.right for fold in folds])
    low, high = interval(right)
    print_table(
        "tinystories-656k taught by LoRA: conversations, then preferences",
        ["on items that were held out", "before", "after"],
        [
            ["loss of the replies", f"{before:.3f}", f"{after:.3f}"],
            ["accuracy of preferences", "0.500", f"{right.mean():.3f} ({low:.3f}–{high:.3f})"],
            ["reference unchanged, to the bit", "", "yes" if _are_unchanged(folds) else "no"],
        ],
        f"{len(held_out)} conversations of {len(texts)}; {len(right)} preferences in {NUM_FOLDS} "
        "parts, each judged by what the others taught; interval: 95 %, bootstrap",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """What the preferences of the other parts taught about one."""

    right: np.ndarray[Any, Any]
    """1 where the better reply gained more than the worse, 0 where less, (pairs,)."""
    is_reference_unchanged: bool


def preferences_of_fold(pairs: Sequence[TokenPair], number: int) -> Fold:
    """Learns from all parts but one, and judges that one."""
    model = load_base(str(FOLDER / "chat" / "taught"), Path("/")).model
    adapted = add_lora(model, rank=16, seed=SEED)
    judged = pairs_as_rows(
        [each for place, each in enumerate(pairs) if place % NUM_FOLDS == number]
    )
    taught = pairs_as_rows(
        [each for place, each in enumerate(pairs) if place % NUM_FOLDS != number]
    )
    objective = DirectPreference()
    before = objective.note(adapted, judged)[objectives.REFERENCE]
    settings = TrainSettings(num_steps=60, learning_rate=1e-3, evaluate_every=60)
    data = TrainingData(train=taught)
    train(adapted, data, objective, settings, FOLDER / "chat" / f"preferences-{number}")
    noted = judged.with_notes({objectives.REFERENCE: before})
    right = [
        evaluate(adapted, replace(noted, rows=(row,)), objective).measures["accuracy"]
        for row in noted.rows
    ]
    with as_reference(adapted):
        after = objective.note(adapted, judged)[objectives.REFERENCE]
    return Fold(right=np.array(right), is_reference_unchanged=bool(np.array_equal(before, after)))


def _are_unchanged(folds: Sequence[Fold]) -> bool:
    return all(fold.is_reference_unchanged for fold in folds)


def interval(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Where the mean lies with 95 %, by resampling."""
    drawn = np.random.default_rng(SEED).choice(values, (NUM_RESAMPLES, len(values)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def read_chat(
    tokenizer: PreTrainedTokenizerFast,
) -> tuple[tuple[TokenSequence, ...], tuple[TokenPair, ...]]:
    """The English conversations and preferences that fit the small model's context."""
    texts = read_training(DATA / "chat" / "alpaca_en_demo.json").conversations
    pairs = read_training(DATA / "chat" / "dpo_en_demo.json").pairs
    return (
        tokenise_conversations(texts, tokenizer, CONTEXT).items,
        tokenise_pairs(pairs, tokenizer, CONTEXT).items,
    )


def trl_python(arguments: argparse.Namespace) -> Path:
    """The Python of TRL's environment."""
    named = arguments.trl or os.environ.get("FLYWHEEL_TRL")
    return Path(named) if named else install("trl")


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "losses": losses,
    "chat": chat,
    "speed": speed,
}


if __name__ == "__main__":
    main()

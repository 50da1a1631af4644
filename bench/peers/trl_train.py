"""TRL's SFTTrainer and DPOTrainer: how fast they train, and what loss they see on one batch.

Default: as they come, but for the context, so that the data is the same; that is bfloat16 where
the machine has it, activations computed twice, and packing (SFT) by best fit, for which it lays all
rows end to end: without its attention for cards, under one mask of the whole batch. Fitted: the
precision that is asked for, activations kept, the reference of preferences computed once
beforehand, and packing that wraps, in which texts are cut anywhere and see each other.

Runs inside TRL's own environment, so it knows nothing of Flywheel. Reads a task, then a round is
run for each line on its input; each answer is a line of JSON. All token ids are given, so that
what is trained on is the same to the token.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset  # type: ignore[import-not-found]
from trl import (  # type: ignore[import-not-found]
    DPOConfig,
    DPOTrainer,
    SFTConfig,
    SFTTrainer,
)


class Clock(transformers.TrainerCallback):
    """From the first step's end to the last one's: on the clock, and on the cores."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(now())


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


class GivenIds(DPOTrainer):  # type: ignore[misc]
    """Takes preferences as token ids, which the trainer would make itself."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset


def settings(task: dict[str, Any]) -> dict[str, Any]:
    """What both trainers are told."""
    told: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(),
        "max_length": task["context"],
        "per_device_train_batch_size": task["batch"],
        "max_steps": task["steps"],
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        "seed": task["seed"],
    }
    if task["fitted"]:
        told |= {"bf16": task["precision"] == "bf16", "gradient_checkpointing": False}
        if task["kind"] == "dpo":
            told["precompute_ref_log_probs"] = True
        elif task["packing"]:
            told["packing_strategy"] = "wrapped"
    return told


def load(folder: str) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def trainer(task: dict[str, Any], **more: Any) -> Any:
    """A new trainer of the task's model and data."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(task["model"])
    items = json.loads(Path(task["data"]).read_text())
    if task["kind"] == "dpo":
        items = items[: task["batch"] * task["steps"]]
    told = settings(task) | more
    reference = load(task["reference"]) if "reference" in task else None
    if task["kind"] == "sft":
        return SFTTrainer(
            load(task["model"]),
            args=SFTConfig(packing=task["packing"], **told),
            train_dataset=Dataset.from_list(items),
            processing_class=tokenizer,
        )
    return GivenIds(
        load(task["model"]),
        ref_model=reference,
        args=DPOConfig(**told),
        train_dataset=Dataset.from_list(items),
        processing_class=tokenizer,
    )


def run_round(task: dict[str, Any]) -> dict[str, float]:
    """Trains a new trainer for the task's steps, of which the first is not counted.

    A reference that is computed beforehand is, in its share. An item is a token, or a preference.
    """
    training = trainer(task)
    clock = Clock()
    training.add_callback(clock)
    begun = now()
    training.get_train_dataloader()  # computes the reference, where it is computed beforehand
    noted = [after - before for before, after in zip(begun, now(), strict=True)]
    training.train()
    rows = training.train_dataset
    num_items = task["batch"] * (task["steps"] - 1)
    is_noted = task["kind"] == "dpo" and task["fitted"]
    share = num_items / len(rows) if is_noted else 0.0
    if task["kind"] == "sft":
        num_items *= sum(map(len, rows["input_ids"])) / len(rows)
    seconds, core_seconds = (
        last - first + share * note
        for first, last, note in zip(clock.ends[0], clock.ends[-1], noted, strict=True)
    )
    return {"seconds": seconds, "core_seconds": core_seconds, "num_items": num_items}


def losses(task: dict[str, Any]) -> dict[str, float]:
    """The loss of the whole data as one batch, before any step, in float32."""
    found = {}
    for name in task["losses"]:
        more: dict[str, Any] = {"bf16": False, "gradient_checkpointing": False}
        more |= {} if task["kind"] == "sft" else {"loss_type": [name], "beta": task["beta"]}
        training = trainer(task, **more)
        training.model.eval()
        batch = training.data_collator(list(training.train_dataset))
        with torch.no_grad():
            found[name] = float(training.compute_loss(training.model, batch))
    return found


def main() -> None:
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    answer = sys.stdout
    sys.stdout = sys.stderr  # where its logs go
    if task["losses"]:
        print(json.dumps(losses(task)), file=answer, flush=True)
        return
    for _ in sys.stdin:
        print(json.dumps(run_round(task)), file=answer, flush=True)


if __name__ == "__main__":
    main()

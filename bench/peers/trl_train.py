"""TRL's SFTTrainer and DPOTrainer: how fast they train, and what loss they see on one batch.

Default: as they come, but for the context, so that the data is the same; that is bfloat16 where
the machine has it, activations computed twice, and packing (SFT) by best fit. Fitted: the precision
that is asked for, activations kept, and the reference of preferences computed once beforehand.

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
    """From the first step's beginning to the last one's end: on the clock, and on the cores."""

    def __init__(self) -> None:
        self.started: tuple[float, float] | None = None
        self.ended = (0.0, 0.0)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.started = self.started or now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended = now()


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
        "seed": task["seed"],
    }
    if task["fitted"]:
        told |= {"bf16": task["precision"] == "bf16", "gradient_checkpointing": False}
        if task["kind"] == "dpo":
            told["precompute_ref_log_probs"] = True
    return told


def load(folder: str) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def trainer(task: dict[str, Any], **more: Any) -> Any:
    """A new trainer of the task's model and data."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(task["model"])
    items = Dataset.from_list(json.loads(Path(task["data"]).read_text()))
    told = settings(task) | more
    reference = load(task["reference"]) if "reference" in task else None
    if task["kind"] == "sft":
        return SFTTrainer(
            load(task["model"]),
            args=SFTConfig(packing=task["packing"], **told),
            train_dataset=items,
            processing_class=tokenizer,
        )
    return GivenIds(
        load(task["model"]),
        ref_model=reference,
        args=DPOConfig(**told),
        train_dataset=items,
        processing_class=tokenizer,
    )


def run_round(task: dict[str, Any]) -> dict[str, float]:
    """Trains a new trainer for the task's steps.

    The reference, where it is computed beforehand, is part of the time. An item is a token, or a
    preference.
    """
    begun = now()
    training = trainer(task)
    is_noted = task["kind"] == "dpo" and task["fitted"]
    clock = Clock()
    training.add_callback(clock)
    training.train()
    started = begun if is_noted else clock.started
    assert started is not None
    rows = training.train_dataset
    num_items = task["batch"] * task["steps"]
    if task["kind"] == "sft":
        num_items *= sum(map(len, rows["input_ids"])) / len(rows)
    return {
        "seconds": clock.ended[0] - started[0],
        "core_seconds": clock.ended[1] - started[1],
        "num_items": num_items,
    }


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

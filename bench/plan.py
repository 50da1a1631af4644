"""What a plan predicts of memory and time beside what the training then takes.

    python bench/plan.py [--steps 8] [--processor]

Four trainings, each in a process of its own: the machine is probed, a few steps are tried out, then
the real loop trains on random tokens. Memory is the peak of the resident size above what the
process held before the model was made; time is that of the steps but the first two, in which what
is allocated and compiled is set up. With `--processor` it is the processor's, of one thread, which
says something on a busy machine, too.
Ends with 1 where a prediction is further off than it may be: 15 % and 30 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flywheel.build.footprint import Step, footprint
from flywheel.build.machine import probe
from flywheel.build.pace import measure_pace, random_texts, speeds, step_seconds
from flywheel.build.plan import new_shape
from flywheel.build.shape import Shape
from table import print_table

MOST_OFF_MEMORY, MOST_OFF_TIME = 0.15, 0.30
MIB = 2**20
_SMALL_QWEN2 = Shape(
    vocab_size=32_768,
    width=512,
    depth=10,
    num_heads=8,
    num_kv_heads=2,
    hidden=1536,
    family="qwen2",
)

CASES = {
    "new, 1.1 million": Step(
        shape=new_shape(128, 4, 2048), method="new", context=512, rows=8, accumulation=2
    ),
    "new, 5.8 million": Step(shape=new_shape(256, 6, 4096), method="new", context=512, rows=8),
    "LoRA on qwen2, 47 million": Step(
        shape=_SMALL_QWEN2, method="lora", context=512, rows=4, rank=16
    ),
    # A CPU without instructions for it is 11 to 14 times slower: few tokens.
    "the same in bfloat16, one row": Step(
        shape=_SMALL_QWEN2, method="lora", context=256, rows=1, rank=16, number="bfloat16"
    ),
}


def measure(step: Step, num_steps: int, clock: Callable[[], float]) -> dict[str, float]:
    """Predicted and measured, in this process."""
    import torch

    from flywheel.build.adapters import add_lora
    from flywheel.build.allocator import give_back, trim
    from flywheel.build.base import new_model
    from flywheel.build.batches import pack
    from flywheel.build.loop import train
    from flywheel.build.objectives import NextToken
    from flywheel.build.training import TrainingData, TrainSettings
    from flywheel.build.vocabulary import FEWEST_TOKENS, train_tokenizer

    give_back()
    machine = probe()
    at = speeds(machine, is_half=step.number == "bfloat16")
    seconds = step_seconds(step, at, measure_pace(step, machine, clock))
    trim()
    texts = random_texts(2 * step.batch_rows, step.context, step.shape.vocab_size)
    tokenizer = train_tokenizer((), FEWEST_TOKENS)
    held = resident_bytes()
    plain = new_model(step.shape, tokenizer, seed=1)
    if step.is_frozen and step.number == "bfloat16":
        torch.nn.Module.to(plain, torch.bfloat16)
    model = add_lora(plain, rank=step.rank) if step.is_frozen else plain
    settings = TrainSettings(
        num_steps=num_steps,
        batch_rows=step.batch_rows,
        micro_rows=step.rows,
        precision="f32" if step.number == "float32" else "bf16",
        save_memory=step.recompute,
        evaluate_every=num_steps + 1,
    )
    times: list[float] = []

    def note(_: object) -> None:
        times.append(clock())

    with tempfile.TemporaryDirectory() as folder:
        data = TrainingData(train=pack(texts, step.context, seed=1))
        report = train(model, data, NextToken(), settings, Path(folder), note)
    return {
        "predicted_bytes": footprint(step).total,
        "measured_bytes": report.peak_memory_bytes - held,
        "predicted_seconds": (num_steps - 3) * seconds,
        "measured_seconds": times[-2] - times[1],
    }


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("memory is measured on Linux only")


def in_own_process(case: str, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--case", case, "--steps", str(arguments.steps)]
    command += ["--processor"] if arguments.processor else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _one_thread() -> Callable[[], float]:
    """The processor's clock, with nothing that waits for other threads on it."""
    import torch

    torch.set_num_threads(1)
    return time.process_time


def main() -> int:
    parser = argparse.ArgumentParser(description="predicted beside measured")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--processor", action="store_true", help="the processor's time")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        clock = _one_thread() if arguments.processor else time.perf_counter
        print(json.dumps(measure(CASES[arguments.case], arguments.steps, clock)))
        return 0
    rows, is_good = [], True
    for case in CASES:
        found = in_own_process(case, arguments)
        memory = found["measured_bytes"] / found["predicted_bytes"]
        duration = found["measured_seconds"] / found["predicted_seconds"]
        is_good &= abs(memory - 1) <= MOST_OFF_MEMORY and abs(duration - 1) <= MOST_OFF_TIME
        rows.append(
            [
                case,
                f"{found['predicted_bytes'] / MIB:.0f}",
                f"{found['measured_bytes'] / MIB:.0f}",
                f"{memory:.2f}",
                f"{found['predicted_seconds']:.1f}",
                f"{found['measured_seconds']:.1f}",
                f"{duration:.2f}",
            ]
        )
    columns = ("training", "MiB planned", "measured", "ratio", "s planned", "measured", "ratio")
    print_table(
        f"plan: {arguments.steps} steps of each, the last and the first two left out", columns, rows
    )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())

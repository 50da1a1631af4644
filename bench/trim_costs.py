"""Memory and LoRA step time of a model of half a billion parameters, whole and trimmed.

    python bench/trim_costs.py [--steps 6] [--tokens 128]

Two processes, one for each, take turns step by step, so that whatever else the machine does falls
on both. `bench/trim.py` runs it as one of its tables.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from table import print_table

QWEN_ROWS = 151_936
SIZE = 16_384
SEED = 1


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
        bos_token_id=None,
        eos_token_id=None,
        dtype="float32",
    )
    made: Any = Qwen2ForCausalLM(config)
    return made.eval()


class Worker:
    """A process that holds the model, whole or trimmed, and takes one LoRA step at a time."""

    def __init__(self, kind: str, num_tokens: int) -> None:
        command = [sys.executable, __file__, "--worker", kind, "--tokens", str(num_tokens)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.parameter_bytes = int(self._read()["parameter_bytes"])

    def step(self) -> dict[str, float]:
        """Seconds of one step: on the clock, and of the processors."""
        self._write("step")
        return self._read()

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
        started, busy = time.perf_counter(), time.process_time()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        took = {
            "seconds": time.perf_counter() - started,
            "busy_seconds": time.process_time() - busy,
        }
        print(json.dumps(took), flush=True)
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
    rows = [
        _cost("parameters", whole.parameter_bytes / 1e6, trimmed.parameter_bytes / 1e6, "MB"),
        _cost("peak resident memory", peaks[0] / 1e6, peaks[1] / 1e6, "MB"),
        _times("LoRA step", pairs, "seconds"),
        _times("the same, of the processors", pairs, "busy_seconds"),
    ]
    note = (
        f"The shape of Qwen2.5-0.5B in float32 on 2 threads; LoRA of rank 8 on the four matrices "
        f"of attention, one row of {num_tokens} tokens; {num_steps} pairs of steps in turns, the "
        "ratio's median and range."
    )
    names = (f"{QWEN_ROWS:,} rows", f"{SIZE:,} rows", "ratio")
    print_table("Memory and time of a model of 0.5B", ("", *names), rows, note)


def _times(
    name: str, pairs: Sequence[tuple[dict[str, float], dict[str, float]]], kind: str
) -> tuple[str, str, str, str]:
    taken = [(before[kind], after[kind]) for before, after in pairs]
    before, after = (statistics.median(each) for each in zip(*taken, strict=True))
    ratios = sorted(small / whole for whole, small in taken)
    middle = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
    return name, f"{before:.2f} s", f"{after:.2f} s", middle


def _cost(name: str, before: float, after: float, unit: str) -> tuple[str, str, str, str]:
    return name, f"{before:,.0f} {unit}", f"{after:,.0f} {unit}", f"{after / before:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what a trimmed model saves")
    parser.add_argument("--steps", type=int, default=6, help="pairs of steps")
    parser.add_argument("--tokens", type=int, default=128, help="tokens in a step")
    parser.add_argument("--worker", choices=("whole", "trimmed"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.tokens)
    else:
        print_costs(arguments.steps, arguments.tokens)


if __name__ == "__main__":
    main()

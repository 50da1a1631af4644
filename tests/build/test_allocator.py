"""What was freed goes back to the system; in processes of their own, since it is for the whole."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="the C library is not glibc",
)

MEASURED = """
from pathlib import Path
from flywheel.build.allocator import give_back, trim

def resident():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024

before = resident()
# Blocks of the heap's own size, and one behind them that keeps the heap from shrinking.
blocks = [bytearray(60_000) for _ in range(2000)]
last = bytearray(60_000)
blocks.clear()
held = resident() - before
print(held > 100_000_000, {call}(), resident() - before < 20_000_000)
"""


@pytest.mark.parametrize("call", ["trim", "give_back"])
def test_what_a_trial_left_in_the_heap_goes_back(call: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.replace("{call}", call)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "True", "True"]

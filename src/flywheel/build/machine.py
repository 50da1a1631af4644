"""What this machine can do, measured rather than assumed: for planning a model that fits it.

Cores and memory are what this process may use: a container's limits count, not the host's sizes.
Speeds are measured, since a data sheet says little: without AVX-512 or AMX a CPU multiplies
bfloat16 11 to 14 times slower than float32, with them up to 4 times quicker; and a card of the
Pascal generation has no fast bfloat16 at all.

Not here: what is made of it (plan.py), and how long a step of a planned model takes (pace.py).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MEASURED_SECONDS = 0.2
"""For each speed. Three of them, and the first products, which are not counted: 1 s in all."""
CPU_SIDE = 768
"""Side of the matrices: at 768 two cores are as quick as they get, and one product in bfloat16
takes 0.05 s where the CPU has no instructions for it."""
CUDA_SIDE = 4096
COPIED_BYTES = 64 * 2**20
"""More than the caches of most CPUs hold, so that memory is measured and not them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One CUDA device."""

    name: str
    memory_bytes: int
    free_bytes: int
    capability: str
    """Its compute capability, such as 6.1 for Pascal."""
    fp32_flops: float
    """Floating-point operations a second in matrix products, as are the others."""
    bf16_flops: float
    bandwidth: float
    """Bytes that its memory reads and writes in a second."""
    problem: str = ""
    """Why it cannot be used, in its driver's words; empty where it can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What can be used of this machine."""

    num_cores: int
    memory_bytes: int
    available_bytes: int
    fp32_flops: float
    """Of all cores together, as are the next two."""
    bf16_flops: float
    bandwidth: float
    torch: str = ""
    """The release of torch and what it was built for, such as 2.13.0+cpu."""
    card: Card | None = None

    @property
    def usable_card(self) -> Card | None:
        """The card, where there is one that works."""
        return self.card if self.card and not self.card.problem else None


def probe() -> Machine:
    """Measures this machine; takes about a second, and a little longer with a card.

    Needs torch: the caller sees to it that it is installed.
    """
    import torch

    device = torch.device("cpu")
    return Machine(
        num_cores=num_cores(),
        memory_bytes=memory_bytes(),
        available_bytes=available_bytes(),
        fp32_flops=_product_flops(torch.float32, device, CPU_SIDE),
        bf16_flops=_product_flops(torch.bfloat16, device, CPU_SIDE),
        bandwidth=_bandwidth(device),
        torch=torch.__version__,
        card=_card(),
    )


def num_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: those it is bound to, and the share that its group gets.

    Args:
        root: where the system's own files are looked for.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    shares = [quota / period for quota, period in _cpu_limits(root) if quota > 0 and period > 0]
    return max(1, math.ceil(min([bound or 1, *shares])))


def memory_bytes(root: Path = Path("/")) -> int:
    """Memory that this process may use at most: the machine's, or its group's limit."""
    return min([_meminfo(root, "MemTotal"), *(limit for limit, _ in _memory_limits(root))])


def available_bytes(root: Path = Path("/")) -> int:
    """Memory that is free now, what caches would give back included."""
    left = (limit - used for limit, used in _memory_limits(root))
    return max(0, min([_meminfo(root, "MemAvailable"), *left]))


def _cpu_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Quota and period of every control group that holds this process."""
    for group in _groups(root, "cpu"):
        both = _text(group / "cpu.max").split()
        if len(both) == 2:
            yield _number(both[0]), _number(both[1])
        yield (
            _number(_text(group / "cpu.cfs_quota_us")),
            _number(_text(group / "cpu.cfs_period_us")),
        )


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of every control group that holds this process and has a limit."""
    for group in _groups(root, "memory"):
        for limit_name, use_name, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(_text(group / limit_name))
            # Version 1 says "none" with the largest multiple of a page that 63 bits hold.
            if 0 < limit < 2**62:
                statistics = dict(
                    line.split(maxsplit=1) for line in _text(group / "memory.stat").splitlines()
                )
                given_back = _number(statistics.get(cache, ""))
                yield limit, max(0, _number(_text(group / use_name)) - given_back)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that hold this process, of version 2 and of version 1.

    In a container the path that /proc tells may be the host's: what of it is not there is left
    out, and the top, which is then the container's own group, always counts.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controllers and controller)
        folder = top / path.lstrip("/")
        yield from (each for each in (folder, *folder.parents) if each.is_relative_to(top))


def _meminfo(root: Path, name: str) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    # No /proc, as on macOS: what is free is not told, and half of it is a careful guess.
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total if name == "MemTotal" else total // 2


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _number(text: str) -> int:
    """0 where there is none, or "max"."""
    text = text.strip()
    return int(text) if text.isdecimal() else 0


def _card() -> Card | None:
    import torch

    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda")
    properties = torch.cuda.get_device_properties(device)
    speeds, problem = (0.0, 0.0, 0.0), ""
    try:
        speeds = (
            _product_flops(torch.float32, device, CUDA_SIDE),
            _product_flops(torch.bfloat16, device, CUDA_SIDE),
            _bandwidth(device),
        )
    except RuntimeError as error:
        # A build of torch without kernels for this generation says so at the first product only.
        problem = str(error).splitlines()[0]
    free = 0 if problem else torch.cuda.mem_get_info(device)[0]
    return Card(
        name=properties.name,
        memory_bytes=properties.total_memory,
        free_bytes=free,
        capability=f"{properties.major}.{properties.minor}",
        fp32_flops=speeds[0],
        bf16_flops=speeds[1],
        bandwidth=speeds[2],
        problem=problem,
    )


def _product_flops(dtype: torch.dtype, device: torch.device, side: int) -> float:
    """Operations a second in a product of two square matrices: 2 side³ each."""
    import torch

    left = torch.ones(side, side, dtype=dtype, device=device)
    out = torch.empty_like(left)
    return 2 * side**3 / _seconds(lambda: torch.mm(left, left, out=out), device)


def _bandwidth(device: torch.device) -> float:
    import torch

    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * COPIED_BYTES / _seconds(lambda: target.copy_(source), device)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """What the work takes at its best: whatever else runs here can only make it slower."""
    best, started = math.inf, time.perf_counter()
    _timed(work, device)
    while time.perf_counter() - started < MEASURED_SECONDS or best == math.inf:
        best = min(best, _timed(work, device))
    return best


def _timed(work: Callable[[], object], device: torch.device) -> float:
    import torch

    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started

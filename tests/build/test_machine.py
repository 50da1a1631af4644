from __future__ import annotations

from pathlib import Path

import pytest

from flywheel.build import machine
from flywheel.build.machine import Card, Machine, probe
from flywheel.records import from_json, to_json

GIB = 2**30
UNLIMITED = 2**63 - 4096
"""What a control group of version 1 says where it has no limit."""


def system(root: Path, files: dict[str, str]) -> Path:
    """A made-up system's own files under a folder."""
    meminfo = f"MemTotal: {16 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {8 * 2**20} kB\n"
    for name, text in {"proc/meminfo": meminfo, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_probe_measures_this_machine() -> None:
    pytest.importorskip("torch", reason="the extra [model] is not installed")
    found = probe()
    assert found.num_cores >= 1
    assert 0 < found.available_bytes <= found.memory_bytes
    assert found.fp32_flops > 1e8
    assert found.bf16_flops > 1e7
    assert found.bandwidth > 1e8
    assert found.torch


def test_machine_comes_back_from_json() -> None:
    card = Card(
        name="GTX 1080",
        memory_bytes=8 * GIB,
        free_bytes=7 * GIB,
        capability="6.1",
        fp32_flops=8e12,
        bf16_flops=1e11,
        bandwidth=3e11,
    )
    whole = Machine(
        num_cores=2,
        memory_bytes=16 * GIB,
        available_bytes=8 * GIB,
        fp32_flops=1e11,
        bf16_flops=1e10,
        bandwidth=1e10,
        card=card,
    )
    assert from_json(Machine, to_json(whole)) == whole


def test_without_groups_the_machines_own_memory_counts(tmp_path: Path) -> None:
    root = system(tmp_path, {})
    assert machine.memory_bytes(root) == 16 * GIB
    assert machine.available_bytes(root) == 8 * GIB


def test_limit_of_a_container_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
        "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {1 * GIB}\n",
    }
    root = system(tmp_path, files)
    assert machine.memory_bytes(root) == 4 * GIB
    assert machine.available_bytes(root) == 2 * GIB


def test_narrowest_of_nested_groups_counts(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/user/job\n",
        "sys/fs/cgroup/user/job/memory.max": "max\n",
        "sys/fs/cgroup/user/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/user/memory.current": "0\n",
    }
    assert machine.memory_bytes(system(tmp_path, files)) == 2 * GIB


def test_path_of_the_host_in_a_container_does_not_hide_the_limit(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:memory:/docker/1234\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3 * GIB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{1 * GIB}\n",
    }
    root = system(tmp_path, files)
    assert machine.memory_bytes(root) == 3 * GIB
    assert machine.available_bytes(root) == 2 * GIB


def test_unlimited_group_of_the_first_version_is_no_limit(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{UNLIMITED}\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    root = system(tmp_path, files)
    assert machine.memory_bytes(root) == 16 * GIB
    assert machine.num_cores(root) == machine.num_cores(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    ],
    ids=["second version", "first version"],
)
def test_share_of_the_cores_that_a_group_gets_counts(tmp_path: Path, files: dict[str, str]) -> None:
    assert machine.num_cores(system(tmp_path, files)) == 1

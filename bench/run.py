"""All benches with short settings, one table after the other: what `make bench` runs.

    python bench/run.py [--full]

Short: the example, 300 legal questions, 1,000 medical topics, up to 10,000 passages, one run.
Full: everything, as in docs/benchmarks.md. What needs data that is not there says so and is left
out; so is train.py, which compares with TRL in a Python of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from corpora import DATA

BENCH = Path(__file__).resolve().parent


def commands(*, full: bool) -> Iterator[list[str]]:
    """Each bench with its arguments, the quick ones first."""
    yield ["collect.py", *(["--full"] if full else ["--runs", "1"])]
    yield ["latency.py", "--sizes", "1000", "10000", *(["100000"] if full else [])]
    yield ["quality.py", *(["--full"] if full else [])]
    yield ["corrections.py"]
    yield ["access.py", *([] if full else ["--questions", "500"])]
    yield ["serving.py", *([] if full else ["--seconds", "10", "--rounds", "1"])]
    yield ["fuzz.py", *([] if full else ["--cases", "500", "--raw", "500"])]
    yield ["soak.py", *([] if full else ["--seconds", "60"])]
    yield ["cache.py", *([] if full else ["--requests", "5000"])]
    yield ["follow_ups.py"]
    yield ["moderation.py"]
    yield ["cards.py"]
    yield ["plan.py", *([] if full else ["--steps", "5", "--processor"])]
    yield ["trim.py", *([] if full else ["--steps", "2", "--tokens", "64"])]
    yield ["gate.py", *(["--sittings", "300"] if full else ["--sittings", "50", "--sizes", "60"])]
    yield ["engine.py", *([] if full else ["--tokens", "32", "--runs", "1", "--leavers", "3"])]
    yield ["learning.py", "--seeds", "5" if full else "1"]
    yield ["export.py", *(["--full"] if full else [])]
    if full:
        yield ["poison.py", "--seeds", "3"]
        yield ["served.py"]
        yield ["kill.py"]
        yield ["kill_writers.py"]
    if (DATA / "privacy").is_dir():
        yield ["privacy.py"]
    else:
        print(f"privacy: skipped, its data is not in {DATA}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="run all benches")
    parser.add_argument("--full", action="store_true", help="on everything; takes long")
    failed = []
    for script, *arguments in commands(full=parser.parse_args().full):
        print(f"\n## bench/{script} {' '.join(arguments)}".rstrip(), flush=True)
        command = [sys.executable, str(BENCH / script), *arguments]
        if subprocess.run(command, cwd=BENCH.parent).returncode:
            failed.append(script)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

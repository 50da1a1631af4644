"""What `flywheel add` takes: speed, peak memory, and how both grow with the documents.

    python bench/collect.py [FOLDER …] [--runs 3] [--full]

The first table has the example and each FOLDER (or archive), the second what `add` and `turn`
take on half of the last folder's files and on all of them, as medians of several runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from corpora import DATA, EXAMPLE, WORK, all_laws
from measure import Run, flywheel
from table import print_table

HERE = WORK / "collect"
MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """What it took to get from a folder to a version that answers."""

    seconds: dict[str, float]
    peak_bytes: int

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


def add(source: Path) -> Run:
    """`flywheel add` into a new workspace."""
    workspace = HERE / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    HERE.mkdir(parents=True, exist_ok=True)
    flywheel(workspace, "init", str(workspace))
    return flywheel(workspace, "add", str(source), "--json")


def speed_row(source: Path) -> list[str]:
    """One source's line of the first table."""
    run = add(source)
    documents = json.loads(run.stdout)["documents"]
    fates = Counter(document["fate"] for document in documents)
    megabytes = size_bytes(source) / 1e6
    return [
        source.name if source != EXAMPLE / "documents" else "owners-manual",
        str(len(documents)),
        f"{megabytes:.2f}",
        f"{run.seconds:.1f}",
        f"{megabytes / run.seconds:.2f}",
        f"{len(documents) / run.seconds:.1f}",
        f"{run.peak_bytes / MIB:.0f}",
        ", ".join(f"{count} {fate}" for fate, count in fates.most_common()),
    ]


def size_bytes(source: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = [source] if source.is_file() else source.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())


def parts(folder: Path) -> dict[str, Path]:
    """Every second file of a folder, and all of them: the same kind of text in both."""
    made = {"half": HERE / "half", "whole": HERE / "whole"}
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for (name, target), step in zip(made.items(), (2, 1), strict=True):
        shutil.rmtree(target, ignore_errors=True)
        for file in files[::step]:
            copy = target / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        print(f"{name}: {size_bytes(target) / 1e6:.2f} MB", flush=True)
    return made


def revolve(source: Path) -> Wheel:
    """`add` and `turn` in a new workspace."""
    added = add(source)
    turned = flywheel(HERE / "workspace", "turn", "--json")
    return Wheel(
        seconds={"add": added.seconds, "turn": turned.seconds},
        peak_bytes=max(added.peak_bytes, turned.peak_bytes),
    )


def growth_rows(folder: Path, num_runs: int) -> list[list[str]]:
    """Half, whole, and the ratio of their medians."""
    made = parts(folder)
    runs: dict[str, list[Wheel]] = {name: [] for name in made}
    for _ in range(num_runs):  # alternating, so that a slow minute of the machine meets both
        for name, source in made.items():
            runs[name].append(revolve(source))
    half, whole = (figures(size_bytes(made[name]), runs[name]) for name in made)
    ratios = [f"{large / small:.2f}" for small, large in zip(half, whole, strict=True)]
    lines = [[f"{value:.1f}" for value in values] for values in (half, whole)]
    return [["half", *lines[0]], ["whole", *lines[1]], ["ratio", *ratios]]


def figures(num_bytes: int, runs: Sequence[Wheel]) -> list[float]:
    """Megabytes, then the medians: seconds of `add`, of `turn`, of both, and MiB."""
    return [
        num_bytes / 1e6,
        median(run.seconds["add"] for run in runs),
        median(run.seconds["turn"] for run in runs),
        median(run.total_seconds for run in runs),
        median(run.peak_bytes for run in runs) / MIB,
    ]


def default_folders(*, full: bool) -> list[Path]:
    """The statutes where the folder of real data is there: 4 MB, and 58 MB where asked for."""
    laws = DATA / "legal-zh" / "laws"
    everything = all_laws(DATA) if full else None
    return [folder for folder in (laws, everything) if folder and folder.is_dir()]


def main() -> None:
    parser = argparse.ArgumentParser(description="speed and memory of collecting")
    parser.add_argument("folders", nargs="*", type=Path, help="default: the statutes, if there")
    parser.add_argument("--runs", type=int, default=3, help="of the second table")
    parser.add_argument("--full", action="store_true", help="58 MB of statutes too")
    arguments = parser.parse_args()
    folders = arguments.folders or default_folders(full=arguments.full)
    sources = [EXAMPLE / "documents", *folders]
    columns = ("source", "files", "MB", "s", "MB/s", "documents/s", "peak MiB", "fates")
    note = "`s`: the whole command, its start included. `peak MiB`: all its processes together."
    print_table("collecting", columns, [speed_row(source) for source in sources], note)
    folder = [source for source in sources if source.is_dir()][-1]
    print_table(
        f"twice the documents: {folder.name}, medians of {arguments.runs} runs",
        ("part", "MB", "add s", "turn s", "both s", "peak MiB"),
        growth_rows(folder, arguments.runs),
    )


if __name__ == "__main__":
    main()

"""Known holes in the locked dependencies, where a database of them can be reached.

    python bench/scan.py [--constraints constraints.txt]

Runs pip-audit over the constraints, with PyPI's database and then with OSV's. A dependency that a
database does not know was not looked at, which pip-audit alone counts as clean: here it is said.
Ends with 0 where all were looked at and none has a hole, with 1 where one has, and with 2 where
neither database could be asked about all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora import ROOT
from table import print_table

SERVICES = ("pypi", "osv")
TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """A known hole in one of them."""

    package: str
    id: str
    fixed_in: str
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What one database says."""

    service: str
    num_asked: int
    """Dependencies that the database knows."""
    num_unknown: int
    holes: tuple[Hole, ...]
    trouble: str = ""
    """Why it could not be asked at all."""

    @property
    def is_complete(self) -> bool:
        """Whether it was asked about every dependency."""
        return not self.trouble and not self.num_unknown


def audit(constraints: Path, service: str) -> Audit:
    """Asks one database."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints)]
    # The file is the whole closure: nothing is to be resolved, and nothing installed.
    command += ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--vulnerability-service", service, "--timeout", "15"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        told = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return _unasked(service, f"no end in {TIMEOUT_SECONDS} s")
    except json.JSONDecodeError:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        return _unasked(service, lines[-1][:60])
    return read(service, told["dependencies"])


def read(service: str, dependencies: Sequence[dict[str, object]]) -> Audit:
    """What pip-audit's JSON says of each dependency."""
    known = [each for each in dependencies if "skip_reason" not in each]
    holes = []
    for each in known:
        found = each["vulns"]
        assert isinstance(found, list)
        holes += [
            Hole(
                package=f"{each['name']} {each['version']}",
                id=hole["id"],
                fixed_in=", ".join(hole["fix_versions"]) or "–",
                about=" ".join(hole.get("description", "").split())[:80],
            )
            for hole in found
        ]
    return Audit(
        service=service,
        num_asked=len(known),
        num_unknown=len(dependencies) - len(known),
        holes=tuple(holes),
    )


def _unasked(service: str, trouble: str) -> Audit:
    return Audit(service=service, num_asked=0, num_unknown=0, holes=(), trouble=trouble)


def verdict(audits: Sequence[Audit]) -> tuple[int, str]:
    """The status to end with, and what it means."""
    if any(each.holes for each in audits):
        return 1, "There are known holes."
    if any(each.is_complete for each in audits):
        return 0, "No hole is known in any of them."
    return 2, "NOT LOOKED AT: no database could be asked about all of them. This says nothing."


def main() -> None:
    """Asks the databases, and prints a table."""
    parser = argparse.ArgumentParser(description="known holes in the locked dependencies")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    options = parser.parse_args()
    audits = []
    for service in SERVICES:
        audits.append(audit(options.constraints, service))
        if audits[-1].is_complete:
            break
    status, meaning = verdict(audits)
    print_table(
        "known holes in the locked dependencies",
        ("database", "asked about", "not known to it", "holes", "trouble"),
        [
            [
                each.service,
                str(each.num_asked),
                str(each.num_unknown),
                str(len(each.holes)),
                each.trouble or "–",
            ]
            for each in audits
        ],
        meaning,
    )
    for each in {hole for audited in audits for hole in audited.holes}:
        print(f"{each.package}: {each.id}, mended in {each.fixed_in}: {each.about}")
    sys.exit(status)


if __name__ == "__main__":
    main()

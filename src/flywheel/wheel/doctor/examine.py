"""Doctor: looks at everything that a workspace needs to serve, and says what to do.

Writes nothing. Each check stands alone: one that fails, or that meets what nobody thought of, keeps
none of the others from being made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from flywheel.errors import FlywheelError
from flywheel.wheel.doctor.checkup import Check, Finding, Patient, fail
from flywheel.wheel.doctor.machine import clock, disk, embedding, engine, memory, package
from flywheel.wheel.doctor.workspace import (
    champion,
    erasures,
    exam,
    index,
    jobs,
    keys,
    leftovers,
    permissions,
    settings,
    soundness,
    store,
    writable,
)

CHECKS: Mapping[str, Check] = {
    "settings": settings,
    "store": store,
    "soundness": soundness,
    "writable": writable,
    "champion": champion,
    "index": index,
    "disk": disk,
    "memory": memory,
    "embedding": embedding,
    "engine": engine,
    "package": package,
    "clock": clock,
    "permissions": permissions,
    "exam": exam,
    "keys": keys,
    "jobs": jobs,
    "erasures": erasures,
    "leftovers": leftovers,
}
"""In this order: what opens the workspace comes before what looks into it."""


QUICK = ("settings", "store", "disk", "memory", "package", "clock", "permissions", "exam", "keys")
"""What a page may ask for: they read no index and no artifact, and ask no engine."""


def examine(root: Path, only: Collection[str] | None = None) -> list[Finding]:
    """What there is to say of the workspace in a folder, in the order of the checks.

    Args:
        only: the names of the checks to make; None makes all.
    """
    patient = Patient(root=root.expanduser().absolute())
    found: list[Finding] = []
    try:
        for name, check in CHECKS.items():
            if only is not None and name not in only:
                continue
            found.extend(_made(name, check, patient))
    finally:
        if patient.workspace is not None:
            patient.workspace.close()
    return found


def _made(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except FlywheelError as error:
        problem, _, advice = str(error).partition(". ")
        yield fail(f"{name}: {problem}", advice or "see `flywheel doctor --help`")
    except Exception as error:
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        yield fail(f"{name}: {told}", "this check met what it was not made for: report it")

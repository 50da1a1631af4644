"""Turns an organisation's documents and corrections into its own small, cited assistant.

From Python::

    with Workspace.open("handbook") as workspace:
        add(workspace, ["~/handbook"])
        turn(workspace)
        print(workspace.ask("Where is the child lock?").answer.answer)
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# The wheels of onnxruntime report their use to its maker unless told not to before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Name → its module, and after a colon what it is called there, where that is another name.
_PUBLIC = {
    "Answer": "flywheel.records",
    "Citation": "flywheel.records",
    "Correction": "flywheel.records",
    "Document": "flywheel.records",
    "ExamQuestion": "flywheel.records",
    "Feedback": "flywheel.records",
    "FlywheelError": "flywheel.errors",
    "Passage": "flywheel.records",
    "Score": "flywheel.records",
    "Workspace": "flywheel.wheel.workspace",
    "add": "flywheel.wheel.ingest",
    "compare_versions": "flywheel.wheel.comparison",
    "erase": "flywheel.wheel.erasure.erase",
    "list_versions": "flywheel.wheel.versions",
    "promote": "flywheel.wheel.versions",
    "confirm_correction": "flywheel.wheel.feedback:confirm",
    "decide_quarantine": "flywheel.wheel.quarantine:decide",
    "feedback_health": "flywheel.wheel.health:health",
    "import_feedback": "flywheel.wheel.feedback:import_file",
    "quarantined": "flywheel.wheel.quarantine",
    "read_exam": "flywheel.evaluate.exam",
    "rollback": "flywheel.wheel.versions",
    "trace": "flywheel.wheel.lineage",
    "turn": "flywheel.wheel.turn",
    "waiting_corrections": "flywheel.wheel.review.corrections:waiting",
    "withdraw_correction": "flywheel.wheel.feedback:withdraw",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Loads what is asked for, so that importing the package costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flywheel' has no attribute {name!r}")
    module, _, there = _PUBLIC[name].partition(":")
    return getattr(importlib.import_module(module), there or name)

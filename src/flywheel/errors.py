"""Every error that Flywheel raises on purpose.

FlywheelError               a user's mistake or a state of the machine; printed without a traceback
├── UsageError              the command or call cannot mean anything
├── SettingsError           flywheel.toml is wrong
├── WorkspaceError          the folder is no workspace, or one of a newer release
│   └── WorkspaceBusy       another turn or add is running here
├── SourceError             a named source is not there, or holds nothing
├── ExtractError            one file gives no text; the file is set aside with this reason
├── FileFormatError         a line of a user's file is not valid; names file and line
├── FeedbackError           an act of feedback cannot be meant; names its id
├── StoreError              the database does not answer, or the disk is full
├── ModelError              a named model is not there, does not load, or cannot be trained
└── EngineError             an engine cannot be reached, or broke off
    └── RequestRefused      an engine was asked what it cannot do

A message says what is wrong and what to do next, in one or two lines.
"""

from __future__ import annotations

from pathlib import Path


class FlywheelError(Exception):
    """The root: whatever derives from it is shown to users as its message alone."""


class UsageError(FlywheelError):
    """The command or call cannot mean anything."""


class SettingsError(FlywheelError):
    """flywheel.toml is wrong."""


class WorkspaceError(FlywheelError):
    """The folder is no workspace, or one made by a newer release."""


class WorkspaceBusy(WorkspaceError):
    """Another turn or add is running in this workspace."""


class SourceError(FlywheelError):
    """A named source is not there, or holds nothing."""


class ExtractError(FlywheelError):
    """One file gives no text. The message is the reason, short: it is listed beside the file."""


class FileFormatError(FlywheelError):
    """A line of a user's file is not valid."""

    def __init__(self, path: Path | str, line: int, problem: str) -> None:
        super().__init__(f"{path}, line {line}: {problem}")
        self.path, self.line, self.problem = Path(path), line, problem


class FeedbackError(FlywheelError):
    """An act of feedback cannot be meant."""

    def __init__(self, id: str, problem: str) -> None:
        super().__init__(f'Feedback "{id}": {problem}')
        self.id, self.problem = id, problem


class StoreError(FlywheelError):
    """The database does not answer, or the disk is full."""


class ModelError(FlywheelError):
    """A named model is not there, does not load, or cannot be trained."""


class EngineError(FlywheelError):
    """An engine cannot be reached, or broke off."""


class RequestRefused(EngineError):
    """An engine was asked what it cannot do: the request is wrong, and not the engine."""

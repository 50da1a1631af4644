"""The peers: other libraries doing the same work, each in an environment of its own.

An environment is made on the first run under `bench/.peers/`, from exact versions, and never
touches Flywheel's. Two settings of each peer are run: *default* is what its documentation shows
first; *fitted* uses its own documented options for text of two languages: passages short enough
to count in the exam, and Chinese searched by the character.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import Run, run

PEERS = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = Path(__file__).resolve().parent / ".peers"
QUIET = {"HAYSTACK_TELEMETRY_ENABLED": "False", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A library in one of its two settings."""

    library: str
    fitted: bool

    @property
    def name(self) -> str:
        return f"{self.library}, {'fitted' if self.fitted else 'default'}"

    def sit(self, documents: Path, exam: Path, answers: Path) -> Run:
        """Indexes the documents and answers the exam, in one process of its own.

        Raises:
            CommandFailed: it cannot be installed here, or it fails.
        """
        script = PEERS / f"{self.library}_bm25.py"
        command = [str(install(self.library)), str(script), str(documents), str(exam), str(answers)]
        return run([*command, "--fitted"] if self.fitted else command, QUIET)


ALL = tuple(
    Peer(library=library, fitted=fitted)
    for library in ("haystack", "llamaindex")
    for fitted in (False, True)
)


def install(library: str) -> Path:
    """The Python of the peer's environment, made now unless an earlier run made it.

    Raises:
        CommandFailed: pip could not install the versions named.
    """
    requirements = PEERS / f"{library}.txt"
    folder = ENVIRONMENTS / library
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    marker = folder / "installed"
    if marker.is_file() and marker.read_text() == wanted:
        return python
    print(f"installing {library} under {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)])
    marker.write_text(wanted)
    return python


def index_seconds(result: Run) -> float:
    """What the peer took for its start, reading, splitting and indexing: all but the exam."""
    said = json.loads(result.stdout.splitlines()[-1])
    return result.seconds - float(said["exam_seconds"])

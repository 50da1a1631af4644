"""What a training leaves on disk, so that it can go on after any end: safetensors and JSON.

A checkpoint is a folder `step-NNNNNNN` of tensors and a `state.json`. It is written beside its
place, synced, and renamed: what is there is whole, whenever the process was killed. All of a
folder belongs to one run, told by a fingerprint of what it depends on; another run's is cleared.
Nothing is pickled.

Not here: what the tensors and the state mean (loop.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import Tensor

from flywheel.build.adapters import Trainable

Groups = Mapping[str, Mapping[str, Tensor]]
"""Tensors by name, by what they belong to: a file each."""

_STEP = re.compile(r"step-\d{7,}")
_UNFINISHED = ".unfinished"
_DOOMED = f".doomed{_UNFINISHED}"
_STATE, _RUN, _REPORT = "state.json", "run.json", "report.json"


class Checkpoints:
    """The checkpoints of one run, in one folder. One process writes it at a time."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"*{_UNFINISHED}"):
            _delete(leftover)
        run = folder / _RUN
        if not run.is_file() or _read(run) != {"fingerprint": fingerprint}:
            # Its own file first: cleared halfway, the rest is still another run's.
            for stale in [run, folder / _REPORT, *folder.glob("notes-*"), *self._places().values()]:
                _delete(stale)
            _write_json(run, {"fingerprint": fingerprint})

    def latest(self) -> int | None:
        """The newest checkpoint's step."""
        return max(self._places(), default=None)

    def write(self, step: int, groups: Groups, state: Mapping[str, Any]) -> None:
        """Puts a checkpoint there; one of the same step is replaced."""
        place = self._place(step)
        unfinished = place.with_name(place.name + _UNFINISHED)
        _delete(unfinished)
        unfinished.mkdir()
        for name, tensors in groups.items():
            whole = {key: each.detach().contiguous() for key, each in tensors.items()}
            save_file(whole, unfinished / f"{name}.safetensors")
        (unfinished / _STATE).write_text(json.dumps(state), encoding="utf-8")
        for written in [*unfinished.iterdir(), unfinished]:
            _sync(written)
        _delete(place)
        unfinished.rename(place)
        _sync(self.folder)

    def state(self, step: int) -> dict[str, Any]:
        return _read(self._place(step) / _STATE)

    def tensors(self, step: int, group: str) -> dict[str, Tensor]:
        """One group of a checkpoint's tensors, in memory."""
        tensors: dict[str, Tensor] = load_file(self._place(step) / f"{group}.safetensors")
        return tensors

    def keep(self, steps: Collection[int]) -> None:
        """Deletes the checkpoints of all other steps."""
        for step, place in self._places().items():
            if step not in steps:
                _delete(place)

    def write_notes(self, part: str, notes: Mapping[str, npt.NDArray[np.float64]]) -> None:
        """Keeps what was noted of a part of the data before training."""
        place = self._notes(part)
        unfinished = place.with_name(place.name + _UNFINISHED)
        save_arrays(dict(notes), unfinished)
        _put(unfinished, place)

    def notes(self, part: str) -> dict[str, npt.NDArray[np.float64]] | None:
        """What was noted of a part of the data; None where it was not, yet."""
        place = self._notes(part)
        return load_arrays(place) if place.is_file() else None

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Says that the run is finished."""
        _write_json(self.folder / _REPORT, report)

    def report(self) -> dict[str, Any] | None:
        """The finished run's report; None where it is not finished."""
        place = self.folder / _REPORT
        return _read(place) if place.is_file() else None

    def _place(self, step: int) -> Path:
        return self.folder / f"step-{step:07}"

    def _places(self) -> dict[int, Path]:
        return {
            int(place.name.removeprefix("step-")): place
            for place in self.folder.iterdir()
            if _STEP.fullmatch(place.name)
        }

    def _notes(self, part: str) -> Path:
        return self.folder / f"notes-{part}.safetensors"


def weights_digest(model: Trainable) -> str:
    """A hash of all of a model's weights: two seconds for one of 0.6 billion in float32."""
    hashed = hashlib.sha256()
    for name, weight in model.named_parameters():
        hashed.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        hashed.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def _read(file: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return value


def _write_json(place: Path, value: Mapping[str, Any]) -> None:
    unfinished = place.with_name(place.name + _UNFINISHED)
    unfinished.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    _put(unfinished, place)


def _put(unfinished: Path, place: Path) -> None:
    """Puts a written file in its place, whole or not at all."""
    _sync(unfinished)
    unfinished.replace(place)
    _sync(place.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(path: Path) -> None:
    """Deletes a file, or a folder by a name first under which half of it is nothing."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    doomed = path if path.name.endswith(_UNFINISHED) else path.with_name(path.name + _DOOMED)
    if doomed != path:
        path.rename(doomed)
    shutil.rmtree(doomed)

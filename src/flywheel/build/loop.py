"""The training loop, one for every objective.

    train(model, data, Supervised(), TrainSettings(num_steps=300), folder) -> Report

Pre-training, supervised learning, distillation and preferences differ by objective, data and the
weights that are trained, and by nothing else. A run that is killed goes on from its last
checkpoint to the same loss, bit for bit; a run that is finished gives its report again. What comes
out is the model as it was where the validation part found it best, in place.

Not here: what is learned from (mixture.py), the shape and the number of steps (plan.py).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from flywheel.build import adamw, peak
from flywheel.build.adapters import Trainable, unwrapped
from flywheel.build.batches import Rows, collate, row_numbers
from flywheel.build.checkpoints import Checkpoints, weights_digest
from flywheel.build.interrupts import interrupts
from flywheel.build.objectives import NextToken, Objective
from flywheel.build.outputs import run, running
from flywheel.build.random_state import random_state, set_random_state
from flywheel.build.schedule import Schedule
from flywheel.build.training import (
    Evaluation,
    Forgetting,
    Progress,
    Report,
    TrainingData,
    TrainSettings,
)
from flywheel.errors import ModelError
from flywheel.records import from_json, to_json

CODE_VERSION = 1
"""Of all that a training's numbers depend on; a change of it begins interrupted runs anew."""


def _silent(progress: Progress) -> None:
    del progress


def train(
    model: Trainable,
    data: TrainingData,
    objective: Objective,
    settings: TrainSettings,
    folder: Path,
    progress: Callable[[Progress], None] = _silent,
    device: torch.device | None = None,
) -> Report:
    """Trains the model in place, and leaves it as it was at its best.

    Args:
        folder: of checkpoints; this run's only. One that is there already is gone on with if it
            depends on all the same, else replaced.
        progress: called after each step.
        device: the card where there is one, unless another is named.

    Raises:
        ModelError: the loss is no number; the last good checkpoint is kept.
        KeyboardInterrupt: on Ctrl-C, after a checkpoint was written.
    """
    assert len(data.train)
    torch.nn.Module.to(model, device or default_device())
    checkpoints = Checkpoints(folder, _fingerprint(model, data, objective, settings))
    finished = checkpoints.report()
    if finished is not None:
        report = from_json(Report, finished)
        _load(model, checkpoints, report.best_step)
        return report
    with _memory_saved(model, settings.save_memory):
        return _Run(model, data, objective, settings, checkpoints, progress).to_the_end()


def default_device() -> torch.device:
    """The card where there is one that PyTorch can use, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def evaluate(
    model: Trainable,
    rows: Rows,
    objective: Objective,
    *,
    micro_rows: int = 8,
    precision: Literal["f32", "bf16"] = "f32",
) -> Evaluation:
    """The loss and measures of a model as it is, on rows that have the notes that they need."""
    device = unwrapped(model).device
    totals: dict[str, float] = {}
    weight = 0.0
    was_training = model.training
    model.eval()
    with torch.no_grad(), _precision(device, precision):
        for first in range(0, len(rows), micro_rows):
            numbers = range(first, min(first + micro_rows, len(rows)))
            batch = collate(rows, numbers, device)
            measured = objective.loss(run(model, batch), batch)
            weight += objective.weight(batch)
            for name, value in {"loss": measured.loss, **measured.measures}.items():
                totals[name] = totals.get(name, 0.0) + float(value)
    model.train(was_training)
    means = {name: total / weight for name, total in totals.items()}
    return Evaluation(step=0, loss=means.pop("loss"), measures=means)


@dataclass(kw_only=True, slots=True)
class _State:
    """All that a checkpoint holds besides tensors."""

    schedule: Schedule
    step: int = 0
    best_step: int = 0
    losses: list[float] = field(default_factory=list)
    validation: list[Evaluation] = field(default_factory=list)
    forgetting_before: float | None = None
    num_tokens: int = 0
    training_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def num_looks_in_vain(self) -> int:
        return sum(each.step > self.best_step for each in self.validation)


class _Run:
    """A training under way."""

    def __init__(
        self,
        model: Trainable,
        data: TrainingData,
        objective: Objective,
        settings: TrainSettings,
        checkpoints: Checkpoints,
        progress: Callable[[Progress], None],
    ) -> None:
        self.model, self.objective, self.settings = model, objective, settings
        self.checkpoints, self.progress = checkpoints, progress
        self.device = unwrapped(model).device
        self.weights = _trainable(model)
        self.optimizer = adamw.make(self.weights, settings.learning_rate, settings.weight_decay)
        self.state = _State(schedule=Schedule.of(settings.num_steps))
        self.parts = data.parts()
        self.random = random_state(self.device)
        self.is_whole = False
        """False until it has begun, and while the optimizer writes into the weights."""
        self.seconds_before = 0.0
        self.started = time.perf_counter()

    def to_the_end(self) -> Report:
        peak.begin(self.device)
        self.model.train()
        with interrupts() as is_asked_to_stop:
            try:
                self._begin()
                self.is_whole = True
                while self._ended() is None:
                    self._step(is_asked_to_stop)
                    self._mind_the_time()
                    if self._is_time_to_look():
                        self._look()
                    self.progress(self._progress())
                return self._finish()
            except KeyboardInterrupt:
                if self.is_whole:
                    self._checkpoint()
                raise

    def _begin(self) -> None:
        """Goes on from the last checkpoint, or writes the first."""
        torch.manual_seed(self.settings.seed)
        self._note()
        latest = self.checkpoints.latest()
        if latest is not None:
            self._restore(latest)
            return
        self.random = random_state(self.device)
        if "general" in self.parts:
            self.state.forgetting_before = self._evaluate("general", NextToken()).loss
        self._look()

    def _note(self) -> None:
        """Reads or computes what the objective has to know of the data."""
        for name in self.parts.keys() & {"train", "validation"}:
            notes = self.checkpoints.notes(name)
            if notes is None:
                self.model.eval()
                with _precision(self.device, self.settings.precision):
                    notes = dict(self.objective.note(self.model, self.parts[name]))
                self.model.train()
                if notes:
                    self.checkpoints.write_notes(name, notes)
            self.parts[name] = self.parts[name].with_notes(notes)

    def _step(self, is_asked_to_stop: Callable[[], bool]) -> None:
        """One step of the optimizer, from as many rows as it learns from."""
        started = time.perf_counter()
        loss = torch.zeros((), device=self.device)
        num_tokens = 0
        for name, numbers, share in self._rows():
            objective = self.objective if name == "train" else NextToken()
            batches = [
                collate(
                    self.parts[name], numbers[first : first + self.settings.micro_rows], self.device
                )
                for first in range(0, len(numbers), self.settings.micro_rows)
            ]
            scale = share / sum(objective.weight(batch) for batch in batches)
            for batch in batches:
                if is_asked_to_stop():
                    self.optimizer.zero_grad()
                    raise KeyboardInterrupt
                with running(self.model):
                    with _precision(self.device, self.settings.precision):
                        part = objective.loss(run(self.model, batch), batch).loss * scale
                    torch.autograd.backward(part)
                loss += part.detach()
                num_tokens += batch.num_tokens
        self._update(float(loss))
        self.state.num_tokens += num_tokens
        self.state.training_seconds += time.perf_counter() - started

    def _rows(self) -> Iterator[tuple[str, list[int], float]]:
        """The parts that a step learns from: name, rows, and their share of the loss."""
        size, share = self.settings.batch_rows, self.settings.replay_share
        first = self.state.step * size
        replayed = [math.floor(place * share / (1 - share)) for place in (first, first + size)]
        num_replayed = replayed[1] - replayed[0] if "replay" in self.parts else 0
        whole = size + num_replayed
        seed = self.settings.seed
        yield "train", row_numbers(self.parts["train"], first, size, seed), size / whole
        if num_replayed:
            rows = row_numbers(self.parts["replay"], replayed[0], num_replayed, seed)
            yield "replay", rows, num_replayed / whole

    def _update(self, loss: float) -> None:
        """Lets the optimizer take its step, once it is sure that the gradient is a number."""
        weights = list(self.weights.values())
        norm = torch.nn.utils.clip_grad_norm_(weights, self.settings.clip)
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            raise ModelError(
                f"The loss of step {self.state.step + 1} is no number. The checkpoint of step "
                f"{self.checkpoints.latest()} is kept in {self.checkpoints.folder}; train again "
                f"with a learning rate below {self.settings.learning_rate:g}."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self.state.schedule.factor(self.state.step)
        self.is_whole = False
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.step += 1
        self.state.losses.append(loss)
        self.random = random_state(self.device)
        self.is_whole = True

    def _look(self) -> None:
        """Evaluates, and leaves a checkpoint."""
        state = self.state
        if "validation" in self.parts:
            best = min((each.loss for each in state.validation), default=math.inf)
            seen = self._evaluate("validation", self.objective)
            state.validation.append(seen)
            if seen.loss < best:
                state.best_step = state.step
        else:
            state.best_step = state.step
        self._checkpoint()

    def _evaluate(self, part: str, objective: Objective) -> Evaluation:
        seen = evaluate(
            self.model,
            self.parts[part],
            objective,
            micro_rows=self.settings.micro_rows,
            precision=self.settings.precision,
        )
        return replace(seen, step=self.state.step)

    def _checkpoint(self) -> None:
        step = self.state.step
        self.state.seconds = self._seconds()
        if self.checkpoints.latest() != step:
            groups = {
                "weights": self.weights,
                "optimizer": adamw.tensors(self.optimizer, self.weights),
                "random": self.random,
            }
            self.checkpoints.write(step, groups, to_json(self.state))
        self.checkpoints.keep({step, self.state.best_step})

    def _restore(self, step: int) -> None:
        self.state = from_json(_State, self.checkpoints.state(step))
        self.seconds_before = self.state.seconds
        _load(self.model, self.checkpoints, step)
        adamw.restore(self.optimizer, self.weights, self.checkpoints.tensors(step, "optimizer"))
        self.random = self.checkpoints.tensors(step, "random")
        set_random_state(self.random, self.device)

    def _ended(self) -> Literal["steps", "patience", "time"] | None:
        state, patience = self.state, self.settings.patience
        if state.step >= state.schedule.num_steps:
            return "steps" if state.step >= self.settings.num_steps else "time"
        if patience and state.num_looks_in_vain >= patience:
            return "patience"
        return None

    def _is_time_to_look(self) -> bool:
        return self.state.step % self.settings.evaluate_every == 0 or self._ended() is not None

    def _mind_the_time(self) -> None:
        """Begins to decay, or ends, where the time that is left asks for it."""
        step, schedule, seconds = self.state.step, self.state.schedule, self._seconds()
        if seconds >= self.settings.max_seconds:
            self.state.schedule = replace(schedule, num_steps=step)
            return
        if math.isinf(self.settings.max_seconds):
            return
        # Looks, and what is noted before the first step, take their time between steps.
        others = (seconds - self.state.training_seconds) / max(1, len(self.state.validation))
        per_step = self.state.training_seconds / step + others / self.settings.evaluate_every
        num_left = int((self.settings.max_seconds - seconds) / per_step)
        if num_left <= schedule.num_decay and step < schedule.decays_from:
            self.state.schedule = schedule.decaying_from(step, num_left)

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def _progress(self) -> Progress:
        state = self.state
        num_left = state.schedule.num_steps - state.step
        return Progress(
            step=state.step,
            num_steps=state.schedule.num_steps,
            loss=state.losses[-1],
            tokens_per_second=state.num_tokens / state.training_seconds,
            seconds_left=num_left * self._seconds() / state.step,
        )

    def _finish(self) -> Report:
        state, ended = self.state, self._ended()
        assert ended is not None
        if state.best_step != state.step:
            _load(self.model, self.checkpoints, state.best_step)
        forgetting = None
        if state.forgetting_before is not None:
            after = self._evaluate("general", NextToken()).loss
            forgetting = Forgetting(before=state.forgetting_before, after=after)
        report = Report(
            objective=self.objective.name,
            num_steps=state.step,
            best_step=state.best_step,
            ended=ended,
            losses=tuple(state.losses),
            validation=tuple(state.validation),
            forgetting=forgetting,
            num_tokens=state.num_tokens,
            tokens_per_second=state.num_tokens / max(state.training_seconds, 1e-9),
            seconds=self._seconds(),
            peak_memory_bytes=peak.peak_bytes(self.device),
            device=str(self.device),
        )
        self.checkpoints.write_report(to_json(report))
        self.checkpoints.keep({state.best_step})
        return report


def _trainable(model: Trainable) -> dict[str, Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _load(model: Trainable, checkpoints: Checkpoints, step: int) -> None:
    """Puts a checkpoint's weights into the model."""
    tensors = checkpoints.tensors(step, "weights")
    with torch.no_grad():
        for name, weight in _trainable(model).items():
            weight.copy_(tensors[name])


def _fingerprint(
    model: Trainable, data: TrainingData, objective: Objective, settings: TrainSettings
) -> str:
    """A hash of all that a run's numbers depend on."""
    depends_on = {
        "code": CODE_VERSION,
        "weights": weights_digest(model),
        "trained": sorted(_trainable(model)),
        "data": {name: rows.digest() for name, rows in data.parts().items()},
        "objective": objective.identity(),
        # More time does not make another run of it: how far it decays stands in its state.
        "settings": asdict(replace(settings, max_seconds=0)),
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def _precision(device: torch.device, precision: Literal["f32", "bf16"]) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def _memory_saved(model: Trainable, is_wanted: bool) -> Iterator[None]:
    plain = unwrapped(model)
    if not is_wanted:
        yield
        return
    enable: Callable[[], None] = plain.activation_checkpointing_enable
    disable: Callable[[], None] = plain.activation_checkpointing_disable
    enable()
    try:
        yield
    finally:
        disable()

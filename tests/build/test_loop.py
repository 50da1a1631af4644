"""Training learns, stops when it should, and goes on after any end to the same loss, to the bit."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from flywheel.build.adapters import add_lora, as_reference, unwrapped
from flywheel.build.batches import Rows, collate, pack, pairs_as_rows
from flywheel.build.loop import default_device, evaluate, train
from flywheel.build.objectives import DirectPreference, NextToken, Supervised
from flywheel.build.outputs import run
from flywheel.build.schedule import Schedule
from flywheel.build.sequences import Ids, TokenPair, TokenSequence
from flywheel.build.training import Progress, Report, TrainingData, TrainSettings
from flywheel.errors import ModelError
from flywheel.records import from_json, to_json

MakeModel = Callable[..., PreTrainedModel]

SETTINGS = TrainSettings(
    num_steps=12, batch_rows=4, micro_rows=4, learning_rate=3e-3, evaluate_every=4
)


def drawn(length: int, seed: int, low: int = 0, high: int = 384) -> Ids:
    return np.random.default_rng((seed, length)).integers(low, high, size=length, dtype=np.int32)


def texts(count: int, seed: int, low: int = 0, high: int = 20) -> Rows:
    """Texts of few different tokens, which is what there is to learn of them."""
    items = []
    for number in range(count):
        is_target = np.arange(6 + number % 7) > 0
        ids = drawn(len(is_target), seed + number, low, high)
        items.append(TokenSequence(ids=ids, is_target=is_target))
    return pack(items, 24, 1)


def preferences(count: int, seed: int) -> Rows:
    """The better replies are of low tokens, the worse of high ones."""
    return pairs_as_rows(
        [
            TokenPair(
                prompt=drawn(4, seed + number),
                chosen=drawn(3, seed + number, 0, 20),
                rejected=drawn(5, seed + number, 200, 220),
            )
            for number in range(count)
        ]
    )


DATA = TrainingData(train=texts(40, 1), validation=texts(12, 1000))


def weights(model: torch.nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def test_loss_falls_and_the_report_says_so(tmp_path: Path, make_model: MakeModel) -> None:
    seen: list[Progress] = []
    report = train(make_model(), DATA, NextToken(), SETTINGS, tmp_path, seen.append)
    assert [at.step for at in seen] == list(range(1, 13))
    assert seen[-1].seconds_left == 0 < seen[0].seconds_left
    assert report.losses[-1] < report.losses[0] - 0.5
    assert [look.step for look in report.validation] == [0, 4, 8, 12]
    assert report.validation[-1].loss < report.validation[0].loss
    assert (report.num_steps, report.best_step, report.ended) == (12, 12, "steps")
    assert report.num_tokens > 12 * 4 * 12
    assert report.tokens_per_second > 0
    assert report.peak_memory_bytes > 1e6
    assert from_json(Report, to_json(report)) == report


def test_finished_run_gives_its_report_and_weights_again(
    tmp_path: Path, make_model: MakeModel
) -> None:
    model, again = make_model(), make_model()
    report = train(model, DATA, NextToken(), SETTINGS, tmp_path)
    assert train(again, DATA, NextToken(), SETTINGS, tmp_path) == report
    assert all(map(torch.equal, weights(again), weights(model)))


def test_what_a_run_depends_on_begins_it_anew(tmp_path: Path, make_model: MakeModel) -> None:
    def losses(**changes: Any) -> tuple[float, ...]:
        run: dict[str, Any] = {
            "model": make_model(),
            "data": DATA,
            "objective": NextToken(),
            "settings": SETTINGS,
            **changes,
        }
        return train(**run, folder=tmp_path).losses

    first = losses()
    assert losses(model=make_model(seed=2)) != first
    assert losses(data=TrainingData(train=texts(40, 2))) != first
    assert losses(settings=replace(SETTINGS, seed=2)) != first
    assert losses() == first


@pytest.mark.parametrize("is_adapted", [False, True])
def test_interrupted_run_goes_on_to_the_same_loss_to_the_bit(
    tmp_path: Path, make_model: MakeModel, is_adapted: bool
) -> None:
    def model() -> Any:
        # Dropout makes it depend on random numbers too.
        return add_lora(make_model(), rank=4, dropout=0.2) if is_adapted else make_model()

    def interrupt(at: Progress) -> None:
        if at.step in (3, 6):
            raise KeyboardInterrupt

    whole = model()
    expected = train(whole, DATA, NextToken(), SETTINGS, tmp_path / "whole")
    for step in (3, 6):
        with pytest.raises(KeyboardInterrupt):
            train(model(), DATA, NextToken(), SETTINGS, tmp_path / "cut", interrupt)
        assert (tmp_path / "cut" / f"step-{step:07}").is_dir()
    resumed = model()
    report = train(resumed, DATA, NextToken(), SETTINGS, tmp_path / "cut")
    assert report.losses == expected.losses
    assert report.validation == expected.validation
    assert all(map(torch.equal, weights(resumed), weights(whole)))


CHILD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_loop import DATA, SETTINGS
from flywheel.build.base import load_base
from flywheel.build.loop import train
from flywheel.build.objectives import NextToken
model = load_base({model!r}, Path("/")).model
tell = lambda at: print(at.step, flush=True)
train(model, DATA, NextToken(), SETTINGS, Path({folder!r}), tell)
"""


def begin(model: Path, folder: Path) -> subprocess.Popen[str]:
    """The same training in a process of its own."""
    code = CHILD.format(tests=str(Path(__file__).parent), model=str(model), folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_killed_run_goes_on_to_the_same_loss_to_the_bit(tmp_path: Path, model_folder: Path) -> None:
    from flywheel.build.base import load_base

    model = load_base(str(model_folder), Path("/")).model
    expected = train(model, DATA, NextToken(), SETTINGS, tmp_path / "whole").losses
    with begin(model_folder, tmp_path / "cut") as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if line.strip() == "6":
                killed.kill()
                break
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "cut" / "report.json").exists()
    resumed = load_base(str(model_folder), Path("/")).model
    steps: list[int] = []
    report = train(
        resumed, DATA, NextToken(), SETTINGS, tmp_path / "cut", lambda at: steps.append(at.step)
    )
    assert steps[0] >= 5  # it went on from the checkpoint of step 4, at the least
    assert report.losses == expected


def test_every_moment_of_writing_a_checkpoint_may_be_the_last(
    tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at the n-th sync, for every n: what is there then can be gone on with."""
    from flywheel.build import checkpoints

    class Killed(BaseException):
        pass

    settings = replace(SETTINGS, num_steps=2, evaluate_every=1)
    data = TrainingData(train=texts(8, 1), validation=texts(2, 1000))
    expected = train(make_model(), data, NextToken(), settings, tmp_path / "whole").losses
    real = checkpoints._sync
    left = 0

    def sync(path: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        real(path)

    monkeypatch.setattr(checkpoints, "_sync", sync)
    num_killed = 0
    for allowed in range(30):
        left, folder = allowed, tmp_path / f"cut-{allowed}"
        try:
            report = train(make_model(), data, NextToken(), settings, folder)
        except Killed:
            num_killed += 1
            left = 10_000
            report = train(make_model(), data, NextToken(), settings, folder)
        assert report.losses == expected
    assert 20 < num_killed < 30  # all of them, then


def test_ctrl_c_between_rows_leaves_a_checkpoint_and_is_raised(
    tmp_path: Path, make_model: MakeModel
) -> None:
    def press(at: Progress) -> None:
        if at.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(make_model(), DATA, NextToken(), SETTINGS, tmp_path, press)
    assert signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "step-0000005").is_dir()


def test_ctrl_c_in_the_last_look_is_raised_although_all_is_done(
    tmp_path: Path, make_model: MakeModel
) -> None:
    def press(at: Progress) -> None:
        if at.step == SETTINGS.num_steps:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make_model(), DATA, NextToken(), SETTINGS, tmp_path, press)
    assert (tmp_path / "report.json").is_file()


def test_training_in_another_thread_hears_no_signal(tmp_path: Path, make_model: MakeModel) -> None:
    reports: list[Report] = []
    settings = replace(SETTINGS, num_steps=2)

    def work() -> None:
        reports.append(train(make_model(), DATA, NextToken(), settings, tmp_path))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reports[0].num_steps == 2


def test_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, make_model: MakeModel
) -> None:
    model = make_model()

    def break_it(at: Progress) -> None:
        if at.step == 6:
            with torch.no_grad():
                next(model.parameters())[:] = math.nan

    with pytest.raises(ModelError, match=r"loss of step 7 is no number.* step 4 is kept") as caught:
        train(model, DATA, NextToken(), SETTINGS, tmp_path, break_it)
    assert "learning rate below 0.003" in str(caught.value)
    assert sorted(place.name for place in tmp_path.glob("step-*")) == ["step-0000004"]
    report = train(make_model(), DATA, NextToken(), SETTINGS, tmp_path)
    assert all(map(math.isfinite, report.losses))


def test_it_stops_early_and_gives_the_best(tmp_path: Path, make_model: MakeModel) -> None:
    """What is learned is of other tokens than what is looked at, so that it soon gets worse."""
    data = TrainingData(train=texts(40, 1), validation=texts(12, 1000, 200, 384))
    settings = replace(SETTINGS, num_steps=200, learning_rate=1e-2, evaluate_every=2, patience=2)
    model = make_model()
    report = train(model, data, NextToken(), settings, tmp_path)
    assert report.ended == "patience"
    best = min(report.validation, key=lambda look: look.loss)
    assert report.best_step == best.step == report.num_steps - 4
    assert data.validation is not None
    found = evaluate(model, data.validation, NextToken(), micro_rows=4)
    assert found.loss == best.loss


def test_training_that_only_harms_leaves_the_model_as_it_was(
    tmp_path: Path, make_model: MakeModel
) -> None:
    model, expected = make_model(), make_model()
    data = TrainingData(train=texts(40, 1), validation=texts(12, 1000, 200, 384))
    settings = replace(SETTINGS, learning_rate=0.3, patience=1)
    report = train(model, data, NextToken(), settings, tmp_path)
    assert (report.best_step, report.ended) == (0, "patience")
    assert all(map(torch.equal, weights(model), weights(expected)))


def test_accumulated_gradients_are_those_of_one_large_batch(
    tmp_path: Path, make_model: MakeModel
) -> None:
    found = []
    for micro_rows in (4, 1):
        model = make_model()
        settings = replace(SETTINGS, num_steps=3, micro_rows=micro_rows)
        report = train(model, DATA, NextToken(), settings, tmp_path / str(micro_rows))
        found.append((report.losses, weights(model)))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_saving_memory_changes_nothing_else(tmp_path: Path, make_model: MakeModel) -> None:
    losses = [
        train(
            make_model(), DATA, NextToken(), replace(SETTINGS, save_memory=saved), tmp_path / name
        ).losses
        for name, saved in (("kept", False), ("saved", True))
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_bfloat16_learns_too(tmp_path: Path, make_model: MakeModel) -> None:
    model = make_model()
    report = train(model, DATA, NextToken(), replace(SETTINGS, precision="bf16"), tmp_path)
    assert report.validation[-1].loss < report.validation[0].loss - 0.5
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_replay_is_mixed_in_and_less_is_forgotten(tmp_path: Path, make_model: MakeModel) -> None:
    """A model that learned texts of forty tokens is then taught texts of twenty of them."""
    general, held_out = texts(60, 5000, 0, 40), texts(12, 6000, 0, 40)
    settings = replace(SETTINGS, num_steps=24, learning_rate=1e-2)
    scores, counts = [], []
    for share in (0.0, 0.5):
        model, folder = make_model(), tmp_path / str(share)
        train(model, TrainingData(train=general), NextToken(), settings, folder / "before")
        data = replace(DATA, replay=general, general=held_out)
        mixing = replace(settings, replay_share=share)
        report = train(model, data, Supervised(), mixing, folder / "after")
        assert report.forgetting is not None
        scores.append(report.forgetting.score)
        counts.append(report.num_tokens)
    assert scores[0] > 1
    assert scores[1] < scores[0] / 2
    assert counts[1] == pytest.approx(2 * counts[0], rel=0.1)


def test_preferences_are_learned_and_the_reference_does_not_change(
    tmp_path: Path, make_model: MakeModel
) -> None:
    model = add_lora(make_model(), rank=4)
    data = TrainingData(train=preferences(24, 1), validation=preferences(12, 500))
    settings = replace(SETTINGS, learning_rate=3e-2)

    def reference() -> list[Tensor]:
        batch = collate(data.train, [0, 1, 2], default_device())
        with torch.no_grad(), as_reference(model):
            return [run(model, batch).log_chances(batch.labels)]

    torch.nn.Module.to(model, default_device())
    before = reference()
    report = train(model, data, DirectPreference(), settings, tmp_path)
    assert all(map(torch.equal, reference(), before))
    first, last = report.validation[0], report.validation[-1]
    assert first.measures["accuracy"] == 0.5
    assert first.loss == pytest.approx(math.log(2))
    assert last.measures["accuracy"] > 0.9
    assert last.loss < first.loss


def test_reference_is_computed_once_and_kept_with_the_checkpoints(
    tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = TrainingData(train=preferences(24, 1), validation=preferences(12, 500))
    noted: list[int] = []
    real = DirectPreference.note

    def note(self: DirectPreference, model: Any, rows: Rows) -> Any:
        noted.append(len(rows))
        return real(self, model, rows)

    monkeypatch.setattr(DirectPreference, "note", note)

    def stop(at: Progress) -> None:
        if at.step == 6:
            raise KeyboardInterrupt

    expected = train(make_model(), data, DirectPreference(), SETTINGS, tmp_path / "whole").losses
    with pytest.raises(KeyboardInterrupt):
        train(make_model(), data, DirectPreference(), SETTINGS, tmp_path / "cut", stop)
    resumed = train(make_model(), data, DirectPreference(), SETTINGS, tmp_path / "cut")
    assert resumed.losses == expected
    assert sorted(noted) == [12, 12, 24, 24]


def test_time_that_runs_out_ends_on_a_small_rate(
    tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock that a second passes on at every look, so that each step takes the same time.
    clock = SimpleNamespace(perf_counter=itertools.count().__next__)
    monkeypatch.setattr("flywheel.build.loop.time", clock)
    settings = replace(SETTINGS, num_steps=100, evaluate_every=1000, max_seconds=100)
    report = train(make_model(), DATA, NextToken(), settings, tmp_path)
    assert report.ended == "time"
    assert 10 < report.num_steps < 100
    assert report.validation[-1].step == report.num_steps
    [state] = [
        json.loads(each.read_text())
        for each in tmp_path.glob(f"step-*{report.num_steps}/state.json")
    ]
    schedule = from_json(Schedule, state["schedule"])
    rates = [schedule.factor(step) for step in range(report.num_steps)]
    assert rates[-1] < 0.2 < 0.9 < max(rates)


def test_run_that_is_given_more_time_goes_on(tmp_path: Path, make_model: MakeModel) -> None:
    def stop(at: Progress) -> None:
        if at.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        settings = replace(SETTINGS, max_seconds=1000)
        train(make_model(), DATA, NextToken(), settings, tmp_path, stop)
    steps: list[int] = []
    train(make_model(), DATA, NextToken(), SETTINGS, tmp_path, lambda at: steps.append(at.step))
    assert steps[0] == 7


def test_only_matrices_decay(make_model: MakeModel, tmp_path: Path) -> None:
    """With a rate so small that only the decay could show."""
    norms = []
    for decay in (0.0, 1000.0):
        model = make_model()
        settings = replace(SETTINGS, num_steps=1, learning_rate=1e-5, weight_decay=decay)
        train(model, TrainingData(train=DATA.train), NextToken(), settings, tmp_path / str(decay))
        norms.append(
            [
                (weight.ndim, float(weight.detach().norm()))
                for weight in unwrapped(model).parameters()
            ]
        )
    for (num_axes, plain), (_, decayed) in zip(*norms, strict=True):
        assert decayed == pytest.approx(plain * (0.995 if num_axes == 2 else 1), rel=1e-3)


def test_rate_warms_up_stays_and_decays() -> None:
    schedule = Schedule.of(100)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert set(factors[5:81]) == {1.0}
    assert all(before > after > 0 for before, after in pairwise(factors[80:]))


@given(num_steps=st.integers(1, 1000), at=st.floats(0, 1), num_left=st.integers(0, 1000))
def test_decay_may_begin_at_any_step(num_steps: int, at: float, num_left: int) -> None:
    schedule = Schedule.of(num_steps)
    step = int(at * (num_steps - 1))
    cut = schedule.decaying_from(step, num_left)
    assert step < cut.num_steps <= step + max(num_left, 1)
    factors = [cut.factor(place) for place in range(step, cut.num_steps)]
    assert all(0 < factor <= 1 for factor in factors)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_card_learns_what_the_processor_learns(
    tmp_path: Path, make_model: MakeModel, precision: Any
) -> None:
    settings = replace(SETTINGS, precision=precision)
    model = make_model()
    report = train(model, DATA, NextToken(), settings, tmp_path)
    assert report.device == "cuda:0"
    assert report.validation[-1].loss < report.validation[0].loss - 0.5
    torch.nn.Module.to(model, "cpu")
    assert DATA.validation is not None
    alone = evaluate(model, DATA.validation, NextToken())
    assert alone.loss == pytest.approx(report.validation[-1].loss, abs=0.05)

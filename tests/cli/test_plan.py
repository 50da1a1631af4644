from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.build import allocator, pace, planned
from flywheel.wheel import planning

if TYPE_CHECKING:
    from tests.cli.conftest import Run

pytest.importorskip("torch", reason="the extra [model] is not installed")
pytest.importorskip("transformers", reason="the extra [model] is not installed")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel.build.machine.MEASURED_SECONDS", 0.01)
    monkeypatch.setattr("flywheel.build.pace.MOST_ROUNDS", 1)
    monkeypatch.setattr("flywheel.build.pace.TRIAL_STEP_SECONDS", 0.01)


def test_plan_says_what_fits_and_why(flywheel: Run, ready: Path) -> None:
    del ready
    ended = flywheel("plan")
    assert ended.code == 0, ended.err
    for word in ("method", "new", "Hoffmann et al. 2022", "memory at the peak", "build.base"):
        assert word in ended.out


def test_plan_as_json_holds_steps_memory_and_reasons(flywheel: Run, ready: Path) -> None:
    (ready / "flywheel.toml").write_text('[build]\nbase = "new"\n', encoding="utf-8")
    data = flywheel("plan", "--json").data
    assert data["base"] == "new"
    assert data["memory_bytes"] == sum(data["memory"].values())
    assert data["seconds"] <= data["seconds_limit"]
    assert all(reason["source"] for reason in data["reasons"])


def test_base_of_another_architecture_is_refused(flywheel: Run, ready: Path) -> None:
    folder = ready / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    (ready / "flywheel.toml").write_text('[build]\nbase = "base"\n', encoding="utf-8")
    ended = flywheel("plan")
    assert (ended.code, "gpt2" in ended.err) == (1, True)


def test_base_that_is_not_there_is_refused_with_how_to_bring_it(flywheel: Run, ready: Path) -> None:
    text = '[build]\nbase = "nobody/nothing"\n'
    (ready / "flywheel.toml").write_text(text, encoding="utf-8")
    ended = flywheel("plan")
    assert ended.code == 1
    assert "hf download" in ended.err


def test_data_files_are_counted(flywheel: Run, ready: Path) -> None:
    lines = [
        {"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]},
        {"prompt": "a?", "chosen": "b.", "rejected": "c."},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (ready / "own.jsonl").write_text(text, encoding="utf-8")
    toml = '[build]\nbase = "new"\ndata = ["own.jsonl"]\n'
    (ready / "flywheel.toml").write_text(toml, encoding="utf-8")
    phases = flywheel("plan", "--json").data["phases"]
    assert [each["objective"] for each in phases] == ["next_token", "supervised", "preference"]


def test_without_the_extra_it_says_what_to_install(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del ready
    monkeypatch.setattr(planning, "_NEEDED", ("json", "no_such_module", "nor_such_a_module"))
    ended = flywheel("plan")
    assert ended.code == 1
    assert "needs no_such_module, nor_such_a_module:" in ended.err
    assert "pip install torch==2.13.0" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_engine_that_does_not_load_is_told_before_anything_is_planned(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del ready
    # As without libgomp1: the package is there, and its import fails.
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr(planning, "_NEEDED", ("torch",))
    ended = flywheel("plan")
    assert ended.code == 1
    assert "libgomp1" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("kept", [0.0, 1e9])
def test_where_memory_is_tight_it_goes_back_before_the_trial(
    flywheel: Run, ready: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    calls: list[str] = []
    measured = pace.measure_pace

    def measure(*given: Any) -> Any:
        calls.append("trial")
        return measured(*given)

    monkeypatch.setattr(planned, "KEPT", kept)
    monkeypatch.setattr(allocator, "give_back", lambda: calls.append("give back"))
    monkeypatch.setattr(allocator, "trim", lambda: calls.append("trim"))
    monkeypatch.setattr(pace, "measure_pace", measure)
    (ready / "flywheel.toml").write_text('[build]\nbase = "new"\n', encoding="utf-8")
    assert flywheel("plan").code == 0
    assert calls[:3] == (["give back", "trial", "trim"] if kept else ["trial", "trim", *calls[2:3]])
    assert calls[-1] == "trim"

"""A model of a domain's own, from its documents to the file that serves; what it must not be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from flywheel.build import export, specialist
from flywheel.build.base import new_model, save
from flywheel.build.footprint import Step, footprint
from flywheel.build.material import Material
from flywheel.build.plan import new_shape
from flywheel.build.planned import Phase, Plan
from flywheel.errors import ModelError, SettingsError
from flywheel.records import Feedback
from flywheel.store import versions
from flywheel.wheel import learning, modelling, planning
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.feedback import accept
from flywheel.wheel.turn import Turned, turn
from flywheel.wheel.versions import promote

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

STEP = Step(shape=new_shape(64, 2, 512), method="new", context=256, rows=2)
PLAN = Plan(
    base="new",
    device="cpu",
    step=STEP,
    phases=tuple(
        Phase(
            objective=objective,
            num_tokens=6 * STEP.num_tokens,
            num_steps=6,
            epochs=1,
            learning_rate=3e-3,
            seconds=1,
        )
        for objective in ("next_token", "supervised")
    ),
    memory=footprint(STEP),
    memory_limit=2**33,
    seconds_limit=600,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """More of them wait for each other longer than such a model computes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def modelled(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Domain:
    """A domain that is to have a model, of a plan as small as can be."""
    monkeypatch.setattr(planning, "plan", lambda *_: PLAN)
    domain.configure('[build]\nbase = "new"\nprecision = "f32"\n')
    return domain


def turned(domain: Domain) -> Turned:
    return turn(domain.workspace, model=True)


def trainings(domain: Domain) -> list[Path]:
    return list((domain.workspace.artifacts.root / modelling.TRAINING).glob("*"))


def model_of(domain: Domain, number: int) -> Path:
    with domain.workspace.database.read() as conn:
        version = versions.require(conn, number)
    key = next(iter(version.bundle["writers"].values()))["model"]
    found = domain.workspace.artifacts.find("model", key)
    assert found is not None
    return found


def test_a_small_new_model_is_built_checked_examined_and_kept_back(modelled: Domain) -> None:
    done = turned(modelled)
    assert (done.version, done.decision, done.champion) == (2, "kept", 1)
    made = done.model
    assert made is not None
    assert [phase["objective"] for phase in made["phases"]] == ["next token", "supervised"]
    assert made["parity"]["passed"] and made["parity"]["num_tokens"] > 50
    assert made["outcome"]["measured_bytes"] > 0 and made["outcome"]["measured_seconds"] > 0
    assert made["bits"]["model"] > 0 < made["bits"]["ppmd"]
    assert trainings(modelled) == []
    folder = model_of(modelled, 2)
    modelled.workspace.artifacts.verify(folder)
    assert json.loads((folder / "report.json").read_text()) == made
    assert {each.name for each in (folder / "trained").iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }


def test_the_same_model_is_not_built_twice(
    modelled: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned(modelled)
    monkeypatch.setattr(specialist, "build", None)
    assert "was tried on this exam" in turned(modelled).reasons[0]


def test_stopped_while_it_learns_the_same_command_goes_on(
    modelled: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(stage: str, done: int, of: int) -> None:
        if stage.startswith("learning supervised") and done > of / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        turn(modelled.workspace, stop, model=True)
    [training] = trainings(modelled)
    assert {"plan.json", "next_token", "supervised"} <= {each.name for each in training.iterdir()}
    steps: list[str] = []
    monkeypatch.setattr(planning, "plan", None)  # it goes on by the plan that it began with
    done = turn(modelled.workspace, lambda stage, *_: steps.append(stage), model=True)
    assert done.version == 2
    assert not [each for each in steps if each.startswith("learning text")]
    assert trainings(modelled) == []


def test_a_file_that_is_not_what_was_trained_makes_no_version(
    modelled: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = export.write_gguf

    def spoilt(model: Any, *arguments: Any) -> Any:
        weight = model.model.layers[1].mlp.down_proj.weight
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        try:
            return write(model, *arguments)
        finally:
            with torch.no_grad():
                weight.copy_(kept)

    monkeypatch.setattr(specialist, "write_gguf", spoilt)
    with pytest.raises(ModelError, match="is not what was trained"):
        turned(modelled)
    assert modelled.workspace.champion().number == 1
    assert not list(modelled.workspace.artifacts.root.glob("model/*/manifest.json"))


def test_what_not_everybody_may_read_teaches_no_model(
    modelled: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = modelled.write("hr/pay.md", "# Pay\n\nThe director is paid nine thousand a month.\n")
    modelled.add(secret.parent, access=["hr"])
    learned: list[Material] = []

    def look(plan: Plan, material: Material, *_: Any) -> None:
        learned.append(material)
        raise ModelError("seen enough")

    monkeypatch.setattr(specialist, "build", look)
    with pytest.raises(ModelError, match="seen enough"):
        turned(modelled)
    [material] = learned
    assert "wallbox" in " ".join(each.text for each in material.passages)
    assert "director" not in " ".join(each.text for each in material.passages)
    assert "director" not in " ".join(hit.passage.text for hit in material.search("director paid"))


def test_a_model_that_learned_from_an_erased_document_serves_never_again(
    modelled: Domain,
) -> None:
    turned(modelled)
    folder = model_of(modelled, 2)
    erased = erase(modelled.workspace, "source", str(modelled.documents / "doors.md"))
    assert set(erased.versions) == {1, 2}
    assert not folder.exists()
    assert "writers" not in modelled.workspace.champion().bundle


@pytest.fixture
def writing(modelled: Domain) -> Domain:
    """The same, with a champion that has the model, as if the exam had let it."""
    modelled.write("extra.md", "# Towing\n\nThe tow bar carries ninety kilograms at most.\n")
    modelled.add()
    accept(
        modelled.workspace,
        [
            Feedback(
                id="better",
                kind="rank",
                user="ann",
                role="curator",
                at="2026-11-01T00:00:00Z",
                question="How long does charging take?",
                candidates=("Six hours.", "All night."),
                order=(0, 1),
            )
        ],
    )
    turned(modelled)
    promote(modelled.workspace, model_version(modelled))
    return modelled


def model_version(domain: Domain) -> int:
    with domain.workspace.database.read() as conn:
        return max(each.number for each in versions.list_versions(conn) if "writers" in each.bundle)


def test_preferences_of_users_are_planned_and_learned(writing: Domain) -> None:
    model = json.loads((model_of(writing, model_version(writing)) / "report.json").read_text())
    assert model["learned"] == ["better"] and model["num_pairs"] == 1
    corpus = planning.read_corpus(writing.workspace, None, learning.learned(writing.workspace))
    assert corpus.num_pairs == 1 and corpus.pair_bytes > 100
    with writing.workspace.database.read() as conn:
        assert versions.that_learned(conn, "better") == [model_version(writing)]


def test_a_document_that_only_the_model_learned_from_ends_it(writing: Domain) -> None:
    number = model_version(writing)
    (writing.documents / "extra.md").unlink()
    writing.add()
    turn(writing.workspace)  # its index holds the document no more; its model still does
    champion = writing.workspace.champion()
    assert champion.number != number and "writers" in champion.bundle
    erase(writing.workspace, "source", str(writing.documents / "extra.md"))
    assert "writers" not in writing.workspace.champion().bundle
    with writing.workspace.database.read() as conn:
        assert versions.require(conn, champion.number).erased


def test_feedback_that_only_the_model_learned_from_ends_it(writing: Domain) -> None:
    erase(writing.workspace, "user", "ann")
    champion = writing.workspace.champion()
    assert "writers" not in champion.bundle
    with writing.workspace.database.read() as conn:
        assert versions.require(conn, model_version(writing)).erased


def test_an_erasure_of_anything_else_leaves_the_model(writing: Domain) -> None:
    interaction = writing.workspace.ask("Where is the child lock?").interaction
    erase(writing.workspace, "interaction", interaction)
    assert writing.workspace.champion().number == model_version(writing)


def test_a_model_that_cannot_be_opened_costs_nobody_an_answer(writing: Domain) -> None:
    writing.configure('[build]\nbase = "new"\n[decide]\nwrong_cost = 0\n')
    workspace = writing.workspace
    bundle = workspace.champion().bundle | {"decide": {"wrong_cost": 0}}
    (model_of(writing, model_version(writing)) / "model.gguf").write_bytes(b"GGUF")
    answer = workspace.assemble(bundle, 0).ask("Where is the child lock?", workspace.reader())
    assert answer.kind == "answer" and "child lock" in answer.answer
    assert not answer.is_written and "model.gguf" in answer.shortfall


def test_a_base_that_is_not_there_is_named_before_anything_is_built(modelled: Domain) -> None:
    modelled.configure('[build]\nbase = "no/such-model"\n')
    with pytest.raises(ModelError, match="hf download no/such-model"):
        turned(modelled)


def test_a_base_that_cannot_spell_the_documents_is_refused_before_it_is_trained(
    modelled: Domain, tmp_path: Path
) -> None:
    spelling = Tokenizer(models.BPE({"<unk>": 0, "</s>": 1, "a": 2}, [], unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=spelling, unk_token="<unk>", eos_token="</s>"
    )
    save(new_model(new_shape(64, 2, 3), tokenizer, seed=1), tokenizer, tmp_path / "base")
    modelled.configure(f'[build]\nbase = "{tmp_path / "base"}"\n')
    monkeyed = replace(PLAN, base=str(tmp_path / "base"), step=replace(STEP, method="full"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ModelError, match="cannot write"):
        patch.setattr(planning, "plan", lambda *_: monkeyed)
        turned(modelled)


def test_without_a_base_the_settings_to_make_are_named(domain: Domain) -> None:
    with pytest.raises(SettingsError, match=r"\[build\] base"):
        turned(domain)

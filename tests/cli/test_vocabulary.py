"""`flywheel vocabulary`: what the documents need of a base, and the base cut to that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flywheel.wheel import planning, vocabulary

Run = Callable[..., Any]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "owners-manual" / "documents"
SIZE = 900
NUM_ROWS = 920


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with the vocabulary of the car manual, and more rows than tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from flywheel.build.base import save
    from flywheel.build.vocabulary import train_tokenizer

    folder = tmp_path_factory.mktemp("base") / "tiny"
    texts = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLE.rglob("*.md"))]
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=NUM_ROWS,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=None,
        eos_token_id=2,
    )
    save(LlamaForCausalLM(config), train_tokenizer(texts, SIZE), folder)
    return folder


@pytest.fixture
def named(ready: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace that names the base, and sizes that are small beside it."""
    monkeypatch.setattr(vocabulary, "SIZES", (260, 400, 600))
    (ready / "flywheel.toml").write_text(f'[build]\nbase = "{base}"\n', encoding="utf-8")
    return ready


def test_show_tells_what_each_size_covers_and_saves(flywheel: Run, named: Path) -> None:
    found = flywheel("vocabulary", "show", "--json").data
    assert found["num_tokens"] == SIZE
    assert 0 < found["num_used"] < SIZE
    sizes = [each["size"] for each in found["worth"]]
    assert sizes == [400, 600, NUM_ROWS], "260 does not hold the bytes and the template"
    covered = [each["covered"] for each in found["worth"]]
    assert covered == sorted(covered)
    assert covered[-1] == 1.0
    assert [each["saved"] for each in found["worth"]][-1] == 0.0
    told = flywheel("vocabulary", "show")
    assert told.code == 0
    assert f"{SIZE} tokens" in told.out


def test_trimmed_base_loads_answers_alike_and_is_named_next(
    flywheel: Run, named: Path, base: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    told = flywheel("vocabulary", "trim", "../trimmed", "--size", "600", "--json").data
    folder = named.parent / "trimmed"
    assert told["folder"] == str(folder)
    assert told["worth"]["size"] == 600
    assert told["num_tokens_before"] == SIZE
    assert told["worth"]["memory_bytes"] < told["memory_bytes_before"]
    before, after = (AutoTokenizer.from_pretrained(each) for each in (base, folder))
    text = "The child lock sits on the edge of each rear door. 防夹保护"
    assert after.decode(after(text)["input_ids"]) == text
    assert after.tokenize(text) == before.tokenize(text)
    old, new = (AutoModelForCausalLM.from_pretrained(each) for each in (base, folder))
    assert new.config.vocab_size == len(after) == 600
    assert new.generation_config.eos_token_id == after.eos_token_id
    kept = before.convert_tokens_to_ids(after.convert_ids_to_tokens(list(range(600))))
    with torch.no_grad():
        expected = old(**before(text, return_tensors="pt")).logits[0][:, kept]
        assert torch.equal(new(**after(text, return_tensors="pt")).logits[0], expected)


def test_size_left_out_is_the_smallest_that_covers_enough(flywheel: Run, named: Path) -> None:
    told = flywheel("vocabulary", "trim", "../trimmed")
    assert told.code == 0
    assert "400 of 900 tokens" in told.out
    assert f'base = "{named.parent / "trimmed"}"' in told.out


def test_general_text_that_the_settings_name_fills_the_reserve(
    flywheel: Run, named: Path, base: Path
) -> None:
    from transformers import AutoTokenizer

    word = "充电"
    (named / "general.txt").write_text(f"{word}\n" * 9, encoding="utf-8")
    with (named / "flywheel.toml").open("a", encoding="utf-8") as settings:
        settings.write('general = ["general.txt"]\n')
    assert flywheel("vocabulary", "trim", "../trimmed", "--size", "400").code == 0
    tokenizer = AutoTokenizer.from_pretrained(named.parent / "trimmed")
    assert tokenizer.tokenize(word) == AutoTokenizer.from_pretrained(base).tokenize(word)
    (named / "general.txt").unlink()
    told = flywheel("vocabulary", "show")
    assert (told.code, "general.txt" in told.err) == (1, True)


def test_folder_in_use_is_left_alone(flywheel: Run, named: Path) -> None:
    told = flywheel("vocabulary", "trim", "../documents")
    assert told.code == 2
    assert "not empty" in told.err
    assert (named.parent / "documents" / "doors.md").is_file()


def test_size_that_holds_nothing_says_what_it_needs(flywheel: Run, named: Path) -> None:
    told = flywheel("vocabulary", "trim", "../trimmed", "--size", "100")
    assert told.code == 1
    assert "alone need" in told.err
    assert not (named.parent / "trimmed").exists()


def test_without_a_base_it_says_to_name_one(flywheel: Run, ready: Path) -> None:
    for command in (["show"], ["trim", "../trimmed"]):
        told = flywheel("vocabulary", *command)
        assert (told.code, told.out) == (1, "")
        assert "[build] base" in told.err


def test_without_the_extra_it_says_in_a_line_what_to_install(
    flywheel: Run, named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_NEEDED", ("torch_that_is_not_there",))
    told = flywheel("vocabulary", "show")
    assert told.code == 1
    assert "flywheel-assistant[model]" in told.err
    assert len(told.err.splitlines()) == 1

"""Scores of a classifier, and how it is kept: whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.errors import StoreError
from flywheel.moderation.classifier import PAGE, Classifier, load, remove, save
from flywheel.moderation.ngrams import MOST_CHARS, NUM_BUCKETS, grams, parts


def classifier(*words: str) -> Classifier:
    """Each word is a category: the more of its n-grams a text has, the more probable."""
    weights = np.zeros((NUM_BUCKETS, len(words)), np.float32)
    for column, word in enumerate(words):
        weights[grams([word]).buckets, column] = 1
    return Classifier(
        categories=words,
        weights=weights,
        bias=np.zeros(len(words)),
        slope=np.full((2, len(words)), 4.0),
        offset=np.full((2, len(words)), -8.0),
    )


@pytest.mark.parametrize(
    ("bad", "harmless"),
    [
        ("There is a bomb in the pump.", "The valve is closed by hand. "),
        ("水泵里面有一个炸弹。", "阀门应当用手慢慢地关上。"),
    ],
)
def test_bad_sentence_does_not_drown_among_others(bad: str, harmless: str) -> None:
    alone, pages = OF_TWO.scores(bad), harmless * 40
    worst = max(alone, key=lambda name: alone[name])
    assert OF_TWO.scores(pages)[worst] < alone[worst] / 2
    assert OF_TWO.scores(pages + bad + pages)[worst] == pytest.approx(alone[worst])


def test_short_sentences_are_looked_at_together() -> None:
    assert parts("Yes. No. Where is the child lock? It sits in the door.") == [
        "Yes. No. Where is the child lock?",
        " It sits in the door.",
    ]
    assert parts("好的。儿童锁在后车门的边缘。用钥匙转动它即可锁上。") == [
        "好的。儿童锁在后车门的边缘。",
        "用钥匙转动它即可锁上。",
    ]


def test_look_alikes_and_stretches_score_alike() -> None:
    of = classifier("bomb", "炸弹")
    assert of.scores("ＢÓМВ") == of.scores("bomb")
    assert of.scores("bommmmmb") == of.scores("bommb")
    assert of.scores("炸彈") == of.scores("炸弹")


def test_text_with_nothing_visible_scores_nothing() -> None:
    assert set(classifier("bomb", "炸弹").scores(" \u200b\n").values()) == {0.0}


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_has_scores_between_0_and_1(text: str) -> None:
    assert all(0 <= score <= 1 for score in OF_TWO.scores(text).values())


@given(st.text(alphabet="ab.。 \n", max_size=1000))
def test_parts_are_the_text(text: str) -> None:
    assert "".join(parts(text)) == text
    assert all(len(part) <= MOST_CHARS for part in parts(text))


def test_classifier_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = save(OF_TWO, tmp_path / "new", {"trained_at": "now"})
    back = load(tmp_path / "new")
    assert back is not None
    assert back.digest == kept.digest != ""
    assert back.scores("a b0mb, 炸弹") == OF_TWO.scores("a b0mb, 炸弹")
    assert json.loads((tmp_path / "new" / PAGE).read_text())["trained_at"] == "now"


def test_next_one_takes_its_place_and_leaves_nothing_behind(tmp_path: Path) -> None:
    save(OF_TWO, tmp_path, {})
    save(classifier("other"), tmp_path, {})
    back = load(tmp_path)
    assert back is not None
    assert back.categories == ("other",)
    assert len(list(tmp_path.iterdir())) == 2
    remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert load(tmp_path) is None


def test_killed_before_its_page_is_written_the_earlier_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(OF_TWO, tmp_path, {})
    real = Path.replace

    def dies_at_the_page(path: Path, target: Path) -> Path:
        if target.name == PAGE:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", dies_at_the_page)
    with pytest.raises(KeyboardInterrupt):
        save(classifier("other"), tmp_path, {})
    back = load(tmp_path)
    assert back is not None
    assert back.categories == OF_TWO.categories


@pytest.mark.parametrize("harm", ["page", "format", "weights", "bits"])
def test_damaged_one_is_refused_with_what_to_do(tmp_path: Path, harm: str) -> None:
    save(OF_TWO, tmp_path, {})
    page, [weights] = tmp_path / PAGE, list(tmp_path.glob("*.npz"))
    match harm:
        case "page":
            page.write_text("{", encoding="utf-8")
        case "format":
            page.write_text('{"format": 99}', encoding="utf-8")
        case "weights":
            weights.unlink()
        case "bits":
            weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="flywheel moderation train"):
        load(tmp_path)


OF_TWO = classifier("bomb", "炸弹")

"""Statistics are of what a reader may see: as if the index held nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flywheel.records import PUBLIC, Passage
from flywheel.search.frequencies import Frequencies
from flywheel.search.index import PassageIndex, Reader, build_index
from flywheel.search.terms import term_ids

MakeIndex = Callable[[Sequence[Passage]], PassageIndex]

TEXTS = (
    ("manual", "Slide the lever at the rear door.", (PUBLIC,)),
    ("manual", "儿童锁在后车门的边缘。", (PUBLIC,)),
    ("pay", "The workshop pays nine hundred zorkmids.", ("staff",)),
    ("pay", "学徒的工资每月发放。", ("staff",)),
    ("plan", "The works are sold: slide three of the lever.", ("board", "staff")),
    ("plan", "董事会出售变速箱工厂。", ("board",)),
)
ASKED = term_ids("lever rear zorkmids works nowhere slide 儿童锁工资董事会厂")


def passages() -> list[Passage]:
    return [
        Passage(
            id=f"p{number}",
            document=document,
            title=document,
            headings=(),
            text=text,
            language="en" if text.isascii() else "zh-hans",
            position=number,
            access=access,
        )
        for number, (document, text, access) in enumerate(TEXTS)
    ]


@pytest.fixture
def index(make_index: MakeIndex) -> PassageIndex:
    return make_index(passages())


@pytest.mark.parametrize(
    "reader",
    [
        Reader(),
        Reader(access=(PUBLIC, "staff")),
        Reader(access=("board", PUBLIC)),
        Reader(access=("board", PUBLIC, "staff"), hidden=("manual",)),
        Reader(access=(PUBLIC,), hidden=("manual",), widened=("plan",)),
    ],
)
def test_statistics_are_those_of_an_index_of_what_is_seen(
    index: PassageIndex, reader: Reader, tmp_path: Path
) -> None:
    seen = [each for each in passages() if reader.sees(each)]
    found = index.of(reader)
    build_index(tmp_path / "alone", seen)
    alone = PassageIndex(tmp_path / "alone")
    assert found.frequencies.num_passages == len(seen)
    assert np.array_equal(found.frequencies.idf(ASKED), alone.frequencies.idf(ASKED))
    assert np.array_equal(found.frequencies.known(ASKED), alone.frequencies.known(ASKED))
    ids = [each.id for each in seen]
    one, other = found.vectors.of_passages(ids), alone.vectors.of_passages(ids)
    assert np.array_equal(one.toarray(), other.toarray())


def test_who_sees_all_has_those_of_the_index(index: PassageIndex) -> None:
    assert index.of(Reader(access=("board", PUBLIC, "staff"))) is index.statistics
    assert index.of(index.everyone) is index.statistics
    assert index.of(Reader(access=("staff", PUBLIC), widened=("plan",))) is index.statistics


def test_who_sees_nothing_has_none(index: PassageIndex) -> None:
    found = index.of(Reader(access=("nobody",))).frequencies
    assert found.num_passages == 0
    assert not found.known(ASKED).any()
    assert np.isfinite(found.idf(ASKED)).all()


def test_readers_who_see_the_same_share_them(
    index: PassageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, ben = (Reader(access=(PUBLIC, name)) for name in ("anna", "ben"))
    first = index.of(anna)
    assert index.of(ben) is first
    monkeypatch.setattr("flywheel.search.index.MOST_STATISTICS", 1)
    assert index.of(Reader(access=(PUBLIC, "staff"))) is not first
    assert index.of(anna) is not first


def test_nothing_left_out_leaves_the_counts_as_they_are() -> None:
    counted = Frequencies.empty()
    for each in passages():
        counted.add(term_ids(each.text))
    same = counted.without([])
    assert np.array_equal(same.idf(ASKED), counted.idf(ASKED))
    assert same.num_passages == counted.num_passages


def test_documents_whose_passages_differ_in_labels_are_told_apart(make_index: MakeIndex) -> None:
    mixed = [replace(each, document="one") for each in passages()]
    found = make_index(mixed).of(Reader())
    assert found.frequencies.num_passages == 2
    assert not found.frequencies.known(term_ids("zorkmids"))[0]
    assert found.frequencies.known(term_ids("lever"))[0]

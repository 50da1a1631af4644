"""The search of the proof: whatever is there is found, in any encoding, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.wheel.erasure.proof import MAX_CHARS, Needles, pieces

TEXTS = st.text(min_size=8, max_size=60)


@given(st.lists(TEXTS, max_size=6), st.lists(TEXTS, max_size=6), st.integers(0, 9))
def test_finds_exactly_what_stands_there(present: list[str], others: list[str], at: int) -> None:
    data = b"x" * at + "\0".join(present).encode("utf-8", "backslashreplace")
    found = Needles({*present, *others}).found_in(data)
    wanted = {*present, *others}
    assert found >= set(present)
    for each in wanted - found:
        assert each.encode("utf-8", "backslashreplace") not in data


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize(
    "piece", ["Where is “it” now?", "刹车片多久更换一次", 'a "quoted" \\ path']
)
def test_finds_every_encoding(piece: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" + piece.encode(encoding) + b"\0")
    assert Needles({piece}).found_in_file(path) == {piece}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_finds_text_inside_json(ascii_only: bool) -> None:
    piece = 'Die "Prüfung" 多久一次'
    data = json.dumps([{"a": piece}], ensure_ascii=ascii_only).encode()
    assert Needles({piece}).found_in(data) == {piece}


def test_finds_what_stands_across_two_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flywheel.wheel.erasure.proof._CHUNK", 64)
    path = tmp_path / "file"
    for at in range(120):
        path.write_bytes(b"." * at + b"the secret of the garden" + b"." * 100)
        assert Needles({"the secret of the garden"}).found_in_file(path)


def test_without_needles_finds_nothing() -> None:
    assert Needles(()).found_in(b"anything at all") == set()


def test_pieces_are_sentences_of_some_length_and_parts_of_long_ones() -> None:
    text = "Short. This one is long enough!\n第一句话很长。短。" + "x" * (2 * MAX_CHARS + 1)
    found = pieces([text], 12)
    assert {"This one is long enough!", "第一句话很长"} <= found
    assert {len(each) for each in found if set(each) == {"x"}} <= set(range(100, MAX_CHARS + 1))
    assert "Short." not in found and "短" not in found

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.engine.sse import events
from flywheel.errors import EngineError

line = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@given(st.lists(st.lists(line, min_size=1, max_size=3), max_size=5), st.data())
def test_events_are_found_however_the_bytes_are_cut(
    told: list[list[str]], data: st.DataObject
) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    sent = "".join(
        f": comment{end}id: 7{end}" + "".join(f"data: {each}{end}" for each in lines) + end
        for lines in told
    ).encode()
    places = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    bounds = [0, *places, len(sent)]
    chunks = [sent[start:stop] for start, stop in pairwise(bounds)]

    assert list(events(chunks)) == ["\n".join(lines) for lines in told]


def test_last_event_counts_also_where_nothing_ends_it() -> None:
    assert list(events([b"data:1\n\nda", b"ta: 2"])) == ["1", "2"]


def test_line_separators_within_an_event_do_not_end_it() -> None:
    assert list(events(["data: a\u2028b\x85c\n\n".encode()])) == ["a\u2028b\x85c"]


@pytest.mark.parametrize("sent", [b"data: " + b"x" * 2_000_000, b"data: \xff\n\n"])
def test_what_is_too_long_or_no_text_is_an_error(sent: bytes) -> None:
    with pytest.raises(EngineError):
        list(events([sent]))

"""Footnotes stand behind what they quote, marks where a quote stands, and nothing becomes markup
that was text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from flywheel.records import Citation
from flywheel.serve.console.ask.notes import marked, noted
from flywheel.serve.console.markup import markdown


def citation(quote: str) -> Citation:
    return Citation(
        document="d", title="T", headings=(), passage="p", quote=quote, start=0, end=len(quote)
    )


def shown(text: str, *quotes: str) -> str:
    """The answer with its notes as (1), (2)."""
    links = [Markup("({})").format(number) for number in range(1, len(quotes) + 1)]
    return str(noted(text, [citation(each) for each in quotes], links)).strip()


@pytest.mark.parametrize(
    ("text", "quotes", "html"),
    [
        ("Doors:\nOne. Two.", ("One.", "Two."), "<p>Doors:<br />\nOne.(1) Two.(2)</p>"),
        ("在边缘。再转动。", ("在边缘。",), "<p>在边缘。(1)再转动。</p>"),
        ("Said otherwise.", ("One.",), "<p>Said otherwise. (1)</p>"),
        ("It is. [1] So. [2]", ("a", "b"), "<p>It is. (1) So. (2)</p>"),
        ("It is [7].", ("a",), "<p>It is [7]. (1)</p>"),
        ("One. One.", ("One.", "One."), "<p>One.(1) One.(2)</p>"),
        ("None.", (), "<p>None.</p>"),
    ],
)
def test_notes_stand_behind_their_quotes_or_at_the_end(
    text: str, quotes: tuple[str, ...], html: str
) -> None:
    assert shown(text, *quotes) == html


def test_a_table_keeps_its_form_under_notes() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    html = shown(table, table)
    assert html.count("<td>") == 2 and html.endswith("<p>(1)</p>")


def test_a_note_never_stands_within_a_tag() -> None:
    html = shown("```abc\nx\n```", "```abc")
    assert 'class="language-abc"' in html and "(1)" not in html.partition(">")[0]


@pytest.mark.parametrize(
    ("text", "quote", "html"),
    [
        ("One. Two.", "Two.", "<p>One. <mark>Two.</mark></p>"),
        (
            "- One\n- Two",
            "- One\n- Two",
            "<ul>\n<li><mark>One</mark></li>\n<li><mark>Two</mark></li>\n</ul>",
        ),
        ("甲。\n\n乙。", "。\n\n乙", "<p>甲<mark>。</mark></p>\n<p><mark>乙</mark>。</p>"),
        ("One.", "", "<p>One.</p>"),
    ],
)
def test_a_quote_is_marked_line_by_line(text: str, quote: str, html: str) -> None:
    start = text.index(quote)
    end = start + len(quote)
    assert str(marked(text, start, end)).strip() == html


def test_the_cells_of_a_quoted_table_are_marked() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    html = str(marked(table, 0, len(table)))
    assert html.count("<mark>") == 4 and "<table" in html


@given(
    text=st.text(alphabet="ab<>&\"'`|-*# \n\ue000\ue0011[]。", max_size=60),
    start=st.integers(0, 70),
    end=st.integers(0, 70),
)
def test_whatever_the_text_only_our_elements_are_added(text: str, start: int, end: int) -> None:
    plain = str(markdown("".join(" " if "\ue000" <= c <= "\ue003" else c for c in text)))
    html = str(marked(text, start, end))
    assert html.count("<mark>") == html.count("</mark>")
    assert html.count("<script") == plain.count("<script") == 0
    assert "\ue000" not in html and "\ue001" not in html
    shown(text, text[start:end])

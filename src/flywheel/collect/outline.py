"""Text → its sections: the lines that open one, and the headings above it.

Headings of Markdown, articles of statutes in Chinese and English, and the numbered lines of a
text that has no other structure; never a list item, nor a line inside fenced code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_NUMERAL = r"[〇零一二三四五六七八九十百千两\d０-９]+"
_END = r"[ \t\u3000]*$"
_MARKER = re.compile(
    rf"""^[ \t\u3000]*(?:
    (?P<fence>```|~~~)
    |(?<![ \t\u3000])(?P<hashes>\#{{1,6}})(?!\#)(?:[ \t\u3000]+(?P<heading>[^\n]*))?$
    |(?:\*\*)?(?P<article>第\s?{_NUMERAL}\s?条(?:之{_NUMERAL})?)
    |(?:\*\*)?(?P<english>(?:(?:Article|ARTICLE|Art\.|Section|SECTION|Sec\.)[ \t]+|§[ \t]*)
        (?:\d+[a-z]?|[IVXLC]+))\b(?=[.:]?{_END}|[.:]?[ \t]*[\u2014\u2013-]|[.:]?[ \t]+[^a-z\s])
    |(?P<unit>第\s?{_NUMERAL}\s?(?:编|分编|章|节)
        (?:[ \t\u3000]+[^\n。；]{{1,40}}|(?![的至到中规所])[^\s。；，：、]{{1,20}})?){_END}
    |(?P<chapter>(?:Chapter|CHAPTER|PART|Annex|ANNEX|Appendix|APPENDIX)[ \t]+
        (?:\d+|[A-Z]|[IVXLC]+)\b(?:[.:]?[ \t]+[^a-z\s][^\n;]{{0,60}})?(?<![.])){_END}
    |(?P<annex>附(?:件|录|表|图|则)[一二三四五六七八九十\d]{{0,3}}
        (?:[:：\s][^\n。；]{{0,40}})?){_END}
    |(?P<enumerated>[一二三四五六七八九十]{{1,3}}、[^\n。；：:;，！？]{{1,30}}){_END}
    |(?P<numbered>(?P<number>\d{{1,2}}(?:\.\d{{1,2}}){{1,4}})\.?[ \t]+(?=[A-Z\u4e00-\u9fff])
        [^\n。；;|]{{1,90}}(?<![.,:，：\s])){_END}
    )""",
    re.MULTILINE | re.VERBOSE,
)
_BLANK_AHEAD = re.compile(r"[ \t]*\n[ \t]*\n")
_ARTICLE_LABEL = re.compile(
    rf"(?:第\s?{_NUMERAL}\s?条(?:之{_NUMERAL})?|(?:Article|ARTICLE) (?:\d+|[IVXLC]+)\b)"
)
_INLINE_ARTICLE = re.compile(rf"[。；][ \u3000]*(第{_NUMERAL}条(?:之{_NUMERAL})?)(?=[ \u3000])")
_LONG_ARTICLE = 1000
# After a label comes a space, a bracketed title or nothing; otherwise it may be a reference that
# begins a line (第五十条规定的…), and counts only where it is next in order.
_LABEL_ENDS = re.compile(r"[\s\u3000【（(：:*]|$")

_UNIT = re.compile(rf"第\s?{_NUMERAL}\s?(编|分编|章|节)|(PART|Part)\b|([Cc]hapter|CHAPTER)\b")
_RANK_NONE, _RANK_ANNEX, _RANK_ENUMERATED, _RANK_NUMBERED = 0, 1, 6, 7
_RANKS = {"编": 1, "PART": 1, "Part": 1, "分编": 2, "章": 3, "chapter": 3, "节": 4}


@dataclass(frozen=True, slots=True)
class _Marker:
    """A line that opens a section; for an article the line is part of the section."""

    start: int
    end: int
    """Where the section's own text begins."""
    text: str
    level: int = 0
    """Of a `#` line; 0 elsewhere."""
    rank: int = _RANK_NONE
    """Of a part, chapter or section that says so; smaller is further out."""
    article: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A span of the text under one heading path."""

    headings: tuple[str, ...]
    start: int
    end: int
    article: bool


def sections(text: str, title: str) -> Iterator[Section]:
    """The text's sections in reading order, the first of them without a heading.

    Args:
        title: the document's; a heading that only repeats it is none.
    """
    markers = _markers(text)
    first = markers[0].start if markers else len(text)
    yield Section((), 0, first, False)
    outline = _Outline(title)
    for marker, end in _with_ends(markers, len(text)):
        yield Section(outline.enter(marker), marker.end, end, marker.article)


class _Outline:
    """The path of headings down to the current line."""

    def __init__(self, title: str) -> None:
        self._title = _plain(title)
        self._path: list[_Marker] = []

    def enter(self, marker: _Marker) -> tuple[str, ...]:
        """The path under the marker, which is the innermost heading from now on."""
        if marker.level:
            self._leave(lambda above: above.level >= marker.level)
        if marker.rank:
            self._leave(lambda above: above.rank >= marker.rank)
        headings = tuple(above.text for above in self._path)
        if not marker.text or (marker.level and _plain(marker.text) == self._title):
            return headings
        if not marker.article:
            level = marker.level or (self._path[-1].level if self._path else 0) + 1
            self._path.append(_Marker(0, 0, marker.text, level, marker.rank))
        return (*headings, marker.text)

    def _leave(self, is_left: Callable[[_Marker], bool]) -> None:
        for depth, above in enumerate(self._path):
            if is_left(above):
                del self._path[depth:]
                return


def _plain(heading: str) -> str:
    return re.sub(r"[\s*_`#]+", "", heading).casefold()


def _markers(text: str) -> list[_Marker]:
    """Headings and articles in reading order; lines inside fenced code are neither."""
    matches = list(_outside_fences(_MARKER.finditer(text)))
    articles = _articles(matches, text)
    markers: list[_Marker] = []
    list_end = -1
    for match, after in pairwise([*matches, None]):
        assert match is not None
        if match["enumerated"] or match["numbered"]:
            in_article = bool(markers) and markers[-1].article
            if in_article or _is_list_item(text, match, list_end, after):
                list_end = match.end()
                continue
        if not (match["article"] or match["english"]) or match.start() in articles:
            markers.append(_marker(match, text))
    return list(_with_inline_articles(text, markers))


def _with_ends(markers: list[_Marker], end: int) -> Iterator[tuple[_Marker, int]]:
    """Each marker with the place where its section ends."""
    yield from zip(markers, [*(marker.start for marker in markers[1:]), end], strict=False)


def _with_inline_articles(text: str, markers: list[_Marker]) -> Iterator[_Marker]:
    """Adds the articles that a lost line break left in the middle of a long article's line."""
    for marker, end in _with_ends(markers, len(text)):
        yield marker
        if not marker.article or end - marker.end < _LONG_ARTICLE:
            continue
        number = _number(marker.text)
        for match in _INLINE_ARTICLE.finditer(text, marker.end, end):
            if 0 < _number(match[1]) - number <= 1:
                number = _number(match[1])
                yield _Marker(match.start(1), match.start(1), match[1], article=True)


def _outside_fences(matches: Iterable[re.Match[str]]) -> Iterator[re.Match[str]]:
    fence = ""
    for match in matches:
        if match["fence"]:
            fence = "" if fence == match["fence"] else fence or match["fence"]
        elif not fence:
            yield match


def _is_list_item(
    text: str, match: re.Match[str], list_end: int, after: re.Match[str] | None
) -> bool:
    """Whether a short line 一、… or 1.2 … is an entry of a list rather than a heading.

    It is one if a line that ends with a colon leads to it, if it follows another entry, or if
    nothing comes between it and the next line of structure. 1.2 has blank lines about it, too, and
    may be followed by 1.2.1 at once.
    """
    before = text[max(0, match.start() - 200) : match.start()]
    if before.rstrip().endswith(("：", ":")):
        return True
    if match["numbered"]:
        apart = re.search(r"\n\s*\Z|\A\Z", before[:-1]) and _BLANK_AHEAD.match(text, match.end())
        if not apart:
            return True
        if after and (after["number"] or "").startswith(match["number"] + "."):
            return False
    follows = list_end >= 0 and not text[list_end : match.start()].strip()
    return follows or not text[match.end() : after.start() if after else len(text)].strip()


def _articles(matches: list[re.Match[str]], text: str) -> set[int]:
    """Where the articles start, among all lines that begin like one."""
    accepted: set[int] = set()
    chinese = [match for match in matches if match["article"]]
    accepted.update(m.start() for m in chinese if _LABEL_ENDS.match(text, m.end("article")))
    for family in (chinese, *_english_families(matches)):
        for one, two in pairwise(family):
            if 0 < _number(_label(two)) - _number(_label(one)) <= 1:
                accepted.update((one.start(), two.start()))
    return accepted


def _english_families(matches: list[re.Match[str]]) -> list[list[re.Match[str]]]:
    """Article, Section and § each count on their own."""
    families: dict[str, list[re.Match[str]]] = {}
    for match in matches:
        if label := match["english"]:
            families.setdefault(label[:3].split()[0].casefold(), []).append(match)
    return list(families.values())


def _label(match: re.Match[str]) -> str:
    return match["article"] or match["english"]


def _marker(match: re.Match[str], text: str) -> _Marker:
    if match["hashes"]:
        return _hash_marker(match)
    if match["article"] or match["english"]:
        group = "article" if match["article"] else "english"
        start = text.rfind("\n", 0, match.start(group)) + 1
        return _Marker(match.start(), start, _spaceless_if_chinese(_label(match)), article=True)
    if match["numbered"]:
        rank = _RANK_NUMBERED + match["number"].count(".")
        return _Marker(match.start(), match.end(), match["numbered"].strip(), rank=rank)
    line = (match["unit"] or match["chapter"] or match["annex"] or match["enumerated"]).strip()
    rank = _RANK_ENUMERATED if match["enumerated"] else _rank(line) or _RANK_ANNEX
    return _Marker(match.start(), match.end(), line, rank=rank)


def _hash_marker(match: re.Match[str]) -> _Marker:
    heading = (match["heading"] or "").strip().rstrip("#").strip()
    heading = re.sub(r"\*\*|__|`", "", heading)
    level = len(match["hashes"])
    if _ARTICLE_LABEL.match(heading):
        return _Marker(match.start(), match.start("heading"), heading, level, article=True)
    return _Marker(match.start(), match.end(), heading, level, _rank(heading))


def _rank(heading: str) -> int:
    unit = _UNIT.match(heading)
    if not unit:
        return _RANK_NONE
    return _RANKS.get(unit[1] or unit[2] or "chapter", _RANK_NONE)


def _spaceless_if_chinese(label: str) -> str:
    return re.sub(r"\s", "", label) if label.startswith("第") else label


_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")}
_DIGITS |= {"〇": 0, "两": 2}
_SCALES = {"十": 10, "百": 100, "千": 1000}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


@lru_cache(maxsize=4096)
def _number(label: str) -> float:
    """An article's number; 第五条之一 is a little over five."""
    main, _, extra = label.partition("之")
    return _integer(main) + (_integer(extra) / 1000 if extra else 0)


def _integer(label: str) -> int:
    if digits := re.search(r"\d+", label):
        return int(digits[0])
    if roman := re.search(r"\b[IVXLC]+$", label):
        values = [_ROMAN[letter] for letter in roman[0]]
        signed = [-a if a < b else a for a, b in pairwise([*values, 0])]
        return sum(signed)
    total = current = 0
    for character in label:
        if character in _SCALES:
            total += (current or 1) * _SCALES[character]
            current = 0
        else:
            current = _DIGITS.get(character, current)
    return total + current

"""What a title, a file name or a preamble says about a document's edition.

Titles are compared by `edition_key`, in which dates and edition words are left out and ordinals
such as （三） stay. Whether two documents are editions of one another is decided in `dedupe.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

_MEMORY = 1 << 16
"""Names remembered: each is looked at once for every document that it is compared with."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR = r"(?:19|20)\d\d"
_HAN_DIGIT = "〇○零一二三四五六七八九"
_HAN_YEAR = rf"[一二][九〇○零][{_HAN_DIGIT}]{{2}}"
_DATE = re.compile(
    rf"""(?<![\d.])(?:
      (?P<year>{_YEAR})\s*(?:年\s*(?:(?P<month>\d{{1,2}})\s*月\s*(?:(?P<day>\d{{1,2}})\s*[日号])?)?
        |[-./_](?P<month2>\d{{1,2}})(?:[-./_](?P<day2>\d{{1,2}}))?(?!\d)
        |(?P<month3>0[1-9]|1[0-2])(?P<day3>0[1-9]|[12]\d|3[01])?(?!\d))
     |(?P<year4>{_HAN_YEAR})年
        (?:(?P<month4>[一二三四五六七八九十]{{1,2}})月(?:(?P<day4>[一二三四五六七八九十]{{1,3}})日)?)?
     |\b(?:(?P<day5>\d{{1,2}})(?:st|nd|rd|th)?\s+)?(?P<month5>{_MONTH})\b[.,]?\s+
        (?:(?P<day6>\d{{1,2}})(?:st|nd|rd|th)?,?\s+)?(?P<year5>{_YEAR})(?!\d)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
# A year alone may be part of a product's name; it dates an edition only in brackets, beside a
# word that says so, or at the end.
_BARE_YEAR = re.compile(
    rf"\(\s*({_YEAR})(?=\D)|(?<!\d)({_YEAR})\s*(?:版|修[订正]|edition\b|revision\b)"
    rf"|(?:edition|revision|revised|rev\.)\s*({_YEAR})(?!\d)|(?<=[-_\s\u4e00-\u9fff])({_YEAR})$|^({_YEAR})$",
    re.IGNORECASE,
)

_HAN_NUMBER = "一二三四五六七八九十"
_NTH = r"first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
_EDITION_WORDS = re.compile(
    rf"""第\s*(?P<han>[{_HAN_NUMBER}\d]{{1,3}})\s*版
    |\b(?:(?P<nth>{_NTH})|(?P<th>\d{{1,2}})(?:st|nd|rd|th))\s+edition\b
    |(?:(?<=[\s_(-])|^)(?:v|ver\.?|version|rev\.?|revision|edition)[\s._-]*
        (?P<number>\d{{1,3}}(?:\.\d{{1,3}}){{0,2}})(?![\w.])
    |(?:修[订正]|更新|最新|打印|印刷)[版本]|\((?:修[订正]|最新)\)|副本
    |\b(?:revised|updated|new|print(?:able)?|current)\s+(?:edition|version)\b
    |\((?:revised|updated|copy)\)|[-_ ]copy$|\b(?:edition|revision|revised)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_AFTER_DATE = re.compile(
    r"(?<=\x00)\s*(?:年度|版本?|修[订正]|edition|version|revision)", re.IGNORECASE
)


@lru_cache(maxsize=_MEMORY)
def edition_key(title: str) -> str:
    """The title without dates, edition words, case, white space and punctuation.

    Equal keys mean "may be editions of one another". A title that is nothing but a date is its
    own key.
    """
    normal = unicodedata.normalize("NFKC", title).strip()
    bare = _AFTER_DATE.sub("", _BARE_YEAR.sub("\0", _DATE.sub("\0", normal)))
    return _letters(_EDITION_WORDS.sub(" ", bare)) or _letters(normal) or normal


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


@lru_cache(maxsize=_MEMORY)
def edition_number(title: str) -> tuple[int, ...]:
    """What 第二版, "third edition" or "v2.1" counts; empty where the title counts nothing."""
    numbers = [_counted(match) for match in _EDITION_WORDS.finditer(_normal(title))]
    return max(numbers, default=())


def _counted(match: re.Match[str]) -> tuple[int, ...]:
    if match["number"]:
        return tuple(int(part) for part in match["number"].split("."))
    if match["nth"]:
        return (_NTH.split("|").index(match["nth"].casefold()) + 1,)
    if counted := match["han"] or match["th"]:
        return (int(counted) if counted.isdecimal() else _han_integer(counted),)
    return ()


def edition_date(title: str, path: str, text: str) -> str:
    """The edition's date, ISO 8601 and as precise as it is given: `2025`, `2025-09`, `2025-09-30`.

    The title's counts; without one the file name's, then the latest that the beginning of the
    text gives for an edition, a revision or an enactment. Empty where nothing says.
    """
    return named_date(title, path) or text_date(text)


@lru_cache(maxsize=_MEMORY)
def named_date(title: str, path: str) -> str:
    """The date in the title, else in the file's name, else the nearest folder that is a date."""
    place = PurePosixPath(path)
    folders = [name for name in reversed(place.parent.parts) if _is_date(name)]
    for name in (title, place.stem, *folders[:1]):
        if found := max(_dates(_normal(name), bare_years=True), default=""):
            return found
    return ""


def _is_date(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_DATE, _BARE_YEAR))


_PREAMBLE, _CLOSING = 1500, 400
_ENACTED = re.compile(r"[^。\n]{0,90}?(?:通过|修订|修正|公布|发布|批准|印发|颁布)")
_IN_FORCE = re.compile(r"\s*起?\s*(?:正式)?(?:施行|实施|生效|执行)")
_STARTS = re.compile(r"(?:^|[\n\s(（,，;；]|根据|经|于)$")
_LABEL = re.compile(
    r"(?:edition|revision|revised|version|updated|issued|published|effective|released|date"
    r"|版本|版次|修订|更新|发布|编制|生效|日期|时间)\W{0,3}(?:of|on|date|from|日期|时间)?\W{0,4}$",
    re.IGNORECASE,
)
_LABEL_AFTER = re.compile(r"\s*(?:edition|revision|version|版|修[订正]|更新)", re.IGNORECASE)
_REPLACED = re.compile(
    r"(?:取代|代替|替代|替换|废止|replac\w+|supersed\w+)[^。.\n]{0,30}$", re.IGNORECASE
)


def text_date(text: str) -> str:
    """The latest date of enactment, revision or edition in the first lines, or empty.

    When a statute came into force counts only where nothing else is said; its last lines tell.
    """
    preamble = unicodedata.normalize("NFKC", text[:_PREAMBLE])
    preamble = re.split(r"\n[#\s]*第[一1]条", preamble, maxsplit=1)[0]
    dates = [(match, _iso(match)) for match in _DATE.finditer(preamble)]
    edition = [date for match, date in dates if _dates_edition(preamble, match)]
    return max(edition or _in_force(preamble, text), default="")


def _dates_edition(preamble: str, match: re.Match[str]) -> bool:
    before = preamble[max(0, match.start() - 60) : match.start()]
    if _REPLACED.search(before) or _IN_FORCE.match(preamble, match.end()):
        return False
    if _LABEL.search(before) or _LABEL_AFTER.match(preamble, match.end()):
        return True
    return bool(_STARTS.search(before) and _ENACTED.match(preamble, match.end()))


def _in_force(preamble: str, text: str) -> list[str]:
    end = unicodedata.normalize("NFKC", text[-_CLOSING:])
    return [
        _iso(match)
        for place in (preamble, end)
        for match in _DATE.finditer(place)
        if _IN_FORCE.match(place, match.end())
    ]


def _normal(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip()


def _dates(name: str, *, bare_years: bool) -> Iterator[str]:
    for match in _DATE.finditer(name):
        yield _iso(match)
    if bare_years:
        for match in _BARE_YEAR.finditer(name):
            yield next(year for year in match.groups() if year)


def _iso(match: re.Match[str]) -> str:
    """Year, month and day as far as they are there and can be true."""
    parts = {name: value for name, value in match.groupdict().items() if value}
    year = parts.get("year") or parts.get("year5") or _han_year(parts["year4"])
    month = _first(parts, "month", "month2", "month3", "month4", "month5")
    day = _first(parts, "day", "day2", "day3", "day4", "day5", "day6")
    if not 1 <= month <= 12:
        return year
    return f"{year}-{month:02}-{day:02}" if 1 <= day <= 31 else f"{year}-{month:02}"


def _first(parts: dict[str, str], *names: str) -> int:
    value = next((parts[name] for name in names if name in parts), "0")
    if value.isdecimal():
        return int(value)
    if value[:3].casefold() in _MONTHS:
        return _MONTHS.index(value[:3].casefold()) + 1
    return _han_integer(value)


def _han_year(digits: str) -> str:
    return "".join(str(max(0, _HAN_DIGIT.index(digit) - 2)) for digit in digits)


def _han_integer(number: str) -> int:
    """一 to 九十九; digits that are not Chinese are not looked at."""
    tens, ten, ones = number.rpartition("十")
    value = _HAN_NUMBER.index(ones) + 1 if ones in tuple(_HAN_NUMBER) else 0
    if not ten:
        return value
    return (_HAN_NUMBER.index(tens) + 1 if tens else 1) * 10 + value

"""Says whether a text is worth keeping, with the signals that it judged by.

The rules follow the Gopher, C4 and FineWeb families, but count characters where those count
words, so that Chinese is judged as English is. A user's own documents are no web crawl: a rule
drops only what nobody could quote from. Numbered lists, tables, statutes that repeat a sentence
in thirty articles and answers of one line are kept.
Equal or similar documents are the business of `dedupe.py`.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from pydantic import Field

from flywheel.collect.clean import decode_plane
from flywheel.records import Language, StageSettings


class QualitySettings(StageSettings):
    """When a document is dropped. Every dial at its loosest value switches its rule off."""

    min_chars: int = Field(default=8, ge=0)
    """Fewest letters and digits of a document; a Chinese character counts as two."""
    max_repeated: float = Field(default=0.8, ge=0, le=1)
    """Largest share of the text in lines that repeat earlier lines."""
    max_symbols: float = Field(default=0.5, ge=0, le=1)
    """Largest share of characters that are neither letters, digits nor punctuation."""
    max_garbage: float = Field(default=0.3, ge=0, le=1)
    """Largest share of undecodable characters, encoded data or wrongly decoded characters."""
    max_navigation: float = Field(default=0.6, ge=0, le=1)
    """Largest share of lines that are links of a web page's frame, such as "Home" or "登录"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """The signals of one text, and the reason to drop it, empty where it is kept."""

    signals: dict[str, float]
    reason: str


# From here on, a share says something; a note of three lines may well repeat one.
_FEWEST_LINES_THAT_REPEAT = 10
_FEWEST_CHARS_THAT_LOOP = 2000
# Prose compresses to 0.3 to 0.5 of its bytes and tables of figures to 0.1; one sentence said a
# hundred times to 0.02.
_LEAST_COMPRESSED_SHARE = 0.03
_FEWEST_NAVIGATION_LINES = 5
_FEWEST_CHARS_OF_A_SCRIPT = 40

_LONG_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{64,}")
_FEWEST_KINDS_OF_CHARS_IN_DATA = 12
# UTF-8 that was read as Latin-1 or Windows-1252, and what GBK makes of replacement characters.
_MOJIBAKE = re.compile(
    "[\u00c2-\u00f4][\u00a0-\u00bf\u0152-\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]{1,3}"
    "|锟斤拷|烫烫烫|屯屯屯"
)
_NAVIGATION = frozenset(
    """home|about|about us|contact|contact us|login|log in|sign in|sign up|register|subscribe|menu
    |search|sitemap|site map|privacy|privacy policy|terms|terms of use|terms of service|careers
    |news|blog|products|services|support|help|faq|cart|my account|share|print|next|previous
    |read more|more|cookie policy|copyright|follow us|facebook|twitter|linkedin|instagram
    |首页|主页|关于|关于我们|联系我们|登录|登陆|注册|搜索|网站地图|隐私政策|使用条款|招聘|新闻|博客|产品
    |服务|支持|帮助|帮助中心|购物车|我的账户|分享|打印|下一页|上一页|更多|查看更多|返回|导航|菜单|收藏本站
    |設為首頁|设为首页|加入收藏|聯絡我們|登入|註冊|搜尋|網站地圖|隱私權政策|回首頁|更多內容""".replace(
        "\n", ""
    )
    .replace("    ", "")
    .split("|")
)
_LINE_DECORATION = " \t-*•·|>»›#[]()"


def assess(text: str, language: Language, settings: QualitySettings) -> Quality:
    """Judges a cleaned text. The first rule that drops it gives the reason."""
    signals = _signals(text, language)
    return Quality(signals=signals, reason=_reason(signals, settings))


def _reason(signals: dict[str, float], settings: QualitySettings) -> str:
    rules = {
        "too short": signals["weighted_chars"] < settings.min_chars,
        "machine garbage": signals["garbage_share"] > settings.max_garbage,
        "symbol soup": signals["symbol_share"] > settings.max_symbols,
        "navigation": signals["navigation_share"] > settings.max_navigation,
        "repeated lines": signals["repeated_share"] > settings.max_repeated,
        "repeated text": settings.max_repeated < 1
        and signals["compressed_share"] < _LEAST_COMPRESSED_SHARE,
    }
    # A page of symbols has few letters too; what it is made of says more than that it is short.
    if rules["too short"] and (rules["machine garbage"] or rules["symbol soup"]):
        del rules["too short"]
    return next((reason for reason, applies in rules.items() if applies), "")


def _signals(text: str, language: Language) -> dict[str, float]:
    characters = Counter(text)
    classes = _count_classes(characters)
    num_chars = sum(classes.values())
    num_written = classes["letter"] + classes["han"] + classes["digit"]
    num_garbage = classes["broken"] + _num_encoded(text)
    if language in ("zh-hans", "zh-hant", "mixed"):
        num_garbage += _num_rare_han(characters)
    return {
        "num_chars": num_chars,
        "weighted_chars": num_written + classes["han"],
        "han_share": classes["han"] / (num_chars or 1),
        "symbol_share": classes["symbol"] / (num_chars or 1),
        "garbage_share": min(1.0, num_garbage / (num_chars or 1)),
        **_line_signals(text),
        "compressed_share": _compressed_share(text),
    }


def _count_classes(characters: Counter[str]) -> Counter[str]:
    """Visible characters by class: letter, han, digit, punctuation, symbol, broken."""
    classes: Counter[str] = Counter()
    for char, count in characters.items():
        classes[_class_of(char)] += count
    del classes["space"]
    return classes


@lru_cache(maxsize=20_000)
def _class_of(char: str) -> str:
    if "\u3400" <= char <= "\u9fff" or "\U00020000" <= char <= "\U0003ffff":
        return "han"
    if char in "|#*-_=+<>$%^~`·•℃°№":
        return "punctuation"  # Markdown, tables, formulas and units, not decoration
    if char == "\ufffd":
        return "broken"
    category = unicodedata.category(char)
    by_category = {"Nd": "digit", "Nl": "digit", "No": "digit", "Sm": "punctuation", "Co": "symbol"}
    by_major = {"L": "letter", "M": "letter", "P": "punctuation", "S": "symbol", "Z": "space"}
    if char in "\n\t":
        return "space"
    return by_category.get(category) or by_major.get(category[0], "broken")


def _num_encoded(text: str) -> int:
    """Characters of encoded data, such as base64, and of wrongly decoded text."""
    data = sum(len(token[0]) for token in _LONG_TOKEN.finditer(text) if _is_data(token))
    return data + sum(map(len, _MOJIBAKE.findall(text)))


def _is_data(token: re.Match[str]) -> bool:
    """Whether a long token stands by itself, and is neither a drawn line nor part of a link."""
    before = token.string[token.start() - 1 : token.start()]
    stands_alone = before in ("", '"', "'") or not "!" <= before <= "~"
    return stands_alone and len(set(token[0])) > _FEWEST_KINDS_OF_CHARS_IN_DATA


def _num_rare_han(characters: Counter[str]) -> int:
    """Han characters that hardly occur in running text, as in UTF-8 read as GBK: 鐨勬槸.

    0 for short texts, since a name alone may be rare.
    """
    common = _common_han()
    han = {char: count for char, count in characters.items() if "\u3400" <= char <= "\u9fff"}
    if sum(han.values()) < _FEWEST_CHARS_OF_A_SCRIPT:
        return 0
    return sum(count for char, count in han.items() if char not in common)


@lru_cache(maxsize=1)
def _common_han() -> frozenset[str]:
    """The first plane of GB 2312 (3,755 characters) and the frequent one of Big5 (5,401)."""
    return frozenset(
        decode_plane("gb2312", range(0xB0, 0xD8)) + decode_plane("big5", range(0xA4, 0xC7))
    )


def _line_signals(text: str) -> dict[str, float]:
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line]
    num_chars = sum(map(len, lines)) or 1
    distinct = sum(map(len, set(lines)))
    links = sum(line.strip(_LINE_DECORATION).lower() in _NAVIGATION for line in lines)
    return {
        "num_lines": len(lines),
        "repeated_share": 1 - distinct / num_chars
        if len(lines) >= _FEWEST_LINES_THAT_REPEAT
        else 0.0,
        "navigation_share": links / len(lines) if links >= _FEWEST_NAVIGATION_LINES else 0.0,
    }


def _compressed_share(text: str) -> float:
    """What remains of the first 20,000 characters when compressed; 1 for short texts."""
    if len(text) < _FEWEST_CHARS_THAT_LOOP:
        return 1.0
    data = text[:20_000].encode("utf-8", errors="replace")
    return len(zlib.compress(data, 1)) / len(data)

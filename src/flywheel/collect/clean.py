"""Brings extracted text into its normal form, and tells its language.

The document's own words and punctuation stay as they are, since quotes must be verbatim: the
normal form is NFC, never NFKC. What goes is what no reader sees (control characters, odd
spaces) and what no author wrote (cookie banners, page numbers, running headers).
Judging whether the text is worth keeping is the task of `quality.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

from flywheel.records import Language

# Soft hyphen, zero-width space, word joiner, byte order mark, bidirectional marks, object
# replacement, lone surrogates (no UTF-8 holds them), tag characters (text that a model would
# read and a person would not see). The joiners U+200C and U+200D stay: scripts need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufffc\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]+"
)
_LINE_END = re.compile("\r\n?|[\x0b\x85\u2028\u2029]")
_ODD_SPACE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_ODD_INDENT = re.compile(f"(?m)^[ \t]*{_ODD_SPACE.pattern}[ \t{_ODD_SPACE.pattern[1:]}*")
# What a PDF's fonts write in place of plain letters: typographic ligatures and radicals.
_GLYPH = re.compile("[\ufb00-\ufb06\u2e80-\u2fd5]")

_FENCE = re.compile(r"(?m)^[ \t]*(?:```|~~~).*$")
# Deeper indentation than this is page layout; code and lists seldom go there.
_DEEP_INDENT = re.compile(r"(?m)^[ \t]{12,}(?=\S)")
_INNER_SPACES = re.compile(r"(?<=\S)(?: {2,}|[ ]*\t[ \t]*)(?=\S)")
_TRAILING_SPACE = re.compile(r"(?m)[ \t]+$")
_BLANK_LINES = re.compile(r"\n{3,}")

_COMMENT_LINE = re.compile(r"(?m)^[ \t]*<!--.*-->$")
_PAGE_NUMBER_LINE = re.compile(
    r"""(?mix)^[ \t]*(?:
      [-–—][ ]?\d{1,4}[ ]?[-–—]
    | page[ ]\d{1,4}(?:[ ]?(?:of|/)[ ]?\d{1,4})?
    | 第[ ]?\d{1,4}[ ]?页(?:[ ,，/／]{0,3}[共总][ ]?\d{1,4}[ ]?页)?
    | 共[ ]?\d{1,4}[ ]?页[ ,，/／]{0,3}第[ ]?\d{1,4}[ ]?页
    )$"""
)
_WEB_LINE = re.compile(
    r"""(?mix)^[ \t]*(?:[-*•][ ])?\[?(?:
      (?:skip|jump)[ ]to[ ](?:the[ ])?(?:main[ ])?(?:content|navigation)
    | (?:back|return)[ ]to[ ](?:the[ ])?top(?:[ ]of[ ](?:the[ ])?page)?
    | toggle[ ](?:navigation|menu|sidebar)
    | (?:please[ ])?enable[ ]javascript[^\n]{0,80}
    | share[ ](?:this[ ](?:page|article)[ ])?(?:on|via)[ ](?:facebook|twitter|x|linkedin|e-?mail)
    | print[ ]this[ ](?:page|article)
    | 跳(?:转|过|至|到)+(?:主要|正文)?(?:内容|正文|导航|搜索)
    | (?:返回|回到)(?:页面)?(?:顶部|页首)
    | 【?(?:打印本页|关闭窗口)】?
    | 分享(?:到|至)[:：]?(?:[ ]?(?:微信|微博|朋友圈|QQ空间|QQ好友))*
    )\]?(?:\(\#[\w-]*\))?$"""
)
_COOKIE_LINE = re.compile(
    r"""(?mix)^(?=[^\n]*(?:accept|agree|consent|reject|decline|preferences|settings|同意|接受|拒绝))
    (?:we[ ](?:and[ ]our|use|value)|th(?:is|e)[ ](?:web[ ]?)?site|by[ ](?:continuing|using|clicking)
      |accept|reject|decline|manage|allow|cookie|本(?:网站|站|页面)|我们使用|继续(?:使用|浏览)|接受|拒绝)
    (?=[^\n]{0,200}cookie|(?<=cookie))[^\n]{0,300}$"""
)
# A text that mentions cookies more often is about them, and keeps every line.
_MOST_COOKIES_IN_A_BANNER = 6

_PAGE_EDGE_NUMBER = re.compile(r"^\W*(\d{1,4})\b|\b(\d{1,4})\W*$")
_SENTENCE_END = (".", "!", "?", ":", ";", "。", "！", "？", "：", "；", "”", "」", "）", "…")


def clean(text: str) -> str:
    """The normal form of a text; cleaning it again changes nothing."""
    text = _normal_characters(text)
    text = "".join(
        _TRAILING_SPACE.sub("", part) if fenced else _clean_prose(part)
        for part, fenced in _parts_by_fence(text)
    )
    text = _without_cookie_banner(_without_running_lines(text))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def _normal_characters(text: str) -> str:
    text = _LINE_END.sub("\n", text).replace("\f", "\n\f\n")
    text = _INVISIBLE.sub("", text)
    text = _GLYPH.sub(lambda glyph: unicodedata.normalize("NFKC", glyph[0]), text)
    text = unicodedata.normalize("NFC", text)
    return _ODD_SPACE.sub(" ", _ODD_INDENT.sub("", text))


def _parts_by_fence(text: str) -> list[tuple[str, bool]]:
    """Alternating prose and fenced code; a last fence that nothing closes is prose."""
    fences = [fence.span() for fence in _FENCE.finditer(text)]
    parts, position = [], 0
    for (start, _), (_, end) in zip(fences[::2], fences[1::2], strict=False):
        parts += [(text[position:start], False), (text[start:end], True)]
        position = end
    return [*parts, (text[position:], False)]


def _clean_prose(text: str) -> str:
    text = _TRAILING_SPACE.sub("", text)
    text = _DEEP_INDENT.sub("", text)
    text = _INNER_SPACES.sub(" ", text)
    text = _COMMENT_LINE.sub("", text)
    text = _WEB_LINE.sub("", text)
    return _PAGE_NUMBER_LINE.sub("\f", text)


def _without_cookie_banner(text: str) -> str:
    is_banner = 0 < text.lower().count("cookie") <= _MOST_COOKIES_IN_A_BANNER
    return _COOKIE_LINE.sub("", text) if is_banner else text


def _without_running_lines(text: str) -> str:
    """Joins pages, without the headers and footers that most of them share.

    A page ends at a form feed or at a page number. Only the first and last line of a page can
    be a running line: statutes and forms repeat whole sentences within their text.
    """
    pages = [page.strip("\n") for page in text.split("\f")]
    if len(pages) == 1:
        return text
    pages = _drop_shared_edges(_drop_shared_edges(pages))
    joined = ""
    for page in filter(None, pages):
        gap = "\n\n" if joined.endswith(_SENTENCE_END) else "\n"
        joined = f"{joined}{gap}{page}" if joined else page
    return joined


def _drop_shared_edges(pages: list[str]) -> list[str]:
    counts = Counter(
        key for index, page in enumerate(pages) for key in set(_edge_keys(page, index))
    )
    running = {key for key, count in counts.items() if count >= max(3, len(pages) / 2)}
    # The first page keeps a header in words, which may be the only place of the title.
    spared = {key for key in running if _PAGE_NUMBER_MARK not in key}
    kept = []
    for index, page in enumerate(pages):
        first, last = _edge_keys(page, index)
        lines = page.split("\n")
        if last in running - spared:
            lines.pop()
        if first in running - spared and lines:
            lines.pop(0)
        spared -= {first, last}
        kept.append("\n".join(lines).strip("\n"))
    return kept


_PAGE_NUMBER_MARK = "\0"


def _edge_keys(page: str, index: int) -> tuple[str, str]:
    """What the first and the last line have in common with those of other pages.

    A number at the edge counts as its distance from the page's own: only page numbers agree.
    """
    first, last = page.split("\n", 1)[0], page.rsplit("\n", 1)[-1]
    return f"first {_edge_key(first, index)}", f"last {_edge_key(last, index)}"


def _edge_key(line: str, index: int) -> str:
    if not line or line.lstrip().startswith(("#", "|", "```", "~~~")):
        return f"page {index}"
    return _PAGE_EDGE_NUMBER.sub(
        lambda number: f"{_PAGE_NUMBER_MARK}{int(number[1] or number[2]) - index}", line
    )


# Language

_NUM_SAMPLES = 6
_SAMPLE_CHARS = 500
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA_OR_HANGUL = re.compile("[\u3041-\u30ff\u1100-\u11ff\uac00-\ud7af]")
_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]{2,}")
_OTHER_WORD = re.compile("[\u0370-\u1cff\ua000-\uabff\ufb1d-\ufdff\ufe70-\ufeff]+")
_HAN_PER_WORD = 1.7
"""Han characters that say as much as one English word, so that both can be compared."""
_DOMINANT = 0.65
"""Share of the words from which a text has one language; below, it is mixed."""
_ENGLISH_FUNCTION_WORD = re.compile(
    r"(?i)\b(?:the|and|of|to|is|are|was|what|how|where|when|which|with|for|that|this|from|you|your"
    r"|my|can|should|does|not|be|it|on|if)\b"
)
_SURE = 0.6
"""Probability from which a text in Latin letters is taken for another language than English."""


def detect_language(text: str) -> Language:
    """The language of a text, from samples spread over it.

    Script decides first; only Latin letters need a statistical model, and only where English
    function words do not settle it. A text without letters is `other`.
    """
    sample = _sample(text)
    num_han = len(_HAN.findall(sample))
    num_kana_or_hangul = len(_KANA_OR_HANGUL.findall(sample))
    chinese, other = num_han / _HAN_PER_WORD, float(len(_OTHER_WORD.findall(sample)))
    if num_kana_or_hangul > 0.1 * (num_han + num_kana_or_hangul):
        chinese, other = 0.0, other + (num_han + num_kana_or_hangul) / _HAN_PER_WORD
    latin = _num_words_of_latin_prose(sample) if num_han else len(_LATIN_WORD.findall(sample))
    words = chinese + latin + other
    if not words or other / words > _DOMINANT:
        return "other"
    if chinese / words > _DOMINANT:
        return _script_of_han(sample)
    return _language_of_latin(sample) if latin / words > _DOMINANT else "mixed"


def _num_words_of_latin_prose(text: str) -> int:
    """Latin words, but names and code that stand in Chinese sentences do not count."""
    num_function_words = len(_ENGLISH_FUNCTION_WORD.findall(text))
    return min(len(_LATIN_WORD.findall(text)), 5 * num_function_words)


def _sample(text: str) -> str:
    if len(text) <= _NUM_SAMPLES * _SAMPLE_CHARS:
        return text
    step = (len(text) - _SAMPLE_CHARS) / (_NUM_SAMPLES - 1)
    starts = [round(number * step) for number in range(_NUM_SAMPLES)]
    return "\n".join(text[start : start + _SAMPLE_CHARS] for start in starts)


def _script_of_han(text: str) -> Language:
    """Simplified, traditional, or Japanese that happens to hold no kana (then `other`)."""
    scripts = _distinguishing_characters()
    han = Counter(_HAN.findall(text))

    def num_in(script: frozenset[str]) -> int:
        return sum(count for char, count in han.items() if char in script)

    if num_in(scripts.japanese) > 0.02 * han.total():
        return "other"
    is_traditional = num_in(scripts.traditional) > num_in(scripts.simplified)
    return "zh-hant" if is_traditional else "zh-hans"


class _Scripts(NamedTuple):
    """Han characters that only one of the scripts writes."""

    simplified: frozenset[str]
    traditional: frozenset[str]
    japanese: frozenset[str]


@lru_cache(maxsize=1)
def _distinguishing_characters() -> _Scripts:
    """What the national standards tell: GB 2312 has no traditional forms, Big5 no simplified ones.

    Of Big5 and JIS X 0208 the frequent plane is enough.
    """
    gb2312 = frozenset(decode_plane("gb2312", range(0xB0, 0xF8)))
    big5 = frozenset(decode_plane("big5", range(0xA4, 0xFA)))
    frequent_big5 = frozenset(decode_plane("big5", range(0xA4, 0xC7)))
    frequent_jis = frozenset(decode_plane("euc_jp", range(0xB0, 0xD0)))
    return _Scripts(gb2312 - big5, frequent_big5 - gb2312, frequent_jis - gb2312 - big5)


def decode_plane(encoding: str, lead_bytes: range) -> str:
    """Every character that a two-byte encoding has under these lead bytes."""
    pairs = (bytes((lead, trail)) for lead in lead_bytes for trail in range(0x40, 0xFF))
    return "".join(pair.decode(encoding, errors="ignore") for pair in pairs)


def _language_of_latin(text: str) -> Language:
    function_words = [word.lower() for word in _ENGLISH_FUNCTION_WORD.findall(text)]
    is_prose = len(function_words) >= 0.15 * len(_LATIN_WORD.findall(text))
    if is_prose and len(set(function_words)) >= 2:
        return "en"
    language, probability = _identifier().classify(text)
    return "other" if language != "en" and probability > _SURE else "en"


@lru_cache(maxsize=1)
def _identifier() -> Any:
    # Loading takes 0.9 s; most texts never need it.
    from py3langid.langid import (
        MODEL_FILE,
        LanguageIdentifier,
    )

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

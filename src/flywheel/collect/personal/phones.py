"""Finds telephone numbers, by their form, the words beside them and the numbering plans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from flywheel.collect.personal.kinds import Span, text_before

_PHONE = re.compile(
    r"(?<![0-9A-Za-z_/#$€£¥=%+~@^*\\-])(?<!\d[.,: ])(?:\+ ?)?\(?\d(?:[ .()-]{0,3}\d){6,15}"
    r"(?:(?: ?(?:x|ext\.?|转) ?)\d{1,5})?(?![0-9A-Za-z_%/\\=]|[.,:+*^-]\d| ?[年月日号條条款元万亿])"
)
_PHONE_WORD = re.compile(
    r"(?ai)\b(?:phones?|telephone|tel|mobile|cell|fax|call(?:ed|ing)?|dial|hotline|whatsapp|sms"
    r"|text me|messages to|answering at|reach(?:ed)?|contact)\b"
    r"|\b(?:desk|office|home|work) ?[:：]"
    r"|电话|手机|联系|传真|热线|致电|拨打|来电|短信|電話|手機|聯絡|傳真|撥打"
)
_PHONE_WORD_AFTER = re.compile(r"(?ai)^[ ,(-]{0,2}(?:phone|mobile|cell|fax|office|desk|home)\b")
_OTHER_NUMBER_WORD = re.compile(
    r"(?ai)(?:\b(?:isbn|issn|bugs?|no|nr|number|id|version|serial|order|invoice|account|code|rfc|doi)"
    r"|编号|证号|案号|账号|帐号|卡号|订单号?|版本|序列号|文号)[.:： #(-]*$"
)
_DATE_OR_YEARS = re.compile(
    r"(?:19|20)\d\d([-./ ]?)(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?:\D.*|\d{4,6})?$"
    r"|(?:0?[1-9]|[12]\d|3[01])([-./])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d\d$"
    r"|(?:1[5-9]|20)\d\d ?- ?(?:1[5-9]|20)\d\d$"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:([., ])\d{3})(?:\1\d{3})*$")
_RANGE_OR_SUM = re.compile(r"\d+ - \d+$|.*[ (-]{3}|.*\)\.")
_NATIONAL = {
    "CN": re.compile(
        r"1[3-9]\d([ -]?)\d{4}\1\d{4}$|\(?0\d{2,3}[) -]{1,2}\d{7,8}$|[48]00-\d{3,4}-?\d{3,4}$"
    ),
    "US": re.compile(
        r"(?:1[ .-])?(?:\(\d{3}\) ?\d{3}-|\d{3}([.-])\d{3}\1)\d{4}(?: ?(?:x|ext\.?) ?\d+)?$"
    ),
    "GB": re.compile(r"\(?0\d{2,4}\)? \d{3,4} ?\d{3,4}$"),
}


def phones(text: str) -> Iterator[Span]:
    """Telephone numbers."""
    return (match.span() for match in _PHONE.finditer(text) if _is_phone(match))


def _is_phone(match: re.Match[str]) -> bool:
    number, before = match[0], text_before(match, 30)
    if _DATE_OR_YEARS.match(number) or _RANGE_OR_SUM.match(number):
        return False
    if number.count("(") != number.count(")") or _OTHER_NUMBER_WORD.search(before):
        return False
    if number.startswith("+"):
        return _is_possible_abroad(number)
    after = match.string[match.end() : match.end() + 12]
    if _PHONE_WORD.search(before) or _PHONE_WORD_AFTER.search(after):
        return _looks_dialled(number)
    if _THOUSANDS.match(number):
        return False
    return any(
        shape.match(number) and _is_valid(number, region) for region, shape in _NATIONAL.items()
    )


def _looks_dialled(number: str) -> bool:
    """Whether a number beside a word about phones can be one: 7 to 13 digits, in groups of 2+."""
    main = re.split(r" ?(?:x|ext\.?|转)", number)[0]
    groups = re.findall(r"\d+", main)
    num_digits = sum(map(len, groups))
    short = [group for group in groups[1:] if len(group) < 2]
    return 7 <= num_digits <= 13 and not short and not main.startswith("0000")


@lru_cache(maxsize=4096)
def _is_possible_abroad(number: str) -> bool:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(parsed)


@lru_cache(maxsize=4096)
def _is_valid(number: str, region: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False

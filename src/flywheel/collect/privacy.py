"""Finds personal data in a text, and masks it where the owner asks.

Only what has a form of its own is found: addresses, numbers with a checksum or a numbering
plan. Names of persons and streets are not, since telling them takes a model.

Precedence: where findings overlap, the kind that comes first in `KINDS` keeps the characters.
A link thus covers the email address inside it; who masks emails but not links asks `find` for
emails only, and gets it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal, get_args

from flywheel.records import StageSettings

PersonalKind = Literal["url", "email", "iban", "resident_id", "card", "ssn", "mac", "ip", "phone"]
KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)


class PrivacySettings(StageSettings):
    """What happens to personal data in documents; it is always counted and reported."""

    mask_documents: tuple[PersonalKind, ...] = ()
    """Kinds to replace before indexing, so that no answer shows them: url, email, iban,
    resident_id, card, ssn, mac, ip, phone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One piece of personal data, at the code points [start, end) of the text."""

    kind: PersonalKind
    start: int
    end: int


def find(text: str, kinds: Iterable[PersonalKind] = KINDS) -> tuple[Finding, ...]:
    """Personal data of these kinds, in order, none overlapping.

    Looks again at what `mask` would leave until nothing is found there, because a number may
    come to stand free once its neighbour is masked.
    """
    wanted = frozenset(kinds)
    findings = _find_once(text, wanted)
    latest = findings
    while latest:
        masked, positions = _masked_with_positions(text, findings)
        latest = [
            Finding(
                kind=found.kind,
                start=positions.original(found.start),
                end=positions.original(found.end - 1) + 1,
            )
            for found in _find_once(masked, wanted)
        ]
        findings = sorted([*findings, *latest], key=lambda found: found.start)
    return tuple(findings)


def mask(text: str, findings: Iterable[Finding]) -> str:
    """The text with each finding replaced by its kind, as in `[EMAIL]`."""
    return _masked_with_positions(text, findings)[0]


@dataclass(frozen=True, slots=True)
class _Positions:
    """Leads from a masked text back to its original."""

    starts: list[int]
    """Where each stretch that was not masked begins in the masked text."""
    shifts: list[int]

    def original(self, position: int) -> int:
        return position + self.shifts[bisect_right(self.starts, position) - 1]


def _masked_with_positions(text: str, findings: Iterable[Finding]) -> tuple[str, _Positions]:
    parts: list[str] = []
    length, end = 0, 0
    positions = _Positions([0], [0])
    for found in findings:
        parts += [text[end : found.start], f"[{found.kind.upper()}]"]
        length += len(parts[-2]) + len(parts[-1])
        end = found.end
        positions.starts.append(length)
        positions.shifts.append(end - length)
    return "".join([*parts, text[end:]]), positions


Span = tuple[int, int]

# Full-width forms are read as their ASCII twins; both are one code point, so spans hold.
_FULL_WIDTH = re.compile("[０-９＋－（）．：＠Ａ-Ｚａ-ｚ]")
_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x2011: 0x2D}


def _find_once(text: str, wanted: frozenset[PersonalKind]) -> list[Finding]:
    if _FULL_WIDTH.search(text):
        text = text.translate(_TO_ASCII)
    taken: list[Finding] = []
    for kind in KINDS:
        if kind in wanted and (kind not in _LONG_NUMBERS or _LONG_NUMBER.search(text)):
            spans = _FINDERS[kind](text)
            taken += [
                Finding(kind=kind, start=start, end=end) for start, end in _free(spans, taken)
            ]
            taken.sort(key=lambda found: found.start)
    return taken


# Most documents hold no number of seven digits, and skip the four slowest searches at this price.
_LONG_NUMBER = re.compile(r"[0-9](?:[ .()-]{0,3}[0-9]){6}")
_LONG_NUMBERS: frozenset[PersonalKind] = frozenset(("resident_id", "card", "ssn", "phone"))


def _free(spans: Iterable[Span], taken: list[Finding]) -> Iterator[Span]:
    """The spans that overlap nothing taken, nor an earlier one of theirs; `taken` is in order."""
    starts = [found.start for found in taken]
    latest_end = 0
    for start, end in sorted(spans):
        before = bisect_left(starts, end) - 1
        if start >= latest_end and (before < 0 or taken[before].end <= start):
            yield start, end
            latest_end = end


# Links and addresses

_URL = re.compile(
    r"(?ai)\b(?:https?|ftps?|sftp)://[!#-;=?-Z_a-z~]+|\bwww\.[a-z0-9-]+\.[!#-;=?-Z_a-z~]+"
)
_AT_DOMAIN = re.compile(
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_LOCAL_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?\Z")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")


def _urls(text: str) -> Iterator[Span]:
    if "://" not in text and "www." not in text.lower():
        return
    for match in _URL.finditer(text):
        link = match[0].rstrip(".,;:!?'*_~")
        # A closing bracket belongs to the link only where the link opened it.
        while link.endswith(")") and link.count(")") > link.count("("):
            link = link[:-1].rstrip(".,;:!?'*_~")
        yield match.start(), match.start() + len(link)


def _emails(text: str) -> Iterator[Span]:
    if "@" not in text:
        return
    for match in _AT_DOMAIN.finditer(text):
        at = match.start()
        local = _LOCAL_PART.search(text[max(0, at - 64) : at])
        if local and not match[0].lower().endswith(_IMAGE_SUFFIXES):
            yield at - len(local[0]), match.end()


_MAC = re.compile(
    r"[0-9A-Fa-f](?<![0-9A-Za-z].)(?<![0-9A-Fa-f][:.-].)[0-9A-Fa-f]([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
    r"(?![0-9A-Za-z]|[:-][0-9A-Fa-f])"
)
_IPV4 = re.compile(
    r"[0-9](?<![0-9A-Za-z_].)(?<!\d[.,-].)\d{0,2}(?:\.\d{1,3}){3}(?![0-9A-Za-z_]|[.-]\d)"
)
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]{0,38}(?:(?:\.\d{1,3}){3})?"
    r"(?<!(?<!:):)(?![0-9A-Za-z_]|:[0-9A-Fa-f:])"
)
_NETWORK_WORD = re.compile(
    r"(?ai)\b(?:ip|ipv4|address|host|server|dns|gateway|proxy|ping|router|client|netmask|subnet)\b"
    r"|地址|网关|服务器|主机|子网"
)
_VERSION_BEFORE = re.compile(
    r"(?ai)(?:\b(?:version|ver|release|section|chapter|figure|table|clause|v)\.?"
    r"|§|第|版本|章|节|图|表)[ :：]?$"
)


def _macs(text: str) -> Iterator[Span]:
    return (match.span() for match in _MAC.finditer(text))


def _ips(text: str) -> Iterator[Span]:
    for match in _IPV4.finditer(text):
        if _is_address(match[0]) and not _is_section_number(match):
            yield match.span()
    if "::" in text or text.count(":") >= 7:
        for match in _IPV6.finditer(text):
            if _is_address(match[0]) and not _is_scope_operator(match[0]):
                yield match.span()


def _is_address(candidate: str) -> bool:
    try:
        ip_address(candidate)
    except ValueError:
        return False
    return True


def _is_section_number(match: re.Match[str]) -> bool:
    """Whether `4.2.1.1` heads a section or names a version, rather than a machine."""
    before = _before(match, 40)
    if _VERSION_BEFORE.search(before):
        return True
    octets = [int(octet) for octet in match[0].split(".")]
    is_private = octets[0] in (10, 127) and octets[1] == 0
    return max(octets) < 26 and not is_private and not _NETWORK_WORD.search(before)


def _is_scope_operator(candidate: str) -> bool:
    """Whether `::` or `a::b` may be a name in code; the prefix of a link's own addresses is not."""
    num_groups = sum(map(bool, re.split("[:.]", candidate)))
    return num_groups < 3 and not (num_groups == 2 and candidate[:4].lower() in ("fe80", "ff02"))


# Numbers with a checksum

_IBAN = re.compile(
    r"[A-Za-z](?<![0-9A-Za-z].)[A-Za-z]\d{2}(?: ?[0-9A-Za-z]{4}){2,7}(?: ?[0-9A-Za-z]{1,3})?"
)
_RESIDENT_ID = re.compile(r"(?<![0-9A-Za-z])[1-8]\d{5}(?:18|19|20)\d{9}[0-9Xx](?![0-9A-Za-z])")
_RESIDENT_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PROVINCE = re.compile("1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")
_SSN = re.compile(
    r"(?<![0-9A-Za-z])(?<!\d-)(?!000|666|9)\d{3}([ -]?)(?!00)\d{2}\1(?!0000)\d{4}"
    r"(?![0-9A-Za-z]|-\d)"
)
_SSN_WORD = re.compile(r"(?ai)\bssn\b|social security")
_CARD = re.compile(
    r"(?<![0-9A-Za-z])(?<!\d[.,-])(?:\d{12,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?"
    r"|\d{4}([ -])\d{6}\2\d{4,5})(?![0-9A-Za-z]|[.-]\d)"
)
_CARD_WORD = re.compile(r"(?ai)\b(?:card|credit|debit|cc|visa|maestro|amex)\b|卡")
_CARD_PREFIX = re.compile(
    r"""(?x)
      4\d{15}(?:\d{3})?$                                               # Visa
    | (?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}$ # Mastercard
    | 3[47]\d{13}$                                                     # American Express
    | 3(?:0[0-5]|[689]\d)\d{11}$                                       # Diners Club
    | (?:6011|65\d\d|64[4-9]\d)\d{12}(?:\d{3})?$                       # Discover
    | 62\d{14,17}$                                                     # UnionPay
    | 35(?:2[89]|[3-8]\d)\d{12}$                                       # JCB
    """
)
# Short or retired forms, which serial numbers share: only beside a word such as "card".
_CARD_PREFIX_WITH_WORD = re.compile(
    r"4\d{12}$|(?:50|5[6-8]|6|0604)\d{8,17}$|(?:2131|1800)\d{11}$|35\d{14}$"
)


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        # The pattern may have run on into the next words: try every end of a word.
        ends = [word.end() for word in re.finditer(r"[0-9A-Za-z]+", match[0])]
        whole_words = [
            end for end in reversed(ends) if not text[match.start() + end :][:1].isalnum()
        ]
        for end in whole_words:
            if _is_iban(match[0][:end]):
                yield match.start(), match.start() + end
                break


def _is_iban(candidate: str) -> bool:
    compact = candidate.replace(" ", "").upper()
    if not 15 <= len(compact) <= 34:
        return False
    if int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 != 1:
        return False
    from stdnum import iban  # checks the country's own form

    return iban.is_valid(compact)


def _resident_ids(text: str) -> Iterator[Span]:
    return (match.span() for match in _RESIDENT_ID.finditer(text) if is_resident_id(match[0]))


def is_resident_id(number: str) -> bool:
    """Whether 18 characters are a Chinese resident id (GB 11643: province, birth, check)."""
    if not _RESIDENT_ID.fullmatch(number):
        return False
    if not _PROVINCE.match(number) or not _is_date(number[6:14]):
        return False
    weighted = zip(number[:17], _RESIDENT_ID_WEIGHTS, strict=True)
    remainder = sum(int(digit) * weight for digit, weight in weighted) % 11
    return number[17].upper() == "10X98765432"[remainder]


def _is_date(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return False
    return True


def _ssns(text: str) -> Iterator[Span]:
    for match in _SSN.finditer(text):
        if match[1] == "-" or _SSN_WORD.search(_before(match, 40)):
            yield match.span()


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = re.sub("[ -]", "", match[0])
        if not is_luhn(digits):
            continue
        if _CARD_PREFIX.match(digits) or (
            _CARD_PREFIX_WITH_WORD.match(digits) and _CARD_WORD.search(_before(match, 40))
        ):
            yield match.span()


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812, annex B)."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    plain = [int(digit) for digit in digits[::-2]]
    return (sum(plain) + sum(value - 9 if value > 9 else value for value in doubled)) % 10 == 0


def _before(match: re.Match[str], num_chars: int) -> str:
    """What stands before, without the names of masks: `[PHONE]` is no word about a phone."""
    before = match.string[max(0, match.start() - num_chars) : match.start()]
    return _MASK_NAME.sub("", before)


_MASK_NAME = re.compile(rf"(?:\[|\A)[A-Z_]*\b(?:{'|'.join(KINDS).upper()})\]")


# Phones

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


def _phones(text: str) -> Iterator[Span]:
    return (match.span() for match in _PHONE.finditer(text) if _is_phone(match))


def _is_phone(match: re.Match[str]) -> bool:
    number, before = match[0], _before(match, 30)
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


_FINDERS: dict[PersonalKind, Callable[[str], Iterator[Span]]] = {
    "url": _urls,
    "email": _emails,
    "iban": _ibans,
    "resident_id": _resident_ids,
    "card": _cards,
    "ssn": _ssns,
    "mac": _macs,
    "ip": _ips,
    "phone": _phones,
}

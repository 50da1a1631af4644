"""Finds numbers that name a person or an account, by their form and checksum."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from flywheel.collect.personal.kinds import Span, text_before

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


def ibans(text: str) -> Iterator[Span]:
    """IBANs."""
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


def resident_ids(text: str) -> Iterator[Span]:
    """Chinese resident ids."""
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


def ssns(text: str) -> Iterator[Span]:
    """Social security numbers of the United States."""
    for match in _SSN.finditer(text):
        if match[1] == "-" or _SSN_WORD.search(text_before(match, 40)):
            yield match.span()


def cards(text: str) -> Iterator[Span]:
    """Numbers of payment cards."""
    for match in _CARD.finditer(text):
        digits = re.sub("[ -]", "", match[0])
        if not is_luhn(digits):
            continue
        if _CARD_PREFIX.match(digits) or (
            _CARD_PREFIX_WITH_WORD.match(digits) and _CARD_WORD.search(text_before(match, 40))
        ):
            yield match.span()


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812, annex B)."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    plain = [int(digit) for digit in digits[::-2]]
    return (sum(plain) + sum(value - 9 if value > 9 else value for value in doubled)) % 10 == 0

"""The normal form of a text: what its look-alikes, tricks of spacing and other scripts share.

    Kіⅼl, ｋｉｌｌ, k\u200bill, KÍLL → kill        殺 → 杀        zero-width characters → nothing

Each character stands for itself, whatever is around it, so that a place in the normal form leads
back to the text. Digits and signs that stand for letters (k1ll, a$$) are left, since they may be
meant: `keys` reads them both ways. Not here: what is looked for (words.py).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flywheel.search.terms import HAN

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers: TypeAlias = npt.NDArray[np.int64]
    Codes: TypeAlias = npt.NDArray[np.uint32]

UNSPACED = rf"{HAN}\u3040-\u30ff\u31f0-\u31ff\u3100-\u312f\u31a0-\u31bf\uac00-\ud7af"
"""Scripts that are searched without regard to the edges of words, as the inside of a regular
expression's brackets: Chinese, Japanese, bopomofo, Korean."""

AS_LETTERS = {
    "0": "o",
    "1": "i",
    "2": "z",
    "3": "e",
    "4": "a",
    "5": "s",
    "6": "g",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "i",
    "|": "i",
    "+": "t",
    "€": "e",
    "£": "l",
}
"""What digits and signs are written for."""

EITHER = "I"
"""The capital i stays one, since many fonts draw it as an l."""

_MOST_KNOWN = 1 << 16
"""So many characters are remembered: a text of all that Unicode has is not to fill the memory."""

# Look-alikes of Latin letters that no normalisation joins, as drawn by common fonts. A capital
# stands here only where its small letter looks like another one.
_LOOK_ALIKES = """
a ɑαаᴀ  b ʙвβьЬƀɓ  c ᴄсϲƈ  d ᴅԁđɗð  e ᴇеєεəɛ℮  f ꜰƒ  g ɡɢɠց  h ʜһнհħɦ  i ɪіıιɩ  I ӏІΙǀ∣  j ᴊјʝ
k ᴋкκƙ  l ʟłɭ  m ᴍмϻ  n ɴпηոɲŋ  o ᴏоοøօσөɵ  p ᴘрρƥ  q ǫԛɋ  r ʀгɼɾ  s ꜱѕςʂ  t ᴛтτŧƭ  u ᴜυμսµʋ
v ᴠνѵ  w ᴡωԝшɯ  x хχ×  y ʏуγүყ  z ᴢζʐƶ  ae æӕÆ  oe œŒ  ss ßẞ
h Ηн  n Ν  m Μ  y ΥУ  p Ρ  b ΒВ  t Τ  x Χ  v Ѵ  z Ζ
a Ꭺᗅ  b Ᏼᗷ  c ᏟᑕϹ  d Ꭰᗞ  e Ꭼ  g Ꮐ  h Ꮋᕼ  j Ꭻᒍ  k Ꮶ  l Ꮮᒪ  m Ꮇᗰ  p Ꮲᑭ  r Ꭱᖇ  s Ꮪ  t Ꭲ
v Ꮩᐯ  w Ꮃ  z Ꮓ
"""

_LETTER_ROWS = (0x1F130, 0x1F150, 0x1F170, 0x1F1E6)
"""Where the alphabet stands in squares, in dark circles, in dark squares, and as flags."""

_DASHES = "\u2212\u2043"
_DOTS = "\u2022\u2219\u2027\u25cf\u2024\u25e6\u30fb\uff65\u00b7"
_QUOTES = "\u2018\u2019\u201a\u201b\u02bc\u0060\u00b4\u2032\uff07"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\uff02"
_LINE_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
# Drawn as nothing, or behind a word that they are no part of, such as ™.
_BLANKS = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\ufffc\u2122\u2120"


def _single_characters() -> dict[str, str]:
    table: dict[str, str] = {}
    pairs = _LOOK_ALIKES.split()
    for letter, alike in zip(pairs[::2], pairs[1::2], strict=True):
        table |= dict.fromkeys(alike, letter)
    for first in _LETTER_ROWS:
        table |= {chr(first + number): chr(ord("a") + number) for number in range(26)}
    table |= dict.fromkeys(_DOTS, "·") | dict.fromkeys(_DASHES, "-")
    table |= dict.fromkeys(_QUOTES, "'") | dict.fromkeys(_DOUBLE_QUOTES, '"')
    return table | dict.fromkeys(_LINE_ENDS, "\n") | dict.fromkeys(_BLANKS, "")


_SINGLE = _single_characters()


@cache
def _simplifier() -> object:
    import opencc

    return opencc.OpenCC("t2s")


def _folded_once(char: str) -> str:
    if char in _SINGLE:
        return _SINGLE[char]
    if char == EITHER:
        return char
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Cf") or (category == "Cc" and char not in "\t\n"):
        return ""
    if category in ("Zs", "Cs", "No") or char == "\t":
        return " "  # numbers such as ¹ and ① stand at words and are no letters of theirs
    if category == "Pd":
        return "-"
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    if "\u3400" <= char <= "\u9fff" or char >= "\U00020000":
        return str(_simplifier().convert(char))  # type: ignore[attr-defined]
    if "\uac00" <= char <= "\ud7af":
        return char  # taken apart, one syllable would be found within another
    lower = unicodedata.normalize("NFKD", char)
    return lower if lower != char else char.lower()


def _folded(char: str) -> str:
    """What one character becomes, until it changes no more."""
    after = _folded_once(char)
    # As long as it changes: a full-width capital is a capital first.
    return after if after == char else "".join(map(_folded, after))


class _Table(dict[int, str]):
    """What becomes of each character, found when it is first met."""

    def __missing__(self, code: int) -> str:
        folded = _folded(chr(code))
        if len(self) < _MOST_KNOWN:
            self[code] = folded
        return folded


_TABLE = _Table()


def normal_form(text: str) -> str:
    """The normal form; that of a normal form is itself."""
    return text.translate(_TABLE)


@dataclass(frozen=True, slots=True)
class Places:
    """Leads from a normal form back to its text."""

    _origins: list[int]
    _num_chars: int

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters [start, end) of the text, with what is drawn as nothing behind them."""
        behind = self._origins[end] if end < len(self._origins) else self._num_chars
        return self._origins[start], max(behind, self._origins[end - 1] + 1)


def places(text: str) -> Places:
    """Where each character of the normal form stands in the text."""
    origins = [place for place, char in enumerate(text) for _ in _TABLE[ord(char)]]
    return Places(origins, len(text))


@dataclass(frozen=True, slots=True)
class Key:
    """Letters and digits of a normal form, without repetitions: what to search roughly by."""

    text: str
    starts: Integers
    """Where the stretch that each character of the key stands for begins in the normal form."""
    ends: Integers


def keys(normal: str) -> list[Key]:
    """A normal form read as it is and, where it has such, with digits and signs as letters."""
    codes = np.frombuffer(normal.encode("utf-32-le"), dtype=np.uint32)
    small = np.minimum(codes, _LAST)
    plain = _key(codes, small, _plain())
    return [plain, _key(codes, small, _as_letters())] if _WRITTEN.search(normal) else [plain]


def _key(codes: Codes, small: Codes, table: Codes) -> Key:
    read = table[small]
    read = np.where(small == _LAST, np.where(codes >= _RARE_HAN, codes, 0), read)
    kept = np.flatnonzero(read)
    read = read[kept]
    changes = np.flatnonzero(read[1:] != read[:-1]) + 1 if len(read) else kept
    first = np.concatenate([kept[:1] * 0, changes])
    last = np.concatenate([changes - 1, np.full(len(kept[:1]), len(kept) - 1)])
    text = read[first].astype("<u4").tobytes().decode("utf-32-le")
    return Key(text, kept[first], kept[last] + 1)


_LAST = 0xFFFF
_RARE_HAN = 0x20000
_WRITTEN = re.compile("[" + re.escape("".join(AS_LETTERS)) + "]")


@cache
def _plain() -> Codes:
    """Of each of the first 65,536 characters of Unicode its place in a key, or 0 for none."""
    table = np.array([code if chr(code).isalnum() else 0 for code in range(_LAST + 1)], np.uint32)
    # A one, a bar, an i, an I and an l look alike.
    table[[ord("l"), ord(EITHER)]] = ord("i")
    return table


@cache
def _as_letters() -> Codes:
    table = _plain().copy()
    for sign, letter in AS_LETTERS.items():
        table[ord(sign)] = ord("i" if letter == "l" else letter)
    return table

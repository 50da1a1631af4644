"""Bytes to text: the order in which encodings are tried, and why.

A byte order mark decides; then strict UTF-8, which other encodings almost never satisfy by
chance; then what the file declares; then the East Asian encodings, scored by how common the
characters are that each one reads; charset-normalizer only for what is left, since on texts of
under a few hundred bytes it is right about half of the time.
"""

from __future__ import annotations

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_\-]{2,20})""",
    re.I,
)

# A superset reads what its subset is declared for, as browsers do.
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "iso8859-1": "cp1252"}

_FREQUENT_HANS = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想"
    "实应该请第条规定机关单位使车辆按照或者及与被将由并不得处理"
)
_FREQUENT_HANT = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡"
    "用道行所然家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想"
    "實應該請第條規定機關單位使車輛按照或者及與被將由並不得處理"
)


def decode(data: bytes, hint: str = "") -> str:
    """The text of `data`; never raises, bytes of no encoding become U+FFFD.

    `hint` is an encoding that came with the bytes, such as an HTTP header's charset.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name, errors="replace").removeprefix("\ufeff")
    if wide := _utf16_without_mark(data[:65536]):
        return data.decode(wide, errors="replace")
    if b"\x1b$" in data[:65536] and (text := _strictly(data, "iso2022_jp")) is not None:
        return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start > 64:
            return data[: error.start].decode("utf-8")  # cut in the middle of a character
    for name in (hint, declared(data)):
        text = _strictly(data, name) if name else None
        if text is not None:
            return text
    return _guess(data)


def declared(data: bytes) -> str:
    """The encoding that the first 2 KiB of an HTML or XML file name, or an empty string."""
    found = _DECLARED.search(data[:2048])
    return found.group(1).decode("ascii") if found else ""


def _strictly(data: bytes, name: str) -> str | None:
    try:
        name = codecs.lookup(name).name
        return data.decode(_SUPERSETS.get(name, name))
    except (LookupError, UnicodeDecodeError, ValueError):
        return None


def _guess(data: bytes) -> str:
    sample = data[:65536]
    best, best_score = "", 0.0
    for name, score in ((n, _plausible(sample, n)) for n in ("gb18030", "big5", "cp932", "euc_jp")):
        if score > best_score:
            best, best_score = name, score
    if best_score >= 0.45:
        return data.decode(best, errors="replace")
    return _western_or_rare(data, sample)


def _western_or_rare(data: bytes, sample: bytes) -> str:
    """Latin text, whose accented letters stand alone; what is denser goes to charset-normalizer."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", sample)]
    if sum(runs) <= 1.25 * len(runs):
        return data.decode("cp1252", errors="replace")
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    name = best.encoding if best is not None else "utf-8"
    return data.decode(name, errors="replace")


def _utf16_without_mark(sample: bytes) -> str:
    """UTF-16 whose ASCII shows as a zero in every second byte."""
    if b"\0" not in sample or len(sample) < 4:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd > half * 0.3 and even < half * 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.3 and odd < half * 0.05 else ""


def _plausible(sample: bytes, encoding: str) -> float:
    """0…1: how common the non-ASCII characters are that `encoding` reads; 0 where it cannot."""
    try:
        text = _decode_sample(sample, encoding)
    except UnicodeDecodeError:
        return 0.0
    wide = [character for character in text if character >= "\x80"]
    if not wide:
        return 0.0
    score = sum(_commonness(character, encoding) for character in wide) / len(wide)
    return score if score > 0 else 0.0


def _decode_sample(sample: bytes, encoding: str) -> str:
    """Strict, but a character that the end of the sample cuts does not count against it."""
    return codecs.getincrementaldecoder(encoding)().decode(sample, final=False)


def _commonness(character: str, encoding: str) -> float:
    """1 for what such texts are full of, 0.6 for a usual character, negative for a rare one."""
    if "\u3000" <= character <= "\u3002" or character in "，、；：？！（）《》「」“”‘’…—·":
        return 0.9
    if "\u3041" <= character <= "\u30fc":
        return 1.0 if encoding in ("cp932", "euc_jp") else 0.1
    if character in _FREQUENT[encoding]:
        return 1.0
    return 0.6 if _usual(character, encoding) else -0.3


def _usual(character: str, encoding: str) -> bool:
    """In the part of the character set that its makers filled with the common characters."""
    try:
        lead = character.encode(encoding)
    except UnicodeEncodeError:
        return False
    if len(lead) != 2:
        return False
    low, high = _USUAL_LEADS[encoding]
    return low <= lead[0] <= high and (encoding != "gb18030" or lead[1] >= 0xA1)


_FREQUENT = {
    "gb18030": frozenset(_FREQUENT_HANS),
    "big5": frozenset(_FREQUENT_HANT),
    "cp932": frozenset("日本人年大月一中国出会行事時名前生東京株式市田山子上下者部"),
    "euc_jp": frozenset("日本人年大月一中国出会行事時名前生東京株式市田山子上下者部"),
}
_USUAL_LEADS = {
    "gb18030": (0xB0, 0xD7),
    "big5": (0xA4, 0xC6),
    "cp932": (0x88, 0x97),
    "euc_jp": (0xB0, 0xCF),
}

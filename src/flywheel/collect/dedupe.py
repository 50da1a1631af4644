"""Which documents are copies or older editions of others.

Equal texts are duplicates: the first by path is kept. Otherwise only documents whose titles are
equal but for dates and editions are compared, so that two statutes with different titles are never
merged, however much they share. Among those, near-duplicates and older editions give way to the
newest; what has little in common is kept, whatever its title.

A document only ever gives way to one that the same people may read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flywheel.collect.edition import (
    edition_date,
    edition_key,
    edition_number,
    named_date,
    text_date,
)
from flywheel.records import PUBLIC, Document, Fate, Language

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Fingerprint",
    "Verdict",
    "edition_date",
    "edition_key",
    "fingerprint",
    "resolve",
    "similarity",
]

SHINGLE_CHARACTERS = 8
NUM_HASHES = 512
"""One byte is kept of each. Measured: standard deviation 0.012 at a Jaccard similarity of 0.9 and
0.020 at 0.5, half of what 128 hashes of four bytes give in the same space."""
SEED = 1

NEAR_DUPLICATE = 0.87
"""Estimated similarity from which two texts count as one. Of pairs whose Jaccard similarity is
0.90 it finds 99 %, of 0.88 three in four, of 0.85 one in ten, of 0.80 none."""
EDITION = 0.3
"""What editions have in common at least, where a date or a number says which is the later."""
NAMED_EDITION = 0.1
"""The same for neighbours in one folder whose titles or file names differ in the date alone."""
UNDATED_EDITION = 0.5
"""The same where only the files' times or the texts' own words tell them apart."""
COMPARED_IN_FULL = 2000
"""Beyond so many documents of one title (`Untitled`) only those with 8 equal hashes in a row are
compared: nearly all pairs of a similarity of 0.7, a fifth of those of 0.5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """What `resolve` has to know of a document; small enough to hold in memory for all."""

    document: str
    source: str
    path: str
    title: str
    language: Language
    date: str
    """The edition's; see `edition_date`."""
    modified: float
    text_hash: str
    """Of the text without white space, punctuation and case."""
    num_shingles: int
    signature: bytes
    """MinHash of the text's character 8-grams, a byte for each of NUM_HASHES."""
    access: tuple[str, ...] = (PUBLIC,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of a document, and because of which other one."""

    fate: Fate
    reason: str = ""
    other: str = ""
    """The id of the document that is kept in its place."""


KEPT = Verdict(fate="kept")


def fingerprint(document: Document) -> Fingerprint:
    """The document's text reduced to 512 bytes and a hash."""
    form = _normal_form(document.text)
    shingles = _shingles(form)
    return Fingerprint(
        document=document.id,
        source=document.source,
        path=document.path,
        title=document.title,
        language=document.language,
        date=named_date(document.title, document.path) or document.date or text_date(document.text),
        modified=document.modified,
        text_hash=blake2b(form.encode("utf-8", "replace"), digest_size=16).hexdigest(),
        num_shingles=len(shingles),
        signature=_signature(shingles),
        access=document.access,
    )


def similarity(one: Fingerprint, two: Fingerprint) -> float:
    """The estimated Jaccard similarity of the two texts' character 8-grams."""
    return float(_similarities(_matrix([one]), [one.num_shingles], two)[0])


def resolve(fingerprints: Iterable[Fingerprint]) -> dict[str, Verdict]:
    """The verdict on every document, by its id; the order of the input does not matter."""
    ordered = sorted(fingerprints, key=lambda f: (f.path, f.source, f.document))
    verdicts = {each.document: KEPT for each in ordered}
    by_title: dict[tuple[tuple[str, ...], str], list[Fingerprint]] = defaultdict(list)
    for first, copies in _by_text(ordered):
        for copy in copies:
            verdicts[copy.document] = _gives_way("duplicate", first)
        dated = replace(first, date=max(each.date for each in (first, *copies)))
        by_title[_readers(first), edition_key(first.title)].append(dated)
    for group in by_title.values():
        if len(group) > 1:
            verdicts.update(_resolve_title(group))
    return verdicts


def _readers(each: Fingerprint) -> tuple[str, ...]:
    return tuple(sorted(each.access))


# Fingerprints

# Between digits a sign counts: 2.0 bar is not 20 bar.
_INSIGNIFICANT = re.compile(r"[\W_]+(?!\d)|(?<!\d)[\W_]+")


def _normal_form(text: str) -> str:
    return unicodedata.normalize("NFKC", _INSIGNIFICANT.sub("", text)).casefold()


def _shingles(form: str) -> npt.NDArray[np.uint64]:
    """Hashes of the distinct runs of SHINGLE_CHARACTERS; a shorter text is one shingle."""
    import numpy as np

    codes = np.frombuffer(form.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    if not len(codes):
        return codes
    if len(codes) < SHINGLE_CHARACTERS:
        codes = np.pad(codes, (0, SHINGLE_CHARACTERS - len(codes)))
    num_shingles = len(codes) - SHINGLE_CHARACTERS + 1
    hashes = np.zeros(num_shingles, dtype=np.uint64)
    for offset in range(SHINGLE_CHARACTERS):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += codes[offset : offset + num_shingles]
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0xD6E8FEB86659FD93)
    hashes ^= hashes >> np.uint64(32)
    return np.unique(hashes)


def _signature(shingles: npt.NDArray[np.uint64]) -> bytes:
    import numpy as np
    from rensa import RMinHash

    matrix = RMinHash.digest_matrix_from_token_hash_sets([shingles], num_perm=NUM_HASHES, seed=SEED)
    return np.array(matrix.to_rows()[0], dtype=np.uint32).astype(np.uint8).tobytes()


def _matrix(group: list[Fingerprint]) -> npt.NDArray[np.uint8]:
    import numpy as np

    joined = b"".join(each.signature for each in group)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(group), NUM_HASHES)


def _similarities(
    rows: npt.NDArray[np.uint8], nums_shingles: list[int], other: Fingerprint
) -> npt.NDArray[np.float64]:
    """Estimates against each row; b-bit minwise hashing, Li and König 2010, with b = 8."""
    import numpy as np

    chance = 1 / 256
    equal = (rows == np.frombuffer(other.signature, dtype=np.uint8)).mean(axis=1)
    counts = np.array(nums_shingles, dtype=np.float64)
    most = np.minimum(counts, other.num_shingles)
    # No two sets are more alike than their sizes are.
    bound = most / np.maximum(np.maximum(counts, other.num_shingles), 1)
    estimate: npt.NDArray[np.float64] = np.clip((equal - chance) / (1 - chance), 0, bound)
    return estimate


# Equal texts


def _by_text(ordered: list[Fingerprint]) -> Iterator[tuple[Fingerprint, list[Fingerprint]]]:
    """The first document of each text, with its copies that the same people may read."""
    texts: dict[tuple[tuple[str, ...], str], list[Fingerprint]] = defaultdict(list)
    for each in ordered:
        texts[_readers(each), each.text_hash].append(each)
    for first, *copies in texts.values():
        yield first, copies


# Documents of one title


def _resolve_title(group: list[Fingerprint]) -> dict[str, Verdict]:
    """From the newest to the oldest, each gives way to the most similar newer one, if any does."""
    newest_first = sorted(group, key=lambda f: (f.path, f.source, f.document))
    newest_first.sort(key=_age, reverse=True)
    verdicts: dict[str, Verdict] = {}
    kept_by_id = {each.document: each for each in newest_first}
    for place, alike in _comparisons(newest_first):
        older = newest_first[place]
        verdict = KEPT
        for newer_place, value in alike:
            newer = newest_first[newer_place]
            fate = _fate(newer, older, value)
            other = verdicts[newer.document].other
            if fate and not other:
                verdict = _gives_way(fate, newer, nearly="nearly the ")
                break
            if fate == "superseded" and verdict is KEPT:
                verdict = _gives_way(fate, kept_by_id[other])
        verdicts[older.document] = verdict
    return verdicts


def _age(each: Fingerprint) -> tuple[str, tuple[int, ...], bool, int]:
    """What is greatest is newest: date, number, not a copy by its name, minute of the last change.

    Files unpacked together differ by moments, which say nothing about their editions.
    """
    is_copy = bool(_COPY.search(_stem(each.path)))
    return each.date, _number(each), not is_copy, int(each.modified // 60)


def _number(each: Fingerprint) -> tuple[int, ...]:
    return edition_number(each.title) or edition_number(_stem(each.path))


def _comparisons(
    newest_first: list[Fingerprint],
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """For each place the newer places with their similarity, the most similar first."""
    import numpy as np

    rows = _matrix(newest_first)
    counts = [each.num_shingles for each in newest_first]
    bands: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, older in enumerate(newest_first):
        newer = np.arange(place)
        if len(newest_first) > COMPARED_IN_FULL:
            keys = [(at, older.signature[at : at + 8]) for at in range(0, NUM_HASHES, 8)]
            newer = np.array(sorted({other for key in keys for other in bands[key]}), dtype=int)
            for key in keys:
                bands[key].append(place)
        values = _similarities(rows[newer], [counts[other] for other in newer], older)
        order = np.argsort(-values, kind="stable")
        yield place, [(int(newer[index]), float(values[index])) for index in order]


_COPY = re.compile(
    r"(?:^|[\W_])(?:copy|print\w*|backup|bak|old)(?=$|[\W_\d])|副本|打印|备份|旧版", re.IGNORECASE
)


def _fate(newer: Fingerprint, older: Fingerprint, value: float) -> Fate | None:
    """What the older one of two documents with equal titles becomes because of the newer."""
    later = _is_later(newer, older)
    series = bool(_SERIES.search(edition_key(newer.title)))
    if value >= NEAR_DUPLICATE and not (series and later):
        return "superseded" if later else "duplicate"
    if series or value < _least_in_common(newer, older, later):
        return None
    return "superseded"


def _least_in_common(newer: Fingerprint, older: Fingerprint, later: bool) -> float:
    """The similarity from which two documents with equal titles are editions of one another."""
    together = _folder(newer) == _folder(older)
    named = all(named_date(each.title, each.path) or _number(each) for each in (newer, older))
    if later and together and _same_file_name(newer, older):
        if _is_norm(newer, older):
            return 0.0
        return NAMED_EDITION if named else EDITION
    if later and (together or named):
        return EDITION
    # Two folders may each have their "Installation", and nothing then says that one is outdated.
    return UNDATED_EDITION if later or together else NEAR_DUPLICATE


def _is_later(newer: Fingerprint, older: Fingerprint) -> bool:
    """Whether a date or an edition's number says so; 2025 and 2025-09 may be the same."""
    if newer.date and older.date and not newer.date.startswith(older.date):
        return True
    numbers = _number(newer), _number(older)
    return all(numbers) and numbers[0] != numbers[1]


@lru_cache(maxsize=1 << 16)
def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _folder(each: Fingerprint) -> tuple[str, str]:
    return each.source, each.path.rpartition("/")[0]


# Each item of a series stands beside the others: minutes, reports, amendments of one law by year.
_SERIES = re.compile(
    r"(?:[周月日季年]报|报告|纪要|简报|通报|公报|公告|通知|决定|决议|修正案|发票|记录"
    r"|minutes|reports?|newsletters?|agenda|invoices?|statements?|bulletins?|releasenotes|notes|log)$"
)
# A norm is in force in one wording at a time, so that the later replaces even one that shares
# nothing with it.
_NORM = re.compile(
    r"(?:法|条例|规定|办法|细则|规则|规程|章程|制度|准则|守则|标准"
    r"|act|law|code|regulations?|policy|rules|bylaws)$"
)


def _same_file_name(newer: Fingerprint, older: Fingerprint) -> bool:
    """But for dates. The parts of one work may share its title, and then differ in their names."""
    names = {edition_key(_stem(each.path)) for each in (newer, older)}
    return len(names) == 1


def _is_norm(newer: Fingerprint, older: Fingerprint) -> bool:
    same = newer.title == older.title and newer.language == older.language
    return same and bool(_NORM.search(edition_key(newer.title)))


def _gives_way(fate: Fate, other: Fingerprint, *, nearly: str = "") -> Verdict:
    reason = f"{nearly}same text as" if fate == "duplicate" else "newer edition:"
    return Verdict(fate=fate, reason=f"{reason} {other.path}", other=other.document)

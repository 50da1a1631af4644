"""Word lists: phrases that are looked for through look-alikes and tricks of spacing.

    file → phrases → one automaton (Aho–Corasick) over all keys → where it strikes, the phrase's
    own expression decides, on the normal form → spans of the text

A file has one phrase a line; `#` begins a comment. `idiot*` goes on as it likes (idiots, idiotic).
`!kill switch` is an exception: within it nothing of this list counts.

Words in letters are found as whole words, Chinese anywhere. Between the characters of a Chinese
phrase may stand spaces and signs, but no punctuation, since it divides sentences.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from ahocorasick_rs import AhoCorasick

from flywheel.errors import FileFormatError
from flywheel.moderation.normal import AS_LETTERS, EITHER, UNSPACED, Key, keys, normal_form, places

LEAST_BROKEN = 4
"""Words of so many letters are found with signs in them (b.omb): in shorter ones they are too
often meant, as in he-ll or U.S."""
LEAST_SPELLED = 3
"""Phrases of so many letters are found spelled out (b o m b)."""

_LETTER = rf"[^\W_{UNSPACED}]"
_EDGE_BEFORE, _EDGE_BEHIND = rf"(?<!{_LETTER})", rf"(?!{_LETTER})"
_UNIT = re.compile(rf"(?P<unspaced>[{UNSPACED}])|{_LETTER}+")
_SIGN = r"[-._*~·+^=]"
_WITHIN_WORD = rf"{_SIGN}{{0,3}}"
_BETWEEN_UNSPACED = r"[- ._*~·+^=@#$%&]{0,3}"
_LOOSE = r"""[- _*~·+^='"]{0,3}"""
# No gap can be read in two ways, or a long phrase would try them all at every word.
_BETWEEN_WORDS = rf"(?:{_LOOSE}(?:\n{_LOOSE})?|[.,:;/\\!?|]{{1,3}})"
_SPELLED = r"(?:[^\w\n]|_){1,4}"

_NEVER_DOUBLED = frozenset("ahijkquvwxy")
"""Letters that English doubles in next to no word: twice is already stretched, as in fuuck. All
others only from three on, or `god` would be found in good."""

MOST_CHARS = 200
"""Of a phrase."""

MOST_STRETCHED = 40
"""A letter that is repeated more often hides the word from readers, too; and a hostile text of
nothing else is searched in a time that grows with its length."""

_MEANT_SIGN = re.compile(rf"(?<={_LETTER})(?:[@$!|+€£]+(?={_LETTER})|\$+)")
"""Signs in a phrase that its writer put for letters: a$$."""

_ONE_LETTER_WORDS = frozenset("ai" + EITHER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Where a category's phrase stands: the characters [start, end) of the text."""

    category: str
    phrase: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, order=True)
class Phrase:
    """A line of a list."""

    category: str
    text: str
    """As it was written, without its marks."""
    is_exception: bool = False
    is_open: bool = False
    """Its last word may go on."""

    @cached_property
    def normal(self) -> str:
        """What it is compared in."""
        normal = normal_form(self.text).replace(EITHER, "i").strip()
        return _MEANT_SIGN.sub(lambda signs: "".join(AS_LETTERS[each] for each in signs[0]), normal)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Its words, and each character of a script without spaces for itself."""
        return tuple(match[0] for match in _UNIT.finditer(self.normal))

    @property
    def num_letters(self) -> int:
        """Letters and digits."""
        return sum(map(len, self.units))

    @cached_property
    def together(self) -> re.Pattern[str]:
        """Finds it written as a word or several, perhaps with signs in it."""
        gaps = [
            _BETWEEN_UNSPACED if _is_unspaced(before) or _is_unspaced(behind) else _BETWEEN_WORDS
            for before, behind in pairwise(self.units)
        ]
        words = (_word(unit) for unit in self.units)
        return self._edged("".join(map("".join, zip(words, [*gaps, ""], strict=True))))

    @cached_property
    def spelled(self) -> re.Pattern[str] | None:
        """Finds it letter by letter; None where it is too short for that, or is not in letters."""
        letters = "".join(self.units)
        if len(letters) < LEAST_SPELLED or any(map(_is_unspaced, self.units)):
            return None
        first, *others = map(_alike, letters)
        return self._edged(first + "".join(f"{_SPELLED}{each}" for each in others))

    def _edged(self, inner: str) -> re.Pattern[str]:
        before = "" if _is_unspaced(self.units[0]) else _EDGE_BEFORE
        behind = "" if _is_unspaced(self.units[-1]) else _EDGE_BEHIND
        behind = f"{_LETTER}{{0,{MOST_STRETCHED}}}" if self.is_open else behind
        return re.compile(f"{before}(?:{inner}){behind}")


def read_phrases(category: str, text: str, path: Path) -> list[Phrase]:
    """The phrases of a list.

    Args:
        path: what to call the file in an error.

    Raises:
        FileFormatError: a line can be looked for nowhere, or everywhere.
    """
    phrases: list[Phrase] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        phrase = read_phrase(category, line)
        if phrase is None:
            continue
        if problem := objection(phrase):
            raise FileFormatError(path, number, _OBJECTIONS[problem])
        phrases.append(phrase)
    return phrases


def read_phrase(category: str, line: str) -> Phrase | None:
    """The phrase of a line, whatever it is worth; None where the line holds none."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    return Phrase(
        category=category,
        text=line.removeprefix("!").removesuffix("*").strip(),
        is_exception=line.startswith("!"),
        is_open=line.endswith("*"),
    )


Objection = Literal["empty", "long", "letter"]

_OBJECTIONS: Mapping[Objection, str] = {
    "empty": "no letter and no digit to look for",
    "long": f"a phrase has at most {MOST_CHARS} characters",
    "letter": "one letter alone stands in too many texts",
}


def objection(phrase: Phrase) -> Objection | None:
    """Why a phrase can be looked for nowhere, or everywhere; None where it is a good one."""
    if not phrase.units:
        return "empty"
    if len(phrase.text) > MOST_CHARS:
        return "long"
    if phrase.num_letters == 1 and not _is_unspaced(phrase.units[0]):
        return "letter"
    return None


class _Found(NamedTuple):
    """A phrase at the characters [start, end) of a normal form."""

    start: int
    end: int
    phrase: Phrase


class WordLists:
    """All lists, ready to search by."""

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        by_key: dict[str, list[Phrase]] = defaultdict(list)
        for phrase in phrases:
            for key in {key.text for key in _keys_of(phrase)}:
                by_key[key].append(phrase)
        self._phrases = list(by_key.values())
        self._automaton = AhoCorasick(list(by_key)) if by_key else None

    def find(self, text: str) -> tuple[Span, ...]:
        """What stands in a text of any list, in order; what an exception covers is left out."""
        if self._automaton is None or not text:
            return ()
        normal = normal_form(text)
        found = dict.fromkeys(self._found(self._automaton, normal))
        if not found:
            return ()
        origins, kept = places(text), sorted(_unexcepted(found))
        return tuple(
            Span(category=each.phrase.category, phrase=each.phrase.text, start=start, end=end)
            for each in kept
            for start, end in [origins.span(each.start, each.end)]
        )

    def _found(self, automaton: AhoCorasick, normal: str) -> Iterator[_Found]:
        for key in keys(normal):
            for number, first, _ in automaton.find_matches_as_indexes(key.text, overlapping=True):
                # The stretch may have begun in the word before: this shit.
                for start in range(int(key.starts[first]), int(key.ends[first])):
                    for phrase in self._phrases[number]:
                        end = _end(phrase, normal, start)
                        if end:
                            yield _Found(start, end, phrase)


def _keys_of(phrase: Phrase) -> list[Key]:
    found = keys(phrase.normal)
    # Digits alone are meant as they are: 666 is no ggg.
    return found[:1] if phrase.normal.replace(" ", "").isdigit() else found


def _end(phrase: Phrase, normal: str, start: int) -> int:
    """Where a phrase ends that starts here; 0 where it does not."""
    if match := phrase.together.match(normal, start):
        return match.end()
    if phrase.spelled and (match := phrase.spelled.match(normal, start)):
        gap = re.match(_SPELLED, normal[start + 1 : start + 5])
        if gap and not _is_spelled_further(normal, match, gap[0]):
            return match.end()
    return 0


def _is_spelled_further(normal: str, match: re.Match[str], gap: str) -> bool:
    """Whether the spelled letters are the inside of a longer word: E S S E X."""
    start, end = match.span()
    before = normal[max(0, start - len(gap) - 2) : start]
    behind = normal[end : end + len(gap) + 2]
    alone_before = re.search(rf"(?:\A|(?<!{_LETTER}))({_LETTER}){re.escape(gap)}\Z", before)
    alone_behind = re.match(rf"{re.escape(gap)}{_LETTER}(?!{_LETTER})", behind)
    if alone_before and alone_before[1] not in _ONE_LETTER_WORDS:
        return True
    return alone_behind is not None


def _unexcepted(found: Iterable[_Found]) -> Iterator[_Found]:
    """What is no exception and lies within none of its category."""
    exceptions: dict[str, list[_Found]] = defaultdict(list)
    for each in found:
        if each.phrase.is_exception:
            exceptions[each.phrase.category].append(each)
    starts, reach = {}, {}
    for category, of_category in exceptions.items():
        of_category.sort()
        starts[category] = [each.start for each in of_category]
        reach[category] = list(accumulate((each.end for each in of_category), max))
    for each in found:
        category = each.phrase.category
        before = bisect_right(starts.get(category, ()), each.start)
        is_covered = before > 0 and reach[category][before - 1] >= each.end
        if not each.phrase.is_exception and not is_covered:
            yield each


def _is_unspaced(unit: str) -> bool:
    match = _UNIT.match(unit)
    return match is not None and match["unspaced"] is not None


def _word(unit: str) -> str:
    """An expression for a word or a single character, its letters stretched or not."""
    if _is_unspaced(unit):
        return re.escape(unit)
    joint = _WITHIN_WORD if len(unit) >= LEAST_BROKEN else ""
    return joint.join(_run(match[0], joint) for match in re.finditer(r"(.)\1*", unit))


def _run(letters: str, joint: str) -> str:
    """The same letter once or several times: as often, or stretched."""
    each, number = _alike(letters[0]), len(letters)
    exact = each + f"(?:{joint}{each}){{{number - 1}}}" if number > 1 else each
    if letters[0].isdigit():
        return exact
    least = 2 if number == 1 and letters[0] in _NEVER_DOUBLED else max(3, number)
    return f"(?:{each}(?:{joint}{each}){{{least - 1},{MOST_STRETCHED}}}|{exact})"


def _alike(letter: str) -> str:
    """What a letter of a phrase may look like; a digit is meant."""
    if letter.isdigit():
        return letter
    signs = [sign for sign, meant in AS_LETTERS.items() if meant == letter]
    if letter == "l":
        signs += ["1", "|", EITHER]
    if letter == "i":
        signs.append(EITHER)
    return f"[{letter}{''.join(map(re.escape, signs))}]" if signs else re.escape(letter)

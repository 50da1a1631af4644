"""How well moderation tells what it should find from what it should leave alone.

    python bench/moderation.py [--data ../shared/data]

Our own labelled lines (`moderation/labelled-*.jsonl`, English and Chinese; most of the harmless
ones are hard: manuals, law, medicine, complaints, figures of speech), phrases written with tricks,
texts of real users and documents where the folder of them is there, and how fast it all is beside a
bare expression.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora import DATA, ROOT
from flywheel.learn.groups import group
from flywheel.lines import read_lines
from flywheel.moderation.moderator import Moderator
from flywheel.moderation.ngrams import parts
from flywheel.moderation.settings import ModerationSettings
from flywheel.moderation.training import Labelled, LabelledLine, share, train
from flywheel.moderation.words import Phrase, WordLists, read_phrases
from flywheel.records import Score
from flywheel.search.terms import has_han
from table import print_table

HERE = ROOT / "bench" / "moderation"
SEED = 20261
LANGUAGES = {"en": "English", "zh": "Chinese"}
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
NUM_TEXTS = 2_000
"""Of each set of real texts."""
NUM_PIECES = 333
"""Of each set of documents, others than those, from which it learns what is harmless."""
DOCUMENTS = ("articles of statutes", "medical answers", "manuals of Debian")
LARGE_CHARS = 500_000
QUESTIONS = ("How do I reset the tyre pressure warning light?", "轮胎压力警告灯怎么复位？")

Trick = Callable[[str, random.Random], str]


def labelled() -> list[Labelled]:
    """Our lines, in near-duplicate groups."""
    files = sorted(HERE.glob("labelled-*.jsonl"))
    lines = [line for file in files for _, line in read_lines(file, LabelledLine)]
    groups = group([line.text for line in lines], []).training
    return [
        Labelled(text=line.text, categories=frozenset(line.categories), group=number)
        for line, number in zip(lines, groups, strict=True)
    ]


def phrases() -> list[Phrase]:
    """The phrases of our lists."""
    return [
        phrase
        for file in sorted((HERE / "words").glob("*.txt"))
        for phrase in read_phrases(file.stem, file.read_text(encoding="utf-8"), file)
    ]


def print_folds(texts: Sequence[Labelled], pieces: Sequence[str]) -> Moderator:
    """Prints precision and recall on held-out folds; gives the moderator that all texts made."""
    rows, classifier = [], None
    for threshold in THRESHOLDS:
        trained = train(texts, pieces, lambda _, at=threshold: at)  # type: ignore[misc]
        classifier = trained.classifier
        for each in trained.measured:
            shares = [shown(each.precision), shown(each.recall), str(each.recall.count)]
            name = f"{each.category}, {LANGUAGES[each.language]}"
            others = [f"{each.alarms.value:.1%}", f"{each.calibration_error:.2f}"]
            rows.append([name, f"{threshold:g}", *shares, *others])
    rows.sort(key=lambda row: row[0])
    print_table(
        f"The classifier on held-out folds: {len(texts)} lines, {len(pieces)} pieces of documents",
        ["category", "from", "precision", "recall", "texts", "in documents", "error"],
        rows,
        "Intervals are Wilson's, 95 %. `from`: the threshold. `error`: of the probabilities.",
    )
    assert classifier is not None
    return Moderator(ModerationSettings(), phrases(), classifier)


HOMOGLYPHS = str.maketrans("aceiopsxykhm", "асеіорѕхукһм")
LEET = str.maketrans("aeiostb", "4310578")
TRADITIONAL = str.maketrans("杀断烧弹脑残渣结断货", "殺斷燒彈腦殘渣結斷貨")


def _spread(sign: str) -> Trick:
    return lambda text, _: sign.join(char for char in text if char != " ")


def _stretched(text: str, generator: random.Random) -> str:
    letters = [place for place, char in enumerate(text) if char.isalpha()]
    place = generator.choice(letters)
    return text[:place] + text[place] * 4 + text[place + 1 :]


def _accented(text: str, _: random.Random) -> str:
    return "".join(f"{char}\u0301" if char.isalpha() else char for char in text)


def _invisible(text: str, _: random.Random) -> str:
    return "\u200b".join(text)


def _full_width(text: str, _: random.Random) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def _bold(text: str, _: random.Random) -> str:
    return "".join(chr(0x1D41A + ord(char) - 97) if "a" <= char <= "z" else char for char in text)


ENGLISH: dict[str, Trick] = {
    "as it is": lambda text, _: text,
    "capitals": lambda text, _: text.upper(),
    "look-alikes": lambda text, _: text.translate(HOMOGLYPHS),
    "digits": lambda text, _: text.translate(LEET),
    "signs": lambda text, _: text.replace("a", "@").replace("s", "$"),
    "b o m b": _spread(" "),
    "b.o.m.b": _spread("."),
    "b - o - m - b": _spread(" - "),
    "zero width": _invisible,
    "full width": _full_width,
    "bold letters": _bold,
    "accents": _accented,
    "stretched": _stretched,
    "capitals, stretched, digits": lambda text, generator: (
        _stretched(text, generator).translate(LEET).upper()
    ),
    "look-alikes, zero width": lambda text, generator: _invisible(
        text.translate(HOMOGLYPHS), generator
    ),
    "look-alikes, b.o.m.b": lambda text, generator: _spread(".")(
        text.translate(HOMOGLYPHS), generator
    ),
}
CHINESE: dict[str, Trick] = {
    "as it is": lambda text, _: text,
    "traditional": lambda text, _: text.translate(TRADITIONAL),
    "炸 弹": _spread(" "),
    "炸-弹": _spread("-"),
    "炸**弹": _spread("**"),
    "炸，弹": _spread("，"),
    "zero width": _invisible,
    "traditional, 炸.弹": lambda text, generator: _spread(".")(
        text.translate(TRADITIONAL), generator
    ),
}
CARRIERS = {
    "en": ("Listen: {} or not, tell me.", "I said {}"),
    "zh": ("我跟你说，{}，听见没有", "{}"),
}


def print_tricks(lists: Sequence[Phrase]) -> None:
    """Prints how many phrases are found through each trick, beside a bare expression."""
    wanted = [phrase for phrase in lists if not phrase.is_exception]
    found_by = WordLists(lists)
    rows = []
    for language, tricks in (("en", ENGLISH), ("zh", CHINESE)):
        of_language = [each for each in wanted if has_han(each.text) == (language == "zh")]
        for name, trick in tricks.items():
            num = num_ours = num_bare = 0
            generator = random.Random(SEED)
            for phrase in of_language:
                for carrier in CARRIERS[language]:
                    text = carrier.format(trick(phrase.text, generator))
                    num += 1
                    num_ours += any(each.phrase == phrase.text for each in found_by.find(text))
                    num_bare += bare([phrase]).search(text) is not None
            row = [f"{LANGUAGES[language]}: {name}", shown(share(num_ours, num))]
            rows.append([*row, f"{num_bare / num:.2f}", str(num)])
    print_table(
        "Phrases of word lists found through tricks",
        ["trick", "found", "bare expression", "texts"],
        rows,
    )


def bare(lists: Iterable[Phrase]) -> re.Pattern[str]:
    """What one would write at first: whole words, whatever their capitals; Chinese anywhere."""
    parts = [
        re.escape(each.text) if has_han(each.text) else rf"\b{re.escape(each.text)}\b"
        for each in lists
        if not each.is_exception
    ]
    return re.compile("|".join(parts), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Texts:
    """A set of real texts of which nearly all are harmless."""

    name: str
    texts: list[str]
    pieces: list[str]
    """Of others of the set, where it is one of documents."""


def real_texts(data: Path) -> Iterator[Texts]:
    """What is there of them."""
    generator = random.Random(SEED)
    for name, read in READERS.items():
        texts = [text for text in read(data) if text.strip()]
        if texts:
            drawn = generator.sample(texts, min(NUM_TEXTS + NUM_PIECES, len(texts)))
            rest = drawn[NUM_TEXTS:] if name in DOCUMENTS else []
            pieces = [generator.choice(parts(text)) for text in rest]
            yield Texts(name, drawn[:NUM_TEXTS], pieces)
        else:
            print(f"{name}: skipped, it is not in {data}")


def _intents(data: Path) -> Iterator[str]:
    path = data / "intents" / "train.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            yield from (row["text"] for row in csv.DictReader(file))


def _legal_questions(data: Path) -> Iterator[str]:
    path = data / "legal-zh" / "questions.jsonl"
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)["question"]


def _laws(data: Path) -> Iterator[str]:
    for path in sorted((data / "legal-zh" / "laws").rglob("*")):
        if path.is_file():
            yield from path.read_text(encoding="utf-8").splitlines()


def _medical(part: str) -> Callable[[Path], Iterator[str]]:
    def read(data: Path) -> Iterator[str]:
        path = data / "medical-en" / "medquad.jsonl.gz"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    yield from (pair[part] for pair in json.loads(line)["qa"])

    return read


def _chat(language: str) -> Callable[[Path], Iterator[str]]:
    def read(data: Path) -> Iterator[str]:
        path = data / "chat" / f"alpaca_{language}_demo.json"
        if path.is_file():
            for each in json.loads(path.read_text(encoding="utf-8")):
                yield from (each["instruction"], each["output"])

    return read


def _manuals(data: Path) -> Iterator[str]:
    for path in sorted((data / "manuals").rglob("*.txt")):
        yield from path.read_text(encoding="utf-8").split("\n\n")


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    "bank customers' questions": _intents,
    "laypeople's legal questions": _legal_questions,
    "articles of statutes": _laws,
    "medical questions": _medical("question"),
    "medical answers": _medical("answer"),
    "chats, English": _chat("en"),
    "chats, Chinese": _chat("zh"),
    "manuals of Debian": _manuals,
}


def print_alarms(moderator: Moderator, sets: Iterable[Texts], how: str) -> None:
    """Prints how many real texts are flagged. Next to all of these are false alarms."""
    rows = []
    for each in sets:
        verdicts = [(text, moderator.check(text, "input")) for text in each.texts]
        by_list = [text for text, verdict in verdicts if verdict.spans]
        chances = [
            max((score for score in verdict.scores.values() if score < 1), default=0.0)
            for _, verdict in verdicts
        ]
        cells = [sum(chance >= threshold for chance in chances) for threshold in THRESHOLDS]
        share_of = [f"{1000 * num / len(each.texts):.1f}" for num in (len(by_list), *cells)]
        rows.append([each.name, *share_of, str(len(each.texts))])
    columns = ["texts", "by lists", *(f"from {each:g}" for each in THRESHOLDS), "number"]
    print_table(f"Flagged of 1,000 real texts, {how}", columns, rows)


def print_speed(moderator: Moderator, lists: Sequence[Phrase], sets: Sequence[Texts]) -> None:
    """Prints how long a question and how many characters take."""
    found_by, expression = WordLists(lists), bare(lists)
    texts = [text for each in sets for text in each.texts]
    large = "\n".join(texts)[:LARGE_CHARS] or "\n".join(QUESTIONS) * 10_000
    ways: dict[str, Callable[[str], object]] = {
        "bare expression": lambda text: list(expression.finditer(text)),
        "word lists": found_by.find,
        "word lists and classifier": lambda text: moderator.check(text, "input"),
    }
    rows = []
    for name, way in ways.items():
        asked = [1e6 * seconds(way, question) for question in QUESTIONS]
        rate = len(large) / seconds(way, large, 1, 5) / 1e6
        rows.append([name, *(f"{each:.0f} µs" for each in asked), f"{rate:.1f} M/s"])
    print_table(
        f"Speed, {len([each for each in lists if not each.is_exception])} phrases",
        ["", "question, English", "question, Chinese", "characters of long text"],
        rows,
    )


def seconds(way: Callable[[str], object], text: str, num: int = 50, rounds: int = 40) -> float:
    """The best of many short rounds, since others use the machine, too."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(num):
            way(text)
        best = min(best, (time.perf_counter() - started) / num)
    return best


def shown(score: Score) -> str:
    """A share with its interval."""
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what moderation finds")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    data = parser.parse_args().data
    lists, sets = phrases(), list(real_texts(data))
    texts, pieces = labelled(), [piece for each in sets for piece in each.pieces]
    if pieces:
        print_alarms(print_folds(texts, []), sets, "without documents")
    moderator = print_folds(texts, pieces)
    print_tricks(lists)
    if sets:
        print_alarms(moderator, sets, f"{len(pieces)} pieces of documents learned from")
    print_speed(moderator, lists, sets)


if __name__ == "__main__":
    main()

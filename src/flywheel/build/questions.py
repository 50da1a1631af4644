"""Synthetic questions from passages: an exam for a workspace that has none, and the items on
which the decision to answer is calibrated.

They say how well a passage is found by words of its own, and nothing about how users ask.
Each is tagged `synthetic`. No model writes them, and nothing here is random but by the seed.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator

from flywheel.build import wording
from flywheel.build.wording import Spoken, Vocabulary, Wording
from flywheel.records import ExamQuestion, Passage

SYNTHETIC = "synthetic"

PASSAGES_PER_QUESTION = 8
"""Sampled for each question that is wanted: not every passage can be asked about, and the
rarity of words is counted on the sample."""

MIN_SAMPLE = 400

_EN_ELSEWHERE = (
    ("sourdough", "How long should sourdough rise before baking?"),
    ("penguin", "What do penguins eat in winter?"),
    ("saturn", "How many moons does Saturn have?"),
    ("violin", "How often should I change the strings of my violin?"),
    ("tomato", "When do I plant tomatoes on a balcony?"),
    ("chess", "Can I castle in chess after my king was in check?"),
    ("eurovision", "Who won Eurovision last year?"),
    ("marathon", "How do I train for my first marathon?"),
    ("hamster", "What should I feed a hamster?"),
    ("knit", "How do I knit a scarf for beginners?"),
    ("lasagne", "What goes into a good lasagne?"),
    ("haiku", "How many syllables does a haiku have?"),
    ("origami", "How do I fold an origami crane?"),
    ("everest", "How high is Mount Everest?"),
    ("bonsai", "Why does my bonsai lose its leaves?"),
    ("offside", "What is the offside rule in football?"),
)
_ZH_ELSEWHERE = (
    ("泡菜", "泡菜要腌多久才能吃？"),
    ("企鹅", "企鹅冬天吃什么？"),
    ("土星", "土星有几颗卫星？"),
    ("小提琴", "小提琴的弦多久换一次？"),
    ("番茄", "阳台上什么时候种番茄？"),
    ("象棋", "象棋里马怎么走？"),
    ("奥斯卡", "去年的奥斯卡最佳影片是哪一部？"),
    ("马拉松", "第一次跑马拉松怎么训练？"),
    ("仓鼠", "仓鼠应该喂什么？"),
    ("围巾", "新手怎么织围巾？"),
    ("红烧肉", "红烧肉怎么做才不腻？"),
    ("唐诗", "唐诗三百首是谁编的？"),
    ("折纸", "千纸鹤折纸的步骤是什么？"),
    ("珠穆朗玛", "珠穆朗玛峰有多高？"),
    ("盆景", "我的盆景为什么掉叶子？"),
    ("越位", "足球里什么叫越位？"),
)


def make_questions(passages: Iterable[Passage], count: int, seed: int) -> list[ExamQuestion]:
    """At most `count` questions with their evidence, spread over the documents.

    A heading or a definition becomes a question; so do telling words of a passage's opening,
    in another order, which is all that an article of a statute offers. The evidence is the
    passage's first sentence or sentences, verbatim. There is no gold answer in other words.
    One pass over the passages; memory grows with `count` alone.
    """
    sample = _sample(passages, max(MIN_SAMPLE, PASSAGES_PER_QUESTION * count), seed)
    vocabulary = Vocabulary(sample)
    rng = random.Random(seed)
    questions: dict[str, ExamQuestion] = {}
    for passage in sample:
        if len(questions) >= count:
            break
        language = wording.spoken(passage)
        worded = language and _worded(passage, language, vocabulary, rng)
        if language and worded:
            made = _question(worded.question, (worded.evidence,), (SYNTHETIC, language))
            questions.setdefault(made.question, made)
    return list(questions.values())


def make_unanswerable(passages: Iterable[Passage], count: int, seed: int) -> list[ExamQuestion]:
    """At most `count` questions that the passages do not answer, in the passages' languages.

    At most half are about something else altogether: their key word occurs in no passage at
    all. The rest are near misses: telling words of two passages in one question; no sampled
    passage holds the most telling word of both.
    """
    absent = dict((*_EN_ELSEWHERE, *_ZH_ELSEWHERE))
    size = max(MIN_SAMPLE, PASSAGES_PER_QUESTION * count)
    sample = _sample(_striking_out(absent, passages), size, seed)
    rng = random.Random(seed)
    languages = {language for passage in sample if (language := wording.spoken(passage))}
    known = (("en", _EN_ELSEWHERE), ("zh", _ZH_ELSEWHERE))
    elsewhere = [
        _question(question, (), (SYNTHETIC, "unanswerable", "off-topic", language), False)
        for language, bank in known
        for term, question in bank
        if language in languages and term in absent
    ]
    rng.shuffle(elsewhere)
    elsewhere = elsewhere[: count // 2]
    near = itertools.islice(_near_misses(sample, rng), count - len(elsewhere))
    return [*near, *elsewhere]


def _sample(passages: Iterable[Passage], size: int, seed: int) -> list[Passage]:
    """At most `size` passages, of every document about as many, in a fixed random order.

    First one passage of each document, then a second one, and so on: the first n are as
    diverse as n can be.
    """
    kept: list[Passage] = []
    for passage in passages:
        kept.append(passage)
        if len(kept) >= 2 * size:
            kept = _spread(kept, seed)[:size]
    return _spread(kept, seed)[:size]


def _spread(passages: list[Passage], seed: int) -> list[Passage]:
    keyed = sorted((_draw(passage, seed), place) for place, passage in enumerate(passages))
    num_seen: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for draw, place in keyed:
        document = passages[place].document
        ranked.append((num_seen.get(document, 0), draw, place))
        num_seen[document] = num_seen.get(document, 0) + 1
    return [passages[place] for _, _, place in sorted(ranked)]


def _draw(passage: Passage, seed: int) -> int:
    """By what the passage says, not by its id, which names the folder wherever it lies."""
    words = "\0".join((str(seed), passage.title, *passage.headings, passage.text))
    digest = hashlib.blake2b(words.encode(errors="backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _worded(
    passage: Passage, language: Spoken, vocabulary: Vocabulary, rng: random.Random
) -> Wording | None:
    """One of the ways to ask about a passage, keywords as often as the other two together."""
    ways: list[Callable[[], Wording | None]] = [
        lambda: wording.definition_wording(passage, language, rng),
        lambda: wording.heading_wording(passage, language, vocabulary, rng),
    ]
    keywords: list[Callable[[], Wording | None]] = [
        lambda: wording.keyword_wording(passage, language, vocabulary, rng)
    ]
    ordered = keywords + ways if rng.random() < 0.5 else ways + keywords
    return next((worded for way in ordered if (worded := way())), None)


def _near_misses(sample: list[Passage], rng: random.Random) -> Iterator[ExamQuestion]:
    """Questions that join words of two passages; ends after 20 tries a passage."""
    vocabulary = Vocabulary(sample)
    usable = [passage for passage in sample if wording.spoken(passage)]
    asked: set[str] = set()
    for _ in range(20 * len(usable)):
        first, second = rng.choice(usable), rng.choice(usable)
        question = _crossed(first, second, vocabulary, rng)
        if question and question.question not in asked:
            asked.add(question.question)
            yield question


def _crossed(
    first: Passage,
    second: Passage,
    vocabulary: Vocabulary,
    rng: random.Random,
) -> ExamQuestion | None:
    language = wording.spoken(first)
    if language is None or language != wording.spoken(second):
        return None
    early, late = (
        vocabulary.rarest(wording.lead(passage.text, language), language, 3)
        for passage in (first, second)
    )
    if min(len(early), len(late)) < 2 or vocabulary.meet(early, late):
        return None
    question = wording.ask_about(early, late, first, language, rng)
    return _question(question, (), (SYNTHETIC, "unanswerable", "near-miss", language), False)


def _striking_out(terms: dict[str, str], passages: Iterable[Passage]) -> Iterator[Passage]:
    """The passages unchanged; whichever of the terms occurs in one of them is removed."""
    for passage in passages:
        lowered = passage.text.lower()
        for term in [term for term in terms if term in lowered]:
            del terms[term]
        yield passage


def _question(
    question: str, evidence: tuple[str, ...], tags: tuple[str, ...], answerable: bool = True
) -> ExamQuestion:
    digest = hashlib.blake2b("\0".join((question, *evidence)).encode(), digest_size=6).hexdigest()
    return ExamQuestion(
        id=f"{SYNTHETIC}-{digest}",
        question=question,
        evidence=evidence,
        answerable=answerable,
        tags=tags,
    )

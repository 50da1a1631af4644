"""How a passage is turned into the question that it answers, in its own language.

For synthetic questions alone. The wording is plain on purpose: what matters is which words of
a passage a question shares with it, not that it reads like a person's.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import rjieba

from flywheel.records import Passage

Spoken: TypeAlias = Literal["en", "zh"]

MAX_LEAD = 300
"""Characters of a piece of evidence at most."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]+")
_SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？!?]+[”’」』）)]*|\.(?=\s|$)|(?=\n|$))")
_CLAUSE_END = re.compile(r"[，；,;]")
_ARTICLE = re.compile(
    r"^第[零〇一二三四五六七八九十百千万0-9]+[条條](?:之[一二三四五六七八九十]+)?[\s　]*"
)
_LIST_MARK = re.compile(r"^(?:[-*+•]|\d+[.)、]|[(（]?[一二三四五六七八九十]+[)）、])\s*")
_NUMBERING = re.compile(
    r"^(?:第[零〇一二三四五六七八九十百千万0-9]+[编編章节節条條部篇]"
    r"|[一二三四五六七八九十]+、|\d[\d.]*(?=[、\s　])、?)[\s　]*"
)


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NO_TOPIC = _listed(
    "总则 總則 附则 附則 一般规定 概述 简介 簡介 前言 说明 說明 其他 注意事项 注意 警告 目录 "
    "overview introduction general contents note notes warning caution summary appendix preface"
)
_ZH_DEFINITION = re.compile(
    r"^(?:本[^，。\s]{1,6}?)?(?:所[称稱指])?的?[“\"《「]?([^，。；：、“”\"《》「」\s]{2,14})[”\"》」]?"
    r"[，,]?\s*(?:是指|系指|係指|指的是|是一种|是一種|，指)"
)
_EN_DEFINITION = re.compile(
    r"^(?:An?\s|The\s)?([A-Za-z][\w'’() -]{2,50}?)\s+(is|are|means|refers to)\s+(?:an?|the|any)\s",
)
_NO_TERM = _listed(
    "this that it there these those you your we they he she what which if when some many most "
    "all each no not here who one such his her their our its"
)
_EN_COMMON = _listed(
    "about above across after again against also although always among and another any are "
    "because been before being below between both but can cannot could did does doing done down "
    "during each either else even ever every for from further had has have having her here hers "
    "him his how however into its itself just less like made make many may might more most much "
    "must need never nor not now off often once one only onto other our ours out over own per "
    "rather same shall she should since some still such than that the their them then there "
    "these they this those through thus too under until upon use used using very was were what "
    "when where whether which while who whom whose why will with within without would yet you "
    "your"
)
_ZH_COMMON = _listed(
    "可以 应当 應當 没有 沒有 进行 進行 不得 按照 依照 根据 根據 有关 有關 规定 規定 以及 或者 "
    "其他 使用 需要 能够 能夠 已经 已經 成为 成為 属于 屬於 包括 作为 作為 认为 認為"
)
_ZH_TROUBLE = re.compile(
    r"故障|异常|異常|失灵|失靈|没电|沒電|丢失|無法|无法|不能|报警|漏|失败|变慢|熄灭"
)
_EN_TROUBLE = re.compile(r"\b(?:fail\w*|not|lost|error\w*|leak\w*|flat|dead|broken|stuck)\b", re.I)

_EN_KEYWORDS = (
    "What about {late} when it comes to {early}?",
    "How does it work with {late} and {early}?",
    "I have a question on {late}: what about {early}?",
    "Is there anything on {early} if {late}?",
)
_ZH_KEYWORDS = (
    "{late}的时候，{early}怎么办？",
    "请问{late}和{early}有什么规定？",
    "{late}，{early}该怎么处理？",
    "想了解{late}，{early}是怎么说的？",
)
_TRADITIONAL = str.maketrans("么时办样请问规处该说关应义", "麼時辦樣請問規處該說關應義")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """A question and the verbatim text that answers it."""

    question: str
    evidence: str


def spoken(passage: Passage) -> Spoken | None:
    """The language to ask in; None where the passage is in neither."""
    if passage.language.startswith("zh"):
        return "zh"
    if passage.language == "mixed":
        return "zh" if len(_HAN.findall(passage.text)) > len(_WORD.findall(passage.text)) else "en"
    return "en" if passage.language == "en" else None


@lru_cache(maxsize=4096)
def content_words(text: str, language: Spoken) -> tuple[str, ...]:
    """Words that carry the meaning, each once, in the order of their first use."""
    if language == "en":
        words = [word for word in _WORD.findall(text) if len(word) > 2]
        return tuple(dict.fromkeys(word for word in words if word.lower() not in _EN_COMMON))
    tagged = _segmenter().tag(text)
    kept = [word for word, tag in tagged if len(word) > 1 and tag[0] in "nvail"]
    return tuple(dict.fromkeys(word for word in kept if word not in _ZH_COMMON))


def lead(text: str, language: Spoken) -> str:
    """The first sentences of running text, verbatim; headings and tables are passed over.

    Empty where there is none long enough to say something.
    """
    enough = 15 if language == "zh" else 50
    for line in text.split("\n"):
        line = _LIST_MARK.sub("", _ARTICLE.sub("", line.strip()))
        if len(line) >= enough and line[0] not in "#|`<!":
            opening = _first_sentences(line, enough)
            if opening[-1] not in "?？":
                return opening
    return ""


class Vocabulary:
    """Which sampled passages hold a word, and how many stand under a heading."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._places: dict[str, set[int]] = {}
        self._num_passages = Counter((item.document, topic_of(item)) for item in passages)
        self._num_documents = Counter(topic for _, topic in self._num_passages)
        for place, passage in enumerate(passages):
            language = spoken(passage)
            for word in content_words(passage.text, language) if language else ():
                self._places.setdefault(word, set()).add(place)

    def frequency(self, word: str) -> int:
        """In how many passages the word occurs, as it is written."""
        return len(self._places.get(word, ()))

    def is_one_passage(self, passage: Passage) -> bool:
        """Whether the passage alone stands under its heading in its document."""
        return self._num_passages[passage.document, topic_of(passage)] <= 1

    def is_one_document(self, passage: Passage) -> bool:
        """Whether no other document has such a heading."""
        return self._num_documents[topic_of(passage)] <= 1

    def meet(self, some: Sequence[str], others: Sequence[str]) -> bool:
        """Whether a passage holds the rarest word of both: then it may well answer both."""
        one, other = (min(words, key=self.frequency) for words in (some, others))
        return not self._places.get(one, set()).isdisjoint(self._places.get(other, set()))

    def rarest(self, text: str, language: Spoken, count: int) -> list[str]:
        """The rarest content words of a text, in the text's order."""
        words = content_words(text, language)
        rare = set(sorted(words, key=self.frequency)[:count])
        return [word for word in words if word in rare]

    def base_form(self, gerund: str) -> str:
        """`replace` for `Replacing`: the form that the documents themselves use, or nothing."""
        stem = gerund.lower().removesuffix("ing")
        forms = [stem + "e", stem, stem[:-1] if stem[-1:] == stem[-2:-1] else stem]
        best = max(forms, key=self.frequency)
        return best if self.frequency(best) else ""


def topic_of(passage: Passage) -> str:
    """The innermost heading, or the title where there is none."""
    return passage.headings[-1] if passage.headings else passage.title


def definition_wording(passage: Passage, language: Spoken, rng: random.Random) -> Wording | None:
    """What is X?, where the passage opens by saying what X is."""
    evidence = lead(passage.text, language)
    found = (_ZH_DEFINITION if language == "zh" else _EN_DEFINITION).match(evidence)
    if not found:
        return None
    term = found[1].strip()
    if language == "zh":
        forms = ["什么是{}？", "{}是什么意思？", "请问{}指的是什么？"]
        return Wording(question=_ask(rng.choice(forms), passage).format(term), evidence=evidence)
    if term.split()[0].lower() in _NO_TERM or len(term.split()) > 5:
        return None
    verb = "are" if found[2] == "are" else "is"
    forms = [f"What {verb} {{}}?", "What is meant by {}?", "Can you explain {}?"]
    return Wording(question=rng.choice(forms).format(term), evidence=evidence)


def heading_wording(
    passage: Passage, language: Spoken, vocabulary: Vocabulary, rng: random.Random
) -> Wording | None:
    """The innermost heading as a question, with the title where other documents share it.

    None for a heading that stands over several passages: a chapter is no question.
    """
    evidence = lead(passage.text, language)
    heading = topic_of(passage)
    topic = _NUMBERING.sub("", heading).strip(" #*:：")
    if not evidence or not 2 <= len(topic) <= 60 or topic.lower() in _NO_TOPIC:
        return None
    if not vocabulary.is_one_passage(passage):
        return None
    if language == "zh":
        question = _ask(_zh_form(topic, rng), passage).format(topic)
    else:
        question = _en_heading(topic, vocabulary, rng)
    if not vocabulary.is_one_document(passage) and passage.title not in ("", heading):
        question = f"{passage.title}{'：' if language == 'zh' else ': '}{question}"
    return Wording(question=question, evidence=evidence)


def keyword_wording(
    passage: Passage, language: Spoken, vocabulary: Vocabulary, rng: random.Random
) -> Wording | None:
    """Three to eight telling words of the opening, its end before its beginning."""
    evidence = lead(passage.text, language)
    words = vocabulary.rarest(evidence, language, 10)
    if len(words) < 3:
        return None
    chosen = set(rng.sample(words, min(len(words), rng.randint(3, 8))))
    kept = [word for word in words if word in chosen]
    middle = len(kept) // 2
    question = ask_about(kept[:middle], kept[middle:], passage, language, rng)
    return Wording(question=question, evidence=evidence)


def ask_about(
    early: Sequence[str],
    late: Sequence[str],
    passage: Passage,
    language: Spoken,
    rng: random.Random,
) -> str:
    """A question that holds these words, in the script of the passage."""
    if language == "en":
        form = rng.choice(_EN_KEYWORDS)
        return form.format(early=" ".join(early).lower(), late=" ".join(late).lower())
    form = _ask(rng.choice(_ZH_KEYWORDS), passage)
    return form.format(early="".join(early), late="".join(late))


def _ask(form: str, passage: Passage) -> str:
    return form.translate(_TRADITIONAL) if passage.language == "zh-hant" else form


def _zh_form(topic: str, rng: random.Random) -> str:
    if topic[-1] in "？?":
        return "{}"
    if _ZH_TROUBLE.search(topic):
        return "{}怎么办？"
    if _segmenter().tag(topic)[0][1].startswith("v"):
        return rng.choice(["怎么{}？", "如何{}？", "{}要怎么做？"])
    return rng.choice(["{}有什么要求？", "{}是怎么规定的？", "关于{}，应该知道什么？"])


def _en_heading(topic: str, vocabulary: Vocabulary, rng: random.Random) -> str:
    if topic.endswith("?"):
        return topic
    first, _, rest = topic.partition(" ")
    if first.lower() == "how" and rest.startswith("to "):
        return f"How do I {rest[3:]}?"
    base = vocabulary.base_form(first) if first.lower().endswith("ing") else ""
    if base and rest and not rest.startswith("and "):
        return rng.choice(["How do I {}?", "How can I {}?", "What do I do to {}?"]).format(
            f"{base} {rest}"
        )
    if vocabulary.frequency(first.lower()):
        topic = topic[0].lower() + topic[1:]
    if _EN_TROUBLE.search(topic):
        return f"What do I do about this: {topic}?"
    forms = ["What should I know about {}?", "What does it say about {}?", "Tell me about {}."]
    return rng.choice(forms).format(topic)


def _first_sentences(line: str, enough: int) -> str:
    end = 0
    for sentence in _SENTENCE.finditer(line):
        if end and sentence.end() > MAX_LEAD:
            break
        end = sentence.end()
        if end >= enough:
            break
    if end <= MAX_LEAD:
        return line[:end].strip()
    ends = [found.end() for found in _CLAUSE_END.finditer(line, 0, MAX_LEAD)]
    return line[: ends[-1] if ends else MAX_LEAD].strip()


@lru_cache(maxsize=1)
def _segmenter() -> rjieba.Jieba:
    return rjieba.Jieba()

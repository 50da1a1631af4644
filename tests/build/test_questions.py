"""Synthetic questions: from the passages, about the passages, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.build.questions import make_questions, make_unanswerable
from flywheel.records import ExamQuestion, Language, Passage

LAWS = Path(__file__).parents[3] / "shared/data/legal-zh/laws"

PARTS = [
    "mirror",
    "lamp",
    "wiper",
    "gearbox",
    "radiator",
    "carpet",
    "pedal",
    "antenna",
    "sunroof",
    "bumper",
    "horn",
    "fuse",
]
ZH_PARTS = [
    "后视镜",
    "前照灯",
    "雨刮器",
    "变速箱",
    "散热器",
    "地毯",
    "踏板",
    "天线",
    "天窗",
    "保险杠",
    "喇叭",
    "保险丝",
]


def passage(document: str, position: int, text: str, language: Language, heading: str) -> Passage:
    return Passage(
        id=f"{document}/{position}",
        document=document,
        title=document,
        headings=(heading,) if heading else (),
        text=text,
        language=language,
        position=position,
    )


def english() -> Iterator[Passage]:
    for part in PARTS:
        texts = {
            f"Replacing the {part}": f"To replace the {part}, loosen both screws of the {part} "
            f"cover and pull it towards you. Dispose of the old {part} properly.",
            f"{part.capitalize()}": f"A {part} is a component that the {part} workshop inspects "
            "every two years. It has no user serviceable elements.",
            "": f"Sediment below the {part} shelf indicates condensation near the {part} "
            "gasket, which evaporates during motorway journeys.",
        }
        for position, (heading, text) in enumerate(texts.items()):
            yield passage(f"en-{part}", position, text, "en", heading)


def chinese() -> Iterator[Passage]:
    for part in ZH_PARTS:
        texts = {
            f"更换{part}": f"更换{part}之前先关闭电源，然后松开两颗螺钉，把{part}向外拉出。",
            f"{part}": f"{part}是指安装在车身上并由维修站定期检查的部件，用户不得自行拆卸。",
            "第十二条": f"第十二条 经营者出售翻新{part}未向消费者说明的，消费者可以退货并索赔。",
        }
        for position, (heading, text) in enumerate(texts.items()):
            yield passage(f"zh-{part}", position, text, "zh-hans", heading)


def corpus() -> Iterator[Passage]:
    yield from english()
    yield from chinese()


def test_evidence_is_verbatim_and_every_question_is_tagged() -> None:
    texts = [item.text for item in corpus()]
    questions = make_questions(corpus(), 40, seed=1)
    assert len(questions) == 40
    for question in questions:
        (evidence,) = question.evidence
        assert any(evidence in text for text in texts)
        assert "synthetic" in question.tags
        assert question.answerable
    assert len({question.id for question in questions}) == 40
    assert len({question.question for question in questions}) == 40


def test_english_and_chinese_are_asked_in_their_own_language() -> None:
    questions = make_questions(corpus(), 60, seed=1)
    languages = Counter(question.tags[1] for question in questions)
    assert min(languages["en"], languages["zh"]) > 20
    for question in questions:
        has_han = any("\u4e00" <= letter <= "\u9fff" for letter in question.question)
        assert has_han == (question.tags[1] == "zh")


def test_the_seed_decides_and_nothing_else() -> None:
    assert make_questions(corpus(), 20, seed=1) == make_questions(list(corpus()), 20, seed=1)
    assert make_questions(corpus(), 20, seed=1) != make_questions(corpus(), 20, seed=2)
    assert make_unanswerable(corpus(), 20, seed=1) == make_unanswerable(corpus(), 20, seed=1)


def test_headings_and_definitions_become_questions_of_several_forms() -> None:
    asked = {
        question.question for seed in range(4) for question in make_questions(corpus(), 70, seed)
    }
    assert any("I replace the " in question for question in asked)
    assert {f"What is {part}?" for part in PARTS} & asked
    assert {f"如何更换{part}？" for part in ZH_PARTS} & asked
    assert {f"什么是{part}？" for part in ZH_PARTS} & asked


def test_no_document_crowds_out_the_others() -> None:
    def lopsided() -> Iterator[Passage]:
        for position in range(2000):
            yield passage(
                "huge", position, f"Chapter {position} explains wooden furniture varnish "
                f"maintenance and polish number {position}.", "en", f"Varnish {position}",
            )  # fmt: skip
        yield from english()

    questions = make_questions(lopsided(), 30, seed=1)
    from_huge = sum("varnish" in question.evidence[0] for question in questions)
    assert len(questions) == 30
    assert from_huge <= 5


def test_an_article_is_asked_in_other_words_than_its_own() -> None:
    articles = [item for item in chinese() if item.headings[0].startswith("第")]
    questions = make_questions(articles, 12, seed=1)
    assert len(questions) == 12
    for question in questions:
        (evidence,) = question.evidence
        assert not evidence.startswith("第十二条")
        assert "第十二条" not in question.question
        stems = [
            question.question[place : place + 12] for place in range(len(question.question) - 11)
        ]
        assert not any(stem in evidence for stem in stems)


def test_traditional_chinese_is_asked_in_its_own_script() -> None:
    text = "更換電池之前先關閉電源，然後鬆開兩顆螺釘，把電池向外拉出。"
    items = [passage("hant", 0, text, "zh-hant", "更換電池")]
    asked = {q.question for seed in range(12) for q in make_questions(items, 1, seed)}
    assert asked
    assert not set("么时办样请问规处该说") & set("".join(asked))


def test_a_heading_that_others_share_is_asked_with_its_title() -> None:
    items = [
        passage(
            f"{part} guide", 0, f"Wipe the {part} weekly with a damp soft cloth only.", "en", "Care"
        )
        for part in PARTS
    ]
    asked = [q.question for seed in range(3) for q in make_questions(items, 12, seed)]
    for question in asked:
        if "care" in question.lower():
            assert "guide: " in question
    assert any("guide: " in question for question in asked)


def test_a_chapter_of_many_passages_is_no_question() -> None:
    items = [
        passage(
            "law",
            n,
            f"第{n}条 经营者出售翻新{part}未向消费者说明的，消费者可以退货。",
            "zh-hans",
            "第二章 责任",
        )
        for n, part in enumerate(ZH_PARTS, start=1)
    ]
    questions = make_questions(items, 12, seed=1)
    assert len(questions) == 12
    assert not any("责任" in question.question for question in questions)


@pytest.mark.parametrize(
    "text", ["", "# Heading only", "| a | b |\n|---|---|\n| 1 | 2 |", "Too short.", "短。"]
)
def test_passages_without_running_text_give_no_question(text: str) -> None:
    assert make_questions([passage("d", 0, text, "en", "Topic")], 5, seed=1) == []
    assert make_questions([passage("d", 0, text, "zh-hans", "主题")], 5, seed=1) == []


def test_no_passages_give_no_questions() -> None:
    assert make_questions([], 5, seed=1) == []
    assert make_unanswerable([], 5, seed=1) == []


def test_unanswerable_questions_are_near_misses_and_off_topic() -> None:
    questions = make_unanswerable(corpus(), 40, seed=1)
    kinds = Counter(question.tags[2] for question in questions)
    assert len(questions) == 40
    assert kinds["near-miss"] >= 20
    assert kinds["off-topic"] >= 5
    for question in questions:
        assert not question.answerable
        assert not question.evidence
        assert question.tags[:2] == ("synthetic", "unanswerable")


def test_a_topic_that_the_documents_treat_is_not_off_topic() -> None:
    def with_penguins() -> Iterator[Passage]:
        yield from english()
        yield passage("zoo", 0, "Penguins eat krill and small fish all winter long here.", "en", "")

    def has_penguin(questions: list[ExamQuestion]) -> bool:
        return any("penguin" in q.question for q in questions if "off-topic" in q.tags)

    assert has_penguin(make_unanswerable(english(), 60, seed=1))
    assert not has_penguin(make_unanswerable(with_penguins(), 60, seed=1))


@pytest.mark.skipif(not LAWS.exists(), reason="needs ../shared/data/legal-zh")
def test_a_statute_gives_a_question_for_most_articles() -> None:
    lines = (LAWS / "刑法/刑法.md").read_text(encoding="utf-8").split("\n")
    articles = [line for line in lines if line.startswith("第") and len(line) > 40]
    items = [
        passage("刑法", n, text, "zh-hans", text.split()[0]) for n, text in enumerate(articles)
    ]
    questions = make_questions(items, 200, seed=1)
    assert len(questions) == 200
    assert all(question.evidence[0] in "\n".join(articles) for question in questions)

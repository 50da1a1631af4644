import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.collect.split import SplitSettings, size, split
from flywheel.records import Document, Language, Passage

SMALL = SplitSettings(target_size=60, max_size=120)
LAWS = Path(__file__).parents[3] / "shared/data/legal-zh/laws"


def document(text: str, *, title: str = "T", language: Language = "en") -> Document:
    return Document(
        id="d1",
        source="s",
        path="a/b.md",
        title=title,
        text=text,
        language=language,
        access=("staff",),
    )


def passages(
    text: str, settings: SplitSettings | None = None, *, title: str = "T"
) -> list[Passage]:
    return split(document(text, title=title), settings or SplitSettings())


def headings(text: str) -> list[tuple[str, ...]]:
    return [passage.headings for passage in passages(text)]


def texts(text: str, settings: SplitSettings | None = None) -> list[str]:
    return [passage.text for passage in passages(text, settings)]


STATUTE = """# 消费者法

2013年10月25日 通过

## 第一章 总 则

第一条 为了保护消费者，制定本法。

第二条 经营者应当遵守下列规定：

（一）明码标价；

（二）诚实信用。

第二条之一 本法适用于网络。

## 第二章 附 则

第三条 本法自公布之日起施行。
"""


def test_article_with_its_items_is_one_passage_under_its_chapter() -> None:
    found = passages(STATUTE, title="消费者法")
    assert [passage.headings for passage in found] == [
        (),
        ("第一章 总 则", "第一条"),
        ("第一章 总 则", "第二条"),
        ("第一章 总 则", "第二条之一"),
        ("第二章 附 则", "第三条"),
    ]
    assert (
        found[2].text == "第二条 经营者应当遵守下列规定：\n\n（一）明码标价；\n\n（二）诚实信用。"
    )


def test_article_is_whole_whatever_its_length() -> None:
    article = "第一条 " + "经营者应当诚实信用。" * 300
    assert texts(f"{article}\n\n第二条 完。") == [article, "第二条 完。"]


def test_plain_lines_for_part_chapter_and_section_are_headings() -> None:
    text = "第一编 总则\n第一章 基本规定\n第一节 原则\n第一条 甲。\n第二章 自然人\n第二条 乙。"
    assert headings(text) == [
        ("第一编 总则", "第一章 基本规定", "第一节 原则", "第一条"),
        ("第一编 总则", "第二章 自然人", "第二条"),
    ]


def test_contents_listed_before_the_chapters_give_no_passage() -> None:
    text = "目录\n第一章 总则\n第二章 附则\n\n第一章 总则\n第一条 甲。\n第二章 附则\n第二条 乙。"
    assert headings(text) == [(), ("第一章 总则", "第一条"), ("第二章 附则", "第二条")]


def test_reference_at_the_start_of_a_line_is_no_article() -> None:
    text = "第一条 依照本法\n第五十条规定处理。\n\n第二条 乙。"
    assert texts(text) == ["第一条 依照本法\n第五十条规定处理。", "第二条 乙。"]


def test_articles_without_a_space_after_the_label_are_found_in_order() -> None:
    assert texts("第1条为了安全。\n第2条适用范围。\n第3条完。") == [
        "第1条为了安全。",
        "第2条适用范围。",
        "第3条完。",
    ]


def test_articles_that_share_a_long_line_are_taken_apart() -> None:
    first = "第一条 " + "飞行应当安全。" * 150
    text = f"{first} 第二条 {'依照第九条 处理。' * 2}\n\n第三条 完。"
    assert [passage.headings for passage in passages(text)] == [
        ("第一条",),
        ("第二条",),
        ("第三条",),
    ]
    assert passages(text)[0].text == first


def test_annex_ends_the_last_article() -> None:
    assert headings("第一条 甲。\n第二条 乙。\n附件一：收费标准\n每次十元。") == [
        ("第一条",),
        ("第二条",),
        ("附件一：收费标准",),
    ]


def test_bold_and_marked_articles_are_articles_too() -> None:
    assert headings("**第一条** 甲。\n\n### 第二条 适用范围\n\n乙。") == [
        ("第一条",),
        ("第二条 适用范围",),
    ]
    assert texts("### 第二条 适用范围\n\n乙。") == ["第二条 适用范围\n\n乙。"]


@pytest.mark.parametrize("label", ["Article", "Section", "§"])
def test_english_articles_in_order_are_passages(label: str) -> None:
    text = f"{label} 4. Everyone may speak.\n\n{label} 5. Nobody must.\n(a) Ever.\n"
    assert headings(text) == [(f"{label} 4",), (f"{label} 5",)]
    assert texts(text)[1] == f"{label} 5. Nobody must.\n(a) Ever."


def test_a_lone_section_number_in_prose_is_no_article() -> None:
    assert headings("As described in\nSection 5 of the manual.\n\nSection 9. See there.") == [()]


def test_what_follows_a_stray_label_at_great_length_is_cut_like_other_text() -> None:
    text = "第一条 甲。\n\n第二条 乙。\n\n" + "正文说明。\n\n" * 2000
    assert max(map(size, texts(text))) <= 1200


def test_references_that_begin_lines_are_no_english_articles() -> None:
    text = "It is said in\nSection 4.4, “Systems”, and in\nSection 5.1, “Files”.\n\nMore."
    assert headings(text) == [()]


def test_heading_path_leaves_the_title_out() -> None:
    text = "# T\n\nIntro.\n\n## Wash\n\n### Rinse\n\nUse water.\n\n## Dry\n\nWait."
    assert headings(text) == [(), ("Wash", "Rinse"), ("Dry",)]


def test_headings_without_text_and_rules_alone_give_no_passage() -> None:
    assert texts("# T\n\n## Empty\n\n---\n\n##\n\n## Also empty") == []


def test_passages_never_cross_headings() -> None:
    assert texts("## A\n\nOne.\n\n## B\n\nTwo.") == ["One.", "Two."]


def test_hash_lines_in_code_are_no_headings() -> None:
    text = "## Setup\n\n```sh\n# not a heading\n\nmake\n```\n\nDone."
    assert texts(text) == ["```sh\n# not a heading\n\nmake\n```\n\nDone."]


def test_numbered_chinese_headings_hold_text_and_lists_do_not() -> None:
    text = (
        "一、总体要求\n安全第一。\n二、主要任务\n加强检查。\n\n材料如下：\n一、身份证\n二、户口簿"
    )
    found = passages(text)
    assert [passage.headings for passage in found] == [("一、总体要求",), ("二、主要任务",)]
    assert found[1].text.endswith("一、身份证\n二、户口簿")


def test_numbered_lines_that_stand_apart_are_headings() -> None:
    text = "Intro.\n\n2.1. Tools\n\n2.1.1 Drill\n\nUse care.\n\n2.2 Glue\n\nLet it dry."
    assert headings(text) == [(), ("2.1. Tools", "2.1.1 Drill"), ("2.2 Glue",)]


def test_numbered_lines_in_a_row_and_versions_in_prose_are_text() -> None:
    text = "1.1 Remove the cover\n\n1.2 Turn the screw\n\nMeasured at\n1.5 Bar\nand more."
    assert texts(text) == [text]


def test_indented_hash_is_no_heading() -> None:
    assert headings("Comments:\n\n    # not a heading\n\nDone.") == [()]


def test_paragraphs_are_gathered_up_to_the_target() -> None:
    paragraph = "one two three four five."
    found = texts("\n\n".join([paragraph] * 13), SMALL)
    assert [piece.count(paragraph) for piece in found] == [4, 4, 5]


def test_lead_in_stays_with_its_list() -> None:
    filler = "word " * 17 + "end."
    assert texts(f"{filler}\n\nYou need:\n\n- a hose\n- a cloth", SMALL) == [
        filler,
        "You need:\n\n- a hose\n- a cloth",
    ]


def test_each_question_of_a_faq_is_a_passage_with_its_answer() -> None:
    text = "Q: Is it safe?\n\nA: Yes.\n\nQ: Is it fast?\n\nA: No."
    assert texts(text) == ["Q: Is it safe?\n\nA: Yes.", "Q: Is it fast?\n\nA: No."]
    assert texts("问：安全吗？\n答：安全。\n问：快吗？\n答：不快。") == [
        "问：安全吗？\n答：安全。",
        "问：快吗？\n答：不快。",
    ]


def test_long_table_is_cut_between_rows_and_repeats_its_head() -> None:
    head = "| part | torque |\n|---|---|"
    rows = [f"| bolt {number} | {number} Nm |" for number in range(30)]
    found = texts("\n".join([head, *rows]), SMALL)
    assert all(piece.startswith(head) for piece in found)
    assert [row for piece in found for row in piece.split("\n")[2:]] == rows
    assert max(map(size, found)) <= SMALL.max_size


def test_short_table_stays_with_its_text() -> None:
    text = "Torque:\n\n| part | Nm |\n|---|---|\n| bolt | 9 |"
    assert texts(text) == [text]


def test_oversize_paragraph_is_cut_at_sentences() -> None:
    text = "The quick brown fox jumps\nover the lazy dog. " * 30
    found = texts(text, SMALL)
    assert len(found) > 5
    assert all(piece.endswith("dog.") for piece in found)


def test_text_without_spaces_cannot_grow_without_limit() -> None:
    assert max(map(size, texts("ก" * 20_000 + "\n\n" + "字" * 5000))) <= 1200


def test_ids_survive_changes_elsewhere_and_tell_equal_passages_apart() -> None:
    before = passages("## A\n\nSame.\n\n## A\n\nSame.\n\n## B\n\nOld.")
    after = passages("## New\n\nFirst.\n\n## A\n\nSame.\n\n## A\n\nSame.\n\n## B\n\nNewer.")
    assert len({passage.id for passage in before}) == 3
    assert [passage.id for passage in after[1:3]] == [passage.id for passage in before[:2]]
    assert after[3].id != before[2].id


def test_passage_carries_its_document_s_identity() -> None:
    (passage,) = passages("Text.")
    assert (passage.document, passage.title, passage.path) == ("d1", "T", "a/b.md")
    assert (passage.access, passage.position, passage.language) == (("staff",), 0, "en")


def test_mixed_document_has_a_language_for_each_passage() -> None:
    english = "The child lock is on the edge of the rear door and is set with the key."
    chinese = "儿童锁位于后门边缘，可以用钥匙拨动。锁上以后，从车内无法打开车门。"
    found = split(
        document(f"## A\n\n{english}\n\n## B\n\n{chinese}", language="mixed"), SplitSettings()
    )
    assert [passage.language for passage in found] == ["en", "zh-hans"]


STRUCTURE = """# T
## 第一章 总则
### Sub
##
第一条 甲。
第二条乙
第3条 丙：
第五十条规定的
（一）丁；
一、戊
二、己
Article 4. X.
Article 5. Y.
§ 1 Z
- item
1. item:
| a | b |
|---|---|
| 1 | 2 |
```
~~~
Q: why?
答：因为。
附件1：表
第二节 细则
Chapter 3 Wheels
1.2 Foo
1.2.1 Bar
---"""
LONG = ["word " * 40, "字" * 150, "句子。" * 60]
LINES = st.sampled_from([*STRUCTURE.split("\n"), *LONG, "", "", ""])
TEXTS = st.one_of(st.lists(LINES, max_size=25).map("\n".join), st.text(max_size=200))


@given(TEXTS)
def test_text_is_verbatim_but_for_the_repeated_table_head(text: str) -> None:
    for passage in passages(text, SMALL):
        assert passage.text.strip()
        head, _, rest = passage.text.rpartition("|---|---|\n")
        assert (
            passage.text in text
            or (rest in text and head + "|---|---|" in text)
            or (passage.text.split("\n", 1)[0] in text and passage.text.split("\n", 1)[1] in text)
        )


@given(TEXTS)
def test_every_word_is_in_a_passage_or_a_heading(text: str) -> None:
    found = passages(text, SMALL)
    kept = "\n".join([passage.text for passage in found])
    plain_headings = re.compile(r"\s*(#|第.*[章节条]|附件|Chapter|1\.2|Article|§|[一二]、)")
    for line in text.split("\n"):
        if not plain_headings.match(line):
            assert all(word in kept for word in re.findall(r"[^\W_]{1,16}", line))


@given(TEXTS)
def test_only_articles_are_longer_than_the_limit(text: str) -> None:
    for passage in passages(text, SMALL):
        article = re.match(r"(第.*条|Article|§)", (*passage.headings, "")[-1] or " ") or (
            passage.headings and re.match(r"第.*条|Article|§", passage.headings[-1])
        )
        assert article or size(passage.text) <= SMALL.max_size


@given(TEXTS)
def test_positions_count_and_ids_differ(text: str) -> None:
    found = passages(text, SMALL)
    assert [passage.position for passage in found] == list(range(len(found)))
    assert len({passage.id for passage in found}) == len(found)


@pytest.mark.skipif(not LAWS.exists(), reason="the real statutes are not beside this checkout")
def test_articles_of_the_civil_code_are_found_without_gaps() -> None:
    numbers = []
    for path in sorted(LAWS.rglob("民法典/*.md")):
        text = path.read_text(encoding="utf-8")
        found = split(document(text, title="中华人民共和国民法典"), SplitSettings())
        articles = [p for p in found if p.headings and re.fullmatch("第.*条", p.headings[-1])]
        assert all(re.match(p.headings[-1], p.text) for p in articles)
        numbers.append(len(articles))
    assert sum(numbers) == 1258  # the last two are in a part that this pack leaves out


def test_reading_order_is_the_document_s() -> None:
    found = texts(STATUTE)
    places = [STATUTE.index(piece) for piece in found]
    assert all(one < two for one, two in pairwise(places))

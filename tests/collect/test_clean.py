from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flywheel.collect.clean import clean, detect_language
from flywheel.records import Language

LINES = st.lists(
    st.sampled_from(
        [
            "# Wheels",
            "Tighten the nuts to 120 N·m.",
            "　　第一条　为了规范",
            "- 3 -",
            "- 4 -",
            "Morrow Tern manual 7",
            "第3页 共10页",
            "Skip to content",
            "We use cookies. Accept all cookies",
            "```",
            "~~~",
            "    indented\tcode",
            "                   deep",
            "| a  | b |",
            "<!-- INFO END -->",
            "\f",
            "",
            "12",
            "e\u00ad\u0301",
        ]
    ),
    max_size=25,
).map("\n".join)


@given(LINES | st.text())
@example("a\x0c\u0301")
@example("1\f1\f2\f\f")
@example(" \f")
def test_cleaning_again_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


@given(st.text())
def test_clean_text_is_nfc_and_encodable(text: str) -> None:
    once = clean(text)
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")


def test_quotes_stay_verbatim() -> None:
    text = "第一条　“本法”所称的①号文件，（以下简称“文件”）：共２份。"
    assert clean(text) == text.replace("　", " ")


def test_invisible_characters_and_odd_spaces_go() -> None:
    assert clean("\ufeffin\u00adfor\u200bma\x07tion\u00a0here\u2003now  \r\nnext\rlast") == (
        "information here now\nnext\nlast"
    )


def test_joiners_of_scripts_stay() -> None:
    assert clean("می\u200cخواهم 👩\u200d🔧") == "می\u200cخواهم 👩\u200d🔧"


def test_glyphs_of_pdf_fonts_become_letters() -> None:
    assert clean("ﬁll the oﬃce ⽂⼀") == "fill the office 文一"


def test_paragraph_indentation_of_chinese_goes_and_code_keeps_its_own() -> None:
    assert clean("　　第一条 车门\n    if x:\n        y  =  1") == (
        "第一条 车门\n    if x:\n        y = 1"
    )


def test_fenced_code_keeps_its_spaces() -> None:
    code = "```\na    = 1\n\tb   = 2\nSkip to content\n```"
    assert clean(code) == code


def test_at_most_one_blank_line_remains() -> None:
    assert clean("\n\na\n \n\t\n\nb\n\n") == "a\n\nb"


@pytest.mark.parametrize(
    "line",
    [
        "- 3 -",
        "— 12 —",
        "Page 3 of 10",
        "第 3 页",
        "第3页 共10页",
        "共 10 页，第 3 页",
        "Skip to main content",
        "Accept all cookies",
        "Cookie settings",
        "[Skip to content](#main)",
        "Back to top",
        "返回顶部",
        "【打印本页】",
        "We use cookies to improve this site. By going on you accept them. Cookie settings",
        "本网站使用 cookies，点击同意即表示接受",
        "<!-- FORCE BREAK -->",
    ],
)
def test_boilerplate_lines_go(line: str) -> None:
    assert line not in clean(f"The child lock is in the door.\n{line}\nTurn it with the key.")


@pytest.mark.parametrize(
    "line",
    [
        "Page 3 of the logbook lists the tyres.",
        "本条第3页所列的车辆",
        "1990 - 2000",
        "Skip to content that matters to you with the right thumb wheel.",
        "Clear the cookies of the display in the settings menu.",
        "| - 3 - |",
        "（一）申请书；",
    ],
)
def test_lines_with_meaning_stay(line: str) -> None:
    assert line in clean(f"The child lock is in the door.\n{line}\nTurn it with the key.")


def test_a_text_about_cookies_keeps_every_line() -> None:
    policy = "\n".join(f"{number}. You may reject cookies of kind {number}." for number in range(9))
    assert clean(policy) == policy


def test_running_headers_stay_once_and_page_numbers_go_where_pages_are_marked() -> None:
    pages = [f"Tern manual\nThe text of page {word}.\n{number}" for number, word in PAGES]
    text = clean("\f".join(pages))
    assert text == "Tern manual\n" + "\n\n".join(f"The text of page {word}." for _, word in PAGES)


def test_running_headers_with_page_numbers_go() -> None:
    pages = [f"Charging {number}\nThe text of page {word}." for number, word in PAGES]
    assert "Charging" not in clean("\f".join(pages))


def test_page_number_lines_mark_pages_too() -> None:
    pages = [f"Tern manual\nThe text of page {word}.\n- {number} -" for number, word in PAGES]
    assert clean("\n".join(pages)).count("Tern manual") == 1


def test_a_sentence_goes_on_over_the_page() -> None:
    assert clean("The nuts are\ftightened. Then\f") == "The nuts are\ntightened. Then"


def test_repeated_sentences_of_a_statute_stay() -> None:
    sentence = "单位犯前款罪的，对单位判处罚金。"
    statute = "\n\n".join(f"第{number}条 个人犯罪的。\n\n{sentence}" for number in range(20))
    assert clean(statute).count(sentence) == 20


PAGES = [(4, "one"), (5, "two"), (6, "three"), (7, "four")]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is the child lock?", "en"),
        ("Tire pressure", "en"),
        ("apt-get update && dpkg --configure -a", "en"),
        ("儿童锁在哪里？", "zh-hans"),
        ("兒童鎖在哪裡？", "zh-hant"),
        ("後續維護須知", "zh-hant"),
        ("ISOFIX 在哪里", "zh-hans"),
        ("运行 dpkg --configure -a 和 apt-get update 命令", "zh-hans"),
        ("Where is the lock? 锁在哪里？", "mixed"),
        ("The 轮胎 is the part that is 损坏 and 需要更换", "mixed"),
        ("Wo ist die Kindersicherung?", "other"),
        ("¿Dónde está el seguro para niños?", "other"),
        ("東京タワーはどこですか", "other"),
        ("佐藤太郎、年齢三十、住所東京", "other"),
        ("한국어 문서입니다", "other"),
        ("Где находится замок?", "other"),
        ("", "other"),
        ("2.5 / 2.6", "other"),
    ],
)
def test_language(text: str, language: Language) -> None:
    assert detect_language(text) == language


def test_language_of_a_long_text_is_sampled_from_all_of_it() -> None:
    english = "Tighten the nuts of the wheel with the wrench. " * 200
    assert detect_language(english + "请用扳手拧紧车轮螺母，然后检查胎压。" * 250) == "mixed"


@given(st.text())
def test_every_text_has_a_language(text: str) -> None:
    assert detect_language(text) in ("en", "zh-hans", "zh-hant", "mixed", "other")

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flywheel.collect.clean import clean, detect_language
from flywheel.collect.quality import QualitySettings, assess

SETTINGS = QualitySettings()
DATA = Path(__file__).parents[3] / "shared" / "data"
STATUTE = "国务院关于在香港特别行政区同时升挂使用国旗区旗的规定，依照法律的规定执行。"


def reason(text: str, settings: QualitySettings = SETTINGS) -> str:
    text = clean(text)
    return assess(text, detect_language(text), settings).reason


@pytest.mark.parametrize(
    "text",
    [
        "Hello world",
        "质保期多久？八年。",
        "Q: Child lock?\nA: Turn the switch.",
        "第一条 为了规范。\n（一）申请书；\n（二）身份证明；\n（三）其他材料。",
        "| Tyre | bar |\n| --- | --- |\n" + "| 2.5 | 2.6 |\n| 2.3 | 2.2 |\n" * 3,
        "| | | |\n" * 4 + "| 0W-20 | 3.8 l | 15,000 km |",
        "\n".join(
            f"第{number}条 有罪的。\n单位犯前款罪的，对单位判处罚金。" for number in range(30)
        ),
        "- Home screen\n- Search the owner's manual\n- Contact the workshop\n- Help with charging",
        r"\int_0^1 x^2 \, dx = \frac{1}{3}",
        "喆堃是本店的技师，电话请看背面。",
        "Der Höchstdruck beträgt 2,9 bar; « déjà vu » coûte 3 €.",
        "See https://example.com/" + "abcDEF0123456789" * 8 + " for the update of the maps.",
        "Chapter\n" + "-" * 80 + "\nText of the chapter.",
        "維修間隔為二十四個月或三萬公里，以先到者為準。" * 3,
    ],
)
def test_what_somebody_could_quote_from_is_kept(text: str) -> None:
    assert reason(text) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "too short"),
        ("ok", "too short"),
        ("你好", "too short"),
        ("★☆■□▲▼" * 50, "symbol soup"),
        ("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=" * 100, "machine garbage"),
        ("buy \ufffd\ufffd\ufffd\ufffd now \ufffd\ufffd\ufffd", "machine garbage"),
        ((STATUTE * 3).encode().decode("gb18030", "replace"), "machine garbage"),
        ((STATUTE * 3).encode().decode("latin-1"), "machine garbage"),
        ((STATUTE * 3).encode().decode("cp1252", "replace"), "machine garbage"),
        ("buy now!!\n" * 50, "repeated lines"),
        (STATUTE * 200, "repeated text"),
        ("\n".join(["Home", "About us", "Contact", "Login", "Search", "Charging"]), "navigation"),
        ("\n".join(["首页", "关于我们", "联系我们", "登录", "注册", "充电"]), "navigation"),
    ],
)
def test_rubbish_is_dropped_with_its_reason(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_every_rule_can_be_switched_off() -> None:
    loosest = QualitySettings(
        min_chars=0, max_repeated=1, max_symbols=1, max_garbage=1, max_navigation=1
    )
    for text in ("", "★" * 99, "buy now!!\n" * 50, STATUTE * 200, "QUJDREVGR0hJSktM" * 99):
        assert reason(text, loosest) == ""


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError):
        QualitySettings(max_symbols=1.5)


@given(st.text())
def test_signals_of_any_text_are_finite_and_shares_are_shares(text: str) -> None:
    quality = assess(text, "en", SETTINGS)
    for name, value in quality.signals.items():
        assert value >= 0
        assert not name.endswith("_share") or value <= 1 or name == "compressed_share"


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_no_statute_and_no_health_topic_is_dropped() -> None:
    texts = [path.read_text() for path in (DATA / "legal-zh" / "laws").rglob("*.md")]
    with gzip.open(DATA / "medical-en" / "medquad.jsonl.gz", "rt") as lines:
        topics = [json.loads(line) for line, _ in zip(lines, range(500), strict=False)]
    texts += ["\n\n".join(pair["answer"] or "" for pair in topic["qa"]) for topic in topics]
    assert [text[:50] for text in texts if reason(text)] == []

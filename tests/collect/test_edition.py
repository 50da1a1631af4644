import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.collect.edition import edition_date, edition_key, edition_number


@pytest.mark.parametrize(
    "title",
    [
        "Home charging (2023-03)",
        "HOME CHARGING – September 2025",
        "Home charging, edition March 2023",
        "Home charging 2nd edition",
        "Home Charging v2.1",
        "Home charging (revised)",
        "Home-charging_20250930",
        "Home charging (2024)",
        "Home charging 2024",
    ],
)
def test_dates_and_editions_are_left_out_of_the_key(title: str) -> None:
    assert edition_key(title) == edition_key("Home charging")


@pytest.mark.parametrize(
    "title",
    [
        "公司章程（2023年修订）",
        "公司章程（2025年9月）",
        "公司章程 第二版",
        "公司章程 2024版",
        "公司章程(2024-04-26)",
    ],
)
def test_chinese_dates_and_editions_are_left_out_of_the_key(title: str) -> None:
    assert edition_key(title) == "公司章程"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("刑法修正案（三）", "刑法修正案（十）"),
        ("刑法修正案", "刑法修正案（二）"),
        ("刑事诉讼规则", "刑事诉讼规则（试行）"),
        ("上海市条例", "山东省条例"),
        ("Windows 2000 guide", "Windows 2003 guide"),
        ("Part (1)", "Part (2)"),
        ("2024-05-06", "2024-05-07"),
    ],
)
def test_what_tells_documents_apart_stays_in_the_key(one: str, two: str) -> None:
    assert edition_key(one) != edition_key(two)


@pytest.mark.parametrize(
    ("title", "path", "text", "date"),
    [
        ("家用充电（2023年3月）", "x-2025.md", "Revised: 2024-01", "2023-03"),
        ("生物安全法", "生物安全法(2024-04-26).md", "2020年10月17日 通过", "2024-04-26"),
        ("Guide", "2023/guide.md", "", "2023"),
        ("Guide", "Guide_20240506.pdf", "", "2024-05-06"),
        ("Guide", "guide.md", "Edition September 2025, replaces that of March 2026.", "2025-09"),
        ("Guide", "guide.md", "Last updated on 3 May 2024", "2024-05-03"),
        ("Guide", "guide.md", "Release of March 5, 2024", ""),
        ("章程", "a.md", "本版取代 2023 年 3 月版。", ""),
        ("章程", "a.md", "（1997年3月14日通过 2020年12月26日修正）\n2021年3月施行", "2020-12-26"),
        ("章程", "a.md", "一九九五年三月二十六日公布", "1995-03-26"),
        ("章程", "a.md", "第九条 本条例自1998年10月1日起施行。", "1998-10-01"),
        ("章程", "a.md", "他于2019年3月入职。", ""),
        ("Model 2000 E", "model.md", "", ""),
        ("Notes 2024-13-45", "notes.md", "", "2024"),
    ],
)  # fmt: skip
def test_date_is_read_from_title_then_name_then_text(
    title: str, path: str, text: str, date: str
) -> None:
    assert edition_date(title, path, text) == date


def test_counted_editions() -> None:
    assert edition_number("员工手册 第十二版") == (12,)
    assert edition_number("Handbook, third edition") == (3,)
    assert edition_number("Handbook v2.10") > edition_number("Handbook v2.9")
    assert edition_number("Handbook") == ()


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=80))
def test_any_text_is_read_without_error(title: str, path: str, text: str) -> None:
    edition_key(title)
    edition_number(title)
    assert edition_date(title, path, text)[:2] in ("", "19", "20")

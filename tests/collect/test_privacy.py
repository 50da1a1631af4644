from __future__ import annotations

import time
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from stdnum import luhn
from stdnum.cn import ric

from flywheel.collect.personal.kinds import KINDS, PersonalKind
from flywheel.collect.personal.numbers import is_luhn, is_resident_id
from flywheel.collect.privacy import PrivacySettings, find, mask


def found(text: str, *kinds: PersonalKind) -> list[tuple[str, str]]:
    return [(item.kind, text[item.start : item.end]) for item in find(text, kinds or KINDS)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Write to a.b+c@ex-am.co.uk.", "email", "a.b+c@ex-am.co.uk"),
        ("邮箱abc@example.com联系", "email", "abc@example.com"),
        ("ａｂ＠ｅｘａｍｐｌｅ．ｃｏｍ", "email", "ａｂ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
        ("电话：010-62345678。", "phone", "010-62345678"),
        ("手机13812345678", "phone", "13812345678"),
        ("手机 138 1234 5678", "phone", "138 1234 5678"),
        ("１３８１２３４５６７８", "phone", "１３８１２３４５６７８"),
        ("请致电400-820-8820咨询", "phone", "400-820-8820"),
        ("传真(021)58881234", "phone", "(021)58881234"),
        ("or +86 138 1234 5678", "phone", "+86 138 1234 5678"),
        ("客服tel 85551234", "phone", "85551234"),
        ("Call (212) 555-0123 now", "phone", "(212) 555-0123"),
        ("at 1-800-411-1222 ext 55.", "phone", "1-800-411-1222 ext 55"),
        ("Tel.020 7946 0958", "phone", "020 7946 0958"),
        ("Phone: 03.93.92.16.85", "phone", "03.93.92.16.85"),
        ("身份证号11010519491231002X，", "resident_id", "11010519491231002X"),
        ("Here's my SSN: 460-89-9847", "ssn", "460-89-9847"),
        ("social security 460899847", "ssn", "460899847"),
        ("card 4111 1111 1111 1111.", "card", "4111 1111 1111 1111"),
        ("4111-1111-1111-1111", "card", "4111-1111-1111-1111"),
        ("3782 822463 10005", "card", "3782 822463 10005"),
        ("卡号6222021234567890128", "card", "6222021234567890128"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "iban", "DE89 3704 0044 0532 0130 00"),
        ("from gb82west12345698765432 to", "iban", "gb82west12345698765432"),
        ("server 192.168.1.10:80", "ip", "192.168.1.10"),
        ("|106.31.73.20|", "ip", "106.31.73.20"),
        ("网关 1.1.1.1", "ip", "1.1.1.1"),
        ("[2001:db8:0:0:0:0:0:1]:80", "ip", "2001:db8:0:0:0:0:0:1"),
        ("to ::ffff:192.168.1.10 and", "ip", "::ffff:192.168.1.10"),
        ("ping fe80::1: ok", "ip", "fe80::1"),
        ("MAC 00:1A:2B:3C:4D:5E.", "mac", "00:1A:2B:3C:4D:5E"),
        ("(see https://example.org/A_(b)).", "url", "https://example.org/A_(b)"),
        ("详见https://example.org/a?b=c@d.com。", "url", "https://example.org/a?b=c@d.com"),
        ("www.example.com/x, then", "url", "www.example.com/x"),
    ],
)
def test_personal_data_is_found_exactly(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "第1234567条 GB/T 19001-2016 京ICP备12345678号",
        "售价 ¥13,800,000 元，共1234567件",
        "160,000 km, 1 234 567, 1.234.567, 12.5 13.0 14.2 15.1",
        "ISBN 978-7-111-12345-6, ISSN 1234-5678",
        "2023-01-15 10:30:22, 2023.01.15, 20230115, 20230115103022, 15/01/2023",
        "1990-2000, pp. 1234-1240, part 5Q0-615-301, 0412-7788-99",
        "联系 2023-01-15 至 2023-02-20，电话会议 10:30-11:30",
        "电话 第 1234567 号",
        "version 1.2.3.4, Section 4.2.1.1, 见第4.2.1.1节",
        "4.2.1.1 Charging at home",
        "torque 120 110 100 90",
        "sha 3f786850e387550fdab836ed7e6dc881de23001b",
        "std::vector a::b Foo::Bar ::1 12:30:45",
        "统一社会信用代码 91310000MA1FL0000X",
        "icon@2x.png, root@localhost, @Override",
        "4111 1111 1111 1112",
        "110105194912310021",
        "11010519491331002X",
        "GB82 WEST 1234 5698 7654 33",
        "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567",
        "192.168.1.256, 1.2.3.4.5",
    ],
)
def test_other_figures_are_no_personal_data(text: str) -> None:
    assert found(text) == []


def test_a_link_covers_the_address_inside_it() -> None:
    text = "https://example.org/?to=ann@example.org"
    assert found(text) == [("url", text)]
    assert found(text, "email") == [("email", "ann@example.org")]


def test_masks_name_the_kind() -> None:
    text = "Ann: ann@example.org, 电话13812345678, 11010519491231002X."
    assert mask(text, find(text)) == "Ann: [EMAIL], 电话[PHONE], [RESIDENT_ID]."
    assert mask(text, find(text, ["phone"])) == text.replace("13812345678", "[PHONE]")


def test_text_without_findings_stays() -> None:
    assert mask("轮胎气压为 2.5 bar。", ()) == "轮胎气压为 2.5 bar。"


PIECES = st.lists(
    st.sampled_from(
        [
            "13812345678",
            "4111111111111111",
            "11010519491231002X",
            "460-89-9847",
            "a@b.co",
            "https://x.y/z",
            "::",
            ":",
            "-",
            ".",
            "192.168.1.10",
            "00:1A:2B:3C:4D:5E",
            "DE89370400440532013000",
            "phone",
            "card",
            "SSN",
            "[PHONE]",
            "555-0123",
            "(",
            "212",
            ")",
            "+86",
            "@",
            "1",
            "22",
            "333",
            "/",
            "电话",
            "fe80::1",
            "www.",
            "，",
            " ",
            "\n",
        ]
    ),
    max_size=14,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(PIECES | st.text())
@example("card phone 4111111111111111" + " " * 9 + "555-0123")
def test_findings_lie_in_order_within_the_text_and_masks_leave_none(text: str) -> None:
    findings = find(text)
    assert all(0 <= item.start < item.end <= len(text) for item in findings)
    assert all(a.end <= b.start for a, b in pairwise(findings))
    assert find(mask(text, findings)) == ()


@settings(max_examples=200, deadline=None)
@given(PIECES, st.sets(st.sampled_from(KINDS)))
def test_masking_some_kinds_leaves_none_of_them(text: str, kinds: set[PersonalKind]) -> None:
    assert find(mask(text, find(text, kinds)), kinds) == ()


@given(st.from_regex(r"\A[0-9]{2,19}\Z"))
def test_luhn_agrees_with_the_reference(digits: str) -> None:
    assert is_luhn(digits) == luhn.is_valid(digits)


@given(st.from_regex(r"\A110105(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])[0-9]{3}\Z"))
def test_exactly_one_check_character_makes_a_resident_id(front: str) -> None:
    valid = [check for check in "0123456789X" if is_resident_id(front + check)]
    assert valid == [ric.calc_check_digit(front + "0")]


def test_kinds_of_the_settings_are_checked() -> None:
    assert PrivacySettings(mask_documents=get_args(PersonalKind)).mask_documents == KINDS
    with pytest.raises(ValidationError):
        PrivacySettings.model_validate({"mask_documents": ["emial"]})


def test_a_log_of_many_addresses_takes_linear_time() -> None:
    log = "".join(f"ann{i}@example.org 192.168.7.{i % 250} 13812345678\n" for i in range(5000))
    start = time.process_time()
    assert len(find(log)) == 15_000
    assert time.process_time() - start < 10

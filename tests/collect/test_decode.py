"""Encodings, on texts as short as a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.collect.formats.decode import declared, decode

HANS = (
    "本手册说明车辆的使用方法与保养",
    "儿童锁在后门边上",
    "第三条 公司应当依法纳税。",
    "轮胎气压过低",
)
HANT = (
    "本手冊說明車輛的使用方法與保養",
    "兒童安全鎖位於後車門邊緣",
    "保固期限為三年",
    "如何更換電池？",
)
JAPANESE = (
    "チャイルドロックはリアドアの端にあります。",
    "名前,年齢,住所",
    "取扱説明書をお読みください",
)
WESTERN = ("Résumé of the café's menu", "El niño comió mañana", "Smart “quotes” – and dashes")


@pytest.mark.parametrize("text", [*HANS, *HANT, *JAPANESE, *WESTERN])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_with_or_without_a_mark(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("encoding", "texts"),
    [
        ("gb18030", HANS),
        ("big5", HANT),
        ("cp932", JAPANESE),
        ("euc_jp", JAPANESE),
        ("iso2022_jp", JAPANESE),
        ("cp1252", WESTERN),
    ],
)
def test_a_line_is_enough_to_tell_the_encoding(encoding: str, texts: tuple[str, ...]) -> None:
    for text in texts:
        assert decode(text.encode(encoding)) == text


def test_ascii_in_utf16_without_a_mark_is_read() -> None:
    assert decode("plain words".encode("utf-16-le")) == "plain words"
    assert decode("plain words".encode("utf-16-be")) == "plain words"


def test_what_the_file_declares_comes_before_guessing() -> None:
    page = '<meta charset="gb2312"><p>镕</p>'  # in GBK, not in GB 2312: as browsers read it
    assert declared(page.encode("gb18030")) == "gb2312"
    assert decode(page.encode("gb18030")) == page
    assert decode("Ж".encode("koi8-r"), "koi8-r") == "Ж"
    assert decode("é".encode("cp1252"), "no-such-encoding")


def test_a_character_cut_at_the_end_does_not_change_the_encoding() -> None:
    text = "手册" * 40
    assert decode(text.encode()[:-1]) == text[:-1]


@given(st.binary(max_size=400))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(decode(data), str)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_utf8_comes_back_as_it_was(text: str) -> None:
    if "\0" not in text and "\x1b" not in text:
        assert decode(text.encode()) == text.removeprefix("\ufeff")

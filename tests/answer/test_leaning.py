"""Whether a message leans on what was said before, by its form alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.answer.leaning import MAX_CHARACTERS, leans


@pytest.mark.parametrize(
    "message",
    [
        "and in winter?",
        "What about the rear ones?",
        "how do I turn it off?",
        "And fully loaded?",
        "for the hybrid",
        "Tern H",
        "in km/h?",
        "how long?",
        "why not?",
        "Which kind?",
        "at what speeds?",
        "what distance from the tyres?",
        "how many can be stored",
        "how long does a new one take",
        "is that covered by the warranty?",
        "does this harm the paint?",
        "what's the torque for those?",
        "what does this lamp mean",
        "what happens to the range then?",
        "does that apply to the hybrid as well?",
        "the seat belts too?",
        "how much can I put in there",
        "But what if I am in a hurry?",
        "no, I mean the front door",
        "ok, and the price?",
        "tell me more",
        "what is the second step?",
        "那冬天呢？",
        "它怎么关？",
        "后排的呢？",
        "后排的怎么放倒",
        "满载呢",
        "为什么呢",
        "怎么换？",
        "要多久",
        "能用多久？",
        "补一张要多少钱",
        "可以自己换吗",
        "这个多少钱",
        "这会丢失设置吗？",
        "他们能看到吗",
        "为什么这么慢？",
        "还是不行呢？",
        "我问的是后轮",
        "但是没有钥匙怎么办",
    ],
)
def test_what_names_no_subject_leans(message: str) -> None:
    assert leans(message)


@pytest.mark.parametrize(
    "message",
    [
        "How do I open the bonnet?",
        "And how do I open the bonnet?",
        "Where is the jack?",
        "wiper blade length",
        "torque for wheel nuts?",
        "Is it possible to tow a trailer?",
        "How long does it take to charge the car?",
        "Does it matter which oil the engine gets?",
        "It is raining. Which lights do I use?",
        "Is there a spare wheel?",
        "My key is lost. How do I replace it?",
        "I pressed the SOS button by mistake, how do I cancel that?",
        "Does the car have its own charging cable?",
        "What does the message that the card is too slow mean?",
        "What is that hissing noise from under the front when it is cold?",
        "Can this car drive through water?",
        "What about the tow bar, how heavy may a trailer be?",
        "how much does a new key cost",
        "One of my headlights is misted. Is that a defect?",
        "怎么充电",
        "雨刮片多长？",
        "充电要多久",
        "那怎么打开前舱盖？",
        "另外，轮胎多少年必须更换？",
        "这辆车有备胎吗",
        "那个三角形的警告灯是什么意思",
        "其他品牌的座椅套能用吗",
        "手机放在充电板上，它为什么不充电？",
        "如果轮胎漏气，这时该怎么办",
        "为什么空调不冷呢",
        "机油标号",
        "其实我想知道备胎在哪里",
    ],
)
def test_what_names_its_own_subject_leans_on_nothing(message: str) -> None:
    assert not leans(message)


@pytest.mark.parametrize("message", ["", "  \n", "?", "…"])
def test_nothing_leans_on_nothing(message: str) -> None:
    assert not leans(message)


@pytest.mark.parametrize("message", ["and then? ", "那然后呢？"])
def test_whoever_writes_much_says_what_it_is_about(message: str) -> None:
    assert leans(message)
    assert not leans(message * MAX_CHARACTERS)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_can_be_judged(message: str) -> None:
    assert leans(message) in (True, False)

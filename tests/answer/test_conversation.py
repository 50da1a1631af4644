"""Follow-up questions are put behind what they lean on; all others come back as they are."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flywheel.answer.conversation import MAX_CHARACTERS, NUM_REMEMBERED, standalone
from flywheel.records import Message


def talk(*turns: str) -> list[Message]:
    """A conversation, the user and the assistant by turns."""
    return [
        Message(role="assistant" if place % 2 else "user", content=text)
        for place, text in enumerate(turns)
    ]


CHARGING = ("How do I charge at home?", "Use a wallbox.")
BRAKING = ("自动驻车怎么打开？", "按下 HOLD 键。")
CHOOSING = ("How do I charge?", "Which of these do you mean?\n- Charging at home\n- Fast charging")
CHOOSING_ZH = ("怎么充电？", "您问的是哪一项？\n- 家用充电\n- 直流快充")


@pytest.mark.parametrize(
    ("turns", "question"),
    [
        ((*CHARGING, "And in winter?"), "How do I charge at home? And in winter?"),
        (("how do I charge at home", "…", "in winter?"), "how do I charge at home, in winter?"),
        ((*BRAKING, "它怎么关？"), "自动驻车怎么打开？它怎么关？"),
        (("前轮胎压多少", "2.5 bar。", "后轮呢？"), "前轮胎压多少，后轮呢？"),
        ((*CHOOSING, "the second one"), "How do I charge? Fast charging"),
        ((*CHOOSING, "2"), "How do I charge? Fast charging"),
        ((*CHOOSING, "at home, please"), "How do I charge? Charging at home"),
        ((*CHOOSING, "fast"), "How do I charge? Fast charging"),
        ((*CHOOSING, "the last one"), "How do I charge? Fast charging"),
        ((*CHOOSING, "I mean fast charging"), "How do I charge? Fast charging"),
        ((*CHOOSING_ZH, "第一个"), "怎么充电？家用充电"),
        ((*CHOOSING_ZH, "直流的"), "怎么充电？直流快充"),
        ((*CHOOSING_ZH, "最后一个"), "怎么充电？直流快充"),
    ],
)
def test_a_follow_up_is_put_behind_what_it_leans_on(turns: tuple[str, ...], question: str) -> None:
    assert standalone(talk(*turns)) == question


@pytest.mark.parametrize(
    "last",
    [
        "  How do I open the bonnet? ",
        "And how do I open the bonnet?\n",
        "My key is lost. How do I replace it?",
        "How warm must the battery be for fast charging?",
        "thanks!",
        "雨刮片多长？",
        "那怎么打开前舱盖？",
        "直流快充的最大功率是多少？",
        "手机放在充电板上，它为什么不充电？",
        "谢谢",
        "",
    ],
)
@pytest.mark.parametrize("before", [(), CHARGING, BRAKING, CHOOSING, CHOOSING_ZH])
def test_what_stands_alone_comes_back_to_the_character(before: tuple[str, ...], last: str) -> None:
    assert standalone(talk(*before, last)) == last


def test_the_first_message_leans_on_nothing() -> None:
    assert standalone(talk("And in winter?")) == "And in winter?"
    assert standalone(talk("那冬天呢？")) == "那冬天呢？"


def test_where_the_user_says_nothing_nothing_is_asked() -> None:
    assert standalone([]) == ""
    assert standalone([Message(role="system", content="Be brief.")]) == ""


def test_a_chain_keeps_its_subject_and_what_was_last_said_of_it() -> None:
    chain = talk(*CHARGING, "And in winter?", "…", "How long does it take?", "…", "and at 7 kW?")
    assert standalone(chain) == "How do I charge at home? How long does it take? and at 7 kW?"


def test_a_new_subject_ends_the_old_one() -> None:
    turns = (*CHARGING, "How do I open the bonnet?", "…", "and the boot?")
    assert standalone(talk(*turns)) == "How do I open the bonnet? and the boot?"


def test_thanks_do_not_end_a_subject() -> None:
    turns = (*CHARGING, "thanks", "You are welcome.", "And in winter?")
    assert standalone(talk(*turns)) == "How do I charge at home? And in winter?"


def test_what_the_assistant_says_is_used_only_where_it_offers_a_choice() -> None:
    turns = ("How do I charge?", "Use a wallbox of 11 kW.", "how long does it take?")
    assert "11 kW" not in standalone(talk(*turns))
    steps = ("How do I charge?", "Like this.\n- Plug in the cable\n- Wait", "the cable")
    assert standalone(talk(*steps)) == "How do I charge? the cable"
    one = ("How do I charge?", "Steps:\n- Plug in the cable", "the first one?")
    assert "Plug" not in standalone(talk(*one))


@pytest.mark.parametrize(
    ("first", "choices"),
    [("What about tyres?", ("Tyres", "Tyres in winter")), ("轮胎呢？", ("轮胎", "轮胎换季"))],
)
def test_a_choice_whose_name_begins_anothers_is_chosen_by_its_whole_name(
    first: str, choices: tuple[str, str]
) -> None:
    ask_back = "Which of these do you mean?\n" + "\n".join(f"- {each}" for each in choices)
    for choice in choices:
        assert standalone(talk(first, ask_back, choice)).endswith(choice)
        assert standalone(talk(first, ask_back, choice)) != choice


def test_what_names_none_or_several_of_the_choices_chooses_none() -> None:
    assert standalone(talk(*CHOOSING, "charging")) == "How do I charge? charging"
    assert standalone(talk(*CHOOSING, "9")) == "How do I charge? 9"


def test_messages_of_the_system_and_after_the_last_question_say_nothing() -> None:
    messages = [
        Message(role="system", content="Answer in French."),
        *talk(*CHARGING, "And in winter?", "It takes longer."),
    ]
    assert standalone(messages) == "How do I charge at home? And in winter?"


def test_messages_of_the_user_may_follow_each_other() -> None:
    messages = [Message(role="user", content=each) for each in (CHARGING[0], "And in winter?")]
    assert standalone(messages) == "How do I charge at home? And in winter?"


def test_a_long_conversation_is_not_looked_back_on_for_ever() -> None:
    turns = [*CHARGING, *("why?", "…") * NUM_REMEMBERED, "and then?"]
    assert "charge" not in standalone(talk(*turns))


def test_what_is_put_before_has_a_bound() -> None:
    long = "How do I charge at home? " * MAX_CHARACTERS
    question = standalone(talk(long, "…", "And in winter?", "…", "why is that?"))
    assert len(question) < MAX_CHARACTERS + 50
    assert question.endswith("why is that?")


def test_a_reply_that_is_nothing_but_choices_and_a_very_long_message_are_read_in_part() -> None:
    reply = "Which?" + "\n" * 100_000 + "- Charging at home\n" * 50_000
    assert standalone(talk("How do I charge?", reply, "the second")).endswith("Charging at home")
    long = "the second one " * 50_000
    assert standalone(talk(*CHOOSING, long)) == long


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=()), max_size=40), max_size=8))
@example(["怎么充电？", "一\ud800"])
def test_any_conversation_ends_in_its_last_message_or_a_choice(turns: list[str]) -> None:
    messages = talk(*turns)
    last = next((each.content for each in reversed(messages) if each.role == "user"), "")
    question = standalone(messages)
    assert question == last or question.endswith(last.lstrip()) or "\n" in "".join(turns)

"""The cache: an answer is given again where it would be the same, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.records import PUBLIC, Answer
from flywheel.search.index import Reader
from flywheel.serve.cache import MAX_CHARACTERS, AnswerCache, Found, Place
from flywheel.wheel.serving import CacheSettings

HERE = Place(version=1, reader=Reader(), sampling=())
ENGLISH = "How do I change the wiper blades?"
CHINESE = "雨刮片怎么更换？"


def answer(question: str, text: str = "As the manual says.", **changes: Any) -> Answer:
    made = Answer(
        question=question,
        answer=text,
        draft=text,
        kind="answer",
        confidence=0.9,
        citations=(),
        passages=(),
        version=1,
        timings_ms={"total": 12.0},
    )
    return replace(made, **changes)


def cache_of(
    *questions: str, place: Place = HERE, size: int = 2_000, **changes: Any
) -> AnswerCache:
    cache = AnswerCache(CacheSettings(size=size))
    give(cache, questions, place, **changes)
    return cache


def give(cache: AnswerCache, questions: Iterable[str], place: Place = HERE, **changes: Any) -> None:
    for question in questions:
        cache.find(question, place)
        cache.put(question, place, [answer(question, f"To: {question}", **changes)])


def how(cache: AnswerCache, question: str, place: Place = HERE) -> str:
    found = cache.find(question, place)
    return found.how if found else ""


def of_labels(*labels: str, hidden: Iterable[str] = (), widened: Iterable[str] = ()) -> Place:
    access = tuple(sorted({PUBLIC, *labels}))
    return replace(HERE, reader=Reader(access=access, hidden=(*hidden,), widened=(*widened,)))


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (ENGLISH, ENGLISH),
        (ENGLISH, "hello,  how do i change the WIPER blades, please"),
        ("May I tow 1,000 kg?", "may I tow 1000 kg"),
        (CHINESE, CHINESE),
        (CHINESE, "您好，请问雨刮片怎么更换呢"),
        ("Ｈow do I open the bonnet?", "How do I open the bonnet"),
    ],
)
def test_the_same_question_is_answered_again(question: str, asked: str) -> None:
    found = cache_of(question).find(asked, HERE)
    first = answer(asked, f"To: {question}")
    assert found == Found(candidates=(first,), how="exact", asked=question)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (ENGLISH, "how to replace the wiper blade"),
        ("Can I book a hotel?", "Am I allowed to reserve a hotel?"),
        (CHINESE, "如何换雨刷片"),
        ("年假可以留到明年吗？", "年假能不能结转到下一年"),
    ],
)
def test_a_paraphrase_is_given_an_answer(question: str, asked: str) -> None:
    cache = cache_of(question)
    found = cache.find(asked, HERE)
    assert found
    assert (found.how, found.asked) == ("paraphrase", question)
    assert found.candidates[0].question == asked, "nobody is shown another one's words"


def test_where_paraphrases_are_off_only_the_same_question_is_answered() -> None:
    cache = AnswerCache(CacheSettings(paraphrases=False))
    give(cache, [ENGLISH])
    assert how(cache, ENGLISH) == "exact"
    assert how(cache, "how to replace the wiper blade") == ""


@pytest.mark.parametrize("kind", ["ask_back", "abstain"])
def test_other_words_may_find_what_these_did_not(kind: str) -> None:
    cache = cache_of(ENGLISH, kind=kind)
    assert how(cache, ENGLISH) == "exact"
    assert how(cache, "how to replace the wiper blade") == ""


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Is 12 V enough?", "Is 24 V enough?"),
        ("Is .5 mg safe?", "Is 5 mg safe?"),
        ("Do I take ½ a pill?", "Do I take 1 2 a pill?"),
        ("Is it fine at -5 °C?", "Is it fine at 5 °C?"),
        ("Is it fine at –5 °C?", "Is it fine at 5 °C?"),
        ("Is it fine at 5 °C?", "Is it fine at 5 °F?"),
        ("Is ≥ 7 good?", "Is ≤ 7 good?"),
        ("Is 5 % taxed?", "Is 5 ‰ taxed?"),
        ("Is 5 mW safe?", "Is 5 MW safe?"),
        ("Is 100 Mb enough?", "Is 100 MB enough?"),
        ('Is a 6" pipe allowed?', "Is a 6' pipe allowed?"),
        ("Is 5 cm enough?", "Is 5 mm enough?"),
        ("Which rooms are locked?", "Which rooms are not locked?"),
        ("Can I go with a visa?", "Can I go without a visa?"),
        ("Is WHO responsible?", "Is who responsible?"),
        ("Can you ship it to US?", "Can you ship it to us?"),
        ("Does Tom pay Eva?", "Does Eva pay Tom?"),
        ("May the bank sue the client?", "May the client sue the bank?"),
        ("Is the Tern E quiet?", "Is the Tern H quiet?"),
        ("Is hepatitis A dangerous?", "How dangerous is hepatitis?"),
        ("What is a seat of type I?", "What is a seat of a type?"),
        ("A楼的电梯在哪里？", "楼里的电梯在哪里？"),
        ("Is it open on 3 June?", "Is it open on 3 July?"),
        ("Is it open today?", "Is it open tomorrow?"),
        ("Is the door to the left open?", "Is the door to the right open?"),
        ("请假三天要谁批？", "请假五天要谁批？"),
        ("温度-5度能用吗？", "温度5度能用吗？"),
        ("重量≤20公斤免费吗？", "重量≥20公斤免费吗？"),
        ("带宽100Mb够吗？", "带宽100MB够吗？"),
        ("5厘米够吗？", "5毫米够吗？"),
        ("哪些费用可以报？", "哪些费用不可以报？"),
        ("有证能进吗？", "无证能进吗？"),
        ("张伟的座位在哪", "张卫的座位在哪"),
        ("刘洋是孙丽的领导吗？", "孙丽是刘洋的领导吗？"),
        ("老师可以罚学生吗？", "学生可以罚老师吗？"),
        ("先交钱再看房行吗？", "先看房再交钱行吗？"),
        ("5月1日放假吗？", "5月2日放假吗？"),
        ("上午几点开门？", "下午几点开门？"),
        ("What is the wifi password?", "WiFi密码是什么？"),
        ("停车费多少钱？", "How much is the parking fee?"),
        ("轮胎怎么换？", "輪胎怎麼換？"),
        ("VPN", "ＶＰＮ是什么"),
    ],
)
def test_another_question_is_not_given_this_answer(question: str, asked: str) -> None:
    assert how(cache_of(question), asked) == ""
    assert how(cache_of(asked), question) == ""


@pytest.mark.parametrize(
    "changes",
    [{"correction": "c1"}, {"verified": True}, {"shortfall": "The engine did not answer."}],
)
def test_what_may_be_otherwise_next_time_is_not_kept(changes: dict[str, Any]) -> None:
    cache = cache_of(ENGLISH, CHINESE, **changes)
    assert len(cache) == 0
    assert how(cache, ENGLISH) == ""


def test_one_candidate_that_is_not_kept_keeps_them_all_out() -> None:
    cache = AnswerCache(CacheSettings())
    cache.find(ENGLISH, HERE)
    cache.put(ENGLISH, HERE, [answer(ENGLISH), answer(ENGLISH, shortfall="Cut off.")])
    cache.put(ENGLISH, HERE, [])
    assert len(cache) == 0


@pytest.mark.parametrize(
    "question",
    ["Why was a mail sent to anna.berg@example.org?", "我的手机号是13812345678，怎么注销？"],
)
def test_a_question_with_personal_data_is_not_kept(question: str) -> None:
    assert len(cache_of(question)) == 0


def test_a_very_long_question_is_not_kept() -> None:
    question = "why " * MAX_CHARACTERS
    assert len(cache_of(question)) == 0
    assert len(cache_of(question[:MAX_CHARACTERS])) == 1


@pytest.mark.parametrize("asked", [ENGLISH, "how to replace the wiper blade"])
@pytest.mark.parametrize(
    "elsewhere",
    [
        of_labels("board"),
        of_labels("board", "finance"),
        replace(HERE, sampling=("temperature", 0.7)),
        replace(HERE, num_candidates=3),
        replace(HERE, version=2),
        replace(HERE, num_erasures=1),
        of_labels(hidden=["d1"]),
        of_labels(widened=["d1"]),
    ],
    ids=str,
)
def test_an_answer_holds_in_its_own_place_only(elsewhere: Place, asked: str) -> None:
    assert how(cache_of(ENGLISH), asked, elsewhere) == ""
    assert how(cache_of(ENGLISH, place=elsewhere), asked) == ""


@given(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc")))
@settings(max_examples=50, deadline=None)
def test_no_answer_crosses_labels(one: set[str], other: set[str]) -> None:
    cache = cache_of(ENGLISH, CHINESE, place=of_labels(*one))
    found = how(cache, ENGLISH, of_labels(*other))
    assert bool(found) == (one == other)


def test_answers_of_several_labels_are_kept_side_by_side() -> None:
    cache = cache_of(ENGLISH, place=of_labels("board"))
    give(cache, [ENGLISH], of_labels("service"))
    assert len(cache) == 2
    assert how(cache, ENGLISH, of_labels("board")) == "exact"
    assert how(cache, ENGLISH, of_labels("service")) == "exact"


def test_a_newer_version_drops_what_older_ones_said() -> None:
    cache = cache_of(ENGLISH, CHINESE)
    assert how(cache, ENGLISH, replace(HERE, version=2)) == ""
    assert len(cache) == 0


def test_an_older_version_that_is_asked_by_its_number_drops_nothing() -> None:
    newer = replace(HERE, version=2)
    cache = cache_of(ENGLISH, place=newer)
    give(cache, [ENGLISH])
    assert how(cache, ENGLISH, newer) == "exact"
    assert how(cache, ENGLISH) == "exact"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (of_labels(), of_labels(hidden=["d1"])),
        (of_labels("board"), of_labels("board", widened=["d1"])),
        (of_labels("board", widened=["d1"]), of_labels("board", hidden=["d1"])),
        (of_labels("board", hidden=["d1"]), of_labels("service", hidden=["d1", "d2"])),
        (of_labels(), replace(HERE, num_erasures=1)),
        (of_labels(hidden=["d1"]), replace(of_labels(hidden=["d1"]), num_erasures=1)),
    ],
)
def test_changed_documents_drop_what_was_said_before_whoever_asks(
    before: Place, after: Place
) -> None:
    cache = cache_of(ENGLISH, CHINESE, place=before)
    assert len(cache) == 2
    assert how(cache, "Something else", after) == ""
    assert len(cache) == 0


def test_the_same_change_as_other_labels_see_it_drops_nothing() -> None:
    """What is hidden from the one is shown to the other: it is one change."""
    cache = cache_of(ENGLISH, place=of_labels("board", widened=["d1"]))
    assert how(cache, ENGLISH, of_labels("service", hidden=["d1"])) == ""
    assert len(cache) == 1


@pytest.mark.parametrize(
    "later",
    [replace(HERE, version=2), replace(HERE, num_erasures=1), of_labels(hidden=["d1"])],
    ids=str,
)
def test_an_answer_that_went_stale_while_it_was_made_is_not_kept(later: Place) -> None:
    cache = AnswerCache(CacheSettings())
    assert cache.find(ENGLISH, HERE) is None
    assert cache.find(CHINESE, later) is None
    cache.put(ENGLISH, HERE, [answer(ENGLISH)])
    assert len(cache) == 0


def test_a_cleared_cache_keeps_nothing_nor_what_is_on_its_way() -> None:
    cache = cache_of(ENGLISH)
    assert cache.find(CHINESE, HERE) is None
    cache.clear()
    cache.put(CHINESE, HERE, [answer(CHINESE)])
    assert len(cache) == 0
    give(cache, [CHINESE])
    assert how(cache, CHINESE) == "exact"


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = cache_of(CHINESE, "Where is the jack?", ENGLISH, size=3)
    assert how(cache, "Where is the jack?") == "exact"
    assert how(cache, "如何换雨刷片") == "paraphrase", "a paraphrase is a use, too"
    give(cache, ["What is the top speed?"])
    assert len(cache) == 3
    assert how(cache, ENGLISH) == ""
    assert how(cache, "how to replace the wiper blade") == ""
    give(cache, ["How long is the car?"])
    assert how(cache, "Where is the jack?") == ""
    assert how(cache, CHINESE) == "exact"


def test_a_cache_of_no_size_keeps_nothing() -> None:
    cache = cache_of(ENGLISH, size=0)
    assert len(cache) == 0
    assert how(cache, ENGLISH) == ""


def test_a_question_that_is_answered_again_is_kept_once_with_its_last_answer() -> None:
    cache = cache_of(ENGLISH)
    cache.put("how do I change the wiper blades", HERE, [answer(ENGLISH, "Otherwise.")])
    assert len(cache) == 1
    for asked in (ENGLISH, "how to replace the wiper blade"):
        found = cache.find(asked, HERE)
        assert found
        assert found.candidates[0].answer == "Otherwise."


def test_all_candidates_are_given_again() -> None:
    place = replace(HERE, num_candidates=2)
    cache = AnswerCache(CacheSettings())
    cache.find(ENGLISH, place)
    both = [answer(ENGLISH, "First."), answer(ENGLISH, "Second.")]
    cache.put(ENGLISH, place, both)
    found = cache.find(ENGLISH, place)
    assert found
    assert found.candidates == tuple(both)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_any_text_can_be_asked_and_is_found_again(question: str) -> None:
    cache = cache_of(question)
    assert how(cache, question) == ("exact" if len(cache) else "")


def test_many_threads_share_it() -> None:
    cache = AnswerCache(CacheSettings(size=20))
    places = [of_labels(label) for label in "abcd"]

    def use(number: int) -> bool:
        place = places[number % len(places)]
        question = f"Where is item {number % 30}?"
        found = cache.find(question, place)
        cache.put(question, place, [answer(question, str(place.reader.access))])
        return found is None or found.candidates[0].answer == str(place.reader.access)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(800)))
    assert len(cache) == 20

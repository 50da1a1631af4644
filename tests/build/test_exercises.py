"""Exercises ask as serving asks: the right passage among others, cited by number, or left out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from flywheel.answer.prompt import UNTOLD
from flywheel.build import exercises
from flywheel.build.exercises import Exercises, Library, made, preferred, taught
from flywheel.build.overlap import Overlap
from flywheel.records import Conversation, Example, ExamQuestion, Hit, Passage, Preference
from flywheel.search.frequencies import Frequencies
from flywheel.search.terms import term_ids

PARTS = (
    *("mirror", "lamp", "wiper", "gearbox", "radiator", "carpet", "pedal", "antenna", "sunroof"),
    *("bumper", "horn", "fuse", "clutch", "alternator", "exhaust", "muffler", "hubcap", "throttle"),
)
ZH_PARTS = (
    "后视镜",
    "前照灯",
    "雨刮器",
    "变速箱",
    "散热器",
    "地毯",
    "踏板",
    "天线",
    "天窗",
    "喇叭",
)


def passage(document: str, heading: str, text: str, language: str = "en") -> Passage:
    return Passage(
        id=document,
        document=document,
        title="Manual",
        headings=(heading,),
        text=text,
        language="en" if language == "en" else "zh-hans",
        position=0,
    )


PASSAGES = (
    *(
        passage(
            part,
            f"Replacing the {part}",
            f"To replace the {part}, loosen both screws of the {part} cover. "
            f"The workshop disposes of the old {part} properly for {place + 10} euros.",
        )
        for place, part in enumerate(PARTS)
    ),
    *(
        passage(
            part,
            f"更换{part}",
            f"更换{part}之前先关闭电源，然后松开两颗螺钉，把{part}向外拉出。旧{part}须交维修站处理。",
            "zh",
        )
        for part in ZH_PARTS
    ),
)
BY_ID = {each.id: each for each in PASSAGES}


def count_tokens(text: str) -> int:
    return len(re.findall(r"[A-Za-z]+|\d|[^\w\s]|[^\x00-\x7f]|\s+", text))


def search(question: str) -> list[Hit]:
    asked = set(term_ids(question).tolist())
    scored = [
        Hit(passage=each, score=float(len(asked & set(term_ids(each.text).tolist()))))
        for each in PASSAGES
    ]
    return sorted(scored, key=lambda hit: (-hit.score, hit.passage.id))[:12]


def frequencies() -> Frequencies:
    counted = Frequencies.empty()
    for each in PASSAGES:
        counted.add(term_ids(each.text))
    return counted


LIBRARY = Library(
    passages=PASSAGES,
    search=search,
    frequencies=frequencies(),
    context_tokens=1200,
    count_tokens=count_tokens,
)


def asked_and_told(conversation: Conversation) -> tuple[str, str]:
    asked, told = conversation.messages
    assert (asked.role, told.role) == ("user", "assistant")
    return asked.content, told.content


def blocks(prompt: str) -> dict[int, str]:
    found = re.findall(r"\[(\d+)\] (.*?)\n\[/\1\]", prompt, re.DOTALL)
    return {int(number): text for number, text in found}


def sentences_with_numbers(told: str) -> list[tuple[str, int]]:
    return [(text.strip(), int(n)) for text, n in re.findall(r"(.+?[.。]) ?\[(\d+)\]", told)]


def is_untold(told: str) -> bool:
    return told in UNTOLD.values()


def test_answer_of_a_made_question_is_quoted_from_the_passage_that_it_names() -> None:
    exercises = made(LIBRARY, 60)
    answered = [each for each in exercises.conversations if not is_untold(asked_and_told(each)[1])]
    assert len(answered) > 20
    for each in answered:
        prompt, told = asked_and_told(each)
        quoted = sentences_with_numbers(told)
        assert quoted
        for sentence, number in quoted:
            assert sentence in blocks(prompt)[number]
    assert not exercises.dropped


def test_right_passage_stands_at_any_place_among_others() -> None:
    told = [asked_and_told(each)[1] for each in made(LIBRARY, 60).conversations]
    places = Counter(int(match[1]) for text in told if (match := re.search(r"\[(\d+)\]", text)))
    assert len(places) >= 5
    assert max(places.values()) < 0.6 * places.total()


def test_about_a_quarter_is_untold_in_its_own_language_and_no_passage_shown_tells() -> None:
    library = replace(LIBRARY, seed=3)
    conversations = made(library, 100).conversations
    untold = [each for each in conversations if is_untold(asked_and_told(each)[1])]
    assert 0.1 < len(untold) / len(conversations) < 0.45
    for each in untold:
        prompt, told = asked_and_told(each)
        question = prompt.splitlines()[-1]
        assert told == UNTOLD["zh" if question.startswith("问题") else "en"]


def test_the_same_for_the_same_seed_and_question() -> None:
    assert made(LIBRARY, 40) == made(LIBRARY, 40)
    assert made(LIBRARY, 40) != made(replace(LIBRARY, seed=2), 40)
    many = [correction(part) for part in PARTS]
    alone = [taught(LIBRARY, [each]).conversations for each in many]
    assert taught(LIBRARY, many).conversations == tuple(each for (each,) in alone)


def correction(part: str, answer: str = "", weight: float = 1.0) -> Example:
    return Example(
        id=f"feedback-{part}",
        question=f"Who takes the old {part}?",
        answer=answer or f"Good question! The workshop disposes of the old {part} properly.",
        evidence=(f"The workshop disposes of the old {part} properly",),
        passages=(part,),
        weight=weight,
    )


def test_correction_is_learned_with_its_weight_and_cited_where_a_passage_supports_it() -> None:
    conversations = taught(LIBRARY, [correction(part, weight=0.5) for part in PARTS]).conversations
    assert {each.weight for each in conversations} == {0.5}
    answered = [each for each in conversations if not is_untold(asked_and_told(each)[1])]
    assert 0.5 < len(answered) / len(PARTS) < 1
    for each in answered:
        prompt, told = asked_and_told(each)
        found = re.fullmatch(r"Good question! The workshop .* old (\w+) .*\. \[(\d+)\]", told)
        assert found
        assert f"Replacing the {found[1]}\n" in blocks(prompt)[int(found[2])]


def test_own_numbers_and_control_tokens_of_an_answer_are_not_learned() -> None:
    answer = "The workshop disposes of the old lamp properly. [7]<|im_end|>"
    library = replace(LIBRARY, seed=next(s for s in range(9) if answered_with(s, "lamp")))
    (each,) = taught(library, [correction("lamp", answer)]).conversations
    told = asked_and_told(each)[1]
    assert "[7]" not in told
    assert "<|" not in told


def answered_with(seed: int, part: str) -> bool:
    (each,) = taught(replace(LIBRARY, seed=seed), [correction(part)]).conversations
    return not is_untold(asked_and_told(each)[1])


def test_what_was_only_named_as_right_is_quoted() -> None:
    examples = [replace(correction(part), answer="", evidence=()) for part in PARTS]
    told = [asked_and_told(each)[1] for each in taught(LIBRARY, examples).conversations]
    for text in (each for each in told if not is_untold(each)):
        for sentence, _ in sentences_with_numbers(text):
            assert any(sentence in each.text for each in PASSAGES)


def test_only_given_passages_are_shown() -> None:
    given = PASSAGES[::2]
    library = replace(LIBRARY, passages=given)
    left_out = [part for part in PARTS if BY_ID[part] not in given]
    every = [*made(library, 40).conversations]
    every += taught(library, [correction(part) for part in PARTS]).conversations
    for each in every:
        shown = blocks(asked_and_told(each)[0]).values()
        assert not any(f"Replacing the {part}\n" in text for text in shown for part in left_out)
    dropped = taught(library, [correction(part) for part in PARTS]).dropped
    assert {each.id for each in dropped} == {f"feedback-{part}" for part in left_out}
    assert {each.reason for each in dropped} == {exercises.NOT_GIVEN}


def test_small_context_still_shows_what_answers() -> None:
    library = replace(LIBRARY, context_tokens=200)
    for each in made(library, 40).conversations:
        prompt, told = asked_and_told(each)
        assert count_tokens(prompt) <= 200
        for sentence, number in sentences_with_numbers(told):
            assert sentence in blocks(prompt)[number]


def test_without_room_for_what_answers_there_is_no_exercise() -> None:
    assert_dropped(taught(replace(LIBRARY, context_tokens=75), answered()), exercises.NO_ROOM)


def answered() -> list[Example]:
    return [correction(part) for part in PARTS if answered_with(1, part)][:1]


def assert_dropped(of: Exercises, reason: str) -> None:
    assert not of.conversations
    assert not of.pairs
    assert [each.reason for each in of.dropped] == [reason]


def test_refused_answer_alone_teaches_no_words() -> None:
    refused = Example(id="1", question="Who takes it?", rejected=("lamp",))
    assert_dropped(taught(LIBRARY, [refused]), exercises.NO_ANSWER)


def test_preference_is_put_as_serving_would_ask_and_both_answers_are_cited() -> None:
    preference = Preference(
        id="1",
        question="Who takes the old lamp?",
        chosen="The workshop disposes of the old lamp properly.",
        rejected="Loosen both screws of the lamp cover.",
        weight=0.25,
    )
    (pair,) = preferred(LIBRARY, [preference]).pairs
    (message,) = pair.prompt
    assert pair.weight == 0.25
    assert "Question: Who takes the old lamp?" in message.content
    for reply in (pair.chosen, pair.rejected):
        (found,) = sentences_with_numbers(reply)
        assert "lamp" in blocks(message.content)[found[1]]
    same = replace(preference, rejected=preference.chosen + " [3]")
    assert_dropped(preferred(LIBRARY, [same]), exercises.SAME_REPLIES)


@pytest.mark.parametrize("exam", ["Who takes the old lamp?", "who takes the OLD lamp"])
def test_questions_of_the_exam_are_left_out(exam: str) -> None:
    library = replace(LIBRARY, exam=Overlap([ExamQuestion(id="1", question=exam)]))
    assert_dropped(taught(library, [correction("lamp")]), exercises.IN_EXAM)
    every = made(LIBRARY, 30).conversations
    first = asked_and_told(every[0])[0].splitlines()[-1].split(": ")[-1].split("：")[-1]
    held = replace(LIBRARY, exam=Overlap([ExamQuestion(id="1", question=first)]))
    assert every[0] not in made(held, 30).conversations

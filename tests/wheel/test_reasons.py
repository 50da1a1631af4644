"""Every sentence that the wheel says of a decision leads back to what it was made from."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flywheel.answer.write import Collector, Sentence
from flywheel.learn.objections import ERASED, REASONS
from flywheel.records import Citation
from flywheel.wheel.gate import FIRST, UNEXAMINED
from flywheel.wheel.reasons import FORMS, Count, Reason, counts, read, say
from flywheel.wheel.stages import HELD_OUT

VALUES: dict[str, Any] = {
    "metric": "evidence_recall_at_10",
    "before": "0.745",
    "after": "0.818",
    "low": "+0.021",
    "alpha": "0.0025",
    "smallest": "0.082",
    "margin": "0.05",
    "loss": "1.00",
    "share": "0.83",
    "number": "12",
    "count": "7",
    "total": "160",
    "high": "0.89",
    "short": "3",
    "untold": "0",
    "seconds": "1.4",
    "percent": "40%",
    "language": "Chinese",
    "decision": "kept",
    "questions": "1 question is",
    "wait": "18 questions wait",
    "reason": say("first"),
    "shortfall": "the model wrote nothing",
    "saving": say("of_bytes", count=1000),
    "as_good": say("guarded", metric="answer_f1", before="0.1", after="0.1", low="-0.010"),
    "falls": say("incomparable", metric="answer_f1"),
    "counts": "2 near-tie",
}
"""One of each value, as the wheel writes it."""


def names(form: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", FORMS[form])


@pytest.mark.parametrize("form", FORMS)
def test_reason_leads_back_to_its_form_and_values(form: str) -> None:
    given = {name: VALUES[name] for name in names(form)}
    found = read(say(form, **given))
    assert (found.form, found.text) == (form, say(form, **given))
    assert {*found.values, *found.parts} == set(given)
    for name, value in found.values.items():
        whole = name == "counts" or name not in ("questions", "wait")
        assert value == (given[name] if whole else given[name].split()[0])
    for name, parts in found.parts.items():
        expected = ["first", "of_bytes", "guarded", "incomparable", "wrote_nothing"]
        assert [each.form in expected for each in parts] == [True], name


def test_values_may_be_of_any_sign_and_size() -> None:
    for low in ("-0.000", "+1.000", "+nan", "-inf", "1e-05"):
        text = say("gains", **{name: VALUES[name] for name in names("gains")} | {"low": low})
        assert read(text).values["low"] == low


def test_several_falls_are_told_apart() -> None:
    values = {name: VALUES[name] for name in names("too_few")}
    falls = [
        say("too_few", **values),
        say("may_fall", **{name: VALUES[name] for name in names("may_fall")}),
        say("lost", metric="answer_f1"),
        say("incomparable", metric="evidence_mrr"),
    ]
    saving = say("of_time", high="0.81", count=100)
    text = say("not_as_good", share="0.72", saving=saving, number=3, falls="; ".join(falls))
    found = read(text)
    assert [each.form for each in found.parts["falls"]] == [
        "too_few",
        "may_fall",
        "lost",
        "incomparable",
    ]
    assert [each.form for each in found.parts["saving"]] == ["of_time"]


def test_all_that_is_as_good_is_told_apart() -> None:
    values = {name: VALUES[name] for name in names("guarded")}
    as_good = ", ".join([say("guarded", **values)] * 3)
    text = say("cheaper", share="0.72", saving=say("of_bytes", count=7), number=3, as_good=as_good)
    assert [each.form for each in read(text).parts["as_good"]] == ["guarded"] * 3


def test_sentence_in_a_sentence_is_read_too() -> None:
    inner = say("no_gain", **{name: VALUES[name] for name in names("no_gain")})
    outer = say("before_that", number=2, decision="kept", reason=inner)
    assert read(outer).parts["reason"][0].form == "no_gain"
    writes = say("writes", language="English", reason=inner)
    assert read(writes).parts["reason"][0].values["metric"] == "evidence_recall_at_10"


def test_all_that_is_left_out_is_counted_by_its_reason() -> None:
    every = (*REASONS, ERASED, *HELD_OUT.values())
    text = say("left_out", counts=", ".join(f"{num} {why}" for num, why in enumerate(every, 1)))
    found = counts(read(text))
    assert found == tuple(Count(count=num, why=why) for num, why in enumerate(every, 1))


@pytest.mark.parametrize("text", ["", "它读过新的价目表", "my own reason", "a gains: b → c"])
def test_what_an_owner_wrote_stays_as_it_is(text: str) -> None:
    assert read(text) == Reason(text=text)


def test_what_a_model_falls_short_of_is_said_by_forms() -> None:
    collector = Collector("en")
    assert read(collector.written().shortfall).form == "wrote_nothing"
    collector.add(Sentence(text="The lock is red.", citation=None))
    assert read(collector.written().shortfall).form == "unsupported"
    cited = Citation(document="d", title="", headings=(), passage="p", quote="q", start=0, end=1)
    collector.add(Sentence(text="It sits on the door.", citation=cited))
    collector.add(Sentence(text="It shines at night.", citation=None))
    told = read(say("most_often", shortfall=collector.written().shortfall))
    assert [each.form for each in told.parts["shortfall"]] == ["mostly_unsupported"]


def test_standing_decisions_are_said_by_forms() -> None:
    assert [read(each.reasons[0]).form for each in (FIRST, UNEXAMINED)] == ["first", "unexamined"]

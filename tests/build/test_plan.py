from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.build.bases import BASES
from flywheel.build.corpus import Corpus, count
from flywheel.build.footprint import Footprint, Step, footprint
from flywheel.build.machine import Card, Machine
from flywheel.build.pace import Pace, Speeds, step_seconds
from flywheel.build.plan import MARGIN, make_plan, new_shape
from flywheel.build.planned import GIB, Plan, outcome
from flywheel.build.settings import BuildSettings
from flywheel.errors import ModelError
from flywheel.records import from_json, to_json

MACHINE = Machine(
    num_cores=2,
    memory_bytes=16 * GIB,
    available_bytes=12 * GIB,
    fp32_flops=1e11,
    bf16_flops=8e9,
    bandwidth=1e10,
)
CARD = Card(
    name="a card",
    memory_bytes=8 * GIB,
    free_bytes=7 * GIB,
    capability="8.6",
    fp32_flops=8e12,
    bf16_flops=3e13,
    bandwidth=3e11,
)
CORPUS = Corpus(
    num_bytes=50_000_000,
    bytes_per_token={1024: 2.5, 2048: 3.0, 4096: 3.4, 8192: 3.8, 16384: 4.1, 32768: 4.4},
    languages=("en",),
)
NEW = BuildSettings(base="new")
QWEN = next(base for base in BASES if base.name == "Qwen/Qwen2.5-0.5B-Instruct")
OF_QWEN = BuildSettings(base=QWEN.name)


def planned(minutes: float = 60, gib: float = 12, num_bytes: int = 50_000_000) -> Plan:
    machine = replace(MACHINE, available_bytes=int(gib * GIB))
    corpus = replace(CORPUS, num_bytes=num_bytes)
    return make_plan(corpus, machine, NEW.model_copy(update={"max_minutes": minutes}))


def test_same_inputs_give_the_same_plan() -> None:
    assert planned() == planned()


def test_plan_comes_back_from_json() -> None:
    for plan in (planned(), make_plan(CORPUS, MACHINE, OF_QWEN, QWEN.shape)):
        assert from_json(Plan, to_json(plan)) == plan


@settings(max_examples=40)
@given(
    st.floats(2, 2000),
    st.floats(1.0, 20),
    st.floats(0.2, 16),
    st.floats(1.0, 20),
    st.integers(2_000_000, 10**9),
)
def test_more_time_and_memory_never_plan_a_smaller_model(
    minutes: float, more_minutes: float, gib: float, more_gib: float, num_bytes: int
) -> None:
    small = planned(minutes, gib, num_bytes)
    large = planned(minutes * more_minutes, gib * more_gib, num_bytes)
    assert large.shape.num_params >= small.shape.num_params


@settings(max_examples=60)
@given(st.floats(0.1, 1000), st.floats(0.01, 16), st.integers(0, 10**9), st.booleans())
def test_plan_keeps_within_memory_and_time_or_says_what_would_fit(
    minutes: float, gib: float, num_bytes: int, of_base: bool
) -> None:
    build = (OF_QWEN if of_base else NEW).model_copy(update={"max_minutes": minutes})
    machine = replace(MACHINE, available_bytes=int(gib * GIB))
    corpus = replace(CORPUS, num_bytes=num_bytes)
    try:
        plan = make_plan(corpus, machine, build, QWEN.shape if of_base else None)
    except ModelError as error:
        words = str(error)
        assert any(hint in words for hint in ("fit", "Set build", "Raise it", "raise", "Add"))
        return
    assert MARGIN * plan.memory_bytes <= machine.available_bytes
    assert plan.seconds <= 60 * minutes * 1.001
    assert plan.num_tokens > 0


def test_memory_that_is_set_is_not_exceeded() -> None:
    build = NEW.model_copy(update={"max_memory_gb": 0.2})
    assert make_plan(CORPUS, MACHINE, build).memory_bytes <= 0.2 * GIB


def test_every_reason_has_a_value_a_why_and_a_source() -> None:
    plans = (
        planned(),
        make_plan(
            replace(
                CORPUS,
                num_conversations=90,
                conversation_bytes=90_000,
                num_pairs=9,
                pair_bytes=9_000,
            ),
            MACHINE,
            OF_QWEN,
            QWEN.shape,
        ),
    )
    for plan in plans:
        assert all(r.what and r.value and r.why and r.source for r in plan.reasons)
        whats = [reason.what for reason in plan.reasons]
        assert len(set(whats)) == len(whats)
        assert {"method", "vocabulary", "shape", "batch", "precision", "time"} <= set(whats)


def test_bfloat16_is_planned_only_where_it_is_quicker() -> None:
    quick = replace(MACHINE, bf16_flops=4e11)
    assert planned().step.number == "float32"
    assert make_plan(CORPUS, quick, NEW).step.number == "bfloat16"


def test_card_that_works_is_planned_for_and_one_that_does_not_is_named() -> None:
    assert make_plan(CORPUS, replace(MACHINE, card=CARD), NEW).device == "cuda"
    broken = replace(CARD, problem="no kernel image is available")
    plan = make_plan(CORPUS, replace(MACHINE, card=broken), NEW)
    assert plan.device == "cpu"
    assert any("no kernel image" in note for note in plan.notes)


def test_lora_where_the_text_fits_into_an_adapter() -> None:
    plan = make_plan(replace(CORPUS, num_bytes=1_000_000), MACHINE, OF_QWEN, QWEN.shape)
    assert plan.step.method == "lora"
    assert plan.base == QWEN.name


def test_full_training_where_the_text_is_more_and_it_fits_else_lora() -> None:
    corpus = replace(CORPUS, num_bytes=10**9)
    large = replace(CARD, memory_bytes=80 * GIB, free_bytes=79 * GIB)
    fits = make_plan(corpus, replace(MACHINE, card=large), OF_QWEN, QWEN.shape)
    tight = make_plan(
        corpus, replace(MACHINE, card=replace(CARD, free_bytes=5 * GIB)), OF_QWEN, QWEN.shape
    )
    assert (fits.step.method, tight.step.method) == ("full", "lora")


def test_base_that_does_not_fit_is_refused_with_one_that_does() -> None:
    largest = BASES[-1]
    with pytest.raises(ModelError, match=r"does not fit.*would fit"):
        make_plan(CORPUS, MACHINE, BuildSettings(base=largest.name), largest.shape)


def test_too_little_time_is_refused_with_the_time_that_is_enough() -> None:
    build = NEW.model_copy(update={"max_minutes": 0.01})
    with pytest.raises(ModelError, match=r"max_minutes to ([\d.]+)") as refused:
        make_plan(CORPUS, MACHINE, build)
    enough = float(str(refused.value).partition("max_minutes to ")[2].split()[0])
    assert make_plan(CORPUS, MACHINE, build.model_copy(update={"max_minutes": enough}))


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ModelError, match="flywheel add"):
        planned(num_bytes=0)


def test_small_corpus_is_told_that_it_is_too_small() -> None:
    plan = planned(num_bytes=50_000)
    assert any("writing aid" in note for note in plan.notes)
    assert any("too little" in note for note in plan.notes)


def test_vocabulary_is_as_set_else_as_the_layers_deserve() -> None:
    assert (
        make_plan(CORPUS, MACHINE, NEW.model_copy(update={"vocabulary": 5000})).shape.vocab_size
        == 5000
    )
    plan = make_plan(CORPUS, MACHINE, OF_QWEN, QWEN.shape)
    assert 8192 <= plan.shape.vocab_size < QWEN.shape.vocab_size


def test_chinese_has_a_token_for_each_common_character() -> None:
    plan = make_plan(replace(CORPUS, languages=("zh-hans",)), MACHINE, NEW)
    assert plan.shape.vocab_size >= 3500


def test_conversations_and_preferences_get_their_share_of_the_time() -> None:
    corpus = replace(
        CORPUS, num_conversations=10**5, conversation_bytes=10**8, num_pairs=10**4, pair_bytes=10**7
    )
    plan = make_plan(corpus, replace(MACHINE, card=CARD), OF_QWEN, QWEN.shape)
    shares = {phase.objective: phase.seconds / plan.seconds_limit for phase in plan.phases}
    assert shares["supervised"] == pytest.approx(0.4, abs=0.05)
    assert shares["next_token"] > 0.2


def test_text_that_there_is_no_time_for_needs_no_full_training() -> None:
    machine = replace(MACHINE, card=replace(CARD, memory_bytes=80 * GIB, free_bytes=79 * GIB))
    corpus = replace(CORPUS, num_bytes=10**9)
    long, short = (
        make_plan(corpus, machine, OF_QWEN.model_copy(update={"max_minutes": m}), QWEN.shape)
        for m in (6000, 10)
    )
    assert (long.step.method, short.step.method) == ("full", "lora")
    why = next(reason.why for reason in short.reasons if reason.what == "method")
    assert "enough for" in why


@pytest.mark.parametrize(("made_for", "longest"), [(128, 128), (512, 512), (40_960, 2048)])
def test_rows_are_no_longer_than_the_base_is_made_for(made_for: int, longest: int) -> None:
    machine = replace(MACHINE, card=CARD)
    plan = make_plan(CORPUS, machine, OF_QWEN, replace(QWEN.shape, context=made_for))
    assert plan.step.context == longest


def test_slower_pace_takes_longer() -> None:
    step, at = planned().step, Speeds(flops=1e11, bandwidth=1e10)
    assert step_seconds(step, at, Pace(layers=2, rest=2)) == pytest.approx(
        2 * step_seconds(step, at)
    )


def test_memory_grows_with_rows_and_falls_with_recomputing() -> None:
    step = Step(shape=new_shape(256, 6, 4096), method="new", context=512, rows=4)
    assert footprint(replace(step, rows=8)).total > footprint(step).total
    assert footprint(replace(step, recompute=True)).total < footprint(step).total


def test_outcome_sets_the_measured_beside_the_predicted() -> None:
    plan = planned()
    found = outcome(plan, measured_bytes=2 * plan.memory_bytes, measured_seconds=plan.seconds)
    assert (found.memory_ratio, found.time_ratio) == (2.0, 1.0)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=20))
def test_any_texts_are_counted(texts: list[str]) -> None:
    pytest.importorskip("transformers", reason="the extra [model] is not installed")
    per_token = count(texts)
    assert all(value >= 1 for value in per_token.values())


def test_tokens_between_two_counted_vocabularies_lie_between() -> None:
    assert CORPUS.num_tokens(4096) < CORPUS.num_tokens(3000) < CORPUS.num_tokens(2048)


def test_footprint_is_the_sum_of_its_parts() -> None:
    parts = Footprint(parameters=1, gradients=2, optimizer=3, activations=4, logits=5)
    assert parts.total == 15


def test_shapes_of_known_bases_have_the_parameters_that_their_makers_state() -> None:
    stated = {"Qwen/Qwen2.5-0.5B-Instruct": 494_032_768, "Qwen/Qwen3-0.6B": 596_049_920}
    found = {base.name: base.shape.num_params for base in BASES}
    assert {name: found[name] for name in stated} == stated

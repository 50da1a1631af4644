"""How a model earns the right to write: on the exam, in each language by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.wheel.conftest import Domain, kept, restored

from flywheel.answer.prompt import UNTOLD
from flywheel.engine.fake import FakeEngine
from flywheel.engine.protocol import Request
from flywheel.engine.remote import RemoteEngine
from flywheel.errors import EngineError, SettingsError
from flywheel.records import Feedback
from flywheel.store import feedback, versions
from flywheel.wheel.comparison import compare_versions
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.feedback import accept
from flywheel.wheel.turn import Turned, turn
from flywheel.wheel.versions import rollback

MATERIALS_EN = ("copper", "paper", "silver", "marble", "velvet", "cotton", "oaken")
NOUNS_EN = ("lantern", "ladder", "bucket", "mirror", "basket", "kettle", "saddle", "pillow")
NOUNS_ZH = ("灯笼", "梯子", "水桶", "镜子", "篮子", "茶壶", "马鞍", "枕头", "蜡烛", "锤子")
THINGS_EN = [f"{one} {two}" for one in MATERIALS_EN for two in (*NOUNS_EN, "candle", "hammer")]
THINGS_ZH = [f"{one}{two}" for one in "铜纸银石布棉木" for two in NOUNS_ZH]
"""70 in each language: more than the 59 questions that can rule out a loss of 0.05."""


def rule_en(thing: str, number: int) -> str:
    return f"The {thing} is kept on shelf {number}, behind the grey door of the store room."


def rule_zh(thing: str, number: int) -> str:
    return f"{thing}放在第{number}号货架上，就在库房灰色门的后面。"


def answer_en(thing: str, number: int) -> str:
    return f"The {thing} is kept on shelf {number}."


def answer_zh(thing: str, number: int) -> str:
    return f"{thing}放在第{number}号货架上。"


@pytest.fixture(scope="module")
def _store_room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain whose answers are shorter than its documents' sentences, in both languages."""
    place = tmp_path_factory.mktemp("writing") / "domain"
    domain = Domain(place)
    exam = []
    for things, rule, answer, asked in (
        (THINGS_EN, rule_en, answer_en, "Where is the {} kept?"),
        (THINGS_ZH, rule_zh, answer_zh, "{}放在哪里？"),
    ):
        for number, thing in enumerate(things):
            domain.write(f"{thing}.md", f"# {thing}\n\n{rule(thing, number)}\n")
            exam.append(
                {
                    "id": thing,
                    "question": asked.format(thing),
                    "answer": answer(thing, number),
                    "evidence": [rule(thing, number)],
                }
            )
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in exam)
    assert domain.workspace
    (domain.root / "exam.jsonl").write_text(lines, encoding="utf-8")
    domain.configure('[engine]\nurl = "http://127.0.0.1:9/v1"\n[decide]\nwrong_cost = 0\n')
    domain.add()
    domain.turn()
    return kept(domain, place)


@pytest.fixture
def store_room(_store_room: Path) -> Iterator[Domain]:
    """As version 1 left it."""
    yield from restored(_store_room)


class Model:
    """Stands in for the engine at the URL that the settings name."""

    def __init__(self) -> None:
        self.respond: Callable[[Request], str] = invented
        self.asked: list[str] = []
        """All prompts, whatever the engine that was opened for them."""

    def open(self, *_: object) -> FakeEngine:
        return FakeEngine(self._answer)

    def _answer(self, request: Request) -> str:
        self.asked.append(request.messages[-1].content)
        return self.respond(request)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    model = Model()
    monkeypatch.setattr(RemoteEngine, "open", model.open)
    return model


def try_it(domain: Domain, model: Model, respond: Callable[[Request], str]) -> Turned:
    """A turn with a model that says this."""
    model.respond = respond
    return turn(domain.workspace, model=True)


def passage_of(request: Request) -> str:
    """The first passage that the model was given, without its title line."""
    prompt = request.messages[-1].content
    return prompt.split("\n[/1]")[0].split("\n", 3)[-1].splitlines()[-1]


def short(request: Request) -> str:
    """What a good model would say: the passage's first clause, cited."""
    said = passage_of(request)
    if said.startswith("The "):
        return said.split(",")[0] + ". [1]"
    return said.split("，")[0] + "。[1]"


def invented(request: Request) -> str:
    """What a bad one would say."""
    del request
    return "It was sold to a museum in Lisbon last winter. [1]"


def test_a_model_that_answers_better_writes_in_both_languages(
    store_room: Domain, model: Model
) -> None:
    turned = try_it(store_room, model, short)
    assert turned.decision == "promoted"
    champion = store_room.workspace.champion()
    assert set(champion.bundle["writers"]) == {"en", "zh"}
    answer = store_room.ask("Where is the copper lantern kept?")
    assert answer.is_written
    assert answer.answer == "The copper lantern is kept on shelf 0. [1]"
    assert answer.citations[0].quote == rule_en("copper lantern", 0)
    assert store_room.ask("铜灯笼放在哪里？").draft == "铜灯笼放在第0号货架上。"


def test_each_language_is_won_by_itself(store_room: Domain, model: Model) -> None:
    def only_chinese(request: Request) -> str:
        return short(request) if "只根据" in request.messages[-1].content else invented(request)

    turned = try_it(store_room, model, only_chinese)
    assert turned.decision == "promoted"
    assert set(store_room.workspace.champion().bundle["writers"]) == {"zh"}
    assert any("in English the documents are quoted" in each for each in turned.reasons)
    assert any("in Chinese the model writes" in each for each in turned.reasons)
    quoted = store_room.ask("Where is the copper lantern kept?")
    assert not quoted.is_written and not quoted.shortfall


def test_a_model_that_invents_is_kept_back_and_not_tried_again(
    store_room: Domain, model: Model
) -> None:
    turned = try_it(store_room, model, invented)
    assert (turned.version, turned.decision, turned.champion) == (2, "kept", 1)
    assert any("fell short" in each for each in turned.reasons)
    again = try_it(store_room, model, short)
    assert "was tried on this exam" in again.reasons[0]


def down(request: Request) -> str:
    raise EngineError("http://127.0.0.1:9 does not answer.")


def test_a_model_that_is_down_is_asked_once_and_then_left_alone(
    store_room: Domain, model: Model
) -> None:
    try_it(store_room, model, short)
    model.respond = down
    store_room.workspace._assistants.clear()
    model.asked.clear()
    answer = store_room.ask("Where is the copper lantern kept?")
    assert not answer.is_written
    assert rule_en("copper lantern", 0) in answer.answer
    assert "does not answer" in answer.shortfall
    assert "a moment ago" in store_room.ask("Where is the paper ladder kept?").shortfall
    assert len(model.asked) == 1


def test_an_engine_that_is_down_during_the_exam_decides_nothing(
    store_room: Domain, model: Model
) -> None:
    with pytest.raises(EngineError, match="does not answer"):
        try_it(store_room, model, down)
    assert store_room.workspace.champion().number == 1
    assert try_it(store_room, model, short).decision == "promoted"


def test_a_model_that_mostly_says_that_nothing_tells_is_kept_back(
    store_room: Domain, model: Model
) -> None:
    def shy(request: Request) -> str:
        lines = request.messages[-1].content.splitlines()
        number = int("".join(filter(str.isdigit, passage_of(request))) or 0)
        untold = UNTOLD["zh" if "只根据" in lines[0] else "en"]
        return short(request) if number % 5 < 2 else untold

    turned = try_it(store_room, model, shy)
    assert turned.decision == "kept"


def test_nothing_is_sent_to_an_engine_that_the_settings_no_longer_name(
    store_room: Domain, model: Model
) -> None:
    try_it(store_room, model, short)
    store_room.configure("[decide]\nwrong_cost = 0\n")
    model.asked.clear()
    answer = store_room.ask("Where is the copper lantern kept?")
    assert not answer.is_written and "no longer name" in answer.shortfall
    assert model.asked == []


def test_what_is_erased_is_sent_to_no_engine(store_room: Domain, model: Model) -> None:
    try_it(store_room, model, short)
    model.asked.clear()
    erase(store_room.workspace, "source", str(store_room.documents / "copper lantern.md"))
    assert model.asked == []


def test_acts_on_an_answer_in_a_model_s_words_go_with_the_source(
    store_room: Domain, model: Model
) -> None:
    try_it(store_room, model, short)
    asked = store_room.workspace.ask("Where is the copper lantern kept?")
    assert asked.answer.is_written
    act = Feedback(
        id="liked",
        kind="up",
        user="ann",
        role="asker",
        at="2026-11-01T00:00:00Z",
        interaction=asked.interaction,
        candidate=0,
    )
    accept(store_room.workspace, [act])
    erase(store_room.workspace, "source", str(store_room.documents / "copper lantern.md"))
    with store_room.workspace.database.read() as conn:
        left = " ".join(each.answer for each in feedback.list_feedback(conn))
    assert "shelf 0" not in left


def test_whoever_compares_versions_leaves_the_champion_its_engine(
    store_room: Domain, model: Model
) -> None:
    try_it(store_room, model, short)
    compare_versions(store_room.workspace, 1, 2)
    assert store_room.ask("Where is the copper lantern kept?").is_written
    assert store_room.ask("Where is the paper ladder kept?").is_written


def test_later_versions_keep_the_model(store_room: Domain, model: Model) -> None:
    try_it(store_room, model, short)
    store_room.write("glass.md", "# Glass bell\n\nThe glass bell is kept on shelf 99.\n")
    store_room.add()
    turned = try_it(store_room, model, short)
    champion = store_room.workspace.champion()
    assert champion.number == turned.champion == 3
    assert set(champion.bundle["writers"]) == {"en", "zh"}


def test_a_model_takes_part_only_where_settings_name_one(domain: Domain) -> None:
    with pytest.raises(SettingsError, match=r"\[build\] base"):
        turn(domain.workspace, model=True)


def test_going_back_takes_the_right_to_write_away(store_room: Domain, model: Model) -> None:
    try_it(store_room, model, short)
    rollback(store_room.workspace)
    assert not store_room.ask("Where is the copper lantern kept?").is_written
    with store_room.workspace.database.read() as conn:
        assert versions.get(conn, 2) is not None

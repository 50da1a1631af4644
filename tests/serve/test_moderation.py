"""`/v1/moderations` as clients of the OpenAI API know it. The rest of the app is not needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from flywheel.serve import moderation
from flywheel.serve.auth import Callers
from flywheel.serve.cache import AnswerCache
from flywheel.serve.errors import add_handlers
from flywheel.serve.limits import Guesses, Limits
from flywheel.serve.metrics import Metrics
from flywheel.serve.service import Service
from flywheel.wheel import keys
from flywheel.wheel.moderation.judging import write_word_list
from flywheel.wheel.workspace import Workspace

LISTS = {"threats": "kill you\n杀了你\n", "harassment": "idiot*\n白痴\n"}

Serve = Callable[[str], TestClient]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """The route alone, on a workspace with two lists and the settings that a test gives."""
    with ExitStack() as stack:

        def client(settings: str = "") -> TestClient:
            root = tmp_path / "workspace"
            if not root.exists():
                Workspace.init(root).close()
            (root / "flywheel.toml").write_text(settings, encoding="utf-8")
            workspace = stack.enter_context(Workspace.open(root))
            for category, text in LISTS.items():
                write_word_list(workspace, category, text)
            app = FastAPI()
            app.state.service = Service(
                workspace,
                Limits(workspace.settings.serve),
                Guesses(),
                Callers(),
                AnswerCache(workspace.settings.cache),
                Metrics(),
            )
            stack.callback(app.state.service.close)
            add_handlers(app)
            app.include_router(moderation.router)
            secret = keys.add(workspace.database, "ann", "asker").secret
            headers = {"Authorization": f"Bearer {secret}"}
            return stack.enter_context(TestClient(app, headers=headers))

        yield client


def results(client: TestClient, **body: Any) -> list[dict[str, Any]]:
    reply = client.post("/v1/moderations", json=body)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["results"]
    return found


def openai_client(client: TestClient) -> openai.OpenAI:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    return openai.OpenAI(
        api_key=key, base_url="http://testserver/v1", http_client=client, max_retries=0
    )


def test_openai_client_reads_the_reply(serve: Serve) -> None:
    reply = openai_client(serve("")).moderations.create(
        input=["You idiot", "儿童锁在哪里？"], model="omni-moderation-latest"
    )
    assert reply.id.startswith("modr-")
    assert reply.model.startswith("flywheel-moderation")
    flagged, harmless = reply.results
    assert (flagged.flagged, harmless.flagged) == (True, False)
    assert flagged.categories.harassment is True
    assert flagged.category_scores.harassment == 1.0
    assert flagged.category_applied_input_types.harassment == ["text"]
    # What nothing here looks for is there, too, and says so.
    assert flagged.categories.self_harm_intent is False
    assert flagged.category_scores.violence_graphic == 0.0
    assert flagged.category_applied_input_types.sexual == []
    # Its own categories stand beside OpenAI's.
    assert flagged.categories.model_dump()["threats"] is False


def test_openai_client_raises_its_own_errors(serve: Serve) -> None:
    client = openai_client(serve(""))
    with pytest.raises(openai.BadRequestError) as raised:
        client.moderations.create(input=[])
    assert raised.value.param == "input"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="fw-unknown").moderations.create(input="x")


@pytest.mark.parametrize("text", ["I will k1ll you", "我要殺了你"])
def test_one_text_has_one_result(serve: Serve, text: str) -> None:
    [result] = results(serve(""), input=text)
    assert result["flagged"]
    assert [name for name, flag in result["categories"].items() if flag] == ["threats"]
    assert result["flywheel"] == {"action": "mark"}
    assert result["categories"].keys() == result["category_scores"].keys()


def test_parts_are_one_text(serve: Serve) -> None:
    parts = [{"type": "text", "text": text} for text in ("Hello.", "You idiot")]
    [result] = results(serve(""), input=parts)
    assert result["categories"]["harassment"]


def test_direction_chooses_the_rules(serve: Serve) -> None:
    client = serve('[moderation.categories.threats]\ninput = "allow"\noutput = "refuse"\n')
    [asked] = results(client, input="kill you")
    [answered] = results(client, input="kill you", direction="output")
    assert (asked["flagged"], asked["flywheel"]["action"]) == (False, "allow")
    assert asked["category_scores"]["threats"] == 1.0
    assert (answered["flagged"], answered["flywheel"]["action"]) == (True, "refuse")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": []},
        {"input": ["x"] * 257},
        {"input": 1},
        {"input": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
        {"input": "x", "direction": "sideways"},
        {"input": "x", "surprise": 1},
    ],
)
def test_what_cannot_be_meant_is_refused_in_the_known_shape(
    serve: Serve, body: dict[str, Any]
) -> None:
    reply = serve("").post("/v1/moderations", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert reply.json()["error"]["param"]


def test_odd_texts_are_judged(serve: Serve) -> None:
    found = results(serve(""), input=["", " ", "\x00", "👍🏽", "\u202ekill you"])
    assert [each["flagged"] for each in found] == [False] * 4 + [True]
    half = serve("").post("/v1/moderations", content=rb'{"input": "kill\ud83d you"}')
    assert half.status_code in (200, 400)


def test_changed_list_counts_at_the_next_request(serve: Serve, tmp_path: Path) -> None:
    client = serve("")
    words = tmp_path / "workspace" / "moderation" / "words"
    assert not results(client, input="a spoiler")[0]["flagged"]
    (words / "spoilers.txt").write_text("spoiler*", encoding="utf-8")
    [result] = results(client, input="a spoiler")
    assert result["categories"]["spoilers"]
    (words / "spoilers.txt").write_text("?", encoding="utf-8")
    assert results(client, input="a spoiler")[0]["flagged"]  # what was there before goes on


def test_document_of_the_api_shows_the_route_with_examples(serve: Serve) -> None:
    document = serve("").get("/openapi.json").json()
    route = document["paths"]["/v1/moderations"]["post"]
    assert {"200", "400", "401", "429"} <= route["responses"].keys()
    schemas = document["components"]["schemas"]
    for name in ("ModerationBody", "ModerationReply"):
        assert schemas[name]["examples"]
    for example in schemas["ModerationBody"]["examples"]:
        moderation.ModerationBody.model_validate(example)
    for example in schemas["ModerationReply"]["examples"]:
        moderation.ModerationReply.model_validate(example)

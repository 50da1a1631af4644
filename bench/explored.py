"""Requests by an OpenAPI document (schemathesis), and whether the answers keep to it.

For each operation, in each role, come bodies and parameters that keep to their schemas and such
that break them; half of the former mean something that is there. An answer must have a status, a
type and a shape that the document names; what breaks a schema is refused. For bench/fuzz.py and the
tests; bytes that are no such request are raw.py's.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection

from flywheel.records import Role
from raw import HANG_SECONDS, QUESTIONS, Tally

if TYPE_CHECKING:
    import requests
    from schemathesis.generation.case import Case
    from schemathesis.schemas import APIOperation, BaseSchema

REFUSALS = (400, 401, 403, 404, 409, 413, 414, 415, 429, 431)
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # What a schema cannot say is refused all the same: that there is no such version.
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": {"expected-statuses": [str(each) for each in REFUSALS]},
            # Asks again without a key, which the tests of keys do.
            "ignored_auth": {"enabled": False},
        }
    }
)


class Known:
    """The ids of what is there, as the answers told them; by the path that they belong into."""

    _PLACES: Mapping[str, str] = {
        "job": "/v1/jobs",
        "document": "/v1/documents",
        "correction": "/v1/corrections",
        "passage": "/v1/passages",
    }
    """By the `object` that a reply says it is. No keys: the fuzzer would revoke its own."""

    def __init__(self) -> None:
        self._ids: dict[str, list[str]] = {"/v1/models": ["flywheel", "flywheel-1"]}

    def learn(self, told: Any) -> None:
        """Looks through a reply."""
        if isinstance(told, list):
            for each in told:
                self.learn(each)
        elif isinstance(told, dict):
            for name, value in told.items():
                if name == "interaction" and isinstance(value, str):
                    self._ids.setdefault("/v1/interactions", []).append(value)
                self.learn(value)
            place = self._PLACES.get(str(told.get("object")))
            if place and isinstance(told.get("id"), str):
                self._ids.setdefault(place, []).append(told["id"])

    def one(self, path: str, chance: random.Random) -> str | None:
        """The id of something for a path's `{id}`."""
        place = path.partition("/{")[0]
        return chance.choice(self._ids[place][-50:]) if place in self._ids else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """How cases are sent."""

    secrets: Mapping[Role, str]
    base_url: str = "http://localhost"
    session: requests.Session | None = None
    seed: int = 1
    at: Callable[[int], None] = lambda _: None
    """Told after each case how many there were."""


def explore(schema: BaseSchema, sender: Sender, num: int) -> Tally:
    """Sends about `num` cases by the document."""
    tally, known = Tally(), Known()
    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    visits = [
        (role, operation, mode)
        for role in sender.secrets
        for operation in operations
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or _can_be_broken(operation)
    ]
    for place, (role, operation, mode) in enumerate(visits):
        share = max(1, round((num - tally.num) / (len(visits) - place)))
        visit = _Visit(sender, tally, known, mode, sender.secrets[role], place)
        visit.send(operation, share)
    return tally


def _can_be_broken(operation: APIOperation[Any, Any, Any, Any]) -> bool:
    """Whether anything breaks its schemas: whatever stands in a path is a text."""
    told: dict[str, Any] = operation.definition.raw
    free = {"type", "title", "description"}
    schemas = [each["schema"] for each in told.get("parameters", ())]
    is_bounded = any(schema["type"] != "string" or schema.keys() - free for schema in schemas)
    return is_bounded or "requestBody" in told


class _Visit:
    """The cases of one operation, as one role, of one kind."""

    def __init__(
        self,
        sender: Sender,
        tally: Tally,
        known: Known,
        mode: GenerationMode,
        secret: str,
        place: int,
    ) -> None:
        self._sender, self._tally, self._known, self._mode = sender, tally, known, mode
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._chance = random.Random(f"{sender.seed} {place}")

    def send(self, operation: APIOperation[Any, Any, Any, Any], num: int) -> None:
        """Sends so many."""

        @seeded(self._sender.seed)
        @settings(
            max_examples=num,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=self._mode))
        def each(case: Case[Any]) -> None:
            self._one(case)

        each()

    def _one(self, case: Case[Any]) -> None:
        if self._mode is GenerationMode.POSITIVE and self._chance.random() < 0.5:
            _mean_something(case, self._known, self._chance)
        started = time.perf_counter()
        how: dict[str, Any] = {"session": self._sender.session, "headers": self._headers}
        reply = case.call(base_url=self._sender.base_url, timeout=HANG_SECONDS, **how)
        seconds = time.perf_counter() - started
        self._tally.count(reply.status_code, seconds, f"{case.method} {case.path}")
        # A form's fields are texts, whatever they were before: nothing breaks their type.
        is_form = case.media_type == "multipart/form-data"
        try:
            case.validate_response(
                reply,
                headers=self._headers,
                transport_kwargs=how,
                excluded_checks=[negative_data_rejection] if is_form else None,
            )
        except FailureGroup as failure:
            why = " ".join(f"{each.title}: {each.message}" for each in failure.exceptions)
            self._tally.failures.append(
                f"{case.method} {case.path}, {self._mode.value}: {reply.status_code}; {why[:400]}; "
                f"{str(case)[:400]}; {reply.content[:200]!r}"
            )
        with suppress(ValueError):
            self._known.learn(json.loads(reply.content))
        self._sender.at(self._tally.num)


def _mean_something(case: Case[Any], known: Known, chance: random.Random) -> None:
    """Lets a case be about what is there, so that it comes further than the first refusal."""
    if "id" in case.path_parameters and (id := known.one(case.path, chance)):
        case.path_parameters["id"] = id
    if "model" in case.path_parameters and (id := known.one(case.path, chance)):
        case.path_parameters["model"] = id
    if isinstance(case.body, dict) and case.path in ("/v1/chat/completions", "/v1/feedback"):
        plain = {name: value for name, value in case.body.items() if not _is_extreme(value)}
        change = _ask_something if case.path == "/v1/chat/completions" else _rate_something
        case.body = change(plain, known, chance)


def _ask_something(body: dict[str, Any], known: Known, chance: random.Random) -> dict[str, Any]:
    left_out = {"tools", "functions", "logprobs", "top_logprobs", "response_format"}
    if not body.get("stream"):
        left_out.add("stream_options")
    asked = {"role": "user", "content": chance.choice(QUESTIONS)}
    kept = {name: value for name, value in body.items() if name not in left_out}
    return kept | {"model": known.one("/v1/models", chance), "messages": [asked]}


def _rate_something(body: dict[str, Any], known: Known, chance: random.Random) -> dict[str, Any]:
    if "items" in body:
        return body
    said = {"question": chance.choice(QUESTIONS), "answer": "x", "id": f"{chance.random()}"}
    kept = {name: value for name, value in body.items() if name != "at"} | said
    if id := known.one("/v1/interactions", chance):
        kept |= {"interaction": id, "candidate": 0}
    return kept


def _is_extreme(value: Any) -> bool:
    """A number that no parser of JSON should be asked for."""
    return isinstance(value, float) and value != 0 and not 1e-99 < abs(value) < 1e99

"""A GGUF file served in this process by llama.cpp: continuous batching, prefix cache, adapters.

Each generation has a thread that waits for a slot, hands the request over, and turns events into
pieces. More generations than slots wait their turn.

Not here: how llama.cpp is opened and reached (`llama_server.py`), threads and queues (`stream.py`).
"""

from __future__ import annotations

import json
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from flywheel.engine.llama_server import LlamaServer, ServerOptions, problem
from flywheel.engine.protocol import FinishReason, Piece, Request, TokenChance
from flywheel.engine.slots import Slots
from flywheel.engine.stream import CLOSED, Stream, StreamGeneration, Workers
from flywheel.errors import EngineError, RequestRefused
from flywheel.records import Message

_MAGIC = b"GGUF"

_BATCH_TOKENS = 64
"""How much of a prompt is computed in one go; a client that goes away is seen between two. At 100M
parameters on 2 cores 64 take 0.11 s and a long prompt runs at 542 tokens/s; 512 take 0.86 s and
give 592."""
_EMBEDDING_TOKENS = 512
"""A longer text is cut to embed it; a text's tokens must all be computed in one go."""
_EMBEDDING_TEXTS = 32
"""Embedded by one call."""
_NUM_SEEDS = 2**32 - 1
"""llama.cpp reads the number after the last as no seed."""
_FORCED = 1e9
"""A bias that no token's own logit comes near."""
_MARKS = "]})>;:=abcdeghijklmopqrsuvwxyz"
"""Characters that no valid JSON begins with. One of them is a token of its own: of a trimmed or
small vocabulary perhaps not the first."""
_MISSING = "_Map_base::at"
"""What llama.cpp says where a text needs a byte that the vocabulary has not."""
_COMPACT = {"x-guidance": {"whitespace_flexible": False}}
"""No white space between the parts of an answer in JSON: some models would write nothing else."""

_PLACE = re.compile("\ue000(\\d+)\ue001")
"""Stands for a message while the template is filled in."""

Event = Mapping[str, Any]


class EmbeddedEngine:
    """An engine (`protocol.Engine`) that needs nothing but a file."""

    def __init__(self, path: Path, server: LlamaServer, options: ServerOptions) -> None:
        """Use `open`."""
        self.name = path.name
        self.slot_tokens = options.slot_tokens
        self._path, self._options = path, options
        self._server = server
        self._adapters: dict[str, int] = {}
        self._slots = Slots(options.num_slots)
        self._workers = Workers()
        self._embedding: LlamaServer | None = None
        self._lock = threading.Lock()
        self._mark = self._find_mark()
        self._known_schemas: set[str] = set()
        self._servers = [server]
        self._finish = weakref.finalize(self, _close, self._workers, self._servers)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        num_slots: int = 4,
        context_tokens: int = 4096,
        adapters: Mapping[str, Path] | None = None,
        num_threads: int = 0,
        exact_cache: bool = False,
    ) -> EmbeddedEngine:
        """Loads a model.

        Args:
            num_slots: generations at once; others wait.
            context_tokens: prompt and answer of each one together.
            adapters: LoRA adapters as GGUF files, by the names that requests call them by.
            num_threads: 0 takes as many as there are cores.
            exact_cache: keys, values and attention in f32 instead of f16: slower, and the cache
                takes twice the memory.

        Raises:
            EngineError: a file is not there, is no GGUF, or does not load.
        """
        adapters = adapters or {}
        for file in (path, *adapters.values()):
            _require_gguf(file)
        options = ServerOptions(
            num_slots=num_slots,
            slot_tokens=context_tokens,
            batch_tokens=max(_BATCH_TOKENS, num_slots),
            num_threads=num_threads,
            exact_cache=exact_cache,
            adapters=tuple(adapters.values()),
        )
        server = LlamaServer(path, options)
        try:
            engine = cls(path, server, options)
        except EngineError:
            server.close()
            raise
        engine._adapters = {name: place for place, name in enumerate(adapters)}
        return engine

    def generate(self, request: Request) -> StreamGeneration:
        """Starts a generation; it waits for a slot in a thread of its own."""
        self._check(request)

        def work(stream: Stream) -> None:
            self._generate(request, stream)

        stream = self._workers.start(work, self._slots.wake, num_choices=request.num_choices)
        return StreamGeneration(stream)

    def next_tokens(
        self, ids: Sequence[int], num: int, *, adapter: str = ""
    ) -> tuple[TokenChance, ...]:
        """The likeliest tokens after a prompt, the likeliest first, by the model's own chances.

        Tells every token by its id, also those that are a part of a character only, which a
        stream of text leaves out: so it is what a model is compared by. With the prefix cache, a
        call with one more token costs one step.

        Raises:
            EngineError: the prompt is empty or too long, or there is no such adapter.
        """
        request = Request(prompt_ids=tuple(ids), adapter=adapter)
        self._check(request)
        # Whatever is drawn is told only where it is whole characters: so one that is gets drawn.
        # Chances are taken before the bias.
        body = self._body(request, list(ids)) | {
            "max_tokens": 1,
            "logprobs": num,
            "logit_bias": [[self._mark, _FORCED]],
        }
        told: list[TokenChance] = []

        def put(piece: Piece) -> None:
            told.extend(chance for place in piece.likeliest for chance in place)

        with self._slots.taken(1, self._is_closed) as taken:
            if not taken:
                raise EngineError(CLOSED)
            self._run(body, put, self._is_closed)
        return tuple(told)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A unit vector for each text: the mean over its tokens' last states.

        The first call opens the file once more, for this alone; its pages are shared.
        """
        server = self._embedding_server()
        inputs = [self._embedded_ids(text) for text in texts]
        return [
            vector
            for start in range(0, len(inputs), _EMBEDDING_TEXTS)
            for vector in server.embed(inputs[start : start + _EMBEDDING_TEXTS])
        ]

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text's tokens, without a beginning-of-text token.

        Args:
            special: read the names of special tokens as such, as a prompt does.
        """
        return self._ids(text, special=special, begin=False)

    def prompt_ids(self, request: Request) -> list[int]:
        """The token ids that the model is given for a request."""
        if request.messages:
            return self._message_ids(request.messages)
        if request.prompt:
            return self._ids(request.prompt, special=True, begin=True)
        return list(request.prompt_ids)

    def count_tokens(self, text: str) -> int:
        return len(self.tokenize(text))

    def close(self) -> None:
        """Cancels all generations, waits until they have ended, and gives the memory back."""
        self._finish()

    def _check(self, request: Request) -> None:
        if not (request.messages or request.prompt or request.prompt_ids):
            raise RequestRefused("There is nothing to continue: the request has no messages.")
        if request.num_choices > self._slots.num_slots:
            raise RequestRefused(
                f"{request.num_choices} choices need as many slots, and {self.name} was opened "
                f"with {self._slots.num_slots}. Ask for fewer, or open it with more."
            )
        if request.adapter and request.adapter not in self._adapters:
            known = ", ".join(sorted(self._adapters)) or "none"
            raise RequestRefused(f'There is no adapter "{request.adapter}"; there is: {known}.')

    def _generate(self, request: Request, stream: Stream) -> None:
        prompt = self.prompt_ids(request)
        if not prompt:
            raise self._without_tokens()
        body = self._body(request, prompt)
        with self._slots.taken(request.num_choices, stream.is_cancelled) as taken:
            if taken and request.json_schema is not None:
                self._require_schema(request.json_schema, stream.is_cancelled)
            if taken:
                self._run(body, stream.put, stream.is_cancelled)

    def _run(
        self,
        body: Mapping[str, Any],
        put: Callable[[Piece], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        problems: list[EngineError] = []

        def on_event(event: Event) -> bool:
            if "choices" not in event:
                problems.append(self._refusal(event))
                return True
            for piece in _pieces(event):
                put(piece)
            return is_cancelled()

        self._server.complete(body, on_event)
        if problems:
            raise problems[0]

    def _refusal(self, event: Event) -> EngineError:
        error = event.get("error", event)
        if error.get("type") == "exceed_context_size_error":
            return RequestRefused(
                f"The prompt has {error['n_prompt_tokens']:,} tokens, and {self.name} was opened "
                f"with room for {error['n_ctx']:,} with the answer. Shorten it, or open it with "
                "more `context_tokens`."
            )
        return RequestRefused(f"{self.name} refuses the request: {problem(event)}")

    def _body(self, request: Request, prompt: Sequence[int]) -> dict[str, Any]:
        sampling = request.sampling
        body = {
            "prompt": list(prompt),
            "stream": True,
            "return_progress": True,  # an event, so a chance to stop, after each part of the prompt
            "cache_prompt": True,
            "n": request.num_choices,
            "max_tokens": sampling.max_tokens,
            "temperature": max(sampling.temperature, 0.0),
            "top_p": sampling.top_p,
            # In the order of the field, and none of llama.cpp's own defaults (top_k, min_p …).
            "samplers": ["temperature", "top_p"] if sampling.temperature > 0 else ["temperature"],
            "seed": -1 if sampling.seed is None else sampling.seed % _NUM_SEEDS,
            "stop": list(sampling.stop),
            "lora": [
                {"id": place, "scale": float(name == request.adapter)}
                for name, place in self._adapters.items()
            ],
        }
        if sampling.num_logprobs:
            body["logprobs"] = sampling.num_logprobs
        if request.json_schema is not None:
            body["json_schema"] = _COMPACT | request.json_schema
        return body

    def _require_schema(self, schema: Mapping[str, Any], is_cancelled: Callable[[], bool]) -> None:
        """llama.cpp would not say that it cannot read a schema, and answer without.

        So it is asked for one token, with a bias to one that no JSON begins with: where that is
        what comes, nothing holds it back.
        """
        text = json.dumps(schema, sort_keys=True)
        if text in self._known_schemas:
            return
        sampling = replace(Request().sampling, max_tokens=1, num_logprobs=1)
        request = Request(sampling=sampling, json_schema=dict(schema))
        body = self._body(request, [self._mark]) | {"logit_bias": [[self._mark, _FORCED]]}
        drawn: list[int | None] = []

        def put(piece: Piece) -> None:
            drawn.extend(chance.id for chance in piece.tokens)

        self._run(body, put, is_cancelled)
        if self._mark in drawn:
            raise RequestRefused(
                f"The JSON schema is not one that llama.cpp can read: {text[:200]}"
            )
        if drawn:  # none where it was cancelled meanwhile
            self._known_schemas.add(text)

    def _message_ids(self, messages: Sequence[Message]) -> list[int]:
        """The chat template filled in, and tokenised.

        Where a message holds the name of a special token, such as a passage that would end its own
        turn, the template and the messages are tokenised apart, so that it stays text.
        """
        contents = [message.content for message in messages]
        if all(self._ids(text, special=True) == self.tokenize(text) for text in contents):
            return self._ids(self._rendered(messages), special=True, begin=True)
        marked = [
            replace(message, content=f"\ue000{place}\ue001")
            for place, message in enumerate(messages)
        ]
        parts = _PLACE.split(self._rendered(marked))
        ids = self._ids(parts[0], special=True, begin=True)
        for place, part in zip(parts[1::2], parts[2::2], strict=True):
            ids += self.tokenize(contents[int(place)]) + self._ids(part, special=True)
        return ids

    def _rendered(self, messages: Sequence[Message]) -> str:
        body = {
            "messages": [{"role": each.role, "content": each.content} for each in messages],
            # Models that think aloud by default are asked for the answer.
            "chat_template_kwargs": {"enable_thinking": False},
        }
        return str(self._server.ask("/apply-template", body)["prompt"])

    def _ids(self, text: str, *, special: bool, begin: bool = False) -> list[int]:
        body = {"content": text, "parse_special": special, "add_special": begin}
        try:
            return [int(id) for id in self._server.ask("/tokenize", body)["tokens"]]
        except EngineError as error:
            if _MISSING not in str(error):
                raise
            raise self._without_tokens() from error

    def _without_tokens(self) -> EngineError:
        return RequestRefused(f"The vocabulary of {self.name} lacks characters of this text.")

    def _embedded_ids(self, text: str) -> list[int]:
        ids = self._ids(text, special=False, begin=True)[:_EMBEDDING_TOKENS]
        if not ids:
            raise RequestRefused("An empty text has no embedding.")
        return ids

    def _embedding_server(self) -> LlamaServer:
        with self._lock:
            if self._is_closed():
                raise EngineError(CLOSED)
            if self._embedding is None:
                options = replace(
                    self._options,
                    num_slots=1,
                    slot_tokens=_EMBEDDING_TOKENS,
                    batch_tokens=_EMBEDDING_TOKENS,
                    adapters=(),
                    is_embedding=True,
                )
                self._embedding = LlamaServer(self._path, options)
                self._servers.append(self._embedding)
            return self._embedding

    def _find_mark(self) -> int:
        for character in _MARKS:
            with suppress(EngineError, IndexError):
                return self.tokenize(character)[-1]
        raise EngineError(f"The vocabulary of {self.name} has not even one of {_MARKS}.")

    def _is_closed(self) -> bool:
        return self._workers.closed


def _close(workers: Workers, servers: list[LlamaServer]) -> None:
    workers.close()
    for server in servers:
        server.close()


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}.") from error
    if start != _MAGIC:
        raise EngineError(f"{path} is no GGUF file. Export the model as one.")


def _pieces(event: Event) -> Iterator[Piece]:
    """What an event tells; nothing where it only says how far the prompt is."""
    usage = event.get("usage") or {}
    for choice in event["choices"]:
        told = (choice.get("logprobs") or {}).get("content") or []
        if choice["text"] or told:
            yield Piece(
                text=choice["text"],
                choice=choice["index"],
                tokens=tuple(_chance(token) for token in told),
                likeliest=tuple(tuple(map(_chance, token["top_logprobs"])) for token in told),
            )
        if choice["finish_reason"]:
            yield Piece(
                choice=choice["index"],
                finish=_finish(choice["finish_reason"]),
                num_prompt_tokens=usage.get("prompt_tokens", 0),
                num_tokens=usage.get("completion_tokens", 0),
            )


def _finish(reason: str) -> FinishReason:
    return "length" if reason == "length" else "stop"


def _chance(token: Mapping[str, Any]) -> TokenChance:
    return TokenChance(token=token["token"], id=token["id"], logprob=token["logprob"])

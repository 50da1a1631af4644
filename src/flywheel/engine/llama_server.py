"""llama.cpp's server inside this process: opened, asked, and closed again.

Requests go in by calls. Its HTTP side cannot be left out, and is the only one that tokenises and
fills in chat templates; it listens on a Unix socket in a folder that only this user can enter, on
loopback where there are none, and wants a key that nobody else knows.

Not here: what is asked, and what the events mean (`embedded.py`).
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.engine.stream import CLOSED
from flywheel.errors import EngineError

_MAX_SOCKET_PATH = 100
"""Bytes; Linux allows 107, macOS 103."""
_NUM_HTTP_THREADS = 4
_SPIN_SETTINGS = frozenset({"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"})
"""An owner who sets one of them knows better."""
_QUIET = -1
"""Below llama.cpp's errors: what goes wrong is told by an EngineError alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """How llama.cpp is opened."""

    num_slots: int
    slot_tokens: int
    """Prompt and answer of one generation together."""
    batch_tokens: int
    """How much is computed in one go; a request can be cancelled only between two."""
    num_threads: int = 0
    """0: as many as the machine has cores."""
    exact_cache: bool = False
    """Keys, values and attention in f32 instead of f16. Of 16M parameters in f32, the 20 likeliest
    tokens' log-probabilities are then within 2e-5 of transformers', else within 2e-4."""
    adapters: tuple[Path, ...] = ()
    is_embedding: bool = False


class LlamaServer:
    """One model, loaded. Its methods may be called from several threads."""

    def __init__(self, path: Path, options: ServerOptions) -> None:
        """Loads a model.

        Raises:
            EngineError: the file does not load, or xllamacpp is not installed.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="flywheel-engine-"))
        self._key = secrets.token_urlsafe(32)
        self._headers = {"Authorization": f"Bearer {self._key}", "Connection": "close"}
        self._socket = self._folder / "llama.sock"
        has_sockets = hasattr(socket, "AF_UNIX")
        self._by_socket = has_sockets and len(os.fsencode(self._socket)) <= _MAX_SOCKET_PATH
        try:
            self._native: Any = self._load(path, options)
        except EngineError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def complete(
        self, body: Mapping[str, Any], on_event: Callable[[dict[str, Any]], bool | None]
    ) -> None:
        """Generates; `on_event` gets each event and says whether to stop. Returns at the end."""
        self._opened().handle_completions(dict(body), on_event)

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        """A vector of length 1 for each text's tokens.

        Raises:
            EngineError: a text has more than `batch_tokens`.
        """
        answer = self._opened().handle_embeddings({"input": [list(ids) for ids in inputs]})
        if "data" not in answer:
            raise EngineError(f"The model gives no embeddings: {problem(answer)}")
        return [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])]

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What only the HTTP side can do.

        Raises:
            EngineError: it refuses.
        """
        self._opened()
        connection = self._connection()
        try:
            connection.request("POST", path, json.dumps(body), self._headers)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EngineError(f"The engine does not answer: {error}") from error
        finally:
            connection.close()
        if "error" in answer:
            raise EngineError(f"The engine refuses the request: {problem(answer)}")
        return answer

    def close(self) -> None:
        self._native = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _opened(self) -> Any:
        """The native server, which a call keeps alive while another thread closes this one."""
        native = self._native
        if native is None:
            raise EngineError(CLOSED)
        return native

    def _load(self, path: Path, options: ServerOptions) -> Any:
        xllamacpp = library()
        parameters = xllamacpp.CommonParams()
        _set_model(xllamacpp, parameters, path, options)
        _set_server(parameters)
        parameters.api_keys = [self._key]
        parameters.hostnames = [str(self._socket) if self._by_socket else "127.0.0.1"]
        try:
            return xllamacpp.Server(parameters)
        except RuntimeError as error:
            raise EngineError(
                f"{path} does not load: it is damaged, llama.cpp does not know its architecture, "
                f"or an adapter is not made for it. Export it again."
            ) from error

    def _connection(self) -> http.client.HTTPConnection:
        """A new one each time: they are cheap here, and httpx's pool closes connections that
        another thread has just been given (8 of 5,000 calls by 32 threads)."""
        if self._by_socket:
            return _SocketConnection(self._socket)
        return http.client.HTTPConnection(self._native.listening_address.partition("//")[2])


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def library() -> Any:
    """xllamacpp, imported so that its threads do not wait for each other by spinning for long.

    They meet hundreds of times for each token. Left alone, libgomp spins for milliseconds, and on 2
    cores that others use as well 16M parameters gave 66 tokens/s for 8 streams instead of 344.

    Raises:
        EngineError: it is not installed, or does not load.
    """
    settings = {} if _SPIN_SETTINGS & os.environ.keys() else {"GOMP_SPINCOUNT": "1000"}
    os.environ.update(settings)  # read once, when libgomp is loaded
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineError(
            f"Serving a model in process needs xllamacpp ({error}): pip install "
            "'flywheel-assistant[model]', and the system's package libgomp1."
        ) from error
    finally:
        for name in settings:
            os.environ.pop(name, None)
    return xllamacpp


def _set_model(xllamacpp: Any, parameters: Any, path: Path, options: ServerOptions) -> None:
    parameters.model.path = str(path)
    parameters.n_parallel = options.num_slots
    parameters.n_ctx = options.num_slots * options.slot_tokens
    parameters.n_batch = parameters.n_ubatch = options.batch_tokens
    if options.num_threads:
        parameters.cpuparams.n_threads = options.num_threads
        parameters.cpuparams_batch.n_threads = options.num_threads
    if options.exact_cache:
        parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        disabled = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.flash_attn_type = disabled
    if options.is_embedding:
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.lora_adapters = [_adapter(xllamacpp, adapter) for adapter in options.adapters]


def _adapter(xllamacpp: Any, path: Path) -> Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path = str(path)
    adapter.scale = 0.0  # off, unless a request asks for it
    return adapter


def _set_server(parameters: Any) -> None:
    parameters.verbosity = _QUIET
    parameters.fit_params = False  # it would shrink the context without saying so
    parameters.warmup = False
    # Prompts are kept in their slots. The second cache would take up to 8 GiB, and does not tell
    # what was computed with an adapter from what was not.
    parameters.cache_ram_mib = 0
    parameters.cache_idle_slots = False
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.sse_ping_interval = -1
    parameters.n_threads_http = _NUM_HTTP_THREADS


def problem(answer: Mapping[str, Any]) -> str:
    """What an error event says, in one line."""
    error = answer.get("error", answer)
    message = error.get("message") if isinstance(error, Mapping) else error
    return " ".join(str(message or "no reason given").split())

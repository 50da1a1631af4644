"""What doctor looks at around a workspace: disk, memory, clock, packages, models elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from flywheel.answer.prompt import PROMPT_VERSION
from flywheel.build.machine import available_bytes
from flywheel.errors import FlywheelError
from flywheel.store.tables import interactions, versions
from flywheel.wheel.doctor.checkup import WAIT_SECONDS, Finding, Patient, fail, ok, warn

if TYPE_CHECKING:
    from flywheel.engine.settings import EngineSettings

MIN_FREE_BYTES = 256 << 20
MIN_MEMORY_BYTES = 400 << 20
BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right says an earlier time."""
MAX_AHEAD = timedelta(minutes=5)

_ENGINE_PACKAGE = "xllamacpp"
_EMBEDDING_PACKAGES = ("onnxruntime", "tokenizers")


def disk(patient: Patient) -> Iterator[Finding]:
    """Whether there is room for another version beside the one that serves."""
    free = shutil.disk_usage(patient.root).free
    needed = max(MIN_FREE_BYTES, patient.champion_bytes())
    room = f"disk: {free / 2**30:.1f} GiB free"
    if os.statvfs(patient.root).f_files and not os.statvfs(patient.root).f_favail:
        yield fail("disk: no file can be made: it is out of inodes", "delete small files")
    elif free < needed:
        yield fail(f"{room}, a turn needs {needed / 2**30:.1f}", "free some space")
    elif free < 3 * needed:
        yield warn(f"{room}, a turn needs {needed / 2**30:.1f}", "free some space soon")
    else:
        yield ok(room)


def memory(patient: Patient) -> Iterator[Finding]:
    """Whether the champion has room in it; a server that runs has taken its share already."""
    free = available_bytes()
    needed = MIN_MEMORY_BYTES + patient.champion_bytes() // 2
    told = f"memory: {free / 2**30:.1f} GiB available"
    if free < needed:
        yield warn(f"{told}, a server wants {needed / 2**30:.1f}", "end what else runs here")
    else:
        yield ok(told)


def embedding(patient: Patient) -> Iterator[Finding]:
    """Whether the models that settings and champion search by meaning with are there."""
    from flywheel.search.model_folder import find_model, read_model_folder

    for name in sorted(_embeddings(patient)):
        if missing := [each for each in _EMBEDDING_PACKAGES if find_spec(each) is None]:
            yield fail(
                f"embedding: {name} needs {', '.join(missing)}",
                "pip install 'flywheel-assistant[embedding]'",
            )
            continue
        relative = patient.root / Path(name).expanduser()
        try:
            folder = find_model(str(relative) if relative.is_dir() else name, may_fetch=False)
            read_model_folder(folder)
        except FlywheelError as error:
            yield fail(f"embedding: {error}", "bring it there, or empty [search] embedding")
        else:
            yield ok(f"embedding: {folder} is there")


def _embeddings(patient: Patient) -> set[str]:
    named = {patient.settings.search.embedding} if patient.settings else set()
    if patient.champion is not None:
        named.add(patient.champion.bundle.get("embedding", ""))
    return named - {""}


def engine(patient: Patient) -> Iterator[Finding]:
    """Whether the engines that the settings name answer. Asked for their models, told nothing."""
    if patient.settings is None:
        return
    named = patient.settings.engine
    for url in (named.url, named.fallback_url):
        if url:
            yield _reached(named, url)


def _reached(named: EngineSettings, url: str) -> Finding:
    import httpx

    key = os.environ.get(named.key_variable, "").strip() if url == named.url else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    problem = fail if url == named.url else warn
    try:
        reply = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=WAIT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return problem(
            f"engine: {url} does not answer: {error or type(error).__name__}",
            "start it, or mend [engine] in flywheel.toml; until then the documents are quoted",
        )
    if reply.status_code in (401, 403):
        return problem(f"engine: {url} refuses the key", f"set {named.key_variable}")
    if reply.is_redirect:
        return problem(f"engine: {url} redirects", "name the address that answers: [engine] url")
    if reply.status_code >= 500:
        return problem(f"engine: {url} fails with {reply.status_code}", "see its own log")
    if reply.is_success and named.model and named.model not in reply.text:
        return warn(f"engine: {url} lists no model {named.model}", "mend [engine] model")
    return ok(f"engine: {url} answers")


def package(patient: Patient) -> Iterator[Finding]:
    """Whether a model that the champion writes with can be loaded, and would be."""
    named = patient.champion.bundle.get("writers", {}) if patient.champion else {}
    writers = list(named.values())
    if any(each["prompt"] != PROMPT_VERSION for each in writers):
        yield fail(
            "package: the champion's model was examined with the prompt of another release",
            "`flywheel turn --model` examines it anew; until then the documents are quoted",
        )
    if not any(each["model"] for each in writers):
        return
    if find_spec(_ENGINE_PACKAGE) is None:
        yield fail(
            f"package: the champion's model needs {_ENGINE_PACKAGE}",
            "pip install 'flywheel-assistant[model]'; until then the documents are quoted",
        )
    else:
        yield ok(f"package: {_ENGINE_PACKAGE} is installed")


def clock(patient: Patient) -> Iterator[Finding]:
    """Whether the time can be right: keys and sessions end by it."""
    if patient.now < BUILT:
        yield fail(f"clock: it says {patient.now:%Y-%m-%d}", "set it: `timedatectl`")
        return
    if patient.is_current:
        with patient.reading() as conn:
            newest = [conn.scalar(select(func.max(interactions.c.at)))]
            newest.append(conn.scalar(select(func.max(versions.c.created_at))))
            on_server = None
            if conn.dialect.name == "postgresql":
                on_server = conn.scalar(text("SELECT clock_timestamp()"))
        latest = max((datetime.fromisoformat(each) for each in newest if each), default=None)
        if latest and latest - patient.now > MAX_AHEAD:
            yield fail(
                f"clock: it is behind what was written at {latest:%Y-%m-%d %H:%M} UTC",
                "set it: `timedatectl`",
            )
            return
        if on_server and abs(on_server - patient.now) > MAX_AHEAD:
            yield warn("clock: the database's server has another time", "set both: `timedatectl`")
            return
    yield ok(f"clock: {patient.now:%Y-%m-%d %H:%M} UTC")

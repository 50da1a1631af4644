"""Doctor: each check is seen to fail, none writes, and none keeps another from being made."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from flywheel.answer.prompt import PROMPT_VERSION
from flywheel.store import jobs, keys, versions
from flywheel.store.erasures import Erasure
from flywheel.store.jobs import Job, TurnArguments
from flywheel.store.keys import Key
from flywheel.store.redaction import Items
from flywheel.store.tables import versions as version_table
from flywheel.wheel.backup.make import backup
from flywheel.wheel.doctor import examine as doctor
from flywheel.wheel.doctor import machine as checks_of_machine
from flywheel.wheel.doctor import workspace as checks_of_workspace
from flywheel.wheel.doctor.checkup import Finding, Patient, Status
from flywheel.wheel.doctor.examine import examine
from flywheel.wheel.erasure.erase import take
from flywheel.wheel.keys import add
from flywheel.wheel.versions import hash_of
from flywheel.wheel.workspace import WORKER_LOCK, Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain


def found(root: Path, *statuses: Status) -> dict[str, Finding]:
    """What doctor says, by the first word."""
    told = {each.what.partition(":")[0]: each for each in reversed(examine(root))}
    return {name: each for name, each in told.items() if not statuses or each.status in statuses}


def wrong(root: Path, name: str, status: Status, told: str) -> None:
    """One check, and no other, finds something, and says what to do."""
    bad = found(root, "warn", "fail")
    assert bad.keys() == {name}
    assert bad[name].status == status
    assert told in bad[name].what
    assert bad[name].advice


def states(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(each): (each.stat().st_mtime_ns, each.read_bytes())
        for each in sorted(folder.rglob("*"))
        if each.is_file() and not each.name.endswith(("-shm", "-wal", ".lock"))
    }


@pytest.fixture
def root(domain: Domain) -> Path:
    """The domain, which nobody else may read, closed."""
    domain.root.chmod(0o700)
    domain.close()
    return domain.root


def test_sound_workspace_is_all_ok_and_is_not_written(root: Path) -> None:
    before = states(root)
    assert found(root, "warn", "fail") == {}
    assert states(root) == before
    expected = doctor.CHECKS.keys() - {"embedding", "engine", "package"}
    assert found(root).keys() == expected, "what is not used is not spoken of"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_either_database_is_examined_while_it_is_used(
    domain: Domain, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    domain.root.chmod(0o700)
    if kind == "postgresql":
        from flywheel.wheel.backup.restore import restore

        url = request.getfixturevalue("make_database")()
        made = backup(domain.workspace, tmp_path).file
        domain.close()
        restore(made, domain.root, over=True, store=url)
    with domain.workspace.exclusive():
        assert found(domain.root, "warn", "fail") == {}


def test_folder_that_is_no_workspace(tmp_path: Path) -> None:
    [told] = found(tmp_path, "fail").values()
    assert "is no workspace" in told.what
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("toml", ["[serve]\nprot = 1\n", "[store", '[store]\nurl = "mysql://x"\n'])
def test_settings_that_are_wrong(root: Path, toml: str) -> None:
    (root / "flywheel.toml").write_text(toml)
    wrong(root, "settings", "fail", "")


def test_database_that_is_missing(root: Path) -> None:
    (root / "flywheel.db").unlink()
    wrong(root, "store", "fail", "is not there")
    assert not (root / "flywheel.db").exists()


def test_database_of_another_program(root: Path) -> None:
    (root / "flywheel.db").unlink()
    sqlite3.connect(root / "flywheel.db").execute("CREATE TABLE a (b)").connection.close()
    wrong(root, "store", "fail", "holds no workspace")


def test_database_server_that_does_not_answer(root: Path) -> None:
    url = "postgresql+psycopg://u:secret@127.0.0.1:1/x"
    (root / "flywheel.toml").write_text(f'[store]\nurl = "{url}"\n')
    wrong(root, "store", "fail", "does not answer")
    assert not any("secret" in each.what + each.advice for each in examine(root))


@pytest.mark.parametrize(
    ("revision", "status", "told"), [("9999", "fail", "newer"), ("0005", "warn", "earlier")]
)
def test_schema_of_another_release(root: Path, revision: str, status: Status, told: str) -> None:
    with sqlite3.connect(root / "flywheel.db") as connection:
        connection.execute("UPDATE flywheel_schema SET version_num = ?", (revision,))
    connection.close()
    before = states(root)
    wrong(root, "store", status, told)
    assert states(root) == before, "it is not upgraded"


def test_pages_that_are_damaged(root: Path) -> None:
    place = root / "flywheel.db"
    data = bytearray(place.read_bytes())
    data[-4096:] = b"\xa5" * 4096
    place.write_bytes(data)
    wrong(root, "soundness", "fail", "is damaged")


def test_database_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def reading(patient: Patient) -> Iterator[Any]:
        with patient.reading() as conn:
            yield conn

    monkeypatch.setattr(Patient, "trying", reading)
    wrong(root, "writable", "fail", "cannot be written")


def test_database_that_is_being_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel.wheel.doctor.checkup.WAIT_SECONDS", 0.01)
    writing = sqlite3.connect(root / "flywheel.db", isolation_level=None)
    writing.execute("BEGIN IMMEDIATE")
    wrong(root, "writable", "warn", "being written just now")
    writing.close()


def test_no_version(blank: Domain) -> None:
    blank.root.chmod(0o700)
    wrong(blank.root, "champion", "warn", "no version serves")


@pytest.mark.parametrize("limit", [checks_of_workspace.MAX_READ_BYTES, 0])
def test_champion_whose_artifacts_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(checks_of_workspace, "MAX_READ_BYTES", limit)
    assert ("whole" if limit else "by names and sizes") in found(root)["champion"].what
    [file] = (root / "artifacts" / "index").glob("[!.]*/frequencies.json")
    file.write_text(file.read_text() + " ")
    wrong(root, "champion", "fail", "frequencies.json has changed")


def test_index_that_is_missing(root: Path) -> None:
    shutil.rmtree(root / "artifacts")
    wrong(root, "champion", "fail", "missing")


def test_index_that_does_not_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flywheel.search.index.PassageIndex.search", lambda *_: [])
    wrong(root, "index", "fail", "does not find its own passages")


@pytest.mark.parametrize(("free", "status"), [(1 << 20, "fail"), (300 << 20, "warn")])
def test_disk_that_is_nearly_full(
    root: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: Status
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    wrong(root, "disk", status, "GiB free")


def test_disk_without_inodes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = {"f_frsize": 4096, "f_blocks": 1 << 30, "f_bavail": 1 << 30, "f_bfree": 1 << 30}
    full = SimpleNamespace(f_files=9, f_favail=0, **blocks)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    wrong(root, "disk", "fail", "out of inodes")


def test_memory_that_is_short(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_of_machine, "available_bytes", lambda: 1 << 20)
    wrong(root, "memory", "warn", "available")


def test_embedding_model_that_is_missing_or_broken(root: Path) -> None:
    (root / "flywheel.toml").write_text('[search]\nembedding = "models/mini"\n')
    wrong(root, "embedding", "fail", "models/mini")
    (root / "models" / "mini").mkdir(parents=True)
    wrong(root, "embedding", "fail", "config.json")


def test_embedding_without_its_packages(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "flywheel.toml").write_text('[search]\nembedding = "mini"\n')
    monkeypatch.setattr(checks_of_machine, "find_spec", lambda _: None)
    wrong(root, "embedding", "fail", "onnxruntime")


class Replies(BaseHTTPRequestHandler):
    """An engine that lists its models, or whatever its path says."""

    keys: Sequence[str | None] = ()

    def do_GET(self) -> None:
        status = int(self.path.split("/")[1])
        type(self).keys = [*type(self).keys, self.headers["Authorization"]]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "small"}]}')

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def engine() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Replies) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "model", "status", "told"),
    [
        ("/200", "small", None, ""),
        ("/200", "large", "warn", "lists no model large"),
        ("/404", "small", None, ""),
        ("/401", "small", "fail", "refuses the key"),
        ("/500", "small", "fail", "fails with 500"),
        ("/302", "small", "fail", "redirects"),
    ],
)
def test_engine_that_is_named_is_asked(
    root: Path, engine: str, monkeypatch: pytest.MonkeyPatch,
    path: str, model: str, status: Status | None, told: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("FLYWHEEL_ENGINE_KEY", "sk-secret")
    monkeypatch.setattr(Replies, "keys", [])
    toml = f'[engine]\nurl = "{engine}{path}"\nmodel = "{model}"\n'
    (root / "flywheel.toml").write_text(toml)
    if status is None:
        assert found(root)["engine"].status == "ok"
    else:
        wrong(root, "engine", status, told)
    assert Replies.keys == ["Bearer sk-secret"]


def test_engine_that_is_not_there(root: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "flywheel.toml").write_text('[engine]\nurl = "http://127.0.0.1:1/v1"\n')
    wrong(root, "engine", "fail", "does not answer")
    monkeypatch.setenv("FLYWHEEL_ENGINE_KEY", "sk-secret")
    monkeypatch.setattr(Replies, "keys", [])
    toml = f'[engine]\nurl = "{engine}/200"\nfallback_url = "{engine}/500"\n'
    (root / "flywheel.toml").write_text(toml)
    told = [each.status for each in examine(root) if each.what.startswith("engine")]
    assert told == ["ok", "warn"]
    assert Replies.keys == ["Bearer sk-secret", None], "the key is the first one's"


def test_model_that_would_not_be_loaded(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    domain.root.chmod(0o700)
    key = "0" * 32
    domain.workspace.artifacts.build("model", key, lambda place: (place / "model.gguf").touch())

    def examined_with(prompt: int) -> None:
        def write(conn: Any) -> None:
            writers = {"writers": {"en": {"model": key, "prompt": prompt}}}
            bundle = versions.require(conn, 1).bundle | writers
            values = {"bundle": bundle, "bundle_hash": hash_of(bundle)}
            conn.execute(update(version_table).values(values))

        domain.workspace.database.write(write)

    examined_with(PROMPT_VERSION)
    assert found(domain.root)["package"].status == "ok"
    with monkeypatch.context() as patch:
        patch.setattr(checks_of_machine, "find_spec", lambda _: None)
        wrong(domain.root, "package", "fail", "needs xllamacpp")
    examined_with(PROMPT_VERSION - 1)
    wrong(domain.root, "package", "fail", "another release")


def test_clock_that_is_behind(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    domain.root.chmod(0o700)
    domain.ask("How does a door open?")
    examine_at = Patient.__init__

    def at(moment: datetime) -> Callable[..., None]:
        return lambda patient, **given: examine_at(patient, **given, now=moment)

    monkeypatch.setattr(Patient, "__init__", at(datetime(1970, 1, 2, tzinfo=UTC)))
    wrong(domain.root, "clock", "fail", "1970-01-02")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr(Patient, "__init__", at(yesterday))
    wrong(domain.root, "clock", "fail", "is behind")


def test_files_that_others_can_read(root: Path) -> None:
    (root / "owner.key").write_text("fw-x\n")
    (root / "owner.key").chmod(0o640)
    told = found(root, "fail")
    assert "owner.key" in told["permissions"].what
    (root / "owner.key").unlink()
    root.chmod(0o755)
    for name in ("flywheel.db", "flywheel.toml"):
        (root / name).chmod(0o644)
    told = found(root, "warn")
    assert "flywheel.db" in told["permissions"].what
    for name in ("flywheel.db", "flywheel.toml"):
        (root / name).chmod(0o640)
    assert found(root, "warn") == {}


def test_exam_that_cannot_be_read(root: Path) -> None:
    (root / "exam.jsonl").write_text('{"id": 1, "question": "车门？"}\n{"id": 2}\n')
    wrong(root, "exam", "fail", "line 2")
    (root / "flywheel.toml").write_text('[exam]\nfile = "other.jsonl"\n')
    wrong(root, "exam", "fail", "other.jsonl is not there")
    (root / "exam.jsonl").write_text('{"id": 1, "question": "车门？"}\n')
    (root / "flywheel.toml").write_text("")
    assert "1 questions are read" in found(root)["exam"].what


def test_keys_that_end_soon(domain: Domain) -> None:
    domain.root.chmod(0o700)
    database = domain.workspace.database
    add(database, "owner", "owner")
    assert found(domain.root)["keys"].status == "ok"
    add(database, "desk", "asker", days=3)
    wrong(domain.root, "keys", "warn", "of desk ends at")


def test_no_owner_who_gets_in(domain: Domain) -> None:
    domain.root.chmod(0o700)
    database = domain.workspace.database
    old = Key(id="k1", name="o", role="owner", access=None, created_at="2025", expires_at="2025-02")
    database.write(lambda conn: keys.put(conn, old, "aa"))
    wrong(domain.root, "keys", "warn", "no owner's key is valid")
    made = add(database, "me", "owner")
    (domain.root / "owner.key").touch(mode=0o600)
    (domain.root / "owner.key").write_text(made.secret + "\n")
    assert found(domain.root, "warn", "fail") == {}
    (domain.root / "owner.key").write_text("fw-other\n")
    wrong(domain.root, "keys", "warn", "lets nobody in")


def test_jobs_that_hang(domain: Domain) -> None:
    domain.root.chmod(0o700)
    at = (datetime.now(UTC) - timedelta(days=2)).isoformat()

    def write(conn: Any) -> None:
        jobs.put(conn, Job(id="j1", arguments=TurnArguments(), user="o", created_at=at))
        jobs.put(conn, Job(id="j2", arguments=TurnArguments(), user="o", created_at=at))
        jobs.start(conn, "j1", at)

    domain.workspace.database.write(write)
    wrong(domain.root, "jobs", "fail", "2 wait, and no worker")
    with (domain.root / WORKER_LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wrong(domain.root, "jobs", "warn", "the turn j1 has been running since")


def test_erase_that_was_interrupted(domain: Domain) -> None:
    domain.root.chmod(0o700)
    erasure = Erasure(id="e1", kind="user", of="x", at="2026-01-01T00:00:00+00:00")
    take(domain.workspace, erasure, Items(interactions=frozenset({"i"})))
    wrong(domain.root, "erasures", "fail", "1 interrupted")
    with domain.workspace.exclusive():
        assert found(domain.root, "fail") == {}, "it is not over"


def test_what_killed_commands_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, told in ((".a.tar.gz.part", "killed backup"), ("flywheel.db.damaged-1", "restore")):
        (root / name).touch()
        wrong(root, "leftovers", "warn", told)
        (root / name).unlink()
    (root / ".restore").mkdir()
    wrong(root, "leftovers", "warn", "a restore was interrupted")
    assert (root / ".restore").exists(), "it is not completed here"
    (root / ".restore").rmdir()
    unfinished = root / "artifacts" / "index" / f".{'0' * 32}.unfinished"
    unfinished.mkdir()
    (unfinished / "a").write_bytes(b"x")
    assert found(root, "warn") == {}
    monkeypatch.setattr(checks_of_workspace, "MAX_LEFT_BYTES", 0)
    wrong(root, "leftovers", "warn", "killed turns")


def test_check_that_breaks_keeps_no_other_from_being_made(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(patient: Patient) -> Iterator[Finding]:
        raise ZeroDivisionError("for\nnothing")

    everything = found(root)
    monkeypatch.setattr(doctor, "CHECKS", {"settings": doctor.CHECKS["settings"], "new": breaks} | {
        name: check for name, check in doctor.CHECKS.items() if name != "settings"
    })  # fmt: skip
    told = found(root)
    assert told.pop("new").what == "new: ZeroDivisionError: for"
    assert told.keys() == everything.keys()


def test_workspace_can_be_used_afterwards(domain: Domain) -> None:
    examine(domain.root)
    with Workspace.open(domain.root) as other, other.exclusive():
        assert other.champion().number == 1

"""Restore: the old state or the new one, never what was taken back, and nothing from a bad file."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import MetaData, create_engine, select
from tests.store.test_migrations import make_earlier
from tests.wheel.backup.test_make import edit, held
from tests.wheel.erasure.test_erase import BOB, DIARY, holding
from tests.wheel.killing import CODE, Killer

from flywheel.errors import (
    FlywheelError,
    SettingsError,
    SourceError,
    StoreError,
    UsageError,
    WorkspaceBusy,
    WorkspaceError,
)
from flywheel.store import audit, dump, feedback, interactions, jobs, state
from flywheel.store.jobs import Job, TurnArguments
from flywheel.store.tables import SCHEMA, sessions
from flywheel.wheel import keys, swap
from flywheel.wheel.backup import plan as restore_plan
from flywheel.wheel.backup import server_lock, unpacking
from flywheel.wheel.backup.make import Manifest, backup
from flywheel.wheel.backup.restore import restore
from flywheel.wheel.backup.tarball import Writer
from flywheel.wheel.erasure import erase as erasure
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.feedback import accept
from flywheel.wheel.settings import load_settings
from flywheel.wheel.workspace import SERVER_LOCK, WORKER_LOCK, Workspace

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

LOCK = "Where does the child lock sit?"
SECRET = "golden teapot"


def acts(workspace: Workspace) -> set[str]:
    with workspace.database.read() as conn:
        return {each.id for each in feedback.list_feedback(conn)}


def found(workspace: Workspace) -> str:
    return "\n".join(each.text for each in workspace.ask(LOCK).answer.passages)


def settled(root: Path) -> Workspace:
    """Opened as whoever comes next would, after an interrupted restore too."""
    swap.settle(root)
    return Workspace.open(root)


def packed(file: Path, files: dict[str, bytes], **told: Any) -> Path:
    """A backup of these files, with a manifest that says so, or else what is told."""
    with file.open("wb") as opened:
        writer = Writer(opened)
        for name, data in files.items():
            writer.add(name, len(data), io.BytesIO(data))
        values = {
            "format": 1, "id": "0" * 32, "release": "1", "revision": SCHEMA, "at": "2026",
            "root": "/w", "champion": None, "rows": {},
            "members": {name: asdict(each) for name, each in writer.members.items()},
        }  # fmt: skip
        manifest = json.dumps(values | told).encode()
        writer.add("manifest.json", len(manifest), io.BytesIO(manifest))
        writer.close()
    return file


def repacked(file: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    members = held(file)
    told = json.loads(members.pop("manifest.json"))
    change(members)
    told.pop("members")
    return packed(file.with_name("changed.tar.gz"), members, **told)


@pytest.fixture(scope="module")
def _made(_place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "workspace"
    shutil.copytree(_place.with_name("kept") / "workspace", root)
    with Workspace.open(root) as workspace:
        accept(workspace, [edit("before")])
        workspace.ask(LOCK)
        return backup(workspace, root.parent).file


@pytest.fixture
def made(_made: Path, tmp_path: Path) -> Path:
    """A backup of the domain with one correction, which the domain itself has not."""
    return Path(shutil.copy(_made, tmp_path / "made.tar.gz"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


def test_new_folder_answers_as_the_old_one_did(
    domain: Domain, tmp_path: Path, elsewhere: Path
) -> None:
    workspace = domain.workspace
    secret = keys.add(workspace.database, "desk", "curator").secret
    (workspace.root / "exam.jsonl").write_text('{"id": 1, "question": "?"}\n')
    (workspace.root / "uploads" / "ab").mkdir(parents=True)
    (workspace.root / "uploads" / "ab" / "车.md").write_text("uploaded")
    (workspace.root / "owner.key").write_text("mine")
    asked = workspace.ask("儿童锁在哪里？")
    made = backup(workspace, tmp_path).file

    told = restore(made, elsewhere)  # the old one is open meanwhile

    assert (told.champion, told.notes, told.num_erased_again) == (1, (), 0)
    with Workspace.open(elsewhere) as restored:
        assert restored.ask("儿童锁在哪里？").answer.answer == asked.answer.answer
        caller = keys.caller_of(restored.database, secret)
        with restored.database.read() as conn:
            assert interactions.get(conn, asked.interaction) is not None
            assert audit.list_acts(conn)[0].action == "workspace.restore"
    assert caller is not None and caller.name == "desk"
    found = {each.name for each in elsewhere.iterdir()}
    assert {"flywheel.toml", "flywheel.db", "artifacts", "uploads", "exam.jsonl"} <= found
    assert not {"owner.key", ".restore", "database", "staged.db"} & found
    assert (elsewhere / "uploads" / "ab" / "车.md").read_text() == "uploaded"


def test_workspace_goes_back_to_what_it_was(domain: Domain, made: Path) -> None:
    workspace = domain.workspace
    accept(workspace, [edit("after")])
    domain.write("new.md", "# New\n\nThe new horn is louder than the old one was.")
    domain.add()
    assert domain.turn().version == 2
    (workspace.root / "uploads").mkdir()
    (workspace.root / "uploads" / "later.md").touch()
    (workspace.root / "owner.key").write_text("mine")
    (workspace.root / "notes.txt").write_text("the owner's own")
    domain.close()

    told = restore(made, domain.root, over=True)

    assert told.champion == 1
    assert acts(domain.workspace) == {"before"}
    assert "louder" not in domain.found("How loud is the horn?")
    assert "edge of each rear door" in domain.found(LOCK)
    assert not (domain.root / "uploads" / "later.md").exists()
    assert (domain.root / "owner.key").read_text() == "mine"
    assert (domain.root / "notes.txt").read_text() == "the owner's own"
    assert not (domain.root / ".restore").exists()
    assert domain.turn().decision, "the wheel goes on"


def test_key_that_was_revoked_since_lets_nobody_in(domain: Domain, tmp_path: Path) -> None:
    database = domain.workspace.database
    made = [keys.add(database, name, "owner") for name in ("lost", "good")]
    cookie = keys.sign_in(database, made[1].key)
    file = backup(domain.workspace, tmp_path).file
    keys.revoke(database, made[0].key.id)
    later = keys.add(database, "later", "asker")
    domain.close()

    told = restore(file, domain.root, over=True)

    database = domain.workspace.database
    assert keys.caller_of(database, made[0].secret) is None
    assert keys.caller_of(database, made[1].secret) is not None
    assert keys.caller_of_session(database, cookie) is None, "who signed in does so again"
    assert any(later.key.id in note for note in told.notes)
    with database.read() as conn:
        done = [(each.action, each.target) for each in audit.list_acts(conn)]
        assert conn.execute(select(sessions)).all() == []
    assert done[0][0] == "workspace.restore"
    assert ("keys.revoke", made[0].key.id) in done, "the audit goes on"
    assert ("keys.add", later.key.id) in done


def test_jobs_of_another_time_do_not_start(domain: Domain, tmp_path: Path) -> None:
    def write(conn: Any) -> None:
        for id in ("a", "b"):
            jobs.put(conn, Job(id=id, arguments=TurnArguments(), user="o", created_at="2026"))
        jobs.start(conn, "a", "2026")

    domain.workspace.database.write(write)
    file = backup(domain.workspace, tmp_path).file
    domain.close()
    restore(file, domain.root, over=True)
    with domain.workspace.database.read() as conn:
        assert {each.state for each in jobs.list_jobs(conn)} == {"cancelled"}


def test_what_was_erased_since_is_erased_again(blank: Domain, tmp_path: Path) -> None:
    blank.write("doors.md", "# Doors\n\nEvery door opens by pulling the handle twice.")
    blank.write("diary.md", DIARY)
    blank.add()
    blank.turn()
    workspace = blank.workspace
    accept(workspace, [edit("of-ann"), edit("of-bob", BOB)])
    accept(workspace, [edit("quoting")])
    asked = workspace.ask("Where did Mrs Pemberton hide the ledger?", user="ann").interaction
    shown = workspace.ask("What is buried under the old oak tree?", user="ann").interaction
    made = backup(workspace, tmp_path / "made.tar.gz").file
    erase(workspace, "source", str(blank.documents / "diary.md"))
    erase(workspace, "user", BOB)
    erase(workspace, "interaction", asked)
    blank.close()

    told = restore(made, blank.root, over=True)

    assert told.num_erased_again == 3
    assert told.champion == 2, "version 1 held the diary: it is built again without it"
    workspace = blank.workspace
    assert holding(workspace, SECRET, "杏仁糖", BOB, "Pemberton") == []
    assert SECRET not in blank.found("What is buried under the old oak tree?")
    assert "handle twice" in blank.found("How does a door open?")
    with workspace.database.read() as conn:
        other = interactions.get(conn, shown)
    assert other is not None and other.candidates == ()
    assert {each.path: each.fate for each in blank.add()}["diary.md"] == "dropped"
    blank.close()
    assert restore(made, blank.root, over=True).num_erased_again == 3, "and the next time, too"


def test_erasure_that_the_backup_knows_is_not_done_again(domain: Domain, tmp_path: Path) -> None:
    erase(domain.workspace, "source", str(domain.documents / "doors.md"))
    made = backup(domain.workspace, tmp_path).file
    domain.close()
    assert restore(made, domain.root, over=True).num_erased_again == 0


def test_erase_that_was_interrupted_then_is_completed(
    domain: Domain, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "replace_champion", fail)
        with pytest.raises(KeyboardInterrupt):
            erase(domain.workspace, "source", str(domain.documents / "doors.md"))
    made = backup(domain.workspace, tmp_path).file
    told = restore(made, elsewhere)
    assert (told.num_erased_again, told.champion) == (1, 2)
    with Workspace.open(elsewhere) as restored:
        assert holding(restored, "pulling the handle") == []


def test_uploaded_file_that_was_erased_since_does_not_come_back(
    domain: Domain, tmp_path: Path
) -> None:
    from flywheel.wheel import uploads

    workspace = domain.workspace
    source = uploads.source_of(["public"])
    place = uploads.folder_of(workspace, source) / "diary.md"
    place.parent.mkdir(parents=True)
    place.write_text(DIARY)
    uploads.add(workspace, ["public"])
    made = backup(workspace, tmp_path / "made.tar.gz").file
    erase(workspace, "source", f"{source}/diary.md")
    assert not place.exists()
    domain.close()
    assert restore(made, domain.root, over=True).num_erased_again == 1
    assert not place.exists()
    assert holding(domain.workspace, SECRET) == []


@pytest.mark.parametrize("lock", [SERVER_LOCK, WORKER_LOCK])
def test_workspace_that_is_served_is_refused_with_what_to_do(
    domain: Domain, made: Path, lock: str
) -> None:
    held = server_lock.shared(domain.root) if lock == SERVER_LOCK else None
    if held is None:
        import fcntl

        file = (domain.root / WORKER_LOCK).open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    else:
        held.__enter__()
    with pytest.raises(WorkspaceBusy, match="Stop it first, or restore into another folder"):
        restore(made, domain.root, over=True)
    file.close() if held is None else held.__exit__(None, None, None)
    assert restore(made, domain.root, over=True).champion == 1


def test_server_does_not_start_amid_a_restore(domain: Domain) -> None:
    domain.close()
    with (
        server_lock.alone(domain.root),
        pytest.raises(WorkspaceBusy, match="being restored"),
        server_lock.shared(domain.root),
    ):
        pass


def test_workspace_that_is_open_or_turning_is_refused(domain: Domain, made: Path) -> None:
    with Workspace.open(domain.root) as other:
        other.champion()
        with pytest.raises(WorkspaceBusy, match="is open in another process"):
            restore(made, domain.root, over=True)
    with swap.staging(domain.root), pytest.raises(WorkspaceBusy, match="Another restore"):
        restore(made, domain.root, over=True)


def test_workspace_is_not_replaced_unasked(domain: Domain, made: Path) -> None:
    with pytest.raises(UsageError, match="is a workspace"):
        restore(made, domain.root)


def test_folder_with_other_files_becomes_the_workspace(made: Path, elsewhere: Path) -> None:
    elsewhere.mkdir()
    (elsewhere / "handbook.md").write_text("mine")
    assert restore(made, elsewhere).champion == 1
    assert (elsewhere / "handbook.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["artifacts", "flywheel.db", "uploads"])
def test_what_is_in_the_way_is_left_alone(made: Path, elsewhere: Path, name: str) -> None:
    (elsewhere / name).mkdir(parents=True)
    if name == "uploads":
        made = repacked(made, lambda members: members.update({"uploads/a": b"a"}))
    with pytest.raises(UsageError, match=f"holds {name} already"):
        restore(made, elsewhere)
    assert [each.name for each in elsewhere.iterdir() if each.name[0] != "."] == [name]


@pytest.mark.parametrize("damage", ["header", "pages"])
def test_damaged_database_is_put_aside(domain: Domain, made: Path, damage: str) -> None:
    domain.close()
    place = domain.root / "flywheel.db"
    data = bytearray(place.read_bytes())
    span = slice(0, 100) if damage == "header" else slice(4096, len(data))
    data[span] = b"\xa5" * len(data[span])
    place.write_bytes(data)
    told = restore(made, domain.root, over=True)
    assert told.champion == 1
    assert any("damaged" in note for note in told.notes)
    [aside] = domain.root.glob("flywheel.db.damaged-*")
    assert aside.read_bytes() == bytes(data)
    assert "rear door" in domain.found(LOCK)


def test_backup_of_one_database_is_restored_into_the_other(
    domain: Domain, made: Path, elsewhere: Path, make_database: Callable[[], str], tmp_path: Path
) -> None:
    url = make_database()
    assert restore(made, elsewhere, store=url).champion == 1
    assert not (elsewhere / "flywheel.db").exists()
    settings = (elsewhere / "flywheel.toml").read_text()
    assert f'url = "{url}"' in settings and "# Where what must not be lost is kept." in settings
    with Workspace.open(elsewhere) as server:
        assert acts(server) == {"before"}
        accept(server, [edit("on-server")])
        back = backup(server, tmp_path / "back.tar.gz").file
        with pytest.raises(UsageError, match="is not blank"):
            restore(back, tmp_path / "third", store=url)
        with pytest.raises(WorkspaceBusy, match="is open in"):
            restore(made, elsewhere, over=True)
    assert not (tmp_path / "third").exists()

    restore(made, elsewhere, over=True)  # on the server, in place
    with Workspace.open(elsewhere) as server:
        assert acts(server) == {"before"}
    with pytest.raises(UsageError, match="outside of its folder"):
        restore(back, tmp_path / "third")
    restore(back, tmp_path / "third", store="sqlite:///other.db")
    with Workspace.open(tmp_path / "third") as file:
        assert acts(file) == {"before", "on-server"}
        assert file.settings.store.url == "sqlite:///other.db"
        assert "rear door" in found(file)


def test_other_database_takes_the_place_of_the_workspaces_own(domain: Domain, made: Path) -> None:
    secret = keys.add(domain.workspace.database, "a", "owner")
    made = backup(domain.workspace, made.with_name("again.tar.gz")).file
    keys.revoke(domain.workspace.database, secret.key.id)
    domain.close()
    restore(made, domain.root, over=True, store="sqlite:///second.db")
    assert domain.workspace.settings.store.url == "sqlite:///second.db"
    assert keys.caller_of(domain.workspace.database, secret.secret) is None
    assert (domain.root / "flywheel.db").exists(), "the one before stays as it is"


@pytest.mark.parametrize(
    "toml",
    [
        "",
        "[search]\nembedding = ''\n",
        "[store]\n",
        "[store] # here\n# url = 'x'\nurl = 'sqlite:///a.db' # or there\n[search]\n",
        "[search]\n[ store ]\n  url='sqlite:///a.db'\n\n[exam]\nfile='exam.jsonl'\n",
        "store.url = 'sqlite:///a.db'\n",
        "store = {url = 'sqlite:///a.db'}\n",
        '[store]\nurl = """\nsqlite:///a.db"""\n',
    ],
)
def test_settings_name_the_database_and_say_the_rest_as_before(tmp_path: Path, toml: str) -> None:
    file = tmp_path / "flywheel.toml"
    file.write_text(toml)
    url = 'sqlite:///b "车" \\.db'
    if toml.startswith("store") or '"""' in toml:
        with pytest.raises(SettingsError, match=r"below \[store\]"):
            restore_plan.change_url(file, url)
        assert file.read_text() == toml
        return
    restore_plan.change_url(file, url)
    text = file.read_text()
    assert all(line in text for line in toml.splitlines() if "a.db" not in line)
    assert load_settings(file).store.url == url


@pytest.mark.parametrize("revision", ["0001", "0005"])
def test_backup_of_an_older_release_is_upgraded(
    tmp_path: Path, elsewhere: Path, revision: str
) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    make_earlier(url, revision)
    engine = create_engine(url)
    members = {"flywheel.toml": b""}
    with engine.connect() as conn:
        there = MetaData()
        there.reflect(conn)
        for table in there.sorted_tables:
            lines = [each + b"\n" for each in dump.lines(conn, table)]
            if lines and table.name not in dump.NEVER:
                members[f"database/{table.name}-000001.jsonl"] = b"".join(lines)
    engine.dispose()

    def renamed(data: bytes) -> bytes:
        return data.replace(b'"index": "x"', f'"index": "{"0" * 32}"'.encode())

    members = {name: renamed(data) for name, data in members.items()}
    made = packed(tmp_path / "old.tar.gz", members, revision=revision)
    told = restore(made, elsewhere)
    assert told.champion == 1
    assert "cannot serve" in told.notes[0] or "damaged" in told.notes[0]
    with Workspace.open(elsewhere) as restored, restored.database.read() as conn:
        assert interactions.get(conn, "i1") is not None


def test_engine_that_comes_with_a_backup_is_named(made: Path, elsewhere: Path) -> None:
    toml = b'[engine]\nurl = "http://gpu-box:8000/v1"\n'
    made = repacked(made, lambda members: members.update({"flywheel.toml": toml}))
    assert "http://gpu-box:8000/v1" in restore(made, elsewhere).notes[0]


def info(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = ""
) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, link
    return found


def tarred(*headers: tarfile.TarInfo, extra: bytes = b"") -> bytes:
    """A tar of these headers, as any program could have written it."""
    data = b"".join(
        each.tobuf(tarfile.GNU_FORMAT) + bytes(each.size + -each.size % 512) for each in headers
    )
    return gzip.compress(data + bytes(1024) + extra)


def long_name(size: int) -> bytes:
    return gzip.compress(info("x", tarfile.XHDTYPE, size).tobuf() + b"1" * 4096)


BAD: dict[str, Callable[[bytes], bytes]] = {
    "climbs out": lambda _: tarred(info("../outside")),
    "absolute": lambda _: tarred(info("/etc/outside")),
    "climbs within": lambda _: tarred(info("uploads/../../outside")),
    "symlink": lambda _: tarred(info("uploads/a", tarfile.SYMTYPE, link="/etc")),
    "hard link": lambda _: tarred(info("uploads/a", tarfile.LNKTYPE, link="flywheel.toml")),
    "device": lambda _: tarred(info("uploads/a", tarfile.CHRTYPE)),
    "fifo": lambda _: tarred(info("uploads/a", tarfile.FIFOTYPE)),
    "folder": lambda _: tarred(info("uploads/a", tarfile.DIRTYPE)),
    "sparse": lambda _: tarred(info("uploads/a", tarfile.GNUTYPE_SPARSE)),
    "long name of GNU": lambda _: tarred(info("uploads/" + "a" * 200)),
    "unknown": lambda _: tarred(info("owner.key")),
    "unknown stage": lambda _: tarred(info(f"artifacts/other/{'0' * 32}/a")),
    "artifact without a key": lambda _: tarred(info("artifacts/index/a/b")),
    "control character": lambda _: tarred(info("uploads/a\x1b[2J")),
    "twice": lambda _: tarred(info("uploads/a"), info("uploads/a")),
    "no manifest": lambda _: tarred(info("flywheel.toml")),
    "nothing": lambda _: tarred(),
    "huge header": lambda _: long_name(1 << 40),
    "header of digits": lambda _: long_name(4096),
    "no archive": lambda _: b"PK\x03\x04" + bytes(600),
    "empty": lambda _: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "cut at the end": lambda data: data[:-9],
    "one bit": lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
    "goes on": lambda data: gzip.compress(gzip.decompress(data) + b"x" * 512),
    "rubbish behind": lambda data: data + b"rubbish",
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_archive_is_refused_and_changes_nothing(made: Path, elsewhere: Path, bad: str) -> None:
    made.write_bytes(BAD[bad](made.read_bytes()))
    with pytest.raises(SourceError, match=str(made)):
        restore(made, elsewhere)
    assert not elsewhere.exists()
    assert not (elsewhere.parent / "outside").exists()


def change(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: data})


def bundle(members: dict[str, bytes]) -> None:
    [name] = [each for each in members if each.startswith("database/versions-")]
    row = json.loads(members[name])
    row["bundle"]["index"] = "../../../../etc"
    members[name] = json.dumps(row).encode() + b"\n"


def nonsense(members: dict[str, bytes]) -> None:
    [name] = [each for each in members if each.startswith("database/versions-")]
    row = json.loads(members[name])
    row["bundle"]["writers"] = [1]
    members[name] = json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (change("database/state-000001.jsonl", b'{"key": 1}\n'), "state, row 1"),
        (change("database/state-000001.jsonl", b'{"key": "a", "value": 1}'), "cut short"),
        (change("database/keys_of_others-000001.jsonl", b"{}\n"), "no table"),
        (change("flywheel.toml", b"[store"), "not valid TOML"),
        (change("flywheel.toml", b"[serve]\nprot = 1\n"), "Did you mean"),
        (change("flywheel.toml", b'[store]\nurl = "sqlite:////etc/x.db"\n'), "--store"),
        (change("flywheel.toml", b'[store]\nurl = "sqlite:///../x.db"\n'), "--store"),
        (
            change("flywheel.toml", b'[store]\nurl = "postgresql+psycopg://u@db.invalid/x"\n'),
            "--store",
        ),
        (change("database/state-000001.jsonl", b'{"key": "champion", "value": {}}\n'), "no sense"),
        (bundle, "artifacts or erasures"),
        (nonsense, "make no sense"),
    ],
)
def test_backup_that_makes_no_sense_is_refused(
    made: Path, elsewhere: Path, changed: Callable[[dict[str, bytes]], None], told: str
) -> None:
    with pytest.raises(FlywheelError, match=told):
        restore(repacked(made, changed), elsewhere)
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    "place", ["flywheel.toml", "artifacts/a.jsonl", "owner.key", "flywheel.db"]
)
def test_exam_does_not_take_the_place_of_anything(made: Path, elsewhere: Path, place: str) -> None:
    def changed(members: dict[str, bytes]) -> None:
        members["exam.jsonl"] = b"{}\n"
        members["flywheel.toml"] = f'[exam]\nfile = "{place}"\n'.encode()

    with pytest.raises(SettingsError, match="which is none"):
        restore(repacked(made, changed), elsewhere)
    assert not elsewhere.exists()


def test_file_that_is_not_what_the_manifest_says_is_refused(domain: Domain, made: Path) -> None:
    members = held(made)
    told = json.loads(members.pop("manifest.json"))
    [name] = [each for each in members if each.endswith("terms.npy")]
    members[name] = bytes(len(members[name]))
    with pytest.raises(SourceError, match=r"terms.npy is not what its manifest says"):
        restore(packed(made, members, **told), domain.root, over=True)
    assert not (domain.root / ".restore").exists()
    assert acts(domain.workspace) == set()


@pytest.mark.parametrize(
    "told", [{"format": 2}, {"format": 2, "new": 1}, {"revision": "9999"}, {"revision": ""}]
)
def test_backup_of_a_newer_release_is_refused(
    tmp_path: Path, elsewhere: Path, told: dict[str, Any]
) -> None:
    with pytest.raises(WorkspaceError, match="upgrade flywheel"):
        restore(packed(tmp_path / "a", {"flywheel.toml": b""}, **told), elsewhere)


@pytest.mark.parametrize(
    "told", [{"more": 1}, {"rows": 1}, {"format": "1"}, {"members": {}}, {"id": "../x"}]
)
def test_manifest_that_is_none_is_refused(
    tmp_path: Path, elsewhere: Path, told: dict[str, Any]
) -> None:
    with pytest.raises(SourceError, match="manifest"):
        restore(packed(tmp_path / "a", {"flywheel.toml": b""}, **told), elsewhere)


def test_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path, elsewhere: Path) -> None:
    with gzip.open(tmp_path / "bomb.tar.gz", "wb") as file:
        header = info("uploads/bomb", size=1 << 50)
        file.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(StoreError, match="no room"):
        restore(tmp_path / "bomb.tar.gz", elsewhere)
    assert not elsewhere.exists()


def test_rows_need_room_for_what_they_become(made: Path) -> None:
    manifest = Manifest.model_validate_json(held(made)["manifest.json"])
    total = sum(each.size for each in manifest.members.values())
    with made.open("rb") as file, pytest.raises(StoreError, match="no room"):
        unpacking.read_manifest(file, total + 1000)


def test_file_that_is_not_there_is_told(elsewhere: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        restore(Path("nowhere.tar.gz"), elsewhere)


UNPACKED = "after flywheel.wheel.backup.unpacking:unpack"
PREPARED = "after flywheel.wheel.swap:prepare"
REPLACED = "after flywheel.store.dump:replace"
COMMITTED = "before flywheel.wheel.swap:finish"
DECIDED = "after flywheel.wheel.swap:_is_decided"
MOVING = "after flywheel.wheel.swap:_move"
DONE = "after flywheel.wheel.swap:finish"
OLD = (UNPACKED, PREPARED, REPLACED)


@pytest.fixture(scope="module")
def killed() -> Iterator[Killer]:
    # Registered here as well, so that the moments are those of the command as users type it.
    start = """
from flywheel import cli
cli.COMMANDS.setdefault("restore", ("backup", ""))
import alembic.command, flywheel.wheel.backup.restore
"""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", start + CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Killer(process)
        process.kill()


@pytest.mark.parametrize("moment", [*OLD, COMMITTED, DECIDED, MOVING, DONE])
def test_killed_at_any_moment_the_old_or_the_new_state_stands(
    domain: Domain, made: Path, killed: Killer, moment: str
) -> None:
    accept(domain.workspace, [edit("after")])
    (domain.root / "exam.jsonl").write_text('{"id": "mine", "question": "?"}\n')
    exam = b'{"id": "theirs", "question": "?"}\n'
    made = repacked(made, lambda members: members.update({"exam.jsonl": exam, "uploads/a": b"a"}))
    domain.close()

    assert killed.run(moment, ["restore", "--yes", str(made), str(domain.root)]) == -9

    with settled(domain.root) as workspace:
        is_old = moment in OLD
        assert acts(workspace) == ({"after"} if is_old else {"before"})
        assert ("mine" in (domain.root / "exam.jsonl").read_text()) == is_old
        assert (domain.root / "uploads").exists() != is_old
        assert "rear door" in found(workspace)
    assert not (domain.root / ".restore").exists()
    assert restore(made, domain.root, over=True).champion == 1, "and it can be restored again"


@pytest.mark.parametrize("moment", [PREPARED, COMMITTED, MOVING])
def test_killed_in_a_new_folder_there_is_a_workspace_or_none(
    made: Path, elsewhere: Path, killed: Killer, moment: str
) -> None:
    assert killed.run(moment, ["restore", str(made), str(elsewhere)]) == -9
    if moment != COMMITTED:  # else the next restore finds out
        swap.settle(elsewhere)
    if moment == COMMITTED:
        with pytest.raises(UsageError, match="is a workspace"):
            restore(made, elsewhere)
    if moment in OLD:
        assert not Workspace.is_at(elsewhere)
        assert {each.name for each in elsewhere.iterdir()} == {".restore.lock"}
        restore(made, elsewhere)
    with Workspace.open(elsewhere) as workspace:
        assert acts(workspace) == {"before"}
        assert "rear door" in found(workspace)


@pytest.mark.parametrize("moment", [REPLACED, COMMITTED])
def test_killed_over_a_damaged_database_the_damaged_or_the_new_one_stands(
    domain: Domain, made: Path, killed: Killer, moment: str
) -> None:
    domain.close()
    place = domain.root / "flywheel.db"
    place.write_bytes(b"\xa5" * 8192)
    assert killed.run(moment, ["restore", "--yes", str(made), str(domain.root)]) == -9
    swap.settle(domain.root)
    if moment in OLD:
        assert place.read_bytes() == b"\xa5" * 8192
        assert not list(domain.root.glob("*.damaged-*"))
        restore(made, domain.root, over=True)
    assert acts(domain.workspace) == {"before"}


def test_failing_commit_leaves_everything_as_it_was(
    domain: Domain, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(domain.workspace, [edit("after")])
    domain.close()

    def fail(*_: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(state, "put", fail)
    with pytest.raises(StoreError, match="disk is full"):
        restore(made, domain.root, over=True)
    monkeypatch.undo()
    assert acts(domain.workspace) == {"after"}
    assert "rear door" in domain.found(LOCK)
    assert not (domain.root / ".restore").exists()


def test_restore_that_is_running_is_left_to_end(domain: Domain) -> None:
    domain.close()
    with swap.staging(domain.root) as staging:
        (staging / "a").touch()
        swap.settle(domain.root)
        assert (staging / "a").exists(), "it is not interrupted"
        (domain.root / ".restore" / "journal.json").write_text("{}")
        with pytest.raises(WorkspaceBusy, match="is ending"):
            swap.settle(domain.root)
        (domain.root / ".restore" / "journal.json").unlink()
        assert not swap.is_interrupted(domain.root)
    (domain.root / ".restore").mkdir()
    assert swap.is_interrupted(domain.root)
    swap.settle(domain.root)
    assert not (domain.root / ".restore").exists()

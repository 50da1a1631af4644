"""The units and the compose file: they parse, are closed, and start commands that there are."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from tests.test_docs import _parse

from flywheel.wheel.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SERVICES = ("flywheel.service", "flywheel-backup.service")
UNITS = (*SERVICES, "flywheel-backup.timer")
PROGRAM = "/opt/flywheel/bin/flywheel"
MAX_EXPOSURE = 20
"""Tenths of what systemd calls exposure: up to 2.0 it says OK, at 9.6 unsafe."""


class Unit(configparser.RawConfigParser):
    """A unit file. A key that is given again adds a line."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, dict_type=_Adding)
        self.optionxform = str  # type: ignore[assignment, method-assign]
        self.read_string((DEPLOY / name).read_text(encoding="utf-8"))


class _Adding(dict[str, Any]):
    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self:
            value = [*self[key], *value]
        super().__setitem__(key, value)


def commands(name: str) -> Iterator[list[str]]:
    service = Unit(name)["Service"]
    for key in ("ExecStart", "ExecStartPost"):
        for line in service.get(key, "").splitlines():
            yield shlex.split(line)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return data


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units with programs that are on this machine."""
    for name in UNITS:
        text = (DEPLOY / name).read_text(encoding="utf-8").replace(PROGRAM, sys.executable)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [str(tmp_path / name) for name in UNITS]


systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)


@systemd
def test_systemd_finds_nothing_wrong_with_the_units(units: list[str]) -> None:
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True
    )
    about_ours = [line for line in told.stderr.splitlines() if "flywheel" in line]
    assert about_ours == []


@systemd
@pytest.mark.parametrize("name", SERVICES)
def test_services_are_closed(name: str) -> None:
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}",
         "--no-pager", str(DEPLOY / name)], capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-300:] + told.stderr


@systemd
def test_backup_is_made_each_night() -> None:
    when = Unit("flywheel-backup.timer")["Timer"]["OnCalendar"]
    subprocess.run(["systemd-analyze", "calendar", when], check=True, capture_output=True)


@pytest.mark.parametrize("name", SERVICES)
def test_services_start_commands_that_there_are(name: str) -> None:
    started = [each[1:] for each in commands(name) if each[0] == PROGRAM]
    assert started
    for arguments in started:
        _parse(arguments)


@pytest.mark.parametrize("name", SERVICES)
def test_services_write_their_own_folders_alone(name: str) -> None:
    service = Unit(name)["Service"]
    assert service["ProtectSystem"] == "strict" and service["NoNewPrivileges"] == "yes"
    assert service["User"] == "flywheel"
    own = {f"/var/lib/{each}" for each in service["StateDirectory"].split()}
    assert set(service["ReadWritePaths"].split()) == own
    assert service["StateDirectoryMode"] == "0700" and service["UMask"] == "0077"
    assert "MemoryMax" not in service, "that is the owner's to say"


def test_server_is_restarted_and_may_end_its_answers() -> None:
    service = Unit("flywheel.service")["Service"]
    grace = load_settings(DEPLOY / "flywheel.toml").serve.grace_seconds
    assert service["Restart"] == "on-failure"
    assert float(service["TimeoutStopSec"]) >= 2 * grace


def test_timer_starts_the_service_beside_it() -> None:
    assert (DEPLOY / "flywheel-backup.service").exists()
    assert Unit("flywheel-backup.timer")["Install"]["WantedBy"] == "timers.target"


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    base = re.search(r"^FROM (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    for image in [base[1], *(each["image"] for each in compose["services"].values())]:
        assert re.fullmatch(r"[a-z-]+:[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z-]+)?", image), image


def test_database_is_reached_by_the_server_alone(compose: dict[str, Any]) -> None:
    database = compose["services"]["database"]
    assert "ports" not in database and "expose" not in database
    assert database["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True
    [port] = compose["services"]["flywheel"]["ports"]
    assert port.startswith("127.0.0.1:")


def test_password_is_in_a_file_and_nowhere_else(compose: dict[str, Any]) -> None:
    assert compose["secrets"]["database_password"]["file"].startswith("./secrets/")
    for service in compose["services"].values():
        assert service["secrets"] == ["database_password"]
        for name, value in service["environment"].items():
            assert "PASSWORD" not in name or value == "/run/secrets/database_password"
    assert "secrets/" in (DEPLOY / ".gitignore").read_text().splitlines()
    url = load_settings(DEPLOY / "flywheel.toml").store.url
    assert url == "postgresql+psycopg://flywheel@database/flywheel"


def test_services_are_watched_kept_and_closed(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"
        assert "no-new-privileges:true" in service["security_opt"]
        named = {volume.split(":")[0] for volume in service["volumes"] if volume[0] != "."}
        assert named <= compose["volumes"].keys()
    server = compose["services"]["flywheel"]
    assert server["read_only"] is True and server["cap_drop"] == ["ALL"]
    assert server["depends_on"]["database"]["condition"] == "service_healthy"
    grace = load_settings(DEPLOY / "flywheel.toml").serve.grace_seconds
    assert int(server["stop_grace_period"].removesuffix("s")) >= 2 * grace


def test_container_starts_a_command_that_there_is(compose: dict[str, Any]) -> None:
    server = compose["services"]["flywheel"]
    _parse(server["command"])
    [check] = [each for each in server["healthcheck"]["test"] if "urllib" in each]
    compile(check, "healthcheck", "exec")
    assert "exec flywheel" in (DEPLOY / "entrypoint.sh").read_text()
    assert (ROOT / server["build"]["dockerfile"]).exists()


def test_image_is_made_of_files_that_there_are() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, _ = [each for each in line.split() if not each.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, source
    assert re.search(r"^USER flywheel$", text, re.MULTILINE)


def test_entrypoint_hands_on_the_password_and_the_arguments(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p w'd\n")
    program = tmp_path / "flywheel"
    program.write_text('#!/bin/sh\nprintf "%s|" "${PGPASSWORD:-none}" "$@"\n')
    program.chmod(0o755)
    for variables, told in (
        ({"DATABASE_PASSWORD_FILE": str(tmp_path / "password")}, "p w'd|ask|a b|"),
        ({}, "none|ask|a b|"),
    ):
        done = subprocess.run(
            ["/bin/sh", str(DEPLOY / "entrypoint.sh"), "ask", "a b"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", **variables},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == told


@pytest.mark.parametrize("page", [DEPLOY / "README.md", ROOT / "docs" / "service.md"])
def test_commands_of_the_pages_can_be_typed(page: Path) -> None:
    lines = re.findall(
        r"(?:/opt/flywheel/bin/flywheel|docker compose run --rm flywheel|^ {4}flywheel) ([^#`\n]+)",
        page.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert lines
    for line in lines:
        _parse(shlex.split(line, comments=True))

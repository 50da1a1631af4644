"""The house keeps its rules: what import-linter does not see."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "flywheel"

NOT_IMPORTED = {
    "lxml-html-clean",  # trafilatura imports it
    "psycopg",  # SQLAlchemy imports it by the store's URL
    "uvloop",  # uvicorn imports it
}
EXTRAS = ("postgresql", "embedding", "model")
HOMELESS = {"utils.py", "helpers.py", "common.py"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    data: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return data["project"]  # type: ignore[no-any-return]


def test_every_import_is_a_dependency_and_every_dependency_is_imported(
    project: dict[str, Any],
) -> None:
    extras = project["optional-dependencies"]
    declared = {*map(_name, project["dependencies"])}
    declared |= {_name(each) for extra in EXTRAS for each in extras[extra]}
    distributions = packages_distributions()
    imported = {
        _name(distributions[package][0])
        for file in SOURCE.rglob("*.py")
        for package in _imported(file)
    }
    assert imported == declared - NOT_IMPORTED


def test_every_dependency_is_pinned(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"].values()
    declared = {_name(each) for group in (project["dependencies"], *extras) for each in group}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    pinned = {_name(pin) for pin in pins}
    assert declared - {_name(project["name"])} <= pinned
    assert not {name for name in pinned if name.startswith(("nvidia-", "triton"))}


def test_dependencies_page_names_every_dependency(project: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    extras = project["optional-dependencies"].values()
    declared = {_name(each) for group in (project["dependencies"], *extras) for each in group}
    words = set(re.findall(r"[\w.-]+", page))
    assert declared - {_name(project["name"])} <= words


def test_going_back_waits_for_nothing_that_it_does_not_use() -> None:
    """A rollback is to take under a second, and importing these alone would."""
    code = "import sys, flywheel.cli.versions; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "lancedb", "sklearn", "pyarrow"} & set(run.stdout.split())


def test_every_folder_of_tests_is_collected(pytestconfig: pytest.Config) -> None:
    """By default pytest passes over folders of some names, such as build, in silence."""
    passed_over = pytestconfig.getini("norecursedirs")
    folders = [each for each in (ROOT / "tests").rglob("*") if list(each.glob("test_*.py"))]
    assert len(folders) > 8
    assert [each for each in folders for part in passed_over if fnmatch(each.name, part)] == []


def test_no_file_collects_what_found_no_home() -> None:
    assert [path for path in SOURCE.rglob("*.py") if path.name in HOMELESS] == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def _imported(file: Path) -> Iterator[str]:
    """The top-level packages of others that a file imports, deferred ones too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            package = name.split(".")[0]
            if package not in sys.stdlib_module_names and package != "flywheel":
                yield package


def _name(requirement: str) -> str:
    """A requirement's distribution, as the index normalises it (PEP 503)."""
    name = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()

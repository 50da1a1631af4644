"""Promoting and going back: what serves, what may not, and what a kill leaves."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.wheel.killing import killer

from flywheel.errors import UsageError
from flywheel.store import versions as version_store
from flywheel.store.versions import By, Promotion, Version
from flywheel.wheel import turn as turning
from flywheel.wheel import versions
from flywheel.wheel.comparison import compare_versions
from flywheel.wheel.turn import MOVED

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

SPARE = "# Spare wheel\n\nThe spare wheel hangs below the boot floor.\n"
ROOF = "# Roof\n\nThe roof carries at most seventy kilograms of luggage.\n"


def grow(domain: Domain, name: str, text: str) -> int:
    """A version with one more document."""
    domain.write(name, text)
    domain.add()
    return domain.turn().version


def serving(domain: Domain) -> int:
    return domain.workspace.champion().number


def steps(domain: Domain) -> list[tuple[int | None, str]]:
    return [(each.version, each.by) for each in versions.list_versions(domain.workspace).history]


def index_folder(domain: Domain, number: int) -> Path:
    with domain.workspace.database.read() as conn:
        version: Version = version_store.require(conn, number)
    return domain.workspace.artifacts.root / "index" / str(version.bundle["index"])


def test_rollback_goes_back_step_by_step_and_the_history_tells(domain: Domain) -> None:
    assert (grow(domain, "spare.md", SPARE), grow(domain, "roof.md", ROOF)) == (2, 3)
    assert versions.rollback(domain.workspace, reason="worse on tyres").champion == 2
    rolled = versions.rollback(domain.workspace)
    assert (rolled.champion, rolled.before, serving(domain)) == (1, 2, 1)
    with pytest.raises(UsageError, match="no earlier champion"):
        versions.rollback(domain.workspace)
    assert versions.promote(domain.workspace, 3).before == 1
    assert versions.rollback(domain.workspace).champion == 1
    assert steps(domain) == [
        (1, "gate"), (2, "gate"), (3, "gate"), (2, "rollback"), (1, "rollback"), (3, "owner"),
        (1, "rollback"),
    ]  # fmt: skip
    history = versions.list_versions(domain.workspace).history
    assert (history[3].user, history[3].reason) == ("owner", "worse on tyres")


@pytest.mark.parametrize(
    ("told", "back"),
    [
        ([(1, "gate")], []),
        ([(1, "gate"), (2, "gate"), (3, "owner")], [2, 1]),
        ([(1, "gate"), (2, "gate"), (1, "rollback"), (3, "gate")], [1]),
        ([(1, "gate"), (2, "gate"), (1, "owner")], [2]),
        ([(1, "gate"), (2, "gate"), (3, "erasure")], [2, 1]),
        ([(1, "gate"), (None, "erasure"), (2, "gate")], [1]),
        ([(1, "gate"), (None, "erasure")], [1]),
        ([], []),
    ],
)
def test_way_back(told: list[tuple[int | None, By]], back: list[int]) -> None:
    history = [Promotion(version=v, by=by, user="", reason="", at="") for v, by in told]
    assert list(versions.way_back(history)) == back


def test_open_workspace_answers_with_what_was_promoted_elsewhere(domain: Domain) -> None:
    grow(domain, "spare.md", SPARE)
    question = "Where does the spare wheel hang?"
    assert domain.ask(question).version == 2
    with type(domain.workspace).open(domain.root) as other:
        versions.rollback(other)
    answer = domain.ask(question)
    assert answer.version == 1
    assert "boot floor" not in answer.draft


def test_what_is_missing_or_damaged_is_not_promoted_and_is_passed_over(domain: Domain) -> None:
    grow(domain, "spare.md", SPARE)
    grow(domain, "roof.md", ROOF)
    folder = index_folder(domain, 2)
    with (folder / "frequencies.json").open("ab") as file:
        file.write(b" ")
    for act in (
        lambda: versions.promote(domain.workspace, 2),
        lambda: compare_versions(domain.workspace, 1, 2),
    ):
        with pytest.raises(UsageError, match=r"Version 2 cannot serve: .*frequencies.json has"):
            act()
    rolled = versions.rollback(domain.workspace)
    assert rolled.champion == 1
    assert "frequencies.json has changed" in rolled.passed[0]


def test_changed_byte_is_seen_by_promote(domain: Domain) -> None:
    grow(domain, "spare.md", SPARE)
    with (index_folder(domain, 1) / "passages.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    with pytest.raises(UsageError, match=r"passages\.npy has changed"):
        versions.promote(domain.workspace, 1)


@pytest.mark.parametrize("number", [0, -1, 7, 2**40])
def test_unknown_version_is_told_in_a_line(domain: Domain, number: int) -> None:
    with pytest.raises(UsageError, match=f"There is no version {number}"):
        versions.promote(domain.workspace, number)


def test_version_that_serves_is_not_promoted_again(domain: Domain) -> None:
    with pytest.raises(UsageError, match="serves already"):
        versions.promote(domain.workspace, 1)
    assert steps(domain) == [(1, "gate")]


def test_turn_does_not_undo_what_the_owner_promoted_meanwhile(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(domain, "spare.md", SPARE)
    decide = turning.decide

    def meanwhile(*arguments: object) -> object:
        decision = decide(*arguments)  # type: ignore[arg-type]
        versions.rollback(domain.workspace)
        return decision

    monkeypatch.setattr(turning, "decide", meanwhile)
    domain.write("roof.md", ROOF)
    domain.add()
    turned = domain.turn()
    assert (turned.decision, turned.champion, turned.reasons[-1]) == ("kept", 1, MOVED)
    monkeypatch.setattr(turning, "decide", decide)
    again = domain.turn()
    assert (again.version, again.decision, again.champion) == (4, "promoted", 4)
    assert domain.turn().sitting is None


def test_comparison_shows_each_language_and_spends_nothing(domain: Domain) -> None:
    grow(domain, "spare.md", SPARE)
    with domain.workspace.database.read() as conn:
        before = version_store.list_versions(conn)
    compared = compare_versions(domain.workspace, 1, 2)
    assert compared.synthetic
    assert compared.gains.keys() >= {"all", "en", "zh"}
    found = {each.metric: each for each in compared.gains["all"]}
    recall = found["evidence_recall_at_10"]
    assert recall.low_seen <= recall.gain <= recall.high_seen
    assert recall.gain == pytest.approx(recall.challenger - recall.champion)
    assert not any(name.startswith("latency") for name in found)
    same = compare_versions(domain.workspace, 2, 2)
    assert {each.gain for each in same.gains["all"]} == {0}
    with domain.workspace.database.read() as conn:
        assert version_store.list_versions(conn) == before
    assert serving(domain) == 2


def test_killed_promotion_leaves_one_champion_and_its_history(domain: Domain) -> None:
    grow(domain, "spare.md", SPARE)
    domain.close()
    store = "flywheel.store.versions"
    with killer() as killed:
        for moment in (
            f"before {store}:set_champion",
            f"before {store}:state.put",
            f"after {store}:state.put",
            f"after {store}:set_champion",
        ):
            for command in (("promote", "1"), ("rollback",)):
                arguments = ("-w", str(domain.root), "versions", *command)
                assert killed.run(moment, arguments) == -9
                assert serving(domain) == 2, moment
                assert steps(domain) == [(1, "gate"), (2, "gate")]
                domain.close()
        assert killed.run("after flywheel.wheel.versions:rollback", arguments) == -9
    assert serving(domain) == 1, "what was committed holds"
    assert steps(domain)[-1] == (1, "rollback")


def test_rollback_imports_nothing_heavy(domain: Domain) -> None:
    grow(domain, "spare.md", SPARE)
    domain.close()
    heavy = ("lancedb", "pyarrow", "sklearn", "scipy", "onnxruntime", "alembic", "httpx")
    code = (
        "import sys; from flywheel.cli import main\n"
        f"sys.argv = ['flywheel', '-w', {str(domain.root)!r}, 'versions', 'rollback']\n"
        "main()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "Version 1 serves, in place of version 2.\n[]\n"


def test_bundle_that_is_not_what_was_hashed_does_not_serve(domain: Domain) -> None:
    with domain.workspace.database.read() as conn:
        version = version_store.require(conn, 1)
    changed = replace(version, bundle={**version.bundle, "decide": {}})
    assert "not what was hashed" in versions.problem_of(domain.workspace, changed)
    assert versions.problem_of(domain.workspace, version) == ""

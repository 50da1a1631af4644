"""The counts of all documents, their reasons by code, and for whom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection

import flywheel.collect
from flywheel.collect.quality import QualitySettings, _reason
from flywheel.store import document_list
from flywheel.wheel.documents import report as document_report
from flywheel.wheel.documents.reasons import CODES, OTHER, Reason, explained
from flywheel.wheel.ingest import KEPT_OUT

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain


def test_report_counts_what_each_reader_may_read(blank: Domain, tmp_path: Path) -> None:
    blank.write(
        "doors.md", "# Doors\n\nCall +49 30 901820 or write to ines@example.org for keys.\n"
    )
    blank.write("车窗.md", "# 车窗\n\n车窗上升时遇到阻力会自动停下并略微下降。\n")
    blank.write("copy/doors.md", (blank.documents / "doors.md").read_bytes())
    blank.write("short.md", "x")
    blank.write("broken.pdf", b"%PDF-1.7 nothing")
    blank.add()
    staff = tmp_path / "staff"
    staff.mkdir()
    (staff / "pay.md").write_text("# Pay\n\nNine hundred zorkmids a month for apprentices.\n")
    blank.add(staff, access=["staff"])

    found = document_report.overview(blank.workspace)
    assert found.fates == {"kept": 3, "superseded": 0, "duplicate": 1, "dropped": 1, "failed": 1}
    assert found.num_documents == 6
    assert found.languages == {"en": 2, "zh-hans": 1}
    assert found.reasons == {"too_short": 1, "corrupt": 1}
    assert found.labels == ("public", "staff")
    assert {each.name: each.num_documents for each in found.sources} == {
        str(blank.documents): 5,
        str(staff): 1,
    }
    assert {each.kind for each in found.findings} >= {"email"}

    public = document_report.overview(blank.workspace, ())
    assert (public.num_documents, public.labels) == (5, ("public",))
    assert [each.name for each in public.sources] == [str(blank.documents)]
    bins = document_report.lengths(blank.workspace, ())
    assert sum(each.count for each in bins) == 2


def test_report_is_counted_again_only_once_documents_have_changed(
    blank: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank.write("doors.md", "# Doors\n\nEvery door opens from inside by pulling twice.\n")
    blank.add()
    calls = []
    tally = document_list.tally

    def counted(conn: Connection, labels: object = None) -> object:
        calls.append(labels)
        return tally(conn)

    monkeypatch.setattr(document_list, "tally", counted)
    for _ in range(2):
        assert document_report.overview(blank.workspace).num_documents == 1
    assert len(calls) == 1
    blank.write("tyres.md", "# Tyres\n\nThe tyre pressure is 2.4 bar in front.\n")
    blank.add()
    assert document_report.overview(blank.workspace).num_documents == 2
    assert len(calls) == 2


def test_waiting_documents_are_those_that_no_version_holds(blank: Domain) -> None:
    blank.write("doors.md", "# Doors\n\nEvery door opens from inside by pulling twice.\n")
    blank.add()
    before = document_report.standing(blank.workspace)
    assert (before.version, before.num_waiting) == (None, 1)
    blank.turn()
    blank.write("tyres.md", "# Tyres\n\nThe tyre pressure is 2.4 bar in front.\n")
    blank.add()
    after = document_report.standing(blank.workspace)
    assert (after.version, after.num_waiting, after.has_changes) == (1, 1, False)


def test_changes_of_documents_that_a_version_holds_wait_too(blank: Domain) -> None:
    blank.write("doors.md", "# Doors\n\nEvery door opens from inside by pulling twice.\n")
    blank.add()
    blank.turn()
    assert not document_report.standing(blank.workspace).has_changes
    blank.write("doors.md", "# Doors\n\nEvery door opens from inside by pulling only once.\n")
    blank.add()
    assert document_report.standing(blank.workspace).has_changes
    assert not document_report.standing(blank.workspace, ("hr",)).has_changes


@pytest.mark.parametrize(
    ("reason", "code", "value"),
    [
        ("too short", "too_short", ""),
        ("newer edition: 手册\n2.md", "newer_edition", "手册\n2.md"),
        ("nearly the same text as a.md", "nearly_same_text", "a.md"),
        ("same text as a.md", "same_text", "a.md"),
        ("corrupt PDF", "corrupt", "PDF"),
        ("not text: program", "not_text", "program"),
        ("not readable: Input/output error", "not_readable", "Input/output error"),
        ("archive of 12 files", "archive_of", "12"),
        (KEPT_OUT, "kept_out", ""),
        ("a plugin's own", OTHER, "a plugin's own"),
    ],
)
def test_reasons_are_known_by_their_code(reason: str, code: str, value: str) -> None:
    assert explained(reason) == Reason(code=code, value=value)
    assert code in CODES


def test_no_reason_is_none() -> None:
    assert explained("") is None


def test_every_reason_of_the_code_is_known() -> None:
    """Reasons are made where they are found out; one that is new there needs words here."""
    folder = Path(flywheel.collect.__file__).parent
    made = set()
    for place in folder.rglob("*.py"):
        if place.name != "fetch.py":  # a page that is not reachable fails its whole source
            text = place.read_text(encoding="utf-8")
            made |= set(re.findall(r'ExtractError\("([^"]+)"\)', text))
            made |= set(re.findall(r'return "((?:no permission|gone|not a|too|empty)[^"]*)"', text))
    assert len(made) > 15
    signals = dict.fromkeys(
        ("garbage_share", "symbol_share", "navigation_share", "repeated_share"), 0.0
    ) | {"weighted_chars": 100.0, "compressed_share": 1.0}
    for name, value in (
        ("weighted_chars", 0.0),
        ("garbage_share", 1.0),
        ("symbol_share", 1.0),
        ("navigation_share", 1.0),
        ("repeated_share", 1.0),
        ("compressed_share", 0.0),
    ):
        made.add(_reason(signals | {name: value}, QualitySettings()))
    unknown = {each for each in made if (told := explained(each)) and told.code == OTHER}
    assert unknown == set()

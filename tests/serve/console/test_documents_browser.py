"""Files are added in a browser: chosen, sent with progress, and told what became of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.serve.console.test_documents import ids, work

from flywheel.serve.console.words import PageLanguage
from flywheel.wheel import uploads

if TYPE_CHECKING:
    from tests.serve.conftest import Served
    from tests.serve.console.conftest import Visitor

WORDS = {
    "en": ("Left out: files of such names are ignored", "Empty", "Kept", "Too short to quote from"),
    "zh": ("已忽略：此类文件名不予添加", "空文件", "已保留", "内容太短，无法引用"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_files_that_are_chosen_are_sent_and_told_of_one_by_one(
    served: Served, visitor: Callable[..., Visitor], tmp_path: Path, language: PageLanguage
) -> None:
    left_out, empty, kept, too_short = WORDS[language]
    content = {
        "note.md": "# Note\n\nThe workshop closes at five on Fridays.\n",
        "手册.md": "# 手册\n\n车间每周五下午五点关门，请提前取车。\n",
        "short.md": "x",
        "empty.md": "",
        "old.bak": "x",
    }
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    visiting = visitor(served.url, served.secrets["owner"], language=language)
    page = visiting.go("/documents/add")
    page.fill("#upload-labels", "hr，board" if language == "zh" else "hr, board")
    page.set_input_files(
        "[data-files]:not([webkitdirectory])", [str(tmp_path / name) for name in content]
    )
    page.wait_for_selector(".job")
    rows = page.locator(".files li")
    assert sorted(rows.locator(".name").all_inner_texts()) == ["empty.md", "old.bak"]
    told = " ".join(rows.locator(".status").all_inner_texts())
    assert left_out in told and empty in told

    work(served.workspace)
    job = page.locator(".job", has_text=too_short)
    job.wait_for()
    assert kept in job.inner_text() and "手册.md" in job.inner_text()
    note = uploads.find(served.workspace, ids(served.workspace)["note.md"])
    assert note is not None and note.access == ("board", "hr")
    assert visiting.complaints == []


def test_folder_that_is_chosen_keeps_its_paths_in_names(
    served: Served, visitor: Callable[..., Visitor], tmp_path: Path
) -> None:
    (tmp_path / "book" / "one").mkdir(parents=True)
    (tmp_path / "book" / "one" / "a.md").write_text("# A\n\nThe canteen opens at eleven o'clock.\n")
    page = visitor(served.url, served.secrets["owner"]).go("/documents/add")
    page.set_input_files("[webkitdirectory]", str(tmp_path / "book"))
    page.wait_for_selector(".job")
    work(served.workspace)
    assert "book - one - a.md" in ids(served.workspace)


def test_file_over_the_limit_is_not_sent(
    serve: Callable[[str], Served], visitor: Callable[..., Visitor], tmp_path: Path
) -> None:
    served = serve("[serve]\nmax_upload_megabytes = 1\n")
    (tmp_path / "large.md").write_bytes(b"x" * (2**20 + 1))
    page = visitor(served.url, served.secrets["owner"]).go("/documents/add")
    page.set_input_files("[data-files]:not([webkitdirectory])", str(tmp_path / "large.md"))
    assert "max_upload_megabytes" in page.locator(".files .status").inner_text()


def test_upload_is_deleted_by_keys_alone(served: Served, visitor: Callable[..., Visitor]) -> None:
    from tests.serve.console.test_documents import upload

    upload(served.workspace, "note.md", "# Note\n\nThe workshop closes at five on Fridays.\n")
    page = visitor(served.url, served.secrets["owner"]).go(
        f"/documents/{ids(served.workspace)['note.md']}"
    )
    page.focus(".sure > summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/documents/add?job=*")
    work(served.workspace)
    assert "note.md" not in ids(served.workspace)

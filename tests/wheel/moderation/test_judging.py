"""A workspace's moderation: read anew when its files change, trained, edited, and forgotten."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flywheel.errors import FileFormatError, SourceError, UsageError
from flywheel.moderation import classifier as classifiers
from flywheel.records import Answer, Citation, Feedback, Passage
from flywheel.store import audit
from flywheel.wheel.erasure.erase import erase
from flywheel.wheel.feedback import accept
from flywheel.wheel.keys import Caller
from flywheel.wheel.moderation import judging as wheel
from flywheel.wheel.moderation.judging import Moderation, moderation_of

if TYPE_CHECKING:
    from tests.wheel.conftest import Domain

    from flywheel.wheel.workspace import Workspace

BENCH = Path(__file__).resolve().parents[3] / "bench" / "moderation"
LINES = [
    json.loads(line)
    for file in sorted(BENCH.glob("labelled-*.jsonl"))
    for line in file.read_text(encoding="utf-8").splitlines()
]
THREAT, THREAT_ZH = "I will kill you and burn your workshop.", "我要杀了你，烧了你们店。"


def write_lines(folder: Path, lines: Iterable[dict[str, Any]]) -> Path:
    path = folder / "labelled.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return path


def lists(workspace: Workspace, **texts: str) -> None:
    for category, text in texts.items():
        wheel.write_word_list(workspace, category, text)


def flag(id: str, answer: str, reason: str, **values: Any) -> Feedback:
    said = {"kind": "flag", "user": "ines", "role": "curator", "at": "", "question": f"{id}?"}
    return Feedback(**{**said, **values, "id": id, "answer": answer, "reason": reason})


def acts(workspace: Workspace) -> list[tuple[str, str, str]]:
    with workspace.database.read() as conn:
        return [(act.action, act.target, act.user) for act in audit.list_acts(conn)]


def test_workspace_without_anything_finds_nothing(blank: Domain) -> None:
    verdict = Moderation(blank.workspace).check(THREAT, "input")
    assert (verdict.flagged, verdict.action, verdict.scores) == (False, "allow", {})


def test_changed_list_counts_at_the_next_text(blank: Domain) -> None:
    moderation = Moderation(blank.workspace)
    lists(blank.workspace, threats="kill you\n杀了你\n")
    assert [moderation.check(each, "input").flagged for each in (THREAT, THREAT_ZH)] == [True] * 2
    before = moderation.moderator
    assert moderation.moderator is before  # nothing changed, nothing is read
    lists(blank.workspace, threats="")
    assert not moderation.check(THREAT, "input").flagged


def test_lists_of_categories_within_categories(blank: Domain) -> None:
    wheel.write_word_list(blank.workspace, "violence/threats", "kill you")
    wheel.write_word_list(blank.workspace, "侮辱", "白痴")
    found = Moderation(blank.workspace).check("白痴, kill you", "output")
    assert found.categories == {"violence/threats": True, "侮辱": True}
    assert wheel.word_lists(blank.workspace) == {"violence/threats": "kill you", "侮辱": "白痴"}


def test_list_that_cannot_be_read_is_told_at_the_start(blank: Domain) -> None:
    folder = blank.root / "moderation" / "words"
    folder.mkdir(parents=True)
    (folder / "threats.txt").write_bytes("杀人".encode("gbk"))
    with pytest.raises(FileFormatError, match="not UTF-8"):
        Moderation(blank.workspace)
    (folder / "threats.txt").rename(folder / "My list.txt")
    with pytest.raises(SourceError, match="named after no category"):
        moderation_of(blank.workspace)


def test_list_that_becomes_unreadable_leaves_the_earlier_one(blank: Domain) -> None:
    lists(blank.workspace, threats="kill you")
    moderation = Moderation(blank.workspace)
    path = blank.root / "moderation" / "words" / "threats.txt"
    path.write_text("kill you\nx\n", encoding="utf-8")
    assert moderation.check(THREAT, "input").flagged
    assert "line 2: one letter alone" in moderation.problem
    path.write_text("burn your workshop\n", encoding="utf-8")
    assert moderation.check(THREAT, "input").spans[0].phrase == "burn your workshop"
    assert moderation.problem == ""


def test_many_threads_read_a_change_once(blank: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    moderation = Moderation(blank.workspace)
    num_read, real, barrier = 0, classifiers.load, threading.Barrier(8)

    def counting(folder: Path) -> Any:
        nonlocal num_read
        num_read += 1
        return real(folder)

    def check(_: int) -> bool:
        barrier.wait()
        return moderation.check(THREAT, "input").flagged

    monkeypatch.setattr(classifiers, "load", counting)
    lists(blank.workspace, threats="kill you")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(8)))
    assert num_read == 1


def test_written_list_is_in_the_audit(blank: Domain) -> None:
    by = Caller(key="k", name="ines", role="curator", access=None)
    wheel.write_word_list(blank.workspace, "threats", "kill you\n", by)
    assert acts(blank.workspace)[0] == ("moderation.words", "threats", "ines")


@pytest.mark.parametrize("category", ["../threats", "Threats", "a/b/c", ""])
def test_list_is_written_nowhere_else(blank: Domain, category: str) -> None:
    with pytest.raises(UsageError, match="is no name for a category"):
        wheel.write_word_list(blank.workspace, category, "kill you")
    assert not (blank.root / "moderation").exists()


def test_wrong_list_changes_nothing(blank: Domain) -> None:
    lists(blank.workspace, threats="kill you")
    with pytest.raises(FileFormatError, match="line 1: no letter"):
        wheel.write_word_list(blank.workspace, "threats", "!!!")
    assert wheel.word_lists(blank.workspace) == {"threats": "kill you"}
    assert len(acts(blank.workspace)) == 1


def test_trained_classifier_counts_at_the_next_text(domain: Domain, tmp_path: Path) -> None:
    moderation = Moderation(domain.workspace)
    trained = wheel.train(domain.workspace, write_lines(tmp_path, LINES))
    assert (trained.num_lines, trained.num_flags) == (len(LINES), 0)
    assert trained.num_pieces > 3
    assert {each.language for each in trained.measured} == {"en", "zh"}
    for text in ("I am going to kill you.", "我要杀了你。"):
        scores = moderation.check(text, "input").scores
        assert scores["threats"] > 0.7 > scores["insults"]
    for text in ("Where is the child lock?", "儿童锁在哪里？"):
        assert not moderation.check(text, "input").flagged
    assert moderation.moderator.digest == trained.digest
    assert acts(domain.workspace)[0][0] == "moderation.train"


def test_too_few_examples_leave_the_earlier_classifier(blank: Domain, tmp_path: Path) -> None:
    first = wheel.train(blank.workspace, write_lines(tmp_path, LINES))
    rare = [{"text": "x y z", "categories": ["rare"]}]
    with pytest.raises(SourceError, match='"rare" has 1 of the 20 examples'):
        wheel.train(blank.workspace, write_lines(tmp_path, [*LINES, *rare]))
    assert Moderation(blank.workspace).moderator.digest == first.digest


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "holds no labelled lines"),
        ([{"text": "x", "categories": []}], "there is nothing to find"),
    ],
)
def test_file_that_teaches_nothing_is_refused(
    blank: Domain, tmp_path: Path, lines: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(SourceError, match=problem):
        wheel.train(blank.workspace, write_lines(tmp_path, lines))


def test_flags_teach_the_category_that_their_reason_names(blank: Domain, tmp_path: Path) -> None:
    word = "blorptastic"
    accept(
        blank.workspace,
        [
            *(flag(f"f{n}", f"You are {word}, {n}.", "insults: rude") for n in range(15)),
            flag("question", "", "Insults!", question=f"Why are you {word}?"),
            flag("none", "Another text.", "wrong answer"),
            flag("hyphen", "I want to vanish.", "this hints at self harm"),
            flag("known", str(LINES[0]["text"]), "insults"),
        ],
    )
    plain = Moderation(blank.workspace)
    wheel.train(blank.workspace, write_lines(tmp_path, LINES))
    trained = wheel.train(blank.workspace, write_lines(tmp_path, LINES))
    assert trained.num_flags == 17
    assert trained.left_out == {wheel.NAMES_NO_CATEGORY: 1}
    assert plain.check(f"You are {word}.", "input").scores["insults"] > 0.7


def test_askers_flags_count_less_and_in_bursts_not_at_all(blank: Domain, tmp_path: Path) -> None:
    burst = [
        flag(f"b{n}", f"The oil {n} is fine.", "insults", user="eve", role="asker")
        for n in range(30)
    ]
    spread = [
        flag(
            f"s{n}",
            f"The valve {n} is fine.",
            "insults",
            user="tom",
            role="asker",
            at=f"2026-01-{n + 1:02}T10:00:00Z",
        )
        for n in range(15)
    ]
    accept(blank.workspace, [*burst, *spread])
    trained = wheel.train(blank.workspace, write_lines(tmp_path, LINES))
    assert trained.left_out == {"burst in quarantine": 30, "over the user's cap": 5}
    assert trained.num_flags == 10


def test_category_that_only_few_flags_name_waits(blank: Domain, tmp_path: Path) -> None:
    lists(blank.workspace, spam="buy now")
    accept(blank.workspace, [flag("a", "Buy my pills.", "spam"), flag("b", "买药吧", "spam！")])
    trained = wheel.train(blank.workspace, write_lines(tmp_path, LINES))
    assert trained.left_out == {wheel.TOO_FEW: 2}
    assert "spam" not in trained.examples


def test_category_that_many_flags_name_is_learned(blank: Domain, tmp_path: Path) -> None:
    lists(blank.workspace, 广告="加微信")
    accept(
        blank.workspace,
        [flag(f"a{n}", f"加微信 {n}{n} 买便宜药，第 {n} 种", "这是广告") for n in range(20)],
    )
    trained = wheel.train(blank.workspace, write_lines(tmp_path, LINES))
    assert trained.examples["广告"] == 20


def test_only_documents_for_everybody_teach_what_is_harmless(
    domain: Domain, tmp_path: Path
) -> None:
    domain.add(access=["hr"])
    assert wheel.train(domain.workspace, write_lines(tmp_path, LINES)).num_pieces == 0


@pytest.mark.parametrize("erased", ["flag", "document"])
def test_classifier_that_learned_from_what_was_erased_goes(
    domain: Domain, tmp_path: Path, erased: str
) -> None:
    accept(domain.workspace, [flag("a", "You are a blorp.", "insults", user="ines")])
    lists(domain.workspace, threats="kill you")
    wheel.train(domain.workspace, write_lines(tmp_path, LINES))
    assert not wheel.forget_erased(domain.workspace)
    if erased == "flag":
        erase(domain.workspace, "user", "ines")
    else:
        erase(domain.workspace, "source", str(domain.documents / "doors.md"))
    wheel.forget_erased(domain.workspace)
    assert classifiers.read_page(domain.root / "moderation") is None
    moderation = Moderation(domain.workspace)
    assert moderation.moderator.digest == ""
    assert moderation.check(THREAT, "input").flagged  # the lists go on
    wheel.train(domain.workspace, write_lines(tmp_path, LINES))
    assert not wheel.forget_erased(domain.workspace)


def answer(text: str, *passages: str, **values: Any) -> Answer:
    said: dict[str, Any] = {"question": "?", "kind": "answer", "confidence": 0.9, "citations": ()}
    found = tuple(
        Passage(
            id=str(place),
            document="d",
            title="",
            headings=(),
            text=each,
            language="en",
            position=place,
        )
        for place, each in enumerate(passages)
    )
    return Answer(**{**said, "answer": text, "draft": text, "passages": found, **values})


def masking(domain: Domain) -> Moderation:
    domain.configure("[moderation]\nmask_personal = true\n")
    return Moderation(domain.workspace)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Call 0171 234 5678 or bob@example.org.", "Call [PHONE] or [EMAIL]."),
        ("请打 13812345678 或写信到 wang@example.cn。", "请打 [PHONE] 或写信到 [EMAIL]。"),
    ],
)
def test_personal_data_of_a_correction_is_masked(blank: Domain, text: str, shown: str) -> None:
    given = answer(text, "The child lock sits on the edge.", choices=(text,))
    assert Moderation(blank.workspace).mask_personal(given) is given
    masked = masking(blank).mask_personal(given)
    assert (masked.answer, masked.draft, masked.choices) == (shown, shown, (shown,))
    assert masked.passages == given.passages


@pytest.mark.parametrize("number", ["13812345678", "service@example.org", "0171 234 5678"])
def test_hotline_of_a_passage_stays(blank: Domain, number: str) -> None:
    text = f"Call {number}, not 13987654321."
    masked = masking(blank).mask_personal(answer(text, f"热线：{number}，全天", "other"))
    assert masked.answer == f"Call {number}, not [PHONE]."


def test_hotline_of_a_citation_stays(blank: Domain) -> None:
    quote = "Call 13812345678."
    cited = Citation(
        document="d", title="", headings=(), passage="p", quote=quote, start=0, end=len(quote)
    )
    masked = masking(blank).mask_personal(answer(quote, citations=(cited,)))
    assert masked.answer == quote


def test_part_of_a_longer_number_is_no_hotline(blank: Domain) -> None:
    masked = masking(blank).mask_personal(answer("Call 13812345678.", "Order 9138123456780."))
    assert masked.answer == "Call [PHONE]."


def test_one_moderation_serves_all_that_use_a_workspace(blank: Domain) -> None:
    assert moderation_of(blank.workspace) is moderation_of(blank.workspace)


def test_touched_file_is_read_again(blank: Domain) -> None:
    lists(blank.workspace, threats="kill you")
    moderation = Moderation(blank.workspace)
    before = moderation.moderator
    os.utime(blank.root / "moderation" / "words" / "threats.txt", (1, 1))
    assert moderation.moderator is not before

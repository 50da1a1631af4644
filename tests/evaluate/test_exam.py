"""Reading exams, sitting them, and the answers file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flywheel.errors import FileFormatError, SourceError
from flywheel.evaluate import exam
from flywheel.records import Answer, ExamQuestion

MakeAnswer = Callable[..., Answer]

LEGAL = Path(__file__).parents[3] / "shared/data/legal-zh/questions.jsonl"

FIRST = '{"id": "a", "question": "Where is the child lock?"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "exam.jsonl"


def test_a_full_line_and_a_short_line_are_read(file: Path) -> None:
    full = {
        "id": 7,
        "question": " 儿童锁在哪里？ ",
        "answer": "后门内侧",
        "evidence": ["用钥匙片转动旋钮。"],
        "answerable": True,
        "tags": ["zh"],
    }
    file.write_text(f"{FIRST}\n{json.dumps(full, ensure_ascii=False)}\n", encoding="utf-8")
    first, second = exam.read_exam(file)
    assert first == ExamQuestion(id="a", question="Where is the child lock?")
    assert second == ExamQuestion(
        id="7",
        question="儿童锁在哪里？",
        answer="后门内侧",
        evidence=("用钥匙片转动旋钮。",),
        tags=("zh",),
    )


def test_bom_blank_lines_and_windows_line_ends_are_tolerated(file: Path) -> None:
    text = f"\n{FIRST}\r\n\r\n  \n" + '{"id": "b", "question": "line\u2028separator"}'
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [question.id for question in exam.read_exam(file)] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "b", "questoin": "?"}', 'unknown key "questoin"; did you mean "question"?'),
        ('{"id": "b", "question": "?", "zzz": 1}', "known: id, question, answer"),
        ('{"id": "b"}', '"question" is missing'),
        ('{"id": "b", "question": "  "}', '"question" is empty'),
        ('{"id": "a", "question": "?"}', 'id "a" is taken by line 1'),
        ('{"id": "b", "question": "?", "answerable": "no"}', '"answerable": input should be'),
        ('{"id": "b", "question": "?", "evidence": "text"}', '"evidence": input should be'),
        ('{"id": "b", "question": "?", "evidence": ["word", " "]}', '"evidence" 2 holds no words'),
        ('{"id": "b", "id": "c", "question": "?"}', "a key stands twice"),
        ('{"id": "b", "question": "?"', "not a JSON object"),
        ('["b"]', "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(file: Path, line: str, problem: str) -> None:
    file.write_text(f"{FIRST}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(FileFormatError) as caught:
        exam.read_exam(file)
    message = str(caught.value)
    assert message.startswith(f"{file}, line 3: ")
    assert problem in message
    assert "\n" not in message


def test_a_line_in_another_encoding_is_named(file: Path) -> None:
    file.write_bytes(f"{FIRST}\n".encode() + '{"id": "b", "question": "锁"}'.encode("gb18030"))
    with pytest.raises(FileFormatError, match="line 2: not UTF-8"):
        exam.read_exam(file)


def test_a_missing_and_an_empty_file_are_named(file: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        exam.read_exam(file)
    file.write_text("\n\n")
    with pytest.raises(SourceError, match="holds no question"):
        exam.read_exam(file)


@pytest.mark.parametrize(
    ("question", "evidence", "tags", "split"),
    [
        ("Where is it?", "The lock is on the left.", (), "en"),
        ("锁在哪里？", "锁在左边。", (), "zh"),
        ("Where is it?", "锁在左边的门上。", (), "cross-lingual"),
        ("锁在哪里？", "The lock is on the left.", ("zh",), "zh"),
        ("锁在哪里？", "锁在左边。", ("zh", "cross-lingual"), "cross-lingual"),
        ("CR2032?", "CR2032", ("zh",), "zh"),
    ],
)
def test_tags_decide_the_split_and_words_where_no_tag_does(
    question: str, evidence: str, tags: tuple[str, ...], split: str
) -> None:
    item = ExamQuestion(id="q", question=question, evidence=(evidence,), tags=tags)
    assert exam.split_of(item) == split


def questions(count: int) -> list[ExamQuestion]:
    return [
        ExamQuestion(
            id=str(place),
            question=f"Question {place}?" if place % 2 else f"问题{place}？",
            evidence=("Tighten the wheel nuts to 120 N·m.",),
            tags=("zh", "table")[place % 2 :]
            if place % 2 == 0
            else ("en", "rare")[: 1 + (place == 1)],
        )
        for place in range(count)
    ]


def test_a_sitting_reports_overall_by_language_and_by_shared_tags(answer: MakeAnswer) -> None:
    found = answer("Tighten the wheel nuts to 120 N·m.")
    seen: list[tuple[int, int]] = []
    sitting = exam.sit(
        questions(12), lambda question: found, progress=lambda done, all_: seen.append((done, all_))
    )
    assert sitting.metrics["evidence_recall_at_1"].count == 12
    assert set(sitting.metrics_by) == {"en", "zh", "table"}
    assert sitting.metrics_by["zh"]["evidence_recall_at_1"].count == 6
    assert seen[0] == (1, 12)
    assert seen[-1] == (12, 12)
    assert all(row.latency_ms >= 0 for row in sitting.rows)


def test_equal_questions_are_one_group_unless_groups_are_given(answer: MakeAnswer) -> None:
    asked = [
        ExamQuestion(id="1", question="Where is the lock?"),
        ExamQuestion(id="2", question="where is the LOCK"),
        ExamQuestion(id="3", question="When is it due?"),
    ]
    rows = exam.sit(asked, lambda question: answer()).rows
    assert rows[0].group == rows[1].group != rows[2].group
    rows = exam.sit(asked, lambda question: answer(), groups={"1": "x", "3": "x"}).rows
    assert rows[0].group == rows[2].group != rows[1].group


def test_an_exam_without_gold_is_still_sat(answer: MakeAnswer) -> None:
    sitting = exam.sit([ExamQuestion(id="1", question="?")], lambda question: answer("text"))
    assert "evidence_mrr" not in sitting.metrics
    assert sitting.metrics["answered"].value == 1


def test_the_answers_file_has_one_line_a_question(tmp_path: Path, answer: MakeAnswer) -> None:
    found = answer("用钥匙片转动旋钮。", draft="旋钮", quote="旋钮", confidence=0.25)
    sitting = exam.sit(questions(2), lambda question: found)
    out = tmp_path / "answers.jsonl"
    exam.write_answers(out, sitting)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["0", "1"]
    assert list(lines[0]) == [
        "id",
        "answer",
        "draft",
        "kind",
        "confidence",
        "citations",
        "passages",
    ]
    assert lines[0]["passages"] == [{"id": "0", "text": "用钥匙片转动旋钮。"}]
    assert lines[0]["citations"][0]["quote"] == "旋钮"
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


@pytest.mark.skipif(not LEGAL.exists(), reason="needs ../shared/data/legal-zh")
def test_real_articles_are_found_by_their_own_text(file: Path, answer: MakeAnswer) -> None:
    rows = [json.loads(line) for line in LEGAL.read_text(encoding="utf-8").splitlines()[:50]]
    lines = [
        {"id": row["id"], "question": row["question"], "evidence": list(row["articles"].values())}
        for row in rows
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    asked = exam.read_exam(file)
    by_question = {question.question: question for question in asked}

    def ask(question: str) -> Answer:
        return answer(*by_question[question].evidence[:10])

    scores = exam.sit(asked, ask).metrics
    assert scores["evidence_mrr"].value == 1
    assert scores["evidence_recall_at_10"].value > 0.95

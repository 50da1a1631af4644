"""A workspace as it is after years: 10,000 documents, 50,000 interactions, and what was said.

Made for benches that look at lists (console.py). The documents are service notes in English and
Chinese, worded by a grammar of ours; a few hundred questions are really asked, and what they came
to is varied for the others. All rows go in through the store's own functions, in batches.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import measure
from corpora import SEED
from flywheel.records import (
    Answer,
    Correction,
    Feedback,
    FeedbackKind,
    Interaction,
    Kind,
    Score,
)
from flywheel.store import (
    audit,
    corrections,
    documents,
    exam_items,
    exam_rows,
    interactions,
    jobs,
    reviews,
    versions,
)
from flywheel.store import feedback as feedback_store
from flywheel.store.audit import Act
from flywheel.store.corrections import Entry
from flywheel.store.exam_items import ExamItem
from flywheel.store.jobs import Job, TurnArguments
from flywheel.store.reviews import Review
from flywheel.store.versions import Version
from flywheel.wheel import keys
from flywheel.wheel.feedback import key_of
from flywheel.wheel.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Connection

DONE = "filled.json"
"""Written last: a workspace that has it is whole."""

_BATCH = 500
_NUM_ASKED = 400
_NUM_USERS = 200
_DAYS = 120
_NOW = datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """How much of everything there is."""

    documents: int = 10_000
    interactions: int = 50_000
    acts: int = 10_000
    corrections: int = 500
    jobs: int = 200
    versions: int = 10
    exam: int = 300
    audit: int = 3_000
    reviews: int = 300
    keys: int = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    """A document, and what may be asked of it."""

    name: str
    text: str
    asked: tuple[tuple[str, str], ...]
    """Questions, each with the sentence that answers it."""


_PARTS = (
    "drive belt", "coolant pump", "air filter", "guide rail", "spindle brake", "clamping jaw",
    "pressure valve", "lubrication ring", "feed motor", "chip conveyor", "door seal",
    "limit switch", "tool changer", "ball screw", "exhaust fan", "control cabinet", "foot pedal",
    "cable carrier", "heat exchanger", "rotary table", "hydraulic hose", "vacuum gripper",
    "light curtain", "measuring probe", "gear wheel", "turret head", "wiper blade", "oil sump",
    "bearing cap", "encoder disc", "safety latch", "tension spring", "drain plug", "spray nozzle",
    "mounting plate", "power supply", "touch panel", "warning lamp", "tailstock", "counterweight",
)  # fmt: skip
_PARTS_ZH = (
    "传动皮带", "冷却泵", "空气滤芯", "导轨", "主轴制动器", "夹爪", "压力阀", "润滑环",
    "进给电机", "排屑机", "门封条", "限位开关", "换刀装置", "滚珠丝杠", "排风扇", "控制柜",
    "脚踏板", "拖链", "热交换器", "回转台", "液压软管", "真空吸盘", "安全光幕", "测头", "齿轮",
    "刀塔", "刮板", "油底壳", "轴承盖", "编码盘", "安全锁扣", "拉紧弹簧", "放油螺塞", "喷嘴",
    "安装板", "电源模块", "触摸屏", "警示灯", "尾座", "配重块",
)  # fmt: skip
_SERIES = ("Heron", "Kestrel", "Osprey", "Plover", "Curlew", "Avocet", "Dunlin", "Garnet", "Merlin")
_FACTS = (
    ("Tighten the bolts of the {part} on the {model} to {n} Nm.",
     "How tight do the bolts of the {part} on the {model} have to be?"),
    ("Replace the {part} of the {model} after {n} hours of operation.",
     "After how many hours must the {part} of the {model} be replaced?"),
    ("Clean the {part} of the {model} with {agent} only.",
     "What may the {part} of the {model} be cleaned with?"),
    ("A spare {part} for the {model} may be stored at up to {n} °C.",
     "How warm may a spare {part} for the {model} be stored?"),
    ("The {part} of the {model} weighs {n} kg and is lifted by two people.",
     "How heavy is the {part} of the {model}?"),
)  # fmt: skip
_FACTS_ZH = (
    ("{model}的{part}螺栓应拧紧至{n}牛·米。", "{model}的{part}螺栓要拧多紧？"),
    ("{model}的{part}运行{n}小时后必须更换。", "{model}的{part}运行多少小时后要更换？"),
    ("{model}的{part}只能用{agent}清洗。", "{model}的{part}可以用什么清洗？"),
    ("{model}的备用{part}存放温度不得超过{n}摄氏度。", "{model}的备用{part}存放温度最高多少？"),
    ("{model}的{part}重{n}千克，须由两人搬运。", "{model}的{part}有多重？"),
)
_AGENTS = (
    "warm water",
    "white spirit",
    "compressed air",
    "a dry cloth",
    "mild soap",
    "isopropanol",
)
_AGENTS_ZH = ("温水", "石油溶剂", "压缩空气", "干布", "中性肥皂水", "异丙醇")
_WHO = (
    "The operator", "A trained fitter", "The shift leader", "Whoever finds a fault",
    "The supplier", "The apprentice", "An electrician", "The safety officer", "The cleaning crew",
    "The planner",
)  # fmt: skip
_WHO_ZH = (
    "操作员", "持证钳工", "班组长", "发现故障的人", "供应商", "学徒", "电工", "安全员",
    "保洁人员", "计划员",
)  # fmt: skip
_DOES = (
    "checks", "notes down", "photographs", "labels", "unlocks", "measures", "covers", "drains",
    "inspects", "aligns", "oils", "orders", "resets", "exchanges", "listens to", "marks",
)  # fmt: skip
_DOES_ZH = (
    "检查", "登记", "拍照记录", "标记", "解锁", "测量", "遮盖", "排空", "目视检验", "校准",
    "润滑", "订购", "复位", "调换", "倾听", "清点",
)  # fmt: skip
_THINGS = (
    "every second gasket", "the yellow cover", "both end stops", "the serial number",
    "the log sheet", "the old grease", "the spare fuses", "the inner housing",
    "the left-hand thread", "the test piece", "the torque wrench", "the cooling water",
    "the return line", "the earth strap", "the dust tray", "the parking position",
    "the acoustic signal", "the reference mark",
)  # fmt: skip
_THINGS_ZH = (
    "每隔一个垫片", "黄色护罩", "两端挡块", "出厂编号", "记录单", "旧润滑脂", "备用熔断器",
    "内壳", "左旋螺纹", "试件", "扭矩扳手", "冷却水", "回流管路", "接地带", "集尘盘", "停放位置",
    "声音信号", "基准标记",
)  # fmt: skip
_WHEN = (
    "before the first shift", "once the pressure has dropped", "every other Monday",
    "while the guard is open", "after a power cut", "as soon as the lamp turns green",
    "in the dry season", "at the yearly audit", "when the room is above 30 °C",
    "during the run-in", "with the main switch off", "behind a closed door", "under supervision",
    "without gloves",
)  # fmt: skip
_WHEN_ZH = (
    "首班之前", "压力下降之后", "每隔一周的周一", "护罩打开期间", "停电之后", "指示灯变绿后",
    "干燥季节", "年度审核时", "室温高于三十度时", "磨合期内", "断开总开关后", "关门之后",
    "有人监护时", "不戴手套时",
)  # fmt: skip
_SUFFIXES = (
    "", "in winter", "on the night shift", "with the old firmware", "after an overhaul",
    "urgently", "for a new colleague", "without the manual", "at the second site", "on Sundays",
    "abroad", "with the side door open",
)  # fmt: skip
_SUFFIXES_ZH = (
    "", "冬天", "夜班时", "旧固件", "大修后", "急用", "新同事问", "没有手册", "二厂", "周日",
    "国外", "侧门打开时",
)  # fmt: skip
_ACTIONS = (
    "corrections.confirm", "corrections.withdraw", "keys.add", "keys.revoke", "documents.delete",
    "versions.promote", "documents.access", "exam.gold",
)  # fmt: skip
_KINDS: dict[FeedbackKind, int] = {
    "up": 50, "down": 22, "rank": 3, "bookmark": 8, "delete": 1, "flag": 6, "cite": 10,
}  # fmt: skip


def make(folder: Path, numbers: Numbers) -> Path:
    """The workspace within a folder; made where it is not there yet, or is of other numbers."""
    root = folder / "workspace"
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    wanted = json.dumps({"code": code, **asdict(numbers)})
    if (root / DONE).is_file() and (root / DONE).read_text(encoding="utf-8") == wanted:
        return root
    shutil.rmtree(root, ignore_errors=True)
    source = folder / "documents"
    notes = list(_notes(numbers.documents))
    _write_documents(source, notes)
    _tell("initialising")
    measure.run([*measure.FLYWHEEL, "init", str(root)])
    _write_exam(root / "exam.jsonl", notes, numbers.exam)
    _tell(f"adding {numbers.documents:,} documents")
    measure.flywheel(root, "add", str(source))
    _tell("taking the first turn")
    measure.flywheel(root, "turn")
    with Workspace.open(root) as workspace:
        _Filling(workspace, notes, numbers).run()
    (root / DONE).write_text(wanted, encoding="utf-8")
    return root


def one_more(number: int, like: Interaction) -> tuple[Interaction, Feedback]:
    """An interaction and an act on it, as they come in while pages are looked at."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    asked = replace(like, id=f"late-{time.time_ns()}-{number}", at=now, user=LATE)
    act = Feedback(
        id=f"{asked.id}-up", kind="up", user=LATE, role="asker", at=now,
        question=asked.question, interaction=asked.id, candidate=0,
    )  # fmt: skip
    return asked, act


class _Filling:
    """The rows of a workspace that has been asked for years."""

    def __init__(self, workspace: Workspace, notes: Sequence[_Note], numbers: Numbers) -> None:
        self._workspace, self._notes, self._numbers = workspace, notes, numbers
        self._random = random.Random(SEED)
        self._key_of = cache(key_of)

    def run(self) -> None:
        """Writes all of it."""
        _tell(f"asking {_NUM_ASKED} questions")
        answers = self._answers()
        _tell(f"keeping {self._numbers.interactions:,} interactions")
        sample = self._interactions(answers)
        _tell("keeping what was said to them")
        edits = self._acts(sample)
        self._write(self._corrections(edits))
        self._versions([each.id for each in edits])
        self._others(sample)

    def _answers(self) -> list[Answer]:
        """What questions really came to, of all kinds of documents."""
        asked = [question for note in self._notes for question, _ in note.asked]
        return [
            self._workspace.answer(question)[0]
            for question in self._random.sample(asked, min(_NUM_ASKED, len(asked)))
        ]

    def _interactions(self, answers: Sequence[Answer]) -> list[Interaction]:
        """Keeps all of them, a question the more often the earlier it stands; gives a sample."""
        questions = [
            (answer, f"{answer.question} {suffix}".strip())
            for suffixes in zip(_SUFFIXES, _SUFFIXES_ZH, strict=True)
            for answer in answers
            for suffix in (suffixes[not answer.question.isascii()],)
        ]
        self._random.shuffle(questions)
        weights = [1 / rank**0.7 for rank in range(1, len(questions) + 1)]
        num = self._numbers.interactions
        chosen = self._random.choices(questions, weights, k=num)
        sample: list[Interaction] = []
        for start in range(0, num, _BATCH):
            batch = [
                self._interaction(number, *chosen[number])
                for number in range(start, min(start + _BATCH, num))
            ]
            keyed = [(each, self._key_of(each.question)) for each in batch]
            self._workspace.database.write(partial(interactions.put_all, keyed=keyed))
            sample += batch[: max(1, _BATCH * self._numbers.acts // num)]
        return sample

    def _interaction(self, number: int, answer: Answer, question: str) -> Interaction:
        confidence = self._random.betavariate(3, 1.5)
        kind: Kind = "answer" if confidence > 0.4 else "abstain" if confidence < 0.3 else "ask_back"
        version = 1 + number * self._numbers.versions // self._numbers.interactions
        first = replace(
            answer, question=question, confidence=confidence, kind=kind, version=version,
            choices=("left", "右") if kind == "ask_back" else (),
        )  # fmt: skip
        others = (replace(first, passages=first.passages[1:], citations=()),)
        return Interaction(
            id=f"{self._random.getrandbits(128):032x}",
            question=question,
            candidates=(first, *others) if self._random.random() < 0.2 else (first,),
            version=version,
            user=self._user(),
            at=self._at(number / self._numbers.interactions),
        )

    def _acts(self, sample: Sequence[Interaction]) -> list[Feedback]:
        """Keeps what was said; gives the edits."""
        numbers = self._numbers
        kinds, weights = list(_KINDS), list(_KINDS.values())
        acts = []
        for number in range(numbers.acts):
            asked = sample[number % len(sample)]
            is_edit = number < numbers.corrections
            kind: FeedbackKind = "edit" if is_edit else self._random.choices(kinds, weights)[0]
            acts.append(self._act(f"act-{number}", kind, asked))
        for start in range(0, len(acts), _BATCH):
            batch = acts[start : start + _BATCH]
            contents = {each.id: "0" * 32 for each in batch}
            put_all = partial(feedback_store.put_all, acts=batch, contents=contents)
            self._workspace.database.write(put_all)
        return acts[: numbers.corrections]

    def _act(self, id: str, kind: FeedbackKind, asked: Interaction) -> Feedback:
        shown = asked.candidates[0]
        quote = shown.citations[0].quote if shown.citations else shown.passages[0].text[:60]
        at = datetime.fromisoformat(asked.at) + timedelta(minutes=1)
        return Feedback(
            id=id, kind=kind, user=asked.user, role=self._random.choice(("asker", "curator")),
            at=at.isoformat(timespec="milliseconds"), question=asked.question,
            interaction=asked.id, candidate=0, answer=shown.draft,
            evidence=(quote,) if kind in ("edit", "cite") else (),
            candidates=(shown.draft, "another") if kind == "rank" else (),
            order=(1, 0) if kind == "rank" else (),
            reason="wrong model 型号不对" if kind in ("flag", "down") else "",
        )  # fmt: skip

    def _corrections(self, edits: Sequence[Feedback]) -> list[Entry]:
        entries = []
        for number, act in enumerate(edits):
            verified = act.role == "curator"
            correction = Correction(
                id=act.id, question=act.question, answer=f"{act.answer} ({number})",
                evidence=act.evidence, passages=(), user=act.user, role=act.role, at=act.at,
                verified=verified, disputed=verified and number % 10 == 0,
                review="evidence not found" if number % 25 == 0 else "",
            )  # fmt: skip
            withdrawn = "replaced" if number % 8 == 0 else ""
            key = self._key_of(act.question)
            entries.append(Entry(correction=correction, key=key, withdrawn=withdrawn))
        return entries

    def _write(self, entries: Sequence[Entry]) -> None:
        self._workspace.database.write(lambda conn: corrections.put_all(conn, entries))

    def _versions(self, learned: Sequence[str]) -> None:
        """Versions after the first one, each with what it learned from and how it sat the exam."""
        first = self._workspace.champion()

        def write(conn: Connection) -> None:
            card, rows = exam_rows.card(conn, 1), exam_rows.list_rows(conn, 1)
            for number in range(2, self._numbers.versions + 1):
                promoted = number % 3 != 0 or number == self._numbers.versions
                version = replace(
                    first, number=number, parent=number - 1 if (number - 1) % 3 else number - 2,
                    created_at=self._at(number / (self._numbers.versions + 1)),
                    metrics=self._metrics(first), decision="promoted" if promoted else "kept",
                )  # fmt: skip
                versions.put(conn, version)
                taught = learned[: len(learned) * number // self._numbers.versions]
                versions.put_lineage(conn, version, taught, documents.shown(conn))
                if promoted:
                    versions.set_champion(conn, number, reason=first.reasons[0])
                if card:
                    exam_rows.put_all(conn, number, card, rows)

        self._workspace.database.write(write)

    def _metrics(self, first: Version) -> dict[str, Score]:
        def moved(score: Score) -> Score:
            by = self._random.uniform(-0.03, 0.03)
            values = (score.value + by, score.low + by, score.high + by)
            value, low, high = (min(1.0, max(0.0, each)) for each in values)
            return replace(score, value=value, low=low, high=high)

        held = {name: score for name, score in first.metrics.items() if score.high <= 1}
        return dict(first.metrics) | {name: moved(score) for name, score in held.items()}

    def _others(self, sample: Sequence[Interaction]) -> None:
        """Jobs, the log of acts, exam items, reviews and keys."""
        numbers, database = self._numbers, self._workspace.database
        reasons = self._workspace.champion().reasons

        def write(conn: Connection) -> None:
            for number in range(numbers.jobs):
                jobs.put(conn, self._job(number, reasons))
            for number in range(numbers.audit):
                action = self._random.choice(_ACTIONS)
                at, user = self._at(number / numbers.audit), self._user()
                target = f"act-{number % numbers.corrections}"
                act = Act(at=at, user=user, role="owner", action=action, target=target)
                audit.put(conn, act)
            exam_items.put_all(conn, [_item(each) for each in sample[: numbers.exam // 3]])
            for each in {self._key_of(asked.question): asked for asked in sample}:
                if self._random.random() < numbers.reviews / len(sample):
                    item = Review(
                        item=f"abstained:{each}", decision="dismissed", user="curator 1",
                        at=self._at(1),
                    )  # fmt: skip
                    reviews.put(conn, item)

        database.write(write)
        for number in range(numbers.keys):
            keys.add(database, f"user {number}", "asker", days=30)

    def _job(self, number: int, reasons: Sequence[str]) -> Job:
        at, version = self._at(number / self._numbers.jobs), 1 + number % self._numbers.versions
        result = {
            "version": version, "decision": "promoted" if version % 3 else "kept",
            "reasons": list(reasons), "champion": version, "seconds": 9.5,
        }  # fmt: skip
        has_failed = number % 9 == 0
        return Job(
            id=f"{self._random.getrandbits(128):032x}", arguments=TurnArguments(), user="owner",
            created_at=at, started_at=at, ended_at=at, attempts=1,
            state="failed" if has_failed else "done", result={} if has_failed else result,
            error="The disk is full." if has_failed else "",
        )  # fmt: skip

    def _user(self) -> str:
        """The owner asked a fifth of everything, for the longest history that a page may have."""
        if self._random.random() < 0.2:
            return OWNER
        return f"user {self._random.randrange(_NUM_USERS)}"

    def _at(self, share: float) -> str:
        """A time, by how far through the years it is."""
        at = _NOW - timedelta(days=_DAYS) * (1 - share) - timedelta(hours=1)
        return at.isoformat(timespec="milliseconds")


OWNER = "bench"
"""Whose key pages are looked at with."""
LATE = "late"
"""Who asks while pages are looked at."""


def _item(asked: Interaction) -> ExamItem:
    return ExamItem(
        id=f"asked-{asked.id}", question=asked.question, interaction=asked.id, user=asked.user,
        at=asked.at,
    )  # fmt: skip


def _notes(num: int) -> Iterator[_Note]:
    """Service notes, every other one in Chinese, no two of the same part of the same model."""
    generator = random.Random(SEED)
    num_models = -(-num // (2 * len(_PARTS)))
    models = [f"{_SERIES[n % len(_SERIES)]} {100 + n}" for n in range(num_models)]
    for number, (model, place) in enumerate(product(models, range(len(_PARTS)))):
        if 2 * number >= num:
            return
        yield _note(generator, model, _PARTS[place])
        yield _note_zh(generator, model, _PARTS_ZH[place])


def _note(generator: random.Random, model: str, part: str) -> _Note:
    facts = generator.sample(_FACTS, 3)
    values = {"part": part, "model": model}
    told = [
        (question.format(**values), fact.format(**values, n=generator.randrange(4, 900),
         agent=generator.choice(_AGENTS)))
        for fact, question in facts
    ]  # fmt: skip
    filler = [
        f"{generator.choice(_WHO)} {generator.choice(_DOES)} {generator.choice(_THINGS)} "
        f"{generator.choice(_WHEN)}."
        for _ in range(10)
    ]
    text = _page(f"The {part} of the {model}", "Maintenance", "Notes", told, filler, " ")
    return _Note(name=f"en/{model}/{part}.md", text=text, asked=tuple(told))


def _note_zh(generator: random.Random, model: str, part: str) -> _Note:
    facts = generator.sample(_FACTS_ZH, 3)
    values = {"part": part, "model": model}
    told = [
        (question.format(**values), fact.format(**values, n=generator.randrange(4, 900),
         agent=generator.choice(_AGENTS_ZH)))
        for fact, question in facts
    ]  # fmt: skip
    filler = [
        f"{generator.choice(_WHEN_ZH)}，{generator.choice(_WHO_ZH)}{generator.choice(_DOES_ZH)}"
        f"{generator.choice(_THINGS_ZH)}。"
        for _ in range(10)
    ]
    text = _page(f"{model}的{part}", "保养", "说明", told, filler, "")
    return _Note(name=f"zh/{model}/{part}.md", text=text, asked=tuple(told))


def _page(
    title: str, first: str, second: str, told: Sequence[tuple[str, str]], filler: Sequence[str],
    space: str,
) -> str:  # fmt: skip
    facts = [fact for _, fact in told]
    upper = space.join([filler[0], facts[0], *filler[1:4], facts[1]])
    lower = space.join([*filler[4:8], facts[2], *filler[8:]])
    return f"# {title}\n\n## {first}\n\n{upper}\n\n## {second}\n\n{lower}\n"


def _write_documents(folder: Path, notes: Sequence[_Note]) -> None:
    """The files; of a hundred one is there twice, one is superseded, and one cannot be read."""
    shutil.rmtree(folder, ignore_errors=True)
    for number, note in enumerate(notes):
        place = folder / note.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if number % 100 == 7:
            place.with_suffix(".pdf").write_bytes(b"%PDF-1.7\nbroken")
            continue
        if number % 100 == 9:
            newer = place.with_stem(f"{place.stem} 2026")
            newer.write_text(f"{note.text}\nRevised in 2026. 2026年修订。\n", encoding="utf-8")
            place = place.with_stem(f"{place.stem} 2024")
        place.write_text(note.text, encoding="utf-8")
        if number % 100 == 8:
            copy = folder / "copies" / f"{number}.md"
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(note.text, encoding="utf-8")


def _write_exam(place: Path, notes: Sequence[_Note], num: int) -> None:
    generator = random.Random(SEED)
    chosen = generator.sample([note for note in notes if note.asked], num)
    lines = []
    for number, note in enumerate(chosen):
        question, fact = note.asked[0]
        line: dict[str, object] = {"id": f"q{number:04}", "question": question}
        if number % 12:
            line |= {"answer": fact, "evidence": [fact]}
        else:
            line |= {"question": f"{question} 999", "answerable": False}
        lines.append(json.dumps(line, ensure_ascii=False))
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

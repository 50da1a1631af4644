"""Does anything of a document show to somebody who may not read it? Random questions by three keys.

    python bench/access.py [--questions 10000] [--seed 1]

English and Chinese documents for everybody, for the staff, for the board, and for both of these. In
every title, heading and sentence stands a word that stands nowhere else; people of each label
correct and rate over HTTP, and a version learns from it. Then questions are asked through the whole
app: made of words of all documents, paraphrases and exact copies of corrections, copies of what
others asked, follow-ups; whole and streamed, with one answer or several. Whatever comes back is
searched for the words of what its reader may not read, and for the ids of those documents, passages
and corrections. In between documents are closed, opened and deleted, and a version learns again.

tests/serve/test_access.py asks a part of them.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ahocorasick_rs import AhoCorasick
from starlette.testclient import TestClient

from flywheel.answer.choice import LearnedChoice
from flywheel.records import PUBLIC, Role
from flywheel.search.wording import read
from flywheel.serve.app import create_app
from flywheel.serve.ending import num_tokens
from flywheel.store import documents as document_store
from flywheel.wheel import ingest, keys, versions
from flywheel.wheel.turn import turn
from flywheel.wheel.workspace import Workspace
from table import print_table

SETTINGS = """
[serve]
requests_per_minute = 100000000
"""
LABELS = (PUBLIC, "staff", "board")
GROUPS: dict[str, tuple[str, ...]] = {
    "everybody": (PUBLIC,),
    "staff": ("staff",),
    "board": ("board",),
    "both": ("board", "staff"),
}
"""Documents by the labels of whoever may read them."""
DOCUMENTS_OF_GROUP = 4

THINGS = (
    ("spare key", "备用钥匙"),
    ("fire blanket", "灭火毯"),
    ("pressure gauge", "压力表"),
    ("visitor badge", "访客证"),
    ("toner cartridge", "墨盒"),
    ("safety goggles", "护目镜"),
    ("cable drum", "电缆盘"),
    ("first aid kit", "急救箱"),
)
PLACES = (
    ("north workshop", "北车间"),
    ("loading dock", "装卸区"),
    ("paint booth", "喷漆房"),
    ("archive room", "档案室"),
    ("boiler house", "锅炉房"),
    ("reception hall", "接待大厅"),
)
SPOTS = (
    ("behind the second shelf", "第二个架子后面"),
    ("under the long bench", "长凳下面"),
    ("in the grey cabinet", "灰色柜子里"),
    ("next to the stairs", "楼梯旁边"),
    ("above the sink", "水槽上方"),
)
_SYLLABLES = [first + second for first in "bdfgklmnprst" for second in "aeiou"]
_RARE, _NUM_RARE = 0x2B820, 2_800
"""Characters that no text has by chance, those of the CJK extension E: two of them make a word.
Behind so many there are as many more, which stand nowhere."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a document, with a question that it answers."""

    text: str
    question: str
    chinese: bool
    document: str
    """The file's name."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who calls, and what he may read."""

    name: str
    role: Role
    label: str
    secret: str

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({PUBLIC, self.label}))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered."""

    person: Person
    interaction: str
    typed: str
    """All that the person wrote."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that showed to somebody who may not read it."""

    person: str
    request: str
    words: tuple[str, ...]
    owners: tuple[str, ...]
    reply: str


class Marks:
    """Words and ids, and whose they are: of a document, or of what somebody said."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self._num_words = 0
        self._finder: AhoCorasick | None = None

    def word(self, owner: str, chinese: bool) -> str:
        """A new word; wherever it turns up it is its owner's."""
        number = self._num_words
        self._num_words += 1
        assert 2 * number + 1 < _NUM_RARE
        if chinese:
            word = chr(_RARE + 2 * number) + chr(_RARE + 2 * number + 1)
        else:
            high, low = divmod(number, len(_SYLLABLES))
            word = "zq" + _SYLLABLES[high] + _SYLLABLES[low]
        self.add(word, owner)
        return word

    def add(self, word: str, owner: str) -> None:
        """Another one, such as an id."""
        assert self.owners.setdefault(word, owner) == owner, (word, owner)
        self._finder = None

    def found_in(self, text: str) -> set[str]:
        """Those that stand in a text."""
        if self._finder is None:
            self._finder = AhoCorasick(list(self.owners))
        return set(self._finder.find_matches_as_strings(text))


class World:
    """A workspace with its documents and people, and what each of them may read now."""

    def __init__(self, place: Path, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.place = place
        self.marks = Marks()
        self.access: dict[str, tuple[str, ...] | None] = {}
        """Who may read what is this owner's; None for nobody any more."""
        self.once: dict[str, tuple[str, ...]] = {}
        """Who might before it was deleted: curators, who decide on what rested on it."""
        self.sentences: list[Sentence] = []
        self.said: dict[str, tuple[Person, str | None]] = {}
        """Corrections: by whom, and of which document."""
        self.corrected: list[str] = []
        """Their questions."""
        self.typed: set[str] = set()
        """Words that somebody wrote: what is asked about what all may read, all may learn."""
        self.guessed = ""
        """Evidence that was typed by somebody who need not know it."""
        self.asked: list[Asked] = []
        self.questions: list[str] = []
        self.known: set[tuple[tuple[str, ...], str]] = set()
        """What readers of these labels have asked, by its normal form."""
        self.passages: list[tuple[str, str]] = []
        """Ids, with the documents that they are of."""
        self.leaks: list[Leak] = []
        self.counts: Counter[str] = Counter()
        self.workspace = self._built()
        self.people = {each.name: each for each in self._people()}
        self.http = TestClient(create_app(self.workspace), base_url="http://127.0.0.1")
        self.num_exact = 0.0

    def close(self) -> None:
        """Closes the app and the workspace."""
        self.http.app.state.service.close()  # type: ignore[attr-defined]
        self.workspace.close()

    def _built(self) -> Workspace:
        for group in GROUPS:
            for number in range(DOCUMENTS_OF_GROUP):
                self._write(group, number)
        with Workspace.init(self.place / "workspace") as workspace:
            (workspace.root / "flywheel.toml").write_text(SETTINGS, encoding="utf-8")
        workspace = Workspace.open(workspace.root)
        for group, access in GROUPS.items():
            # Each a source of its own, so that it can be closed alone.
            files = [str(self.place / name) for name in self.access if name.startswith(group)]
            added = ingest.add(workspace, files, access)
            assert {each.fate for each in added.files} == {"kept"}, added.files
        return workspace

    def _write(self, group: str, number: int) -> None:
        """One document: a word of its own in its title, its headings and every sentence."""
        name, chinese = f"{group}-{number}.md", number % 2 == 1
        self.access[name] = GROUPS[group]

        def word() -> str:
            return self.marks.word(name, chinese)

        place = PLACES[(number // 2 + list(GROUPS).index(group)) % len(PLACES)][chinese]
        lines = [f"# {word()}{place}手册" if chinese else f"# Handbook {word()} of the {place}"]
        for thing in (each[chinese] for each in THINGS):
            spot = self.random.choice(SPOTS)[chinese]
            if chinese:
                kept = f"{place}的{thing}放在{spot}，清单上写作{word()}。"
                signed = f"取用{thing}须登记，登记册为{word()}。"
                asked = f"{place}的{thing}放在哪里？", f"{place}的{thing}在哪里登记？"
            else:
                kept = f"The {thing} of the {place} is kept {spot}, and the list says {word()}."
                signed = f"Whoever takes the {thing} signs for it in the book {word()}."
                asked = (
                    f"Where is the {thing} of the {place} kept?",
                    f"What does one sign for the {thing} of the {place}?",
                )
            lines += [f"## {thing} {word()}", f"{kept}{'' if chinese else ' '}{signed}"]
            self.sentences += [
                Sentence(text, question, chinese, name)
                for text, question in zip((kept, signed), asked, strict=True)
            ]
        (self.place / name).write_text("\n\n".join(lines) + "\n", encoding="utf-8")

    def _people(self) -> Iterator[Person]:
        roles: tuple[Role, ...] = ("asker", "curator")
        for label in LABELS:
            for role in roles:
                access = None if label == PUBLIC else [label]
                name = f"{role} of {label}"
                secret = keys.add(self.workspace.database, name, role, access).secret
                yield Person(name, role, label, secret)

    def person(self) -> Person:
        """Somebody of a random label; mostly an asker."""
        role = "curator" if self.random.random() < 0.2 else "asker"
        return self.people[f"{role} of {self.random.choice(LABELS)}"]

    def may_read(self, person: Person, owner: str, *, once: bool = False) -> bool:
        """Whether somebody may read what is this owner's."""
        access = self.access[owner]
        if access is None and once:
            access = self.once[owner]
        return access is not None and not set(access).isdisjoint(person.labels)

    # What is asked of the server, and what comes back.

    def call(
        self,
        person: Person,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        typed: str = "",
        once: bool = False,
    ) -> tuple[int, str]:
        """The status and the raw text of a reply, in which nothing may show that its reader may
        not read.

        Args:
            typed: what may show since somebody wrote it himself, beside the request.
            once: what was deleted may show to whoever might read it before.
        """
        headers = {"Authorization": f"Bearer {person.secret}"}
        reply = self.http.request(method, f"/v1{path}", json=body, headers=headers)
        request = f"{method} {path} {json.dumps(body, ensure_ascii=False)}"
        own = self.marks.found_in(request + typed)
        self.typed |= own
        shown = f"{reply.headers} {reply.text}"
        words = {
            word
            for word in self.marks.found_in(shown) - own
            if not self.may_read(person, self.marks.owners[word], once=once)
        }
        if words:
            owners = {self.marks.owners[word] for word in words}
            self.leaks.append(Leak(person.name, request, tuple(words), tuple(owners), reply.text))
        assert reply.status_code < 500, (reply.status_code, request, reply.text)
        self.counts[f"{method} /v1/{path.split('/')[1]}"] += 1
        return reply.status_code, reply.text

    def ask(self, person: Person, question: str, before: Sequence[str] = ()) -> None:
        """Asks, as chats do; nothing is counted in the reply but what it shows."""
        stream, num = self.random.random() < 0.3, self.random.choice((1, 1, 1, 1, 2, 4))
        body = {
            "model": "flywheel" if self.random.random() < 0.95 else "flywheel-1",
            "messages": [{"role": "user", "content": each} for each in (*before, question)],
            "n": num,
            "stream": stream,
        } | ({"stream_options": {"include_usage": True}} if stream else {})
        status, text = self.call(person, "POST", "/chat/completions", body)
        assert status == 200, (status, text)
        texts, about, usage = _streamed(text) if stream else _whole(text)
        assert about.keys() == _ABOUT, text
        assert usage["completion_tokens"] == sum(map(num_tokens, texts)), text
        assert usage["prompt_tokens"] == num_tokens(about["question"]), text
        assert 1 <= len(texts) <= num, text
        self._check_cached(person, about, text)
        self.questions.append(question)
        self.asked.append(Asked(person, about["interaction"], " ".join((*before, question))))

    def _check_cached(self, person: Person, about: dict[str, Any], text: str) -> None:
        """What another label was told is never told again: only what was asked by one's own."""
        asked = (person.labels, read(about["question"]).key)
        exact, paraphrase = map(self._num_cached, ("exact", "paraphrase"))
        # An asker is not told; the server's figures are.
        if exact > self.num_exact and asked not in self.known:
            self.leaks.append(Leak(person.name, about["question"], (), ("the cache",), text))
        self.num_exact = exact
        self.counts["answers from the cache"] = int(exact + paraphrase)
        self.known.add(asked)

    def _num_cached(self, outcome: str) -> float:
        service = self.http.app.state.service  # type: ignore[attr-defined]
        counted = service.metrics.cache.labels(outcome).collect()[0].samples[0].value
        return float(counted)

    def question(self) -> tuple[str, tuple[str, ...]]:
        """A random question, with what was asked before it in the same chat."""
        chance, sentence = self.random.random(), self.random.choice(self.sentences)
        if chance < 0.25:
            return self._of_words(), ()
        if chance < 0.4:
            return sentence.question, ()
        if chance < 0.5:
            return sentence.text[: self.random.randint(10, 60)], ()
        if chance < 0.65 and self.corrected:
            return self.random.choice(self.corrected), ()
        if chance < 0.8 and self.corrected:
            return self._paraphrase(self.random.choice(self.corrected)), ()
        if chance < 0.94 and self.questions:
            return self.random.choice(self.questions[-200:]), ()
        place = self.random.choice(PLACES)
        follow_up = f"那{place[1]}呢？" if sentence.chinese else f"And in the {place[0]}?"
        return follow_up, (sentence.question,)

    def _of_words(self) -> str:
        """Words of any documents, in any order."""
        chosen = self.random.choices(self.sentences, k=self.random.randint(2, 4))
        if self.random.random() < 0.5:
            starts = [self.random.randrange(len(each.text)) for each in chosen]
            return "".join(
                each.text[start : start + 6] for each, start in zip(chosen, starts, strict=True)
            )
        words = [each.text.rstrip(".。").split() for each in chosen]
        return " ".join(
            word for each in words for word in self.random.sample(each, min(3, len(each)))
        )

    def _paraphrase(self, question: str) -> str:
        if question.isascii():
            polite = f"Please tell me: {question[0].lower()}{question[1:]}"
            return self.random.choice((polite, question.replace("Where is", "In what place is")))
        return self.random.choice((f"请问{question}", question.replace("在哪里", "在什么地方")))

    # What people say.

    def correct(self, person: Person, sentence: Sentence, *, cite: bool = True) -> None:
        """A correction with a word of its own; without evidence it is for its author's readers."""
        owner = f"said-{len(self.said):04}"
        self.said[owner] = (person, sentence.document if cite else None)
        self.access[owner] = self._access_of(owner)
        self.marks.add(owner, owner)
        word = self.marks.word(owner, sentence.chinese)
        body = {
            "id": owner,
            "kind": "edit",
            "question": sentence.question,
            "answer": f"{sentence.text} {word}" if cite else word,
            "evidence": [sentence.text] if cite else [],
        }
        is_told = person.role == "curator"
        status, text = self.call(person, "POST", "/feedback", body, once=is_told)
        assert status == 200, text
        self.corrected.append(sentence.question)

    def _access_of(self, owner: str) -> tuple[str, ...]:
        """Whoever may read what its author and its evidence may be read by."""
        person, document = self.said[owner]
        own = set(person.labels) - {PUBLIC}
        held = self.access[document] if document else None
        if held is None:
            return tuple(own) or (PUBLIC,)
        if PUBLIC in held:
            return (PUBLIC,)
        return tuple(own.intersection(held) if own else held)

    def guess(self, person: Person) -> None:
        """Names any document's words as evidence, which tells nothing of where they stand."""
        sentence = self.random.choice(self.sentences)
        self.guessed += sentence.text
        body = {"question": sentence.question, "evidence": [sentence.text]}
        self.call(person, "POST", "/feedback", body | {"kind": "cite"})
        edit = body | {"kind": "edit", "answer": "It is kept elsewhere. 在别处。"}
        # A curator hears of what his contradicts, also where its document was deleted.
        self.call(person, "POST", "/feedback", edit, once=person.role == "curator")

    def judge(self, person: Person) -> None:
        """Rates one of the last answers to anybody."""
        asked = self.random.choice(self.asked[-50:])
        kind = self.random.choice(("up", "down", "bookmark", "flag"))
        body = {"kind": kind, "interaction": asked.interaction}
        status, text = self.call(person, "POST", "/feedback", body, typed=asked.typed)
        assert status == 200 or (status == 404 and asked.person != person), text

    def look(self, person: Person) -> None:
        """Looks up an interaction and a passage of anybody's, and lists what may be listed."""
        asked = self.random.choice(self.asked)
        path = f"/interactions/{asked.interaction}"
        status, _ = self.call(person, "GET", path, typed=asked.typed)
        assert status in (
            (200, 404) if person.role == "curator" or asked.person == person else (404,)
        )
        passage, document = self.random.choice(self.passages)
        status, _ = self.call(person, "GET", f"/passages/{passage}")
        assert status == (200 if self.may_read(person, document) else 404), (person, document)
        if person.role == "curator":
            self.call(person, "GET", "/corrections", typed=self.guessed, once=True)
            for act in ("confirm", "withdraw") if self.said else ():
                owner = self.random.choice(list(self.said))
                if not self.may_read(person, owner, once=True):
                    status, _ = self.call(person, "POST", f"/corrections/{owner}/{act}")
                    assert status == 404, owner

    def models(self) -> set[str]:
        """What the askers are told of the models; one and the same."""
        askers = [self.people[f"asker of {label}"] for label in LABELS]
        return {self.call(person, "GET", "/models")[1] for person in askers}

    # What changes.

    def turn(self) -> None:
        """A turn, whose version serves whatever the gate says."""
        turned = turn(self.workspace)
        if turned.version and turned.champion != turned.version:
            versions.promote(self.workspace, turned.version)
        index = self.workspace.assistant(self.workspace.champion()).index
        with self.workspace.database.read() as conn:
            staged = {each.id: each.path for each in document_store.list_documents(conn)}
        self.passages = [(each.id, staged[each.document]) for each in index.passages()]
        for each in index.passages():
            self.marks.add(each.id, staged[each.document])
            self.marks.add(each.document, staged[each.document])

    def change(self, name: str, access: tuple[str, ...] | None) -> None:
        """Gives a document to other readers, or deletes it; what was said of it goes along."""
        if access is None:
            (self.place / name).unlink()
        ingest.add(self.workspace, [str(self.place / name)], access)
        for owner in (name, *(each for each, (_, of) in self.said.items() if of == name)):
            before = self.access[owner]
            if access is None:
                assert before is not None, "it is deleted once"
                self.access[owner], self.once[owner] = None, before
            else:
                self.access[owner] = access if owner == name else self._access_of(owner)

    def shaped_by_what_is_hidden(self, num: int) -> list[str]:
        """Questions whose answer is another one without what its reader may not see of what was
        learned; out of so many for each label."""
        assistant = self.workspace.assistant(self.workspace.champion())
        assert assistant.ranker, "nothing was learned"
        shaped = []
        for label in LABELS:
            reader = self.workspace.reader([label])
            hidden = {
                each.id
                for each in assistant.ranker.questions
                if set(each.access).isdisjoint(reader.access)
            }
            assert hidden, "all that was learned may be read by all"
            without = copy.copy(assistant)
            without.ranker = assistant.ranker.without(frozenset(hidden))
            if choice := assistant.choice:
                told = choice._told.only({each.id for each in without.ranker.questions})
                frequencies = assistant.index.frequencies
                without.choice = LearnedChoice(told, choice._trees, frequencies, choice._settings)
            for question in self.random.sample(self.questions, num):
                one, other = (
                    replace(each.ask(question, reader), timings_ms={})
                    for each in (assistant, without)
                )
                if one != other:
                    shaped.append(question)
        return shaped

    def told_apart(self, num: int) -> list[str]:
        """Words of hidden documents with which a question is answered otherwise than with a word
        of no document: who asks could find out which words stand there. Out of so many a label."""
        assistant = self.workspace.assistant(self.workspace.champion())
        apart = []
        for label in LABELS:
            person, reader = self.people[f"asker of {label}"], self.workspace.reader([label])
            hidden = [
                word
                for word, owner in self.marks.owners.items()
                if (word.startswith("zq") or word[0] >= chr(_RARE))
                and word not in self.typed
                and not self.may_read(person, owner)
            ]
            for word in self.random.choices(hidden, k=num):
                sentence = self.random.choice(self.sentences)
                told = [
                    assistant.ask(f"{sentence.question} {each}", reader)
                    for each in (word, self._unused(word))
                ]
                one, other = (
                    (each.kind, round(each.confidence, 4), [found.id for found in each.passages])
                    for each in told
                )
                if one != other:
                    apart.append(word)
        return apart

    def _unused(self, word: str) -> str:
        """A word like this one that stands nowhere."""
        if word.isascii():
            return "zx" + word[2:]
        return "".join(chr(ord(each) + _NUM_RARE) for each in word)


_ABOUT = {"interaction", "version", "question", "cached", "moderation"}


def _whole(text: str) -> tuple[list[str], dict[str, Any], dict[str, int]]:
    """The answers, what is told about the reply, and its usage."""
    reply = json.loads(text)
    texts = [each["message"]["content"] for each in reply["choices"]]
    return texts, reply["flywheel"], reply["usage"]


def _streamed(text: str) -> tuple[list[str], dict[str, Any], dict[str, int]]:
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line.strip()]
    assert events.pop() == "[DONE]", text
    texts: dict[int, str] = {}
    about: dict[str, Any] = {}
    usage: dict[str, int] = {}
    for event in map(json.loads, events):
        about, usage = event.get("flywheel") or about, event.get("usage") or usage
        for choice in event["choices"]:
            told = choice["delta"].get("content", "")
            texts[choice["index"]] = texts.get(choice["index"], "") + told
    return list(texts.values()), about, usage


def corrections(world: World, num: int) -> None:
    """People of every label correct, most of them curators, of what they may read."""
    for number in range(num):
        role = "asker" if number % 10 == 9 else "curator"
        person = world.people[f"{role} of {LABELS[number % len(LABELS)]}"]
        readable = [each for each in world.sentences if world.may_read(person, each.document)]
        fresh = [each for each in readable if each.question not in world.corrected]
        # Some say otherwise than others before them.
        among = fresh if fresh and number % 8 else readable
        world.correct(person, world.random.choice(among), cite=number % 7 != 6)


def questions(world: World, num: int) -> None:
    """People of every label ask, look things up, judge and guess."""
    for _ in range(num):
        world.ask(world.person(), *world.question())
        if world.random.random() < 0.2:
            world.look(world.person())
        if world.random.random() < 0.1:
            world.judge(world.person())
        if world.random.random() < 0.03:
            world.guess(world.person())
    assert len(world.models()) == 1


def run(
    place: Path,
    num_questions: int,
    num_corrections: int = 240,
    *,
    seed: int = 1,
    again: bool = True,
) -> World:
    """The world, with what leaked in it.

    Args:
        num_corrections: 150 teach an order, 240 also which quotes to choose.
        again: lets it learn again after documents were closed, and asks a third of the questions
            then.
    """
    world = World(place, seed)
    corrections(world, num_corrections)
    world.turn()
    num = num_questions // (3 if again else 2)
    questions(world, num)
    world.change("everybody-0.md", ("board",))
    world.change("everybody-1.md", None)
    world.change("staff-0.md", (PUBLIC,))
    world.change("both-1.md", ("staff",))
    questions(world, num)
    if again:
        corrections(world, 15)
        world.turn()
        questions(world, num_questions - 2 * num)
    return world


def main() -> int:
    parser = argparse.ArgumentParser(description="look for what shows to whoever may not read it")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        world = run(Path(folder), arguments.questions, seed=arguments.seed)
        shaped = world.shaped_by_what_is_hidden(100)
        apart = world.told_apart(100)
        world.close()
    rows = [[what, f"{count:,}"] for what, count in sorted(world.counts.items())]
    rows += [
        ["replies with anything that their reader may not read", f"{len(world.leaks):,}"],
        ["of 300 answers, those shaped by feedback that is hidden", f"{len(shaped):,}"],
        ["of 300 words of hidden documents, those that an answer gives away", f"{len(apart):,}"],
    ]
    seconds = time.perf_counter() - started
    note = f"seed {arguments.seed}, {len(world.marks.owners):,} words and ids, {seconds:.0f} s"
    print_table("access labels, keys of three labels", ("what", "count"), rows, note)
    for leak in world.leaks[:10]:
        print(leak, file=sys.stderr)
    return 1 if world.leaks or shaped or apart else 0


if __name__ == "__main__":
    sys.exit(main())

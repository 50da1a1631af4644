"""What users say over HTTP counts as theirs, holds at once, and tells nobody what is not his."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from flywheel.records import Role
from flywheel.serve.app import create_app
from flywheel.store import corrections
from flywheel.store import feedback as feedback_store
from flywheel.wheel import keys
from flywheel.wheel.keys import COMMAND_LINE
from flywheel.wheel.workspace import Workspace

LOCK = "The child lock sits on the edge of each rear door."
QUESTION = "Where is the child lock?"
PAY = "The workshop pays its apprentices nine hundred zorkmids a month."
PAID = "What are apprentices paid?"
EDIT = {"kind": "edit", "question": QUESTION, "answer": "On the rear doors.", "evidence": [LOCK]}
ODD_IDS = (
    "none",
    "a" * 5_000,
    "'",
    "' OR '1'='1",
    "\\",
    "%",
    '"; DROP TABLE passages; --',
    "钥匙🔑",
    "..%2f..%2fetc",
    "a%09b",
    "%C2%85",
    "{}",
)


class Person:
    """Somebody with a key, who calls the server."""

    def __init__(
        self, http: TestClient, workspace: Workspace, name: str, role: Role, access: Sequence[str]
    ) -> None:
        self.http, self.name, self.access = http, name, (access or None)
        made = keys.add(workspace.database, name, role, self.access)
        self.headers = {"Authorization": f"Bearer {made.secret}"}
        self.labels = made.key.access
        self.workspace = workspace

    def ask(self, question: str) -> str:
        """The id of the interaction."""
        return self.workspace.ask(question, self.name, self.labels).interaction

    def get(self, path: str, **options: Any) -> Response:
        return self.http.get(f"/v1{path}", headers=self.headers, **options)

    def post(self, path: str, body: Any = None, **headers: str) -> Response:
        return self.http.post(f"/v1{path}", json=body, headers=self.headers | headers)

    def say(self, **act: Any) -> dict[str, Any]:
        """What became of one act."""
        reply = self.post("/feedback", act)
        assert reply.status_code == 200, reply.text
        told: dict[str, Any] = reply.json()
        return told


class People:
    """Whoever a test needs."""

    def __init__(self, http: TestClient, workspace: Workspace) -> None:
        self.http, self.workspace = http, workspace

    def __call__(self, name: str, role: Role = "asker", *access: str) -> Person:
        return Person(self.http, self.workspace, name, role, access)


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.open(root) as opened:
        yield opened


@pytest.fixture
def people(workspace: Workspace) -> People:
    return People(TestClient(create_app(workspace), base_url="http://127.0.0.1"), workspace)


def outcomes(told: dict[str, Any]) -> list[str]:
    return [each["outcome"] for each in told["led_to"]]


def served(workspace: Workspace, question: str, person: Person) -> str:
    """What a person is answered."""
    return workspace.ask(question, person.name, person.labels).answer.answer


def test_who_acts_is_the_key_whatever_the_body_says(people: People, workspace: Workspace) -> None:
    ann = people("ann")
    assert ann.post("/feedback", EDIT | {"user": "ines"}).status_code == 400
    assert ann.post("/feedback", EDIT | {"role": "owner"}).status_code == 400
    told = ann.say(**EDIT, id="a")
    assert (told["object"], told["imported"], told["known"]) == ("feedback", 1, 0)
    assert told["kinds"] == {"edit": 1}
    with workspace.database.read() as conn:
        act = feedback_store.get(conn, "a")
    assert act and (act.user, act.role) == ("ann", "asker")


def test_askers_edit_serves_him_and_after_confirming_all(
    people: People, workspace: Workspace
) -> None:
    ann, bob, ines = people("ann"), people("bob"), people("ines", "curator")
    told = ann.say(**EDIT, id="a")
    assert outcomes(told) == ["served_to_you"]
    assert served(workspace, QUESTION, ann) == "On the rear doors."
    assert served(workspace, QUESTION, bob) != "On the rear doors."
    listed = ines.get("/corrections", params={"state": "waiting"}).json()
    [waits] = listed["data"]
    assert (waits["id"], waits["user"], waits["verified"]) == ("a", "ann", False)
    assert (listed["has_more"], waits["access"]) == (False, ["public"])
    assert ann.post("/corrections/a/confirm").status_code == 403
    confirmed = ines.post("/corrections/a/confirm").json()
    assert (confirmed["id"], confirmed["verified"]) == ("a", True)
    assert served(workspace, QUESTION, bob) == "On the rear doors."
    assert ines.get("/corrections").json()["data"] == []
    assert outcomes(ann.say(**EDIT, id="a")) == ["served_to_all"]


def test_curators_edit_serves_all_and_can_be_withdrawn(
    people: People, workspace: Workspace
) -> None:
    bob, ines = people("bob"), people("ines", "curator")
    assert outcomes(ines.say(**EDIT, id="a/b c")) == ["served_to_all"]
    assert served(workspace, QUESTION, bob) == "On the rear doors."
    withdrawn = ines.post("/corrections/a%2Fb%20c/withdraw").json()
    assert withdrawn == {"object": "correction", "id": "a/b c", "withdrawn": True}
    assert served(workspace, QUESTION, bob) != "On the rear doors."
    again = ines.post("/corrections/a%2Fb%20c/confirm")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "correction_withdrawn")
    assert outcomes(ines.say(**EDIT, id="a/b c")) == ["withdrawn"]


def test_what_curators_decide_is_in_the_audit(people: People) -> None:
    ines, boss = people("ines", "curator"), people("boss", "owner")
    people("ann").say(**EDIT, id="a")
    ines.post("/corrections/a/confirm")
    ines.post("/corrections/a/withdraw")
    ines.say(**EDIT, id="b")
    ines.say(**EDIT, id="b")
    ines.say(kind="up", question=QUESTION, answer="On the rear doors.")
    acts = [
        (each["user"], each["action"], each["target"])
        for each in boss.get("/audit").json()["data"]
        if each["action"].startswith("corrections.")
    ]
    assert acts == [
        ("ines", "corrections.add", "b"),
        ("ines", "corrections.withdraw", "a"),
        ("ines", "corrections.confirm", "a"),
    ]


def test_same_acts_again_count_once_and_each_is_told(people: People) -> None:
    ann = people("ann")
    items = [EDIT | {"id": 7}, {"kind": "up", "question": QUESTION, "answer": LOCK}]
    first = ann.post("/feedback", {"items": items}).json()
    again = ann.post("/feedback", {"items": items}).json()
    assert (first["imported"], first["known"]) == (2, 0)
    assert (again["imported"], again["known"], again["kinds"]) == (0, 2, {})
    assert [each["outcome"] for each in again["led_to"]] == ["served_to_you", "learned"]
    assert first["led_to"][0]["id"] == "7"
    other = ann.post("/feedback", EDIT | {"id": 7, "answer": "In the boot."})
    assert other.status_code == 400
    assert "another act's" in other.json()["error"]["message"]


def test_all_acts_of_a_request_are_kept_or_none(people: People, workspace: Workspace) -> None:
    wrong = {"kind": "edit", "question": QUESTION}
    reply = people("ann").post("/feedback", {"items": [EDIT, wrong]})
    assert reply.status_code == 400
    assert 'an edit needs the right "answer"' in reply.json()["error"]["message"]
    with workspace.database.read() as conn:
        assert list(feedback_store.list_feedback(conn)) == []


def test_outcome_is_told_in_the_callers_language(people: People) -> None:
    ann = people("ann")
    english = ann.post("/feedback", EDIT).json()["led_to"][0]["text"]
    chinese = ann.post("/feedback", EDIT, **{"Accept-Language": "zh-CN"}).json()["led_to"][0]
    assert english.startswith("Served to you from now on")
    assert chinese["text"].startswith("从现在起您会得到这个答案")


def test_contradicting_curators_hear_of_each_other_and_askers_do_not(people: People) -> None:
    ines, tom, ann = people("ines", "curator"), people("tom", "curator"), people("ann")
    ines.say(**EDIT, id="a")
    told = tom.say(**EDIT | {"answer": "In the boot."}, id="b")
    assert outcomes(told) == ["disputed"]
    assert told["notes"] == [f'a, b: ines, tom contradict each other on "{QUESTION}"']
    assert ann.say(**EDIT | {"answer": "On the roof."}, id="c")["notes"] == []
    assert outcomes(tom.say(**EDIT, id="d")) == ["served_to_all"]
    assert outcomes(tom.say(**EDIT | {"answer": "In the boot."}, id="b")) == ["replaced"]


def test_evidence_that_the_author_may_not_read_is_as_if_not_there(people: People) -> None:
    acts = [
        {"kind": "edit", "question": PAID, "answer": "Little.", "evidence": [evidence]}
        for evidence in (PAY, PAY.replace("nine", "five"))
    ]
    real, invented = (people("ann").say(**act) for act in acts)
    assert outcomes(real) == outcomes(invented) == ["no_evidence"]
    assert (
        real["notes"][0].partition(":")[2].replace("nine", "five")
        == (invented["notes"][0].partition(":")[2])
    )
    staff = people("sam", "asker", "staff").say(**acts[0])
    assert (outcomes(staff), staff["notes"]) == (["served_to_you"], [])
    curator = people("sue", "curator", "staff").say(**acts[0])
    assert outcomes(curator) == ["served_to_readers"]


def test_time_of_an_asker_is_now_and_a_curator_may_say_when(people: People) -> None:
    reply = people("ann").post("/feedback", EDIT | {"at": "2026-01-01"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "at")
    assert people("ines", "curator").say(**EDIT, at="2026-01-01")["imported"] == 1


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"kind": "love"}, "kind"),
        ({"candidate": -1}, "candidate"),
        ({"candidate": 10**30}, "candidate"),
        ({"candidate": "0"}, "candidate"),
        ({"order": [10**30]}, "order.0"),
        ({"evidence": ["x"] * 21}, "evidence"),
        ({"evidence": [""]}, None),
        ({"question": "x" * 20_001}, "question"),
        ({"id": "x" * 201}, None),
        ({"id": 2**63}, None),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    people: People, wrong: dict[str, Any], param: str | None
) -> None:
    reply = people("ann").post("/feedback", EDIT | wrong)
    assert reply.status_code == 400
    assert param in (None, reply.json()["error"]["param"])


@pytest.mark.parametrize("body", [[], "x", 1, {}, {"items": []}, {"items": [EDIT] * 101}])
def test_body_that_is_no_feedback_is_refused(people: People, body: Any) -> None:
    assert people("ann").post("/feedback", body).status_code == 400


def test_field_of_one_of_several_is_named(people: People) -> None:
    reply = people("ann").post("/feedback", {"items": [EDIT, {"kind": "love"}]})
    assert reply.json()["error"]["param"] == "items.1.kind"


def test_own_interactions_can_be_looked_up_and_judged(people: People, workspace: Workspace) -> None:
    ann = people("ann")
    id = ann.ask("儿童锁在哪里？")
    told = ann.get(f"/interactions/{id}").json()
    assert (told["object"], told["id"], told["user"]) == ("interaction", id, "ann")
    [candidate] = told["candidates"]
    assert candidate["passages"][0]["text"].startswith("儿童锁在后车门的边缘")
    assert "access" not in candidate["passages"][0]
    assert ann.say(kind="up", interaction=id, id="u")["imported"] == 1
    with workspace.database.read() as conn:
        act = feedback_store.get(conn, "u")
    assert act and act.question == "儿童锁在哪里？"


def test_what_is_not_there_and_what_is_not_ones_own_are_the_same(people: People) -> None:
    ann, bob = people("ann"), people("bob")
    id = ann.ask(QUESTION)
    for path in (f"/interactions/{id}", "/interactions/none"):
        reply = bob.get(path)
        assert (reply.status_code, reply.json()) == (404, bob.get("/interactions/0").json())
    refused = [bob.post("/feedback", {"kind": "up", "interaction": each}) for each in (id, "none")]
    assert [each.status_code for each in refused] == [404, 404]
    assert refused[0].json() == refused[1].json()


def test_curator_sees_others_as_far_as_he_may_read_all_of_it(people: People) -> None:
    sam, sue = people("sam", "asker", "staff"), people("sue", "curator", "staff")
    ines, boss = people("ines", "curator"), people("boss", "owner")
    id = sam.ask(PAID)
    assert "zorkmids" in sam.get(f"/interactions/{id}").text
    assert sue.get(f"/interactions/{id}").status_code == 200
    assert boss.get(f"/interactions/{id}").status_code == 200
    assert sue.say(kind="down", interaction=id)["imported"] == 1
    assert ines.get(f"/interactions/{id}").status_code == 404
    assert ines.post("/feedback", {"kind": "up", "interaction": id}).status_code == 404


def test_another_key_of_the_same_user_that_reads_less_shows_less(people: People) -> None:
    wide, narrow = people("sam", "asker", "staff"), people("sam", "curator")
    id = wide.ask(PAID)
    assert narrow.get(f"/interactions/{id}").status_code == 404
    assert people(COMMAND_LINE).get(f"/interactions/{id}").status_code == 404


def test_answer_of_a_correction_is_for_those_who_may_read_it(people: People) -> None:
    sam, sue = people("sam", "asker", "staff"), people("sue", "curator", "staff")
    sue.say(kind="edit", question="Who mends the lift?", answer="The zorkmid brothers.")
    id = sam.ask("Who mends the lift?")
    assert "zorkmid brothers" in sam.get(f"/interactions/{id}").text
    assert people("ines", "curator").get(f"/interactions/{id}").status_code == 404
    assert people("sam").get(f"/interactions/{id}").status_code == 404


def test_question_that_found_nothing_is_for_its_user_and_who_reads_all(
    people: People,
) -> None:
    id = people("sam", "asker", "staff").ask("xyzzy plugh?")
    assert people("sam").get(f"/interactions/{id}").status_code == 200
    assert people("ines", "curator").get(f"/interactions/{id}").status_code == 404
    assert people("boss", "owner").get(f"/interactions/{id}").status_code == 200


def test_what_was_closed_or_deleted_since_is_not_shown_any_more(people: People, root: Path) -> None:
    from flywheel.wheel.ingest import add

    ann, boss = people("ann"), people("boss", "owner")
    id = ann.ask(QUESTION)
    [candidate] = ann.get(f"/interactions/{id}").json()["candidates"]
    passage = candidate["passages"][0]["id"]
    assert ann.get(f"/passages/{passage}").status_code == 200
    documents = root.parent / "documents"
    add(people.workspace, [str(documents)], access=["board"])
    for path in (f"/interactions/{id}", f"/passages/{passage}"):
        assert ann.get(path).status_code == 404
        assert boss.get(path).status_code == 200
    (documents / "doors.md").unlink()
    add(people.workspace, [str(documents)])
    for path in (f"/interactions/{id}", f"/passages/{passage}"):
        assert boss.get(path).status_code == 404


def test_passage_is_shown_to_those_who_may_read_it(people: People) -> None:
    sam, ann = people("sam", "asker", "staff"), people("ann")
    id = sam.ask(PAID)
    [candidate] = sam.get(f"/interactions/{id}").json()["candidates"]
    passage = next(each for each in candidate["passages"] if "zorkmids" in each["text"])
    shown = sam.get(f"/passages/{passage['id']}").json()
    assert shown == passage
    assert (shown["object"], shown["title"]) == ("passage", "Pay")
    hidden, none = ann.get(f"/passages/{passage['id']}"), ann.get("/passages/none")
    assert (hidden.status_code, hidden.json()) == (404, none.json())


def test_curator_decides_only_on_what_he_may_read(people: People, workspace: Workspace) -> None:
    sam, ines = people("sam", "asker", "staff"), people("ines", "curator")
    sue = people("sue", "curator", "staff")
    sam.say(kind="edit", question=PAID, answer="900 zorkmids.", evidence=[PAY], id="s")
    assert ines.get("/corrections").json()["data"] == []
    [waits] = sue.get("/corrections").json()["data"]
    assert (waits["id"], waits["access"]) == ("s", ["staff"])
    for act in ("confirm", "withdraw"):
        hidden, none = (ines.post(f"/corrections/{id}/{act}") for id in ("s", "none"))
        assert (hidden.status_code, hidden.json()) == (404, none.json())
    with workspace.database.read() as conn:
        entry = corrections.get(conn, "s")
    assert entry and not entry.correction.verified and not entry.withdrawn
    assert sue.post("/corrections/s/confirm").status_code == 200


def test_no_id_of_any_shape_is_a_defect(people: People) -> None:
    ines = people("ines", "curator")
    for id in ODD_IDS:
        for path in (f"/interactions/{id}", f"/passages/{id}"):
            assert ines.get(path).status_code in (400, 404), path
        for act in ("confirm", "withdraw"):
            assert ines.post(f"/corrections/{id}/{act}").status_code in (400, 404), id
        reply = ines.post("/feedback", {"kind": "up", "interaction": id, "answer": "x"})
        assert reply.status_code in (400, 404), id
        if len(id) <= 200:
            assert ines.say(kind="up", id=id, question=QUESTION, answer=LOCK)["imported"] == 1


@pytest.mark.parametrize("id", ["\x00", "\ud800", "a\x00b", "\U0010ffff", "\n' \" \\"])
def test_ids_that_no_database_takes_are_not_there(workspace: Workspace, id: str) -> None:
    from flywheel.wheel import sight
    from flywheel.wheel.keys import Caller

    who = Caller(key="", name="ines", role="owner", access=None)
    assert sight.interaction(workspace, id, who) is None
    assert sight.passage(workspace, id, None) is None


def test_long_question_is_corrected_in_both_databases(people: People, workspace: Workspace) -> None:
    """PostgreSQL's indexes hold no rows of more than 2,704 bytes."""
    question = "".join(chr(0x4E00 + 37 * n % 20_000) for n in range(2_000)) + "在哪里？"
    people("ines", "curator").say(kind="edit", question=question, answer="在这里。", id="a")
    assert served(workspace, question, people("ann")) == "在这里。"
    with workspace.database.read() as conn:
        entry = corrections.get(conn, "a")
    assert entry and len(entry.key.encode()) <= 2_000

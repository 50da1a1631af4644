"""The index: English and Chinese find their passages, and a reader only what is theirs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest

from flywheel.records import PUBLIC, Language, Passage
from flywheel.search.index import BATCH, PassageIndex, Reader, build_index, searched_text
from flywheel.search.rank import rank
from flywheel.search.terms import term_ids

MakeIndex = Callable[[Sequence[Passage]], PassageIndex]

ODD = "o'dd\"; DROP TABLE passages; -- \\ \n % 锁 \U0001f512"


def passage(
    id: str,
    text: str,
    *,
    document: str = "manual",
    title: str = "Manual",
    headings: tuple[str, ...] = (),
    language: Language = "en",
    access: tuple[str, ...] = (PUBLIC,),
) -> Passage:
    return Passage(
        id=id,
        document=document,
        title=title,
        headings=headings,
        text=text,
        language=language,
        position=0,
        path="chapter.md",
        access=access,
    )


BILINGUAL = [
    passage("lock", "Slide the small lever on the edge of the rear door to lock it for children."),
    passage("tyres", "Inflate cold tyres to 2.5 bar.", headings=("Tyres", "Pressure")),
    passage("wiper", "Lift the wiper arms before you change their blades."),
    passage("锁", "拨动后门边缘的拨杆，即可启用儿童安全锁。", title="手册", language="zh-hans"),
    passage(
        "胎压", "轮胎冷态时充气至2.5巴。", title="手册", headings=("胎压",), language="zh-hans"
    ),
    passage("雨刷", "更換雨刷片之前，先將雨刷臂豎起。", title="手冊", language="zh-hant"),
]


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> PassageIndex:
    folder = tmp_path_factory.mktemp("bilingual")
    build_index(folder, BILINGUAL)
    return PassageIndex(folder)


def found(index: PassageIndex, question: str, reader: Reader | None = None) -> list[str]:
    """The ids of what a question finds, best first."""
    hits = index.search(question, reader or Reader())
    return [hit.passage.id for hit in rank(question, hits, index.frequencies)]


@pytest.mark.parametrize(
    ("question", "id"),
    [
        ("How do I lock the rear door?", "lock"),
        ("tyre pressure", "tyres"),
        ("changing a WIPER BLADE", "wiper"),
        ("儿童安全锁在哪里？", "锁"),
        ("胎压应该是多少", "胎压"),
        ("ｔｙｒｅ", "tyres"),
    ],
)
def test_a_question_finds_its_passage(bilingual: PassageIndex, question: str, id: str) -> None:
    assert found(bilingual, question)[0] == id


@pytest.mark.parametrize("question", ["locking", "locks", "LOCKED", "levers"])
def test_forms_of_a_word_find_each_other(bilingual: PassageIndex, question: str) -> None:
    assert found(bilingual, question)[0] == "lock"


@pytest.mark.parametrize(("question", "id"), [("兒童安全鎖", "锁"), ("更换雨刷片", "雨刷")])
def test_traditional_and_simplified_find_each_other(
    bilingual: PassageIndex, question: str, id: str
) -> None:
    assert found(bilingual, question)[0] == id


def test_what_is_found_is_the_text_as_it_was_put_in(bilingual: PassageIndex) -> None:
    hits = bilingual.search("雨刷臂 wiper", Reader())
    assert {hit.passage for hit in hits} <= set(BILINGUAL)
    assert next(hit for hit in hits if hit.passage.id == "雨刷").passage.text == BILINGUAL[-1].text


def test_title_and_headings_are_searched(make_index: MakeIndex) -> None:
    index = make_index(
        [
            passage("a", "See below.", title="Gearbox", headings=("Oil", "Filter")),
            passage("b", "Nothing here."),
        ]
    )
    assert all(found(index, word) == ["a"] for word in ("gearbox", "oil", "filter"))


def test_score_is_the_sum_of_its_fields(bilingual: PassageIndex) -> None:
    hits = bilingual.search("儿童安全锁", Reader())
    assert hits
    assert all(hit.score == sum(hit.features.values()) > 0 for hit in hits)
    assert {name for hit in hits for name in hit.features} == {"words", "characters"}


@pytest.mark.parametrize(
    "question",
    [
        "",
        "  \n\t ",
        "the of and",
        "？！",
        "\x00",
        "\ud800",
        "\U0001f512",
        "quantum chromodynamics",
        "잠금 장치",
        "' OR 1=1 --",
        '"',
        "( AND OR NOT +-*:^~",
    ],
)
def test_a_question_without_a_searchable_word_finds_nothing(
    bilingual: PassageIndex, question: str
) -> None:
    assert found(bilingual, question) == []


@pytest.mark.parametrize(
    ("question", "id"),
    [
        ("lock\x00 \ud800", "lock"),
        ("儿童锁\udfff", "锁"),
        ('+lock -door "lever', "lock"),
        ("body:lock^9", "lock"),
    ],
)
def test_odd_characters_do_not_hide_the_words_beside_them(
    bilingual: PassageIndex, question: str, id: str
) -> None:
    assert found(bilingual, question)[0] == id


@pytest.mark.parametrize(("word", "id"), [("lock ", "lock"), ("儿童锁的", "锁"), ("zqx ", "")])
def test_a_question_of_ten_thousand_characters_is_searched(
    bilingual: PassageIndex, word: str, id: str
) -> None:
    question = (word * 10_000)[:10_000]
    assert found(bilingual, question)[:1] == ([id] if id else [])


def test_threads_that_search_at_once_find_what_one_finds(tmp_path: Path) -> None:
    build_index(tmp_path, BILINGUAL)
    index = PassageIndex(tmp_path)
    asked = ["儿童安全锁", "child lock", "tyre pressure", "雨刷"] * 15

    def found(question: str) -> list[str]:
        return [hit.passage.id for hit in index.search(question, Reader())]

    alone = [found(question) for question in asked]
    with ThreadPoolExecutor(max_workers=8) as threads:
        assert list(threads.map(found, asked)) == alone


def test_limit_is_for_each_field(make_index: MakeIndex) -> None:
    index = make_index([passage(f"{i:02}", f"制动踏板 brake {i}") for i in range(30)])
    assert len(index.search("brake", Reader(), limit=7)) == 7
    assert 7 <= len(index.search("brake 制动", Reader(), limit=7)) <= 14


def test_unreadable_passages_take_no_place(make_index: MakeIndex) -> None:
    secrets = [
        passage(f"s{i}", "lock lock lock lock", headings=("lock",), access=("board",))
        for i in range(50)
    ]
    index = make_index([*secrets, passage("p", "A door that one may, in some cases, lock.")])
    assert [hit.passage.id for hit in index.search("lock", Reader(), limit=3)] == ["p"]
    board = index.search("lock", Reader(access=("board",)), limit=3)
    assert {hit.passage.access for hit in board} == {("board",)}
    assert len(board) == 3


def test_any_shared_label_lets_read(make_index: MakeIndex) -> None:
    index = make_index(
        [
            passage("a", "lock", access=("sales", "service")),
            passage("b", "lock", access=("board",)),
            passage("c", "lock"),
            passage("nobody", "lock", access=()),
        ]
    )
    assert found(index, "lock", Reader(access=(PUBLIC, "service"))) == ["a", "c"]
    assert found(index, "lock", Reader(access=("board", "sales"))) == ["a", "b"]
    assert found(index, "lock", Reader(access=())) == []
    assert found(index, "lock", Reader(access=("serv", "Service", "%", ""))) == []


def test_hidden_documents_do_not_show(make_index: MakeIndex) -> None:
    index = make_index([passage(f"{i}", "lock", document=f"d{i}") for i in range(4)])
    assert found(index, "lock", Reader(hidden=("d0", "d2", "gone"))) == ["1", "3"]


def test_thousands_of_documents_can_be_hidden(make_index: MakeIndex) -> None:
    index = make_index([passage(f"{i}", "lock", document=f"d{i}") for i in range(4)])
    hidden = tuple(f"d{i}" for i in range(1, 5_000))
    assert found(index, "lock", Reader(hidden=hidden)) == ["0"]


def test_widened_documents_show_whatever_their_old_label(make_index: MakeIndex) -> None:
    index = make_index(
        [
            passage("a", "lock", document="a", access=("board",)),
            passage("b", "lock", document="b", access=("board",)),
            passage("c", "lock", document="c"),
        ]
    )
    assert found(index, "lock", Reader(widened=("a",))) == ["a", "c"]
    assert found(index, "lock", Reader(access=("x",), widened=("a", "b"), hidden=("b",))) == ["a"]


@pytest.mark.parametrize("name", [ODD, "'", "''", "') OR 1=1 --", "\\'", "\x00", "", "標籤"])
def test_odd_names_are_names_not_sql(make_index: MakeIndex, name: str) -> None:
    index = make_index(
        [
            passage(f"odd {name}", "lock", document=name, access=(name,)),
            passage("other", "lock", document="other", access=("board",)),
        ]
    )
    odd = [f"odd {name}"]
    assert found(index, "lock", Reader(access=(name,))) == odd
    assert found(index, "lock", Reader(access=("x",), widened=(name,))) == odd
    assert found(index, "lock", Reader(access=(name, "board"), hidden=(name,))) == ["other"]
    assert index.labels() == {name, "board"}


def test_what_one_reader_was_shown_is_not_shown_to_another(make_index: MakeIndex) -> None:
    board = passage("b", "The lock of the safe. 保险柜的锁。", access=("board",))
    index = make_index([passage("a", "The lock of the door. 门锁。"), board])
    both = Reader(access=(PUBLIC, "board"))
    for question in ("lock", "锁"):
        for _ in range(2):
            assert set(found(index, question, both)) == {"a", "b"}
            assert found(index, question) == ["a"]


@pytest.mark.parametrize("question", ["lock", "rear door 锁", "儿童安全锁"])
def test_a_filter_that_lets_everything_through_changes_nothing(
    bilingual: PassageIndex, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    unfiltered = bilingual.search(question, Reader())
    monkeypatch.setattr(bilingual, "_held", Mock(is_open_to=lambda reader: False))
    assert unfiltered == bilingual.search(question, Reader()) != []


def test_hybrid_hits_keep_to_what_may_be_read(tmp_path: Path) -> None:
    secrets = [passage(f"s{i}", "rear door lever", access=("board",)) for i in range(30)]
    embedder = HashingEmbedder()
    build_index(tmp_path, [*secrets, *BILINGUAL], embedder)
    index = PassageIndex(tmp_path, embedder)
    hits = index.search("rear door lever", Reader(hidden=("other",)), limit=3)
    assert hits
    assert all(hit.passage.access == (PUBLIC,) for hit in hits)


def test_reopened_and_rebuilt_give_the_same_hits(tmp_path: Path) -> None:
    passages = [passage(f"{i:04}", f"brake 制动 {i % 5}") for i in range(500)]
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        build_index(folder, passages)
    indexes = [PassageIndex(folder) for folder in (*folders, *folders)]
    answers = [index.search("制动 brake 3", Reader(), limit=20) for index in indexes]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0] == indexes[0].search("制动 brake 3", Reader(), limit=20)


def test_passages_come_back_whole_and_in_order(make_index: MakeIndex) -> None:
    passages = [
        *BILINGUAL,
        passage("odd", ODD, title=ODD, document=ODD, headings=(ODD, "", "深"), access=(ODD, "b")),
        passage("empty", "", title="", headings=(), access=()),
        *(passage(f"{i}", f"text {i}") for i in range(2 * BATCH)),
    ]
    assert list(make_index(passages).passages()) == passages


def test_passages_are_streamed_in(tmp_path: Path) -> None:
    frequencies = build_index(tmp_path, (passage(f"{i}", f"lock {i}") for i in range(BATCH + 1)))
    assert frequencies.num_passages == BATCH + 1
    assert len(list(PassageIndex(tmp_path).passages())) == BATCH + 1


def test_labels_are_those_of_the_passages(make_index: MakeIndex) -> None:
    index = make_index(
        [passage("a", "x", access=("b", "c")), passage("b", "x"), passage("c", "x", access=())]
    )
    assert index.labels() == {"b", "c", PUBLIC}


def test_terms_are_counted_over_all_that_is_searched(bilingual: PassageIndex) -> None:
    frequencies = bilingual.frequencies
    assert frequencies.num_passages == len(BILINGUAL)
    for each in BILINGUAL:
        assert frequencies.known(term_ids(searched_text(each))).all()
    assert not frequencies.known(term_ids("gearbox")).any()


class HashingEmbedder:
    """Counts words into 64 places and keeps what it was asked: meaning as equal words."""

    dimensions = 64

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def embed(
        self, texts: Sequence[str], kind: Literal["passage", "question"]
    ) -> npt.NDArray[np.float32]:
        self.seen += [(kind, text) for text in texts]
        vectors = np.full((len(texts), self.dimensions), 1e-3, dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            np.add.at(vector, term_ids(text) % self.dimensions, 1.0)
        normalised: npt.NDArray[np.float32] = vectors / np.linalg.norm(
            vectors, axis=1, keepdims=True
        )
        return normalised


def test_an_embedding_model_adds_hits_by_meaning(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    build_index(tmp_path, BILINGUAL, embedder)
    hits = PassageIndex(tmp_path, embedder).search("rear door lever", Reader(), limit=4)
    by_id = {hit.passage.id: hit.features for hit in hits}
    assert by_id["lock"].keys() == {"words", "similarity"}
    assert len([features for features in by_id.values() if "similarity" in features]) == 4
    assert by_id["lock"]["similarity"] == max(f.get("similarity", 0) for f in by_id.values())


def test_similarity_is_the_cosine_of_the_vectors(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    build_index(tmp_path, BILINGUAL, embedder)
    hits = PassageIndex(tmp_path, embedder).search("rear door lever", Reader())
    question = embedder.embed(["rear door lever"], "question")[0]
    for hit in hits:
        vector = embedder.embed([searched_text(hit.passage)], "passage")[0]
        assert hit.features["similarity"] == pytest.approx(float(vector @ question), abs=1e-5)


def test_question_and_passage_are_embedded_in_one_form(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    build_index(tmp_path, [passage("a", "兒童鎖 LOCK", title="")], embedder)
    PassageIndex(tmp_path, embedder).search("兒童鎖 LOCK\ud800", Reader())
    (_, indexed), (_, asked) = embedder.seen
    assert indexed.split() == asked.split() == ["儿童锁", "lock"]
    assert [kind for kind, _ in embedder.seen] == ["passage", "question"]


def test_an_index_without_vectors_needs_no_model(tmp_path: Path) -> None:
    build_index(tmp_path, BILINGUAL)
    embedder = HashingEmbedder()
    hits = PassageIndex(tmp_path, embedder).search("lock", Reader())
    assert [hit.passage.id for hit in hits] == ["lock"]
    assert embedder.seen == []


def test_an_index_with_vectors_serves_without_the_model(tmp_path: Path) -> None:
    build_index(tmp_path, BILINGUAL, HashingEmbedder())
    assert found(PassageIndex(tmp_path), "lock") == ["lock"]


def test_an_index_that_nobody_holds_is_gone_with_its_texts(make_index: MakeIndex) -> None:
    index = make_index(
        [passage("a", "Slide the lever."), passage("b", "轮胎气压", language="zh-hans")]
    )
    assert found(index, "lever", Reader()) == ["a"]
    assert found(index, "轮胎", Reader(access=("nobody",))) == []
    is_there = weakref.ref(index)
    gc.disable()  # a server's collector leaves out what was there when it began
    try:
        del index
        assert is_there() is None
    finally:
        gc.enable()

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.collect.dedupe import Fingerprint, Verdict, fingerprint, resolve, similarity
from flywheel.records import PUBLIC, Document

DAY = 86_400.0
WORDS = ["".join(random.Random(n).choices("aeioubdfgklmnprst", k=5)) for n in range(500)]


def prose(seed: int, num_sentences: int = 60) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=9)) + "." for _ in range(num_sentences)]


def altered(sentences: Sequence[str], share: float, seed: int = 99) -> list[str]:
    """The same sentences but for the given share, evenly spread."""
    others = prose(seed, len(sentences))
    step = 1 / share
    changed = {int(place * step) for place in range(int(len(sentences) * share))}
    return [others[at] if at in changed else one for at, one in enumerate(sentences)]


def document(
    path: str,
    text: str | Sequence[str],
    *,
    title: str = "Cooling",
    modified: float = 0.0,
    access: tuple[str, ...] = (PUBLIC,),
    date: str = "",
) -> Document:
    return Document(
        id=f"id:{path}",
        source="/docs",
        path=path,
        title=title,
        text=text if isinstance(text, str) else "\n\n".join(text),
        language="en",
        modified=modified,
        access=access,
        date=date,
    )


def verdicts(*documents: Document) -> dict[str, Verdict]:
    found = resolve(map(fingerprint, documents))
    return {key.removeprefix("id:"): verdict for key, verdict in found.items()}


def fates(*documents: Document) -> dict[str, str]:
    return {path: verdict.fate for path, verdict in verdicts(*documents).items()}


BASE = prose(1)


def test_of_equal_texts_the_first_by_path_is_kept() -> None:
    found = verdicts(
        document("b.md", BASE, title="Heating"),
        document("a.md", " ".join(BASE).upper().replace(".", " !")),
    )
    assert found["a.md"] == Verdict(fate="kept")
    assert found["b.md"] == Verdict(fate="duplicate", reason="same text as a.md", other="id:a.md")


def test_texts_that_differ_in_a_decimal_point_are_not_equal() -> None:
    one = document("a.md", "Inflate to 2.0 bar.", title="A")
    two = document("b.md", "Inflate to 20 bar.", title="B")
    assert fates(one, two) == {"a.md": "kept", "b.md": "kept"}


def test_near_duplicates_of_one_title_leave_one() -> None:
    found = verdicts(document("a.md", BASE), document("b.md", altered(BASE, 0.02)))
    assert found["b.md"].fate == "duplicate"
    assert found["b.md"].reason == "nearly the same text as a.md"


def test_near_duplicate_named_a_copy_gives_way_though_it_is_first_by_path_and_newer() -> None:
    copy = document("care-copy.md", altered(BASE, 0.02), modified=9 * DAY)
    assert fates(copy, document("care.md", BASE)) == {
        "care-copy.md": "duplicate",
        "care.md": "kept",
    }


def test_different_titles_are_never_merged_unless_the_texts_are_equal() -> None:
    one = document("a.md", BASE, title="刑法修正案（三）")
    two = document("b.md", altered(BASE, 0.02), title="刑法修正案（十）")
    assert set(fates(one, two).values()) == {"kept"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("law(2020-10-17).md", "law(2024-04-26).md"),
        ("law-2023.md", "law-2025.md"),
        ("2023/law.md", "2025/law.md"),
        ("law_v2.md", "law_v10.md"),
    ],
)
def test_newest_edition_by_file_name_wins(old: str, new: str) -> None:
    text = altered(BASE, 0.4)
    found = verdicts(document(old, BASE, modified=9 * DAY), document(new, text))
    assert found[new].fate == "kept"
    assert found[old] == Verdict(
        fate="superseded", reason=f"newer edition: {new}", other=f"id:{new}"
    )


def test_date_in_the_title_counts_before_the_file_name_and_the_text() -> None:
    older = document("a-2030.md", BASE, title="Cooling (March 2023)")
    newer = document("b-2020.md", altered(BASE, 0.4), title="Cooling, edition September 2025")
    assert fates(older, newer)["a-2030.md"] == "superseded"


def test_date_in_the_text_counts_where_no_name_has_one() -> None:
    older = document("x.md", ["Revised: 2023-02", *BASE], modified=9 * DAY)
    newer = document("y.md", ["Revised: 2024-11", *altered(BASE, 0.4)])
    assert fates(older, newer) == {"x.md": "superseded", "y.md": "kept"}


def test_modification_time_decides_between_undated_editions_of_one_folder() -> None:
    older = document("a.md", BASE, modified=1 * DAY)
    newer = document("b.md", altered(BASE, 0.25), modified=2 * DAY)
    assert fates(older, newer) == {"a.md": "superseded", "b.md": "kept"}


def test_equal_titles_with_nothing_in_common_are_no_editions() -> None:
    one = document("a/README.md", BASE, title="README", modified=1 * DAY)
    two = document("b/README.md", prose(2), title="README", modified=2 * DAY)
    assert set(fates(one, two).values()) == {"kept"}


def test_undated_chapters_alike_in_two_folders_are_both_kept() -> None:
    one = document("model-e/installation.md", BASE, title="Installation", modified=1 * DAY)
    two = document("model-x/installation.md", altered(BASE, 0.2), title="Installation")
    assert set(fates(one, two).values()) == {"kept"}


def test_parts_of_one_work_that_share_its_title_are_kept() -> None:
    parts = [document(f"{n}.md", prose(n), title="Civil Code", date=f"202{n}") for n in range(4)]
    assert set(fates(*parts).values()) == {"kept"}


def test_rewritten_statute_replaces_the_one_before_it() -> None:
    older = document("密码条例(1999-10-07).md", "第一条 " + "旧" * 50, title="密码条例")
    newer = document("密码条例(2023-04-27).md", "第一条 " + "新" * 50, title="密码条例")
    assert fates(older, newer)[older.path] == "superseded"


def test_items_of_a_series_stand_side_by_side() -> None:
    one = document("minutes-2024-05-06.md", BASE, title="Board minutes")
    two = document("minutes-2024-06-03.md", altered(BASE, 0.1), title="Board minutes")
    by_year = [
        document(f"{year}.md", altered(BASE, 0.3, seed=year), title=f"宪法修正案（{year}年）")
        for year in (1988, 1993)
    ]
    assert set(fates(one, two, *by_year).values()) == {"kept"}


def test_translations_with_one_title_are_both_kept() -> None:
    english = document("en/faq.md", BASE, title="FAQ (2024)")
    chinese = document("zh/faq.md", "如何更换滤芯？请先关闭水泵。" * 20, title="FAQ (2025)")
    assert set(fates(english, chinese).values()) == {"kept"}


def test_all_older_editions_point_to_the_one_that_is_kept() -> None:
    first, second = altered(BASE, 0.4, seed=5), altered(BASE, 0.4, seed=6)
    found = verdicts(
        document("law(2001).md", first),
        document("law(2010).md", second),
        document("law(2020).md", BASE),
    )
    assert {found[path].other for path in ("law(2001).md", "law(2010).md")} == {"id:law(2020).md"}


def test_a_copy_lends_its_date_to_the_text_that_is_kept() -> None:
    found = verdicts(
        document("a.md", BASE),
        document("b(2025).md", BASE),
        document("c(2020).md", altered(BASE, 0.4)),
    )
    assert found["c(2020).md"].other == "id:a.md"


def test_nothing_gives_way_to_what_its_readers_may_not_see() -> None:
    secret = document("a(2025).md", BASE, access=("board",))
    public = document("b(2020).md", BASE)
    assert set(fates(secret, public).values()) == {"kept"}


def test_very_short_and_empty_texts_have_fingerprints() -> None:
    assert similarity(fingerprint(document("a", "ok")), fingerprint(document("b", "OK!"))) == 1.0
    assert fates(document("a", ""), document("b", "字")) == {"a": "kept", "b": "kept"}


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_similarity_estimates_the_jaccard_index(share: float) -> None:
    one, two = prose(7, 300), altered(prose(7, 300), share)
    grams = [
        {form[at : at + 8] for at in range(len(form) - 7)}
        for form in ("".join(text).replace(" ", "").replace(".", "") for text in (one, two))
    ]
    exact = len(grams[0] & grams[1]) / len(grams[0] | grams[1])
    estimate = similarity(fingerprint(document("a", one)), fingerprint(document("b", two)))
    assert estimate == pytest.approx(exact, abs=0.08)


def test_a_title_that_thousands_share_is_still_searched_for_near_duplicates() -> None:
    many = [fingerprint(document(f"{n}.md", prose(n, 8), title="Untitled")) for n in range(40)]
    many = [
        replace(
            each, document=f"{each.document}/{n}", path=f"{n}/{each.path}", text_hash=f"{n}-{at}"
        )
        for n in range(51)
        for at, each in enumerate(many)
    ]
    assert sum(verdict.fate == "kept" for verdict in resolve(many).values()) == 40


PRINTS = [
    fingerprint(document(f"{folder}/doc{name}.md", text, title=title, modified=modified))
    for folder in ("a", "b")
    for name in ("", "(2020)", "-2024-05")
    for text in (BASE, altered(BASE, 0.03), altered(BASE, 0.5), prose(3))
    for title in ("Law", "Minutes (2021)")
    for modified in (0.0, 5 * DAY)
]


@given(st.lists(st.sampled_from(range(len(PRINTS))), unique=True, max_size=12), st.randoms())
def test_verdicts_do_not_depend_on_the_order(places: list[int], chance: random.Random) -> None:
    chosen = [replace(PRINTS[place], document=f"id{place}") for place in places]
    shuffled = chosen[:]
    chance.shuffle(shuffled)
    assert resolve(chosen) == resolve(shuffled)


@given(st.lists(st.sampled_from(range(len(PRINTS))), unique=True, max_size=12))
def test_whatever_gives_way_gives_way_to_a_document_that_is_kept_or_its_equal(
    places: list[int],
) -> None:
    chosen = {f"id{place}": replace(PRINTS[place], document=f"id{place}") for place in places}
    found = resolve(chosen.values())
    assert found.keys() == chosen.keys()
    for document_id, verdict in found.items():
        if verdict.fate == "kept":
            assert verdict == Verdict(fate="kept")
        else:
            assert last_in_line(found, document_id) != document_id
            assert chosen[verdict.other].access == chosen[document_id].access


def last_in_line(found: dict[str, Verdict], document_id: str) -> str:
    while found[document_id].other:
        document_id = found[document_id].other
    return document_id


LAWS = Path(__file__).parents[3] / "shared/data/legal-zh/laws"


@pytest.mark.skipif(not LAWS.exists(), reason="the real statutes are not beside this checkout")
def test_no_two_real_statutes_with_different_titles_are_merged() -> None:
    prints: list[Fingerprint] = []
    for file in sorted(LAWS.rglob("*.md")):
        text = file.read_text(encoding="utf-8")
        title = text.split("\n", 1)[0].lstrip("# ")
        prints.append(fingerprint(document(str(file.relative_to(LAWS)), text, title=title)))
    titles = {each.document: "".join(each.title.split()) for each in prints}
    for document_id, verdict in resolve(prints).items():
        assert not verdict.other or titles[document_id] == titles[verdict.other]

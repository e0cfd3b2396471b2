import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.recipe import UnionConfig
from hornbook.store import Artifact, StageContext, make
from hornbook.textbook import build, open_textbook, store
from hornbook.textbook.kinds import union

ROWS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, "a", "b"])), min_size=1, max_size=30)


def book_of(rows, out) -> Artifact:
    """A textbook of these texts and second texts, told apart by their unit ids."""
    columns = {"text": [text for text, _ in rows], "text_pair": [pair for _, pair in rows]}
    table = pa.table({**columns, "unit": list(range(len(rows)))})

    def fill(context: StageContext) -> None:
        context.counts["units"] = store.write(context.path, [store.table_of(table)], shard_units=7)
        context.info |= {"kind": "task", "task": None, "contamination": "kept"}

    return make(out, stage=store.STAGE, version=1, config={}, inputs={"rows": repr((out.name, rows))}, build=fill)


def rows_of(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches()).to_pylist()


def by_hand(books, seed):
    """Every first of equal texts, book by book, in a random order."""
    first = {}
    for book in books:
        for row in rows_of(book):
            first.setdefault((row["text"], row["text_pair"]), row)
    found = list(first.values())
    return [found[i] for i in np.random.default_rng(seed).permutation(len(found))]


@pytest.mark.parametrize("page", [3, 100_000])
@settings(max_examples=30)
@given(parts=st.lists(ROWS, min_size=2, max_size=3), seed=st.integers(0, 3))
def test_each_text_once_in_a_random_order(tmp_path_factory, page, parts, seed):
    folder = tmp_path_factory.mktemp("union")
    books = [book_of(rows, folder / str(number)) for number, rows in enumerate(parts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(union, "PAGE_UNITS", page)
        config = UnionConfig(books=("a", "b"), seed=seed)
        made = build(config, books=books, out=folder / "union")
    assert rows_of(made) == by_hand(books, seed)
    assert made.counts["duplicates"] == sum(map(len, parts)) - made.counts["units"]
    assert {path.suffix for path in made.path.iterdir()} == {".json", ".parquet"}


def test_the_seed_decides_and_pages_do_not(tmp_path, monkeypatch):
    books = [book_of([(f"{name} {i}", None) for i in range(40)], tmp_path / name) for name in "ab"]
    made = {}
    for name, page, seed in (("whole", 100, 0), ("pages", 7, 0), ("other", 100, 1)):
        monkeypatch.setattr(union, "PAGE_UNITS", page)
        made[name] = build(UnionConfig(books=("a", "b"), seed=seed), books=books, out=tmp_path / name)
    assert made["whole"].manifest == made["pages"].manifest
    assert rows_of(made["whole"]) != rows_of(made["other"])
    # Shuffled, not one after the other: of the first half some 20 are of each.
    assert 10 < sum(row["text"].startswith("a") for row in rows_of(made["whole"])[:40]) < 30


@pytest.mark.parametrize(
    ("tasks", "about"), [(("t", "t"), "t"), (("t", None), "t"), ((None, None), None), (("t", "u"), None)]
)
def test_a_union_is_about_the_one_task_of_its_textbooks(tmp_path, tasks, about):
    books = []
    for number, task in enumerate(tasks):
        book = book_of([("a", None)], tmp_path / str(number))
        books.append(Artifact(book.path, {**book.manifest, "info": {**book.info, "task": task}}))
    assert build(UnionConfig(books=("a", "b")), books=books, out=tmp_path / "union").info["task"] == about

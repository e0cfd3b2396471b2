"""What every kind of textbook shares: what it needs, its key, what is removed, and what is known of it."""

import math
from itertools import pairwise

import pyarrow as pa
import pytest

from hornbook.errors import HornbookError
from hornbook.recipe import (
    ContextualizedConfig,
    GeneralConfig,
    ImportanceConfig,
    TaskTextConfig,
    UnionConfig,
)
from hornbook.store import Store, load
from hornbook.textbook import anchors, build, open_textbook
from hornbook.textbook.build import _VERSION_WITHOUT_TASK
from hornbook.textbook.store import VERSION

UNITS = [
    "Sleet!",
    "a good film",
    "hail",
    "a bad film",
    "no film at all",
    "music",
    "a film with music",
    "rain",
    "snow",
]
TRAIN = ["film", "music", "sleet", "rain and snow"]
DEV = ["sleet", "hail"]
HELD_OUT = {"Sleet!", "sleet", "hail"}
CONFIGS = {
    "contextualized": ContextualizedConfig(k=9),
    "general": GeneralConfig(units=9),
    "importance": ImportanceConfig(units=9),
    "task": TaskTextConfig(),
    "union": UnionConfig(books=("one", "two")),
}
OF_CORPUS = {"contextualized", "general", "importance"}
OF_TASK = {"contextualized", "importance", "task"}


def texts(artifact):
    return {row["text"] for row in rows(artifact)}


def rows(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches()).to_pylist()


@pytest.fixture
def corpus(make_corpus):
    return make_corpus(UNITS)


@pytest.fixture
def task(make_labelled):
    labels = ["bad", "good"] * 2
    return make_labelled({"text": TRAIN, "label": labels}, {"text": DEV, "label": labels[:2]})


@pytest.fixture
def make(corpus, task, tmp_path):
    """Build a textbook of a kind from all that it could need; `changes` are settings, the rest replaces inputs."""
    keeping = {"contamination": "keep"}
    parts = [
        build(GeneralConfig(units=9, **keeping), corpus=corpus, out=tmp_path / "one"),
        build(GeneralConfig(units=5, seed=1, **keeping), corpus=corpus, out=tmp_path / "two"),
    ]

    def made(kind, changes=None, **given):
        config = CONFIGS[kind].model_copy(update=changes or {})
        books = parts if kind == "union" else []
        given = {"corpus": corpus, "task": task, "books": books, "out": Store(tmp_path / "store"), **given}
        return build(config, **given)

    return made


@pytest.mark.parametrize("kind", CONFIGS)
def test_dev_texts_are_removed_and_counted_unless_they_are_kept(make, task, kind):
    removed, kept = make(kind), make(kind, {"contamination": "keep"})
    lost = texts(kept) & HELD_OUT
    # No anchor draws "hail".
    assert lost == {"task": {"sleet"}, "contextualized": {"Sleet!"}}.get(kind, {"Sleet!", "hail"})
    assert texts(removed) == texts(kept) - HELD_OUT
    assert removed.counts["contaminated"] == len(lost)
    assert removed.counts["units"] == kept.counts["units"] - len(lost) == len(rows(removed))
    # What is not about the task is searched only to remove something.
    about = kind in OF_TASK
    assert kept.counts.get("contaminated") == (len(lost) if about else None)
    assert (removed.info["contamination"], kept.info["contamination"]) == (
        ("removed", "kept" if about else "not checked")
    )
    assert removed.key != kept.key
    assert removed.info["task"] == (task.key if kind in OF_TASK else None)
    if kind in OF_CORPUS:
        assert removed.info["share"] == removed.counts["units"] / len(UNITS)


@pytest.mark.parametrize("kind", ["general", "union"])
def test_without_a_task_nothing_is_checked(make, kind):
    unchecked, checked = make(kind, task=None), make(kind)
    assert unchecked.info["contamination"] == "not checked"
    assert "contaminated" not in unchecked.counts
    assert {"Sleet!", "hail"} <= texts(unchecked)
    assert unchecked.key != checked.key


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_key_changes_with_what_the_textbook_is_made_from(make, make_corpus, make_task, kind):
    own = make(kind).key
    other_corpus, other_task = make_corpus([*UNITS, "more rain"]), make_task([*TRAIN, "snow"])
    assert (make(kind, corpus=other_corpus).key != own) == (kind in OF_CORPUS)
    assert make(kind, task=other_task).key != own
    # What a kept textbook is about is the task only where it is made from it.
    keep = {"contamination": "keep"}
    assert (make(kind, keep, task=other_task).key != make(kind, keep).key) == (kind in OF_TASK)
    if kind not in OF_TASK:
        assert make(kind, keep, task=None).key == make(kind, keep).key
    if "seed" in type(CONFIGS[kind]).model_fields:
        assert make(kind, {"seed": 1}).key != own


def test_a_key_does_not_change_with_what_is_not_used(make):
    one = make("general")
    assert make("general", like=one).key == one.key
    assert make("general", {"units": None}, like=one).key != one.key
    assert make("task", corpus=None).key == make("task").key
    # The names of a union's textbooks are the recipe's; which they are says their keys.
    assert make("union", {"books": ("a", "b")}).key == make("union").key


def test_the_order_of_a_unions_textbooks_counts(make, tmp_path):
    parts = [load(tmp_path / "one"), load(tmp_path / "two")]
    assert make("union", books=parts).key != make("union", books=parts[::-1]).key


@pytest.mark.parametrize(
    ("kind", "missing", "message"),
    [
        ("contextualized", "corpus", "a contextualized textbook needs a corpus to take units from"),
        ("contextualized", "task", "a contextualized textbook needs a task"),
        ("general", "corpus", "a general textbook needs a corpus"),
        ("importance", "corpus", "an importance textbook needs a corpus"),
        ("importance", "task", "an importance textbook needs a task"),
        ("task", "task", "a task textbook needs a task"),
        ("union", "books", "a union textbook needs two or more textbooks"),
    ],
)
def test_what_a_kind_needs(make, tmp_path, kind, missing, message):
    with pytest.raises(HornbookError, match=message):
        make(kind, **{missing: [] if missing == "books" else None})
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("kind", ["general", "task"])
def test_a_textbook_of_nothing_but_dev_texts_is_refused(make, make_corpus, make_task, kind):
    with pytest.raises(HornbookError, match="all 2 units contain dev or test texts of the task; set contamination"):
        make(
            kind,
            {"units": 2} if kind == "general" else {},
            corpus=make_corpus(["yes", "No"]),
            task=make_task(["yes", "no"]),
        )


def test_where_its_corpus_and_task_lie_is_known_but_no_part_of_it(make, corpus, task, tmp_path):
    places = {"corpus": str(corpus.path), "task": str(task.path)}
    assert make("contextualized").measured["made_from"] == places
    assert make("contextualized", {"proportion": 0.5}).measured["made_from"] == places
    assert make("general", {"contamination": "keep"}).measured["made_from"] == {"corpus": places["corpus"]}
    assert make("task").measured["made_from"] == {"task": places["task"]}
    assert "made_from" not in make("general").manifest


def top_by_hand(whole, proportion):
    """The best of a textbook, by a plain sort; in the order in which they stand."""
    ordered = sorted(whole, key=lambda row: (row["rank"], -row["score"], row["unit"]))
    units = {row["unit"] for row in ordered[: math.ceil(round(proportion * len(whole), 9))]}
    return [row for row in whole if row["unit"] in units]


@pytest.mark.parametrize("proportion", [0.07, 0.2, 0.4, 0.55, 0.99, 1e-9])
def test_the_top_of_a_textbook_is_that_of_a_plain_sort(make_corpus, make_task, tmp_path, proportion):
    # Many ties: of 100 units each ten have the same words.
    corpus = make_corpus([f"film {'music ' * (i % 10)}{i}" for i in range(100)], shard_units=30)
    given = {"corpus": corpus, "task": make_task(["film", "film music", "rain"]), "out": Store(tmp_path / "store")}
    whole = build(ContextualizedConfig(k=100), **given)
    part = build(ContextualizedConfig(k=100, proportion=proportion), **given)
    assert rows(part) == top_by_hand(rows(whole), proportion)
    assert part.counts == {
        "units": math.ceil(round(100 * proportion, 9)),
        "whole_units": 100,
        "k": 100,
        "corpus_units": 100,
    }
    assert part.info == {name: whole.info[name] for name in ("kind", "task", "contamination")} | {
        "share": part.counts["units"] / 100
    }


def test_a_smaller_part_is_in_a_larger_one_and_nothing_is_retrieved_again(make, tmp_path, monkeypatch):
    whole = make("contextualized")
    monkeypatch.setattr(anchors, "retrieve", None)
    parts = [make("contextualized", {"proportion": share}) for share in (0.2, 0.4, 0.8)]
    held = [texts(part) for part in (*parts, whole)]
    assert all(smaller < larger for smaller, larger in pairwise(held))
    assert len({part.key for part in (*parts, whole)}) == 4
    assert all(part.manifest["inputs"]["whole"] == whole.key for part in parts)


def test_the_whole_of_a_part_stands_beside_it(make, tmp_path):
    part = make("contextualized", {"proportion": 0.5}, out=tmp_path / "part")
    whole = load(tmp_path / "part-whole", "textbook")
    assert part.manifest["inputs"]["whole"] == whole.key == make("contextualized").key
    assert 2 * part.counts["units"] in (whole.counts["units"], whole.counts["units"] + 1)


def test_a_general_sample_by_bytes_is_the_shortest_that_reaches_them(make):
    book = make("general", {"units": None, "bytes": 30, "contamination": "keep"})
    sizes = [len(row["text"].encode()) for row in rows(book)]
    assert book.counts["bytes"] == sum(sizes)
    assert 30 <= sum(sizes) < 30 + max(sizes)
    more = make("general", {"units": None, "bytes": 50, "contamination": "keep"})
    assert texts(book) <= texts(more)
    everything = len("".join(UNITS))
    assert make("general", {"units": None, "bytes": everything, "contamination": "keep"}).counts["units"] == 9
    with pytest.raises(HornbookError, match=f"has {everything} bytes, too few for a sample of {everything + 1}"):
        make("general", {"units": None, "bytes": everything + 1, "contamination": "keep"})


def test_the_tasks_own_texts_with_the_names_of_their_classes(make, task):
    found = rows(make("task", {"contamination": "keep"}))
    assert [(row["text"], row["label"]) for row in found] == list(zip(TRAIN, ["bad", "good"] * 2, strict=True))
    others = ("text_pair", "source", "unit", "rank", "score", "anchors")
    assert all(row[name] is None for row in found for name in others)


def test_pairs_and_scores_stay_together(make, make_labelled):
    columns = {"text": ["a film", "a film", "rain"], "two": ["music", "music", "snow"], "label": [0.5, 0.5, 2.25]}
    task = make_labelled(columns, text_pair="two", kind="regression")
    found = rows(make("task", {"contamination": "keep"}, task=task))
    # As they stand in the file, repeated or not.
    assert [(row["text"], row["text_pair"], float(row["label"])) for row in found] == [
        ("a film", "music", 0.5),
        ("a film", "music", 0.5),
        ("rain", "snow", 2.25),
    ]


def test_several_labels_are_joined(make, make_labelled):
    columns = {"text": ["a", "b", "c"], "label": [["wet", "cold"], [], ["cold"]]}
    task = make_labelled(columns)
    found = rows(make("task", {"contamination": "keep"}, task=task))
    assert [row["label"] for row in found] == ["cold,wet", "", "cold"]


def test_a_pair_is_removed_for_either_of_its_texts(make, make_labelled):
    train = {"text": ["rain", "wind", "yes"], "two": ["snow", "no", "sun"], "label": ["a", "b", "a"]}
    dev = {"text": ["yes", "hail"], "two": ["no", "fog"], "label": ["a", "b"]}
    found = make("task", task=make_labelled(train, dev, text_pair="two"))
    assert [(row["text"], row["text_pair"]) for row in rows(found)] == [("rain", "snow")]
    assert found.counts["contaminated"] == 2


def test_importance_counts_both_texts_of_a_pair(make, make_labelled):
    train = {"text": ["film music", "film"], "two": ["rain snow", "snow"], "label": ["a", "b"]}
    pairs = make("importance", task=make_labelled(train, text_pair="two"))
    columns = {"text": [*train["text"], *train["two"]], "label": ["a", "b", "a", "b"]}
    singles = make("importance", task=make_labelled(columns))
    assert pairs.counts["task_texts"] == singles.counts["task_texts"] == 4
    # The texts of dev differ, so that other units are removed; none is here.
    assert {row["unit"]: row["score"] for row in rows(pairs)} == {row["unit"]: row["score"] for row in rows(singles)}


@pytest.mark.parametrize(
    "config", [ContextualizedConfig(k=2), ImportanceConfig(units=3)], ids=["contextualized", "importance"]
)
def test_how_a_text_is_written_does_not_change_what_it_draws(corpus, make_labelled, tmp_path, config):
    written = {
        "plain": ["a café film", "music", "a film", "rain & snow"],
        "hidden": ["a cafe\u0301<br />fi\xadlm", "mu\u200bsic", "a\xa0<b>film</b>", "rain &amp; sn\u2060ow"],
    }
    dev = {"text": ["sleet", "hail"], "label": ["bad", "good"]}
    drawn = []
    for name, train in written.items():
        task = make_labelled({"text": train, "label": ["bad", "good"] * 2}, dev=dev)
        drawn.append(rows(build(config, corpus=corpus, task=task, out=tmp_path / name)))
    assert drawn[0] == drawn[1]


def test_only_textbooks_that_know_a_task_have_a_new_version(corpus, task, tmp_path):
    config = GeneralConfig(units=3)
    without = build(config, corpus=corpus, out=tmp_path / "without")
    checked = build(config, corpus=corpus, task=task, out=tmp_path / "checked")
    versions = [one.manifest["stage_version"] for one in (without, checked)]
    assert versions == [_VERSION_WITHOUT_TASK, VERSION]
    assert versions[0] != versions[1]

"""Tasks whose rows have any number of labels, in the three ways they are stored."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook import tasks
from hornbook.errors import HornbookError
from hornbook.recipe import TaskConfig
from hornbook.tasks import open_task
from hornbook.tasks.kinds import KINDS

NAMES = ("blame", "film", "praise")
SETS = [[name for j, name in enumerate(NAMES) if i >> j & 1] for i in range(80)]


def opened(tmp_path, file, **settings):
    return open_task(tasks.prepare(TaskConfig(source=str(file), **settings), tmp_path / f"task-{file.name}"))


def lists(path, sets=SETS):
    path.write_text("\n".join(json.dumps({"text": f"t {i}", "label": s}) for i, s in enumerate(sets)), "utf-8")
    return path


def test_lists_separated_text_and_columns_are_one_task(tmp_path):
    as_lists = opened(tmp_path, lists(tmp_path / "a.jsonl"))
    pq.write_table(pa.table({"text": [f"t {i}" for i in range(80)], "label": SETS}), tmp_path / "p.parquet")
    as_parquet = opened(tmp_path, tmp_path / "p.parquet")
    rows = ["text,label", *(f"t {i}, {' | '.join(s)}" for i, s in enumerate(SETS))]
    (tmp_path / "b.csv").write_text("\n".join(rows) + "\n", "utf-8")
    as_text = opened(tmp_path, tmp_path / "b.csv", label_separator="|")
    rows = [
        f"text,{','.join(NAMES)}",
        *(f"t {i},{','.join(str(int(n in s)) for n in NAMES)}" for i, s in enumerate(SETS)),
    ]
    (tmp_path / "c.csv").write_text("\n".join(rows) + "\n", "utf-8")
    as_columns = opened(tmp_path, tmp_path / "c.csv", label=NAMES)
    for task in (as_lists, as_parquet, as_text, as_columns):
        assert (task.kind, task.labels, task.metric, task.majority_share) == ("multilabel", NAMES, "micro_f1", 0)
        for split in ("train", "dev", "test"):
            table, gold = task.split(split), task.gold(split)
            assert gold.dtype == np.float32
            assert table["label"].to_pylist() == gold.tolist()
            for text, row in zip(table["text"].to_pylist(), gold, strict=True):
                assert [name for name, given in zip(NAMES, row, strict=True) if given] == SETS[int(text.split()[1])]


def test_splits_hold_every_label_in_its_share(tmp_path):
    rare = [["rare"] if i % 20 == 0 else ["a"] if i % 2 else [] for i in range(400)]
    task = opened(tmp_path, lists(tmp_path / "rare.jsonl", rare))
    shares = {split: task.gold(split).mean(axis=0) for split in ("train", "dev", "test")}
    assert shares["dev"] == pytest.approx([0.5, 0.05])
    assert shares["test"] == pytest.approx([0.5, 0.05])


def test_names_give_the_order_and_numbers_count_into_them(tmp_path):
    numbered = [[["x", "y"].index(n) for n in s] for s in ([["y"], ["x"], ["x", "y"], []] * 10)]
    task = opened(tmp_path, lists(tmp_path / "n.jsonl", numbered), label_names=("x", "y"))
    assert task.labels == ("x", "y")
    assert task.gold("train").mean() == pytest.approx(0.5, abs=0.1)
    rows = [f"t {i}\t{','.join(map(str, s))}" for i, s in enumerate(numbered)]
    (tmp_path / "n.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n", "utf-8")
    as_text = opened(tmp_path, tmp_path / "n.tsv", label_names=("x", "y"), label_separator=",")
    assert as_text.split("train").equals(task.split("train"))


def test_numbers_without_names_are_sorted_by_size(tmp_path):
    assert opened(tmp_path, lists(tmp_path / "n.jsonl", [[2], [10], [1, 2], []] * 10)).labels == ("1", "2", "10")


def test_names_stated_for_the_elements_of_lists_are_used(tmp_path, monkeypatch):
    import datasets

    names = datasets.ClassLabel(names=["no", "yes"])
    features = {"text": datasets.Value("string"), "label": datasets.Sequence(names)}
    rows = {"text": [f"t {i}" for i in range(40)], "label": [[0], [1], [0, 1], []] * 10}
    stored = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    stored.to_parquet(str(tmp_path / "p.parquet"))
    assert opened(tmp_path, tmp_path / "p.parquet").labels == ("no", "yes")
    splits = datasets.DatasetDict({"train": stored, "validation": stored, "test": stored})
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_: type("Builder", (), {"hash": "0"})())
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: splits)
    task = open_task(tasks.prepare(TaskConfig(source="someone/something"), tmp_path / "hub"))
    assert (task.labels, task.splits) == (("no", "yes"), ("train", "dev", "test"))


def test_a_single_label_is_legal_where_some_rows_have_it_and_some_not(tmp_path):
    task = opened(tmp_path, lists(tmp_path / "one.jsonl", [["toxic"], [], []] * 20))
    assert (task.labels, task.gold("dev").shape) == (("toxic",), (6, 1))


def test_a_sample_that_takes_a_label_from_train_is_refused(tmp_path):
    source = lists(tmp_path / "sample.jsonl", [["usual"]] * 200 + [["rare"]] * 2)
    with pytest.raises(HornbookError, match="train_rows: 5 rows hold none of label 'rare'"):
        opened(tmp_path, source, dev=str(source), train_rows=5)


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=40))
def test_the_stratum_is_the_rarest_label_of_a_row(rows):
    frequency = [sum(row[j] for row in rows) for j in range(3)]
    expected = [min((frequency[j], j + 1) for j in range(3) if row[j])[1] if any(row) else 0 for row in rows]
    assert KINDS["multilabel"].strata(rows).tolist() == expected


@pytest.mark.parametrize(
    ("sets", "settings", "said"),
    [
        (
            [["a"], ["b"]] * 10 + [["c"]],
            {"label_names": ("a", "b")},
            "label 'c' .*is not among the named labels: a, b",
        ),
        ([["a", "b"]] * 20, {}, "all rows have the same labels; there is nothing to learn"),
        ([["a"], None] * 10, {}, r"row 2: nothing is there; a text without any label has the list \[\]"),
        ([["a"], [""]] * 10, {}, r"row 2: '' is not a label"),
        ([["a"], {"b": 1}] * 10, {}, r"row 2: \{'b': 1\} is not a list of labels"),
        ([[True, False], [False]] * 10, {}, "not all for the same number of labels"),
        ([[0, 1, 0], [1, 0]] * 10, {}, "row 1: a list with a number twice; .* or 0 or 1 for each label"),
        ([[0, 1, 0], [1, 0, 0]] * 10, {"label_names": ("a", "b")}, "0 or 1 for 3 labels, but label_names has 2"),
        ([["a", 1], ["b"]] * 10, {}, "labels of the types number, text"),
        ([["a"], [" a"], ["b"]] * 10, {}, "differ only in white space"),
        ([[0.1, 0.9], [0.8, 0.2]] * 10, {}, r"row 1: \[0.1, 0.9\] looks like probabilities; write 1 for each label"),
        ([[], []] * 10, {}, "all rows have the same labels; there is nothing to learn"),
        (["a|b", "b"] * 10, {"kind": "multilabel"}, "write it as .* in JSON, or set label_separator"),
        (
            [["a"], ["b"]] * 10,
            {"kind": "regression", "label_separator": "|"},
            "are of kind multilabel, not regression",
        ),
    ],
)
def test_bad_label_sets_are_refused_in_one_line(tmp_path, sets, settings, said):
    with pytest.raises(HornbookError, match=said):
        opened(tmp_path, lists(tmp_path / "bad.jsonl", sets), **settings)


def test_a_label_found_only_in_dev_is_refused(tmp_path):
    lists(tmp_path / "dev.jsonl", [["film"], ["new"]])
    with pytest.raises(
        HornbookError, match=r"dev\.jsonl: .*label 'new' \(row 2, 1 such rows\) does not occur in train"
    ):
        opened(
            tmp_path,
            lists(tmp_path / "train.jsonl"),
            dev=str(tmp_path / "dev.jsonl"),
            label_names=(*NAMES, "new"),
        )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label": ()}, "label names no column"),
        ({"label": ("a", "a")}, "label holds a name twice"),
        ({"label_names": ("a", "a")}, "label_names holds a name twice"),
        ({"label": ("a", "b"), "label_separator": ","}, "label_separator is for one column"),
    ],
)
def test_settings_that_name_no_labels_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        TaskConfig(source="a.csv", **settings)


def empty_cell(path):
    path.write_text("text,a,b\none,1,0\ntwo,0,\n", "utf-8")
    return path


def test_columns_hold_truth_values_only(tmp_path):
    (tmp_path / "c.csv").write_text("text,a,b\none,1,0\ntwo,0,maybe\n", "utf-8")
    with pytest.raises(HornbookError, match="column 'b', row 2: 'maybe' is neither 0 nor 1"):
        opened(tmp_path, tmp_path / "c.csv", label=("a", "b"))
    (tmp_path / "c.csv").write_text("text,a,b\none,1,0\ntwo,0,True\n", "utf-8")
    with pytest.raises(HornbookError, match="column 'b', row 2: '' is neither 0 nor 1"):
        opened(tmp_path, empty_cell(tmp_path / "e.csv"), label=("a", "b"))
    with pytest.raises(HornbookError, match="several columns of labels name them already"):
        opened(tmp_path, tmp_path / "c.csv", label=("a", "b"), label_names=("x", "y"))


VECTORS = [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]] * 10


@pytest.mark.parametrize("stored", [int, float, bool])
def test_vectors_of_0_and_1_are_read_in_every_type(tmp_path, stored):
    task = opened(tmp_path, lists(tmp_path / "v.jsonl", [list(map(stored, v)) for v in VECTORS]))
    assert task.labels == ("0", "1", "2", "3")
    named = tasks.check(TaskConfig(source=str(tmp_path / "v.jsonl"), label_names=("a", "b", "c", "d")))
    assert named.names == ("a", "b", "c", "d")
    assert named.values["train"] == VECTORS
    assert "set task.label_names to name them" not in str(named)


def test_two_labels_are_vectors_where_no_set_of_labels_could_differ(tmp_path):
    vectors = tasks.check(TaskConfig(source=str(lists(tmp_path / "v.jsonl", [[1, 0], [0, 1]] * 10))))
    assert vectors.values["train"][:2] == [[1, 0], [0, 1]]
    sets = tasks.check(TaskConfig(source=str(lists(tmp_path / "s.jsonl", [[1, 0], [1], [0]] * 10))))
    assert sets.values["train"][:3] == [[1, 1], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    "written",
    [
        ["['a', 'b']", "['b']", "[]"],
        ['["a", "b"]', '["b"]', "[]"],
        ["('a', 'b')", "('b',)", "()"],
        ["['a' 'b']", "['b']", "[]"],
        ["[1, 1]", "[0, 1]", "[0, 0]"],
        ["[1. 1.]", "[0. 1.]", "[0. 0.]"],
    ],
)
def test_lists_that_programs_wrote_into_a_csv(tmp_path, written):
    quoted = ['"' + label.replace('"', '""') + '"' for label in written]
    (tmp_path / "w.csv").write_text("text,label\n" + "".join(f"t {i},{quoted[i % 3]}\n" for i in range(30)), "utf-8")
    found = tasks.check(TaskConfig(source=str(tmp_path / "w.csv")))
    assert found.kind == "multilabel"
    assert found.values["train"][:3] == [[1, 1], [0, 1], [0, 0]]
    with pytest.raises(HornbookError, match=r"holds written lists .* set kind: multilabel and no label_separator"):
        tasks.check(TaskConfig(source=str(tmp_path / "w.csv"), label_separator=","))


def test_a_label_that_one_text_has_stays_in_train(tmp_path, caplog):
    alone = [[f"rare {i}"] for i in range(20)]  # each its own stratum: some of them would fall to dev
    task = opened(tmp_path, lists(tmp_path / "split.jsonl", [["usual"]] * 50 + alone))
    rare = [i for i, name in enumerate(task.labels) if name != "usual"]
    assert task.gold("train")[:, rare].sum() == 20
    assert len(task.split("dev")) > 0
    assert any("20 of 21 labels have one text each" in message for message in caplog.messages)


def test_the_names_of_labels_are_as_written_in_sets_too(tmp_path):
    file = lists(tmp_path / "c.jsonl", [["1.1", "1.10"], ["1.10"], ["0110", "110"]] * 10)
    assert opened(tmp_path, file).labels == ("0110", "1.1", "1.10", "110")
    numbers = lists(tmp_path / "n.jsonl", [[1.0, 2.0], [2.0], [10.0]] * 10)
    assert opened(tmp_path, numbers).labels == ("1", "2", "10")

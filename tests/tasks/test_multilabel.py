"""Tasks whose rows have any number of labels, in the three ways they are stored."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook import tasks
from hornbook.errors import HornbookError
from hornbook.recipe import TaskConfig
from hornbook.tasks import open_task

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


@pytest.mark.parametrize(
    ("sets", "settings", "said"),
    [
        (
            [["a"], ["b"]] * 10 + [["c"]],
            {"label_names": ("a", "b")},
            "label 'c' .*is not among the named labels: a, b",
        ),
        ([["a", "b"]] * 20, {}, "all rows have the same labels; there is nothing to learn"),
        ([["a"], None] * 10, {}, r"row 2: None is no list of labels"),
        ([["a"], [""]] * 10, {}, r"row 2: '' is no label"),
        (["a|b", "b"] * 10, {"kind": "multilabel"}, "labels in one text need label_separator"),
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


def test_columns_hold_truth_values_only(tmp_path):
    (tmp_path / "c.csv").write_text("text,a,b\none,1,0\ntwo,0,maybe\n", "utf-8")
    with pytest.raises(HornbookError, match="column 'b', row 2: 'maybe' is neither 0 nor 1"):
        opened(tmp_path, tmp_path / "c.csv", label=("a", "b"))
    (tmp_path / "c.csv").write_text("text,a,b\none,1,0\ntwo,0,True\n", "utf-8")
    with pytest.raises(HornbookError, match="several columns of labels name them already"):
        opened(tmp_path, tmp_path / "c.csv", label=("a", "b"), label_names=("x", "y"))

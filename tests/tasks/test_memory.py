"""Tasks from data in memory: equal data is one task, whatever library holds it."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import hornbook
from hornbook.errors import HornbookError
from hornbook.recipe import TaskConfig
from hornbook.tasks import open_task, prepare

TEXTS = [f"review number {i}" for i in range(40)]
STARS = [1 + i % 3 for i in range(40)]
COLUMNS = {"review": TEXTS, "stars": STARS, "unused": [None] * 40}
NAMES = {"text": "review", "label": "stars"}


def pandas_frame(columns):
    import pandas as pd

    return pd.DataFrame(columns)


def dataset(columns):
    import datasets

    return datasets.Dataset.from_dict(columns)


def records(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def arrays(columns):
    return {name: np.array(values) for name, values in columns.items()}


class Exported:
    """What any library of tables may give (the Arrow PyCapsule interface)."""

    def __init__(self, columns):
        self.table = pa.table(columns)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


WAYS = {
    "columns": dict,
    "records": records,
    "arrays": arrays,
    "pandas": pandas_frame,
    "arrow": pa.table,
    "batch": pa.RecordBatch.from_pydict,
    "large": lambda columns: pa.table(
        {
            "review": pa.array(columns["review"], pa.large_string()),
            **{name: columns[name] for name in columns if name != "review"},
        }
    ),
    "exported": Exported,
    "dataset": dataset,
}


def refused(data, *, out, **settings):
    with pytest.raises(HornbookError) as caught:
        prepare(data, out, **settings)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_equal_data_is_one_task(tmp_path, way):
    first = hornbook.prepare_task(COLUMNS, tmp_path / "task", **NAMES)
    again = hornbook.prepare_task(way(COLUMNS), tmp_path / "task", **NAMES)
    assert (first.reused, again.reused) == (False, True)
    task = open_task(again)
    assert (task.name, task.kind, task.labels, task.splits) == (
        "data",
        "classification",
        ("1", "2", "3"),
        ("train", "dev", "test"),
    )
    changed = {**COLUMNS, "stars": [*STARS[:-1], 9 - STARS[-1]]}
    with pytest.raises(HornbookError, match="other settings or inputs"):
        hornbook.prepare_task(way(changed), tmp_path / "task", **NAMES)


def test_data_is_split_as_a_file_is(tmp_path):
    (tmp_path / "a.csv").write_text(
        "review,stars\n" + "".join(f"{t},{s}\n" for t, s in zip(TEXTS, STARS, strict=True))
    )
    file = open_task(prepare(tmp_path / "a.csv", tmp_path / "file", **NAMES))
    memory = open_task(prepare(pandas_frame(COLUMNS), tmp_path / "memory", name="a", **NAMES))
    assert file.name == memory.name
    assert all(file.split(name).equals(memory.split(name)) for name in file.splits)
    assert file.artifact.manifest["config"] == memory.artifact.manifest["config"]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_splits_that_are_given(tmp_path, way):
    part = {name: values[:6] for name, values in COLUMNS.items()}
    one = prepare(way(COLUMNS), tmp_path / "task", dev=way(part), test=way(part), **NAMES)
    for names in (("train", "dev", "test"), ("train", "validation", "test")):
        splits = dict(zip(names, (COLUMNS, part, part), strict=True))
        again = prepare({name: way(split) for name, split in splits.items()}, tmp_path / "task", **NAMES)
        assert again.reused
    assert one.info["split"] == dict.fromkeys(("train", "dev", "test"), "given")
    assert len(open_task(one).split("dev")) == 6


def test_a_dataset_dict_keeps_the_names_of_its_classes(tmp_path):
    import datasets

    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    made = datasets.Dataset.from_dict({"text": TEXTS, "label": [0, 1] * 20}, features=features)
    given = datasets.DatasetDict(train=made.with_format("numpy"), validation=made, unsupervised=made)
    task = open_task(prepare(given, tmp_path / "task", name="films"))
    assert (task.name, task.labels, task.splits) == ("films", ("no", "yes"), ("train", "dev"))


def test_pairs_scores_and_sets_of_labels(tmp_path):
    pairs = open_task(prepare(dataset({**COLUMNS, "b": TEXTS[::-1]}), tmp_path / "pairs", text_pair="b", **NAMES))
    assert (pairs.pair, pairs.split("train")["text_pair"].null_count) == (True, 0)
    scores = open_task(prepare((TEXTS, np.linspace(0, 1, 40)), tmp_path / "scores"))
    assert (scores.kind, scores.metric) == ("regression", "spearman")
    whole = open_task(prepare((TEXTS, STARS), tmp_path / "whole", kind="regression"))
    assert whole.gold("train").dtype == "float64"
    sets = [["praise"], ["blame", "praise"], []] * 13 + [[]]
    one = prepare(pandas_frame({"text": TEXTS, "label": sets}), tmp_path / "sets")
    assert (open_task(one).kind, open_task(one).labels) == ("multilabel", ("blame", "praise"))
    for other in (map(tuple, sets), map(set, sets), map(np.array, sets)):
        assert prepare({"text": TEXTS, "label": list(other)}, tmp_path / "sets").reused
    columns = {"text": TEXTS, **{name: [int(name in row) for row in sets] for name in ("praise", "blame")}}
    several = open_task(prepare(pandas_frame(columns), tmp_path / "columns", label=["praise", "blame"]))
    assert (several.kind, several.labels) == ("multilabel", ("praise", "blame"))


def test_labels_are_read_as_they_are(tmp_path):
    codes = ["1.10", "1.1"] * 20
    for way in ("columns", "pandas", "arrow", "dataset"):
        task = open_task(prepare(WAYS[way]({"text": TEXTS, "label": codes}), tmp_path / "codes"))
        assert task.labels == ("1.1", "1.10")
    big = [2**62, 2**62 + 1] * 20
    found = open_task(prepare(pandas_frame({"text": TEXTS, "label": big}), tmp_path / "big")).labels
    assert found == (str(2**62), str(2**62 + 1))


def test_floats_and_categories_of_pandas_are_what_they_hold(tmp_path):
    import pandas as pd

    frame = pandas_frame({"text": TEXTS, "label": STARS})
    prepare(frame, tmp_path / "task")
    for kind in ("float64", "Int64", "int8", "category"):
        assert prepare(frame.astype({"label": kind}), tmp_path / "task").reused, kind
    frame = frame.astype({"label": "Int64"})
    frame.loc[3, "label"] = pd.NA
    said = refused(frame, out=tmp_path / "missing")
    assert said == "data: column 'label': 1 of 40 labels are missing or NaN (the first in row 4)"


@pytest.mark.parametrize(
    ("data", "settings", "said"),
    [
        (
            {"text": TEXTS, "label": STARS[1:]},
            {},
            "data: its columns have different numbers of rows: text 40, label 39",
        ),
        (
            {"body": TEXTS, "label": STARS},
            {},
            "data: no column 'text' or 'sentence'; say with text: which it is of body",
        ),
        ({"text": TEXTS, "lable": STARS}, {"name": "mine"}, "mine: no column 'label' (did you mean 'lable'?)"),
        (
            {"text": STARS, "label": STARS},
            {},
            "data: column 'text': 40 values (the first in row 1) are not text but int",
        ),
        ({"text": [], "label": []}, {}, "data: holds no rows"),
        ([], {}, "data: holds no rows"),
        (7, {}, "data: int is not data that can be read; give a pandas DataFrame"),
        (TEXTS, {}, "data: list is not data that can be read"),
        ({"text": "abc", "label": "xyz"}, {}, "data: dict is not data that can be read"),
        (COLUMNS, {"delimiter": ";"}, "prepare: delimiter: is for files only"),
        (COLUMNS, {"lable": "stars"}, "prepare: unknown key 'lable'; the nearest known key is 'label'"),
        (COLUMNS, {"metric": "best"}, "prepare: metric: input should be 'auto', 'accuracy', 'macro_f1'"),
        ("a.csv", {"name": "mine"}, "prepare: name: is for data in memory"),
        (TaskConfig(source="a.csv"), {"text": "b"}, "prepare: the settings are given already"),
        ({"train": COLUMNS, "dev": COLUMNS}, {"dev": COLUMNS}, "data: the dev split is given twice"),
        ({"text": TEXTS, "label": [1, "x"] * 20}, {}, "labels of the types number, text"),
    ],
)
def test_what_is_no_task_is_refused_in_one_line(tmp_path, data, settings, said):
    assert said in refused(data, out=tmp_path / "task", **settings)


def test_dev_without_labels_is_refused_and_test_left_out(tmp_path):
    bare = {"text": ["x", "y"]}
    assert "data (dev): no column 'label'" in refused((TEXTS, STARS), out=tmp_path / "task", dev=bare)
    task = open_task(prepare((TEXTS, STARS), tmp_path / "task", test=bare))
    assert len(task.split("test")) == 4


def test_it_works_without_pandas_and_imports_neither_datasets_nor_torch(tmp_path):
    program = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "import hornbook\n"
        f"hornbook.prepare_task(([str(i) + ' text' for i in range(40)], [0, 1] * 20), {str(tmp_path / 'task')!r})\n"
        "print([name for name in ('datasets', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

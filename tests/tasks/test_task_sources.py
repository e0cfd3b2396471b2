"""Splits without labels, folders as they are downloaded, and tables with other delimiters."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook import tasks
from hornbook.errors import HornbookError
from hornbook.recipe import TaskConfig
from hornbook.tasks import open_task, prepare

TRAIN = "id,text,target\n" + "".join(f"{i},some text {i},{i % 2}\n" for i in range(40))


def folder(tmp_path, **files):
    """Make files; `data/` before a name stands as `data__`."""
    made = tmp_path / "folder"
    for name, content in files.items():
        path = made / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".csv").write_text(content)
    return made


def parquet(path, first, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(first, first + rows)
    pq.write_table(pa.table({"text": [f"t {i}" for i in numbers], "label": [i % 2 for i in numbers]}), path)


def opened(tmp_path, source, **settings):
    return open_task(prepare(TaskConfig(source=str(source), **settings), tmp_path / "task"))


def refused(source, **settings) -> str:
    with pytest.raises(HornbookError) as caught:
        tasks.check(TaskConfig(source=str(source), **settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("id,text\n1,x\n2,y\n", "no column 'target' (its columns are id, text)"),
        ("id,text,target\n1,x,\n2,y,\n", "column 'target' is empty"),
        ("id,text,target\n1,x,-1\n2,y,-1\n", "column 'target' holds -1 in all rows"),
        ("id,text,target\n1,x,?\n2,y,?\n", "column 'target' holds ? in all rows"),
        ("id,text,target\n1,x,unknown\n2,y,\n", "column 'target' holds unknown in all rows"),
        ("id,text,target\n1,x,-100\n2,y,-100\n", "column 'target' holds -100 in all rows"),
    ],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_a_test_split_without_labels_is_left_out(tmp_path, caplog, test, said, as_file):
    made = folder(tmp_path, train=TRAIN, test=test)
    source, settings = (made / "train.csv", {"test": str(made / "test.csv")}) if as_file else (made, {})
    task = opened(tmp_path, source, label="target", **settings)
    told = [message for message in caplog.messages if "left out" in message]
    assert len(told) == 1
    assert told[0].endswith(f"test.csv: {said}: the test split has no labels and is left out")
    assert dict(task.artifact.counts) == {"train_rows": 32, "dev_rows": 4, "test_rows": 4}


def test_a_dev_split_without_labels_is_left_out_of_a_folder_and_refused_as_a_file(tmp_path):
    made = folder(tmp_path, train=TRAIN, valid="text\nx\n", test="text,target\nnew,1\n")
    task = opened(tmp_path, made, label="target")
    assert (task.splits, len(task.split("dev")), len(task.split("test"))) == (("train", "test", "dev"), 4, 1)
    said = refused(made / "train.csv", label="target", dev=str(made / "valid.csv"))
    assert "valid.csv: no column 'target' (its columns are text): a dev file needs labels" in said


def test_what_only_looks_like_missing_labels_is_not_left_out(tmp_path):
    classes = TRAIN.replace(",0\n", ",-1\n")  # -1 is a class
    assert (
        "test" in opened(tmp_path, folder(tmp_path, train=classes, test="text,target\nx,-1\n"), label="target").splits
    )
    folder(tmp_path, train=TRAIN, test="text,target\nx,\ny,1\n")
    assert "1 of 2 labels are missing" in refused(tmp_path / "folder", label="target")
    folder(tmp_path, train=TRAIN, test="text,Target\nx,1\n")
    assert "no column 'target' (did you mean 'Target'?)" in refused(tmp_path / "folder", label="target")


@pytest.mark.parametrize("place", ["", "data/"])
@pytest.mark.parametrize("end", ["", "-a09b74b3ef9c3b56"])
def test_a_folder_with_the_parts_of_its_splits(tmp_path, place, end):
    for part in range(12):
        parquet(tmp_path / "set" / f"{place}train-{part:05d}-of-00012{end}.parquet", 10 * part, 10)
    parquet(tmp_path / "set" / f"{place}validation-00000-of-00001{end}.parquet", 1000, 5)
    task = opened(tmp_path, tmp_path / "set")
    assert task.splits == ("train", "dev")
    assert task.split("train")["text"].to_pylist() == [f"t {i}" for i in range(120)]


def test_parts_may_be_text_files(tmp_path):
    (tmp_path / "set").mkdir()
    for part in range(2):
        lines = [json.dumps({"text": f"t {part} {i}", "label": "ab"[i % 2]}) + "\n" for i in range(10)]
        (tmp_path / "set" / f"train-{part:05d}-of-00002.jsonl").write_text("".join(lines))
    assert sum(dict(opened(tmp_path, tmp_path / "set").artifact.counts).values()) == 20


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["train-00000-of-00003", "train-00002-of-00003"],
            "1 of the 3 parts of train-00000-of-00003.parquet are missing",
        ),
        (["train-00000-of-00001", "train"], "two files for train: train-00000-of-00001.parquet and train.parquet"),
        (["train-00000-of-00001-aa", "train-00000-of-00001-bb"], "two files for one part: train-00000-of-00001-aa"),
        (["train-00000-of-00001", "data/train-00000-of-00001"], "holds splits in two places: "),
        (["plain/train-00000-of-00001"], "the folders plain have one: name one of them with subset:"),
    ],
)
def test_folders_that_can_be_read_in_two_ways_or_not_at_all(tmp_path, names, said):
    for name in names:
        parquet(tmp_path / "set" / f"{name}.parquet", 0, 20)
    assert said in refused(tmp_path / "set")


def test_a_subset_of_a_folder(tmp_path):
    parquet(tmp_path / "set" / "plain" / "train-00000-of-00001.parquet", 0, 20)
    assert opened(tmp_path, tmp_path / "set", subset="plain").name == "set"
    assert "no folder 'other' in it" in refused(tmp_path / "set", subset="other")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_dict.json").write_text("{}")
    assert "written by save_to_disk" in refused(tmp_path / "saved")


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ";"), ("a.tsv", "tab"), ("a.txt", "\\t"), ("a.txt", "|")])
def test_other_delimiters_read_quotes_as_csv_does(tmp_path, name, delimiter):
    mark = "\t" if delimiter in ("tab", "\\t") else delimiter
    lines = [f'"he said ""no"" {i}, {mark}"{mark}{"ab"[i % 2]}\n' for i in range(20)]
    (tmp_path / name).write_text(f"text{mark}label\n" + "".join(lines))
    task = opened(tmp_path, tmp_path / name, delimiter=delimiter)
    assert f'he said "no" 0, {mark}' in {t for split in task.splits for t in task.split(split)["text"].to_pylist()}


@pytest.mark.parametrize("value", ["ab", '"', "\n", ""])
def test_a_delimiter_is_one_character(value):
    with pytest.raises(ValueError, match="a delimiter is one character"):
        TaskConfig(source="a.csv", delimiter=value)


def test_a_delimiter_that_nothing_reads_is_refused(tmp_path):
    parquet(tmp_path / "a.parquet", 0, 20)
    assert "delimiter: is for CSV, TSV and TXT files only" in refused(tmp_path / "a.parquet", delimiter=";")
    assert "delimiter: is for files only" in refused("glue/rte", delimiter=";")


def test_quoted_fields_of_a_tsv_are_doubted(tmp_path, caplog):
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + "".join(f'"a ""b"" {i}"\tx\n"c" {i}\ty\n' for i in range(20)))
    assert opened(tmp_path, tmp_path / "a.tsv").artifact.counts["train_quoted_fields"] == 20
    assert "20 fields are in quotation marks, which are kept" in caplog.text
    caplog.clear()
    (tmp_path / "b.tsv").write_text("text\tlabel\n" + "".join(f'"a" {i}\tx\nb {i} "c"\ty\n' for i in range(20)))
    tasks.check(TaskConfig(source=str(tmp_path / "b.tsv")))
    assert "quotation marks" not in caplog.text


def test_columns_of_one_name_are_refused_only_where_they_are_used(tmp_path):
    (tmp_path / "a.csv").write_text(
        ",,x,text,label,x\n" + "".join(f"{i},{i},1,t {i},{'ab'[i % 2]},2\n" for i in range(20))
    )
    assert opened(tmp_path, tmp_path / "a.csv").labels == ("a", "b")
    assert "the heading has two columns 'x'" in refused(tmp_path / "a.csv", text_pair="x")
    table = pa.Table.from_arrays(
        [pa.array([f"t {i}" for i in range(20)]), pa.array(["a", "b"] * 10), *[pa.array(range(20))] * 2],
        names=["text", "label", "x", "x"],
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert tasks.check(TaskConfig(source=str(tmp_path / "a.parquet"))).names == ("a", "b")
    assert "the heading has two columns 'x'" in refused(tmp_path / "a.parquet", label="x")


COLUMNS = {"text": [f"t {i}" for i in range(20)], "label": ["a", "b"] * 10}
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
PANDAS = {name: {str(i): value for i, value in enumerate(values)} for name, values in COLUMNS.items()}


@pytest.mark.parametrize("whole", [COLUMNS, RECORDS, PANDAS])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_of_columns_or_in_one_list(tmp_path, whole, indent):
    (tmp_path / "a.json").write_text(json.dumps(whole, indent=indent))
    found = tasks.check(TaskConfig(source=str(tmp_path / "a.json")))
    assert (found.names, found.values["train"]) == (("a", "b"), [0, 1] * 10)


def test_classes_with_one_text_stay_in_train(tmp_path, caplog):
    rows = [(f"t {i}", f"c{i}" if i < 25 else f"usual {i % 20}") for i in range(256)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    task = opened(tmp_path, tmp_path / "a.csv")
    rare = {i for i, name in enumerate(task.labels) if name.startswith("c")}
    labels = {split: task.split(split)["label"].to_pylist() for split in task.splits}
    assert rare <= set(labels["train"])
    assert not rare & {*labels["dev"], *labels["test"]}
    assert sum(map(len, labels.values())) == 256
    assert any("25 of 45 labels have one text each; these stay in train" in message for message in caplog.messages)


def test_test_vectors_that_hold_only_minus_one_are_left_out(tmp_path):
    texts = [f"t {i}" for i in range(40)]
    (tmp_path / "folder").mkdir()
    for name, vectors in {"train": [[1, 0], [0, 1]], "test": [[-1, -1], [-1, -1]]}.items():
        table = pa.table({"text": texts, "label": [vectors[i % 2] for i in range(40)]})
        pq.write_table(table, tmp_path / "folder" / f"{name}.parquet")
    task = opened(tmp_path, tmp_path / "folder")
    assert task.kind == "multilabel"
    assert task.artifact.info["split"]["test"].startswith("10%")


def test_the_line_by_which_spreadsheets_name_the_delimiter_is_no_heading(tmp_path):
    body = "sep=;\r\ntext;label\r\n" + "".join(f"t {i};{i % 2}\r\n" for i in range(40))
    (tmp_path / "a.csv").write_text(body, newline="")
    assert "if ';' separates the columns, set task.delimiter" in refused(tmp_path / "a.csv")
    assert tasks.check(TaskConfig(source=str(tmp_path / "a.csv"), delimiter=";")).names == ("0", "1")


def test_files_of_a_folder_that_are_no_split_are_named(tmp_path, caplog):
    made = folder(tmp_path, Training=TRAIN, TEST=TRAIN, eval=TRAIN)
    task = opened(tmp_path, made, label="target")
    assert dict(task.artifact.counts)["test_rows"] == 40
    assert any(f"{made}: not read: eval.csv; the files of splits are named training" in m for m in caplog.messages)
    alone = folder(tmp_path / "other", reviews=TRAIN)
    assert refused(alone).endswith("in it; name the file itself: reviews.csv")


def test_a_folder_for_each_split_is_read(tmp_path):
    for name, first, rows in [("train/0000", 0, 30), ("train/0001", 30, 30), ("test/0000", 60, 10)]:
        parquet(tmp_path / "set" / "default" / f"{name}.parquet", first, rows)
    assert "the folders default have one: name one of them with subset:" in refused(tmp_path / "set")
    task = opened(tmp_path, tmp_path / "set", subset="default")
    assert dict(task.artifact.counts) == {"train_rows": 54, "dev_rows": 6, "test_rows": 10}

"""From files to a task artefact: formats, splits, names, anchors, and every refusal."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.errors import HornbookError
from hornbook.recipe import TaskConfig
from hornbook.tasks import Task, open_task, prepare

SHARED = Path(__file__).parents[3] / "shared" / "data" / "glue"
HEADING = ("text", "label")
CASES = [(f"case number {i}", "good" if i % 2 else "bad") for i in range(40)]


def write(path: Path, rows=CASES, heading=HEADING) -> Path:
    """Write rows in the format of the file's name, each in its most ordinary shape."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pq.write_table(pa.table(dict(zip(heading, map(list, zip(*rows, strict=True)), strict=True))), path)
        return path
    if name.endswith(".jsonl"):
        text = "".join(json.dumps(dict(zip(heading, row, strict=True))) + "\n" for row in rows)
    else:
        between = "\t" if name.endswith(".tsv") else ","
        text = "".join(between.join(map(str, row)) + "\n" for row in (heading, *rows))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def opened(tmp_path: Path, source: Path | str, **settings) -> Task:
    return open_task(prepare(TaskConfig(source=str(source), **settings), tmp_path / "task"))


def refused(tmp_path: Path, source: Path | str, **settings) -> str:
    """Return the one-line message with which the source is refused; nothing may be left behind."""
    with pytest.raises(HornbookError) as caught:
        opened(tmp_path, source, **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "task").exists()
    assert not (tmp_path / ".task.partial").exists()
    return str(caught.value)


def rows_of(task: Task, split: str) -> list[tuple]:
    return [tuple(row.values()) for row in task.split(split).to_pylist()]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.tsv.gz", "a.jsonl.gz"])
def test_every_format_gives_the_same_task(tmp_path, name):
    task = opened(tmp_path, write(tmp_path / name))
    assert (task.name, task.kind, task.labels, task.pair, task.metric) == (
        "a",
        "classification",
        ("bad", "good"),
        False,
        "accuracy",
    )
    assert task.splits == ("train", "dev", "test")
    found = sorted(row for split in task.splits for row in rows_of(task, split))
    assert found == sorted((text, None, int(label == "good")) for text, label in CASES)
    assert dict(task.artifact.counts) == {"train_rows": 32, "dev_rows": 4, "test_rows": 4}


def test_the_types_of_a_split(tmp_path):
    write(tmp_path / "a.csv", [(f"t {i}", f"u {i}", i / 7) for i in range(20)], ("a", "b", "label"))
    task = opened(tmp_path, tmp_path / "a.csv", text="a", text_pair="b")
    assert task.split("dev").schema.types == [pa.string(), pa.string(), pa.float64()]
    assert (task.kind, task.labels, task.metric, task.pair) == ("regression", (), "spearman", True)


def test_a_finished_task_is_used_again_wherever_its_file_lies(tmp_path):
    first = prepare(TaskConfig(source=str(write(tmp_path / "a.csv"))), tmp_path / "task")
    (tmp_path / "elsewhere").mkdir()
    second = prepare(TaskConfig(source=str(write(tmp_path / "elsewhere" / "a.csv"))), tmp_path / "task")
    assert not first.reused
    assert second.reused
    write(tmp_path / "a.csv", CASES[:-2])
    with pytest.raises(HornbookError, match="other settings or inputs"):
        prepare(TaskConfig(source=str(tmp_path / "a.csv")), tmp_path / "task")


def test_dev_as_given_leaves_train_whole_and_test_absent(tmp_path):
    dev = write(tmp_path / "d.csv", CASES[:6])
    task = opened(tmp_path, write(tmp_path / "a.csv"), dev=str(dev))
    assert task.splits == ("train", "dev")
    assert len(task.split("train")) == 40
    assert task.artifact.info["split"] == {"train": "given", "dev": "given", "test": "none given"}
    with pytest.raises(HornbookError, match="no split 'test'; it has train, dev"):
        task.split("test")


def test_test_as_given_cuts_only_dev_off(tmp_path):
    test = write(tmp_path / "t.csv", CASES[:6])
    task = opened(tmp_path, write(tmp_path / "a.csv"), test=str(test))
    shared = {"train_in_test": task.artifact.counts["train_in_test"]}  # test is a part of train here
    assert dict(task.artifact.counts) == {"train_rows": 36, "dev_rows": 4, "test_rows": 6, **shared}
    assert task.artifact.info["split"]["train"] == "90% of the texts, stratified, seed 0"


def test_rows_with_the_same_text_stay_together(tmp_path):
    cases = [
        (f"{'A' if copy % 2 else 'a'} film  number {i}", "bad" if i % 2 else "good")
        for i in range(60)
        for copy in range(3)
    ]
    task = opened(tmp_path, write(tmp_path / "a.csv", cases))
    texts = {split: {text.lower() for text in task.split(split)["text"].to_pylist()} for split in task.splits}
    assert [len(texts[split]) for split in ("train", "dev", "test")] == [48, 6, 6]
    assert sum(len(task.split(split)) for split in task.splits) == 180
    assert not texts["train"] & (texts["dev"] | texts["test"])
    assert not texts["dev"] & texts["test"]


def test_a_folder_may_mix_formats_and_call_dev_validation(tmp_path):
    folder = tmp_path / "movies"
    folder.mkdir()
    write(folder / "train.csv")
    write(folder / "validation.jsonl", CASES[:4])
    write(folder / "test.parquet", CASES[4:10])
    task = opened(tmp_path, folder)
    assert task.name == "movies"
    shared = {"train_in_dev": 4, "train_in_test": 6}
    assert dict(task.artifact.counts) == {"train_rows": 40, "dev_rows": 4, "test_rows": 6, **shared}


def test_another_seed_splits_otherwise(tmp_path):
    source = write(tmp_path / "a.csv")
    one, two = (
        open_task(prepare(TaskConfig(source=str(source), split_seed=seed), tmp_path / f"t{seed}")) for seed in (0, 1)
    )
    assert rows_of(one, "dev") != rows_of(two, "dev")


def test_train_rows_keeps_a_stratified_sample(tmp_path):
    rows = [(f"t {i}", "rare" if i % 10 == 0 else "usual") for i in range(1000)]
    source = write(tmp_path / "a.csv", rows)
    dev = write(tmp_path / "d.csv", rows[:20])
    task = opened(tmp_path, source, dev=str(dev), train_rows=100)
    assert [label for _, _, label in rows_of(task, "train")].count(0) == 10
    assert len(task.split("train")) == 100
    assert "100 rows sampled" in task.artifact.info["split"]["train"]


def test_a_sample_that_loses_a_label_is_refused(tmp_path):
    rows = [(f"t {i}", "rare" if i < 2 else "usual") for i in range(1000)]
    dev = write(tmp_path / "d.csv", rows[:20])
    message = refused(tmp_path, write(tmp_path / "a.csv", rows), dev=str(dev), train_rows=5)
    assert "train_rows: 5 rows hold none of label 'rare'" in message


def test_anchors_are_the_distinct_texts_in_order_of_first_appearance(tmp_path):
    rows = [("a", "b", "y"), ("c", "a", "n"), ("a", "d", "y"), ("b", "b", "n")]
    source = write(tmp_path / "a.jsonl", rows, ("one", "two", "label"))
    task = opened(tmp_path, source, text="one", text_pair="two", dev=str(source))
    assert task.anchors() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("labels", "settings", "names", "indices"),
    [
        (["x", "a", "x"], {}, ("a", "x"), [1, 0, 1]),
        ([10, 2, 10], {}, ("2", "10"), [1, 0, 1]),
        (["10", "2", "10"], {}, ("2", "10"), [1, 0, 1]),
        ([1.0, 0.0, 1.0], {}, ("0", "1"), [1, 0, 1]),
        ([1, 0, 1], {"label_names": ("no", "yes")}, ("no", "yes"), [1, 0, 1]),
        (["yes", "no", "yes"], {"label_names": ("yes", "no")}, ("yes", "no"), [0, 1, 0]),
        ([True, False, True], {}, ("false", "true"), [1, 0, 1]),
        ([1, 2, 1], {"kind": "regression"}, (), [1.0, 2.0, 1.0]),
        (["0.5", "2", "1"], {}, ("0.5", "1", "2"), [0, 2, 1]),
        (["0.5", "2", "1"], {"kind": "regression"}, (), [0.5, 2.0, 1.0]),
        ([0.5, 2, 1], {}, (), [0.5, 2.0, 1.0]),
        ([0.5, 2, 1], {"kind": "classification"}, ("0.5", "1", "2"), [0, 2, 1]),
    ],
)
def test_labels_of_every_type(tmp_path, labels, settings, names, indices):
    source = write(tmp_path / "a.jsonl", [(f"t {i}", label) for i, label in enumerate(labels)])
    task = opened(tmp_path, source, dev=str(source), **settings)
    assert task.labels == names
    assert task.split("train").column("label").to_pylist() == indices
    assert task.gold("train").tolist() == indices
    assert task.gold("train").dtype == ("int64" if names else "float64")


def test_names_that_a_parquet_file_states_are_used(tmp_path):
    import datasets

    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    rows = {"text": ["a", "b", "c"], "label": [1, 0, 1]}
    path = str(tmp_path / "a.parquet")
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    assert opened(tmp_path, path, dev=path).labels == ("no", "yes")


def test_quotation_marks_are_plain_in_tsv_and_syntax_in_csv(tmp_path):
    rows = [('"a" b', "x"), ("c", "y")]
    task = opened(tmp_path, write(tmp_path / "a.tsv", rows), dev=str(tmp_path / "a.tsv"))
    assert task.anchors() == ['"a" b', "c"]
    (tmp_path / "b.csv").write_text('text,label\n"a, ""b""\nc",x\nd,y\n')
    csv_task = open_task(
        prepare(TaskConfig(source=str(tmp_path / "b.csv"), dev=str(tmp_path / "b.csv")), tmp_path / "csv")
    )
    assert csv_task.anchors() == ['a, "b"\nc', "d"]


def test_the_majority_share_is_counted_on_dev(tmp_path):
    dev = write(tmp_path / "d.csv", [("a", "good"), ("b", "good"), ("c", "bad"), ("d", "good")])
    assert opened(tmp_path, write(tmp_path / "a.csv"), dev=str(dev)).majority_share == 0.75


def bad(tmp_path: Path, text: str | bytes, name: str = "a.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", "text,label\n", "a.csv: holds no rows"),
        ("a.tsv", "\n\n", "a.tsv: holds no rows"),
        ("a.jsonl", "\n", "a.jsonl: holds no rows"),
        ("a.csv", "text,label\na,x\nb\n", "row 2 has 1 fields, but the heading has 2"),
        ("a.csv", "text,label,text\na,x,b\nc,y,d\n", "the heading has two columns 'text'"),
        (
            "a.csv",
            "text;label\na;x\n",
            "the columns are text;label; if ';' separates the columns, set task.delimiter",
        ),
        ("a.csv", '"text";"label"\n"a";"x"\n', "line 1: not CSV: ',' expected after '\"'; if ';' separates"),
        ("a.tsv", "text,label\na,x\n", "if ',' separates the columns, set task.delimiter"),
        ("a.tsv", 'text\tlabel\n"a\nb"\tx\n', "if fields are quoted as in CSV, set task.delimiter: tab"),
        ("a.txt", "text\tlabel\na\tx\n", "set task.delimiter to what separates its columns"),
        ("a.json", '{"text": ["a", "b"], "label": [1]}', "different numbers of rows: text 2, label 1"),
        ("a.csv", 'text,label\n"a"b,x\n', "a.csv: line 2: not CSV"),
        ("a.jsonl", '{"text": "a", "label": 1}\n[1]\n', "line 2 is not a JSON object"),
        ("a.jsonl", '{"text": "a", "label": \n', "line 1 is not a JSON object"),
        ("a.parquet", "PAR1 and then something else", "not a readable Parquet file"),
        ("a.csv.gz", "text,label\n", "not a complete gzip file"),
        ("a.xlsx", "text", "not a known format; use one of .csv"),
        ("a.csv", b"text,label\nok,x\ncaf\xe9,y\n", "line 3 (byte 19) is not UTF-8"),
        ("a.csv", "text,lable\na,x\n", "no column 'label' (did you mean 'lable'?); the columns are text, lable"),
        ("a.csv", "body,label\na,x\nb,y\n", "no column 'text' or 'sentence'; say with text: which it is of body"),
        ("a.csv", "text,label\na,x\n,y\n,y\n", "column 'text': 2 empty texts (the first in row 2)"),
        ("a.csv", "text,label\na,x\n  ,y\n", "column 'text': 1 empty text (the first in row 2)"),
        ("a.csv", "text,label\na,x\nb,\nc,NaN\n", "2 of 3 labels are missing or NaN (the first in row 2)"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b"}\n', "1 of 2 labels are missing"),
        ("a.jsonl", '{"text": "a", "label": 0.5}\n{"text": "b", "label": NaN}\n', "1 of 2 labels are missing or NaN"),
        ("a.csv", "text,label\na,0.5\nb,inf\n", "1 of 2 scores are not finite numbers (the first in row 2: inf)"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n', "labels of the types number, text"),
        (
            "a.jsonl",
            '{"text": 7, "label": 1}\n{"text": "b", "label": 0}\n',
            "(the first in row 1) is not text",
        ),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}\n{"text": "b", "label": 0}\n', "not valid Unicode"),
        ("a.csv", "text,label\na,x\nb,x\n", "all 2 rows have the label 'x'"),
        ("a.csv", "text,label\na,0.5\nb,0.5\n", "all scores are the same"),
        ("a.csv", "text,label\na,x\nb,y\n", "2 texts are too few to split"),
        (
            "a.csv",
            "text,label\n" + "".join(f"a{i},{i}\n" for i in range(20)),
            "which leaves none for dev; give more, or a dev file (classification because all labels are whole",
        ),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, said):
    message = refused(tmp_path, bad(tmp_path, content, name))
    assert said in message
    assert message.startswith(str(tmp_path / name))


def test_text_in_parquet_that_is_not_utf8_is_named_by_row(tmp_path):
    broken = pa.array([b"fine", b"caf\xe9"]).view(pa.string())
    pq.write_table(pa.table({"text": broken, "label": ["x", "y"]}), tmp_path / "a.parquet")
    assert "column 'text', row 2 is not UTF-8" in refused(tmp_path, tmp_path / "a.parquet")


def test_labels_found_only_in_dev_are_refused(tmp_path):
    dev = write(tmp_path / "d.csv", [("a", "good"), ("b", "worse"), ("c", "worse")])
    message = refused(tmp_path, write(tmp_path / "a.csv"), dev=str(dev))
    assert message == f"{dev}: column 'label': label 'worse' (row 2, 2 such rows) does not occur in train"
    write(dev, [("a", "good"), ("b", "worse"), ("c", "worst")])
    message = refused(tmp_path, tmp_path / "a.csv", dev=str(dev))
    assert message.endswith("label 'worse' (row 2, 1 such rows) does not occur in train; the same goes for worst")


def test_a_label_without_a_name_is_refused(tmp_path):
    source = write(tmp_path / "a.csv", [("a", 0), ("b", 1), ("c", 2)])
    message = refused(tmp_path, source, dev=str(source), label_names=("no", "yes"))
    assert "label '2' (row 3, 1 such rows) is not among the 2 named labels: no, yes" in message


def test_words_are_not_taken_for_scores(tmp_path):
    assert "not finite numbers" in refused(tmp_path, write(tmp_path / "b.csv"), kind="regression")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "nowhere.csv"}, "nowhere.csv: no such file or folder"),
        ({"source": "/no/such/folder"}, "no such file or folder"),
        ({"source": "glue/sts-b"}, "no GLUE task 'sts-b' (did you mean 'stsb'?); the tasks are mnli"),
        ({"source": "a.csv", "folder": "x"}, "folder: is for the sources glue/NAME only"),
        ({"source": "a.csv", "dev": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"source": "some-hub-name", "dev": "a.csv"}, "are for a source that is one file"),
        ({"source": "glue/rte", "folder": "."}, "rte/train.parquet: no such file"),
        ({"source": "empty"}, "empty: no train file"),
        ({"source": "double"}, "two files for train: train.csv and train.tsv"),
    ],
)
def test_sources_that_do_not_exist_are_refused(tmp_path, monkeypatch, settings, said):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.csv")
    for folder in ("empty", "double"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "double" / "train.csv")
    write(tmp_path / "double" / "train.tsv")
    assert said in refused(tmp_path, **settings)


def fake_hub(monkeypatch, splits):
    """Stand in for the hub: the same library calls, with data made here."""
    import datasets

    builder = type("Builder", (), {"hash": "0123abcd"})()
    asked = []
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *names: asked.append(names) or builder)
    monkeypatch.setattr(datasets, "load_dataset", lambda *names: datasets.DatasetDict(splits))
    return asked


@pytest.mark.parametrize("withheld", [-1, None])
def test_a_hub_dataset_keeps_its_names_and_loses_a_test_split_without_labels(tmp_path, monkeypatch, withheld):
    import datasets

    def dataset(labels):
        features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
        rows = {"text": [f"t {i}" for i in range(len(labels))], "label": labels}
        return datasets.Dataset.from_dict(rows, features=features)

    splits = {"train": dataset([1, 0, 1]), "validation": dataset([0, 1]), "test": dataset([withheld, withheld])}
    asked = fake_hub(monkeypatch, splits)
    task = opened(tmp_path, "someone/something", subset="plain")
    assert asked == [("someone/something", "plain")]
    assert (task.name, task.labels, task.splits) == ("someone/something", ("no", "yes"), ("train", "dev"))
    assert "0123abcd" in task.artifact.manifest["inputs"]["hub"]


def test_a_hub_test_split_without_the_column_of_labels_is_left_out(tmp_path, monkeypatch):
    import datasets

    rows = {"text": ["a", "b"], "label": [0, 1]}
    splits = {name: datasets.Dataset.from_dict(rows) for name in ("train", "validation", "test")}
    fake_hub(monkeypatch, splits | {"test": splits["test"].remove_columns("label")})
    assert opened(tmp_path, "someone/something").splits == ("train", "dev")


def test_a_hub_column_of_the_type_json_is_refused_where_it_is_used(tmp_path, monkeypatch):
    import datasets

    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n' * 9)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    read = datasets.load_dataset("json", data_files=str(tmp_path / "a.jsonl"), cache_dir=str(tmp_path / "cache"))
    read["train"].to_parquet(str(tmp_path / "a.parquet"))
    assert "column 'label' is of the type Json" in refused(tmp_path, tmp_path / "a.parquet")
    fake_hub(monkeypatch, read)
    assert "someone/something (train): column 'label' is of the type Json" in refused(tmp_path, "someone/something")
    other = [(f"t {i}", "ab"[i % 2]) for i in range(20)]
    write(tmp_path / "b.parquet", other)
    table = pq.read_table(tmp_path / "b.parquet").append_column("more", pa.array(["1"] * 20, pa.json_()))
    pq.write_table(table, tmp_path / "b.parquet")
    assert opened(tmp_path, tmp_path / "b.parquet").labels == ("a", "b")


def test_glue_without_a_folder_comes_from_the_hub(tmp_path, monkeypatch):
    import datasets

    rows = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0, 1]}
    splits = {name: datasets.Dataset.from_dict(rows) for name in ("train", "validation")}
    asked = fake_hub(monkeypatch, splits)
    task = opened(tmp_path, "glue/rte")
    assert asked == [("nyu-mll/glue", "rte")]
    assert (task.labels, task.pair, task.anchors()) == (("entailment", "not_entailment"), True, ["a", "c", "b", "d"])


def test_what_the_hub_says_fits_in_one_line(tmp_path, monkeypatch):
    import datasets

    def fail(*_):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    message = refused(tmp_path, "imdb")
    said = "imdb: not a file or folder here, and the hub dataset could not be read (no network); name a file"
    assert message.startswith(said)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real GLUE data is not beside the checkout (../shared/data/glue)")
@pytest.mark.parametrize(
    ("name", "rows", "labels", "metric"),
    [
        ("rte", {"train": 2490, "dev": 277}, ("entailment", "not_entailment"), "accuracy"),
        ("stsb", {"train": 5749, "dev": 1500}, (), "spearman"),
        (
            "mnli",
            {"train": 41295, "dev": 9404, "dev_mismatched": 999},
            ("entailment", "neutral", "contradiction"),
            "accuracy",
        ),
    ],
)
def test_real_glue_tasks(tmp_path, name, rows, labels, metric):
    task = opened(tmp_path, f"glue/{name}", folder=str(SHARED))
    assert {split: len(task.split(split)) for split in task.splits} == rows
    assert (task.labels, task.metric, task.pair) == (labels, metric, True)
    assert task.artifact.info["split"]["test"] == "none (GLUE's test labels are not public)"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    for name, between in (("a.csv", ","), ("a.tsv", "\t")):
        rows = "\r\n".join(between.join(row) for row in (HEADING, *CASES))
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + rows.encode() + b"\r\n")
        task = open_task(prepare(TaskConfig(source=str(tmp_path / name)), tmp_path / f"task {name}"))
        assert task.labels == ("bad", "good")
        assert sum(task.artifact.counts.values()) == len(CASES)

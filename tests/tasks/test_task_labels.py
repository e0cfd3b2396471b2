"""Labels keep the names they are written with, and what was made of them is said."""

import datetime
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbook import tasks
from hornbook.errors import HornbookError
from hornbook.machine.tables import Rows
from hornbook.recipe import TaskConfig
from hornbook.tasks.labels import Labels, read_labels

CODES = ["1.1", "1.2", "1.10", "2.1", "2.10"]
INDUSTRIES = ["0110", "110", "0210", "9900"]


def rows(labels, is_text=True) -> Rows:
    return Rows("a.csv", {"label": list(labels)}, is_text=is_text)


def read(labels, kind="auto", names=None, is_text=True, **others) -> Labels:
    """Read labels of train, as of a CSV file or of a typed one."""
    return read_labels({"train": rows(labels, is_text)}, "label", kind, names, **others)


def refused(*args, **others) -> str:
    with pytest.raises(HornbookError) as caught:
        read(*args, **others)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.text(min_size=1).map(str.strip).filter(bool), min_size=2), st.booleans())
def test_classes_of_text_are_named_as_they_are_written(labels, is_text):
    found = read(labels, "classification", is_text=is_text)
    floats = all(name.endswith(".0") for name in labels)  # the one exception in a CSV, see below
    assert set(found.names) == ({name[:-2] for name in labels} if floats and found.names[0] not in labels else labels)
    if not floats:
        assert [found.names[i] for i in found.values["train"]] == list(labels)


@pytest.mark.parametrize(
    "labels", [CODES, INDUSTRIES, ["1e3", "1000"], ["0x10", "16"], ["+1", "1", "-1"], ["1", "1."]]
)
def test_spellings_of_one_number_are_never_merged(labels, tmp_path, caplog):
    for is_text in (True, False):
        assert set(read(labels, "classification", is_text=is_text).names) == set(labels)
        assert read(labels, names=labels, is_text=is_text).names == tuple(labels)
    assert set(read(labels, is_text=False).names) == set(labels)
    pq.write_table(
        pa.table({"text": [f"t {i}" for i in range(60)], "label": (labels * 60)[:60]}), tmp_path / "a.parquet"
    )
    tasks.prepare(TaskConfig(source=str(tmp_path / "a.parquet")), tmp_path / "task")
    if labels != ["0x10", "16"]:
        assert "the same number are kept apart" in caplog.text


@pytest.mark.parametrize("labels", [CODES, ["1.2", "1.10", "3.4"], ["0", "1", "1.0"], ["1e3", "1000"]])
def test_auto_does_not_guess_where_text_may_be_codes_or_scores(labels):
    assert "set task.kind (--task-kind) to classification" in refused(labels)
    assert "regression" in refused(labels)


@pytest.mark.parametrize(
    ("labels", "is_text", "said"),
    [
        (
            ["2.5", "3.75", "1"],
            True,
            "regression, because all labels are numbers and some have fractions (2.5 in row 1)",
        ),
        (["1.0", "1.5"], True, "(1.5 in row 2); if they are class names, set task.kind: classification"),
        ([1, 2.5], False, "regression, because"),
        ([Decimal("1.10"), Decimal("2.00")], False, "regression, because"),
        (["0", "1", "2"], True, "3 classes (0, 1, 2), because all labels are whole numbers; if they are scores, set"),
        (["2.5", "3.5"], False, "2 classes (2.5, 3.5), as they are written; if they are scores, set task.kind"),
        (["b", "a"], True, "labels: classification, 2 classes (a, b), as they are written"),
        (INDUSTRIES, True, "4 classes (0110, 0210, 110, 9900), as they are written"),
    ],
)
def test_the_kind_that_was_taken_is_said_and_why(labels, is_text, said):
    assert said in str(read(labels, is_text=is_text))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([True, False], ("false", "true")),
        ([2.0, 10.0], ("2", "10")),
        ([2, 10.0], ("2", "10")),
        ([Decimal("2.00"), Decimal("10")], ("2", "10")),
        ([0.5, 10.25], ("0.5", "10.25")),
        ([0.10000000149011612, 0.5], ("0.1", "0.5")),  # of 32 bits
        ([0.1, 0.10000000149011612], ("0.1", "0.10000000149011612")),
        ([float("inf"), 1.0], ("1", "inf")),
        ([1e300, 1e-7], ("1e-07", "1e+300")),
        ([datetime.date(2021, 1, 1), datetime.date(2020, 1, 1)], ("2020-01-01", "2021-01-01")),
        ([10**400, 1], ("1", "1" + "0" * 400)),
    ],
)
def test_the_names_of_labels_that_are_no_text(labels, names):
    assert read(labels, "classification", is_text=False).names == names


@pytest.mark.parametrize(
    ("train", "dev", "names"),
    [
        (rows(["1.0", "0.0"]), rows(["1", "0"]), ("0", "1")),
        (rows(["1", "0"]), rows([1.0, 0.0], False), ("0", "1")),
        (rows(["1.0", "0.0"]), rows(["1"], False), ("0", "1")),
        (rows([True, False], False), rows(["True", "False"]), ("false", "true")),
        (rows(["b", "a"]), rows([" a", " b"]), ("a", "b")),
    ],
)
def test_splits_may_store_the_same_labels_differently(train, dev, names):
    found = read_labels({"train": train, "dev": dev}, "label", "auto", None)
    assert found.names == names
    assert set(found.values["dev"]) <= {0, 1}


def test_text_of_a_typed_file_keeps_its_zeros():
    assert read(["1.0", "2.0"], is_text=False).names == ("1.0", "2.0")
    assert read(["1.0", "2.0"], is_text=True).names == ("1", "2")


@pytest.mark.parametrize(
    ("labels", "names", "codes", "indices"),
    [
        (["1", "2"], ("1", "2", "3"), False, [0, 1]),  # names themselves
        ([1, 2], ("1", "2", "3"), False, [0, 1]),
        ([1, 2], ("1", "2", "3"), True, [1, 2]),  # of a ClassLabel
        (["0", "2"], ("1", "2", "3"), False, [0, 2]),
        ([0.0, 1.0], ("no", "yes"), False, [0, 1]),
        ([True, False], ("no", "yes"), False, [1, 0]),
        ([True, False], ("True", "False"), False, [0, 1]),
        ([0.5, 1.5], ("1.5", "0.5"), False, [1, 0]),
    ],
)
def test_label_names_are_found_as_written_or_counted(labels, names, codes, indices):
    assert read(labels, names=names, codes=codes, is_text=False).values["train"] == indices


@pytest.mark.parametrize(
    ("labels", "others", "said"),
    [
        (["a", " a"], {}, "labels 'a' (row 1) and ' a' (row 2) differ only in white space"),
        (["nan", "a"], {}, "1 of 2 labels are missing or NaN (the first in row 1); if nan is a class, set task.kind"),
        (["a", " "], {}, "1 of 2 labels are missing"),
        ([1, "1"], {"is_text": False}, "labels of the types number, text"),
        ([True, 1], {"is_text": False}, "labels of the types boolean, number"),
        (["\ud800", "b"], {"is_text": False}, "label '\\ud800' (row 1) is not valid Unicode"),
        ([b"a", b"b"], {"is_text": False}, "labels are of the type bytes; use text or numbers"),
        ([float("nan"), 1.0], {"is_text": False, "kind": "classification"}, "1 of 2 labels are missing or NaN"),
        (["2,5", "3"], {"kind": "regression"}, "(the first in row 1: 2,5); write plain numbers, such as 1234.5"),
        (["1" * 5000, "2"], {"kind": "regression"}, "1 of 2 scores are not finite numbers"),
        ([10**400, 2], {"kind": "regression", "is_text": False}, "1 of 2 scores are not finite numbers"),
        ([True, False], {"kind": "regression", "is_text": False}, "2 of 2 scores are not finite numbers"),
        (
            ["x", "y", "z"],
            {"names": ("x",)},
            "label 'y' (row 2, 1 such rows) is not among the 1 named labels: x; the same",
        ),
        (["1", "2"], {"names": ("no", "yes")}, "named labels: no, yes; whole numbers count these names from 0 to 1"),
        (["50%", "3%"], {"kind": "regression"}, "(the first in row 1: 50%); write plain numbers, such as 1234.5"),
        (["a", "b"], {"positive": "c"}, "positive: no class 'c'; the classes are a, b"),
        (["a", "b", "c"], {"positive": "c"}, "positive: is for a classification of two classes"),
    ],
)
def test_labels_that_cannot_be_read_are_refused(labels, others, said):
    assert said in refused(labels, **others)


def test_the_word_nan_is_a_class_where_that_is_said():
    assert read(["nan", "a"], "classification").names == ("a", "nan")
    assert read(["nan", "a"], names=("nan", "a")).names == ("nan", "a")
    assert read(["None", "NA", "null"]).names == ("NA", "None", "null")


def test_integers_longer_than_python_reads_are_classes(tmp_path):
    long = "1" * 5000
    assert read([long, "2"]).names == ("2", long)
    lines = [f'{{"text": "t {i}", "label": {long if i % 2 else 2}}}\n' for i in range(20)]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    assert tasks.check(TaskConfig(source=str(tmp_path / "a.jsonl"))).names == ("2", long)


def test_the_positive_class_goes_last():
    plain = read(["dup", "not", "dup"])
    turned = read(["dup", "not", "dup"], positive="dup")
    assert (plain.names, plain.values["train"]) == (("dup", "not"), [0, 1, 0])
    assert (turned.names, turned.values["train"]) == (("not", "dup"), [1, 0, 1])
    named = read([0, 1], names=("dup", "not"), positive="dup", is_text=False)
    assert (named.names, named.values["train"]) == (("not", "dup"), [1, 0])


def test_f1_is_named_by_its_class(tmp_path, caplog):
    (tmp_path / "a.csv").write_text(
        "text,label\n" + "".join(f"t {i},{'dup' if i % 3 else 'not'}\n" for i in range(30))
    )
    with caplog.at_level("INFO", "hornbook"):
        tasks.check(TaskConfig(source=str(tmp_path / "a.csv"), metric="f1"))
        tasks.check(TaskConfig(source=str(tmp_path / "a.csv"), metric="f1", positive="dup"))
    first, second = (m for m in caplog.messages if "labels:" in m)
    assert first.endswith("f1 is that of 'not', set task.positive for the other")
    assert second.endswith("f1 is that of 'dup'")
    from hornbook.tasks.task import score_name

    assert score_name("f1", ("not", "dup")) == "f1 of dup"
    assert score_name("macro_f1", ("not", "dup")) == "macro f1"


def test_keys_of_glue_tasks_stay_and_those_of_others_know_how_labels_are_read(tmp_path):
    def config_of(source, **others):
        return tasks.prepare(TaskConfig(source=source, **others), tmp_path / source.replace("/", "-")).manifest[
            "config"
        ]

    (tmp_path / "rte").mkdir()
    table = pa.table({"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0, 1]})
    for split in ("train", "validation"):
        pq.write_table(table, tmp_path / "rte" / f"{split}.parquet")
    glue = config_of("glue/rte", folder=str(tmp_path))
    assert not {"delimiter", "positive", "split", "labels"} & glue.keys()
    (tmp_path / "a.csv").write_text("text;label\n" + "".join(f"t {i};{i % 2}\n" for i in range(20)))
    own = tasks.prepare(TaskConfig(source=str(tmp_path / "a.csv"), delimiter=";"), tmp_path / "own").manifest[
        "config"
    ]
    assert own["labels"] == 1
    assert own["delimiter"] == ";"
    assert "positive" not in own


def test_names_that_yaml_would_change_are_kept_or_refused():
    from hornbook.recipe.load import parse_value

    assert parse_value("[0110, 110, 1:30, 0x10, +1]", "x") == ["0110", 110, "1:30", "0x10", "+1"]
    assert parse_value("{a: 1_500, b: -3, c: 0}", "x") == {"a": 1500, "b": -3, "c": 0}
    for value in ([1.1, "a"], [datetime.date(2020, 1, 1), "a"], [True, "a"]):
        with pytest.raises(ValueError, match="put names in quotes"):
            TaskConfig(source="a.csv", label_names=value)
    with pytest.raises(ValueError, match="put names in quotes"):
        TaskConfig(source="a.csv", positive=True)


def test_names_that_only_look_different_are_doubted(tmp_path, caplog):
    labels = ["Positive", "positive", "caf\u00e9", "cafe\u0301", "a\u200bb", "ab", "True", "true"]
    lines = [json.dumps({"text": f"t {i}", "label": labels[i % 8]}) + "\n" for i in range(80)]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    task = tasks.open_task(tasks.prepare(TaskConfig(source=str(tmp_path / "a.jsonl")), tmp_path / "task"))
    assert set(task.labels) == set(labels)
    assert task.artifact.counts["labels_alike"] == 8
    assert "look almost the same (case, spaces, signs, invisible characters) are kept apart" in caplog.text


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a|b", "a", "b"], "set task.label_separator: '|'"),
        (["[a, b]", "[a]", "[b]"], "if they are lists, write them as JSON and set task.kind: multilabel"),
        (["2,5", "3,75"], "if they are scores, write plain numbers, such as 1234.5"),
        (["['a', 'b']", "b"], "if they are lists, write them as JSON"),
        (["50%", "12.5%", "3%"], "if they are scores, write plain numbers"),
        (["$1,200.50", "€ 5"], "if they are scores, write plain numbers"),
        (["−1.5", "−2", "3"], "if they are scores, write plain numbers"),
        (["1 star", "2 stars"], "if they are scores, write plain numbers"),
        (["1.5", "2.5", "NA"], "if it marks a missing value, remove its rows: 'NA'"),
        (["1", "2", "None"], "if it marks a missing value, remove its rows: 'None'"),
        (["not good", "not_good"], "look almost the same"),
        (["semi-good", "semi\u2013good"], "look almost the same"),
        (["don't", "don\u2019t"], "look almost the same"),
        (["\u2764", "\u2764\ufe0f"], "look almost the same"),
        (["+1", "-1", "0"], None),
        (["1.1.2", "1.1.10", "2.0.0"], None),
        (["none", "some"], None),
        (["1st", "2nd", "12A"], None),
        (["Arts, Crafts", "Sewing"], None),
    ],
)
def test_classes_that_may_be_something_else_are_doubted(tmp_path, caplog, labels, said):
    lines = [f't {i},"{labels[i % len(labels)]}"\n' for i in range(60)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(lines))
    assert len(tasks.check(TaskConfig(source=str(tmp_path / "a.csv"))).names) == len(labels)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert (said in told[0]) if said else not told


def test_what_is_said_of_labels_is_one_line():
    said = str(read(["a\nb", "c" * 500, "d"]))
    assert "\n" not in said
    assert "3 classes (a·b, " in said
    assert len(said) < 150

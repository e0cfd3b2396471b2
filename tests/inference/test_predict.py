"""Files of predictions: as one text at a time gives them, in every format; bad rows; runs that are killed."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.export.models import LABELS, WORDS, save_classifier

import hornbook
from hornbook.errors import HornbookError
from hornbook.inference import output, predict
from hornbook.machine.tables import columnar, rows
from hornbook.recipe import PredictConfig

SHARES = [f"probability_{name}" for name in LABELS]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    for module in (rows, columnar):
        monkeypatch.setattr(module, "WINDOW_ROWS", 8)


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch, model):
    """Load each model once for all tests."""
    monkeypatch.setattr(predict, "load_classifier", lambda path, **_: classifier(path))


def classifier(path, known={}):  # noqa: B006 - kept for all tests
    if str(path) not in known:
        known[str(path)] = hornbook.load_classifier(path)
    return known[str(path)]


def made_up(count: int) -> list[dict]:
    random = np.random.default_rng(5)
    texts = [" ".join(random.choice(WORDS, int(n))) for n in random.integers(1, 40, count)]
    return [{"id": str(i), "text": text, "note": 'a "b", é'} for i, text in enumerate(texts)]


def write(path: Path, table: list[dict]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table), "utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(table), path)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            lines = csv.DictWriter(file, list(table[0]))
            lines.writeheader()
            lines.writerows(table)
    else:
        lines = [list(table[0]), *(row.values() for row in table)]
        path.write_text("".join("\t".join(line) + "\n" for line in lines), "utf-8")
    return path


def read(path: Path) -> list[dict]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = path.read_text("utf-8")
    table = (
        list(csv.reader(text.splitlines())) if path.suffix == ".csv" else [r.split("\t") for r in text.splitlines()]
    )
    found = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    return [{k: float(v) if k.startswith(("prob", "score")) else v for k, v in row.items()} for row in found]


def one_at_a_time(model: Path, table: list[dict]) -> list[dict]:
    """The obvious loop: each row by itself."""
    classify = classifier(model)
    found = []
    for row in table:
        answer = classify([row["text"]], [row["second"]] if "second" in row else None)
        shares = dict(zip(SHARES, answer.probabilities[0], strict=True))
        found.append({**row, "label": answer.labels[0], **shares})
    return found


def same(found: list[dict], wanted: list[dict]) -> bool:
    assert [list(row) for row in found] == [list(row) for row in wanted]
    return all(
        value == (pytest.approx(other, abs=2e-6) if isinstance(other, float) else other)
        for row, beside in zip(found, wanted, strict=True)
        for value, other in zip(row.values(), beside.values(), strict=True)
    )


@pytest.mark.parametrize("of", [".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("to", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_any_format_to_any_other_is_as_one_row_at_a_time(model, tmp_path, of, to):
    table = made_up(20)
    source = write(tmp_path / f"in{of}", table)
    done = predict.predict_file(model, source, tmp_path / f"out{to}")
    assert (done.rows, done.windows, done.skipped) == (20, 3, 0)
    assert same(read(tmp_path / f"out{to}"), one_at_a_time(model, table))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({source.name, f"out{to}"})


word = st.sampled_from(["w1", "w2 w3", "W9", "é", '"', "x" * 30, "w4 " * 30])
one_text = st.lists(word, min_size=1, max_size=6).map(" ".join)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries({"text": one_text, "second": one_text}), min_size=1, max_size=25), st.data())
def test_pairs_with_bad_rows_among_them_are_as_one_row_at_a_time(model, tmp_path, table, data):
    lines = [json.dumps(row) for row in table]
    bad = st.sampled_from(["{", "[1]", "3", '{"text": null, "second": "w1"}', '{"text": "w1"}', '{"second": "w1"}'])
    places = data.draw(st.lists(st.tuples(st.integers(1, len(lines)), bad), max_size=5))
    for place, line in sorted(places, reverse=True):
        lines.insert(place, line)
    (tmp_path / "in.jsonl").write_text("\n\n".join(lines))
    config = PredictConfig(text_pair="second", bad_rows="skip")
    done = predict.predict_file(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl", config, force=True)
    assert (done.rows, done.skipped) == (len(table), len(places))
    assert same(read(tmp_path / "out.jsonl"), one_at_a_time(model, table))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("to", [".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("torn", [b"", b"half a li"])
def test_a_killed_run_goes_on_to_the_same_bytes(model, tmp_path, monkeypatch, to, torn):
    table = made_up(60)
    table[40]["text"] = ""
    source, whole, out = write(tmp_path / "in.csv", table), tmp_path / f"whole{to}", tmp_path / f"out{to}"
    config = PredictConfig(bad_rows="skip")
    wanted = predict.predict_file(model, source, whole, config)
    written, append = [], output.PartFile.append

    def stop_after_three(self, data, done):
        append(self, data, done)
        written.append(done.windows)
        if done.windows == 3:
            raise Killed

    monkeypatch.setattr(output.PartFile, "append", stop_after_three)
    with pytest.raises(Killed):
        predict.predict_file(model, source, out, config)
    assert not out.exists()
    with (tmp_path / f".out{to}.part").open("ab") as part:
        part.write(torn)  # the process ended while it wrote
    assert predict.predict_file(model, source, out, config) == wanted
    assert written == [1, 2, 3, 4, 5, 6, 7, 8]
    assert out.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", whole.name, out.name}


def test_a_run_of_another_input_or_other_settings_begins_anew(model, tmp_path, monkeypatch):
    source, out = write(tmp_path / "in.jsonl", made_up(30)), tmp_path / "out.jsonl"
    begun, begin = [], output.PartFile.begin

    def stop(self, data, done):
        append(self, data, done)
        raise Killed

    append = output.PartFile.append
    monkeypatch.setattr(output.PartFile, "begin", lambda self: begun.append(begin(self)) or begun[-1])
    for config, change in ((PredictConfig(), False), (PredictConfig(prefix="x_"), False), (PredictConfig(), True)):
        monkeypatch.setattr(output.PartFile, "append", stop)
        with pytest.raises(Killed):
            predict.predict_file(model, source, out, PredictConfig(threads=1), force=True)
        monkeypatch.setattr(output.PartFile, "append", append)
        if change:
            write(source, made_up(31))
        predict.predict_file(model, source, out, config, force=True)
    assert [done.windows for done in begun] == [0, 1, 0, 0, 0, 0]


def test_a_file_that_is_there_is_not_replaced(model, tmp_path):
    source, out = write(tmp_path / "in.jsonl", made_up(3)), tmp_path / "out.csv"
    out.write_text("mine")
    with pytest.raises(
        HornbookError, match=r"out\.csv: is there already; name another file, or replace it with --for"
    ):
        predict.predict_file(model, source, out)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(HornbookError, match="is a folder"):
        predict.predict_file(model, source, tmp_path / "folder.csv")
    assert out.read_text() == "mine"
    predict.predict_file(model, source, out, force=True)
    assert len(read(out)) == 3


def test_rows_stay_as_they_were_written(model, tmp_path):
    line = '{"n": 1.50,  "big": 123456789012345678901234567890, "text": "w1 \\u00e9", "half": "\\ud800"}'
    (tmp_path / "in.jsonl").write_text(f"\ufeff{line} \r\n", "utf-8")
    predict.predict_file(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text("utf-8").startswith(f'{line[:-1]}, "label": ')
    table = pa.table({"when": pa.array([1, None], pa.date32()), "text": pa.array(["w1", "w2"]).dictionary_encode()})
    pq.write_table(table.replace_schema_metadata({"pandas": "{}"}), tmp_path / "in.parquet")
    predict.predict_file(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(["when", "text"]).cast(table.schema) == table
    assert found.schema.metadata is None


BAD = {
    "no object": (".jsonl", '{"text": "w1"}\n\n{"text": "w2"\n', r"in\.jsonl: line 3: not a JSON object"),
    "no text": (".jsonl", '{"text": "w1"}\n{"text": null}\n', r"line 2: no text in column 'text'; correct it, or"),
    "a number": (".jsonl", '{"text": "w1"}\n{"text": 3}\n', r"line 2: no text in column 'text' but '3'"),
    "half a character": (".jsonl", '{"text": "\\ud800"}\n', "line 1: the text in column 'text' is not valid"),
    "blank": (".csv", 'id,text\n1,"a\nb"\n2, \n', r"in\.csv: line 4: no text in column 'text'"),
    "too few fields": (".csv", "id,text\n1,w1\n2\n", r"line 3: 1 fields, but the heading has 2"),
    "an open quote": (".csv", 'id,text\n1,w1\n2,"w1\n3,w1\n', r"line 3: not CSV: unexpected end of data"),
    "a tab too many": (".tsv", "text\nw1\nw1\tw2\n", r"line 3: 2 fields, but the heading has 1"),
    "no such column": (".csv", "id,texts\n1,w1\n", r"no column 'text' \(did you mean 'texts'\?\); the col"),
    "no such key": (".jsonl", '{"id": 1, "body": "w1"}\n', r"no column 'text'; the columns are id, body; name i"),
    "two columns": (".csv", "text,text\n1,w1\n", r"the heading has two columns 'text'"),
    "a column of ours": (".csv", "text,label\nw1,x\n", r"has a column 'label' already; rename the new ones with"),
    "one, later": (".jsonl", '{"text": "w1"}\n{"text": "w1", "probability_bad": 1}', "has a column 'probab"),
    "no rows": (".csv", "id,text\n", r"in\.csv: holds no rows"),
    "nothing": (".jsonl", "", r"in\.jsonl: holds no rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file(model, tmp_path, case):
    suffix, content, message = BAD[case]
    (tmp_path / f"in{suffix}").write_text(content)
    with pytest.raises(HornbookError, match=message):
        predict.predict_file(model, tmp_path / f"in{suffix}", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_skipped_rows_are_counted_and_the_first_is_named(model, tmp_path):
    (tmp_path / "in.csv").write_text('id,text\n1,w1\n2\n3, \n4,"w"3\n5,w5\n')
    config = PredictConfig(bad_rows="skip")
    done = predict.predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv", config)
    assert (done.rows, done.skipped) == (2, 3)
    assert done.first_fault == f"{tmp_path}/in.csv: line 3: 1 fields, but the heading has 2"
    assert [row["id"] for row in read(tmp_path / "out.csv")] == ["1", "5"]
    (tmp_path / "none.csv").write_text("id,text\n1,\n")
    with pytest.raises(HornbookError, match=r"no row can be classified: .*none\.csv: line 2: no text"):
        predict.predict_file(model, tmp_path / "none.csv", tmp_path / "no.csv", config)


def test_no_label_where_the_model_is_not_sure(model, tmp_path):
    table = made_up(30)
    source, out = write(tmp_path / "in.csv", table), tmp_path / "out.csv"
    wanted = one_at_a_time(model, table)
    edge = float(np.median([max(row[name] for name in SHARES) for row in wanted]))
    done = predict.predict_file(model, source, out, PredictConfig(abstain_below=edge + 1e-4, prefix="my_"))
    labels = [row["my_label"] for row in read(out)]
    assert labels == [row["label"] if max(row[s] for s in SHARES) >= edge + 1e-4 else "" for row in wanted]
    assert 0 < done.unlabelled == labels.count("") < 30


def test_several_labels_are_a_list_and_scores_a_column(tmp_path):
    source = write(tmp_path / "in.jsonl", made_up(20))
    several = save_classifier(tmp_path / "several", kind="multilabel")
    predict.predict_file(several, source, tmp_path / "out.jsonl")
    predict.predict_file(several, source, tmp_path / "out.csv")
    found = read(tmp_path / "out.jsonl")
    assert all(row["labels"] == [n for n in LABELS if row[f"probability_{n}"] > 0.5] for row in found)
    assert [row["labels"] for row in read(tmp_path / "out.csv")] == [",".join(row["labels"]) for row in found]
    scores = save_classifier(tmp_path / "scores", kind="regression")
    predict.predict_file(scores, source, tmp_path / "scores.parquet")
    assert list(read(tmp_path / "scores.parquet")[0]) == ["id", "text", "note", "score"]
    for kind, what in ((several, "several labels per text"), (scores, "scores")):
        with pytest.raises(HornbookError, match=f"is for models of one label per text; this one gives {what}"):
            predict.predict_file(kind, source, tmp_path / "no.csv", PredictConfig(abstain_below=0.5))


def test_rows_that_do_not_fit_the_first_ones_are_refused_where_columns_are_fixed(model, tmp_path):
    table = [{"text": "w1", "n": 1, "empty": None}] * 9
    for more in ({"n": "x"}, {"late": 1}):
        source = write(tmp_path / "in.jsonl", [*table, {"text": "w1", **more}])
        with pytest.raises(HornbookError, match=r"do not fit the types of the first rows .* write JSONL instead"):
            predict.predict_file(model, source, tmp_path / "out.parquet")
    with pytest.raises(HornbookError, match=r"line 10 has a column 'late', which the first row lacks; write JSONL"):
        predict.predict_file(model, source, tmp_path / "out.csv")
    source = write(tmp_path / "tabs.jsonl", [{"text": "w1\tw2"}])
    with pytest.raises(HornbookError, match="has a tab or a line end, which TSV cannot hold"):
        predict.predict_file(model, source, tmp_path / "out.tsv")


@pytest.mark.parametrize(
    ("source", "out", "format", "message"),
    [
        ("in.txt", "out.csv", None, "cannot be read row by row; the formats are csv, tsv, jsonl, parquet"),
        ("-", "out.csv", "parquet", "Parquet cannot be read from the standard input"),
        ("in.parquet", None, None, "Parquet cannot be written to the standard output"),
        ("in.csv", "out.xlsx", None, "are written as .jsonl, .csv, .tsv or .parquet, not as .xlsx"),
        ("none.csv", "out.csv", None, "none.csv: no such file"),
    ],
)
def test_a_format_that_cannot_be(model, tmp_path, monkeypatch, source, out, format, message):
    monkeypatch.chdir(tmp_path)
    for name in ("in.txt", "in.csv", "in.parquet"):
        Path(name).write_text("text\nw1\n")
    with pytest.raises(HornbookError, match=message):
        predict.predict_file(model, source, out, format=format)

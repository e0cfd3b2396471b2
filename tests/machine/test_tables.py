"""The one table reader: every format gives the same rows, streamed or read as a whole; damaged files are refused."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.sources import find_sources, read_documents
from hornbook.errors import HornbookError
from hornbook.machine.tables import FORMATS, columnar, count_rows, format_of, read_rows, rows, stem, stream_texts
from hornbook.machine.text_files import COMPRESSIONS, suffixes
from hornbook.recipe import TaskConfig
from hornbook.tasks import open_task, prepare

TEXTS = ["one", "zwei ü", 'three, "quoted"', "4\u2028", "1.10", "NA"]
TABLE = {"text": TEXTS, "label": ["1.10", "1.1", "b", "null", "0", "ä"]}


def ipc(path, table, stream=False, **options):
    with pa.OSFile(str(path), "wb") as file:
        make = pa.ipc.new_stream if stream else pa.ipc.new_file
        with make(file, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table)
    return path


def write(path, columns=TABLE):
    """Write columns of text in the format of the file's name."""
    suffix, table = "".join(path.suffixes[:1]), pa.table(columns)
    lines = list(zip(*columns.values(), strict=True))
    if suffix == ".parquet":
        pq.write_table(table, path)
    elif suffix == ".arrow":
        ipc(path, table)
    elif suffix == ".feather":
        pyarrow.feather.write_feather(table, path)
    elif suffix.startswith(".json"):
        text = "".join(json.dumps(dict(zip(columns, line, strict=True))) + "\n" for line in lines)
        compress(path, text.encode())
    else:
        with (path.parent / "plain").open("w", newline="", encoding="utf-8") as file:
            if suffix == ".tsv":
                file.writelines("\t".join(line) + "\n" for line in (columns, *lines))
            else:
                csv.writer(file, delimiter=";" if suffix == ".txt" else ",").writerows((columns, *lines))
        compress(path, (path.parent / "plain").read_bytes())
    return path


def compress(path, data):
    if path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(data)
    else:
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def names():
    for suffix, one in FORMATS.items():
        yield from (f"a{suffix}{more}" for more in ("", *(COMPRESSIONS if one.compressible else ())))


@pytest.mark.parametrize("name", names())
def test_every_format_gives_the_same_rows(tmp_path, name):
    path = write(tmp_path / name)
    assert (stem(path), format_of(path) is not None) == ("a", True)
    found = read_rows(path, ";" if ".txt" in name else None)
    assert found.columns == TABLE
    if FORMATS[path.suffixes[0]].stream is None:
        with pytest.raises(ValueError, match="cannot be streamed"):
            stream_texts(path, "text")
        return
    (batch,) = stream_texts(path, "text", "label")
    assert (batch.texts.to_pylist(), batch.names.to_pylist()) == (TABLE["text"], TABLE["label"])
    assert (batch.texts.type, batch.names.type) == (pa.string(), pa.string())


@given(
    st.lists(st.tuples(st.none() | st.text(st.characters(codec="utf-8")), st.none() | st.text("ab"))),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]),
)
def test_arrow_batches_hold_the_rows_in_their_order(tmp_path_factory, cases, characters, as_stream, kind):
    path = tmp_path_factory.mktemp("arrow") / "a.arrow"
    texts, more = (pa.array([case[i] for case in cases], pa.string()).cast(kind) for i in (0, 1))
    ipc(path, pa.table({"x": pa.nulls(len(cases)), "text": texts, "source": more}), as_stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columnar, "BATCH_CHARACTERS", characters)
        batches = list(stream_texts(path, "text", "source"))
    assert [pair for b in batches for pair in zip(b.texts.to_pylist(), b.names.to_pylist(), strict=True)] == cases


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_arrow_files_are_tasks_and_corpora(tmp_path, stream, compression):
    texts = [f"some text {i}" for i in range(40)]
    table = pa.table({"text": texts, "label": ["1.10", "1.1"] * 20, "source": ["web", None] * 20})
    path = ipc(tmp_path / "a.arrow", table, stream, compression=compression)
    pq.write_table(table, tmp_path / "a.parquet")
    of_arrow, of_parquet = (
        open_task(prepare(TaskConfig(source=str(tmp_path / name)), tmp_path / f"task {name}"))
        for name in ("a.arrow", "a.parquet")
    )
    assert of_arrow.labels == ("1.1", "1.10")
    assert all(of_arrow.split(name).equals(of_parquet.split(name)) for name in ("train", "dev", "test"))
    (source,) = find_sources([str(path)])
    (batch,) = read_documents(source, "text")
    assert (source.name, batch.texts.to_pylist(), batch.sources.to_pylist()) == ("a", texts, ["web", "a"] * 20)


@pytest.mark.parametrize("name", [name for name in names() if FORMATS[suffixes(Path(name))[0]].windows])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_windows_hold_the_rows_of_the_whole_table(tmp_path, monkeypatch, name, size):
    for module in (rows, columnar):
        monkeypatch.setattr(module, "WINDOW_ROWS", size)
    write(tmp_path / name)
    whole = read_rows(tmp_path / name).columns
    windows = list(format_of(name).windows(tmp_path / name))
    assert [len(window.numbers) for window in windows] == [len(TEXTS[i : i + size]) for i in range(0, 6, size)]
    for column, values in whole.items():
        assert [value for window in windows for value in window.column(column)] == values
    records = [record for window in windows for record in window.take(range(len(window.numbers))).records()]
    assert records == [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]
    assert not any(window.faults for window in windows)
    assert {window.has_any({"label", "x"}) for window in windows} == {"label"}
    assert count_rows(tmp_path / name) - (".parquet" not in name and ".json" not in name) == 6


def test_windows_of_long_rows_hold_few(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "BATCH_CHARACTERS", 100)
    (tmp_path / "x.csv").write_text("text\n" + "".join(f"{'a' * n}\n" for n in (60, 60, 10, 300, 10)))
    windows = FORMATS[".csv"].windows(tmp_path / "x.csv")
    assert [list(window.numbers) for window in windows] == [[2, 3], [4, 5], [6]]


def test_rows_that_cannot_be_read_are_faults_of_their_line(tmp_path):
    (tmp_path / "x.csv").write_text('sep=,\r\na,b\r\n1,"x\r\ny"\r\n\r\n2\r\n3,"z"z\r\n4,v\r\n')
    (window,) = FORMATS[".csv"].windows(tmp_path / "x.csv")
    assert list(window.numbers) == [3, 6, 7, 8]
    assert window.faults == {1: "1 fields, but the heading has 2", 2: "not CSV: ',' expected after '\"'"}
    assert window.column("b") == ["x\r\ny", None, None, "v"]
    assert window.take([3]).records() == [{"a": "4", "b": "v"}]


def test_a_data_set_that_was_saved_to_disk_is_read(tmp_path, caplog):
    import datasets

    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    made = datasets.Dataset.from_dict(
        {"text": [f"t {i}" for i in range(40)], "label": [0, 1] * 20}, features=features
    )
    datasets.DatasetDict(train=made, validation=made).save_to_disk(str(tmp_path / "set"), num_proc=None)
    task = open_task(prepare(TaskConfig(source=str(tmp_path / "set")), tmp_path / "task"))
    assert (task.labels, task.splits, len(task.split("train"))) == (("no", "yes"), ("train", "dev"), 40)
    assert "not read" not in caplog.text


def cut(path, of):
    path.write_bytes(path.read_bytes()[:-of])
    return path


DAMAGED = {
    "no table": (lambda f: f.write_bytes(b"nothing of the kind"), "not a readable Arrow file: the stream has no end"),
    "file cut": (lambda f: cut(write(f), 20), "not a readable Arrow file: "),
    "stream cut": (
        lambda f: cut(ipc(f, pa.table(TABLE), stream=True), 8),
        "not a readable Arrow file: the stream has no end; the file is not complete",
    ),
    "Feather 1": (lambda f: f.write_bytes(b"FEA1    "), "is Feather version 1; write it again as version 2"),
    "no UTF-8": (
        lambda f: ipc(f, pa.table({"text": pa.array([b"ok", b"b\xff"]).view(pa.string())})),
        "row [12] .*not UTF-8",
    ),
    "offsets": (
        lambda f: ipc(f, pa.table({"text": broken_offsets()})),
        "not a readable Arrow file: .*(offset|buffer)",
    ),
}


def broken_offsets():
    offsets = pa.array([0, 1 << 30, 2], pa.int32()).buffers()[1]
    return pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"ab"))


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damaged_arrow_files_are_refused_in_one_line(tmp_path, damage):
    make, message = damage
    make(tmp_path / "a.arrow")
    for read in (read_rows, lambda path: list(stream_texts(path, "text"))):
        with pytest.raises(HornbookError, match=rf"a\.arrow.*{message}") as error:
            read(tmp_path / "a.arrow")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.jsonl.zst"])
def test_cut_compressed_files_are_refused(tmp_path, name):
    write(tmp_path / name, {"text": [f"t {i * 7919}" for i in range(2000)], "label": ["x", "y"] * 1000})
    cut(tmp_path / name, 30)
    with pytest.raises(HornbookError, match=r"cannot be read: not a complete (gzip|zstd) file"):
        read_rows(tmp_path / name)


def test_a_time_that_python_cannot_hold_is_refused_only_where_it_is_used(tmp_path):
    far = pa.array([2**62, 0], pa.timestamp("s"))
    found = read_rows(ipc(tmp_path / "a.arrow", pa.table({"text": ["a", "b"], "when": far})))
    assert found.column("text") == ["a", "b"]
    with pytest.raises(HornbookError, match=r"column 'when' \(timestamp\[s\]\) cannot be read"):
        found.column("when")


def test_the_second_column_may_be_the_first(tmp_path):
    for name in ("a.jsonl", "a.parquet", "a.arrow"):
        (batch,) = stream_texts(write(tmp_path / name), "text", "text")
        assert batch.names.to_pylist() == TEXTS
    assert rows.BATCH_CHARACTERS == columnar.BATCH_CHARACTERS

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.corpus import build, sources
from hornbook.corpus.sources import (
    config_of,
    default_name,
    find_sources,
    is_source,
    read_documents,
    source_key,
    sources_of,
)
from hornbook.errors import HornbookError
from hornbook.machine import text_files
from hornbook.machine.tables import rows
from hornbook.recipe import CorpusConfig


def read(given, text_column="text"):
    """Return all (source, document) pairs."""
    pairs = []
    for source in find_sources([str(given)]):
        for batch in read_documents(source, text_column):
            texts = batch.texts.to_pylist()
            names = [batch.sources] * len(texts) if isinstance(batch.sources, str) else batch.sources.to_pylist()
            pairs += zip(names, texts, strict=True)
    return pairs


def zst(path, data):
    with pa.output_stream(str(path), compression="zstd") as stream:
        stream.write(data)


def test_text_lines_are_paragraphs_and_blank_lines_end_documents(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\n \n\nthré\n".encode())
    assert read(path) == [("a", "one\r\n\ntwo"), ("a", "thré")]


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_blocks_do_not_matter(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_files, "BLOCK_BYTES", block)
    monkeypatch.setattr(rows, "BATCH_CHARACTERS", block)
    (tmp_path / "a.txt").write_text("one é\ntwo\n\nthree\nfour", "utf-8")
    assert read(tmp_path / "a.txt") == [("a", "one é\n\ntwo"), ("a", "three\n\nfour")]


def test_a_file_without_blank_lines_is_not_one_document(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "DOCUMENT_CHARACTERS", 6)
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\nfour")
    assert [text for _, text in read(tmp_path / "a.txt")] == ["one\n\ntwo", "three\n\nfour"]


@pytest.mark.parametrize("write", ["plain", "gz", "zst"])
@pytest.mark.parametrize("kind", ["txt", "jsonl"])
def test_compressed_files(tmp_path, kind, write):
    data = b"one two\n" if kind == "txt" else b'{"text": "one two"}\n'
    path = tmp_path / (f"wiki-003.{kind}" if write == "plain" else f"wiki-003.{kind}.{write}")
    if write == "zst":
        zst(path, data)
    else:
        path.write_bytes(gzip.compress(data) if write == "gz" else data)
    assert read(path) == [("wiki", "one two")]


def test_jsonl_with_its_own_source_column(tmp_path):
    rows = [{"text": "a", "source": "books"}, {"text": None, "source": "web"}, {"text": "b \ud800", "source": 3}]
    path = tmp_path / "mixed.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    assert read(path) == [("books", "a"), ("web", None), ("mixed", "b ")]
    assert {name for name, _ in read(f"mine={path}")} == {"mine"}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet(tmp_path, kind):
    table = pa.table({"id": [1, 2, 3], "body": pa.array(["a", None, "c"]).cast(kind), "source": ["x", None, "z"]})
    pq.write_table(table, tmp_path / "part-00000-of-00002.parquet")
    assert read(tmp_path, "body") == [("x", "a"), ("part", None), ("z", "c")]
    assert read(f"mine={tmp_path}", "body") == [("mine", "a"), ("mine", None), ("mine", "c")]


def test_folders_and_globs_are_sorted(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.txt", ".hidden.txt", ".cache/d.txt", "README.md", "table.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [name for name, _ in read(tmp_path)] == ["a", "b", "c"]
    assert [name for name, _ in read(tmp_path / "*.txt")] == ["a", "b"]
    assert [name for name, _ in read(tmp_path / "**/c.txt")] == ["c"]
    assert [name for name, _ in read(f"all={tmp_path / '[ab].txt'}")] == ["all", "all"]


def test_a_path_with_an_equals_sign_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lang=en").mkdir()
    (tmp_path / "lang=en" / "a.txt").write_text("a")
    assert read("lang=en") == [("a", "a")]
    assert read("mine=lang=en") == [("mine", "a")]


def test_names_and_kinds(tmp_path):
    names = ["books-001.parquet", "c4-00000-of-01024.json.gz", "wiki.en.TXT", "news-2019-04.text", "-7.md"]
    assert [default_name(tmp_path / name) for name in names] == ["books", "c4", "wiki.en", "news-2019", "-7"]
    assert all(is_source(tmp_path / name) for name in (*names, "a.arrow", "a.feather", "a.json.zst"))
    assert not any(is_source(tmp_path / name) for name in ("a.parquet.gz", "a.arrow.zst", "a.gz", "a", "a.csv"))


def test_the_key_is_of_the_content(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    one = source_key(find_sources([str(tmp_path)]))
    assert one == source_key(find_sources([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]))
    assert one != source_key(find_sources([str(tmp_path / "b.txt"), str(tmp_path / "a.txt")]))
    (tmp_path / "b.txt").write_text("c")
    assert one != source_key(find_sources([str(tmp_path)]))


def write_not_parquet(folder):
    (folder / "a.parquet").write_bytes(b"no table")
    return folder / "a.parquet"


def write_table(folder, **columns):
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder / "a.parquet"


def write(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


WRONG = {
    "missing": (lambda f: f / "a.txt", r"a\.txt: no such file or folder"),
    "glob without a file": (lambda f: f / "*.txt", r"\*\.txt: no file matches"),
    "empty file": (lambda f: write(f, "a.txt", b""), r"a\.txt: is empty"),
    "only blank lines": (lambda f: write(f, "a.txt", b"\n \n"), r"a\.txt: holds no text"),
    "only blank JSON lines": (lambda f: write(f, "a.jsonl", b"\n"), r"a\.jsonl: holds no text"),
    "empty table": (lambda f: write_table(f, text=pa.array([], pa.string())), r"a\.parquet: holds no text"),
    "empty folder": (lambda f: f, r"no file with text in this folder; the types are \.txt .*\.parquet"),
    "unknown type": (lambda f: write(f, "a.csv", b"a"), r"a\.csv: cannot be read as text; the types are \.txt"),
    "unknown column": (
        lambda f: write_table(f, a=["x"], b=["y"]),
        r"a\.parquet: no column 'text'; there are 'a', 'b'",
    ),
    "column of numbers": (lambda f: write_table(f, text=[1]), r"a\.parquet: column 'text' holds no text but int64"),
    "not Parquet": (write_not_parquet, r"a\.parquet: not a readable Parquet file"),
    "not UTF-8": (lambda f: write(f, "a.txt", b"ok\nb\xff\n"), r"a\.txt: line 2 \(byte 4\) is not UTF-8"),
    "not UTF-8 at the end": (lambda f: write(f, "a.txt", b"ok\n\n\xe9"), r"a\.txt: line 3 \(byte 4\) is not UTF-8"),
    "not UTF-8 in Parquet": (
        lambda f: write_table(f, text=pa.array([b"ok", b"b\xff"]).view(pa.string())),
        r"a\.parquet, row 1 \(byte 1 of its text\): not UTF-8",
    ),
    "unknown JSON key": (
        lambda f: write(f, "a.jsonl", b'{"a": 1}'),
        r"a\.jsonl, line 1: no column 'text'; there are 'a'",
    ),
    "no JSON": (lambda f: write(f, "a.jsonl", b'\n{"text"'), r"a\.jsonl: line 2 is not a JSON object"),
    "JSON array": (lambda f: write(f, "a.json", b'[{"text": "a"}]'), r"a\.json: line 1 is not a JSON object"),
    "number in JSON": (lambda f: write(f, "a.jsonl", b'{"text": 5}'), r"line 1: column 'text' holds no text but 5"),
    "no gzip": (lambda f: write(f, "a.txt.gz", b"plain text"), r"a\.txt\.gz: cannot be read"),
    "broken gzip": (
        lambda f: write(f, "a.txt.gz", gzip.compress(bytes(range(128)) * 500)[:-90]),
        r"a\.txt\.gz: cannot be read",
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_input_is_named_in_one_line(tmp_path, wrong):
    make, message = wrong
    with pytest.raises(HornbookError, match=message) as error:
        read(make(tmp_path))
    assert "\n" not in str(error.value)


class FakeHub:
    def dataset_info(self, name):
        if name != "org/prose":
            raise OSError(f"no {name}\nhere")
        return type("Info", (), {"sha": "abc123"})()


def test_hub_datasets_are_streamed(monkeypatch):
    import datasets
    import huggingface_hub

    asked = []

    def load_dataset(*place, **options):
        asked.append((place, options))
        return datasets.Dataset.from_dict({"text": ["a", "b"]}).to_iterable_dataset()

    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read("hub:org/prose:en") == [("prose", "a"), ("prose", "b")]
    assert read("mine=hub:org/prose") == [("mine", "a"), ("mine", "b")]
    options = {"split": "train", "streaming": True, "revision": "abc123"}
    assert asked == [(("org/prose", "en"), options), (("org/prose", None), options)]
    with pytest.raises(HornbookError, match="hub:org/prose: no column 'body'; there are 'text'"):
        read("hub:org/prose", "body")
    with pytest.raises(HornbookError, match="hub:org/none: the hub dataset cannot be reached: no org/none here"):
        read("hub:org/none")


@pytest.mark.parametrize("values", [[5, 6], [["a"], ["b"]], [1.5, None], [{"en": "a"}]])
@pytest.mark.parametrize("known", [True, False])
def test_a_hub_column_without_text_is_refused_in_one_line(monkeypatch, values, known):
    import datasets
    import huggingface_hub

    def load_dataset(*_, **__):
        if known:
            return datasets.Dataset.from_dict({"text": values}).to_iterable_dataset()
        return datasets.IterableDataset.from_generator(lambda: ({"text": value} for value in values))

    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(HornbookError, match=r"^hub:org/prose: column 'text' holds no text but .*\(text_column\)$"):
        read("hub:org/prose")


SENTENCES = ["One good sentence stands here.", None, "Another one follows it, ü.", "And a last one ends it."] * 30
OTHERS = [*SENTENCES[:-1], "Some other text."]


def pandas_frame(columns):
    import pandas as pd

    return pd.DataFrame(columns)


def dataset(columns):
    import datasets

    return datasets.Dataset.from_dict(columns)


@pytest.mark.parametrize(
    "make",
    [
        lambda texts: iter(texts),
        pa.array,
        lambda texts: pa.chunked_array([texts[:7], texts[7:]]),
        lambda texts: pa.table({"id": range(len(texts)), "text": pa.chunked_array([texts[:50], texts[50:]])}),
        lambda texts: pandas_frame({"text": texts, "x": 1}),
        lambda texts: dataset({"text": texts}),
        lambda texts: {"texts": tuple(texts)},
    ],
    ids=["iterator", "array", "chunks", "table", "pandas", "dataset", "named"],
)
def test_texts_in_memory_are_one_corpus_whatever_holds_them(tmp_path, make):
    config = config_of(make(SENTENCES), {"unit": "line"})
    given = sources_of(make(SENTENCES), config)
    assert (config.unit, [source.name for source in given]) == ("line", ["texts"])
    assert source_key(given) == source_key(sources_of(list(SENTENCES), config))
    assert source_key(given) != source_key(sources_of(make(OTHERS), config))
    (batch,) = read_documents(given[0], config.text_column)
    assert batch.texts.to_pylist() == SENTENCES


def test_a_corpus_of_texts_in_memory_is_that_of_a_file(tmp_path):
    first = build(list(SENTENCES), tmp_path / "corpus", shard_units=2)
    assert build(pa.table({"text": SENTENCES}), tmp_path / "corpus", shard_units=2).reused
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in SENTENCES))
    of_file = build(CorpusConfig(sources=(str(tmp_path / "texts.jsonl"),), shard_units=2), tmp_path / "of file")
    assert first.manifest["files"] == of_file.manifest["files"]


@pytest.mark.parametrize(
    ("data", "settings", "said"),
    [
        ("a.txt", {}, "corpus: texts is one text or path; give texts, or CorpusConfig"),
        (["a text", 7], {}, "texts: 7 is not a text"),
        ([], {}, "texts: holds no text"),
        ({"web": pa.table({"body": ["a"]})}, {}, "web: no column 'text'; there are 'body' \\(set text_column\\)"),
        (["a"], {"units": "line"}, "corpus: unknown key 'units'; the nearest known key is 'unit'"),
        (CorpusConfig(sources=("a.txt",)), {"unit": "line"}, "corpus: the settings are given already"),
    ],
)
def test_what_is_no_text_in_memory_is_refused_in_one_line(tmp_path, data, settings, said):
    with pytest.raises(HornbookError, match=said) as error:
        build(data, tmp_path / "corpus", **settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "corpus").exists()

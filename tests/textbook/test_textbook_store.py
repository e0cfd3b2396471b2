import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.errors import HornbookError
from hornbook.store import make
from hornbook.textbook import open_textbook
from hornbook.textbook.store import SCHEMA, table_of, write


def units(count):
    """Enough text that a shard has several pages."""
    texts = [f"text {number} " * 40 for number in range(count)]
    return table_of(pa.table({"unit": range(count), "text": texts, "source": ["s"] * count}))


def test_what_is_not_given_is_null():
    table = table_of(pa.table({"unit": [1], "text": ["a"], "source": ["s"]}), rank=pa.array([2]))
    assert table.schema == SCHEMA
    assert table.to_pylist() == [
        {"text": "a", "source": "s", "unit": 1, "rank": 2} | dict.fromkeys(("text_pair", "label", "score", "anchors"))
    ]


@pytest.mark.parametrize("cuts", [[25_000], [9_000, 16_000], [777, 0, 3_000, 21_223]])
def test_shards_do_not_depend_on_how_the_units_come(tmp_path, cuts):
    whole, tables, start = units(25_000), [], 0
    for cut in cuts:
        tables.append(whole.slice(start, cut))
        start += cut
    reference = tmp_path / "reference"
    for folder in (reference, tmp_path / "cut"):
        folder.mkdir()
    assert (
        write(reference, [whole], shard_units=10_000) == write(tmp_path / "cut", tables, shard_units=10_000) == 25_000
    )
    names = [f"textbook-{number:05d}.parquet" for number in range(3)]
    assert sorted(path.name for path in reference.iterdir()) == names
    assert [pq.read_metadata(reference / name).num_rows for name in names] == [10_000, 10_000, 5_000]
    for name in names:
        assert (reference / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_a_textbook_is_streamed_in_order(tmp_path):
    def fill(context):
        context.counts["units"] = write(context.path, [units(25)], shard_units=10)
        context.info["kind"] = "general"

    make(tmp_path / "book", stage="textbook", version=1, config={}, inputs={}, build=fill)
    book = open_textbook(tmp_path / "book")
    batches = list(book.batches(["unit"], batch_units=4))
    assert [n for batch in batches for n in batch.column("unit").to_pylist()] == list(range(25))
    assert max(batch.num_rows for batch in batches) == 4
    assert book.units == 25
    shard = tmp_path / "book" / "textbook-00001.parquet"
    content = shard.read_bytes()
    shard.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    with pytest.raises(HornbookError, match=r"textbook-00001\.parquet: missing or changed"):
        list(book.batches())
    shard.unlink()
    with pytest.raises(HornbookError, match="missing or changed"):
        list(book.batches())


def test_a_textbook_without_units_is_refused(tmp_path):
    with pytest.raises(HornbookError, match="no unit"):
        write(tmp_path, [units(0)])


def test_only_a_textbook_is_opened(tmp_path, make_corpus):
    with pytest.raises(HornbookError, match="not a finished textbook"):
        open_textbook(tmp_path)
    with pytest.raises(HornbookError, match="holds a corpus, but a textbook is needed"):
        open_textbook(make_corpus(["a film"]))

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hornbook.corpus import build, open_corpus, shards, store
from hornbook.errors import HornbookError
from hornbook.recipe import CorpusConfig

# The package exports the function of the same name.


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """300 units and 100 duplicates among them, in shards of 70 and row groups of 8."""
    folder = tmp_path_factory.mktemp("store")
    lines = [f"this is line {number if number % 4 else 0}" for number in range(400)]
    (folder / "a.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "ROW_GROUP_UNITS", 8)
        built = build(CorpusConfig(sources=(str(folder / "a.txt"),), shard_units=70), folder / "out")
    return open_corpus(built)


def test_what_it_says_of_itself(corpus):
    assert (corpus.units, corpus.words, corpus.sources) == (301, 301 * 4, {"a": 301})
    assert len(corpus.shards()) == 5
    assert open_corpus(corpus.artifact.path).key == open_corpus(str(corpus.artifact.path)).key == corpus.key


def test_batches_stream_in_the_order_of_ids(corpus):
    units = np.concatenate([batch.column("unit").to_numpy() for batch in corpus.batches(["unit"], batch_units=13)])
    assert units.tolist() == [0] + [number for number in range(400) if number % 4]
    batches = list(corpus.batches(["source", "text"], 13))
    assert max(map(len, batches)) == 13
    assert set(batches[0].schema.names) == {"source", "text"}


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 399).filter(lambda n: n == 0 or n % 4)))
def test_texts_are_the_rows_of_the_ids(corpus, ids):
    ids = np.sort(np.array(ids, dtype=np.int64))
    every = pa.Table.from_batches(corpus.batches())
    row_of = {unit: row for row, unit in enumerate(every.column("unit").to_pylist())}
    assert corpus.texts(ids).to_pylist() == [every.slice(row_of[unit], 1).to_pylist()[0] for unit in ids.tolist()]


def test_texts_read_only_the_row_groups_needed(corpus, monkeypatch):
    read = []

    class Watched(pq.ParquetFile):
        def read_row_group(self, number, **options):
            read.append(number)
            return super().read_row_group(number, **options)

    monkeypatch.setattr(store.pq, "ParquetFile", Watched)
    corpus.texts(np.array([1, 2, 2, 399]))
    # The last shard holds 301 - 4 * 70 = 21 units: its last row group of 8 is number 2.
    assert read == [0, 2]


def test_unknown_ids_are_refused(corpus):
    for missing in (4, 400, -1):
        with pytest.raises(HornbookError, match=f"no unit {missing} in this corpus"):
            corpus.texts(np.array(sorted([1, missing])))
    with pytest.raises(ValueError, match="ascend"):
        corpus.texts(np.array([2, 1]))
    assert corpus.texts(np.array([], dtype=np.int64)).schema == store.SCHEMA


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(HornbookError, match="not a finished corpus"):
        open_corpus(tmp_path)


def test_a_lost_shard_is_named(corpus, tmp_path):
    shutil.copytree(corpus.artifact.path, tmp_path / "copy")
    (tmp_path / "copy" / "units-00001.parquet").unlink()
    with pytest.raises(HornbookError, match=r"units-00001\.parquet: missing or changed"):
        list(open_corpus(tmp_path / "copy").batches())

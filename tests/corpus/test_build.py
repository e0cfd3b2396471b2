import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook import store as artifact
from hornbook.corpus import build, open_corpus, shards
from hornbook.corpus.build import HISTOGRAM_BINS, histogram
from hornbook.corpus.parts import Part
from hornbook.corpus.shards import plan_shards
from hornbook.corpus.units import count_words, cut
from hornbook.errors import HornbookError
from hornbook.machine import parallel
from hornbook.machine.tables import rows
from hornbook.recipe import CorpusConfig

# The package exports the function of the same name.
SHARED = Path(__file__).parents[3] / "shared" / "data" / "general"
WORDS = ["one", "two", "three", "Four", "five.", "six", "seven?", "eight"]


def make_sources(folder, lines=400, seed=0):
    """Write a text file and a Parquet file of random short lines, with many repeats; return their documents."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS[:3], k=draw.randint(1, 5))) for _ in range(lines)]
    rows = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(lines)]
    folder.mkdir(exist_ok=True)
    (folder / "a-text.txt").write_text("\n\n".join(texts))
    pq.write_table(pa.table({"text": rows}), folder / "b-rows.parquet", row_group_size=97)
    return [("a-text", text) for text in texts] + [("b-rows", text) for text in rows]


def slow_corpus(documents, config):
    """The whole build in memory, with a set."""
    counts = dict.fromkeys(("units", "duplicates", "too_short", "too_long", "dropped_words", "tagged", "words"), 0)
    counts["documents"] = len(documents)
    rows, seen, unit_id = [], set(), 0
    for source, text in documents:
        for unit in cut(text, config.unit, config.chunk_words):
            words = count_words(unit)
            if words < config.min_words:
                counts["too_short"] += 1
                counts["dropped_words"] += words
                continue
            if words > config.max_words:
                counts["too_long"] += 1
                counts["dropped_words"] += words
                continue
            if unit in seen:
                counts["duplicates"] += 1
            else:
                seen.add(unit)
                rows.append({"unit": unit_id, "text": unit, "source": source})
                counts["units"] += 1
                counts["words"] += words
            unit_id += 1
    return rows, counts


def settings(folder, **changes):
    return CorpusConfig(**{"sources": (str(folder),), "min_words": 2, "max_words": 9, "long_units": "drop"} | changes)


def rows_of(artifact):
    return [row for batch in open_corpus(artifact).batches() for row in batch.to_pylist()]


def shard_bytes(artifact):
    return [path.read_bytes() for path in open_corpus(artifact).shards()]


@pytest.mark.parametrize("unit", ["sentence", "line", "chunk"])
def test_the_corpus_is_what_the_slow_one_says(tmp_path, unit):
    documents = make_sources(tmp_path / "in")
    config = settings(tmp_path / "in", unit=unit, chunk_words=8, shard_units=100)
    built = build(config, tmp_path / "out")
    rows, counts = slow_corpus(documents, config)
    assert counts["duplicates"] > 50
    assert rows_of(built) == rows
    assert dict(built.counts) == counts
    by_source = {name: sum(row["source"] == name for row in rows) for name in ("a-text", "b-rows")}
    assert built.info["sources"] == by_source
    lengths = built.info["length_histogram"]
    wide = lengths["bin_words"]
    for number, units in enumerate(lengths["units"]):
        assert units == sum(number == count_words(row["text"]) // wide for row in rows)


def test_shards_are_of_a_fixed_number_of_units_and_ids_do_not_depend_on_it(tmp_path):
    make_sources(tmp_path / "in")
    small = build(settings(tmp_path / "in", shard_units=64), tmp_path / "small")
    large = build(settings(tmp_path / "in", shard_units=10_000), tmp_path / "large")
    assert rows_of(small) == rows_of(large)
    sizes = [pq.read_metadata(path).num_rows for path in open_corpus(small).shards()]
    assert set(sizes[:-1]) == {64}
    assert 0 < sizes[-1] <= 64
    assert [path.name for path in open_corpus(small).shards()][:2] == ["units-00000.parquet", "units-00001.parquet"]
    schema = pq.read_schema(open_corpus(small).shards()[0])
    assert schema.names == ["unit", "text", "source"]
    assert schema.types == [pa.int64(), pa.string(), pa.string()]


def test_workers_and_batches_do_not_matter(tmp_path, monkeypatch):
    make_sources(tmp_path / "in")
    config = settings(tmp_path / "in", shard_units=150)
    whole = build(config, tmp_path / "whole")
    monkeypatch.setattr(rows, "BATCH_CHARACTERS", 2000)
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    one = build(config, tmp_path / "one")
    monkeypatch.setattr(parallel, "cores", lambda: 3)
    three = build(config, tmp_path / "three")
    assert shard_bytes(one) == shard_bytes(three) == shard_bytes(whole)
    assert one.manifest["files"] == three.manifest["files"]
    assert three.measured["peak_memory_mb"] > one.measured["peak_memory_mb"]
    assert three.measured["units_per_second"] > 0


def test_row_groups_do_not_matter(tmp_path, monkeypatch):
    make_sources(tmp_path / "in")
    whole = build(settings(tmp_path / "in"), tmp_path / "whole")
    monkeypatch.setattr(shards, "ROW_GROUP_UNITS", 16)
    cut_up = build(settings(tmp_path / "in"), tmp_path / "cut_up")
    assert rows_of(whole) == rows_of(cut_up)
    metadata = pq.read_metadata(open_corpus(cut_up).shards()[0])
    assert {metadata.row_group(n).num_rows for n in range(metadata.num_row_groups - 1)} == {16}


def test_named_sources_and_their_order(tmp_path):
    (tmp_path / "a.txt").write_text("one two three four\nfive six seven eight\n")
    (tmp_path / "b.txt").write_text("five six seven eight\nnine ten eleven twelve\n")
    given = (f"second={tmp_path / 'b.txt'}", str(tmp_path / "a.txt"))
    built = build(CorpusConfig(sources=given), tmp_path / "out")
    assert [(row["unit"], row["source"]) for row in rows_of(built)] == [(0, "second"), (1, "second"), (2, "a")]
    assert open_corpus(built).sources == {"second": 2, "a": 1}


def test_it_is_reused_wherever_the_sources_lie(tmp_path):
    make_sources(tmp_path / "in")
    first = build(settings(tmp_path / "in"), tmp_path / "out")
    (tmp_path / "in").rename(tmp_path / "moved")
    again = build(settings(tmp_path / "moved"), tmp_path / "out")
    assert (first.reused, again.reused) == (False, True)
    assert build(settings(f"x={tmp_path / 'moved'}"), tmp_path / "other").key != first.key
    with pytest.raises(HornbookError, match="made from other settings"):
        build(settings(tmp_path / "moved", min_words=3), tmp_path / "out")


def test_nothing_left_says_which_filter_dropped_how_many(tmp_path):
    (tmp_path / "a.txt").write_text("too short\n\none two three four five six\n")
    with pytest.raises(
        HornbookError,
        match=r"left: 1 were shorter than min_words \(4, as separated by spaces\) and 1 were longer than max_words",
    ):
        build(settings(tmp_path, min_words=4, max_words=5), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_text_without_capitals_keeps_its_words(tmp_path):
    sentence = "we saw the film and it was good. "
    (tmp_path / "a.txt").write_text("\n".join([sentence * 40, "word " * 300, *["A line of five words."] * 3]))
    built = build(CorpusConfig(sources=(str(tmp_path),)), tmp_path / "out")
    units = [row["text"] for row in rows_of(built)]
    assert [len(unit.split()) for unit in units] == [8, 128, 44, 5]
    assert (built.counts["too_long"], built.counts["dropped_words"]) == (1, 0)


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("unit", ["sentence", "line"])
def test_many_dropped_words_are_told_with_what_to_set(tmp_path, caplog, unit):
    (tmp_path / "a.txt").write_text("\n".join(["word " * 300, "Too short.", *["A line of five words."] * 3]))
    built = build(CorpusConfig(sources=(str(tmp_path),), unit=unit, long_units="drop"), tmp_path / "out")
    assert built.counts["dropped_words"] == 302
    assert warned(caplog) == [
        "corpus: 95.3% of the words were dropped: 1 units under min_words (4); lower min_words; "
        "1 units over max_words (128); set long_units to cut, or raise max_words"
    ]


def test_few_dropped_words_are_not_told(tmp_path, caplog):
    (tmp_path / "a.txt").write_text("\n".join(["Too short.", *[f"A line of five {i}." for i in range(99)]]))
    build(CorpusConfig(sources=(str(tmp_path),)), tmp_path / "out")
    assert warned(caplog) == []


def test_tags_in_many_units_are_told(tmp_path, caplog):
    lines = [f"A line with <user> or 1 < {i}." for i in range(100)]
    (tmp_path / "few.txt").write_text("\n".join(["A film.<br />Long ago.", *lines]))
    (tmp_path / "many.txt").write_text("\n".join(["A film.<br />Long ago.", "<p>Two of the films.</p>", *lines]))
    few, many = (
        build(CorpusConfig(sources=(str(tmp_path / f"{name}.txt"),), unit="line"), tmp_path / name)
        for name in ("few", "many")
    )
    assert (few.counts["tagged"], many.counts["tagged"]) == (1, 2)
    assert warned(caplog) == ["corpus: 2 of 102 units hold HTML tags; strip the markup from the sources"]


def test_only_what_is_cut_otherwise_than_before_has_a_new_key(tmp_path):
    make_sources(tmp_path / "in")
    old = {"sources", "text_column", "unit", "chunk_words", "min_words", "max_words", "shard_units", "base"}
    old |= {"stem", "stop_words"}
    for changes, new in (
        ({"unit": "line"}, set()),
        ({"unit": "line", "long_units": "cut"}, {"long_units"}),
        ({"unit": "sentence"}, {"sentences"}),
        ({"unit": "line", "stem": "english"}, {"stems"}),
    ):
        config = settings(tmp_path / "in", **changes)
        built = build(config, tmp_path / "-".join(map(str, changes.values())))
        assert set(built.manifest["config"]) == old | new


def test_an_error_in_a_later_file_leaves_nothing(tmp_path):
    make_sources(tmp_path / "in")
    (tmp_path / "in" / "z.txt").write_bytes(b"good\n\xff\n")
    with pytest.raises(HornbookError, match="not UTF-8"):
        build(settings(tmp_path / "in"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_chunks_longer_than_units_are_refused(tmp_path):
    make_sources(tmp_path / "in")
    with pytest.raises(HornbookError, match=r"chunk_words \(200\) is more than max_words \(128\)"):
        build(CorpusConfig(sources=(str(tmp_path / "in"),), unit="chunk", chunk_words=200), tmp_path / "out")


@given(st.lists(st.lists(st.booleans(), max_size=9), max_size=6), st.integers(1, 7))
def test_the_plan_of_shards_takes_every_kept_unit_once(kept, shard_units):
    keep = np.array([unit for part in kept for unit in part], dtype=bool)
    firsts = np.cumsum([0, *map(len, kept)])
    parts = [Part(Path(), int(first), len(part)) for first, part in zip(firsts, kept, strict=False)]
    planned = [
        np.concatenate([part.first + rows for part, rows in shard]) for shard in plan_shards(parts, keep, shard_units)
    ]
    assert all(len(shard) == shard_units for shard in planned[:-1])
    assert all(0 < len(shard) <= shard_units for shard in planned)
    assert [unit for shard in planned for unit in shard] == np.flatnonzero(keep).tolist()


@pytest.mark.parametrize("longest", [1, 5, 31, 32, 33, 1000])
def test_the_histogram_counts_every_unit(longest):
    lengths = np.arange(longest + 1)
    bins = histogram(lengths)
    assert len(bins["units"]) <= HISTOGRAM_BINS
    wide = bins["bin_words"]
    assert bins["units"] == [int(lengths[i * wide : (i + 1) * wide].sum()) for i in range(len(bins["units"]))]
    assert sum(bins["units"]) == lengths.sum()


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real corpus ../shared/data/general is missing")
def test_real_text(tmp_path):
    built = build(CorpusConfig(sources=(str(SHARED / "speeches-000.parquet"),)), tmp_path / "out")
    corpus = open_corpus(built)
    table = pq.read_table(SHARED / "speeches-000.parquet")
    assert built.counts["documents"] == len(table)
    assert len(table) * 0.99 < corpus.units < len(table) * 1.02
    assert corpus.sources == {"speeches": corpus.units}
    assert artifact.load(built.path, "corpus").key == corpus.key

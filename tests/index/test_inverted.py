from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus import build, open_corpus
from hornbook.errors import HornbookError
from hornbook.index.build import invert
from hornbook.index.files import read, write
from hornbook.index.layout import Block, InvertedIndex
from hornbook.recipe import CorpusConfig
from hornbook.terms import Analysis, terms

PIECES = ["the", "cat", "cats", "Don't", "3.14", "É", "ΣΊΣΥΦΟΣ", "İstanbul", "-", " ", " ", ".", "日本", "𠀀x"]
TEXTS = st.lists(
    st.one_of(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.text(max_size=9)), max_size=20
)
ANALYSES = st.builds(Analysis, st.sampled_from(["none", "english"]), st.sampled_from(["keep", "drop"]))


def batches(texts, size):
    units = pa.array(range(5, 5 + 3 * len(texts), 3), pa.int64())
    whole = pa.record_batch({"unit": units, "text": pa.array(texts, pa.string())})
    return [whole.slice(start, size) for start in range(0, len(texts), size)]


def same(one: InvertedIndex, other: InvertedIndex) -> None:
    assert one.dictionary.equals(other.dictionary)
    assert one.frequency.tolist() == other.frequency.tolist()
    assert len(one.blocks) == len(other.blocks)
    for block, wanted in zip(one.blocks, other.blocks, strict=True):
        for field in fields(Block):
            got, expected = getattr(block, field.name), getattr(wanted, field.name)
            assert got.dtype == expected.dtype, field.name
            assert np.array_equal(got, expected), field.name


def decoded(found: InvertedIndex) -> dict[int, dict[str, int]]:
    """The terms of each unit and how often it holds them, read back from the blocks row by row."""
    units = {}
    for block in found.blocks:
        held = [{} for _ in block.units]
        for term, rows in block.rows():
            for row in rows.tolist():
                held[row][found.dictionary[term].as_py()] = 1
        start = 0
        for term, end in zip(block.repeat_terms.tolist(), block.repeat_ends.tolist(), strict=True):
            for at in range(start, end):
                held[block.repeat_rows[at]][found.dictionary[term].as_py()] = int(block.repeat_counts[at])
            start = end
        units |= dict(zip(block.units.tolist(), held, strict=True))
        lengths = np.repeat(block.lengths, np.diff(block.length_ends, prepend=0))
        assert lengths.tolist() == [sum(one.values()) for one in held] == sorted(lengths.tolist())
    return units


@given(texts=TEXTS, analysis=ANALYSES, size=st.integers(1, 9), block_units=st.integers(1, 9))
def test_blocks_hold_the_terms_of_every_unit_as_the_reference(as_reference, texts, analysis, size, block_units):
    found = invert(batches(texts, size), analysis, block_units)
    units = decoded(found)
    expected = {}
    for number, text in enumerate(texts):
        held = expected[5 + 3 * number] = {}
        for term in analysis.query(terms(text)):
            held[term] = held.get(term, 0) + 1
    assert units == expected
    assert (found.units, found.length) == (len(texts), sum(sum(held.values()) for held in expected.values()))
    assert found.dictionary.to_pylist() == sorted({term for held in expected.values() for term in held})
    assert found.frequency.tolist() == [
        sum(t in held for held in expected.values()) for t in found.dictionary.to_pylist()
    ]
    same(found, as_reference(invert, batches(texts, size), analysis, block_units))


def test_what_is_written_is_read_again(tmp_path):
    found = invert(batches(["a cat and a dog", "", "cats"], 2), Analysis(), 2)
    write(found, tmp_path / "terms", tmp_path / "blocks")
    same(read(tmp_path / "terms", tmp_path / "blocks"), found)
    nothing = invert([], Analysis())
    write(nothing, tmp_path / "terms", tmp_path / "blocks")
    same(read(tmp_path / "terms", tmp_path / "blocks"), nothing)


def test_files_of_another_version_and_damaged_ones_are_refused(tmp_path):
    write(invert(batches(["a b"], 2), Analysis()), tmp_path / "terms", tmp_path / "blocks")
    with pytest.raises(HornbookError, match="another version of hornbook; remove the corpus and build it"):
        read(tmp_path / "blocks", tmp_path / "terms")
    (tmp_path / "terms").write_bytes((tmp_path / "terms").read_bytes()[:40])
    with pytest.raises(HornbookError, match="terms: cannot be read"):
        read(tmp_path / "terms", tmp_path / "blocks")


def test_a_corpus_keeps_its_terms_beside_its_text(tmp_path):
    (tmp_path / "in.txt").write_text("The cat sleeps here.\n\nOne dog and two dogs.\n\nNothing more to say.")
    settings = {"sources": (str(tmp_path / "in.txt"),), "min_words": 2, "shard_units": 2}
    built = open_corpus(build(CorpusConfig(**settings, stem="english", stop_words="drop"), tmp_path / "out"))
    assert built.analysis == Analysis("english", "drop")
    shards = [shard.open() for shard in built.inverted()]
    assert [shard.units for shard in shards] == [2, 1]
    assert shards[0].dictionary.to_pylist() == ["cat", "dog", "sleep", "two"]
    plain = open_corpus(build(CorpusConfig(**settings), tmp_path / "plain"))
    assert plain.analysis == Analysis()
    assert "sleeps" in plain.inverted()[0].open().dictionary.to_pylist()
    (tmp_path / "plain" / "blocks-00001.arrow").unlink()
    with pytest.raises(HornbookError, match=r"blocks-00001\.arrow: missing or changed"):
        plain.inverted()


def test_a_shard_is_refused_where_its_files_are_not_those_of_the_corpus(tmp_path):
    (tmp_path / "in.txt").write_text("The cat sleeps all day.\nA dog barks at night.\n")
    built = open_corpus(build(CorpusConfig(sources=(str(tmp_path / "in.txt"),), unit="line"), tmp_path / "out"))
    far = open_corpus(f"file://{tmp_path / 'out'}")
    assert far.key == built.key
    (near,), (elsewhere,) = built.inverted(), far.inverted()
    assert near.open().dictionary == elsewhere.open().dictionary
    assert far.texts(np.array([1])) == built.texts(np.array([1]))
    (tmp_path / "out" / "terms-00000.arrow").write_bytes(b"other")
    for one in (near, elsewhere):
        with pytest.raises(HornbookError, match=rf"terms-00000.arrow: has 5 bytes on .*corpus {built.key[:16]}"):
            one.open()
    (tmp_path / "out" / "terms-00000.arrow").unlink()
    for one, said in ((near, "is not there on"), (elsewhere, "cannot be read")):
        with pytest.raises(HornbookError, match=rf"terms-00000.arrow: {said}"):
            one.open()

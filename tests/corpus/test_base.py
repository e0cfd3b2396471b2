"""A corpus that is built onto a finished one."""

import random

import numpy as np
import pytest
from test_build import make_sources, rows_of, settings

from hornbook.corpus import build, open_corpus
from hornbook.errors import HornbookError
from hornbook.retrieval import retrieve


@pytest.fixture
def folders(tmp_path):
    """Three folders of sources that share many texts."""
    for number in range(3):
        make_sources(tmp_path / f"in-{number}", seed=number)
        for file in (tmp_path / f"in-{number}").iterdir():
            file.rename(file.with_name(f"{number}-{file.name}"))
    return tmp_path


def onto(folders, number, base=None, **changes):
    """Build the sources of one folder, onto a corpus or alone."""
    values = {"base": str(folders / base) if base else None, "shard_units": 100, **changes}
    return build(settings(folders / f"in-{number}", **values), folders / f"corpus-{number}")


def test_the_units_are_those_of_one_build_over_all_sources(folders):
    onto(folders, 0)
    onto(folders, 1, "corpus-0", shard_units=64)
    last = onto(folders, 2, "corpus-1")
    sources = tuple(str(folders / f"in-{number}") for number in range(3))
    whole = build(settings(folders / "in-0", sources=sources, shard_units=100), folders / "whole")
    assert rows_of(last) == rows_of(whole)
    assert dict(last.counts) == dict(whole.counts)
    assert last.info == whole.info
    assert whole.counts["duplicates"] > 500
    queries = [random.Random(n).choices(["one", "two", "three", "four", "five"], k=3) for n in range(9)]
    hits, expected = (retrieve(open_corpus(corpus), queries, 20) for corpus in (last, whole))
    assert np.array_equal(hits.units, expected.units)
    assert np.array_equal(hits.scores, expected.scores)


def test_the_shards_of_the_base_are_the_same_files_and_damaged_ones_are_refused(folders):
    base = onto(folders, 0)
    before = {name: (base.path / name).stat().st_ino for name in base.manifest["files"]}
    built = onto(folders, 1, "corpus-0")
    assert {name: (built.path / name).stat().st_ino for name in before} == before
    assert len(built.manifest["files"]) > len(before)
    assert built.manifest["inputs"]["base"] == base.key
    shard = open_corpus(base).shards()[-1]
    shard.write_bytes(bytes(shard.stat().st_size))  # of the same size, but no Parquet any more
    with pytest.raises(HornbookError, match=rf"{shard.name}: missing or changed since it was made; remove"):
        onto(folders, 2, "corpus-0")


def test_sources_that_are_in_the_base_add_nothing(folders):
    base = onto(folders, 0)
    again = build(settings(folders / "in-0", base=str(base.path)), folders / "again")
    assert rows_of(again) == rows_of(base)
    assert again.counts["duplicates"] == 2 * base.counts["duplicates"] + base.counts["units"]


@pytest.mark.parametrize("changes", [{"unit": "line"}, {"max_words": 8}, {"stem": "english"}, {"stop_words": "drop"}])
def test_a_base_of_other_settings_is_refused(folders, changes):
    onto(folders, 0)
    ((name, value),) = changes.items()
    with pytest.raises(HornbookError, match=f"corpus-0: was built with {name} = .*, not {value}; build onto it"):
        onto(folders, 1, "corpus-0", **changes)
    assert not (folders / "corpus-1").exists()


def test_a_base_that_is_no_corpus_is_refused(folders):
    with pytest.raises(HornbookError, match="nowhere: not a finished corpus"):
        onto(folders, 0, "nowhere")

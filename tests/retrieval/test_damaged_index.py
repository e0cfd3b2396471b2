"""Damaged arrays, as a block from a file could have them: an error that names the shard, or harmless hits.

Nothing may be read or written out of bounds, which `make sanitize` sees; without it only wrong unit ids show.
"""

import re
import resource
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
from corpora import Listed, listed, naive
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.index.files import OpenShard
from hornbook.index.layout import GROUP_STRIPS, GROUP_WORDS, Block
from hornbook.kernels import compiled
from hornbook.retrieval import retrieve

NAMES = [field.name for field in fields(Block)]
QUERIES = [["w0", "w3"], ["w1", "r40", "w9"], ["w2"], ["w0", "r7", "r8", "r9"]]


def make_corpus():
    """One shard of about 2,000 units: four strips, the last of them not full; dense and sparse terms, repeats."""
    random = np.random.default_rng(0)
    share = 1 / np.arange(1, 31)
    texts = [
        " ".join(f"w{i}" for i in random.choice(30, random.integers(1, 12), p=share / share.sum()))
        + f" r{number % 700}"
        for number in range(1997)
    ]
    return Listed(texts, shard_units=3000, block_units=2500)


CORPUS = make_corpus()
INDEX = CORPUS.shards[0].index


def damaged(**changes):
    """The corpus with some arrays of its last block replaced."""
    corpus = Listed([])
    blocks = [*INDEX.blocks[:-1], replace(INDEX.blocks[-1], **changes)]
    corpus.shards = [OpenShard("shard-0", replace(INDEX, blocks=blocks))]
    return corpus


def search(corpus):
    """Search a corpus: refused by the shard's name, or finite scores of its own units."""
    for k in (1, 5, 500):
        try:
            hits = retrieve(corpus, QUERIES, k, threads=1)
        except HornbookError as refused:
            message = str(refused)
            break
        found = hits.units[hits.units >= 0]
        assert np.isin(found, CORPUS.ids).all()
        assert np.isfinite(hits.scores[hits.units >= 0]).all()
    else:
        return True
    assert re.fullmatch(r"shard-0: its index is damaged \(.+\); build the corpus again", message)
    return False


def test_the_sound_corpus_has_all_kinds_of_postings():
    block = INDEX.blocks[-1]
    assert block.strips == 4
    assert len(block.units) % 8
    assert min(len(block.dense_terms), len(block.sparse_windows), len(block.repeat_terms)) > 5
    assert search(damaged())
    assert listed(retrieve(CORPUS, QUERIES, 5)) == naive(CORPUS, QUERIES, 5)


@given(data=st.data())
def test_any_value_anywhere_is_refused_or_harmless(data):
    name = data.draw(st.sampled_from(NAMES))
    array = getattr(INDEX.blocks[-1], name).copy()
    if name == "units":  # any unit id is one
        return
    most = np.iinfo(array.dtype).max
    values = st.one_of(st.sampled_from([0, 1, most, most // 2 + 1]), st.integers(0, int(most)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(array) - 1))
        array[at : at + data.draw(st.sampled_from([1, 1, 50]))] = data.draw(values)
    search(damaged(**{name: array}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [lambda array: array[:-1], lambda array: array[:0], lambda array: np.repeat(array, 2)],
    ids=["less", "none", "twice"],
)
@pytest.mark.usefixtures("implementation")
def test_arrays_of_another_size_are_refused_or_harmless(name, change):
    search(damaged(**{name: change(getattr(INDEX.blocks[-1], name))}))


def with_ranks(value):
    words = INDEX.blocks[-1].window_bits.copy().reshape(-1, GROUP_WORDS)
    words[:, GROUP_STRIPS:] = value
    return words.reshape(-1)


# Each of these once was an address: of a bound, of a row's bits, of a row.
@pytest.mark.parametrize(
    "changes",
    [
        {"sparse_windows": np.full_like(INDEX.blocks[-1].sparse_windows, 65_535)},
        {"sparse_windows": np.full_like(INDEX.blocks[-1].sparse_windows, 255)},
        {"sparse_rows": np.full_like(INDEX.blocks[-1].sparse_rows, 255)},
        {"dense_rows": np.full_like(INDEX.blocks[-1].dense_rows, 255)},
        {"window_bits": np.full_like(INDEX.blocks[-1].window_bits, 2**64 - 1)},
        {"window_bits": with_ranks(2**64 - 1)},
    ],
    ids=["a window behind all", "a window behind the block", "sparse rows", "dense rows", "bits", "ranks"],
)
def test_windows_rows_and_ranks_that_the_block_does_not_have_are_harmless(changes):
    assert search(damaged(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"repeat_rows": np.full_like(INDEX.blocks[-1].repeat_rows, 2**32 - 1)},
        {"repeat_counts": np.zeros_like(INDEX.blocks[-1].repeat_counts)},
        {"sparse_ends": INDEX.blocks[-1].sparse_ends[::-1].copy()},
        {"dense_ends": np.full_like(INDEX.blocks[-1].dense_ends, 2**32 - 1)},
        {"length_ends": INDEX.blocks[-1].length_ends[::-1].copy()},
        {"lengths": INDEX.blocks[-1].lengths[::-1].copy()},
    ],
    ids=["rows of repeats", "counts of repeats", "sparse ends", "dense ends", "ends of lengths", "lengths"],
)
def test_entries_that_contradict_the_block_are_refused(changes):
    assert not search(damaged(**changes))


@pytest.mark.usefixtures("implementation")
def test_a_dictionary_that_is_damaged_is_refused():
    offsets = np.frombuffer(INDEX.dictionary.buffers()[1], np.int32).copy()
    offsets[5] = 2**31 - 1
    data = INDEX.dictionary.buffers()[2]
    dictionary = pa.StringArray.from_buffers(len(INDEX.dictionary), pa.py_buffer(offsets), data)
    for index in (
        replace(INDEX, dictionary=dictionary),
        replace(INDEX, frequency=np.full_like(INDEX.frequency, -1)),
        replace(INDEX, frequency=np.full_like(INDEX.frequency, 2**40)),
        replace(INDEX, frequency=INDEX.frequency[:3]),
    ):
        corpus = Listed([])
        corpus.shards = [OpenShard("shard-0", index)]
        assert not search(corpus)


def arrays(**changes):
    numbers = {
        "starts": np.array([0, 2], np.uint64),
        "indices": np.array([0, 1], np.uint32),
        "counts": np.array([1, 1], np.uint32),
        "idf": np.array([1.0, 2.0]),
        "k": np.array([3], np.uint32),
        "thresholds": np.array([0.0]),
    }
    return numbers | {"k1": 1.2, "b": 0.75, "mean_length": 4.0, "threads": 1} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"starts": np.array([0, 3], np.uint64)},
        {"starts": np.array([2, 2], np.uint64)},
        {"starts": np.array([], np.uint64)},
        {"indices": np.array([0, 2], np.uint32)},
        {"counts": np.array([1], np.uint32)},
        {"idf": np.array([1.0, -2.0])},
        {"idf": np.array([1.0, np.nan])},
        {"k": np.array([0], np.uint32)},
        {"thresholds": np.array([np.nan])},
        {"thresholds": np.array([0.0, 0.0])},
        {"k1": -1.0},
        {"b": 2.0},
        {"mean_length": 0.0},
        {"threads": 0},
    ],
)
def test_queries_whose_arrays_do_not_fit_are_refused(changes):
    compiled().Search(**arrays())
    with pytest.raises(ValueError):
        compiled().Search(**arrays(**changes))


def test_any_number_of_threads_is_one_that_can_be_started():
    compiled().Search(**arrays(threads=10**12))
    part = (np.array([0, 2], np.uint64), np.arange(2), np.array([1.0, 2.0]))
    for threads in (0, 10**12):
        assert compiled().merge(np.array([1], np.uint32), [part], False, threads)[1].tolist() == [1]


@pytest.mark.parametrize(
    ("starts", "scores"),
    [([0, 9, 2], [1.0, 2.0]), ([1, 1, 2], [1.0, 2.0]), ([0, 1, 3], [1.0, 2.0]), ([0, 1, 2], [1.0, np.nan])],
)
def test_hits_whose_arrays_do_not_fit_are_not_merged(starts, scores):
    part = (np.array(starts, np.uint64), np.arange(2), np.array(scores))
    with pytest.raises(ValueError, match="hits whose arrays contradict"):
        compiled().merge(np.array([1, 1], np.uint32), [part], False, 1)


THREADLESS = """
import resource, sys
sys.path.insert(0, {path!r})
from test_damaged_index import CORPUS, QUERIES
from hornbook.retrieval import retrieve
import numpy as np
expected = retrieve(CORPUS, QUERIES * 500, 5, threads=1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20), -1))
hits = retrieve(CORPUS, QUERIES * 500, 5, threads=64)
assert np.array_equal(hits.units, expected.units)
print("done")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_where_the_system_gives_no_thread_the_others_do_its_work():
    # Stacks of a gigabyte that no address space is left for.
    def large_stacks():
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 30, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    script = THREADLESS.format(path=str(__file__).rpartition("/")[0])
    done = subprocess.run(
        [sys.executable, "-c", script], preexec_fn=large_stacks, capture_output=True, text=True, check=False
    )
    if "AddressSanitizer" in done.stderr:
        pytest.skip("AddressSanitizer reserves more address space than that")
    assert done.stdout == "done\n", done.stderr

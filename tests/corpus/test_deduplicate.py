import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.deduplicate import HashPartitions, hash_texts

TEXTS = st.lists(st.one_of(st.sampled_from(["a", "b", "A", "é", "a b"]), st.text(max_size=3)), max_size=60)


def slow_survivors(texts):
    seen = set()
    return [not (text in seen or seen.add(text)) for text in texts]


def survivors(hashes, partitions, batch):
    with tempfile.TemporaryDirectory() as folder, HashPartitions(Path(folder), partitions) as spilled:
        for first in range(0, len(hashes), batch):
            spilled.add(hashes[first : first + batch], first)
        return spilled.survivors(len(hashes)).tolist()


@given(
    TEXTS.map(lambda texts: [t.encode("utf-8", "ignore").decode() for t in texts]),
    st.integers(1, 7),
    st.integers(1, 9),
)
def test_the_first_of_equal_texts_survives(texts, partitions, batch):
    assert survivors(hash_texts(pa.array(texts, pa.string())), partitions, batch) == slow_survivors(texts)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40), st.integers(1, 5))
def test_both_halves_of_a_hash_count(halves, partitions):
    hashes = np.array(halves, dtype=np.uint64)
    assert survivors(hashes, partitions, 7) == slow_survivors(halves)


def test_hashes_are_xxh3_128():
    high, low = hash_texts(pa.array(["another", "some té"])[1:])[0]
    assert (int(high) << 64) + int(low) == xxhash.xxh3_128_intdigest("some té".encode())

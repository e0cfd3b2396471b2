"""Inverting a shard: from the texts of its units to a dictionary and blocks of postings."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.index import reference
from hornbook.index.layout import BLOCK_UNITS, Block, InvertedIndex
from hornbook.kernels import kernel
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.terms import Analysis, terms
from hornbook.terms.characters import tables

# The first block of a shard is a sample: one of this many units, or fewer where that would overfill the block.
SAMPLE_STEP = 12


def invert(batches: Iterable[pa.RecordBatch], analysis: Analysis, block_units: int = BLOCK_UNITS) -> InvertedIndex:
    """Return the inverted index of a shard.

    Args:
        batches: its units, with the columns `unit` (int64, rising) and `text` (string).
        analysis: how words become terms.
        block_units: maximum number of units in a block.

    Returns:
        the dictionary, the document frequencies, and the blocks of postings.
    """
    unit_terms = kernel(reference.UnitTerms)(*tables())
    ids, count = [np.empty(0, np.int64)], 0
    for batch in batches:
        texts = batch.column("text")
        for row in unit_terms.add(*text_buffers(texts)):
            unit_terms.put(row, terms(texts[row - count].as_py()))
        ids.append(batch.column("unit").to_numpy())
        count += batch.num_rows
    units = np.concatenate(ids)
    term_of_word = analysis.terms(texts_of(*unit_terms.vocabulary()).to_pylist())
    # A str sorts by code points, which is the order of its bytes in UTF-8.
    dictionary = sorted({term for term in term_of_word if term is not None})
    position = {term: id_ for id_, term in enumerate(dictionary)}
    term_ids = np.array([-1 if term is None else position[term] for term in term_of_word], np.int32)
    frequency = np.zeros(len(dictionary), np.int64)
    blocks = []
    for chosen in _assign_blocks(count, block_units):
        order, *postings = unit_terms.block(chosen, term_ids, len(dictionary))
        blocks.append(Block(units[chosen][order], *postings))
        frequency += blocks[-1].frequency
    return InvertedIndex(pa.array(dictionary, pa.string()), frequency, blocks)


def _assign_blocks(units: int, block_units: int) -> list[NDArray[np.int64]]:
    """Return the units of each block, by position in the shard: the sample, then every n-th of the others."""
    positions = np.arange(units)
    step = max(SAMPLE_STEP, -(-units // block_units))
    is_sampled = positions % step == step // 2
    sample, others = positions[is_sampled], positions[~is_sampled]
    count = -(-len(others) // block_units)
    return [chosen for chosen in (sample, *(others[first::count] for first in range(count))) if len(chosen)]

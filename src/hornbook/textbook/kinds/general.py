"""The general textbook: a uniform random sample of the corpus."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.recipe import GeneralConfig
from hornbook.store import StageContext
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.sampling import candidate_units, sample_size, size_unit, take_until, unit_tables


def build(config: GeneralConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Sample units without replacement and yield them by ascending id.

    Counts: `tokens` or `bytes` if the size is set in these.

    Args:
        config: the settings.
        materials: the corpus, and a textbook to match in size.
        context: the stage; gets the counts.

    Yields:
        Tables of `store.SCHEMA`.

    Raises:
        HornbookError: the corpus lacks one of the sources, or has too few units.
    """
    corpus = materials.corpus
    ids, sizes = candidate_units(corpus, config)
    rows = draw(sizes, sample_size(config, corpus, sizes, materials.size), config.seed)
    if unit := size_unit(config):
        context.counts[unit] = int(sizes[rows].sum())
    yield from unit_tables(corpus, ids[rows])


def draw(sizes: NDArray[np.int64], target: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of a uniform sample without replacement, in ascending order, as few as reach a total size.

    The sample is the beginning of a random order of all rows: a smaller sample is part of a larger one.

    Args:
        sizes: the size of each row, [rows].
        target: the total size to reach, at most the sum of `sizes`.
        seed: the random seed.

    Returns:
        Row numbers, int64, [drawn rows].
    """
    return take_until(np.random.default_rng(seed).permutation(len(sizes)), sizes, target)


KIND = TextbookKind(GeneralConfig, build, needs=("corpus",))

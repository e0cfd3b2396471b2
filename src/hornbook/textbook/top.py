"""The top of a textbook: its best units by rank and score (paper, Figure 2)."""

import math
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pyarrow as pa

from hornbook.recipe import ContextualizedConfig
from hornbook.store import Artifact, Destination, StageContext, make
from hornbook.textbook.store import STAGE, VERSION, Textbook, open_textbook, write


def build_top(config: ContextualizedConfig, whole: Artifact, out: Destination) -> Artifact:
    """Make a textbook of the best units of another.

    Args:
        config: the settings of the other, and `proportion`.
        whole: the other, finished or planned.
        out: the artefact's folder, or a store.

    Returns:
        The artefact. Counts: units, whole_units, k, corpus_units. Info: kind, task, contamination, share.
    """

    def fill(context: StageContext) -> None:
        context.info |= {name: whole.info[name] for name in ("kind", "task", "contamination")}
        context.measured["made_from"] = whole.measured.get("made_from", {})
        units = write(context.path, top(open_textbook(whole), config.proportion))
        context.counts |= {"units": units, "whole_units": whole.counts["units"]}
        context.counts |= {name: whole.counts[name] for name in ("k", "corpus_units")}
        context.info["share"] = units / whole.counts["corpus_units"]

    inputs = {**whole.manifest["inputs"], "whole": whole.key}
    return make(out, stage=STAGE, version=VERSION, config=config, inputs=inputs, build=fill)


def top(book: Textbook, proportion: float) -> Iterator[pa.Table]:
    """Yield the best units in their order: best ranks first, ties by higher score, then by lower unit id.

    Args:
        book: the whole textbook.
        proportion: the fraction of its units, rounded up.

    Yields:
        Tables of `store.SCHEMA`.
    """
    keys = pa.Table.from_batches(book.batches(["rank", "score", "unit"]))
    rank, score, unit = (keys.column(name).to_numpy() for name in ("rank", "score", "unit"))
    kept = np.zeros(len(keys), bool)
    # Decimal, as the user wrote it: 0.07 * 100 is a little more than 7 in binary.
    size = math.ceil(Decimal(str(proportion)) * len(keys))
    kept[np.lexsort((unit, -score, rank))[:size]] = True
    start = 0
    for batch in book.batches():
        yield pa.Table.from_batches([batch]).filter(pa.array(kept[start : start + batch.num_rows]))
        start += batch.num_rows

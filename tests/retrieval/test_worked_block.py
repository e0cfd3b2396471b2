"""The block that docs/explain/retrieval.md works through: its tables are those that these functions make."""

from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hornbook.index.build import invert
from hornbook.index.layout import Block
from hornbook.kernels import kernel
from hornbook.machine.arrow import text_buffers
from hornbook.retrieval import reference
from hornbook.terms import Analysis

PAGE = Path(__file__).parents[2] / "docs" / "explain" / "retrieval.md"
UNITS = [
    *("film ends", "big heart", "film music", "no story", "film heart", "old story", "film school", "his heart"),
    *("a film with heart", "the story goes on", "a film to see", "a slow film about nothing"),
    *(
        "film after film after film",
        "slow slow start and end",
        "the heart of the film is",
        "a slow film with a heart",
    ),
]
WEIGHTS = {"film": 1.0, "heart": 2.0, "slow": 3.0}
K1, B, MEAN_LENGTH, THRESHOLD = 1.2, 0.75, 4.0, 2.0


def saturation(unit):
    return K1 * (1 - B + B * len(unit.split()) / MEAN_LENGTH)


def quantise_up(weight, scale):
    return min(int(weight * scale), 254) + 1


def bound(units, scale):
    """The upper bound of some units together: each term once, and what each repeat adds."""
    counts = [(saturation(unit), Counter(unit.split())) for unit in units]
    parts = [quantise_up(w, scale) for term, w in WEIGHTS.items() if any(count[term] for _, count in counts)]
    for s, count in counts:
        repeats = [(w, count[term]) for term, w in WEIGHTS.items() if count[term] > 1]
        parts += [quantise_up(w * s * (tf - 1) / (tf + s), scale) for w, tf in repeats]
    return " + ".join(map(str, parts)) or "0", min(sum(parts), 255)


def score(unit):
    counts = Counter(unit.split())
    return sum(w * counts[term] / (counts[term] + saturation(unit)) for term, w in WEIGHTS.items())


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def search_by_hand():
    """Return the page's tables and the hits, by the steps that the page names."""
    required_weight = THRESHOLD * (1 + saturation(UNITS[0]))
    scale = 255 / required_weight
    windows = [(0, UNITS[:8]), (1, UNITS[8:])]
    bounds = [[f"{number}", *bound(units, scale)] for number, units in windows]
    chosen = [[*line, "yes" if line[-1] >= 255 else "no"] for line in bounds]
    rows = []
    for row in (row for line in chosen if line[-1] == "yes" for row in range(int(line[0]) * 8, int(line[0]) * 8 + 8)):
        total, row_bound = bound([UNITS[row]], scale)
        exact = score(UNITS[row])
        assert row_bound >= min(int(exact * (1 + saturation(UNITS[row])) * scale), 255)
        shown = [f"{exact:.3f}", "yes" if exact > THRESHOLD else "no"] if row_bound >= 255 else ["", "no"]
        rows.append([row, UNITS[row], total, row_bound, *shown])
    tables = [
        table(["window", "sum", "bound", "candidate"], chosen),
        table(["row", "unit", "sum", "bound", "score", "hit"], rows),
    ]
    return tables, [row[0] for row in rows if row[-1] == "yes"]


def test_the_page_has_the_tables_of_its_block():
    tables, hits = search_by_hand()
    for one in tables:
        assert one in PAGE.read_text(), f"put this table into {PAGE.name}:\n{one}"
    assert hits == [15]
    # No unit that the bounds exclude would have passed.
    assert [row for row, unit in enumerate(UNITS) if score(unit) > THRESHOLD] == hits


def indexed():
    """The units as a block, and the ids of the query's terms; a 17th unit, the sample, is in a block of its own."""
    texts, ids = [*UNITS[:6], "sample", *UNITS[6:]], [0, 1, 2, 3, 4, 5, 100, 101, *range(102, 111)]
    batch = pa.record_batch({"unit": pa.array(ids, pa.int64()), "text": pa.array(texts)})
    index = invert([batch], Analysis(), 16)
    sample, block = index.blocks
    assert sample.units.tolist() == [100]
    terms = text_buffers(pa.array(sorted(WEIGHTS)))
    return block, kernel(reference.look_up)(*terms, *text_buffers(index.dictionary))


def test_the_page_has_the_postings_of_its_block():
    block, ids = indexed()
    rows, lines = dict(block.rows()), []
    starts = [0, *block.repeat_ends.tolist()]
    for term, number in zip(sorted(WEIGHTS), ids.tolist(), strict=True):
        held = rows[number].tolist()
        windows = {row // 8 for row in held}
        repeats = ""
        if number in block.repeat_terms:
            at = block.repeat_terms.tolist().index(number)
            entries = range(starts[at], starts[at + 1])
            repeats = ", ".join(f"{block.repeat_rows[i]} ({block.repeat_counts[i]} times)" for i in entries)
        lines.append(
            [term, f"{WEIGHTS[term]:g}", *(", ".join(map(str, of)) for of in (sorted(windows), held)), repeats]
        )
    postings = table(["term", "weight", "windows", "rows", "repeats"], lines)
    assert postings in PAGE.read_text(), f"put this table into {PAGE.name}:\n{postings}"


@pytest.mark.usefixtures("implementation")
def test_the_search_finds_what_the_page_finds():
    block, ids = indexed()
    search = kernel(reference.Search)(
        np.array([0, 3], np.uint64),
        np.arange(3, dtype=np.uint32),
        np.ones(3, np.uint32),
        np.array([WEIGHTS[term] for term in sorted(WEIGHTS)]),
        np.array([1], np.uint32),
        np.array([THRESHOLD]),
        *(K1, B, MEAN_LENGTH, 1),
    )
    search.add([kernel(Block)(*(getattr(block, field.name) for field in fields(Block)))], ids)
    _, units, scores = search.hits()
    assert units.tolist() == [block.units[15]]
    assert scores.tolist() == pytest.approx([score(UNITS[15])])

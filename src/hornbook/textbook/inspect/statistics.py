"""Statistics of textbooks: contents, lexical diversity, vocabulary overlap (the paper's Tables 1 and 3, Figure 3)."""

import heapq
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hornbook.machine.parsing import read_json
from hornbook.machine.progress import progress
from hornbook.store import Artifact, Destination, StageContext, make, write_json
from hornbook.tasks import open_task
from hornbook.textbook.contamination import Finder, held_out
from hornbook.textbook.inspect.diversity import distinct, overlap
from hornbook.textbook.inspect.words import Vocabulary, Words, read_words
from hornbook.textbook.store import ROW_GROUP_UNITS, Textbook, open_textbook, table_of_task

TASK = "task"
"""The name of the task's own text among those of the textbooks."""
LONGEST = 128
_TOP_UNITS = 10
STAGE = "statistics"
VERSION = 3
_FILE = "statistics.json"

Books = Sequence[Textbook | Artifact | Path | str]


def statistics(books: Books | Mapping[str, Artifact], task: Artifact | None = None) -> dict[str, Any]:
    """Return the contents, lexical diversity and vocabulary overlap of textbooks.

    Args:
        books: finished textbooks, by name, or named after their folders.
        task: a task: its own text is compared with the textbooks (unless one of them is just that), and its dev and
            test texts are searched in them.

    Returns:
        `books`: for each name, kind, cases (units), bytes, words, lengths (the number of units with 0, 1, 2 … words;
        the last entry is for `LONGEST` or more), sources (units per source), most_drawn (the units that most anchors
        retrieved: text, anchors, rank, score, source), and counts and info from its manifest; with a task also
        contamination: units (that contain a dev or test text), found (the number of these texts found), texts (of
        all).
        `distinct`: groups in which samples are as large as the smallest text: `like` (its name), unigrams, and `of`:
        Distinct-1 and Distinct-2 by name, each mean and spread, percent. The first group has the task's own text and
        all textbooks, the second only the textbooks.
        `overlap`: names and matrix, percent: shared words among the 5,000 most frequent.

    Raises:
        HornbookError: a textbook is missing or changed.
    """
    opened = dict(_named(books))
    own = open_task(task) if task is not None else None
    held = held_out(own) if own is not None else []
    described: list[dict[str, Any]] = []
    vocabulary, words = Vocabulary(), dict[str, Words]()
    with tempfile.TemporaryDirectory() as folder:
        if own is not None and not any(book.kind == TASK for book in opened.values()):
            with progress("Counting words of the task", own.artifact.counts["train_rows"]) as counter:
                rows = table_of_task(own, own.split("train"))
                pages = (rows.slice(start, ROW_GROUP_UNITS) for start in range(0, len(rows), ROW_GROUP_UNITS))
                words[TASK] = read_words(pages, vocabulary, Path(folder) / "task", counter)
        for number, (name, book) in enumerate(opened.items()):
            accumulator = _Accumulator(Finder(held) if held else None)
            with progress(f"Reading {name}", book.units) as counter:
                tables = accumulator.watch(book.batches())
                words[name] = read_words(tables, vocabulary, Path(folder) / str(number), counter)
            described.append(_described(name, book, words[name], accumulator, len(held)))
        names = list(words)
        without = [name for name in opened if opened[name].kind != TASK]
        groups = [names] if without in (names, []) else [names, without]
        return {
            "books": described,
            "distinct": [_distinct({name: words[name] for name in group}) for group in groups],
            "overlap": {
                "names": names,
                "matrix": np.round(overlap(list(words.values()), vocabulary), 2).tolist(),
            },
        }


def measured(books: Mapping[str, Artifact], task: Artifact, out: Destination) -> Artifact:
    """Compute the statistics of textbooks, as an artefact for `read_statistics`.

    Args:
        books: finished textbooks by name; planned ones with a dry store.
        task: the task that they are about.
        out: the artefact's folder, or a store.

    Returns:
        The artefact, stage "statistics".
    """

    def build(context: StageContext) -> None:
        write_json(context.path / _FILE, statistics(books, task))

    inputs = {"task": task.key, **{name: book.key for name, book in books.items()}}
    return make(out, stage=STAGE, version=VERSION, config={}, inputs=inputs, build=build)


def read_statistics(artifact: Artifact) -> dict[str, Any]:
    """Return the result of `statistics` from a finished artefact."""
    read: dict[str, Any] = read_json(artifact.file(_FILE))
    return read


class _Accumulator:
    """Counts what it sees in a stream of units."""

    def __init__(self, finder: Finder | None) -> None:
        self.finder = finder
        self.bytes = 0
        self.sources: Counter[str] = Counter()
        self.contaminated = 0
        self.texts_found: set[int] = set()
        self._top: list[tuple[int, float, int, dict[str, Any]]] = []

    def watch(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for column in ("text", "text_pair"):
                self.bytes += pc.sum(pc.binary_length(batch[column])).as_py() or 0
            for source in pc.value_counts(batch["source"]).to_pylist():
                self.sources[source["values"] or ""] += source["counts"]
            self._update_top(batch)
            if self.finder is not None:
                self._search_texts(batch)
            yield batch

    def most_drawn(self) -> list[dict[str, Any]]:
        return [unit for *_, unit in sorted(self._top, key=lambda one: (-one[0], -one[1], -one[2]))]

    def _update_top(self, batch: pa.RecordBatch) -> None:
        if batch["anchors"].null_count == batch.num_rows:
            return
        best = pc.select_k_unstable(batch, _TOP_UNITS, [("anchors", "descending"), ("score", "descending")])
        for unit in batch.take(best).select(["text", "source", "unit", "rank", "score", "anchors"]).to_pylist():
            if unit["anchors"] is not None:
                # Ties: the lower id.
                entry = (unit["anchors"], unit["score"], -unit["unit"], unit)
                (heapq.heappushpop if len(self._top) == _TOP_UNITS else heapq.heappush)(self._top, entry)

    def _search_texts(self, batch: pa.RecordBatch) -> None:
        assert self.finder is not None
        found = np.zeros(batch.num_rows, bool)
        for column in ("text", "text_pair"):
            if batch[column].null_count < batch.num_rows:
                for row, numbers in self.finder.texts_in([text or "" for text in batch[column].to_pylist()]):
                    found[row] = True
                    self.texts_found |= numbers
        self.contaminated += int(found.sum())


def _described(name: str, book: Textbook, words: Words, seen: _Accumulator, held: int) -> dict[str, Any]:
    lengths = np.bincount(np.minimum(words.lengths, LONGEST), minlength=LONGEST + 1)
    described: dict[str, Any] = {
        "name": name,
        "kind": book.kind,
        "cases": book.units,
        "bytes": seen.bytes,
        "words": words.words,
        "lengths": lengths.tolist(),
        "sources": {source: count for source, count in seen.sources.most_common() if source},
        "most_drawn": seen.most_drawn(),
        "counts": dict(book.artifact.counts),
        "info": dict(book.artifact.info),
    }
    if seen.finder is not None:
        described["contamination"] = {"units": seen.contaminated, "found": len(seen.texts_found), "texts": held}
    return described


def _distinct(words: dict[str, Words]) -> dict[str, Any]:
    like = min(words, key=lambda name: words[name].words)
    unigrams = words[like].words
    with progress("Distinct-n", len(words)) as counter:
        of = {}
        for name, own in words.items():
            of[name] = [asdict(one) for one in distinct(own, unigrams)]
            counter.advance()
    return {"like": like, "unigrams": unigrams, "of": of}


def _named(books: Books | Mapping[str, Artifact]) -> Iterator[tuple[str, Textbook]]:
    """Yield textbooks with unique names: those given, or the folders', numbered if taken.

    `TASK` is reserved for textbooks of kind `task`.
    """
    given: Iterable[tuple[str | None, Textbook | Artifact | Path | str]] = (
        books.items() if isinstance(books, Mapping) else ((None, book) for book in books)
    )
    taken: set[str] = set()
    for name, book in given:
        opened = book if isinstance(book, Textbook) else open_textbook(book)
        own = name or opened.artifact.path.name
        names = itertools.chain([own], (f"{own}-{number}" for number in itertools.count(2)))
        free = next(one for one in names if one not in taken and (one != TASK or opened.kind == TASK))
        taken.add(free)
        yield free, opened

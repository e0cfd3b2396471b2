"""What is in textbooks, and how they compare (the paper's Tables 1 and 3 and Figure 3)."""

import heapq
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hornbook.machine.progress import progress
from hornbook.store import Artifact, Destination, StageContext, make, write_json
from hornbook.tasks import open_task
from hornbook.textbook.contamination import Finder, held_out
from hornbook.textbook.inspect.diversity import distinct, overlap
from hornbook.textbook.inspect.words import Vocabulary, Words, read_words
from hornbook.textbook.store import ROW_GROUP_UNITS, Textbook, open_textbook, table_of_task

TASK = "task"
"""The name of the task's own text beside those of the textbooks."""
LONGEST = 128
_MOST_DRAWN = 10
STAGE = "statistics"
VERSION = 3
_FILE = "statistics.json"

Books = Sequence[Textbook | Artifact | Path | str]


def statistics(books: Books | Mapping[str, Artifact], task: Artifact | None = None) -> dict[str, Any]:
    """Return what textbooks hold, how rich they are, and how near to each other and to a task.

    Args:
        books: finished textbooks; each goes by the name it is given, else by its folder's.
        task: the task's own text is compared with them, unless one of them is that; and its dev and test texts are
            looked for in them.

    Returns:
        `books`: for each name, kind, cases (units), bytes, words, lengths (how many units have 0, 1, 2 … words, the
        last of them `LONGEST` or more), sources (units by name), most_drawn (units that most anchors drew: text,
        anchors, rank, score, source) and what its manifest says: counts and info; with a task also contamination:
        units that hold a dev or test text, found of these texts, texts in all.
        `distinct`: groups in which samples are as large as the smallest text: `like` (its name), unigrams, and
        `of`: for each name Distinct-1 and Distinct-2, each mean and spread, percent. The first group has the task's
        own text and all textbooks, the second the textbooks alone.
        `overlap`: names and matrix, percent: common words among the 5,000 most frequent.

    Raises:
        HornbookError: a textbook is missing or changed.
    """
    opened = dict(_named(books))
    own = open_task(task) if task is not None else None
    held = held_out(own) if own is not None else []
    found: list[dict[str, Any]] = []
    vocabulary, words = Vocabulary(), dict[str, Words]()
    with tempfile.TemporaryDirectory() as folder:
        if own is not None and not any(book.kind == TASK for book in opened.values()):
            with progress("count the words of the task", own.artifact.counts["train_rows"]) as counter:
                rows = table_of_task(own, own.split("train"))
                pages = (rows.slice(start, ROW_GROUP_UNITS) for start in range(0, len(rows), ROW_GROUP_UNITS))
                words[TASK] = read_words(pages, vocabulary, Path(folder) / "task", counter)
        for number, (name, book) in enumerate(opened.items()):
            seen = _Seen(Finder(held) if held else None)
            with progress(f"read {name}", book.units) as counter:
                tables = seen.over(book.batches())
                words[name] = read_words(tables, vocabulary, Path(folder) / str(number), counter)
            found.append(_described(name, book, words[name], seen, len(held)))
        names = list(words)
        without = [name for name in opened if opened[name].kind != TASK]
        groups = [names] if without in (names, []) else [names, without]
        return {
            "books": found,
            "distinct": [_distinct({name: words[name] for name in group}) for group in groups],
            "overlap": {
                "names": names,
                "matrix": np.round(overlap(list(words.values()), vocabulary), 2).tolist(),
            },
        }


def measured(books: Mapping[str, Artifact], task: Artifact, out: Destination) -> Artifact:
    """Return the statistics of textbooks as an artefact, for `read_statistics`: measured once.

    Args:
        books: finished textbooks by name; with a dry store they may be planned.
        task: the task they are about.
        out: the artefact's folder, or a store.
    """

    def build(context: StageContext) -> None:
        write_json(context.path / _FILE, statistics(books, task))

    inputs = {"task": task.key, **{name: book.key for name, book in books.items()}}
    return make(out, stage=STAGE, version=VERSION, config={}, inputs=inputs, build=build)


def read_statistics(artifact: Artifact) -> dict[str, Any]:
    """Return what `statistics` found."""
    found: dict[str, Any] = json.loads(artifact.file(_FILE).read_text("utf-8"))
    return found


class _Seen:
    """What is counted of units as they pass."""

    def __init__(self, finder: Finder | None) -> None:
        self.finder = finder
        self.bytes = 0
        self.sources: Counter[str] = Counter()
        self.contaminated = 0
        self.texts: set[int] = set()
        self._drawn: list[tuple[int, float, int, dict[str, Any]]] = []
        self._number = 0

    def over(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for column in ("text", "text_pair"):
                self.bytes += pc.sum(pc.binary_length(batch[column])).as_py() or 0
            for source in pc.value_counts(batch["source"]).to_pylist():
                self.sources[source["values"] or ""] += source["counts"]
            self._keep_most_drawn(batch)
            if self.finder is not None:
                self._look_for_texts(batch)
            yield batch

    def most_drawn(self) -> list[dict[str, Any]]:
        return [unit for *_, unit in sorted(self._drawn, key=lambda one: (-one[0], -one[1], -one[2]))]

    def _keep_most_drawn(self, batch: pa.RecordBatch) -> None:
        if batch["anchors"].null_count == batch.num_rows:
            return
        best = pc.select_k_unstable(batch, _MOST_DRAWN, [("anchors", "descending"), ("score", "descending")])
        for unit in batch.take(best).select(["text", "source", "unit", "rank", "score", "anchors"]).to_pylist():
            if unit["anchors"] is not None:
                # of equal ones the lower id
                entry = (unit["anchors"], unit["score"], -unit["unit"], unit)
                (heapq.heappushpop if len(self._drawn) == _MOST_DRAWN else heapq.heappush)(self._drawn, entry)

    def _look_for_texts(self, batch: pa.RecordBatch) -> None:
        assert self.finder is not None
        found = np.zeros(batch.num_rows, bool)
        for column in ("text", "text_pair"):
            if batch[column].null_count < batch.num_rows:
                for row, numbers in self.finder.texts_in([text or "" for text in batch[column].to_pylist()]):
                    found[row] = True
                    self.texts |= numbers
        self.contaminated += int(found.sum())


def _described(name: str, book: Textbook, words: Words, seen: _Seen, held: int) -> dict[str, Any]:
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
        described["contamination"] = {"units": seen.contaminated, "found": len(seen.texts), "texts": held}
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
    """Yield textbooks with names of their own: those given, else the folders'; with a number where one is taken.

    The name of the task's own text is taken for all but a textbook that is just this.
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

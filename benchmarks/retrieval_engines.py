"""The engines that retrieval.py compares: ours, and those of tantivy, bm25s and PISA that are installed.

All index the same units as the same terms, and answer the same queries. An engine's `search` goes from the terms of
queries to the numbers of units, no text; `rows` says afterwards, outside the measured time, which units these are.
"""

import importlib.util
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus import Corpus
from hornbook.machine.load import cores
from hornbook.retrieval import Hits, retrieve
from hornbook.terms import terms

Queries = Sequence[Sequence[str]]
TANTIVY_BYTES = 2_000_000_000  # so much that the writer makes one segment of some ten million units


@dataclass(frozen=True)
class Units:
    """The units of a corpus as numbered terms.

    Attributes:
        ids: their ids, rising, [units] int64.
        starts: where the terms of each start in `terms`, and where the last end, [units + 1] int64.
        terms: the number of each term, [terms] int32.
        numbers: the number of each word.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    terms: NDArray[np.int32]
    numbers: dict[str, int]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, corpus: Corpus) -> "Units":
        """Return the units of a corpus, their words broken in Python."""
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        found, starts, ids = array("i"), array("q", [0]), []
        for batch in corpus.batches(["unit", "text"]):
            ids.append(batch.column("unit").to_numpy())
            for text in batch.column("text").to_pylist():
                found.extend(map(numbers.__getitem__, terms(text)))
                starts.append(len(found))
        numbers.default_factory = None
        return cls(np.concatenate(ids), np.array(starts), np.array(found, np.int32), numbers)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of each unit's terms."""
        for first in range(0, len(self), 10_000):
            starts = self.starts[first : first + 10_001]
            numbers = self.terms[starts[0] : starts[-1]].tolist()
            bounds = (starts - starts[0]).tolist()
            yield from (numbers[a:b] for a, b in pairwise(bounds))

    def words(self) -> Iterator[str]:
        """Yield each unit's terms joined by spaces, which no term holds."""
        words = list(self.numbers)
        return (" ".join([words[number] for number in unit]) for unit in self)


class Engine(Protocol):
    """What is measured."""

    def search(self, queries: Queries, k: int, threads: int) -> Any:
        """Return what is found for each query."""

    def rows(self, answer: Any) -> list[NDArray[np.int64]]:
        """Return for each query the places of its hits in `Units`, best first."""


class Ours:
    """hornbook: all queries in one pass over the corpus, which was inverted when it was built."""

    def __init__(self, corpus: Corpus, ids: NDArray[np.int64]) -> None:
        self._corpus, self._ids = corpus, ids

    def search(self, queries: Queries, k: int, threads: int) -> Hits:
        """Return the hits."""
        return retrieve(self._corpus, queries, k, threads=threads)

    def rows(self, answer: Hits) -> list[NDArray[np.int64]]:
        """Return the places of the hits."""
        return [np.searchsorted(self._ids, units[units >= 0]) for units in answer.units]


class Tantivy:
    """tantivy: one segment, in memory; a disjunction of terms, a repeated one repeated.

    Its k1 and b are the 1.2 and 0.75 of ours, and it keeps a unit's length in a byte, as Lucene does.
    """

    def __init__(self, units: Units) -> None:
        import tantivy

        fields = tantivy.SchemaBuilder().add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
        self._schema = fields.add_unsigned_field("row", fast=True).build()
        index = tantivy.Index(self._schema)
        writer = index.writer(TANTIVY_BYTES, 1)
        for row, text in enumerate(units.words()):
            document = tantivy.Document()
            document.add_text("terms", text)
            document.add_unsigned("row", row)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()
        if self._searcher.num_segments != 1:
            raise SystemExit(f"tantivy wrote {self._searcher.num_segments} segments, not one; take fewer --units")
        addresses = [tantivy.DocAddress(0, number) for number in range(len(units))]
        self._rows = np.array(self._searcher.fast_field_values("row", addresses), np.int64)
        self._query, self._should = tantivy.Query, tantivy.Occur.Should

    def search(self, queries: Queries, k: int, threads: int) -> list[list[int]]:
        """Return tantivy's own numbers of the hits, which cost less than a fast field."""

        def some(part: Queries) -> list[list[int]]:
            return [self._search(query, k) for query in part]

        return _in_threads(some, queries, threads)

    def _search(self, query: Sequence[str], k: int) -> list[int]:
        clauses = [(self._should, self._query.term_query(self._schema, "terms", term, "freq")) for term in query]
        # Counting all that match would keep it from passing over what cannot be among the best.
        found = self._searcher.search(self._query.boolean_query(clauses), k, count=False)
        return [address.doc for _, address in found.hits]

    def rows(self, answer: list[list[int]]) -> list[NDArray[np.int64]]:
        """Return the places of the hits."""
        return [self._rows[numbers] for numbers in answer]


class Bm25s:
    """bm25s: scores computed when it indexes, in float32; compiled where numba is installed."""

    def __init__(self, units: Units) -> None:
        import bm25s

        backend = "numba" if importlib.util.find_spec("numba") else "numpy"
        self._index = bm25s.BM25(k1=1.2, b=0.75, method="lucene", dtype="float32", backend=backend)
        # A copy of the numbers, for bm25s adds one of its own.
        self._index.index((list(units), dict(units.numbers)), show_progress=False)
        self._units = len(units)

    def search(self, queries: Queries, k: int, threads: int) -> Any:
        """Return its documents and scores, [queries, k] each."""
        return self._index.retrieve(queries, k=min(k, self._units), n_threads=threads, show_progress=False)

    def rows(self, answer: Any) -> list[NDArray[np.int64]]:
        """Return the places of the hits; where too few units hold a term it adds units with a score of 0."""
        return [rows[scores > 0] for rows, scores in zip(answer.documents, answer.scores, strict=True)]


class Pisa:
    """PISA through pyterrier-pisa: block-max WAND, whose index is a folder.

    PISA breaks words by rules of its own, so it is given the number of each term as a word.
    """

    def __init__(self, units: Units) -> None:
        from pyterrier_pisa import PisaIndex

        self._folder = tempfile.TemporaryDirectory()
        self._index = PisaIndex(f"{self._folder.name}/index", "text", stemmer="none", stops="none", threads=cores())
        numbered = (" ".join([f"t{number}" for number in unit]) for unit in units)
        self._index.index({"docno": str(row), "text": text} for row, text in enumerate(numbered))
        self._numbers = units.numbers
        self._searches: dict[tuple[int, int], Any] = {}

    def search(self, queries: Queries, k: int, threads: int) -> Any:
        """Return a table of hits."""
        import pandas as pd

        if (k, threads) not in self._searches:
            scoring = {"k1": 1.2, "b": 0.75, "query_weighted": True}
            self._searches[k, threads] = self._index.bm25(num_results=k, threads=threads, **scoring)
        numbered = ([self._numbers[term] for term in query if term in self._numbers] for query in queries)
        texts = [" ".join([f"t{number}" for number in query]) for query in numbered]
        asked = pd.DataFrame({"qid": [str(number) for number in range(len(texts))], "query": texts})
        return len(queries), self._searches[k, threads].transform(asked)

    def rows(self, answer: Any) -> list[NDArray[np.int64]]:
        """Return the places of the hits."""
        count, table = answer
        owners, rows = table["qid"].astype(int).to_numpy(), table["docno"].astype(int).to_numpy()
        return [rows[owners == number] for number in range(count)]


def _in_threads(work: Callable[[Queries], list[Any]], queries: Queries, threads: int) -> list[Any]:
    """Return what `work` returns for queries, parts of them given to threads."""
    if threads == 1:
        return work(queries)
    size = -(-len(queries) // (8 * threads))
    parts = [queries[first : first + size] for first in range(0, len(queries), size)]
    with ThreadPoolExecutor(threads) as pool:
        return [found for part in pool.map(work, parts) for found in part]


# By the module that it needs.
PEERS: dict[str, Callable[[Units], Engine]] = {"tantivy": Tantivy, "bm25s": Bm25s, "pyterrier_pisa": Pisa}

"""Retrieval speed: hornbook and those of tantivy, bm25s and PISA that are installed; same units, terms and queries.

    python benchmarks/retrieval.py --quick
    python benchmarks/retrieval.py [--corpus FOLDER] [--units N] [--task FOLDER]

Units are sampled at random from a folder of Parquet files, and a corpus is built of them. Queries are the RAKE
keywords of held-out sentences, or of a task's texts. What an engine does before the first query (ours: building the
corpus) is reported separately and not counted.

Figures are medians over rounds in which the engines take turns:

* `k`: for each number of hits, queries per second of CPU time on one core, and under `wall` of wall time on all
  cores, from lists of terms to unit numbers. `ratio` is ours to the fastest peer that agrees to 99.5% over all k
  together (50 queries with 10 hits alone would be noisy). A slow engine answers the first queries only; they are in
  random order. A fast one is measured for at least 0.3 seconds, from the start each time, so that cold caches do not
  dominate.
* `agreement`: over 50 queries, the share of hits that agree with an exhaustive search in float64; here the lowest of
  ours, in `k` those of all engines. A hit agrees if its exact score reaches that of the true k-th hit, so it is a
  true hit or ties with the last. Scores may differ by 1e-9, those of peers, which add in float32, by one part in a
  million. Missing hits do not agree. tantivy, like Lucene, stores a unit's length in one byte, which costs some
  agreement. `identical`: ours returned exactly the true units, in order, with the same scores to the last bit.
* `text_to_ids_mb_s`, `split_mb_s`, `documents_to_ids_mb_s`: MB (10**6) of text per second on one core: text to term
  numbers, documents to sentences, and both. `boundaries`: F1 between our sentence boundaries and BlingFire's, in
  documents with capitals. BlingFire ends no sentence before a lower-case letter, so for documents without capitals
  `lower_case` compares each with the sentences that the documents were joined from.
* `build_units_s`: units per second of a whole build on all cores; `build_mb_s`: MB of text per second of CPU time.
* `peak_mb`: peak memory of a process that opens the corpus and retrieves 100 units for each of 20,000 anchors.
* `scaling`: our seconds of CPU time on one core, on corpora of growing size.
* `threads`, in `k`: our speed-up on all cores over one, and that of copying 400 MB.

The last line of the output is one JSON object.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from distil_inputs import processor, say
from hornbook import kernels
from hornbook.corpus import Corpus, build, open_corpus
from hornbook.corpus.cutting import Limits, cut_documents
from hornbook.machine.arrow import text_buffers
from hornbook.machine.load import cores
from hornbook.recipe import CorpusConfig
from hornbook.retrieval import keywords_of_all
from hornbook.terms import terms
from hornbook.terms.characters import tables
from retrieval_engines import PEERS, Engine, Ours, Queries, Units

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
KS = (10, 100, 1000)
K1, B = 1.2, 0.75
CHECKED = 50  # queries
AGREES = 0.995
LEAST_SECONDS = 0.3  # that an engine is measured at a time
ANCHORS = 20_000
QUICK_PEERS = ("tantivy", "bm25s")
SIZES = (300_000, 600_000, 1_200_000)
SENTENCES = 20  # of a document
COMPARED = 2000  # documents
PROBE_BYTES = 400_000_000
Hits = list[NDArray[np.int64]]


@dataclass(frozen=True)
class Plan:
    """How much is measured: the rounds, the seconds per engine and round, the bytes of text."""

    rounds: int
    seconds: float
    text_bytes: int


def read_texts(folder: Path, most: int | None) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return at most `most` texts of a folder, in order, and held-out texts in random order."""
    tables = [pq.read_table(file, columns=["text"]) for file in sorted(folder.glob("*.parquet"))]
    texts = pa.concat_tables(tables)["text"]
    held_out = min(ANCHORS * 5 // 4, len(texts) // 10)
    order = np.random.default_rng(0).permutation(len(texts))
    return texts.take(np.sort(order[held_out:][:most])), shuffled(texts.take(np.sort(order[:held_out])))


def some(texts: pa.ChunkedArray, count: int) -> pa.ChunkedArray:
    """Return a random sample of `count` texts, in order."""
    return texts.take(np.sort(np.random.default_rng(1).permutation(len(texts))[:count]))


def shuffled(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts in random order."""
    return texts.take(np.random.default_rng(2).permutation(len(texts)))


def make_corpus(texts: pa.ChunkedArray, folder: Path) -> tuple[Corpus, dict[str, float]]:
    """Build a corpus of texts in a folder; return it with the speed of the build."""
    folder.mkdir()
    pq.write_table(pa.table({"text": texts}), folder / "texts.parquet")
    wall, cpu = time.perf_counter(), cpu_seconds()
    corpus = open_corpus(build(CorpusConfig(sources=(str(folder / "texts.parquet"),)), folder / "corpus"))
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    speeds = {"build_units_s": round(corpus.units / wall), "build_mb_s": round(bytes_of(texts) / 1e6 / cpu, 1)}
    return corpus, speeds


def bytes_of(texts: pa.ChunkedArray) -> int:
    """Return the total size of texts in bytes."""
    return int(pc.sum(pc.binary_length(texts)).as_py())


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its finished children."""
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in of)


def read_queries(texts: pa.ChunkedArray, task: Path | None, count: int) -> list[list[str]]:
    """Return the keywords of the first texts that have any, or of a task's first texts."""
    if task is not None:
        table = pq.read_table(task / "train.parquet")
        first = next(field.name for field in table.schema if pa.types.is_string(field.type))
        texts = shuffled(table[first])
    found = keywords_of_all(texts.to_pylist())
    return [query for query in found if query][:count]


def text_speeds(texts: pa.ChunkedArray, size: int) -> dict[str, Any]:
    """Return MB per second on one core: text to term numbers, documents to sentences, both."""
    units = some(texts, math.ceil(len(texts) * size / bytes_of(texts))).combine_chunks()
    sentences = units.to_pylist()
    joined = [" ".join(sentences[first : first + SENTENCES]) for first in range(0, len(sentences), SENTENCES)]
    documents = pa.array(joined, pa.string())
    megabytes = len(text_buffers(documents)[1]) / 1e6
    to_ids, to_sentences = (
        statistics.median(timed(work, text)[0] for _ in range(3))
        for work, text in ((number_terms, units), (sentences_of, documents))
    )
    seconds = {"text_to_ids": to_ids, "split": to_sentences, "documents_to_ids": to_ids + to_sentences}
    found: dict[str, Any] = {f"{name}_mb_s": round(megabytes / value, 1) for name, value in seconds.items()}
    if importlib.util.find_spec("blingfire"):
        found |= boundaries(
            joined[:COMPARED], [sentences[i * SENTENCES : (i + 1) * SENTENCES] for i in range(COMPARED)]
        )
    return found


def number_terms(texts: pa.StringArray) -> None:
    """Split texts into terms and number them alphabetically, the first step of a build."""
    compiled = kernels.compiled()
    if compiled is None:
        sorted({term for text in texts.to_pylist() for term in terms(text)})
        return
    numbered = compiled.UnitTerms(*tables())
    for row in numbered.add(*text_buffers(texts)):
        numbered.put(row, terms(texts[row].as_py()))
    numbered.vocabulary()


def sentences_of(documents: pa.StringArray) -> Any:
    """Cut documents to sentences."""
    return cut_documents(documents, Limits("sentence", chunk_words=85, min_words=1, max_words=100_000))


def boundaries(documents: Sequence[str], joined_of: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the F1 of our boundaries with BlingFire's; in lower-case documents, of both with the true ones."""
    import blingfire

    done = sentences_of(pa.array(documents, pa.string()))
    ours = [list[str]() for _ in documents]
    for number, text in zip(done.documents.tolist(), done.texts.to_pylist(), strict=True):
        ours[number].append(text)
    theirs = [blingfire.text_to_sentences(document).split("\n") for document in documents]
    lower = [document == document.lower() for document in documents]

    def compared(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]], which: bool) -> float | None:
        pairs = [(ends(a), ends(b)) for a, b, is_lower in zip(first, second, lower, strict=True) if is_lower == which]
        every = sum(len(a) + len(b) for a, b in pairs)
        return round(2 * sum(len(a & b) for a, b in pairs) / every, 4) if every else None

    in_lower = {"ours": compared(ours, joined_of, True), "blingfire": compared(theirs, joined_of, True)}
    return {"boundaries": compared(ours, theirs, False), "lower_case": in_lower | {"documents": sum(lower)}}


def ends(sentences: Sequence[str]) -> set[int]:
    """Return the offsets at which a document is cut, in characters without white space."""
    sizes = [len("".join(sentence.split())) for sentence in sentences]
    return set(np.cumsum(sizes)[:-1].tolist())


def timed(work: Callable[..., Any], *arguments: Any, least: float = 0.0) -> tuple[float, float]:
    """Return the mean seconds of CPU time and of wall time of `work`, repeated for at least `least` seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    passed, times = 0.0, 0
    while not times or passed < least:
        work(*arguments)
        passed, times = time.perf_counter() - wall, times + 1
    return (time.process_time() - cpu) / times, passed / times


def peak_mb(corpus: Corpus, anchors: Queries, folder: Path) -> int:
    """Return the peak memory of a process that retrieves 100 units for each of some anchors."""
    (folder / "anchors.json").write_text(json.dumps(anchors))
    script = str(Path(__file__).with_name("retrieval_memory.py"))
    arguments = [str(corpus.artifact.path), str(folder / "anchors.json"), "100"]
    done = subprocess.run([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def copy(source: NDArray[np.uint8], target: NDArray[np.uint8], threads: int) -> None:
    """Copy an array, one part per thread."""
    parts = zip(np.array_split(target, threads), np.array_split(source, threads), strict=True)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: np.copyto(*part), parts))


def scaling(texts: pa.ChunkedArray, whole: Corpus, queries: Queries, folder: Path, rounds: int) -> dict[str, Any]:
    """Return the units of growing corpora and our seconds on one core."""
    found: dict[str, Any] = {"units": [], "cpu_s": {str(k): [] for k in KS}}
    for size in [*(size for size in SIZES if size < 0.9 * len(texts)), len(texts)]:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            corpus = whole if size == len(texts) else make_corpus(some(texts, size), Path(place) / "some")[0]
            ours = Ours(corpus, np.empty(0, np.int64))
            found["units"].append(corpus.units)
            for k in KS:
                seconds = [timed(ours.search, queries, k, 1)[0] for _ in range(rounds)]
                found["cpu_s"][str(k)].append(round(statistics.median(seconds), 3))
        say(f"{size:,} texts: {[of[-1] for of in found['cpu_s'].values()]} s")
    return found


@dataclass(frozen=True)
class Check:
    """How many hits of an engine agree, how many there should be, and its rough queries per second."""

    agree: int
    hits: int
    qps: float
    identical: bool = False


class Truth:
    """Exact scores of all units for some queries, in float64, by the formula of `hornbook.retrieval.bm25`."""

    def __init__(self, units: Units, queries: Queries) -> None:
        owners = np.repeat(np.arange(len(units), dtype=np.int32), np.diff(units.starts))
        shape = (len(units), len(units.numbers))
        counts = sparse.coo_array((np.ones(len(units.terms), np.int32), (owners, units.terms)), shape).tocsc()
        lengths = np.diff(units.starts)
        saturation = K1 * (1 - B + B * lengths / lengths.mean())
        self._scores = [np.zeros(len(units)) for _ in queries]
        for scores, query in zip(self._scores, queries, strict=True):
            for term, times in sorted(Counter(query).items()):
                if (number := units.numbers.get(term)) is None:
                    continue
                span = slice(counts.indptr[number], counts.indptr[number + 1])
                rows, tf = counts.indices[span], counts.data[span]
                idf = np.log(1 + (len(units) - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += times * (idf * tf / (tf + saturation[rows]))

    def hits(self, k: int) -> Hits:
        """Return the rows of each query's k best units."""
        found = []
        for scores in self._scores:
            matching = np.flatnonzero(scores)
            found.append(matching[np.argsort(-scores[matching], kind="stable")[:k]])
        return found

    def agreement(self, hits: Hits, k: int, absolute: float = 0.0, relative: float = 0.0) -> tuple[int, int]:
        """Return how many hits agree, and how many there should be, within these tolerances."""
        agree = wanted = 0
        for scores, found, best in zip(self._scores, hits, self.hits(k), strict=True):
            if len(best):
                lowest = scores[best[-1]] * (1 - relative) - absolute
                agree += int((scores[np.unique(found)] >= lowest).sum())
                wanted += len(best)
        return agree, wanted

    def identical(self, hits: Hits, scores: Sequence[NDArray[np.float64]], k: int) -> bool:
        """Tell whether these are the best units in order, with exactly these scores."""
        return all(
            np.array_equal(found, best) and np.array_equal(given, true[best])
            for found, given, true, best in zip(hits, scores, self._scores, self.hits(k), strict=True)
        )


def measure(engines: dict[str, Engine], truth: Truth, queries: Queries, plan: Plan) -> dict[str, dict[str, Any]]:
    """Return the figures of all engines for each k."""
    checks = {k: {name: check(engine, truth, queries, k) for name, engine in engines.items()} for k in KS}
    hits = {name: sum(checks[k][name].hits for k in KS) for name in engines}
    good = [name for name in engines if sum(checks[k][name].agree for k in KS) >= AGREES * hits[name]]
    source, target = (
        np.full(PROBE_BYTES, number, np.uint8) for number in (1, 2)
    )  # not zeros, which are not in memory
    found = {}
    for k in KS:
        counts = {name: min(len(queries), max(CHECKED, int(plan.seconds * of.qps))) for name, of in checks[k].items()}
        counts["ours"] = len(queries)
        cpu, wall = ({name: list[float]() for name in engines} for _ in range(2))
        gains: dict[str, list[float]] = {"ours": [], "copying": []}
        for name, count in counts.items():
            engines[name].search(queries[:count], k, 1)  # warms up
        for turn in range(plan.rounds):
            names = list(engines)
            for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:  # they take turns
                asked = queries[: counts[name]]
                seconds, alone = timed(engines[name].search, asked, k, 1, least=LEAST_SECONDS)
                _, together = timed(engines[name].search, asked, k, cores(), least=LEAST_SECONDS)
                cpu[name].append(len(asked) / seconds)
                wall[name].append(len(asked) / together)
                if name == "ours":
                    gains["ours"].append(alone / together)
                    gains["copying"].append(
                        timed(copy, source, target, 1)[1] / timed(copy, source, target, cores())[1]
                    )
        found[str(k)] = {
            **summary(cpu, good),
            "wall": summary(wall, good),
            "agreement": {name: round(of.agree / of.hits, 6) for name, of in checks[k].items()},
            "identical": checks[k]["ours"].identical,
            "threads": {name: round(statistics.median(values), 2) for name, values in gains.items()},
            "queries": counts,
        }
        say(f"k = {k}: {found[str(k)]}")
    return found


def check(engine: Engine, truth: Truth, queries: Queries, k: int) -> Check:
    """Return how far an engine agrees with the truth, and roughly how fast it is."""
    asked = queries[:CHECKED]
    for threads in (1, cores()):
        engine.search(asked, k, threads)  # warm up
    qps = len(asked) / timed(engine.search, asked, k, 1)[1]
    answer = engine.search(asked, k, 1)
    rows = engine.rows(answer)
    if not isinstance(engine, Ours):
        return Check(*truth.agreement(rows, k, relative=1e-6), qps)
    scores = [of[of > 0] for of in answer.scores]
    return Check(*truth.agreement(rows, k, absolute=1e-9), qps, truth.identical(rows, scores, k))


def summary(speeds: dict[str, list[float]], good: Sequence[str]) -> dict[str, Any]:
    """Return the median queries per second, and ours against the fastest peer in `good`."""
    qps = {name: statistics.median(values) for name, values in speeds.items()}
    best = max((name for name in good if name != "ours"), key=qps.__getitem__, default=None)
    rounded = {name: round(value, 1) for name, value in qps.items()}
    return {
        "ours_qps": rounded["ours"],
        "peer_qps": rounded[best] if best else None,
        "best_peer": best,
        "ratio": round(qps["ours"] / qps[best], 2) if best else None,
        "qps": rounded,
    }


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute on two cores; noisy")
    parser.add_argument("--corpus", type=Path, default=DATA / "general", help="a folder of Parquet files with `text`")
    parser.add_argument("--units", type=int, help="number of texts; default all, quick 300,000")
    parser.add_argument("--task", type=Path, help="a folder with train.parquet, whose texts are the queries")
    parser.add_argument("--queries", type=int, default=2000, help="default 2,000")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), help="default: all; quick tantivy and bm25s")
    parser.add_argument("--rounds", type=int, help="default 5; quick 3")
    options = parser.parse_args()
    if options.task and not (options.task / "train.parquet").is_file():
        parser.error(f"--task {options.task}: no train.parquet in it")
    return options


def main() -> None:
    """Measure and print."""
    options, started = parse(), time.perf_counter()
    if not any(options.corpus.glob("*.parquet")):
        reason = f"{options.corpus}: no Parquet files here; give a folder of them, with a column `text`, by --corpus"
        say(f"skipped: {reason}")
        print(json.dumps({"skipped": reason}))
        return
    plan = Plan(3, 0.3, 10_000_000) if options.quick else Plan(5, 5.0, 100_000_000)
    plan = replace(plan, rounds=options.rounds or plan.rounds)
    texts, held_out = read_texts(options.corpus, options.units or (300_000 if options.quick else None))
    anchors = read_queries(held_out, options.task, ANCHORS)
    queries = anchors[: options.queries]
    say(f"{len(texts):,} texts; {len(queries):,} queries of {np.mean([*map(len, queries)]):.1f} terms")
    with tempfile.TemporaryDirectory(prefix="hornbook-retrieval-") as place:
        folder = Path(place)
        corpus, built = make_corpus(texts, folder / "whole")
        result: dict[str, Any] = {**text_speeds(texts, plan.text_bytes), **built}
        say(f"{time.perf_counter() - started:.0f} s: {result}")
        result["peak_mb"] = peak_mb(corpus, anchors, folder)
        if not options.quick:
            result["scaling"] = scaling(texts, corpus, queries, folder, plan.rounds)
            say(f"{time.perf_counter() - started:.0f} s: growing corpora")
        del texts
        units = Units.of(corpus)
        engines: dict[str, Engine] = {"ours": Ours(corpus, units.ids)}
        say(f"{time.perf_counter() - started:.0f} s: {result['peak_mb']} MB at most")
        truth = Truth(units, queries[:CHECKED])
        index_s = {}
        for name in QUICK_PEERS if options.quick and options.peers is None else options.peers or PEERS:
            if importlib.util.find_spec(name) is None:
                say(f"{name} is not installed, and left out")
                continue
            start = time.perf_counter()
            engines[name] = PEERS[name](units)
            index_s[name] = round(time.perf_counter() - start, 1)
            say(f"{time.perf_counter() - started:.0f} s: {name} has its index")
        by_k = measure(engines, truth, queries, plan)
    agreement = min(of["agreement"]["ours"] for of in by_k.values())
    about = {"units": len(units), "queries": len(queries), "peers_index_s": index_s, "versions": versions()}
    about["device"] = f"{processor()}, {cores()} cores"
    seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"k": by_k, "agreement": agreement, **result, **about, "seconds": seconds}))
    if agreement < 1:
        sys.exit(f"ours agrees with an exhaustive search to {agreement}, not 1: the speeds mean nothing")


def versions() -> dict[str, str]:
    """Return the versions of the installed peers, and of numba, which makes bm25s many times faster."""
    found = {}
    for name in (*PEERS, "numba"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


if __name__ == "__main__":
    main()

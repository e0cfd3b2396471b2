"""The statistics of a large textbook: seconds and memory on one core.

    python benchmarks/textbook_statistics.py [--units 1000000]

A general textbook of so many units (out of ../shared/data/general where that is, else made-up sentences) is
compared with a task's own text (SST-2, else made up): Distinct-n, overlap of vocabularies, contamination, lengths,
sources. The last line of the output is one JSON object.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.machine.memory import peak_memory
from hornbook.recipe import TaskConfig
from hornbook.store import Artifact, StageContext, make
from hornbook.tasks import prepare
from hornbook.textbook import contamination, store
from hornbook.textbook.inspect import diversity as distinct
from hornbook.textbook.inspect import statistics, words

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def general_units(count: int) -> Iterator[pa.Table]:
    """Yield tables of units, as many in all."""
    left = count
    for file in sorted((DATA / "general").glob("*.parquet")):
        table = pq.read_table(file, columns=["text", "source"]).slice(0, left)
        left -= len(table)
        yield store.table_of(table)
    random = np.random.default_rng(0)
    names = np.array([f"word{i}" for i in range(50_000)])
    while left:
        size = min(left, 50_000)
        rows = (names[(random.pareto(0.9, size=20) * 10).astype(int) % len(names)] for _ in range(size))
        yield store.table_of(pa.table({"text": [" ".join(row) for row in rows], "source": ["made up"] * size}))
        left -= size


def textbook(folder: Path, units: int) -> Artifact:
    """Return a general textbook of so many units."""

    def fill(context: StageContext) -> None:
        context.counts["units"] = store.write(context.path, general_units(units))
        context.info |= {"kind": "general", "task": None, "contamination": "not checked"}

    return make(folder / "general", stage=store.STAGE, version=0, config={"units": units}, inputs={}, build=fill)


def task(folder: Path) -> Artifact:
    """Return SST-2, or a made-up task."""
    if (DATA / "glue" / "sst2").is_dir():
        return prepare(TaskConfig(source="glue/sst2", folder=str(DATA / "glue")), folder / "task")
    table = pa.table({"text": [f"word{i} is word{i + 1}" for i in range(2_000)], "label": ["a", "b"] * 1_000})
    pq.write_table(table, folder / "made-up.parquet")
    return prepare(TaskConfig(source=str(folder / "made-up.parquet")), folder / "task")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=1_000_000)
    options = parser.parse_args()
    parts: dict[str, float] = {}

    def timed(module: object, name: str, part: str) -> None:
        function = getattr(module, name)

        def call(*arguments: object, **settings: object) -> object:
            started = time.process_time()
            try:
                return function(*arguments, **settings)
            finally:
                parts[part] = parts.get(part, 0) + time.process_time() - started

        setattr(module, name, call)

    timed(statistics, "distinct", "distinct_s")
    timed(statistics, "overlap", "overlap_s")
    timed(contamination.Finder, "_texts_in", "contamination_s")
    timed(words.Vocabulary, "ids", "words_s")
    assert distinct  # measured where `statistics` calls it
    with tempfile.TemporaryDirectory() as name:
        book, own = textbook(Path(name), options.units), task(Path(name))
        started, cpu = time.monotonic(), time.process_time()
        found = statistics.statistics([book], own)
        seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu
    result = {
        "units": found["books"][0]["cases"],
        "words": found["books"][0]["words"],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_mb": peak_memory() // 1024,
        **{name: round(value, 1) for name, value in sorted(parts.items())},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

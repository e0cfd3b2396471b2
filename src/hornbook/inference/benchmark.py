"""How fast classifiers answer, in each of their formats, on the same texts and in turns."""

import itertools
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from hornbook.errors import HornbookError
from hornbook.inference.classifier import Classifier, Format, formats_of, graph_of, load_classifier
from hornbook.inference.rows import find_columns, open_windows, readable, suffix_of
from hornbook.machine.memory import peak_memory
from hornbook.machine.progress import progress
from hornbook.models.source import WEIGHTS, Model, model_path
from hornbook.recipe import BenchmarkConfig, PredictConfig
from hornbook.results import Speed
from hornbook.tasks import Task

Texts = tuple[list[str], list[str] | None]
"""Texts, and second texts or None."""


def benchmark(models: Sequence[Model], texts: Texts, config: BenchmarkConfig | None = None) -> list[Speed]:
    """Measure how fast models answer in each of their formats.

    Each model and format has a process of its own. They take turns, so that noise on the machine affects all of them.
    Texts are not sorted: a call takes as long as its longest text.

    Args:
        models: artefacts, folders or hub names.
        texts: what to classify, see `texts_of_task` and `texts_of_file`.
        config: batch sizes, time, threads.

    Returns:
        a row for each model, format and size of batches.
    """
    config = config or BenchmarkConfig()
    ways = [(model_path(model), format) for model in models for format in formats_of(model)]
    texts = _sample(texts, config.texts)
    seconds: dict[tuple[int, int], list[float]] = {}
    # A started process, unlike a forked one, has loaded nothing yet.
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, context)) for _ in ways]
        starts = [pool.submit(_load, *way, config.threads, texts) for pool, way in zip(pools, ways, strict=True)]
        for start in starts:
            start.result()
        rounds = list(itertools.product(range(config.rounds), config.batches, range(len(ways))))
        with progress("measuring", len(rounds), "turns") as done:
            for turn, batch, way in rounds:
                took = pools[way].submit(_turn, batch, config.seconds, turn).result()
                seconds.setdefault((way, batch), []).extend(took)
                done.advance()
        peaks = [pool.submit(peak_memory).result() for pool in pools]
    return [
        _speed(*ways[way], batch, seconds[way, batch], peaks[way])
        for way, batch in itertools.product(range(len(ways)), config.batches)
    ]


def texts_of_task(task: Task) -> Texts:
    """Return the texts of a task's dev split."""
    table = task.split("dev")
    return table["text"].to_pylist(), table["text_pair"].to_pylist() if task.pair else None


def texts_of_file(source: str, config: PredictConfig | None = None) -> Texts:
    """Return the texts of the first rows of a file, up to 8,192.

    Args:
        source: JSON lines, CSV, TSV or Parquet.
        config: the columns; rows without text are left out.

    Returns:
        the texts, and second texts or None.

    Raises:
        HornbookError: the file cannot be read or has no text.
    """
    config = config or PredictConfig()
    window = next(open_windows(source, suffix_of(source, None)), None)
    if window is None:
        raise HornbookError(f"{source}: holds no rows")
    rows = readable(window, find_columns(window, source, config.text, config.text_pair), source)
    if not rows.texts:
        raise HornbookError(f"{source}: no row has a text: {rows.faults[0]}")
    return list(rows.texts), None if rows.pairs is None else list(rows.pairs)


def _sample(texts: Texts, count: int) -> Texts:
    chosen = np.random.default_rng(0).permutation(len(texts[0]))[:count]
    first, second = ([part[i] for i in chosen] if part is not None else None for part in texts)
    assert first is not None
    return first, second


def _speed(model: str, format: Format, batch: int, seconds: Sequence[float], peak: int) -> Speed:
    graph = graph_of(model, format)
    files = [Path(model) / graph] if graph else [Path(model) / name for name in WEIGHTS[:1]]
    times = 1000 * np.array(seconds)
    return Speed(
        model,
        format,
        batch,
        sentences_per_second=round(batch * len(seconds) / sum(seconds), 1),
        p50_ms=round(float(np.percentile(times, 50)), 3),
        p95_ms=round(float(np.percentile(times, 95)), 3),
        mb=round(sum(file.stat().st_size for file in files if file.is_file()) / 1e6, 1),
        peak_mb=round(peak / 1024, 1),
    )


# What a measuring process has loaded.
_loaded: tuple[Classifier, Texts] | None = None


def _load(model: str, format: Format, threads: int, texts: Texts) -> None:
    global _loaded
    _loaded = load_classifier(model, format=format, threads=threads, share_batches=True), texts


def _turn(batch: int, limit: float, turn: int) -> list[float]:
    """Classify one batch after another until the time is over; return the seconds of each call."""
    assert _loaded is not None
    classify, texts = _loaded
    if turn == 0:  # gets memory and starts threads, which matters where a call is short
        started = time.perf_counter()
        classify(*_batch(texts, 1, 0))
        if (time.perf_counter() - started) * batch < limit:
            classify(*_batch(texts, batch, 0))
    took: list[float] = []
    while sum(took) < limit:
        chosen = _batch(texts, batch, turn + len(took))
        started = time.perf_counter()
        classify(*chosen)
        took.append(time.perf_counter() - started)
    return took


def _batch(texts: Texts, size: int, number: int) -> Texts:
    """Return a batch of the texts; after the last text comes the first one again."""
    first, second = texts
    places = [i % len(first) for i in range(number * size, (number + 1) * size)]
    return [first[i] for i in places], None if second is None else [second[i] for i in places]

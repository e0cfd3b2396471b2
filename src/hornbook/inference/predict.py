"""Classify the rows of a file: read, tokenised, run and written window by window, so that memory stays flat."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.errors import HornbookError
from hornbook.inference.classifier import Classifier, graph_of, load_classifier
from hornbook.inference.formats import Writer, writer_of
from hornbook.inference.output import Done, Output, PartFile, Stdout, refuse_existing
from hornbook.inference.rows import STDIN, Columns, Readable, find_columns, open_windows, readable, suffix_of
from hornbook.inference.runtimes import Answer
from hornbook.machine.progress import progress
from hornbook.machine.tables import Window, count_rows
from hornbook.models.source import Model, model_key, model_path
from hornbook.recipe import PredictConfig
from hornbook.store import content_key, fingerprint, known_checksum, result_config

logger = logging.getLogger("hornbook")

VERSION = 1
_DIGITS = 6


def predict_file(
    model: Model,
    source: Path | str,
    out: Path | str | None = None,
    config: PredictConfig | None = None,
    *,
    format: str | None = None,
    force: bool = False,
) -> Done:
    """Classify the rows of a file, and write them in their order with their predictions.

    New columns: `label` and a `probability_…` for each label; instead of `label`, `labels`, a list, where texts may
    have several; for scores only `score`.

    Args:
        model: a classifier: an artefact, a folder or a hub name.
        source: JSON lines, CSV, TSV or Parquet; `-` is the standard input.
        out: the file to make; its suffix states the format. None is the standard output, in the format of the input.
            If a run is killed, the same call continues where it stopped.
        config: the columns, and what to do with rows that have no text.
        format: the format of the input, if its name does not state it.
        force: replace `out` if it is there.

    Returns:
        how many rows were classified, skipped and cut.

    Raises:
        HornbookError: the model or the file cannot be read, a row has no text, or `out` is there already.
    """
    config = config or PredictConfig()
    source, out = str(source), None if out is None else Path(out)
    suffix = suffix_of(source, format)
    writer = writer_of(suffix if out is None else out.suffix.lower())
    if out is None and not writer.text:
        raise HornbookError("Parquet cannot be written to the standard output; name a file with --out")
    if out is not None:
        refuse_existing(out, force)
    windows = open_windows(source, suffix)
    classifier = load_classifier(model, format=config.model_format, threads=config.threads)
    _refuse_abstaining(classifier, config)
    if out is None:
        return _run(classifier, source, windows, writer, Stdout(), config)
    key = None if source == STDIN else _key(model, classifier, source, (suffix, out.suffix), config)
    return _run(classifier, source, windows, writer, PartFile(out, writer, key), config)


def _run(
    classifier: Classifier,
    source: str,
    windows: Iterator[Window],
    writer: Writer,
    output: Output,
    config: PredictConfig,
) -> Done:
    first = next(windows, None)
    if first is None:
        raise HornbookError(f"{source}: holds no rows")
    columns = find_columns(first, source, config.text, config.text_pair)
    done = output.begin()
    total = None if source == STDIN else count_rows(Path(source))
    left = islice(chain([first], windows), done.windows, None)
    with progress("predicting", total, "rows") as counter:
        counter.skip(done.rows + done.skipped)
        for rows, answer in classifier.answers(_texts(left, columns, source, config)):
            added = _added(classifier, answer, config)
            if clash := rows.window.has_any(added):
                raise HornbookError(f"{source}: has a column {clash!r} already; rename the new ones with --prefix")
            done = _with(done, rows, answer, added, config)
            output.append(writer.encode(rows.window, added) if rows.texts else b"", done)
            counter.advance(len(rows.texts) + len(rows.faults))
    if not done.rows:
        raise HornbookError(f"no row can be classified: {done.first_fault}")
    output.publish()
    return done


def _texts(
    windows: Iterator[Window], columns: Columns, where: str, config: PredictConfig
) -> Iterator[tuple[Readable, Sequence[str], Sequence[str] | None]]:
    for window in windows:
        rows = readable(window, columns, where)
        if rows.faults and config.bad_rows == "fail":
            raise HornbookError(f"{rows.faults[0]}; correct it, or leave such rows out with --bad-rows skip")
        yield rows, rows.texts, rows.pairs


def _added(classifier: Classifier, answer: Answer, config: PredictConfig) -> Mapping[str, Sequence[Any]]:
    """Return the new columns by name."""
    found = classifier.predictions(answer.logits)
    rounded = np.round(found.probabilities, _DIGITS)
    if classifier.kind == "regression":
        return {f"{config.prefix}score": rounded[:, 0].tolist()}
    labels = found.labels
    if config.abstain_below is not None:
        sure = found.probabilities.max(axis=1, initial=0) >= config.abstain_below
        labels = [label if is_sure else None for label, is_sure in zip(labels, sure, strict=True)]
    name = "labels" if classifier.kind == "multilabel" else "label"
    shares = zip(classifier.labels, rounded.T.tolist(), strict=True)
    return {f"{config.prefix}{name}": labels, **{f"{config.prefix}probability_{one}": share for one, share in shares}}


def _with(
    done: Done, rows: Readable, answer: Answer, added: Mapping[str, Sequence[Any]], config: PredictConfig
) -> Done:
    """Return what is finished after one more window."""
    return replace(
        done,
        windows=done.windows + 1,
        rows=done.rows + len(rows.texts),
        skipped=done.skipped + len(rows.faults),
        cut=done.cut + answer.cut,
        unlabelled=done.unlabelled + sum(label is None for label in next(iter(added.values()))),
        first_fault=done.first_fault or next(iter(rows.faults), None),
    )


def _refuse_abstaining(classifier: Classifier, config: PredictConfig) -> None:
    if config.abstain_below is not None and classifier.kind != "classification":
        what = {"multilabel": "several labels per text", "regression": "scores"}.get(classifier.kind, classifier.kind)
        raise HornbookError(f"--abstain-below: is for models of one label per text; this one gives {what}")


def _key(model: Model, classifier: Classifier, source: str, formats: tuple[str, str], config: PredictConfig) -> str:
    """Return what a file of predictions is made from, by content."""
    path = model_path(model)
    graph = graph_of(path, classifier.format)
    inputs = {"model": model_key(model), "rows": fingerprint([Path(source)])}
    if graph is not None:
        inputs["graph"] = known_checksum(Path(path) / graph)
    settings = {**result_config(config), "model_format": classifier.format, "formats": formats}
    return content_key("predictions", VERSION, settings, inputs)

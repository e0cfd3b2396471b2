"""The stage `export-evaluation`: what the graphs of an export score on the task, and how fast they are."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.evaluation.record import scored_splits, scores
from hornbook.export.files import GRAPH, INT8_GRAPH
from hornbook.export.session import OnnxClassifier, by_length
from hornbook.models.loading import label_order
from hornbook.recipe import EvaluateConfig
from hornbook.store import Artifact, Destination, StageContext, make
from hornbook.tasks import Task, open_task

STAGE = "export-evaluation"
VERSION = 1
_ROUNDS = 3


def evaluate_export(export: Artifact, task: Artifact, out: Destination, config: EvaluateConfig) -> Artifact:
    """Score the graphs of an export on dev and test, and measure their speed as `hornbook.evaluation.evaluate` does.

    Args:
        export: made by `hornbook.export.build`.
        task: a prepared task.
        out: the artefact's folder.
        config: batch size, and texts to measure speed on.

    Returns:
        the artefact: `info["scores"]` by graph (`float32`, `int8`), split and metric; `info["metric"]`;
        `measured["sentences_per_second"]` by graph.

    Raises:
        HornbookError: a graph cannot be loaded, or its labels are not the task's.
    """

    def build(context: StageContext) -> None:
        opened = open_task(task)
        graphs = {"float32": GRAPH} | ({"int8": INT8_GRAPH} if "int8_bytes" in export.counts else {})
        classifiers = {name: OnnxClassifier(export.path, graph) for name, graph in graphs.items()}
        context.info["metric"] = opened.metric
        context.info["scores"] = {name: _scores(one, opened, config) for name, one in classifiers.items()}
        context.measured["sentences_per_second"] = _speeds(classifiers, opened, config)

    return make(
        out,
        stage=STAGE,
        version=VERSION,
        config={"batch": config.batch, "speed_sentences": config.speed_sentences},
        inputs={"export": export.key, "task": task.key},
        build=build,
    )


def _scores(classify: OnnxClassifier, task: Task, config: EvaluateConfig) -> dict[str, dict[str, float]]:
    """Return the scores of a graph by split and metric."""
    columns = label_order(dict(enumerate(classify.labels)), task.labels, None, "the export")
    found = {}
    for split in scored_splits(task):
        firsts, seconds = _texts(task, split)
        outputs: NDArray[Any] = classify.logits(firsts, seconds, config.batch)[:, columns]
        found[split] = scores(task, split, outputs.astype(np.float64))
    return found


def _speeds(classifiers: Mapping[str, OnnxClassifier], task: Task, config: EvaluateConfig) -> dict[str, float]:
    """Return sentences per second: the best of some interleaved rounds, without the time of the tokenizer."""
    firsts, seconds = _texts(task, "dev", config.speed_sentences)
    ready = {}
    for name, one in classifiers.items():
        encodings = one.encode(firsts, seconds)
        ready[name] = [[encodings[i] for i in chosen] for chosen in by_length(encodings, config.batch)]
    best = dict.fromkeys(classifiers, 0.0)
    for _ in range(_ROUNDS):
        for name, one in classifiers.items():
            started = time.perf_counter()
            for part in ready[name]:
                one.run(one.inputs(part))
            best[name] = max(best[name], len(firsts) / (time.perf_counter() - started))
    return {name: round(speed, 1) for name, speed in best.items()}


def _texts(task: Task, split: str, most: int | None = None) -> tuple[list[str], list[str] | None]:
    table = task.split(split).slice(0, most)
    return table["text"].to_pylist(), table["text_pair"].to_pylist() if task.pair else None

"""The last stage of a run: curves, textbooks, anchors, mistakes and calibration for its page."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from hornbook.pipeline.models import RunArtifacts, ScoredModel
from hornbook.results import INSPECTION, TEACHER, Inspection
from hornbook.results.inspection import Anchor, CalibrationBin, CurvePoint, Mistake, TextbookComparison
from hornbook.results.plain import as_json, from_json
from hornbook.results.summary import best_student
from hornbook.store import Artifact, StageContext, Store, make, write_json
from hornbook.tasks.task import BY_TEACHER

VERSION = 1
MISTAKES, ANCHORS, UNITS, BINS = 50, 40, 5, 10
_LOG = "log.csv"
Predictions = list[dict[str, Any]]


def inspect(made: RunArtifacts, store: Store) -> Artifact:
    """Return the inspection of a run: curves, textbooks, anchors, mistakes, calibration.

    Args:
        made: by the run's stages; with a dry store it may be only planned.
        store: where the artefact, and the statistics of the textbooks, are found and put.

    Returns:
        the artefact, stage "inspection", for `results.files.read_inspection`.
    """
    from hornbook.textbook.inspect.statistics import measured

    books = dict(sorted(made.textbooks.items()))
    statistics = measured(books, made.about, store) if books else None
    taught = [] if made.teacher is None else [made.teacher]
    models = [*taught, *(model for model in made.models if model.name != TEACHER)]

    def build(context: StageContext) -> None:
        found = Inspection(
            curves=tuple(point for model in models for point in curves(model)),
            statistics=None if statistics is None else _comparison(statistics),
            anchors=_anchors(made),
            mistakes=tuple(_mistakes(made, models)),
            calibration=tuple(_calibration(made.task, models)),
        )
        write_json(context.path / f"{INSPECTION}.json", as_json(found))

    inputs = {"task": made.task.key}
    if statistics is not None:
        inputs["statistics"] = statistics.key
    for model in models:
        inputs |= {f"{model.name}/{model.seed}/{role}": artifact.key for role, artifact in _parts(model)}
    config = {"mistakes": MISTAKES, "anchors": ANCHORS, "units": UNITS, "bins": BINS}
    return make(store, stage=INSPECTION, version=VERSION, config=config, inputs=inputs, build=build)


def _parts(model: ScoredModel) -> Iterator[tuple[str, Artifact]]:
    """Yield the artefacts of a model that the inspection reads, by role."""
    yield "evaluation", model.evaluation
    if model.model is not None:
        yield "model", model.model
    for number, student in enumerate(model.distilled, 1):
        yield f"distilled {number}", student


def _comparison(statistics: Artifact) -> TextbookComparison:
    from hornbook.textbook.inspect.statistics import read_statistics

    return from_json(TextbookComparison, read_statistics(statistics))


def curves(model: ScoredModel) -> Iterator[CurvePoint]:
    """Yield the curves of a model: of every distillation, then of its fine-tuning.

    A snapshot has no log of its own: its curve is that of the distillation it was taken from, up to its step.
    """
    where = (model.name, model.seed)
    logged = [student for student in model.distilled if _LOG in student.manifest["files"]]
    last = model.distilled[-1].counts["steps"] if logged and model.distilled[-1] is not logged[-1] else None
    for link, student in enumerate(logged, 1):
        for step, loss, score in _points(student):
            if last is None or student is not logged[-1] or step <= last:
                yield CurvePoint(*where, "distil", step, loss, score, link)
    if model.model is not None and _LOG in model.model.manifest["files"]:
        for step, loss, score in _points(model.model):
            yield CurvePoint(*where, "adapt", step, loss, score)


def _points(trained: Artifact) -> Iterator[tuple[int, float | None, float | None]]:
    """Yield step, loss and score of each line of a training's log that has one of them."""
    with trained.file(_LOG).open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            loss, score = (float(line[name]) if line.get(name) else None for name in ("loss", "score"))
            if loss is not None or score is not None:
                yield int(line["step"]), loss, score


def _anchors(made: RunArtifacts) -> dict[str, tuple[Anchor, ...]]:
    """Return random anchors and the units that they retrieve, for each contextualized textbook."""
    from hornbook.textbook import open_textbook
    from hornbook.textbook.inspect.view import CONTEXTUALIZED, view

    found = {}
    for name, book in sorted(made.textbooks.items()):
        textbook = open_textbook(book)
        if textbook.kind == CONTEXTUALIZED:
            assert made.corpus is not None  # the textbook is made from it
            corpus, task = str(made.corpus.path), str(made.about.path)
            shown = view(textbook, random=ANCHORS, units=UNITS, corpus=corpus, task=task)
            found[name] = tuple(from_json(Anchor, asdict(anchor)) for anchor in shown.anchors)
    return found


def _predictions(model: ScoredModel) -> Predictions:
    found: Predictions = pq.read_table(model.evaluation.file("predictions-dev.parquet")).to_pylist()
    return found


def _mistakes(made: RunArtifacts, models: Sequence[ScoredModel]) -> list[Mistake]:
    """Return dev examples that the best student gets wrong and its teacher right, the most confident first."""
    best = best_student([model.result() for model in models])
    if best is None or made.teacher is None or made.task.info["kind"] == "multilabel":
        return []
    student = next(model for model in models if (model.name, model.seed) == (best.name, best.seeds[0]))
    found = []
    for taught, own in zip(_predictions(made.teacher), _predictions(student), strict=True):
        gold = own["gold"] if "gold" in own else own["teacher"]
        if isinstance(gold, float):
            sure = abs(own["predicted"] - gold) - abs(taught["predicted"] - gold)
        elif taught["predicted"] == gold != own["predicted"]:
            sure = max(own["probabilities"])
        else:
            continue
        answers = (gold, taught["predicted"], own["predicted"])
        found.append(Mistake(own["text"], *answers, sure, own.get("text_pair")))
    return sorted(found, key=lambda one: -one.sure)[:MISTAKES]


def _calibration(task: Artifact, models: Sequence[ScoredModel]) -> Iterator[CalibrationBin]:
    """Yield accuracy and confidence in bins of equal width, all seeds of a model together."""
    if task.info["kind"] != "classification" or task.info.get(BY_TEACHER):
        return
    by_name: dict[str, Predictions] = defaultdict(list)
    for model in models:
        by_name[model.name] += _predictions(model)
    for name, answers in by_name.items():
        sure = np.array([max(one["probabilities"]) for one in answers])
        right = np.array([one["predicted"] == one["gold"] for one in answers])
        bins = np.minimum((sure * BINS).astype(int), BINS - 1)
        for number in np.unique(bins):
            inside = bins == number
            confidence, accuracy, share = (float(values.mean()) for values in (sure[inside], right[inside], inside))
            yield CalibrationBin(name, confidence, accuracy, share)

"""What is known of finished runs and experiments, gathered from their folders as plain data for the report's page."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from hornbook.errors import HornbookError
from hornbook.report import EXPERIMENT, REPORT
from hornbook.report.summary import TEACHER, summarise
from hornbook.store import Artifact, Store, load
from hornbook.tasks.task import score_name
from hornbook.textbook import open_textbook
from hornbook.textbook.inspect.statistics import measured, read_statistics
from hornbook.textbook.inspect.view import CONTEXTUALIZED, View, view

Row = dict[str, Any]
_MISTAKES, _ANCHORS, _UNITS, _BINS = 50, 40, 5, 10
_SEED = "-seed"
# What is read of each row of a report, of each of its stages, and of the cells of an experiment.
_OF_MODELS = (
    *("name", "textbook", "parameters", "dev", "test", "metric", "calibration_error", "share_cut"),
    *("sentences_per_second", "seconds", "seed"),
)
_OF_STAGES = ("stage", "key", "seconds", "reused")
_OF_SCORES = ("at", "task", "seed", "dev", "metric", "minutes", "predicted")
_OF_TEXTBOOKS = ("at", "statistics")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: its folder's name.
        folder: where it lies.
        rows: of its report, one a model.
        remarks: what a reader must not overlook.
        stages: one for each artefact.
        recipe: all settings.
        task: name, kind, metric and number of examples of each split.
        curves: `model`, `seed`, `stage` (distil, adapt), `step`, and of either `loss` or `score`.
        statistics: what `textbook.statistics` found; None without textbooks.
        anchors: what anchors draw, by the name of the textbook.
        best: the student with the best mean dev score; None where all are baselines.
        mistakes: what the best student gets wrong on dev and the teacher right, the surest first: `text`,
            `text_pair`, `gold`, `student`, `sure`.
        calibration: `model`, `confidence`, `accuracy`, `share` of bins of dev.
    """

    name: str
    folder: Path
    rows: list[Row]
    remarks: list[str]
    stages: list[Row]
    recipe: Row
    task: Row
    curves: list[Row] = field(default_factory=list)
    statistics: Row | None = None
    anchors: dict[str, View] = field(default_factory=dict)
    best: Row | None = None
    mistakes: list[Row] = field(default_factory=list)
    calibration: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Grid:
    """A finished experiment, or what of it is finished.

    Attributes:
        name: of the experiment.
        axes: their names, in order.
        rows: one a cell.
        gold: dev's gold labels and how they are scored, by the key of the task.
        failed: what went wrong, by the names of cells.
    """

    name: str
    axes: tuple[str, ...]
    rows: list[Row]
    gold: Row
    failed: dict[str, str]


def read(place: Path) -> Run | Grid:
    """Return what is known of a run or an experiment.

    Args:
        place: a run's folder, an experiment's folder, or the file of an experiment's results.

    Raises:
        HornbookError: it is none of these, is not finished, or is of an earlier version.
    """
    if place.name in ("", ".."):
        place = place.resolve()  # a folder's name is that of the run
    if place.is_file() and place.name == REPORT:
        place = place.parent
    if place.is_file():
        return _grid(place, place.stem)
    if (place / EXPERIMENT).is_file():
        return _grid(place / EXPERIMENT, place.name)
    if (place / REPORT).is_file():
        return _run(place)
    if place.is_dir() and any(path.is_symlink() for path in place.iterdir()):
        raise HornbookError(f"{place}: holds a run that is not finished: no {REPORT}; run it again, it goes on")
    raise HornbookError(f"{place}: holds neither a run ({REPORT}) nor an experiment ({EXPERIMENT})")


def _grid(path: Path, name: str) -> Grid:
    found = _json(path)
    try:
        # A file of results may hold rows of an earlier recipe; what came last is what was last asked for.
        rows = list({json.dumps(row["at"], sort_keys=True): row for row in found["rows"]}.values())
        scored = [row for row in rows if "statistics" not in row]
        _refuse_earlier(path, scored, _OF_SCORES)
        _refuse_earlier(path, [row for row in rows if "statistics" in row], _OF_TEXTBOOKS)
        axes = tuple(found.get("axes") or dict.fromkeys(axis for row in rows for axis in row["at"]))
        gold = dict(found.get("gold", {}))
        if {row["task"] for row in scored} - gold.keys() or any(row["at"].keys() < set(axes) for row in rows):
            raise KeyError
        return Grid(found.get("name", name), axes, rows, gold, dict(found.get("failed", {})))
    except (KeyError, TypeError, AttributeError):
        raise HornbookError(f"{path}: holds no results of an experiment, or those of an earlier version") from None


def _run(folder: Path) -> Run:
    found = _json(folder / REPORT)
    try:
        rows, remarks, stages, recipe = (found[name] for name in ("rows", "remarks", "stages", "recipe"))
    except (KeyError, TypeError):
        raise HornbookError(
            f"{folder / REPORT}: is of an earlier version, without the recipe; run it again, nothing is trained anew"
        ) from None
    if not rows:
        raise HornbookError(f"{folder / REPORT}: has no model in it; run it again")
    _refuse_earlier(folder / REPORT, rows, _OF_MODELS)
    _refuse_earlier(folder / REPORT, stages, _OF_STAGES)
    task = _linked(folder, "task")
    books = {path.name.removeprefix("textbook-"): load(path) for path in sorted(folder.glob("textbook-*"))}
    best = _best(rows)
    run = Run(
        name=folder.name,
        folder=folder,
        rows=rows,
        remarks=remarks,
        stages=stages,
        recipe=recipe,
        task={
            "key": task.key,
            **{name: task.info[name] for name in ("name", "kind")},
            "metric": score_name(task.info["metric"], task.info["labels"]),
            "examples": {name.removesuffix("_rows"): n for name, n in task.counts.items() if name.endswith("_rows")},
        },
        best=best,
        curves=list(_curves(folder)),
        statistics=_statistics(books, task) if books else None,
        anchors=dict(_anchors(books)),
    )
    if task.info["kind"] != "multilabel":
        run.mistakes.extend(_mistakes(folder, best))
    if task.info["kind"] == "classification":
        run.calibration.extend(_calibration(folder, rows))
    return run


def _refuse_earlier(path: Path, rows: Sequence[Row], wanted: Sequence[str]) -> None:
    for row in rows:
        if missing := [name for name in wanted if name not in row]:
            raise HornbookError(
                f"{path}: is of an earlier version, without {missing[0]!r}; run it again, nothing is trained anew"
            )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise HornbookError(f"{path}: is not JSON; run it again") from None


def _linked(folder: Path, name: str) -> Artifact:
    try:
        return load(folder / name)
    except HornbookError:
        raise HornbookError(
            f"{folder / name}: what the run made is not there any more; run it again, or report where it was made"
        ) from None


def _store(artifact: Artifact) -> Store:
    return Store(artifact.path.resolve().parents[1])


def _best(rows: Sequence[Row]) -> Row | None:
    """Return the summary of the distilled student with the best mean dev score."""
    students = [row for row in summarise(rows) if row["textbook"] is not None]
    return max(students, key=lambda row: row["dev"]["mean"]) if students else None


def _statistics(books: Mapping[str, Artifact], task: Artifact) -> Row:
    return read_statistics(measured(books, task, _store(task)))


def _anchors(books: Mapping[str, Artifact]) -> Iterator[tuple[str, View]]:
    for name, book in books.items():
        textbook = open_textbook(book)
        if textbook.kind == CONTEXTUALIZED:
            yield name, view(textbook, random=_ANCHORS, units=_UNITS)


def _curves(folder: Path) -> Iterator[Row]:
    """Yield the losses and dev scores of every student's distillation and adaptation, and the teacher's."""
    for link in sorted(folder.glob(f"student-*{_SEED}*")):
        model, _, seed = link.name.removeprefix("student-").rpartition(_SEED)
        adapted = load(link)
        where = {"model": model, "seed": int(seed)}
        yield from ({**where, "stage": "adapt", **point} for point in _points(adapted.path))
        distilled = _store(adapted).folder("student", adapted.manifest["inputs"]["model"])
        yield from ({**where, "stage": "distil", **point} for point in _points(distilled))
    if (folder / TEACHER).exists():
        where = {"model": TEACHER, "seed": 0}
        yield from ({**where, "stage": "adapt", **point} for point in _points(folder / TEACHER))


def _points(folder: Path) -> Iterator[Row]:
    path = folder / "log.csv"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            point = {name: float(line[name]) for name in ("loss", "score") if line.get(name)}
            if point:
                yield {"step": int(line["step"]), **point}


def _predictions(folder: Path, name: str) -> list[Row] | None:
    path = folder / f"evaluation-{name}" / "predictions-dev.parquet"
    return pq.read_table(path).to_pylist() if path.is_file() else None


def _mistakes(folder: Path, best: Row | None) -> list[Row]:
    if best is None:
        return []
    teacher = _predictions(folder, TEACHER)
    student = _predictions(folder, f"{best['name']}{_SEED}{best['seeds'][0]}")
    if teacher is None or student is None:
        return []
    found = []
    for taught, own in zip(teacher, student, strict=True):
        gold = own["gold"]
        if isinstance(gold, float):
            sure = abs(own["predicted"] - gold) - abs(taught["predicted"] - gold)
        elif taught["predicted"] == gold != own["predicted"]:
            sure = max(own["probabilities"])
        else:
            continue
        texts = {name: own[name] for name in ("text", "text_pair") if own.get(name) is not None}
        found.append(
            {**texts, "gold": gold, "teacher": taught["predicted"], "student": own["predicted"], "sure": sure}
        )
    return sorted(found, key=lambda one: -one["sure"])[:_MISTAKES]


def _calibration(folder: Path, rows: Sequence[Row]) -> Iterator[Row]:
    """Yield how often models are right where they are so sure, in bins of equal width, the seeds of each together."""
    for row in summarise(rows):
        names = [TEACHER] if row["name"] == TEACHER else [f"{row['name']}{_SEED}{seed}" for seed in row["seeds"]]
        said = [one for name in names for one in _predictions(folder, name) or []]
        if not said:
            continue
        sure = np.array([max(one["probabilities"]) for one in said])
        right = np.array([one["predicted"] == one["gold"] for one in said])
        bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
        for place in np.unique(bins):
            inside = bins == place
            yield {
                "model": row["name"],
                "confidence": float(sure[inside].mean()),
                "accuracy": float(right[inside].mean()),
                "share": float(inside.mean()),
            }

"""The verdict on a run and what to try next; the verdict on each task of an experiment."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from hornbook.metrics import KL
from hornbook.results.cells import CellSummary, summarise_cells, tasks_of
from hornbook.results.differences import SEED, TASK, TEXTBOOK, Difference, Resampled, difference
from hornbook.results.inspection import Inspection
from hornbook.results.names import LOGITS, RELEASED, TEACHER, TF_IDF, UNDISTILLED
from hornbook.results.rows import AxisValue, CellResult, ModelResult, ModelSummary
from hornbook.results.summary import best_student, summarise
from hornbook.results.words import amount, listed, percent

_CHEAPER = {
    UNDISTILLED: "the same student without distillation",
    LOGITS: "the teacher's outputs alone",
    RELEASED: "the released model",
    TF_IDF: "word counts",
}
_MISCALIBRATED, _NEAR, _FAR = 0.1, 0.98, 0.95
_STILL_FALLS = 0.02
_FEW_EXAMPLES = 500
_FEWEST_POINTS = 10
_NO_TEXTBOOK = "none"
_NAMES = {_NO_TEXTBOOK: "no distillation"}
_NAMED_TIES = 3

_ERROR_WORDS = {
    "mae": "mean absolute error",
    "mean_difference": "mean absolute difference from the teacher",
    KL: "mean KL divergence from the teacher",
}


def verdict(rows: Sequence[ModelResult], metric: str) -> str:
    """Return one sentence that compares the best student with its teacher and with cheaper models.

    Args:
        rows: of one run.
        metric: the name of the headline score.

    Returns:
        the sentence.
    """
    models = {model.name: model for model in summarise(rows)}
    best, teacher = best_student(rows), models.get(TEACHER)
    if best is None:
        return f"No student was distilled; {max(models, key=lambda name: models[name].dev.mean)} is the best on dev."
    text = (
        f"The student of the textbook {best.name} has {_article(metric)} {metric} of {percent(best.dev.mean)}% on dev"
    )
    if teacher is not None:
        text += _beside(best, teacher, max(row.dev for row in rows if row.name == TEACHER))
    errors = best.errors.get("dev", {})
    if (name := next((one for one in _ERROR_WORDS if one in errors), None)) is not None:
        text += f"; its {_ERROR_WORDS[name]} is {amount(errors[name].mean)}"
    below = [name for name in _CHEAPER if name in models and models[name].dev.mean >= best.dev.mean]
    above = [name for name in _CHEAPER if name in models and name not in below]
    if above:
        text += f"; it beats {_with_scores(above, models)}"
    if below:
        text += f"{', but' if above else ';'} it does not beat {_with_scores(below, models)}"
    return f"{text}."


def _beside(best: ModelSummary, teacher: ModelSummary, score: float) -> str:
    assert best.share_of_teacher is not None  # there is a teacher
    smaller = teacher.parameters / best.parameters
    faster = best.sentences_per_second / teacher.sentences_per_second
    return (
        f", {percent(best.share_of_teacher)}% of its teacher's ({percent(score)}); "
        f"it is {smaller:.1f} times smaller and {faster:.1f} times as fast"
    )


def _with_scores(names: Sequence[str], models: Mapping[str, ModelSummary]) -> str:
    return listed([f"{_CHEAPER[name]} ({percent(models[name].dev.mean)})" for name in names])


def next_steps(rows: Sequence[ModelResult], inspection: Inspection, dev_examples: int) -> list[str]:
    """Return what to try next, by simple rules; each names the figure that it follows from.

    Args:
        rows: of one run.
        inspection: its training curves and its textbooks.
        dev_examples: the number of examples in the dev split.

    Returns:
        one sentence for each rule that applies.
    """
    return list(_next_steps(rows, inspection, dev_examples))


def _next_steps(rows: Sequence[ModelResult], inspection: Inspection, dev_examples: int) -> Iterator[str]:
    best = best_student(rows)
    if best is None:
        return
    if any(_still_falls(losses) for losses in _losses(inspection, best.name)):
        yield "Distil longer (distil.tokens): the loss still falls at the end."
    share = best.share_of_teacher
    if share is not None and share >= _NEAR:
        yield (
            "Try a smaller student (student.layers, student.hidden): this one keeps "
            f"{percent(share)}% of the teacher's score."
        )
    elif share is not None and share < _FAR:
        yield (
            "Use more tokens, a larger corpus or more layers: the student keeps only "
            f"{percent(share)}% of the teacher's score."
        )
    error = best.calibration_error
    if error is not None and error > _MISCALIBRATED:
        yield (
            "Adapt for fewer epochs (adapt.epochs), or on the teacher's outputs too (adapt.labels: both): the "
            f"calibration error is {percent(error)} points."
        )
    if (near := _overlaps(inspection)) is not None and near[0] <= near[1]:
        yield (
            f"Add general text that is closer to the task: the contextualized textbook shares {near[0]:.0f}% of the "
            f"task's frequent words, the general one {near[1]:.0f}%."
        )
    if 0 < dev_examples < _FEW_EXAMPLES:
        yield (
            f"Do not trust small differences: dev has {dev_examples} examples, so one score is uncertain by "
            f"about ±{200 * (0.25 / dev_examples) ** 0.5:.0f} points."
        )
    if len(best.seeds) == 1:
        yield "Run three seeds (seeds: [0, 1, 2]) before you decide between textbooks."


def _losses(inspection: Inspection, name: str) -> Iterator[list[float]]:
    """Yield the losses of each seed's distillation; for a chain, those of the last link."""
    points = [point for point in inspection.curves if point.stage == "distil" and point.model == name]
    last = max((point.link for point in points), default=1)
    for seed in dict.fromkeys(point.seed for point in points):
        losses = [
            point.loss for point in points if (point.seed, point.link) == (seed, last) and point.loss is not None
        ]
        if len(losses) >= _FEWEST_POINTS:
            yield losses


def _still_falls(losses: Sequence[float]) -> bool:
    fifth = len(losses) // 5
    last, before = statistics.mean(losses[-fifth:]), statistics.mean(losses[-2 * fifth : -fifth])
    return last < (1 - _STILL_FALLS) * before


def _overlaps(inspection: Inspection) -> tuple[float, float] | None:
    """Return the words that the contextualized and the general textbook share with the task's text, percent."""
    if inspection.statistics is None:
        return None
    kinds = {book.kind: book.name for book in inspection.statistics.books}
    overlap = inspection.statistics.overlap
    own = kinds.get("task", "task")
    if not {"contextualized", "general"} <= kinds.keys() or own not in overlap.names:
        return None
    shares = dict(zip(overlap.names, overlap.matrix[overlap.names.index(own)], strict=True))
    return shares[kinds["contextualized"]], shares[kinds["general"]]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def task_verdicts(rows: Sequence[CellResult], axes: Sequence[str], scores: Resampled) -> list[str]:
    """Return one sentence for each task of an experiment: the best textbook, its lead, and whether the lead is clear.

    Args:
        rows: of the experiment.
        axes: those that vary.
        scores: resampled scores by row number, see `differences.resampled_cells`.

    Returns:
        sentences in the order of the tasks; none for a task with a single cell.
    """
    cells = summarise_cells(rows, axes)
    named = [axis for axis in axes if axis not in {SEED, TASK}]
    lines = []
    for task in tasks_of(cells):
        same = [cell for cell in cells if cell.task == task]
        if len(same) > 1:
            text = _task_verdict(rows, same, named, scores)
            lines.append(f"{task}: {text}" if TASK in axes else f"{text[0].upper()}{text[1:]}")
    return lines


def _task_verdict(
    rows: Sequence[CellResult], cells: Sequence[CellSummary], axes: Sequence[str], scores: Resampled
) -> str:
    if len({frozenset(cell.seeds) for cell in cells}) > 1:
        return "the cells do not all have the same seeds yet, so there is no verdict."
    best, *others = sorted(cells, key=lambda cell: -cell.dev.mean)
    names = {id(cell): name for cell, name in zip(cells, _names(cells, axes), strict=True)}
    ahead = [(cell, _between(rows, best, cell, scores)) for cell in others]
    ties = [names[id(cell)] for cell, between in ahead if not between.clear]
    text = f"{percent(best.dev.mean)}% {best.metric} on dev"
    if floor := [between for cell, between in ahead if _is_floor_of(cell, best)]:
        text += f", {_points(floor[0])} above {_NAMES[_NO_TEXTBOOK]}"
    if len(ties) == len(ahead):
        return f"no clear winner; {names[id(best)]} has the best mean, {text}."
    verb = "scored" if best.at.get(TEXTBOOK) == _NO_TEXTBOOK else "taught"
    text = f"{names[id(best)]} {verb} best, {text}"
    if ties:
        more = [f"{len(ties) - _NAMED_TIES} more"] if len(ties) > _NAMED_TIES else []
        return f"{text}; not clearly ahead of {listed([*ties[:_NAMED_TIES], *more])}."
    second, lead = ahead[0]
    if _is_floor_of(second, best):
        return f"{text}, clearly ahead of all others."
    return f"{text}; clearly ahead of all others, {_points(lead)} above the next, {names[id(second)]}."


def _is_floor_of(cell: CellSummary, best: CellSummary) -> bool:
    """Return whether a cell is the best cell without distillation."""
    others = [axis for axis in best.at if axis != TEXTBOOK]
    return cell.at.get(TEXTBOOK) == _NO_TEXTBOOK and all(cell.at[axis] == best.at[axis] for axis in others)


def _between(rows: Sequence[CellResult], a: CellSummary, b: CellSummary, scores: Resampled) -> Difference:
    ours, theirs = ({rows[number].seed: scores(number) for number in cell.numbers} for cell in (a, b))
    return difference(ours, theirs)


def _points(between: Difference) -> str:
    return f"{percent(between.mean)} points (95% interval {percent(between.low)} to {percent(between.high)})"


def _names(cells: Sequence[CellSummary], axes: Sequence[str]) -> list[str]:
    """Return short names of cells: the textbook, and the values that most cells of the task do not have."""
    usual = {axis: _most_common([cell.at[axis] for cell in cells]) for axis in axes}
    names = []
    for cell in cells:
        parts = [f"{axis} {cell.at[axis]}" for axis in axes if axis != TEXTBOOK and cell.at[axis] != usual[axis]]
        if TEXTBOOK in axes:
            textbook = str(cell.at[TEXTBOOK])
            parts.insert(0, _NAMES.get(textbook, textbook))
        first, *others = parts or [f"{axis} {cell.at[axis]}" for axis in axes]
        names.append(f"{first} ({', '.join(others)})" if others else first)
    return names


def _most_common(values: Sequence[AxisValue]) -> AxisValue | None:
    """Return the most common text of the cells; None if it is a tie or a number."""
    (value, count), *others = Counter(values).most_common(2)
    if not isinstance(value, str) or (others and others[0][1] == count):
        return None
    return value

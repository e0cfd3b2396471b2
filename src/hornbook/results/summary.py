"""The seeds of a model together, and what a table of results says in plain words."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from hornbook.metrics import ERRORS
from hornbook.results.names import LOGITS, RANDOM, RELEASED, TEACHER, TF_IDF, UNDISTILLED
from hornbook.results.rows import AskedOnceResult, ModelResult, ModelSummary, Spread, VocabularyResult
from hornbook.results.words import percent

_MUCH_CUT = 0.01
_MOST_CLASSES = 10


def summarise(rows: Sequence[ModelResult]) -> tuple[ModelSummary, ...]:
    """Return one summary for each model's name, in the order of the rows."""
    by_name: dict[str, list[ModelResult]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    taught = [row.dev for row in by_name.get(TEACHER, [])]
    return tuple(_summary(same, max(taught) if taught else None) for same in by_name.values())


def _summary(same: Sequence[ModelResult], teacher: float | None) -> ModelSummary:
    """Return the seeds of one model together; the teacher's score is the best on dev of its seeds."""
    return ModelSummary(
        name=same[0].name,
        textbook=same[0].textbook,
        parameters=same[0].parameters,
        seeds=tuple(row.seed for row in same),
        dev=spread_of([row.dev for row in same]),
        test=_spread([row.test for row in same if row.test is not None]),
        share_of_teacher=None if teacher is None else statistics.mean(row.dev for row in same) / teacher,
        errors=_errors(same),
        calibration_error=_mean([row.calibration_error for row in same if row.calibration_error is not None]),
        share_cut=statistics.mean(row.share_cut for row in same),
        sentences_per_second=statistics.mean(row.sentences_per_second for row in same),
        seconds=statistics.mean(row.seconds for row in same),
    )


def best_student(rows: Sequence[ModelResult]) -> ModelSummary | None:
    """Return the distilled student with the best mean dev score; None where all models are baselines."""
    students = [model for model in summarise(rows) if _is_student(model)]
    return max(students, key=lambda model: model.dev.mean) if students else None


def _is_student(model: ModelSummary) -> bool:
    """Return whether a model is what the run is for: distilled on a textbook, no baseline."""
    return model.textbook is not None and model.name != RANDOM


def spread_of(values: Sequence[float]) -> Spread:
    """Return mean, median and standard deviation over seeds of one value or more."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.mean(values), statistics.median(values), spread)


def _spread(values: Sequence[float]) -> Spread | None:
    return spread_of(values) if values else None


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def _errors(same: Sequence[ModelResult]) -> dict[str, dict[str, Spread]]:
    """Return errors by split and name, of the rows that have them."""
    found: dict[str, dict[str, Spread]] = {}
    for split in ("dev", "test"):
        scored = [row.scores.get(split, {}) for row in same]
        for name in ERRORS:
            if values := [scores[name] for scores in scored if name in scores]:
                found.setdefault(split, {})[name] = spread_of(values)
    return found


def remarks(
    rows: Sequence[ModelResult],
    init: str = "random",
    vocabulary: VocabularyResult | None = None,
    asked_once: AskedOnceResult | None = None,
) -> tuple[str, ...]:
    """Return warnings about the rows, the scores of a grid, what a trimmed vocabulary changed and a cache saved.

    Warnings name students that do not beat a cheaper model, truncated inputs, doubtful predictions, and the row that
    is missing where distilled students began with trained weights.

    Args:
        rows: of one run.
        init: what its students began as, `student.init`.
        vocabulary: the word pieces that teacher and students read through, if not all.
        asked_once: what students read of their teachers' activations on the disk, if anything.

    Returns:
        one line for each.
    """
    by_name = {model.name: model for model in summarise(rows)}
    lines = []
    for name, model in by_name.items():
        if _is_student(model):
            score = model.dev.mean
            for baseline, words in _BASELINES.items():
                if baseline in by_name and score <= (other := by_name[baseline].dev.mean):
                    lines.append(f"{name}: {words.format(own=percent(score), other=percent(other))}")
        if model.share_cut > _MUCH_CUT:
            lines.append(
                f"{name}: {percent(model.share_cut)}% of the dev inputs are longer than max_length and are truncated"
            )
    if init != "random" and UNDISTILLED not in by_name and any(map(_is_student, by_name.values())):
        lines.append(
            f"students begin with trained weights (student.init: {init}): add {UNDISTILLED} to baselines, to show "
            "what they score without a textbook"
        )
    lines += _by_class(rows)
    for row in rows:
        if row.doubt:
            lines.append(f"{row.name}, seed {row.seed}: {row.doubt}")
        if row.grid:
            tried = "; ".join(_tried(settings) for settings in row.grid)
            lines.append(f"{row.name}, seed {row.seed}: dev scores of the grid: {tried}")
    if vocabulary is not None:
        lines.append(_trimmed(vocabulary, rows))
    if asked_once is not None:
        lines.append(
            f"distil.cache: the teacher was asked for {asked_once.tokens_asked:,} tokens, which took "
            f"{asked_once.seconds:,.0f} s; {asked_once.students} distillations read {asked_once.tokens_read:,} from "
            f"the disk, which saved about {asked_once.saved_seconds:,.0f} s"
        )
    return tuple(lines)


def _by_class(rows: Sequence[ModelResult]) -> list[str]:
    """Return how far students agree with their teacher on each class that it names, the least first."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.name != TEACHER:
            for label, share in row.by_class.items():
                if share is not None:
                    found.setdefault(row.name, {}).setdefault(label, []).append(share)
    lines = []
    for name, of in found.items():
        means = sorted((statistics.mean(shares), label) for label, shares in of.items())
        shown = ", ".join(f"{label} {percent(mean)}" for mean, label in means[:_MOST_CLASSES])
        more = f" and {len(means) - _MOST_CLASSES} more" if len(means) > _MOST_CLASSES else ""
        lines.append(f"{name}: agreement with the teacher on dev, by the class that it names: {shown}{more}")
    return lines


# The remark if the dev score of a distilled student is not above the baseline's.
_BASELINES = {
    TF_IDF: (
        "its dev score ({own}) does not beat the TF-IDF baseline: logistic regression on word counts scores {other} "
        "and costs almost nothing; do not deploy this student"
    ),
    UNDISTILLED: (
        "distillation gained nothing: the same student scores {other} on dev without it, {own} with it; use more "
        "tokens or a larger corpus"
    ),
    LOGITS: (
        "the textbook gained nothing over the teacher's outputs on the task's own texts: these alone score {other} "
        "on dev, the textbook {own}"
    ),
    RANDOM: (
        "the start gained nothing: distilled from random weights, the student scores {other} on dev, this one {own}"
    ),
    RELEASED: "its dev score ({own}) does not beat the released model ({other}), which needs no distillation",
}


def _trimmed(vocabulary: VocabularyResult, rows: Sequence[ModelResult]) -> str:
    """Return in words what a trimmed vocabulary changed, and the size of the distilled students."""
    now, before = vocabulary.tokens_per_text, vocabulary.tokens_per_text_before
    text = (
        f"vocabulary: {vocabulary.pieces:,} of {vocabulary.pieces_before:,} word pieces; a training text has "
        f"{now:.1f} tokens instead of {before:.1f} (× {now / before:.3f})"
    )
    sizes = [(row.parameters, row.parameters_without_embeddings) for row in rows if row.textbook is not None]
    for whole, rest in sizes[:1]:
        text += f"; students have {whole / 1e6:.2f} M parameters, {rest / 1e6:.2f} M without embeddings"
    return text


def _tried(settings: Mapping[str, Any]) -> str:
    chosen = ", ".join(f"{name} {value}" for name, value in settings.items() if name not in ("dev", "failed"))
    return f"{chosen}: {'failed' if settings['dev'] is None else percent(settings['dev'])}"

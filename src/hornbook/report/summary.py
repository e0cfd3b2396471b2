"""What a run's rows come to: means over seeds, shares of the teacher's score, and what they say in plain words."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from hornbook.metrics import ERRORS

Row = dict[str, Any]

TEACHER = "teacher"
UNDISTILLED, LOGITS, RELEASED, TF_IDF = "undistilled", "logits", "released", "tf-idf"
_MUCH_CUT = 0.01


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each model's name.

    Args:
        rows: as in `report.json`: name, textbook, parameters, dev, test, seed and so on.

    Returns:
        rows with name, textbook, parameters, seeds, "dev" and "test" (mean, median, spread: the standard deviation
        over seeds, None for one seed; test None where there is none), "share_of_teacher" (of the mean dev score;
        None without a teacher's), "errors" (of a regression in the scores' unit, means and spreads by split and name;
        else empty), calibration_error (on dev; None for a regression), share_cut (of dev's inputs),
        sentences_per_second and seconds (means).
    """
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row["name"], []).append(row)
    taught = [row["dev"] for row in by_name.get(TEACHER, [])]
    return [
        {
            "name": name,
            "textbook": same[0]["textbook"],
            "parameters": same[0]["parameters"],
            "seeds": [row["seed"] for row in same],
            "dev": spread([row["dev"] for row in same]),
            "test": spread([row["test"] for row in same if row["test"] is not None]),
            # the best of several teachers on dev is the one that taught
            "share_of_teacher": statistics.mean(row["dev"] for row in same) / max(taught) if taught else None,
            "errors": _errors(same),
            "calibration_error": _mean([row["calibration_error"] for row in same]),
            "share_cut": statistics.mean(row["share_cut"] for row in same),
            "sentences_per_second": statistics.mean(row["sentences_per_second"] for row in same),
            "seconds": statistics.mean(row["seconds"] for row in same),
        }
        for name, same in by_name.items()
    ]


def remarks(rows: Sequence[Row]) -> list[str]:
    """Return what a reader of the rows must not overlook, in plain words.

    Distilled students that do not beat what is cheaper than they are, inputs that are cut, and how the combinations
    of a grid came out.
    """
    by_name = {row["name"]: row for row in summarise(rows)}
    said = []
    for name, row in by_name.items():
        if row["textbook"] is not None:
            score = row["dev"]["mean"]
            for baseline, words in _BASELINES.items():
                if baseline in by_name and score <= (other := by_name[baseline]["dev"]["mean"]):
                    said.append(f"{name}: {words.format(own=percent(score), other=percent(other))}")
        if row["share_cut"] > _MUCH_CUT:
            said.append(
                f"{name}: {percent(row['share_cut'])}% of dev's inputs are longer than max_length and are cut"
            )
    for row in rows:
        if row.get("doubt"):
            said.append(f"{row['name']}, seed {row['seed']}: {row['doubt']}")
        if row["grid"]:
            cells = "; ".join(_cell(cell) for cell in row["grid"])
            said.append(f"{row['name']}, seed {row['seed']}: the grid's dev scores: {cells}")
    return said


# What is said of a distilled student whose dev score is not above the baseline's.
_BASELINES = {
    TF_IDF: (
        "its dev score ({own}) does not beat the floor: logistic regression on word counts has {other} and costs "
        "next to nothing; do not deploy this student"
    ),
    UNDISTILLED: (
        "distillation gained nothing: the same student has {other} on dev without it, {own} with it; give it more "
        "tokens or a larger corpus"
    ),
    LOGITS: (
        "the textbook gained nothing over the teacher's outputs on the task's own texts: these alone give {other} on "
        "dev, the textbook {own}"
    ),
    RELEASED: "its dev score ({own}) does not beat the released model ({other}), which needs no distillation",
}


def _cell(cell: Row) -> str:
    chosen = ", ".join(f"{name} {value}" for name, value in cell.items() if name not in ("dev", "failed"))
    return f"{chosen}: {'failed' if cell['dev'] is None else percent(cell['dev'])}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _errors(same: Sequence[Row]) -> dict[str, Row]:
    """Return errors by split and name, of the rows that have them: those of an earlier version have none."""
    found: dict[str, Row] = {}
    for split in ("dev", "test"):
        scored = [row.get("scores", {}).get(split, {}) for row in same]
        for name in ERRORS:
            if values := spread([scores[name] for scores in scored if name in scores]):
                found.setdefault(split, {})[name] = values
    return found


def amount(value: float) -> str:
    """Return an error in the unit of the scores with four figures: 0.4183, 23.10, 12,345."""
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def percent(score: float) -> str:
    """Return a score or a share in percent, with one decimal."""
    return f"{100 * score:.1f}"


def listed(names: Sequence[str]) -> str:
    """Return names as one says them: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def spread(values: Sequence[float]) -> dict[str, float | None] | None:
    """Return mean, median and standard deviation (None for one value), None of nothing."""
    if not values:
        return None
    return {
        "mean": statistics.mean(values),
        "median": statistics.median(values),
        "spread": statistics.stdev(values) if len(values) > 1 else None,
    }

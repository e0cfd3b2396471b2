"""What a run's rows come to: means over seeds, shares of the teacher's score, and what they say in plain words."""

import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

TEACHER, FLOOR, UNDISTILLED = "teacher", "tf-idf", "undistilled"


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each model's name.

    Args:
        rows: as in `report.json`: name, textbook, parameters, dev, test, seed and so on.

    Returns:
        rows with name, textbook, parameters, seeds, "dev" and "test" (mean, median, spread: the standard deviation
        over seeds, None for one seed; test None where there is none), "share_of_teacher" (of the mean dev score;
        None without a teacher's), sentences_per_second and seconds (means).
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
            "dev": _spread([row["dev"] for row in same]),
            "test": _spread([row["test"] for row in same if row["test"] is not None]),
            # the best of several teachers on dev is the one that taught
            "share_of_teacher": statistics.mean(row["dev"] for row in same) / max(taught) if taught else None,
            "sentences_per_second": statistics.mean(row["sentences_per_second"] for row in same),
            "seconds": statistics.mean(row["seconds"] for row in same),
        }
        for name, same in by_name.items()
    ]


def remarks(rows: Sequence[Row]) -> list[str]:
    """Return what a reader of the rows must not overlook: students that do not beat what is cheaper than they are."""
    by_name = {row["name"]: row for row in summarise(rows)}
    said = []
    for name, row in by_name.items():
        if row["textbook"] is None:
            continue
        score = row["dev"]["mean"]
        if FLOOR in by_name and score <= (other := by_name[FLOOR]["dev"]["mean"]):
            said.append(
                f"{name}: its dev score ({_percent(score)}) does not beat the floor: logistic regression on word "
                f"counts has {_percent(other)} and costs next to nothing; do not deploy this student"
            )
        if UNDISTILLED in by_name and score <= (other := by_name[UNDISTILLED]["dev"]["mean"]):
            said.append(
                f"{name}: distillation gained nothing: the same student has {_percent(other)} on dev without it, "
                f"{_percent(score)} with it; give it more tokens or a larger corpus"
            )
    return said


def _percent(score: float) -> str:
    return f"{100 * score:.1f}"


def _spread(values: Sequence[float]) -> dict[str, float | None] | None:
    if not values:
        return None
    return {
        "mean": statistics.mean(values),
        "median": statistics.median(values),
        "spread": statistics.stdev(values) if len(values) > 1 else None,
    }

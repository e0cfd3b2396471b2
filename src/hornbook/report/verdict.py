"""A run in one sentence, and what to try next."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from hornbook.report.facts import Run
from hornbook.report.summary import LOGITS, RELEASED, TEACHER, TF_IDF, UNDISTILLED, amount, listed, percent, summarise

Row = dict[str, Any]

_CHEAPER = {
    UNDISTILLED: "the same student without distillation",
    LOGITS: "the teacher's outputs alone",
    RELEASED: "the released model",
    TF_IDF: "word counts",
}
_MISCALIBRATED, _NEAR, _FAR = 0.1, 0.98, 0.95
_STILL_FALLS = 0.02
_FEW = 500


def verdict(run: Run) -> str:
    """Return in one sentence how good the best student is, beside its teacher and what is cheaper."""
    rows = {row["name"]: row for row in summarise(run.rows)}
    metric = run.task["metric"]
    best, teacher = run.best, rows.get(TEACHER)
    if best is None:
        return (
            f"No student was distilled; {max(rows, key=lambda name: rows[name]['dev']['mean'])} is the best on dev."
        )
    score = percent(best["dev"]["mean"])
    said = f"The student of the textbook {best['name']} has {_article(metric)} {metric} of {score}% on dev"
    if teacher is not None:
        smaller = teacher["parameters"] / best["parameters"]
        faster = best["sentences_per_second"] / teacher["sentences_per_second"]
        said += (
            f", {percent(best['share_of_teacher'])}% of what its teacher has "
            f"({percent(max(row['dev'] for row in run.rows if row['name'] == TEACHER))}); "
            f"it is {smaller:.1f} times smaller and {faster:.1f} times as fast"
        )
    if (errors := best["errors"].get("dev")) is not None:
        said += f"; its mean absolute error is {amount(errors['mae']['mean'])}"
    below = [name for name in _CHEAPER if name in rows and rows[name]["dev"]["mean"] >= best["dev"]["mean"]]
    above = [name for name in _CHEAPER if name in rows and name not in below]
    if above:
        named = (f"{_CHEAPER[name]} ({percent(rows[name]['dev']['mean'])})" for name in above)
        said += f"; it beats {listed(list(named))}"
    if below:
        named = (f"{_CHEAPER[name]} ({percent(rows[name]['dev']['mean'])})" for name in below)
        said += f"{', but' if above else ';'} it does not beat {listed(list(named))}"
    return f"{said}."


def next_steps(run: Run) -> list[str]:
    """Return what to try next, by simple rules; each says from which figure it comes."""
    return list(_next_steps(run))


def _next_steps(run: Run) -> Iterator[str]:
    best = run.best
    if best is None:
        return
    if any(_still_falls(losses) for losses in _losses(run, best["name"])):
        yield "Distil longer (distil.tokens): the loss still falls at the end."
    share = best["share_of_teacher"]
    if share is not None and share >= _NEAR:
        yield f"Try a smaller student (student.layers, student.hidden): this one keeps {percent(share)}%."
    elif share is not None and share < _FAR:
        yield f"Give it more tokens, a larger corpus or more layers: it keeps {percent(share)}%."
    error = best["calibration_error"]
    if error is not None and error > _MISCALIBRATED:
        yield (
            "Adapt for fewer passes, or to the teacher's outputs too (adapt.labels: both): how sure it says it is "
            f"is {percent(error)} points off."
        )
    if (near := _nearness(run)) is not None and near[0] <= near[1]:
        yield (
            f"Add general text that is nearer to the task: the contextualized textbook's words are no nearer to it "
            f"({near[0]:.0f}%) than a general one's ({near[1]:.0f}%)."
        )
    examples = run.task["examples"].get("dev", 0)
    if 0 < examples < _FEW:
        yield (
            f"Do not trust small differences: dev has {examples} examples, on which one student's score is "
            f"sure to some {200 * (0.25 / examples) ** 0.5:.0f} points."
        )
    if len(best["seeds"]) == 1:
        yield "Run three seeds (seeds: [0, 1, 2]) before you decide between textbooks."


def _losses(run: Run, name: str) -> Iterator[list[float]]:
    for seed in dict.fromkeys(row["seed"] for row in run.curves):
        losses = [
            row["loss"]
            for row in run.curves
            if (row["model"], row["seed"], row["stage"]) == (name, seed, "distil") and "loss" in row
        ]
        if len(losses) >= 10:
            yield losses


def _still_falls(losses: Sequence[float]) -> bool:
    fifth = len(losses) // 5
    last, before = statistics.mean(losses[-fifth:]), statistics.mean(losses[-2 * fifth : -fifth])
    return last < (1 - _STILL_FALLS) * before


def _nearness(run: Run) -> tuple[float, float] | None:
    """Return what the contextualized and the general textbook have in common with the task's text, percent."""
    if run.statistics is None:
        return None
    kinds = {book["kind"]: book["name"] for book in run.statistics["books"]}
    overlap = run.statistics["overlap"]
    own = kinds.get("task", "task")
    if not {"contextualized", "general"} <= kinds.keys() or own not in overlap["names"]:
        return None
    shares = dict(zip(overlap["names"], overlap["matrix"][overlap["names"].index(own)], strict=True))
    return shares[kinds["contextualized"]], shares[kinds["general"]]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"

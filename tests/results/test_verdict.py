"""Sentences about runs and experiments."""

from dataclasses import replace

import pytest

from hornbook.results import Inspection
from hornbook.results.cells import varying
from hornbook.results.differences import resampled_cells
from hornbook.results.inspection import CurvePoint
from hornbook.results.verdict import next_steps, task_verdicts, verdict
from made_up import TASK, TEACHER, experiment_of, row, run_of


def verdict_of(run):
    return verdict(run.rows, run.task.metric)


def steps_of(run):
    return next_steps(run.rows, run.inspection or Inspection(), run.task.examples.get("dev", 0))


def test_the_verdict_is_one_sentence_about_the_best_student():
    run = run_of(TEACHER, row("general", 0.80, "9 units"), row("drawn", 0.855, "9 units"), row("undistilled", 0.75))
    assert verdict_of(run) == (
        "The student of the textbook drawn has an accuracy of 85.5% on dev, 95.0% of its teacher's (90.0); "
        "it is 4.0 times smaller and 5.0 times as fast; it beats the same student without distillation (75.0)."
    )


def test_of_several_teachers_the_best_is_the_one_that_taught():
    teachers = [replace(TEACHER, dev=dev, seed=seed) for seed, dev in enumerate((0.7, 0.9, 0.8))]
    said = verdict_of(run_of(*teachers, row("drawn", 0.8, "9 units")))
    assert "88.9% of its teacher's (90.0)" in said


def test_the_verdict_names_what_the_student_does_not_beat():
    run = run_of(TEACHER, row("drawn", 0.8, "9 units"), row("undistilled", 0.75), row("tf-idf", 0.8))
    assert verdict_of(run).endswith(
        "it beats the same student without distillation (75.0), but it does not beat word counts (80.0)."
    )


def test_a_run_without_students_says_so():
    assert verdict_of(run_of(TEACHER, row("tf-idf", 0.8))) == "No student was distilled; teacher is the best on dev."


def test_without_a_teachers_score_the_verdict_leaves_it_out():
    assert verdict_of(run_of(row("drawn", 0.8, "9 units"))) == (
        "The student of the textbook drawn has an accuracy of 80.0% on dev."
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dev": 0.89}, "Try a smaller student"),
        ({"dev": 0.80}, "Use more tokens"),
        ({"dev": 0.87, "calibration_error": 0.2}, "the calibration error is 20.0 points"),
        ({"dev": 0.87}, "Run three seeds"),
    ],
)
def test_what_to_try_next_follows_from_the_figures(changed, said):
    found = steps_of(run_of(TEACHER, row("drawn", textbook="9 units", **changed)))
    assert any(said in line for line in found)
    assert ("Run three seeds" in found[0]) == (len(found) == 1)


def falling(slope: float, link: int = 1) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint("drawn", 0, "distil", i, 3 - slope * i, link=link) for i in range(20))


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        (falling(0.05), True),
        (falling(0.0), False),
        # of a chain the last link counts
        (falling(0.05) + falling(0.0, 2), False),
        (falling(0.0) + falling(0.05, 2), True),
    ],
)
def test_a_loss_that_still_falls_asks_for_more_tokens(curves, expected):
    found = steps_of(run_of(TEACHER, row("drawn", 0.87, "9 units"), inspection=Inspection(curves=curves)))
    assert any("the loss still falls" in line for line in found) == expected


def test_a_small_dev_set_is_reported():
    run = run_of(TEACHER, row("drawn", 0.87, "9 units"), task=replace(TASK, examples={"dev": 100}))
    assert any("dev has 100 examples" in line and "about ±10 points" in line for line in steps_of(run))


BOOKS = ("none", "task", "general", "contextualized")


def sentences(result):
    axes = varying(result.rows, result.axes)
    return task_verdicts(result.scored, axes, resampled_cells(result.scored, result.gold))


def test_a_task_has_one_sentence_with_its_winner_the_lead_and_how_sure_it_is():
    first, second = sentences(experiment_of({"task": ("films", "songs"), "textbook": BOOKS}))
    for line, task in ((first, "films"), (second, "songs")):
        assert line.startswith(f"{task}: contextualized taught best, ")
        assert "% accuracy on dev, " in line
        assert "points (95% interval " in line
        assert "above no distillation; " in line
    assert " clearly ahead of " in first


def test_one_that_is_clearly_ahead_names_the_next():
    better = experiment_of({"textbook": ("none", "general", "drawn")})
    rows = [
        replace(one, predicted=better.gold["films"].dev, dev=1.0) if one.at["textbook"] == "drawn" else one
        for one in better.rows
    ]
    (line,) = sentences(replace(better, rows=tuple(rows)))
    assert line.startswith("Drawn taught best, 100.0% accuracy on dev, ")
    assert "clearly ahead of all others, " in line
    assert line.endswith(" above the next, general.")


def test_where_nothing_is_clear_there_is_no_winner():
    result = experiment_of({"textbook": ("none", "general")})
    same = [replace(one, predicted=result.rows[0].predicted, dev=result.rows[0].dev) for one in result.rows]
    (line,) = sentences(replace(result, rows=tuple(same)))
    assert line.startswith("No clear winner; ")


def test_where_seeds_are_missing_none_is_called_the_best():
    result = experiment_of({"textbook": BOOKS[:2]})
    (line,) = sentences(replace(result, rows=result.rows[:-1]))
    assert line == "The cells do not all have the same seeds yet, so there is no verdict."


def test_cells_are_named_by_what_sets_them_apart():
    result = experiment_of({"init": ("random", "general"), "textbook": ("a", "b", "c")})
    fewer = [one for one in result.rows if one.at["init"] == "random" or one.at["textbook"] == "c"]
    (line,) = sentences(replace(result, rows=tuple(fewer)))
    assert line.startswith("C (init general) taught best, ")
    steps = experiment_of({"steps": (10, 20), "proportion": (0.5, 1.0)})
    (line,) = sentences(steps)
    assert "steps 20 (proportion 1.0)" in line.lower()

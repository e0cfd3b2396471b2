"""Which students a recipe has, and how the processes that make them are started and read."""

import logging

import pytest

from hornbook import pipeline
from hornbook.errors import HornbookError
from hornbook.pipeline import jobs
from hornbook.pipeline.stages import run_student, students
from hornbook.recipe import GeneralConfig, Recipe, validate
from hornbook.store import Store

# Stands for a process that makes students: says which, and does with seed 1 what it is told to.
STUB = """
import json, os, signal, sys, time
sys.stdin.readline()
for line in sys.stdin:
    name, seed = json.loads(line)
    print(f"{{name}}, seed {{seed}}: made", file=sys.stderr, flush=True)
    if seed == 1:
        {what}
    print("{{}}", flush=True)
"""


@pytest.fixture(scope="module")
def recipe(reviews, general_text, tiny_teacher, small_recipe) -> Recipe:
    values = small_recipe(reviews, general_text, tiny_teacher)
    values |= {"baselines": ["undistilled", "logits", "tf-idf"]}
    return validate(Recipe, values, "test")


def test_a_run_asks_for_no_other_students(recipe, tmp_path):
    everything = {stage.key: stage.stage for stage in pipeline.plan(recipe, tmp_path)}
    store = Store(tmp_path, dry=True)
    made = students(recipe)
    assert len(made) == 2 * 4
    for name, seed in made:
        run_student(recipe, store, name, seed)
    asked = {artifact.key for artifact in store.requested}
    assert asked <= everything.keys()
    # What is left is done when the students are there: evaluations, and what the page shows.
    left = {everything[key] for key in everything.keys() - asked}
    assert left == {"evaluation", "statistics", "inspection"}


def run(recipe, tmp_path, monkeypatch, what):
    monkeypatch.setattr(jobs, "_PROGRAM", STUB.format(what=what))
    jobs.side_by_side(recipe, Store(tmp_path), 2)


def test_every_student_is_made_and_said(recipe, tmp_path, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "hornbook"):
        run(recipe, tmp_path, monkeypatch, "pass")
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "8 students, 2 at a time; CPU threads of each: 1"
    assert sorted(said[1:]) == sorted(f"{name}, seed {seed}: made" for name, seed in students(recipe))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("print(json.dumps({'error': 'no good'}), flush=True); continue", r"^general, seed 1: no good$"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"^general, seed 1: its process ended by signal 9, .* memory; run"),
        ("sys.exit(3)", r"^general, seed 1: its process ended with exit code 3; run again"),
    ],
)
def test_what_is_wrong_is_said_of_its_student(recipe, tmp_path, monkeypatch, what, message):
    # the other process waits for its answer, and is stopped
    one_book = recipe.model_copy(update={"textbooks": {"general": GeneralConfig(units=50)}, "baselines": ()})
    with pytest.raises(HornbookError, match=message):
        run(one_book, tmp_path, monkeypatch, what)


def test_one_student_needs_no_process(recipe, tmp_path, monkeypatch):
    alone = recipe.model_copy(update={"seeds": (1,), "textbooks": {"general": GeneralConfig(units=50)}})
    run(alone.model_copy(update={"baselines": ()}), tmp_path, monkeypatch, "sys.exit(3)")

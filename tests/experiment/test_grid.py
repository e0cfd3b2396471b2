from pathlib import Path

import pytest
import yaml

from hornbook.errors import HornbookError
from hornbook.experiment import cells
from hornbook.recipe import Experiment, load_experiment, validate

BASE = {
    "name": "base",
    "task": {"source": "reviews.tsv"},
    "corpus": {"sources": ["prose.txt"]},
    "textbooks": {
        "general": {"kind": "general"},
        "contextualized": {"kind": "contextualized"},
        "task": {"kind": "task"},
        "chain": {"kind": "chain", "books": ["contextualized", "task"]},
    },
    "teacher": {"model": "teacher"},
    "baselines": ["undistilled"],
    "seeds": [5, 6],
}


@pytest.fixture
def grid(tmp_path):
    """Return a function that gives the cells of an experiment with these settings."""
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE, sort_keys=False))

    def make(**settings):
        values = {"name": "e", "recipe": "base.yaml", **settings}
        return cells(validate(Experiment, values, "e.yaml"), tmp_path / "e.yaml")

    return make


def test_the_last_axis_runs_fastest(grid):
    found = grid(axes={"textbook": ["general", "task"], "seed": [0, 1, 2]})
    assert [(cell.textbook, cell.recipe.seeds) for cell in found] == [
        *(("general", (seed,)) for seed in range(3)),
        *(("task", (seed,)) for seed in range(3)),
    ]
    assert found[0].at == {"textbook": "general", "seed": 0}
    assert found[4].name == "textbook task, seed 1"
    assert not any(cell.recipe.baselines for cell in found)


def test_what_axes_set(grid):
    axes = {
        "textbook": ["contextualized", "none"],
        "init": ["layers"],
        "teacher": ["general"],
        "steps": [70],
        "pack": ["pairs"],
        "proportion": [0.2],
        "distil.batch": [64],
        "size": {"small": {"student.layers": 2, "student.hidden": 128}},
    }
    first, never = grid(axes=axes)
    recipe = first.recipe
    assert (recipe.student.init, recipe.teacher.kind, recipe.distil.steps) == ("layers", "general", 70)
    assert (recipe.distil.pack, recipe.distil.batch) == ("pairs", 64)
    assert (recipe.student.layers, recipe.student.hidden) == (2, 128)
    assert recipe.textbooks["contextualized"].proportion == 0.2
    assert first.at["size"] == "small"
    assert (never.textbook, never.recipe.distil.batch) == (None, 64)


def test_a_student_that_was_never_distilled(grid):
    (cell,) = grid(axes={"textbook": ["none"]})
    assert cell.textbook is None


def test_rules_hold_where_they_say(grid):
    rules = [
        {"at": {"textbook": ["general", "task"]}, "set": {"distil.tokens": 10}},
        {"at": {"textbook": "task", "seed": 1}, "set": {"distil.tokens": 20, "distil.batch": 4}},
    ]
    found = grid(axes={"textbook": ["general", "task", "chain"], "seed": [0, 1]}, rules=rules)
    assert [(cell.recipe.distil.tokens, cell.recipe.distil.batch) for cell in found] == [
        *[(10, 32)] * 3,
        (20, 4),
        *[(1_500_000, 32)] * 2,
    ]


def test_changes_hold_in_every_cell(grid):
    found = grid(axes={"textbook": ["general"], "seed": [0, 1]}, change={"distil.tokens": 7, "task.train_rows": 30})
    assert {(cell.recipe.distil.tokens, cell.recipe.task.train_rows) for cell in found} == {(7, 30)}


def test_an_axis_wins_over_named_values(grid):
    axes = {"textbook": ["general"], "distil.tokens": [5], "budget": {"long": {"distil.tokens": 9}}}
    assert grid(axes=axes)[0].recipe.distil.tokens == 5


def test_combinations_that_are_left_out(grid):
    axes = {"textbook": ["general", "task", "contextualized"], "teacher": ["task", "general"]}
    found = grid(axes=axes, exclude=[{"teacher": "general", "textbook": ["task", "contextualized"]}])
    assert [tuple(cell.at.values()) for cell in found] == [
        ("general", "task"),
        ("general", "general"),
        ("task", "task"),
        ("contextualized", "task"),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"axes": {"distil.tokns": [5], "textbook": ["task"]}},
            r"unknown key 'distil\.tokns'; the nearest.*'tokens'",
        ),
        (
            {"axes": {"distl.tokens": [5], "textbook": ["task"]}},
            "unknown key 'distl'; the nearest known key is 'distil'",
        ),
        (
            {"axes": {"textbooks.contextualised.k": [2], "textbook": ["task"]}},
            "the recipe has no textbook 'contextualised'; the nearest is 'contextualized'",
        ),
        ({"axes": {"textbook": ["genral"]}}, "no textbook 'genral' in the recipe; it has general, contextualized"),
        ({"axes": {"seed": [0]}}, "the recipe has 4 textbooks; add an axis `textbook`"),
        ({"axes": {"seed": [-1], "textbook": ["task"]}}, "seed -1, textbook task: seeds.0: input should be greater"),
        ({"axes": {"name.x": [0], "textbook": ["task"]}}, "axes.name.x: name has no settings of its own"),
        ({"axes": {"textbook": ["task"]}, "exclude": [{"textbook": "task"}]}, "exclude leaves no cell"),
        (
            {"axes": {"textbook": ["task"]}, "exclude": [{"seed": 0}]},
            "exclude: unknown axis 'seed'; the axes are t",
        ),
        ({"axes": {}}, "axes: "),
        (
            {"axes": {"textbook": ["task"]}, "exclude": [{"textbook": "tusk"}]},
            "exclude: axes.textbook has no value 'tusk'; it has task",
        ),
        ({"axes": {"textbook": {"a": {}}}}, "axes.textbook: give a list of names of the recipe's textbooks"),
        ({"axes": {"proportion": [0.5]}, "measure": "textbooks"}, "name the textbook: textbooks.NAME.proportion"),
        ({"axes": {"textbook": []}}, "axes.textbook: give at least one value"),
        ({"axes": {"textbook": ["task", "task"]}}, "axes.textbook: contains a value twice"),
        ({"axes": {"textbook": ["task"]}, "recipe": "nowhere.yaml"}, "nowhere.yaml: no such recipe file"),
        ({"axes": {"textbook": ["task"]}, "recips": 1}, "unknown key 'recips'; the nearest known key is 'recipe'"),
    ],
)
def test_one_line_says_what_is_wrong(grid, settings, message):
    with pytest.raises(HornbookError, match=message) as caught:
        grid(**settings)
    assert "\n" not in str(caught.value)


ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = [
    p for p in sorted((ROOT / "recipes").rglob("*.yaml")) if "axes" in yaml.safe_load(p.read_text("utf-8"))
]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def test_a_committed_experiment_has_cells(path):
    assert len(cells(load_experiment(path), path)) > 1

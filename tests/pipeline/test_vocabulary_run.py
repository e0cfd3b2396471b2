"""Runs whose teacher and students read through the vocabulary of task and textbooks."""

import json
from pathlib import Path

import pytest
import yaml

from hornbook import experiment, pipeline
from hornbook.errors import HornbookError
from hornbook.experiment import FinishedCells
from hornbook.models.tokenizers import tokenizer_key
from hornbook.pipeline.preconditions import refuse_lost_score
from hornbook.pipeline.stages import run_cell, run_student
from hornbook.recipe import Recipe, load_experiment, validate
from hornbook.results import TRIMMED_TEACHER, GoldLabels, RunResult, read_results
from hornbook.results.differences import difference
from hornbook.results.predictions import resampled
from hornbook.store import Artifact, Store


@pytest.fixture(scope="module")
def values(reviews, general_text, wordpiece_teacher, small_recipe) -> dict:
    values = small_recipe(reviews, general_text, wordpiece_teacher)
    values["student"] = {"layers": 1, "hidden": 16, "init": "projected", "vocabulary": "auto"}
    values["textbooks"]["general"]["units"] = 100
    return values | {"seeds": [0], "distil": {"tokens": 1500}, "adapt": {"epochs": 1, "batch": 8}}


@pytest.fixture(scope="module")
def recipe(values) -> Recipe:
    more = {"baselines": ["undistilled", "logits"]}
    more["adapt"] = {**values["adapt"], "labels": "both", "textbook_units": 10}
    return validate(Recipe, values | more, "test")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def outcome(recipe, runs) -> tuple[list[str], RunResult]:
    """The keys that were planned before, and the results."""
    planned = [stage.key for stage in pipeline.plan(recipe, runs)]
    return planned, pipeline.run(recipe, runs)


def test_the_plan_names_the_stages_that_are_run(outcome, recipe, runs):
    planned, result = outcome
    assert planned == [stage.key for stage in result.stages]
    stages = [stage.stage for stage in result.stages]
    assert stages[3:9] == ["corpus", "textbook", "textbook", "vocabulary", "trimmed", "evaluation"]
    assert [stage.key for stage in pipeline.plan(recipe, runs)] == planned
    dry = Store(runs / pipeline.STORE, dry=True)
    run_student(recipe, dry, "contextualized", 0)  # as a process beside others does
    assert not any(artifact.planned for artifact in dry.requested)


def test_teacher_and_students_read_through_one_vocabulary(outcome, runs, wordpiece_teacher):
    _, result = outcome
    whole = json.loads((wordpiece_teacher / "config.json").read_text("utf-8"))["vocab_size"]
    names = [row.name for row in result.rows]
    assert names == ["teacher", TRIMMED_TEACHER, "general", "contextualized", "undistilled", "logits"]
    kept = result.vocabulary.pieces
    assert kept < result.vocabulary.pieces_before == whole
    assert result.vocabulary.tokens_per_text > result.vocabulary.tokens_per_text_before
    folder = runs / result.name
    read = {"vocabulary": tokenizer_key(str(folder / "teacher-trimmed"))}
    for name in names[2:]:
        student = folder / f"student-{name}-seed0"
        assert json.loads((student / "config.json").read_text("utf-8"))["vocab_size"] == kept
        read[name] = tokenizer_key(str(student))
    assert len(set(read.values())) == 1
    assert tokenizer_key(str(folder / "teacher")) == tokenizer_key(str(wordpiece_teacher)) not in read.values()
    rows = {row.name: row for row in result.rows}
    assert rows["teacher"].parameters - rows[TRIMMED_TEACHER].parameters == (whole - kept) * 32
    assert result.models[1].model is not None


def test_students_are_compared_with_the_whole_teacher(outcome, runs):
    manifests = [json.loads((Path(stage.folder) / "manifest.json").read_text("utf-8")) for stage in outcome[1].stages]
    beside = {m["inputs"]["teacher"] for m in manifests if m["stage"] == "evaluation" and "teacher" in m["inputs"]}
    assert beside == {outcome[1].models[0].model}
    asked = {m["inputs"]["teacher"] for m in manifests if m["stage"] == "outputs"}
    assert asked == {outcome[1].models[1].model}
    students = [m["config"]["student"] for m in manifests if m["stage"] == "student"]
    assert not any("vocabulary" in student for student in students)


def test_results_state_the_vocabulary(outcome, runs):
    _, result = outcome
    assert read_results(runs / result.name) == result
    (remark,) = [remark for remark in result.remarks if remark.startswith("vocabulary: ")]
    table = (runs / result.name / "report.md").read_text("utf-8")
    assert remark in table
    assert TRIMMED_TEACHER in table


def cells_of(folder: Path, values: dict, axes: dict) -> list[experiment.Cell]:
    (folder / "base.yaml").write_text(yaml.safe_dump(values), "utf-8")
    grid = {"name": "grid", "recipe": "base.yaml", "axes": axes}
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid), "utf-8")
    return experiment.cells(load_experiment(folder / "grid.yaml"), folder / "grid.yaml")


def test_all_cells_with_other_textbooks_share_a_vocabulary(values, tmp_path):
    chain = {"kind": "chain", "books": ["general", "contextualized"]}
    # A general textbook without a size is as large as the whole contextualized one, of which a cell may use a part.
    books = {**values["textbooks"], "general": {"kind": "general"}, "chain": chain}
    cells = cells_of(tmp_path, values | {"textbooks": books}, {"textbook": ["none", *books], "seed": [0, 1]})
    cells += cells_of(
        tmp_path, values | {"textbooks": books}, {"textbook": ["contextualized"], "proportion": [0.25, 0.5]}
    )
    found = []
    for cell in cells:
        dry = Store(tmp_path, dry=True)
        run_cell(cell.recipe, dry, cell.textbook)
        found += [one.key for one in dry.requested if one.stage == "vocabulary"]
    assert len(found) == len(cells) == 10
    assert len(set(found)) == 1


def test_a_cell_has_the_whole_teachers_score(outcome, recipe, runs, tmp_path):
    whole = yaml.safe_load(recipe.model_dump_json())
    (cell,) = cells_of(tmp_path, whole, {"textbook": ["contextualized"]})
    (row,) = experiment.run_cells([cell], runs, FinishedCells())
    assert row.dev == next(model.dev for model in outcome[1].rows if model.name == "contextualized")
    assert [one.dev for one in row.teachers] == [outcome[1].rows[0].dev]


def test_general_teachers_starts_chains_and_snapshots(values, wordpiece_teacher, runs):
    chain = {"kind": "chain", "books": ["contextualized", "general"], "then": {"steps": 3}}
    changed = values | {
        "name": "general",
        "textbooks": {**values["textbooks"], "chain": chain},
        "teacher": {"model": str(wordpiece_teacher), "kind": "general"},
        "student": {"layers": 1, "hidden": 32, "heads": 4, "feed_forward": 64, "init": "layers", "vocabulary": 150},
        "start": {"textbook": "general", "distil": {"steps": 4, "snapshots": []}},
        "distil": {"tokens": None, "steps": 4, "snapshots": [2]},
        "snapshot": 2,
        "baselines": [],
    }
    one = validate(Recipe, changed, "test")
    planned = [stage.key for stage in pipeline.plan(one, runs)]
    result = pipeline.run(one, runs)
    assert planned == [stage.key for stage in result.stages]
    assert [row.name for row in result.rows] == ["general", "contextualized", "chain"]
    assert result.vocabulary.pieces == 150
    # The teacher of `start` and the other are one here.
    assert [stage.stage for stage in result.stages].count("trimmed") == 1


def test_a_teacher_is_trimmed_before_and_after_it_is_fine_tuned(values, tmp_path):
    begun = values | {"start": {"textbook": "general", "distil": {"tokens": 500}}}
    stages = [stage.stage for stage in pipeline.plan(validate(Recipe, begun, "test"), tmp_path)]
    assert stages.count("trimmed") == 2


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ({"vocabulary": 20}, r"student\.vocabulary: 20 pieces are too few .* alone are \d+$"),
        ({"vocabulary": "auto", "init": "TEACHER"}, r"named in student\.init, keeps the word pieces .* to all$"),
    ],
)
def test_what_cannot_be_trimmed_is_refused_first(values, wordpiece_teacher, tmp_path, student, said):
    given = {name: str(wordpiece_teacher) if value == "TEACHER" else value for name, value in student.items()}
    sizes = {"layers": 2, "hidden": 32, "heads": 4, "feed_forward": 64}
    wrong = validate(Recipe, values | {"student": sizes | given}, "test")
    for refuse in (pipeline.check, lambda one: pipeline.run(one, tmp_path)):
        with pytest.raises(HornbookError, match=said):
            refuse(wrong)
    assert not any(tmp_path.iterdir())


def test_a_tokenizer_of_another_kind_is_named(values, tiny_teacher):
    other = validate(Recipe, values | {"teacher": {"model": str(tiny_teacher)}}, "test")
    with pytest.raises(HornbookError, match=r"student\.vocabulary: WordLevel tokenizers cannot be trimmed"):
        pipeline.check(other)


def lose(rows: int, lost: int, gained: int, pieces_before: int = 30_522) -> None:
    """Lose some of the examples that a teacher answers right, and gain others."""
    gold = GoldLabels(name="t", kind="classification", metric="accuracy", labels=("a", "b"), dev="0" * rows)
    before, after = "1" * gained + "0" * (rows - gained), "1" * lost + "0" * (rows - lost)
    whole, trimmed = (resampled(answers, gold) for answers in (before, after[::-1]))
    vocabulary = Artifact(Path(), {"counts": {"pieces": 9_000, "pieces_before": pieces_before}})
    evaluations = (
        Artifact(Path(), {"info": {"metric": "accuracy", "scores": {"dev": {"accuracy": float(scores[0])}}}})
        for scores in (whole, trimmed)
    )
    refuse_lost_score(*evaluations, vocabulary, difference({0: whole}, {0: trimmed}))


@pytest.mark.parametrize(
    ("rows", "lost", "gained", "warned"),
    [(1000, 3, 0, False), (1000, 0, 9, False), (277, 1, 0, True), (1060, 18, 11, True)],
)
def test_a_loss_that_is_small_or_may_be_chance_is_accepted(rows, lost, gained, warned, caplog):
    lose(rows, lost, gained)
    assert ("this may be chance" in caplog.text) == warned


@pytest.mark.parametrize(("lost", "gained"), [(12, 0), (45, 19)])
def test_a_clear_loss_is_refused(lost, gained):
    with pytest.raises(HornbookError, match=r"with 9,000 of its 30,522 .* set it to more, such as 13500, or all$"):
        lose(1000, lost, gained)
    with pytest.raises(HornbookError, match=r"95% interval of the loss 0\.\d+ to 0\.\d+\); set it to all$"):
        lose(1000, lost, gained, 12_000)

"""A whole run on made-up text: every stage, used again, interrupted, planned."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from tests.made_up import row
from transformers import pipeline as transformers_pipeline

from hornbook import pipeline
from hornbook.errors import HornbookError
from hornbook.export import build, push
from hornbook.export.card import CARD
from hornbook.pipeline.export import choose
from hornbook.recipe import AugmentedConfig, Recipe, ShipConfig, validate
from hornbook.report.page import write_report
from hornbook.report.tables.runs import plan_table
from hornbook.results import RunResult, read_results


@pytest.fixture(scope="module")
def recipe(reviews, general_text, tiny_teacher, small_recipe) -> Recipe:
    return validate(Recipe, small_recipe(reviews, general_text, tiny_teacher), "test")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def outcome(recipe, runs) -> RunResult:
    return pipeline.run(recipe, runs)


def test_a_row_for_each_model(outcome, runs):
    names = [(row.name, row.seed) for row in outcome.rows]
    students = [(name, seed) for name in ("general", "contextualized", "undistilled") for seed in (0, 1)]
    assert names == [("teacher", 0), *students]
    report = json.loads((runs / "small" / "report.json").read_text())
    assert report == outcome.as_json()
    assert read_results(runs / "small") == outcome
    wanted = {"name", "textbook", "parameters", "dev", "test", "metric", "sentences_per_second", "seconds", "seed"}
    assert all(wanted <= row.keys() for row in report["rows"])
    assert all({"stage", "key", "seconds", "reused"} <= stage.keys() for stage in report["stages"])
    assert not any(stage["reused"] for stage in report["stages"])
    teacher = report["rows"][0]
    assert teacher["dev"] == 1.0
    assert teacher["metric"] == "accuracy"
    assert teacher["parameters"] > report["rows"][1]["parameters"]


def test_the_general_textbook_is_as_large_as_the_contextualized_one(outcome):
    books = {row.name: row.textbook for row in outcome.rows}
    # A fifth of the corpus is 120 units; the smallest k that draws as many draws 142.
    assert books["general"] == books["contextualized"] == "142 units"


def test_a_run_that_stops_leaves_no_report_of_an_earlier_recipe(outcome, recipe, runs, tmp_path, monkeypatch):
    def stopped(recipe, store, **more):
        raise KeyboardInterrupt

    shutil.copytree(runs / "small", tmp_path / "small", symlinks=True)
    monkeypatch.setattr(sys.modules["hornbook.pipeline.run"], "run_stages", stopped)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(recipe, tmp_path)
    assert not (tmp_path / "small" / "report.json").exists()
    assert not (tmp_path / "small" / "inspection").exists()


def test_a_run_that_is_killed_before_its_inspection_goes_on_there(outcome, recipe, runs):
    made = next(stage for stage in outcome.stages if stage.stage == "inspection")
    kept = Path(made.folder).with_name("kept")
    Path(made.folder).rename(kept)
    try:
        todo = [stage.stage for stage in pipeline.plan(recipe, runs) if not stage.reused]
        again = pipeline.run(recipe, runs)
    finally:
        shutil.rmtree(kept)
    assert todo == ["inspection"]
    assert [stage.stage for stage in again.stages if not stage.reused] == ["inspection"]
    assert again.inspection == outcome.inspection


def test_every_model_is_traced_to_what_was_made_for_it(outcome):
    keys = {stage.key: stage.stage for stage in outcome.stages}
    assert [(one.name, one.seed) for one in outcome.models] == [(row.name, row.seed) for row in outcome.rows]
    for one in outcome.models:
        assert keys[one.evaluation] == "evaluation"
        assert keys[one.model] == "model"
        assert [keys[key] for key in one.distilled] == ([] if one.name == "teacher" else ["student"])


def test_the_inspection_holds_what_the_page_shows(outcome):
    found = outcome.inspection
    distilled = {(point.model, point.seed) for point in found.curves if point.stage == "distil"}
    assert distilled == {(name, seed) for name in ("general", "contextualized") for seed in (0, 1)}
    adapted = {point.model for point in found.curves if point.stage == "adapt"}
    assert adapted == {"teacher", "general", "contextualized", "undistilled"}
    assert [book.name for book in found.statistics.books] == ["contextualized", "general"]
    assert len(found.anchors["contextualized"]) == 40
    assert sum(one.share for one in found.calibration if one.model == "teacher") == pytest.approx(1)


def test_students_stand_under_readable_names_and_just_work(outcome, runs):
    student = runs / "small" / "student-contextualized-seed0"
    answer = transformers_pipeline("text-classification", str(student))("the film is good")
    assert answer[0]["label"] in {"negative", "positive"}


@pytest.fixture(scope="module")
def shipping(recipe) -> Recipe:
    """The recipe of a run that ends with an export."""
    return recipe.model_copy(update={"name": "shipped", "export": ShipConfig()})


@pytest.fixture(scope="module")
def shipped(outcome, shipping, runs) -> RunResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_COMPARED", 60)
        todo = [stage.stage for stage in pipeline.plan(shipping, runs) if not stage.reused]
        assert todo == ["export", "export-evaluation"]
        return pipeline.run(shipping, runs)


def test_a_run_ends_with_the_export_of_its_best_student(shipped, runs):
    best = max((row for row in shipped.rows if row.textbook), key=lambda row: row.dev)
    means = {one.name: one.dev.mean for one in shipped.summary if one.textbook}
    assert means[shipped.export.name] == max(means.values())
    own = [row.dev for row in shipped.rows if row.name == shipped.export.name]
    assert own[shipped.export.seed] == max(own)
    assert best.dev >= max(own)
    assert [stage.stage for stage in shipped.stages if not stage.reused] == ["export", "export-evaluation"]
    assert shipped.stages[-2].key == shipped.export.key
    assert read_results(runs / "shipped") == shipped
    link = runs / "shipped" / "export"
    assert link.resolve() == Path(shipped.export.folder).resolve()
    assert [one.format for one in shipped.export.formats] in (["float32"], ["float32", "int8"])
    student = next(row for row in shipped.rows if (row.name, row.seed) == (shipped.export.name, shipped.export.seed))
    assert (shipped.export.formats[0].dev, shipped.export.formats[0].test) == (student.dev, student.test)
    table = (runs / "shipped" / "report.md").read_text()
    assert f"| {shipped.export.name}, exported | ONNX float32, " in table
    assert f"* export of {shipped.export.name}, seed {shipped.export.seed}: {shipped.export.folder}" in table
    assert "* ONNX float32: 0." in table
    page, markdown = write_report([runs / "shipped"])
    assert "ONNX float32" in page.read_text()
    assert "## Export" in markdown.read_text()


def test_the_card_of_a_run_has_its_recipe_and_none_of_its_text(shipped, shipping, runs, reviews, tmp_path):
    card = (runs / "shipped" / "export" / CARD).read_text()
    found = yaml.safe_load(re.search(r"~~~~yaml\n(.*)~~~~", card, re.DOTALL)[1])
    assert found["task"]["source"] == reviews.name
    assert validate(Recipe, found, "card").distil == shipping.distil
    student = f"runs/shipped/student-{shipped.export.name}-seed{shipped.export.seed}"
    assert f"hornbook export {student} --task runs/shipped/task" in card
    assert "mean ± standard deviation of 2 students" in card
    assert str(runs) not in card
    texts = [line.split("\t")[0] for line in reviews.read_text().splitlines()[1:]]
    assert not [text for text in texts if text in card]


def test_a_run_uploads_last_and_refuses_first(shipped, shipping, runs, tmp_path, monkeypatch):
    asked = shipping.model_copy(update={"export": ShipConfig(push_to_hub="me/films", public=True)})
    with pytest.raises(HornbookError, match="nothing is uploaded while the hub is not used"):
        pipeline.run(asked, tmp_path)
    assert not list(tmp_path.iterdir())
    sent = []

    def keep(exported, repository, *, public):
        assert (runs / "shipped" / "report.json").exists()
        sent.append((exported.key, repository, public))

    monkeypatch.setattr(push, "check_push", lambda repository: None)
    monkeypatch.setattr(push, "push", keep)
    pipeline.run(asked, runs)
    assert sent == [(shipped.export.key, "me/films", True)]


def test_a_plan_from_nothing_ends_with_the_export(shipping, tmp_path):
    *others, last, evaluation = pipeline.plan(shipping, tmp_path)
    assert (last.stage, last.reused, last.rough) == ("export", False, True)
    assert (evaluation.stage, evaluation.rough) == ("export-evaluation", True)
    assert "export" not in {stage.stage for stage in others}
    chosen = shipping.model_copy(update={"export": ShipConfig(student="contextualized")})
    assert pipeline.plan(chosen, tmp_path)[-2].key != last.key
    measured = shipping.model_copy(update={"export": ShipConfig(benchmark=True)})
    assert [stage.stage for stage in pipeline.plan(measured, tmp_path)][-2:] == ["export-evaluation", "speeds"]


def test_the_best_seed_of_the_best_mean_is_chosen():
    scores = {("a", 0): 0.9, ("a", 1): 0.5, ("b", 0): 0.7, ("b", 1): 0.8, ("undistilled", 0): 0.99}
    models = [Scored(row(name, dev, "9 units", seed)) for (name, seed), dev in scores.items()]
    assert (choose(models, ["a", "b"]).name, choose(models, ["a", "b"]).seed) == ("b", 1)
    assert (choose(models, ["a"]).name, choose(models, ["a"]).seed) == ("a", 0)
    models[3].planned = True
    assert choose(models, ["b", "a"]) is models[0]


class Scored:
    """A scored model of which only the row is known."""

    def __init__(self, result):
        self.name, self.seed, self.planned = result.name, result.seed, False
        self.result = lambda: result


def test_an_export_of_an_unknown_student_is_refused(recipe):
    values = recipe.model_dump(mode="json") | {"export": {"student": "contextualised"}}
    with pytest.raises(HornbookError, match="no textbook 'contextualised'; the nearest is 'contextualized'"):
        validate(Recipe, values, "test")


def test_a_second_run_reuses_every_stage(outcome, recipe, runs):
    again = pipeline.run(recipe, runs)
    assert all(stage.reused for stage in again.stages)
    assert again.rows == outcome.rows


def test_a_changed_setting_runs_only_what_depends_on_it(outcome, recipe, runs):
    changed = recipe.model_copy(update={"adapt": recipe.adapt.model_copy(update={"epochs": 1})})
    todo = [stage.stage for stage in pipeline.plan(changed, runs) if not stage.reused]
    assert set(todo) == {"model", "evaluation", "inspection"}
    assert todo.count("model") == 6


def test_a_plan_names_the_stages_before_any_is_run(recipe, tmp_path):
    stages = pipeline.plan(recipe, tmp_path)
    assert [stage.stage for stage in stages[:5]] == ["task", "model", "evaluation", "corpus", "textbook"]
    assert [stage.stage for stage in stages[-2:]] == ["statistics", "inspection"]
    assert all(stage.estimated_seconds > 0 for stage in stages)
    assert {stage.stage for stage in stages if stage.checkpoint_megabytes} == {"model", "student"}
    assert not any(tmp_path.iterdir())


def test_a_plan_counts_by_what_was_run_before(outcome, recipe, runs, tmp_path):
    seconds = {stage.key: stage.seconds for stage in outcome.stages}
    longer = recipe.model_copy(update={"distil": recipe.distil.model_copy(update={"tokens": 3_000_000})})
    students = [stage for stage in pipeline.plan(longer, runs) if stage.stage == "student" and not stage.reused]
    assert len(students) == 4  # those that are never distilled are there already
    measured = [seconds[stage.key] for stage in outcome.stages if stage.stage == "student"][:4]
    for stage in students:
        assert not stage.rough
        assert 700 * min(measured) < stage.estimated_seconds < 1100 * max(measured)
    by_steps = recipe.distil.model_copy(update={"tokens": None, "steps": 400_000, "batch": 256})
    paper = pipeline.plan(recipe.model_copy(update={"distil": by_steps}), tmp_path)
    assert all(stage.rough for stage in paper)
    taught = [stage for stage in paper if stage.stage == "student"][:4]
    assert all(stage.estimated_seconds == 250 * 400_000 * 256 * 25 / 1e6 for stage in taught)
    grid = recipe.teacher.finetune.model_copy(update={"grid": {"batch": (8, 16), "epochs": (1, 2)}})
    tried = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"finetune": grid})})
    teacher = next(stage for stage in pipeline.plan(tried, tmp_path) if stage.stage == "model")
    assert teacher.estimated_seconds == 4 * 60


def test_a_plan_shows_what_asking_the_teacher_once_takes_and_saves(recipe, tmp_path):
    def planned(cache, seeds=(0, 1)):
        distil = recipe.distil.model_copy(update={"cache": cache, "tokens": 1_000_000})
        return pipeline.plan(recipe.model_copy(update={"distil": distil, "seeds": seeds}), tmp_path)

    def keys(stages):
        return {stage.key for stage in stages}

    stages = planned("float16", (0, 1, 2))
    asked = [stage for stage in stages if stage.stage == "activations"]
    # For each of two textbooks; three projections of 32 numbers, of two bytes each.
    assert [stage.estimated_megabytes for stage in asked] == [192, 192]
    assert [(stage.estimated_seconds, stage.saved_seconds) for stage in asked] == [(125, 250), (125, 250)]
    names = [stage.stage for stage in stages]
    assert names.index("activations") < names.index("student")
    assert str(plan_table(stages, 1000).renderables[0]).count("asking the teacher once saves about 8 min") == 1
    assert keys(planned("auto")) == keys(planned("float16")) != keys(planned("none"))
    assert keys(planned("auto", (0,))) == keys(planned("none", (0,)))


def test_settings_that_do_not_go_with_the_task_are_refused_first(tmp_path, recipe):
    rows = ["text\tlabel", *(f"film {i}\t{i / 10}" for i in range(40))]
    (tmp_path / "scores.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    values = yaml.safe_load(recipe.model_dump_json())
    values["task"] = {"source": str(tmp_path / "scores.tsv")}
    values["adapt"] |= {"class_weights": "balanced"}
    wrong = validate(Recipe, values, "test")
    for refuse in (pipeline.check, lambda one: pipeline.run(one, tmp_path / "runs")):
        with pytest.raises(HornbookError, match=r"adapt\.class_weights: a regression has no classes"):
            refuse(wrong)
    assert not list((tmp_path / "runs").rglob("model.safetensors"))


def test_a_teacher_at_chance_level_stops_the_run(recipe, runs, tmp_path):
    finetune = recipe.teacher.finetune.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    hopeless = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"finetune": finetune})})
    with pytest.raises(HornbookError, match=r"at chance level on dev: accuracy .* 95% interval .* contains 0\.5"):
        pipeline.run(hopeless, tmp_path)
    assert not list(tmp_path.rglob("student"))


def test_a_ready_teacher_needs_the_tasks_labels(outcome, recipe, runs, tmp_path):
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    for file in (runs / "small" / "teacher").iterdir():
        if file.name not in {"manifest.json", "run.json"}:
            (teacher / file.name).write_bytes(file.read_bytes())
    config = json.loads((teacher / "config.json").read_text())
    config |= {"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}}
    (teacher / "config.json").write_text(json.dumps(config))
    ready = {"model": str(teacher), "kind": "ready"}
    with pytest.raises(
        HornbookError, match=r"labels \['bad', 'good'\] are not the task's \['negative', 'positive'\]"
    ):
        pipeline.run(_with_teacher(recipe, ready), runs)
    mapped = {**ready, "label_names": {"good": "positive", "bad": "negative"}}
    assert pipeline.run(_with_teacher(recipe, mapped), runs).rows[0].dev == 1.0
    swapped = {**ready, "label_names": {"good": "negative", "bad": "positive"}}
    with pytest.raises(HornbookError, match=r"below chance level .* are its labels swapped"):
        pipeline.run(_with_teacher(recipe, swapped), runs)


def test_a_general_teacher_needs_no_labels_and_gets_no_row(recipe, runs, tiny_teacher):
    outcome = pipeline.run(_with_teacher(recipe, {"model": str(tiny_teacher), "kind": "general"}), runs)
    assert "teacher" not in {row.name for row in outcome.rows}


def test_a_run_folder_that_holds_something_else_is_left_alone(recipe, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.tex").write_text("mine")
    with pytest.raises(HornbookError, match=r"holds something else \(thesis\.tex\)"):
        pipeline.run(recipe, tmp_path)


def test_a_recipe_is_checked_without_running(recipe, tmp_path):
    pipeline.check(recipe)
    broken = recipe.model_copy(update={"distil": recipe.distil.model_copy(update={"relation_heads": 7})})
    with pytest.raises(HornbookError, match="legal are"):
        pipeline.check(broken)
    nowhere = recipe.model_copy(update={"corpus": recipe.corpus.model_copy(update={"sources": ("nowhere.txt",)})})
    with pytest.raises(HornbookError, match=r"nowhere\.txt"):
        pipeline.check(nowhere)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"start": {"textbook": "general", "distil": {"relation_heads": 3}}},
            "start.distil: distil.relation_heads: 3",
        ),
        ({"start": {"textbook": "general", "distil": {"teacher_layer": 7}}}, "start.distil: distil.teacher_layer: "),
        ({"start": {"textbook": "general", "distil": {"objectives": {"logits": 1}}}}, "start.distil.objectives: "),
        ({"start": {"textbook": "general", "distil": {"max_length": 16}}}, "start.distil.max_length: must be"),
        ({"then": {"relation_heads": 3}}, "textbooks.chain.then: distil.relation_heads: 3 does not divide"),
        ({"then": {"teacher_layer": 9}}, "textbooks.chain.then: distil.teacher_layer: there is no layer 9"),
        (
            {"then": {"pack": "length"}},
            "textbooks.chain.then.pack: must be the same for all textbooks",
        ),
        ({"then": {"objectives": {"logits": 1}}, "teacher": "general"}, "textbooks.chain.then.objectives: a general"),
        ({"distil": {"steps": 4, "snapshots": [5]}}, "snapshots: there is no step 5; the budget is 4 steps"),
        ({"distil": {"report_to": ["wandb"]}}, "report_to: wandb is not installed"),
        ({"adapt": {"report_to": ["wandb"]}}, "report_to: wandb is not installed"),
    ],
)
def test_every_training_is_checked_before_any_runs(reviews, general_text, tiny_teacher, small_recipe, change, said):
    values = small_recipe(reviews, general_text, tiny_teacher)
    for name in change.keys() & {"start", "distil", "adapt"}:
        values[name] = change[name]
    if "then" in change:
        chain = {"kind": "chain", "books": ["general", "contextualized"], "then": change["then"]}
        values["textbooks"] = {**values["textbooks"], "chain": chain}
    if "teacher" in change:
        values["teacher"]["kind"] = change["teacher"]
    with pytest.raises(HornbookError, match=re.escape(said)):
        pipeline.check(validate(Recipe, values, "test"))


def test_what_proposes_words_must_be_a_masked_language_model(recipe):
    book = AugmentedConfig(kind="augmented", model=recipe.teacher.model)
    with pytest.raises(HornbookError, match="not a masked language model"):
        pipeline.check(recipe.model_copy(update={"textbooks": {"augmented": book}}))


def _pairs(path: Path, score: bool) -> Path:
    """Write pairs whose label is how many of the two texts are good: 2, 1 or 0 as a score, or as a class."""
    import random

    draw = random.Random(2)
    lines = ["one\ttwo\tlabel"]
    for i in range(400):
        good = [draw.random() < 0.5, draw.random() < 0.5]
        texts = [
            " ".join([*draw.choices(["film", "plot", "actor", "scene"], k=3), "good" if g else "bad"]) for g in good
        ]
        lines.append(
            f"{texts[0]} {i}\t{texts[1]}\t{sum(good) + 0.5 if score else ('none', 'one', 'both')[sum(good)]}"
        )
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(("family", "score"), [("roberta", False), ("distilbert", True)])
def test_pairs_and_regression_in_other_families(family, score, tiny_teacher, general_text, tmp_path):
    import torch
    from transformers import DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

    folder = tmp_path / family
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text((tiny_teacher / name).read_text())
    words = json.loads((tiny_teacher / "config.json").read_text())["vocab_size"]
    torch.manual_seed(1)
    if family == "roberta":
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        RobertaModel(RobertaConfig(vocab_size=words, pad_token_id=0, type_vocab_size=1, **sizes)).save_pretrained(
            folder
        )
    else:
        config = DistilBertConfig(vocab_size=words, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
        DistilBertModel(config).save_pretrained(folder)
    values = {
        "name": family,
        "task": {"source": str(_pairs(tmp_path / "pairs.tsv", score)), "text": "one", "text_pair": "two"},
        "corpus": {"sources": [str(general_text)]},
        "textbooks": {"contextualized": {"kind": "contextualized", "k": 3}},
        "teacher": {"model": str(folder), "finetune": {"epochs": 12, "learning_rate": 5e-3, "batch": 16}},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
        "distil": {"tokens": 2000},
        "adapt": {"epochs": 1},
        "threads": 1,
    }
    teacher, student = pipeline.run(validate(Recipe, values, "test"), tmp_path / "runs").rows
    assert teacher.metric == ("spearman" if score else "accuracy")
    assert set(teacher.scores["dev"]) >= ({"spearman", "pearson"} if score else {"accuracy", "macro_f1"})
    assert teacher.dev > 0.6
    assert 0 < student.parameters < teacher.parameters
    if score:
        assert 0 < teacher.scores["dev"]["mae"] <= teacher.scores["dev"]["rmse"]
        assert (
            "| dev MAE | dev RMSE | test MAE | test RMSE |" in (tmp_path / "runs" / family / "report.md").read_text()
        )
        page, _ = write_report([tmp_path / "runs" / family], tmp_path / "page.html")
        assert "its mean absolute error is" in page.read_text("utf-8")


def test_baselines_teachers_of_several_seeds_and_labels_of_the_teacher(recipe, tiny_teacher, tmp_path):
    values = yaml.safe_load(recipe.model_dump_json())
    values |= {
        "textbooks": {"contextualized": values["textbooks"]["contextualized"]},
        "baselines": ["undistilled", "logits", "released", "tf-idf"],
        "released": str(tiny_teacher),
        "seeds": [0],
    }
    values["teacher"] |= {"seeds": [3, 4]}
    values["adapt"] |= {"labels": "both", "textbook_units": 30}
    whole = validate(Recipe, values, "test")
    outcome = pipeline.run(whole, tmp_path)
    names = [(row.name, row.seed) for row in outcome.rows]
    baselines = [("undistilled", 0), ("logits", 0), ("released", 0), ("tf-idf", 0)]
    assert names == [("teacher", 3), ("teacher", 4), ("contextualized", 0), *baselines]
    by_name = {row.name: row for row in outcome.rows}
    assert by_name["tf-idf"].dev == 1.0  # a word decides
    assert any(remark.startswith("contextualized: its dev score") for remark in outcome.remarks)
    adapted = json.loads((tmp_path / "small" / "student-contextualized-seed0" / "manifest.json").read_text())
    assert adapted["config"]["labels"] == "both"
    plain = json.loads((tmp_path / "small" / "student-logits-seed0" / "manifest.json").read_text())
    assert plain["config"]["labels"] == "teacher"
    released = json.loads((tmp_path / "small" / "student-released-seed0" / "manifest.json").read_text())
    assert (released["config"]["labels"], "outputs" in released["inputs"]) == ("gold", False)
    # units of the textbook for the student that had one, the task's own texts for the others
    counts = [
        json.loads((Path(stage.folder) / "manifest.json").read_text())["counts"]
        for stage in outcome.stages
        if stage.stage == "outputs"
    ]
    assert sorted(found["units"] for found in counts) == [0, 30]
    assert (tmp_path / "small" / "evaluation-tf-idf" / "confusion-dev.csv").is_file()
    assert [stage.key for stage in pipeline.plan(whole, tmp_path)] == [stage.key for stage in outcome.stages]
    assert "do not deploy" in (tmp_path / "small" / "report.md").read_text()


def _with_teacher(recipe: Recipe, teacher: dict) -> Recipe:
    values = yaml.safe_load(recipe.model_dump_json())
    values |= {"name": "ready", "teacher": teacher, "seeds": [0], "baselines": []}
    return validate(Recipe, values, "test")


def test_a_snapshot_and_the_links_of_a_chain_keep_their_curves(recipe, runs):
    values = yaml.safe_load(recipe.model_dump_json())
    chain = {"kind": "chain", "books": ["contextualized", "general"], "then": {"steps": 30}}
    values |= {"name": "curves", "textbooks": {**values["textbooks"], "chain": chain}, "seeds": [0], "baselines": []}
    values["distil"] |= {"tokens": None, "steps": 30, "snapshots": [10]}
    values["snapshot"] = 10
    outcome = pipeline.run(validate(Recipe, values, "test"), runs)
    ends = {}
    for point in outcome.inspection.curves:
        if point.stage == "distil":
            ends.setdefault((point.model, point.link), set()).add(point.step)
    # the student behind a snapshot is the one after its step
    assert {where: max(steps) for where, steps in ends.items()} == {
        ("general", 1): 10,
        ("contextualized", 1): 10,
        ("chain", 1): 30,
        ("chain", 2): 10,
    }
    distilled = {one.name: len(one.distilled) for one in outcome.models}
    assert distilled == {"teacher": 0, "general": 2, "contextualized": 2, "chain": 3}

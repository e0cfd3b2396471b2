"""The commands: every stage, --json, help, and a recipe for one's own data from `new` to the report."""

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml
from transformers import BertConfig, DistilBertConfig
from transformers import pipeline as transformers_pipeline
from typer.testing import CliRunner

from hornbook import pipeline
from hornbook.cli.main import app
from hornbook.recipe import TaskConfig, load_recipe

HEAVY = ("torch", "transformers", "datasets", "pyarrow", "scipy", "sklearn", "numpy")
SMALL = (
    "--distil.tokens", "2000", "--student.layers", "1", "--student.hidden=16", "--student.heads", "2",
    "--teacher.finetune.epochs", "2", "--teacher.finetune.learning-rate", "5e-3", "--teacher.finetune.batch", "8",
    "--textbooks.contextualized.min-units", "50", "--adapt.epochs", "1", "--threads", "1",
)  # fmt: skip


def options(command, name="hornbook"):
    for inner_name, inner in getattr(command, "commands", {}).items():
        yield from options(inner, f"{name} {inner_name}")
    for parameter in command.params:
        yield name, parameter


def test_every_stage_hands_on_its_folder(stages):
    made = {name: stage["answer"] for name, stage in stages.items()}
    assert [answer["stage"] for answer in made.values()] == [
        "corpus", "textbook", "textbook", "model", "student", "model", "evaluation",
    ]  # fmt: skip
    assert made["corpus"]["counts"]["units"] == 600
    assert made["contextualized"]["counts"]["k"] == 5
    assert made["general"]["counts"]["units"] == 50
    assert made["teacher"]["info"]["best_dev"] == 1.0
    assert made["student"]["counts"]["tokens"] >= 2000
    scores = made["evaluation"]["info"]["scores"]
    assert set(scores) == {"dev", "test"}
    assert set(made["evaluation"]["measured"]["sentences_per_second"]) == {"model", "teacher"}
    answer = transformers_pipeline("text-classification", str(stages["adapted"]["folder"]))("a good film")
    assert answer[0]["label"] in {"negative", "positive"}


def test_stages_that_share_a_task_prepare_it_once(stages):
    beside = stages["corpus"]["folder"].parent
    assert len(list((beside / pipeline.STORE / "task").iterdir())) == 1
    assert not [path for path in beside.rglob("*") if path.name.endswith((".lock", ".partial"))]


def test_without_json_there_is_a_line_for_people(stages, hornbook):
    for name, stage in stages.items():
        result = hornbook(*stage["words"])
        assert result.exit_code == 0
        (line,) = result.stdout.splitlines()
        assert line.startswith(f"{stage['folder']}: {stage['answer']['stage']}, already finished: ")
        assert not line.startswith("{"), name


def test_the_line_of_an_evaluation_says_the_scores(stages, hornbook):
    dev = stages["evaluation"]["answer"]["info"]["scores"]["dev"]["accuracy"]
    assert f"dev accuracy {dev:.3f}" in hornbook(*stages["evaluation"]["words"]).stdout


def test_a_prepared_task_can_be_named_itself(stages, hornbook, tmp_path):
    (task,) = (stages["corpus"]["folder"].parent / pipeline.STORE / "task").iterdir()
    result = hornbook(
        "evaluate", "--task", task, "--model", stages["teacher"]["folder"], "--out", tmp_path / "scored"
    )
    assert result.exit_code == 0
    assert "dev accuracy 1.000" in result.stdout


def test_a_teacher_with_other_label_names_or_order_is_matched_by_name(stages, hornbook, reviews, tmp_path):
    words = ("evaluate", "--task", reviews)
    teacher = stages["teacher"]["folder"]
    renamed = copied(teacher, tmp_path / "renamed", {"0": "bad", "1": "good"})
    refused = hornbook(*words, "--model", renamed, "--out", tmp_path / "a")
    assert refused.exit_code == 2
    assert "its labels ['bad', 'good'] are not the task's ['negative', 'positive']; map them" in refused.stderr
    names = "{good: positive, bad: negative}"
    mapped = hornbook(*words, "--model", renamed, "--label-names", names, "--out", tmp_path / "a", "--json")
    assert json.loads(mapped.stdout)["info"]["scores"]["dev"]["accuracy"] == 1.0
    # The same outputs under exchanged names: always wrong, so the names count and not the order.
    exchanged = copied(teacher, tmp_path / "exchanged", {"0": "positive", "1": "negative"})
    wrong = hornbook(*words, "--model", exchanged, "--out", tmp_path / "b", "--json")
    assert json.loads(wrong.stdout)["info"]["scores"]["dev"]["accuracy"] == 0.0


def copied(model: Path, to: Path, id2label: dict[str, str]) -> Path:
    to.mkdir()
    for file in model.iterdir():
        if file.name not in {"manifest.json", "run.json"}:
            (to / file.name).write_bytes(file.read_bytes())
    config = json.loads((to / "config.json").read_text())
    config |= {"id2label": id2label, "label2id": {name: int(i) for i, name in id2label.items()}}
    (to / "config.json").write_text(json.dumps(config))
    return to


@pytest.fixture(scope="module")
def own(hornbook, reviews, tiny_teacher, general_text, tmp_path_factory) -> Path:
    """A recipe as `hornbook new` writes it."""
    file = tmp_path_factory.mktemp("own") / "recipe.yaml"
    words = ("--task", reviews, "--teacher", tiny_teacher, "--corpus", general_text, "--student", "6x384")
    result = hornbook("new", *words, "--out", file, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"recipe": str(file)}
    return file


def test_a_new_recipe_reads_well(own):
    text = own.read_text()
    lines = text.splitlines()
    assert lines[0] == "# A small encoder for the task reviews. Edit it, then:"
    assert f"hornbook run {own} --check" in lines[1]
    assert max(len(line) for line in lines if str(own.parent.parent) not in line) <= 110
    assert "\n\n# The teacher model.\nteacher:\n" in text
    assert "    epochs: 11                # Passes over the training data.\n" in text
    assert "  tokens: 1_500_000\n" in text
    recipe = load_recipe(own)
    assert recipe.distil.learning_rate == 1e-3
    assert (recipe.student.layers, recipe.student.hidden) == (6, 384)
    assert list(yaml.safe_load(text)) == [
        "name", "task", "corpus", "textbooks", "teacher", "student", "distil", "adapt", "baselines", "seeds",
    ]  # fmt: skip
    # Each field has its comment above or beside it.
    for above, line in pairwise(lines):
        if line and not line.lstrip().startswith("#") and line.strip() != "contextualized:":
            assert "#" in line or above.lstrip().startswith("#"), line


def test_a_new_recipe_is_checked_planned_and_run(own, hornbook, tmp_path):
    assert json.loads(hornbook("run", own, "--check", "--json").stdout) == {
        "recipe": "reviews", "fine": True, "unchecked": [],
    }  # fmt: skip
    assert hornbook("run", own, "--check").stdout == f"{own}: fine\n"
    runs = tmp_path / "runs"
    planned = hornbook("run", own, "--dry-run", "--runs", runs, *SMALL, "--json")
    stages = json.loads(planned.stdout)["stages"]
    assert [stage["stage"] for stage in stages].count("student") == 2
    assert not runs.exists()
    assert "15 stages, 0 finished" in hornbook("run", own, "--dry-run", "--runs", runs, *SMALL).stdout
    # In a process of its own, for what libraries write past Python's streams.
    line = [sys.executable, "-m", "hornbook", "run", str(own), "--runs", str(runs), *SMALL, "--json"]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert len(done.stdout.splitlines()) == 1
    assert [row["name"] for row in report["rows"]] == ["teacher", "contextualized", "undistilled", "tf-idf"]
    assert report == json.loads((runs / "reviews" / "report.json").read_text())
    assert not [sign for sign in ("\r", "\x1b", "it/s", "%|", "Writing", "Loading", "Warning") if sign in done.stderr]
    again = hornbook("run", own, "--runs", runs, *SMALL)
    assert again.exit_code == 0
    assert "contextualized" in again.stdout
    assert f"report: {runs / 'reviews' / 'report.json'}" in again.stdout
    assert "model:" not in again.stderr, "every stage was to be reused"


def test_a_check_says_what_the_hub_could_not_be_asked(own, hornbook):
    words = ("run", own, "--check", "--teacher.model", "someone/bert")
    unchecked, fine = hornbook(*words).stdout.splitlines()
    assert unchecked.startswith(f"{own}: not checked: someone/bert: no such folder, and no such model in the hub's")
    assert fine == f"{own}: fine, as far as it could be checked"
    answer = json.loads(hornbook(*words, "--json").stdout)
    assert answer["fine"]
    assert answer["unchecked"] == [unchecked.removeprefix(f"{own}: not checked: ")]


@pytest.mark.parametrize("command", ["finetune", "adapt", "evaluate", "textbook build"])
def test_a_stage_takes_every_setting_of_a_task(command):
    names = {"folder": "glue-folder", "kind": "task-kind", "label_names": "task-label-names"}
    wanted = {f"--{names.get(field, field).replace('_', '-')}" for field in TaskConfig.model_fields} - {"--source"}
    found = options(typer.main.get_command(app))
    assert wanted <= {option for name, p in found if name == f"hornbook {command}" for option in p.opts}


def test_the_settings_of_a_task_count(hornbook, tiny_teacher, tmp_path):
    """The columns' names are digits and words that YAML would read as something else."""
    for split, rows in (("train", 20), ("dev", 6), ("test", 4)):
        lines = [f"good film {i}\tbad plot {split}\t{i % 3}" for i in range(rows)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(["no\tnull\t1", *lines]) + "\n")
    columns = ("--text", "no", "--text-pair", "null", "--label", "1", "--task-label-names", "[low, middle, high]")
    splits = ("--dev", tmp_path / "dev.tsv", "--test", tmp_path / "test.tsv", "--train-rows", 9)
    words = ("--task", tmp_path / "train.tsv", "--model", tiny_teacher, "--out", tmp_path / "out", "--epochs", 1)
    result = hornbook("finetune", *words, *columns, *splits, "--json")
    assert result.exit_code == 0, result.stderr
    (manifest,) = (tmp_path / pipeline.STORE / "task").glob("*/manifest.json")
    task = json.loads(manifest.read_text())
    assert task["info"]["labels"] == ["low", "middle", "high"]
    assert task["info"]["pair"]
    assert task["counts"] == {"train_rows": 9, "dev_rows": 6, "test_rows": 4}


def test_a_student_is_adapted_to_its_teacher(stages, hornbook, reviews, tmp_path):
    at = stages["corpus"]["folder"].parent
    words = ("adapt", "--task", reviews, "--student", at / "student", "--epochs", 1, "--teacher", at / "teacher")
    by_teacher = hornbook(*words, "--labels", "teacher", "--out", tmp_path / "a", "--json")
    assert by_teacher.exit_code == 0, by_teacher.stderr
    units = ("--textbook", at / "general", "--textbook-units", 20)
    by_both = hornbook(*words, "--labels", "both", *units, "--out", tmp_path / "b", "--json")
    assert by_both.exit_code == 0, by_both.stderr
    more = [json.loads(result.stdout)["counts"]["steps"] for result in (by_teacher, by_both)]
    assert more[1] > more[0]
    made = [json.loads(p.read_text()) for p in (tmp_path / pipeline.STORE / "outputs").glob("*/manifest.json")]
    assert sorted(manifest["counts"]["units"] for manifest in made) == [0, 20]


@pytest.mark.parametrize("words", [("corpus", "build", "nope.txt", "--out", "out"), ("corpus", "bogus")])
def test_of_several_processes_the_first_complains(words, hornbook, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = {}
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        result = hornbook(*words)
        assert result.exit_code == 2
        said[rank] = result.stderr
    assert said["0"].startswith("hornbook: ")
    assert said["1"] == ""
    if "nope.txt" in words:
        assert type(hornbook(*words, "--debug").exception).__name__ == "HornbookError"


def test_the_quickstart_plans_and_answers_in_json(own, hornbook, monkeypatch, tmp_path):
    asked = {}

    def recipe(runs, cache, *, full):
        asked.update(runs=runs, cache=cache, full=full)
        return load_recipe(own)

    monkeypatch.setattr(import_module("hornbook.demo"), "quickstart_recipe", recipe)
    words = ("quickstart", "--dry-run", "--full", "--runs", tmp_path / "runs")
    answer = json.loads(hornbook(*words, "--json").stdout)
    assert len(answer["stages"]) == 15
    assert answer["free_megabytes"] > 0
    assert asked == {"runs": tmp_path / "runs", "cache": None, "full": True}
    assert "15 stages" in hornbook(*words).stdout


def test_help_comes_without_heavy_imports():
    code = f"import sys, hornbook, hornbook.cli; print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    started = time.monotonic()
    shown = subprocess.run([sys.executable, "-m", "hornbook", "--help"], capture_output=True, text=True)
    assert time.monotonic() - started < 2
    assert "quickstart" in shown.stdout


def test_every_option_has_a_help_text():
    found = list(options(typer.main.get_command(app)))
    assert len(found) > 80
    silent = [(name, p.name) for name, p in found if not (getattr(p, "help", None) or "").strip()]
    assert not silent


def test_every_command_has_json_and_debug():
    by_command = {}
    for name, parameter in options(typer.main.get_command(app)):
        by_command.setdefault(name, set()).update(parameter.opts)
    assert by_command.pop("hornbook") >= {"--version", "--install-completion", "--show-completion"}
    assert all({"--json", "--debug"} <= names for names in by_command.values())


def test_help_shows_defaults_and_legal_values(hornbook):
    shown = " ".join(hornbook("distil", "--help").stdout.replace("│", " ").split())
    assert "--batch NUMBER Sequences per optimiser step. [default: 32]" in shown
    assert "--precision auto|float32|bfloat16" in shown
    assert "Student settings" in shown
    assert "--k NUMBER|auto" in " ".join(hornbook("textbook", "build", "--help").stdout.split())


def test_a_setting_of_several_kinds_stands_under_all_of_them(hornbook):
    shown = " ".join(hornbook("textbook", "build", "--help").stdout.replace("│", " ").split())
    sections = {part.split(" ─")[0]: part for part in shown.split("╭─ ")[1:]}
    assert "--contamination" in sections["Settings of every kind"]
    assert "--seed" in sections["Settings of general, importance, augmented, union"]
    assert "--k " in sections["Settings of contextualized, related, anchored"]
    assert "chain" not in shown


def test_the_version_is_shown(hornbook):
    assert hornbook("--version").stdout == f"hornbook {version('hornbook')}\n"


def test_a_shell_completes_commands_and_options():
    def completed(words: str) -> str:
        variables = {"_HORNBOOK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
        return CliRunner().invoke(app, [], env=variables, prog_name="hornbook").stdout

    assert '"textbook":"Build, measure, show and sample textbooks."' in completed("hornbook text")
    assert "--min-words" in completed("hornbook corpus build --mi")


@pytest.mark.parametrize("words", [(), ("corpus",), ("textbook",)])
def test_a_group_alone_shows_its_help(hornbook, words):
    result = hornbook(*words)
    assert result.exit_code == 0
    assert "Usage: hornbook" in result.stdout


def test_a_stopped_command_says_so(hornbook, monkeypatch, general_text, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hornbook.corpus.build", stop)
    result = hornbook("corpus", "build", general_text, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == "hornbook: stopped; run the same command again to continue\n"


def test_a_new_recipe_knows_what_sort_of_labels_there_are(hornbook, tmp_path, tiny_teacher, general_text):
    rows = ["text,label", *(f"film {i},{'|'.join(['good', 'old'][: i % 3])}" for i in range(40))]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n", "utf-8")
    out = tmp_path / "own.yaml"
    given = ("--task", tmp_path / "rows.csv", "--teacher", tiny_teacher, "--corpus", general_text, "--out", out)
    done = hornbook("new", *given, "--label-separator", "|")
    assert done.exit_code == 0, done.stderr
    assert load_recipe(out).task.label_separator == "|"
    assert hornbook("run", out, "--check").exit_code == 0


@pytest.mark.parametrize(
    ("config", "rows", "rate", "fit", "why"),
    [
        (BertConfig(num_hidden_layers=6, hidden_size=384), 40, 8e-5, (19, 16), "6x384 and 40 rows"),
        (DistilBertConfig(n_layers=6, dim=768), 40, 3e-5, (19, 16), "6x768 and 40 rows"),
        (
            BertConfig(num_hidden_layers=24, hidden_size=1024, num_attention_heads=16),
            *(9_000, 1e-5, (3, 32), "24x1024 and 9,000 rows"),
        ),
        (None, 9_000, 2e-5, (3, 32), "12x768 (its own size was not known) and 9,000 rows"),
    ],
)
def test_a_new_recipe_trains_by_the_teachers_size_and_the_rows(
    hornbook, tmp_path, general_text, config, rows, rate, fit, why
):
    text = "".join(f"film {i}\t{'ab'[i % 2]}\n" for i in range(rows))
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + text, "utf-8")
    teacher, out = "someone/bert" if config is None else tmp_path / "teacher", tmp_path / "own.yaml"
    if config is not None:
        config.save_pretrained(teacher)
    given = ("--task", tmp_path / "rows.tsv", "--teacher", teacher, "--corpus", general_text, "--out", out)
    done = hornbook("new", *given)
    assert done.exit_code == 0, done.stderr
    recipe = load_recipe(out)
    assert (recipe.teacher.finetune.epochs, recipe.teacher.finetune.batch) == fit
    assert (recipe.adapt.epochs, recipe.adapt.batch) == (2 * fit[0], fit[1])
    assert (recipe.teacher.finetune.learning_rate, recipe.adapt.learning_rate) == (rate, 3e-4)
    assert f"Chosen for a teacher of {why}" in out.read_text().replace("\n  # ", " ")
    assert ("its own size is unknown: someone/bert: no such folder" in done.stderr) == (config is None)


@pytest.mark.parametrize(("size", "init"), [("2x128", "projected"), ("2x100", "random")])
def test_a_new_student_is_a_projection_where_its_teacher_can_be_projected(
    hornbook, tmp_path, reviews, general_text, size, init
):
    BertConfig(num_hidden_layers=6, hidden_size=384, num_attention_heads=12).save_pretrained(tmp_path / "teacher")
    out = tmp_path / "own.yaml"
    given = ("--task", reviews, "--teacher", tmp_path / "teacher", "--corpus", general_text, "--student", size)
    done = hornbook("new", *given, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert load_recipe(out).student.init == init
    assert ("the nearest legal widths are 96 and 128" in done.stderr) == (init == "random")
    assert ("as the teacher cannot be projected to this size" in out.read_text()) == (init == "random")


def test_a_new_recipe_for_pairs_pairs_each_text_with_what_it_retrieves(
    hornbook, tmp_path, tiny_teacher, general_text
):
    lines = ["first\tsecond\tlabel", *(f"good film {i}\tbad plot {i}\t{'ab'[i % 2]}" for i in range(40))]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    out = tmp_path / "own.yaml"
    given = ("--task", tmp_path / "pairs.tsv", "--text", "first", "--text-pair", "second", "--student", "1x32")
    done = hornbook("new", *given, "--teacher", tiny_teacher, "--corpus", general_text, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert [config.kind for config in load_recipe(out).textbooks.values()] == ["anchored"]
    assert "k: 4" in out.read_text()
    assert hornbook("run", out, "--check").exit_code == 0


@pytest.mark.parametrize(
    ("labels", "kind", "said"),
    [
        (["0110", "110", "9900"], "classification", "3 classes (0110, 110, 9900), as they are written"),
        (
            ["0.5", "1.5", "2.0"],
            "regression",
            "have fractions (0.5 in row 1); if they are class names, set task.kind",
        ),
    ],
)
def test_a_new_recipe_states_the_kind_that_was_found(
    hornbook, tmp_path, tiny_teacher, general_text, labels, kind, said
):
    rows = ["text;label", *(f"film {i};{labels[i % 3]}" for i in range(40))]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n", "utf-8")
    out = tmp_path / "own.yaml"
    given = ("--task", tmp_path / "rows.csv", "--teacher", tiny_teacher, "--corpus", general_text, "--out", out)
    done = hornbook("new", *given, "--delimiter", ";")
    assert said in done.stderr
    assert load_recipe(out).task.kind == kind
    assert f"labels: {kind}" in hornbook("run", out, "--check").stderr


def test_what_all_textbooks_share_is_no_textbook(stages, hornbook, tmp_path):
    for name in ("general", "contextualized"):
        (tmp_path / name).symlink_to(stages[name]["folder"])
    (tmp_path / pipeline.STORE).mkdir()
    found = hornbook("textbook", "stats", *map(str, sorted(tmp_path.iterdir())), "--json")
    assert found.exit_code == 0, found.stderr


def test_pages_of_two_files_do_not_take_each_others_place(hornbook, tmp_path):
    (tmp_path / "report.md").write_text("mine")
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text('{"rows": [], "gold": {}}')
        assert hornbook("report", str(tmp_path / f"{name}.json")).exit_code == 0
    assert {path.name for path in tmp_path.glob("report-*")} == {
        "report-one.html", "report-one.md", "report-two.html", "report-two.md",
    }  # fmt: skip
    assert (tmp_path / "report.md").read_text() == "mine"

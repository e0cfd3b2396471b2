"""Wrong input through the command line: one line on stderr that helps, exit code 2, nothing half-written."""

# A case a line reads best.
# ruff: noqa: E501

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

WORDS_ONLY = ["the", "of", "and", "it", "is", "was", "to", "a", "an", "in", "on", "at"]


def table(labels, heading="text\tlabel") -> str:
    return "\n".join([heading, *(f"good film {i}\t{label}" for i, label in enumerate(labels))]) + "\n"


TWO = "ab" * 10
SCORES = [f"{i / 7:.3f}" for i in range(19)]
# What stands in the folder, the words after the command, and what the message must say.
Case = tuple[Mapping[str, str | bytes], str, str]

TASKS: dict[str, Case] = {
    "a missing file": ({}, "nope.tsv", "nope.tsv: no such file"),
    "an empty file": ({"t.tsv": ""}, "t.tsv", "t.tsv: the file is empty"),
    "only a heading": ({"t.tsv": "text\tlabel\n"}, "t.tsv", "t.tsv: holds no rows"),
    "an unknown format": ({"t.docx": "x"}, "t.docx", "t.docx: not a known format; use one of .csv, .tsv"),
    "an unknown label column": ({"t.tsv": table(TWO, "text\tlable")}, "t.tsv", "no column 'label' (did you mean 'lable'?)"),
    "an unknown text column": ({"t.tsv": table(TWO, "review\tlabel")}, "t.tsv", "say with text: which it is of review"),
    "a text column that is not there": ({"t.tsv": table(TWO)}, "t.tsv --text tekst", "no column 'tekst' (did you mean 'text'?)"),
    "a single class": ({"t.tsv": table("a" * 20)}, "t.tsv", "all 20 rows have the label 'a'; a task needs two"),
    "a missing label": ({"t.tsv": table([*"ab" * 9, "", "a"])}, "t.tsv", "1 of 20 labels are missing or NaN (the first in row 19)"),
    "a NaN score": ({"t.tsv": table([*SCORES, "nan"])}, "t.tsv", "missing or NaN (the first in row 20)"),
    "an infinite score": ({"t.tsv": table([*SCORES, "inf"])}, "t.tsv", "1 of 20 scores are not finite numbers (the first in row 20"),
    "text that is not UTF-8": ({"t.tsv": "text\tlabel\ncaf\xe9\ta\n".encode("latin1")}, "t.tsv", "t.tsv: line 2 (byte 14) is not UTF-8"),
    "an empty text": ({"t.tsv": table(TWO) + "\ta\n"}, "t.tsv", "column 'text': 1 empty text (the first in row 21)"),
    "too few rows": ({"t.tsv": table("ab")}, "t.tsv", "2 texts are too few to split"),
    "a short row": ({"t.tsv": "text\tlabel\nx\n"}, "t.tsv", "row 1 has 1 fields, but the heading has 2"),
    "an open quotation mark": ({"t.csv": 'text,label\n"abc,a\n'}, "t.csv", "t.csv: line 2: not CSV"),
    "broken JSON": ({"t.jsonl": '{"text": "a"\n'}, "t.jsonl", "t.jsonl: line 1 is not a JSON object"),
    "no Parquet": ({"t.parquet": "x"}, "t.parquet", "t.parquet: not a readable Parquet file"),
    "a folder without train": ({"t/dev.tsv": table(TWO)}, "t", "t: no train file"),
    "a label only in dev": ({"t/train.tsv": table(TWO), "t/dev.tsv": table("abc")}, "t", "label 'c' (row 3, 1 such rows) does not occur in train"),
    "another column in dev": ({"t/train.tsv": table(TWO), "t/dev.tsv": table("ab", "sentence\tlabel")}, "t", "dev.tsv: no column 'text'"),
    "a subset of a file": ({"t.tsv": table(TWO)}, "t.tsv --subset plain", "t.tsv: subset: is for hub datasets and folders only"),
    "names that YAML reads as truth": ({"t.tsv": table(["no", "yes"] * 10)}, "t.tsv --task-label-names [no,yes]", "put names in quotes"),
    "codes or scores": ({"t.tsv": table(["1.1", "1.10"] * 10)}, "t.tsv", "1.1 and 1.10 are the same number: set task.kind (--task-kind) to classification"),
    "labels that differ in white space": ({"t.tsv": table(["a", "a ", "b"] * 9)}, "t.tsv", "'a' (row 1) and 'a ' (row 2) differ only in white space"),
    "names that YAML spells anew": ({"t.tsv": table(TWO)}, "t.tsv --task-label-names [1.10,1.1]", "read by YAML as a float, which changes its spelling; put names in quotes"),
    "another delimiter": ({"t.csv": "text;label\na;x\n"}, "t.csv", "if ';' separates the columns, set task.delimiter"),
    "a delimiter that is none": ({"t.tsv": table(TWO)}, "t.tsv --delimiter ab", "delimiter: a delimiter is one character, such as ';', or tab"),
    "a positive class that is none": ({"t.tsv": table(TWO)}, "t.tsv --positive c", "positive: no class 'c'; the classes are a, b"),
    "a dev file without labels": ({"t.tsv": table(TWO), "d.tsv": "text\nx\n"}, "t.tsv --dev d.tsv", "a dev file needs labels"),
    "parts that are missing": ({"t/train-00000-of-00002.tsv": table(TWO)}, "t", "1 of the 2 parts of train-00000-of-00002.tsv are missing"),
    "an unknown GLUE task": ({}, "glue/sst", "no GLUE task 'sst' (did you mean 'sst2'?)"),
    "a missing dev file": ({"t.tsv": table(TWO)}, "t.tsv --dev nope.tsv", "nope.tsv: no such file"),
    "an unknown kind": ({"t.tsv": table(TWO)}, "t.tsv --task-kind ordinal", "--task: kind: input should be 'auto', 'classification'"),
    "a number of rows that is none": ({"t.tsv": table(TWO)}, "t.tsv --train-rows few", "--task: train_rows: input should be a valid integer"),
    "a missing GLUE folder": ({}, "glue/sst2 --glue-folder nowhere", "nowhere/sst2/train.parquet: no such file"),
    "a hub name while offline": ({}, "someone/reviews", "name a file or folder, or unset HF_HUB_OFFLINE"),
}  # fmt: skip

CORPORA: dict[str, Case] = {
    "a missing file": ({}, "nope.txt", "nope.txt: no such file or folder"),
    "an empty file": ({"c.txt": ""}, "c.txt", "c.txt: is empty"),
    "only blank lines": ({"c.txt": "\n  \n"}, "c.txt", "c.txt: holds no text"),
    "no unit left": ({"c.txt": "a b\nc d\n"}, "c.txt", "no sentence is left: 2 were shorter than min_words (4, as separated by spaces)"),
    "text that is not UTF-8": ({"c.txt": b"hello there my friend\nca\xe9 b c\n"}, "c.txt", "c.txt: line 2 (byte 24) is not UTF-8"),
    "an unknown type": ({"c.pdf": "x"}, "c.pdf", "c.pdf: cannot be read as text; the types are"),
    "a folder without text": ({"c/x.bin": "x"}, "c", "no file with text in this folder"),
    "no match": ({}, "zz*.txt", "zz*.txt: no file matches"),
    "an unknown column": ({"c.jsonl": '{"body": "a b c d e"}\n'}, "c.jsonl", "no column 'text'; there are 'body' (set text_column)"),
    "half a gzip file": ({"c.txt.gz": gzip.compress(b"hello there you all\n" * 5000)[:-30]}, "c.txt.gz", "c.txt.gz: cannot be read"),
    "a hub name while offline": ({}, "hub:someone/prose", "name files or folders, or unset HF_HUB_OFFLINE"),
    "an unknown unit": ({"c.txt": "a b c d e\n"}, "c.txt --unit word", "unit: input should be 'sentence', 'line' or 'chunk'"),
    "lengths that exclude each other": ({"c.txt": "a b c d e\n"}, "c.txt --min-words 9 --max-words 5", "min_words (9) is more than max_words (5)"),
    "a wrong option": ({"c.txt": "a b c d e\n"}, "c.txt --min-word 9", "no such option: --min-word"),
    "no source": ({}, "", "missing argument"),
}  # fmt: skip

TEXTBOOKS: dict[str, Case] = {
    "k larger than the corpus": ({}, "--task {reviews} --k 1000000", "has 600 units, too few for k = 1,000,000; lower k"),
    "k no number": ({}, "--task {reviews} --k abc", "k: input should be a valid integer"),
    "anchors without a term": ({"t.tsv": table("") + "".join(f"{w}\t{'ab'[i % 2]}\n" for i, w in enumerate(WORDS_ONLY))}, "--task t.tsv", "has a keyword other than stop words"),
    "anchors in other words": ({"t.tsv": table("") + "".join(f"qq{i}zz\t{'ab'[i % 2]}\n" for i in range(20))}, "--task t.tsv", "no unit contains a keyword of the 16 anchors"),
    "an unknown kind": ({}, "--kind generl", "there is no textbook kind 'generl'; the nearest is 'general'"),
    "no task": ({}, "", "a contextualized textbook needs a task"),
    "no size": ({}, "--kind general", "needs a size: give units, tokens or bytes"),
    "two sizes": ({}, "--kind general --units 5 --tokens 5", "give one of units, tokens and bytes"),
    "more than there is": ({}, "--kind general --units 601", "has 600 units, too few for a sample of 601"),
    "an unknown source": ({}, "--kind general --units 5 --sources [news]", "no source news; its sources are prose"),
    "a setting of a task without one": ({}, "--kind general --units 5 --text body", "--text: has no effect without --task"),
    "a setting of a task by its longer name": ({}, "--kind general --units 5 --task-kind regression", "--task-kind: has no effect without --task"),
    "a setting of the other kind": ({}, "--kind general --units 5 --k 5", "unknown key 'k'"),
}  # fmt: skip

MODELS: dict[str, Case] = {
    "a missing folder": ({}, "./nowhere", "./nowhere: no such model folder"),
    "a hub name while offline": ({}, "someone/bert", "someone/bert: no such folder, and no such model in the hub's cache on this machine; name a model folder, or unset HF_HUB_OFFLINE"),
    "a folder without a model": ({"m/x": "x"}, "m", "m: no config.json in it"),
    "a broken config": ({"m/config.json": "{"}, "m", "m: cannot be loaded"),
    "another artefact": ({}, "{at}/corpus", "corpus: holds a corpus, but a model is needed here"),
    "pickled weights": ({"m/pytorch_model.bin": "x"}, "m", "m: only pickled weights, which are never loaded"),
    "half the weights": ({"m/model.safetensors": "x" * 50}, "m", "m: cannot be loaded"),
    "no weights": ({"m/x": "x"}, "m", "m: no model.safetensors in it"),
    "a setting that is no number": ({}, "{teacher} --learning-rate abc", "learning_rate: input should be a valid number"),
    "a setting that is not YAML": ({}, "{teacher} --learning-rate [1", "--learning-rate: '[1' is not valid YAML"),
    "a setting out of range": ({}, "{teacher} --batch 0", "batch: input should be greater than or equal to 1, not 0"),
    "a seed below 0": ({}, "{teacher} --seed -1", "invalid value for '--seed'"),
}  # fmt: skip

DISTILS: dict[str, Case] = {
    "relation heads that do not divide": ({}, "--relation-heads 7", "7 does not divide both the teacher's width 32 and the student's 16; legal are 1, 2, 4, 8, 16"),
    "heads that do not divide": ({}, "--heads 3", "3 heads do not divide a width of 16; legal are 1, 2"),
    "a layer that is not there": ({}, "--teacher-layer 9", "there is no layer 9; the teacher has 2"),
    "no number of tokens": ({}, "--tokens abc", "tokens: input should be a valid integer"),
    "no budget": ({}, "--tokens null", "give a budget: tokens, steps or epochs"),
    "settings of a textbook that is not there": ({}, "--then {{epochs:2}}", "--then: has no effect without a second --textbook"),
    "another artefact": ({}, "--textbook {at}/corpus", "corpus: holds a corpus, but a textbook is needed here"),
    "a missing textbook": ({}, "--textbook nowhere", "nowhere: not a finished"),
    "a missing teacher": ({}, "--teacher ./nowhere", "./nowhere: no such model folder"),
}  # fmt: skip

NEW: dict[str, Case] = {
    "a size that is none": ({}, "--student 6by384", "--student 6by384: give LAYERSxHIDDEN, such as 6x384"),
    "no layers": ({}, "--student 0x384", "student.layers: input should be greater than or equal to 1"),
    "a missing task": ({}, "--task nope.tsv", "nope.tsv: no such file"),
    "a missing source": ({}, "--corpus nope.txt", "nope.txt: no such file or folder"),
    "an unknown column": ({}, "--label lable", "no column 'lable' (did you mean 'label'?)"),
    "a recipe that is there": ({"out": "mine"}, "", "out: exists already; choose another name"),
}  # fmt: skip

RECIPES: dict[str, tuple[str, str, str]] = {
    "an unknown key": ("distil: {tokns: 5}", "", "unknown key 'distil.tokns'; the nearest known key is 'tokens'"),
    "an unknown key deep down": ("teacher: {model: x, finetune: {epoch: 5}}", "", "unknown key 'teacher.finetune.epoch'; the nearest known key is 'epochs'"),
    "an unknown key of a textbook": ("textbooks: {a: {kind: general, unitz: 5}}", "", "unknown key 'textbooks.a.unitz'; the nearest known key is 'units'"),
    "an unknown kind of textbook": ("textbooks: {a: {kind: generol}}", "", "textbooks.a: there is no textbook kind 'generol'; the kinds are"),
    "a textbook without a kind": ("textbooks: {a: {}}", "", "textbooks.a: kind is missing; set it to contextualized, related, anchored, general"),
    "a textbook's name that is a path": ("textbooks: {a/b: {kind: general, units: 5}}", "", "string should match pattern"),
    "a seed twice": ("seeds: [0, 1, 0]", "", "seeds: contains a seed twice"),
    "names that YAML reads as truth": ("teacher: {kind: ready, model: x, label_names: {LABEL_0: no}}", "", "put names in quotes"),
    "a seed below 0": ("seeds: [-1]", "", "seeds.0: input should be greater than or equal to 0"),
    "a general textbook without a size": ("textbooks: {a: {kind: general}}", "", "a general textbook needs a size"),
    "no task": ("task: null", "", "task: input should be a mapping of settings"),
    "another type": ("corpus: {sources: x}", "", "corpus.sources: input should be a list, not 'x'"),
    "relation heads that do not divide": ("distil: {relation_heads: 7}", "", "legal are 1, 2, 4, 8, 16"),
    "a layer that is not there": ("distil: {teacher_layer: 7}", "", "there is no layer 7; the teacher has 2"),
    "a missing source": ("corpus: {sources: [nope.txt]}", "", "nope.txt: no such file or folder"),
    "an unknown column": ("", "--task.label lable", "no column 'lable'"),
    "a missing teacher": ("", "--teacher.model ./nowhere", "./nowhere: no such folder"),
    "a ready teacher that is none": ("", "--teacher.kind ready", "not a classifier (BertModel): fine-tune it first"),
    "other labels": ("task: {source: t.tsv}", "--teacher.kind ready --teacher.model {teacher}", "its labels ['negative', 'positive'] are not the task's ['a', 'b']"),
    "labels of nobody": ("", "--teacher.kind ready --teacher.model {teacher} --teacher.label_names {{\"good\":positive}}", "it has no label 'good"),
    "no number of tokens": ("", "--distil.tokens abc", "distil.tokens: input should be a valid integer"),
    "a value that is not YAML": ("", "--distil.tokens [1", "--distil.tokens: '[1' is not valid YAML"),
    "an unknown field": ("", "--distil.token 5", "unknown key 'distil.token'; the nearest known key is 'tokens'"),
    "a field of no stage": ("", "--name.x 5", "--name.x: name has no settings of its own"),
    "a field without a value": ("", "--distil.tokens", "set a field of the recipe with --field.name VALUE"),
    "a wrong option": ("", "--chek", "--chek: not understood"),
    "something else": ("", "foo", "foo: not understood"),
}  # fmt: skip


@pytest.fixture
def refused(hornbook, stages, reviews, tiny_teacher, general_text, tmp_path, monkeypatch):
    """Run a command that must be refused and check how; `{name}` in its words stands for a thing that is fine."""
    monkeypatch.chdir(tmp_path)
    at = stages["corpus"]["folder"].parent
    names = {"at": at, "teacher": at / "teacher", "reviews": reviews, "model": tiny_teacher, "general": general_text}

    def run(command: str, files: Mapping[str, str | bytes], message: str) -> None:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        before = standing(tmp_path)
        result = hornbook(*(word.format(**names) for word in command.split()))
        assert result.exit_code == 2, (result.stderr, result.exception)
        *earlier, last = result.stderr.splitlines()
        assert last.startswith("hornbook: ")
        assert message in last
        # What comes before it tells what was begun.
        assert not any(line.startswith("hornbook: ") for line in earlier)
        assert "Traceback" not in result.stderr
        assert standing(tmp_path) == before

    return run


def standing(folder: Path) -> set[str]:
    """Every file and folder but finished tasks in the store, and the store's own empty folders."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    finished = {path.parent.relative_to(folder).as_posix() for path in folder.glob("artifacts/task/*/manifest.json")}
    return {
        name
        for name in found
        if name not in {"artifacts", "artifacts/task", "artifacts/outputs"}
        and not any(name.startswith(done) for done in finished)
    }


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


@cases(TASKS)
def test_a_wrong_task(case, refused):
    files, words, message = case
    refused(f"finetune --model {{model}} --out out --task {words}", files, message)


@cases(CORPORA)
def test_a_wrong_corpus(case, refused):
    files, words, message = case
    refused(f"corpus build --out out {words}", files, message)


@cases(TEXTBOOKS)
def test_a_wrong_textbook(case, refused):
    files, words, message = case
    refused(f"textbook build --corpus {{at}}/corpus --out out {words}", files, message)


@cases(MODELS)
def test_a_wrong_model(case, refused, tiny_teacher, tmp_path):
    files, words, message = case
    if message.startswith("m: ") and "config.json" not in message and "m/config.json" not in files:
        (tmp_path / "m").mkdir()
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tiny_teacher / name, tmp_path / "m")
    refused(f"finetune --task {{reviews}} --out out --model {words}", files, message)


@cases(DISTILS)
def test_a_wrong_distillation(case, refused):
    files, words, message = case
    sizes = "--layers 1 --hidden 16 --heads 2"
    refused(f"distil --teacher {{teacher}} --textbook {{at}}/general --out out {sizes} {words}", files, message)


@cases(NEW)
def test_a_wrong_new_recipe(case, refused):
    files, words, message = case
    words = words if "--corpus" in words else f"--corpus {{general}} {words}"
    refused(f"new --task {{reviews}} --teacher {{model}} --out out {words}", files, message)


@cases(RECIPES)
def test_a_wrong_recipe(case, refused, reviews, tiny_teacher, general_text):
    changed, words, message = case
    recipe = {
        "name": "small",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)]},
        "teacher": {"model": str(tiny_teacher)},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
        **(yaml.safe_load(changed) or {}),
    }
    files = {"recipe.yaml": yaml.safe_dump(recipe), "t.tsv": table(TWO)}
    refused(f"run recipe.yaml --check {words}", files, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a recipe is a mapping of stages to settings"),
        ("- a\n", "a recipe is a mapping of stages to settings"),
        ("a: [\n", "not a YAML file"),
        (b"a: \xe9\n", "not a YAML file"),
        ("a: !!python/object:os.system x\n", "not a YAML file"),
        ("1: 2\n", "name is missing"),
    ],
)
def test_a_recipe_that_is_none(content, message, refused):
    refused("run recipe.yaml", {"recipe.yaml": content}, message)


def test_a_recipe_that_is_not_there(refused):
    refused("run --distil.tokens 2e6 recipe.yaml", {}, "name the recipe first: hornbook run RECIPE --distil.tokens")
    refused("run nope.yaml", {}, "nope.yaml: no such recipe file")
    refused("run folder", {"folder/x": "x"}, "folder: cannot be read as a recipe file")


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("held", "held: holds something else; choose another folder for this corpus"),
        ("held/thesis.tex", "thesis.tex: holds something else"),
        ("held/thesis.tex/out", "thesis.tex: is a file, but a folder is needed here"),
        ("held/thesis.tex/deep/out", "is a file, but a folder is needed here"),
        (".", "holds something else"),
        ("/proc/nowhere/out", "/proc/nowhere: No such file or directory"),
    ],
)
def test_an_output_folder_that_cannot_be(out, message, refused):
    refused(f"corpus build {{general}} --out {out}", {"held/thesis.tex": "mine"}, message)


def test_an_artefact_of_other_settings_is_not_overwritten(refused, stages, tmp_path):
    shutil.copytree(stages["corpus"]["folder"], tmp_path / "out")
    message = "out: holds a corpus made from other settings or inputs"
    refused("corpus build {general} --out out --min-words 6", {}, message)


def test_folders_of_runs_that_cannot_be(refused, reviews, tiny_teacher, general_text):
    recipe = {
        "name": "small",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)]},
        "teacher": {"model": str(tiny_teacher)},
    }
    files = {"recipe.yaml": yaml.safe_dump(recipe), "runs/small/thesis.tex": "mine", "file": "mine"}
    refused("run recipe.yaml", files, "runs/small: holds something else (thesis.tex)")
    refused("run recipe.yaml --runs file", {}, "file/small: is a file, but a folder is needed here")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--labels teacher", "adapt.labels: teacher needs a teacher"),
        ("--teacher {teacher}", "--teacher: has no effect without --labels teacher or both"),
        ("--labels both --teacher {model}", "not a classifier (BertModel): fine-tune it first"),
        (
            "--labels both --teacher {teacher} --textbook-units 5",
            "adapt.textbook_units: no textbook is given to sample units from",
        ),
        (
            "--labels both --teacher {teacher} --textbook {at}/general",
            "--textbook: has no effect without --textbook-units",
        ),
        ("--textbook-units 5", "textbook_units: a textbook has no gold labels"),
        ("--labels both --teacher {teacher} --label-names good", "--label-names: give {the model's label"),
        ("--labels both --teacher {teacher} --textbook {at}/corpus --textbook-units 5", "corpus: holds a corpus"),
    ],
)
def test_a_student_that_cannot_be_adapted_so(words, message, refused):
    refused(f"adapt --task {{reviews}} --student {{at}}/student --out out {words}", {}, message)


def test_a_prepared_task_takes_no_settings(refused, stages):
    (task,) = (stages["corpus"]["folder"].parent / "artifacts" / "task").iterdir()
    message = "is already prepared; leave out the setting 'train_rows'"
    refused(f"finetune --task {task} --model {{model}} --out out --train-rows 50", {}, message)


def test_a_model_that_is_no_classifier_is_not_evaluated(refused):
    message = "not a classifier (BertModel): fine-tune it first"
    refused("evaluate --task {reviews} --model {model} --out out", {}, message)
    refused("evaluate --task {reviews} --model {teacher} --teacher {model} --out out", {}, message)
    message = "--label-names: give {the model's label: the task's label, …}"
    refused("evaluate --task {reviews} --model {teacher} --label-names good --out out", {}, message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("foo", "no such command 'foo'; see `hornbook --help`"),
        ("corpus foo", "no such command 'foo'; see `hornbook corpus --help`"),
        ("distil", "missing option '--teacher'; see `hornbook distil --help`"),
        ("distil --bogus 1", "no such option: --bogus"),
        ("adapt --task x --student y --out z --seed abc", "invalid value for '--seed'"),
    ],
)
def test_a_wrong_command_line(words, message, refused):
    refused(words, {}, message)


def test_a_loss_that_is_no_number_stops_the_training(hornbook, reviews, tiny_teacher, tmp_path):
    words = ("finetune", "--task", reviews, "--model", tiny_teacher, "--out", tmp_path / "out")
    result = hornbook(*words, "--learning-rate", "1e30", "--epochs", 2)
    assert result.exit_code == 2
    assert "the learning rate 1e+30 is likely too high" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_texts_longer_than_the_model_are_cut_to_what_it_takes(hornbook, tiny_teacher, tmp_path):
    """The tiny teacher has 64 positions; the default length is 128."""
    rows = [f"{'good film ' * 60}{i}\t{'ab'[i % 2]}" for i in range(20)]
    (tmp_path / "long.tsv").write_text("\n".join(["text\tlabel", *rows]))
    words = ("finetune", "--task", tmp_path / "long.tsv", "--model", tiny_teacher, "--epochs", 1)
    result = hornbook(*words, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["tokens"] == 16 * 64


def test_any_width_of_a_new_student_gets_heads_that_divide_it(
    hornbook, reviews, tiny_teacher, general_text, tmp_path
):
    words = ("new", "--task", reviews, "--teacher", tiny_teacher, "--corpus", general_text, "--student", "6x100")
    assert hornbook(*words, "--out", tmp_path / "r.yaml").exit_code == 0
    assert hornbook("run", tmp_path / "r.yaml", "--check").exit_code == 0


def test_debug_shows_the_traceback(hornbook, tmp_path):
    result = hornbook("corpus", "build", tmp_path / "nope.txt", "--out", tmp_path / "out", "--debug")
    assert type(result.exception).__name__ == "HornbookError"
    assert result.exit_code == 1

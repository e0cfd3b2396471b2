"""The stage that makes a projected student, and runs that begin with one."""

import json

import pytest
import torch
from transformers import AutoModel

from hornbook.errors import HornbookError
from hornbook.models.encode import encode
from hornbook.models.tokenizers import load_tokenizer
from hornbook.pipeline.stages import run_stages
from hornbook.recipe import DistilConfig, Recipe, StudentConfig, TaskConfig, validate
from hornbook.store import Store
from hornbook.tasks import Task, prepare
from hornbook.training.distil import distil, undistilled_student
from hornbook.training.projection import projected_student, sample

STUDENT = StudentConfig(layers=1, hidden=16, init="projected")


@pytest.fixture(scope="module")
def task(reviews, tmp_path_factory):
    return prepare(TaskConfig(source=str(reviews)), tmp_path_factory.mktemp("t") / "task")


def same(a, b):
    mine, its = (AutoModel.from_pretrained(artifact.path).state_dict() for artifact in (a, b))
    return mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine)


def test_a_projected_student_is_the_same_each_time_and_reads_no_label(tiny_teacher, task, tmp_path, monkeypatch):
    a = projected_student(tiny_teacher, task, tmp_path / "a", STUDENT)
    assert (a.stage, a.manifest["seed"], a.manifest["inputs"]["texts"]) == ("student", None, task.key)
    assert a.counts["sample_tokens"] > 1000
    whole = Task.split
    monkeypatch.setattr(Task, "split", lambda self, name: whole(self, name).drop_columns("label"))
    assert same(a, projected_student(tiny_teacher, task, tmp_path / "b", STUDENT))


def test_of_the_teachers_own_widths_it_is_the_teachers_layers(tiny_teacher, task, tmp_path):
    size = {"layers": 1, "hidden": 32, "heads": 4, "feed_forward": 64}
    projected = projected_student(tiny_teacher, task, tmp_path / "a", StudentConfig(**size, init="projected"))
    copied = undistilled_student(tiny_teacher, tmp_path / "b", StudentConfig(**size, init="layers"))
    assert same(projected, copied)


def test_the_sample_has_no_padding_and_every_text_of_a_small_task(tiny_teacher):
    texts = ["a film", "the story was good", "it is bad", "a plot", "music " * 20]
    encoded = encode(texts, None, load_tokenizer(tiny_teacher), 128)
    batches = list(sample(encoded, 10_000))
    assert all(batch["attention_mask"].all() for batch in batches)
    assert sum(len(batch["input_ids"]) for batch in batches) == len(texts)
    assert len(list(sample(encoded, 1))) == 1


def test_every_student_of_a_run_begins_as_one_projection(tiny_teacher, reviews, general_text, small_recipe, tmp_path):
    values = small_recipe(reviews, general_text, tiny_teacher)
    values["student"] = {"layers": 1, "hidden": 16, "init": "projected"}
    made = run_stages(validate(Recipe, values, "test"), Store(tmp_path, dry=True))
    undistilled = {model.distilled[0].key for model in made.models if model.name == "undistilled"}
    begun = {model.distilled[0].manifest["inputs"]["init"] for model in made.models if model.books}
    assert len(undistilled) == 1
    assert begun == undistilled


def planned(values, tmp_path):
    return {m.name: m for m in run_stages(validate(Recipe, values, "test"), Store(tmp_path, dry=True)).models}


def test_random_baselines_are_the_students_of_a_run_that_begins_randomly(
    tiny_teacher, reviews, general_text, small_recipe, tmp_path
):
    values = small_recipe(reviews, general_text, tiny_teacher) | {"seeds": [0], "baselines": ["undistilled"]}
    randomly = planned(values, tmp_path)
    values["student"] = {**values.get("student", {}), "init": "projected"}
    values["baselines"] = ["undistilled", "random", "random-undistilled"]
    projected = planned(values, tmp_path)
    first = next(iter(values["textbooks"]))
    assert projected["random"].evaluation.key == randomly[first].evaluation.key != projected[first].evaluation.key
    assert projected["random-undistilled"].evaluation.key == randomly["undistilled"].evaluation.key
    # Alone, as with --jobs, the baseline plans the textbook that it needs.
    alone = run_stages(validate(Recipe, values, "test"), Store(tmp_path, dry=True), names=())
    assert {m.name: m.evaluation.key for m in alone.models}["random"] == projected["random"].evaluation.key
    with pytest.raises(HornbookError, match=r"baselines: all students begin from random weights .*'random'"):
        validate(Recipe, values | {"student": {"layers": 1, "hidden": 16}}, "test")


def test_chains_and_general_initialisation_begin_with_the_projection(
    tiny_teacher, reviews, general_text, small_recipe, tmp_path
):
    values = small_recipe(reviews, general_text, tiny_teacher) | {"seeds": [0]}
    values["student"] = {"layers": 1, "hidden": 16, "init": "projected"}
    values["textbooks"]["chain"] = {"kind": "chain", "books": list(values["textbooks"])}
    chain = planned(values, tmp_path)["chain"].distilled
    assert [student.manifest["inputs"]["init"] for student in chain[1:]] == [student.key for student in chain[:-1]]
    begun = planned(values, tmp_path)["undistilled"].distilled[0]
    assert chain[0].manifest["inputs"]["init"] == begun.key
    # The general teacher is not fine-tuned, so its projection is another.
    values["start"] = {"textbook": "general"}
    general = planned(values, tmp_path)["undistilled"].distilled[0]
    assert general.manifest["inputs"]["init"] not in (begun.key, None)


def test_without_a_task_it_is_projected_on_the_textbook(tiny_teacher, finished_run, tmp_path):
    book = finished_run / "textbook-general"
    distilled = distil(tiny_teacher, book, tmp_path / "s", STUDENT, DistilConfig(steps=2, tokens=None))
    begun = json.loads((tmp_path / "s-projected" / "manifest.json").read_text("utf-8"))
    assert distilled.manifest["inputs"]["init"] == begun["key"]
    # A finished student that began otherwise is not taken for it.
    random = StudentConfig(layers=1, hidden=16)
    with pytest.raises(HornbookError, match=str(tmp_path / "s")) as caught:
        distil(tiny_teacher, book, tmp_path / "s", random, DistilConfig(steps=2, tokens=None))
    assert "\n" not in str(caught.value)


def test_a_projection_needs_texts(tiny_teacher, tmp_path):
    with pytest.raises(HornbookError, match=r"student\.init: a projected student is made on a sample of texts"):
        undistilled_student(tiny_teacher, tmp_path / "s", STUDENT)

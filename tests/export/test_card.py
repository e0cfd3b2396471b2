"""The model card of an export: what it says, from manifests alone, and what it must not say."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from tests.export.made_up import KEYS, LABELS, SCORES, export, store
from tests.made_up import row, run_of

from hornbook.export.card import CARD, model_card, write_card
from hornbook.export.card_tables import NOT_KNOWN, licence, shown
from hornbook.export.lineage import lineage
from hornbook.export.lineage import run_of as run_around
from hornbook.results import ModelArtifacts


@pytest.fixture
def student(tmp_path):
    return store(tmp_path / "runs" / "artifacts")


@pytest.fixture
def exported(tmp_path):
    return export(tmp_path / "my-export")


def line_with(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line


def test_a_student_is_traced_to_what_it_was_made_from(student, tmp_path):
    found = lineage(student)
    assert [one.key for one in found.distilled] == [KEYS["student"]]
    assert [one.key for one in found.textbooks] == [KEYS["book"]]  # the other only told how large it is
    assert [one.key for one in found.corpora] == [KEYS["corpus"]]
    assert found.teacher.key == KEYS["teacher"]
    assert found.evaluation.counts["parameters"] == 10_000_000
    assert found.teacher_evaluation.counts["parameters"] == 350_000_000
    alone = shutil.copytree(student.path, tmp_path / "elsewhere" / "alone" / "student")
    moved = lineage(alone)
    assert (moved.model.key, moved.distilled, moved.evaluation) == (student.key, (), None)
    assert lineage("someone/model").model is None
    assert run_around(student.path) is None


def test_a_link_in_a_run_is_followed_to_its_store(student, tmp_path):
    link = tmp_path / "runs" / "films" / "student"
    link.parent.mkdir()
    link.symlink_to(student.path)
    for given in (link, str(link)):
        found = lineage(given)
        assert found.model.key == student.key
        assert replace(found, model=None) == replace(lineage(student), model=None)


def test_the_card_has_scores_sizes_gate_thresholds_and_limits(student, exported):
    text = model_card(exported, student)
    assert line_with(text, "| dev | accuracy") == ("| dev | accuracy | 87.5 (95% interval 85.0 to 90.0) | 87.5 |")
    assert line_with(text, "| test | macro f1") == "| test | macro f1 | 40.0 | 40.0 |"
    assert line_with(text, "| teacher, PyTorch") == "| teacher, PyTorch | 350.00 M | 1,400.0 | 20 |"
    assert line_with(text, "| student, PyTorch") == "| student, PyTorch | 10.00 M | 40.0 | 900 |"
    assert line_with(text, "| ONNX int8") == "| ONNX int8 (rows-8bit) |  | 2.6 | 4,321 |"
    assert line_with(text, "| rows-7bit").endswith("| its agreement with the student on dev is 97.10% |")
    assert line_with(text, "| rows-8bit") == (
        "| rows-8bit | 2.6 | 99.10% on dev, 98.75% on textbook | -0.10 (-0.30 to +0.10) | published |"
    )
    assert "Checked on A processor (x86\\_64 avx2)." in text or "Checked on A processor (x86_64 avx2)." in text
    assert line_with(text, "| 0.99 |") == "| 0.99 | 0.0 |  |"
    assert line_with(text, "| corpus | wiki") == "| corpus | wiki | 900 units | not known |"
    assert "A text is cut at 128 tokens" in text
    assert "1,500,000 tokens of a textbook (general)" in text
    assert "--task TASK --out my-export" in text


def test_the_metadata_survive_a_round_trip(student, exported):
    write_card(exported, student)
    card = ModelCard.load(exported.path / CARD)
    assert str(card) == (exported.path / CARD).read_text("utf-8")
    data = card.data
    assert data.pipeline_tag == "text-classification"
    assert data.library_name == "transformers"
    found = {(one.dataset_split, one.metric_name): one.metric_value for one in data.eval_results}
    assert found == {(split, name): value for split, scores in SCORES.items() for name, value in scores.items()}
    assert {one.metric_type for one in data.eval_results} == {"accuracy", "f1"}
    again = yaml.safe_load(data.to_yaml())
    assert again == yaml.safe_load(str(card).split("---")[1])
    assert again["model-index"][0]["name"] == "films classifier"


def test_a_run_adds_names_spread_and_its_recipe_without_folders(student, exported, tmp_path):
    seeds = [row("general", dev, "250 units", seed) for seed, dev in enumerate((0.875, 0.865))]
    recipe = {
        "name": "films",
        "task": {"source": "/home/someone/films.csv"},
        "corpus": {"sources": ["hub:someone/wiki:en", "news=/home/someone/news.txt"]},
        "teacher": {"model": "someone/bert-large"},
    }
    models = tuple(ModelArtifacts("general", seed, (), key * 32, "e") for seed, key in enumerate("ac"))
    text = model_card(exported, student, run_of(*seeds, models=models, recipe=recipe))
    assert line_with(text, "| dev | accuracy").endswith("| 87.0 ± 0.7 | 87.5 |")
    assert "distilled with hornbook from someone/bert-large" in text
    assert ModelCard(text).data.base_model == "someone/bert-large"
    assert "hornbook export runs/films/student-general-seed0 --task runs/films/task --out my-export" in text
    (found,) = re.findall(r"~~~~yaml\n(.*)~~~~", text, re.DOTALL)
    assert yaml.safe_load(found)["corpus"]["sources"] == ["hub:someone/wiki:en", "news=news.txt"]
    assert "/home" not in text
    assert "secret" not in text
    assert str(tmp_path) not in text


def test_a_plain_folder_gets_a_short_card(tmp_path):
    made = export(tmp_path / "out", int8=False)
    text = model_card(made, tmp_path / "some" / "classifier")
    assert ModelCard(text).data.eval_results is None
    assert re.findall(r"^#+ (.*)", text, re.MULTILINE) == [
        "Text classifier",
        "Speed and size",
        "Use it",
        "Limits",
        "Make it again",
    ]
    assert "hornbook export classifier --out my-export" in text
    assert str(tmp_path) not in text


def test_labels_are_shown_as_they_are(student, exported):
    text = model_card(exported, student)
    assert LABELS[1] not in text
    assert "bad, &lt;b>good&lt;/b>" in text


@pytest.mark.parametrize(
    ("problem", "formula"),
    [
        ("single_label_classification", "keepdims=True)"),
        ("multi_label_classification", "1 / (1 + np.exp(-logits))"),
        ("regression", "found = logits "),
    ],
)
def test_the_example_computes_what_the_kind_of_task_means(tmp_path, problem, formula):
    made = export(tmp_path / "out", int8=False, problem=problem)
    code = re.findall(r"```python\n(.*?)```", model_card(made, "someone/model"), re.DOTALL)
    assert len(code) == 3
    for one in code:
        compile(one, "card", "exec")
    assert formula in code[1]


def test_licences_are_those_that_cards_here_state(tmp_path, monkeypatch):
    (tmp_path / CARD).write_text("---\nlicense: mit\n---\n# x\n", "utf-8")
    assert licence(str(tmp_path), "model") == "mit"
    (tmp_path / CARD).write_text("---\nlicense: [a, b]\n---\n", "utf-8")
    assert licence(str(tmp_path), "model") == "a, b"
    for broken in ("# none\n", "---\n[: \n---\n", "---\n- a\n---\n"):
        (tmp_path / CARD).write_text(broken, "utf-8")
        assert licence(str(tmp_path), "model") == NOT_KNOWN
    cached = tmp_path / "cached.md"
    cached.write_text("---\nlicense: odc-by\n---\n", "utf-8")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(cached))
    assert licence("someone/wiki", "dataset") == "odc-by"
    monkeypatch.undo()
    assert {licence(place, "dataset") for place in ("", "a/b", "x/y/z", "not a name")} == {NOT_KNOWN}


def test_only_the_last_part_of_a_path_from_the_root_is_shown():
    given = {"a": ["/x/y.csv", "n=/x/z", "data/y", "hub:a/b", "..", "/", "../up/z.txt"], "b": {"c": 1, "d": None}}
    assert shown(given) == {"a": ["y.csv", "n=z", "data/y", "hub:a/b", "..", "/", "z.txt"], "b": {"c": 1, "d": None}}
    assert shown(str(Path("/a/b"))) == "b"

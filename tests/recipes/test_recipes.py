"""Every recipe that is committed, checked as `hornbook run --check` does, without a network."""

from pathlib import Path

import pytest
from transformers import RobertaConfig

from hornbook.models.families import default_teacher_layer, sizes_of
from hornbook.pipeline import check
from hornbook.recipe import AugmentedConfig, FinetuneConfig, load_recipe, read_values
from hornbook.training.objectives.relations import relation_heads

ROOT = Path(__file__).resolve().parents[2]
PAPER, LAPTOP = (
    [path for path in sorted((ROOT / "recipes" / folder).glob("*.yaml")) if "axes" not in read_values(path)]
    for folder in ("paper", "laptop")
)
GPU = [ROOT / "recipes" / "gpu" / "textbooks.yaml"]
# What experiments vary has all textbooks and is no row of the paper.
VARIED = [path for path in PAPER if path.stem == "textbooks"] + GPU
PAPER = [path for path in PAPER if path.stem != "textbooks"]
# The paper's Table 1.
K = {"mnli": 10, "sst2": 150, "rte": 1000, "mrpc": 800, "cola": 900, "stsb": 500, "qqp": 20, "qnli": 50}
SMALL_TASKS = {"mrpc", "rte", "cola", "stsb"}
GRID = {"learning_rate": (1e-5, 2e-5), "batch": (16, 32)}


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


@pytest.mark.parametrize("path", VARIED, ids=["paper", "gpu"])
def test_what_experiments_vary_is_fine_as_far_as_it_can_be_checked(path, monkeypatch):
    test_a_recipe_of_the_paper_is_fine_as_far_as_it_can_be_checked(path, monkeypatch)


@named(PAPER)
def test_a_recipe_of_the_paper_is_fine_as_far_as_it_can_be_checked(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = load_recipe(path)
    sources = [source.split("=")[-1] for source in recipe.corpus.sources]
    hub_names = [recipe.task.source, *sources, recipe.teacher.model]
    unchecked = [line.split(": ")[0] for line in check(recipe)]
    assert set(unchecked) >= set(sources)
    augmenting = [book.model for book in recipe.textbooks.values() if isinstance(book, AugmentedConfig)]
    assert set(unchecked) <= {*hub_names, *augmenting}
    assert len(set(unchecked)) == len(unchecked)


@pytest.mark.shared_data
@named(LAPTOP)
def test_a_laptop_recipe_is_fine(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = load_recipe(path)
    needed = [recipe.task.folder or recipe.task.source, *recipe.corpus.sources, recipe.teacher.model]
    for book in recipe.textbooks.values():
        if isinstance(book, AugmentedConfig):
            needed += [book.model, book.vectors or "."]
    for place in needed:
        if not Path(place).exists():
            pytest.skip(f"what the recipe names is not here: no {place}")
    assert check(recipe) == []


def test_there_is_a_recipe_for_every_task_of_the_paper():
    assert {path.stem for path in PAPER} == set(K)
    assert {"sst2", "rte", "stsb"} <= {path.stem for path in LAPTOP}


@named(PAPER)
def test_a_recipe_of_the_paper_has_its_settings(path):
    recipe, task = load_recipe(path), path.stem
    assert recipe.task.source == f"glue/{task}"
    assert recipe.textbooks["contextualized"].k == K[task]
    assert (recipe.student.layers, recipe.student.hidden, recipe.student.dropout) == (6, 384, 0.1)
    distil = recipe.distil
    assert (distil.steps, distil.batch, distil.learning_rate, distil.warmup) == (400_000, 256, 6e-4, 0.01)
    assert (distil.max_length, distil.weight_decay, distil.pack) == (128, 0.01, "none")
    for fit in (recipe.teacher.finetune, recipe.adapt):
        assert isinstance(fit, FinetuneConfig)
        assert (fit.epochs, fit.warmup, fit.weight_decay, fit.max_length) == (10, 0.06, 0.01, 128)
        if task in SMALL_TASKS:
            assert dict(fit.grid) == GRID
        else:
            assert (fit.batch, fit.learning_rate, dict(fit.grid)) == (32, 1e-5, {})


@named(PAPER)
def test_the_sizes_fit_the_teacher_of_the_paper(path):
    """The check itself can ask the teacher's sizes on the hub only; these are RoBERTa-large's."""
    recipe = load_recipe(path)
    large = RobertaConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
    sizes = sizes_of(large, None)
    assert default_teacher_layer(large) == 19
    assert recipe.distil.teacher_layer in (None, 19)
    assert relation_heads(recipe.distil.relation_heads, sizes.hidden, recipe.student.hidden) == 64


@named(PAPER + LAPTOP + GPU)
def test_the_first_comment_says_how_to_run_it_and_what_it_takes(path):
    comment = path.read_text("utf-8").split("\nname:")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert f"hornbook run {path.relative_to(ROOT)}\n" in comment
    assert "hour" in comment.lower()
    assert "disk" in comment.lower()
    if path in LAPTOP and path.stem not in {"reviews", "textbooks"}:
        assert "pre-trained on pairs of NLI" in comment

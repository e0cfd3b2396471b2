"""The quickstart: a whole run on real data from the package registry."""

from pathlib import Path
from typing import Any

import yaml

from hornbook.demo.data import fetch
from hornbook.pipeline import run
from hornbook.recipe import Recipe, validate
from hornbook.results import RunResult
from hornbook.store import write_text

RECIPE = Path(__file__).with_name("recipe.yaml")
_FULL_SEEDS = (0, 1, 2)
_FULL_TOKENS = 2


def quickstart(
    runs: Path | str = "runs", cache: Path | None = None, *, full: bool = False, jobs: int = 1
) -> RunResult:
    """Fine-tune a teacher, build two textbooks, distil a student from each, and compare them.

    Args:
        runs: the folder of runs.
        cache: the folder of downloads; default: `~/.cache/hornbook`.
        full: use three seeds and twice the tokens.
        jobs: students that are trained at a time.

    Returns:
        The result of the run, with the scores of all students.

    Raises:
        HornbookError: the data cannot be downloaded.
    """
    return run(quickstart_recipe(runs, cache, full=full), runs, jobs=jobs)


def quickstart_recipe(runs: Path | str = "runs", cache: Path | None = None, *, full: bool = False) -> Recipe:
    """Return the quickstart's recipe with the paths of its data, and save it as RUNS/quickstart/recipe.yaml."""
    data = fetch(cache or Path.home() / ".cache" / "hornbook")
    values: dict[str, Any] = yaml.safe_load(RECIPE.read_text("utf-8"))
    values["task"] = {"source": str(data.task)}
    values["corpus"]["sources"] = [f"{name}={path}" for name, path in data.sources.items()]
    values["teacher"]["model"] = str(data.model)
    if full:
        values["name"] = "quickstart-full"
        values["seeds"] = list(_FULL_SEEDS)
        values["distil"]["tokens"] *= _FULL_TOKENS
    recipe = validate(Recipe, values, str(RECIPE))
    saved = Path(runs) / recipe.name / "recipe.yaml"
    saved.parent.mkdir(parents=True, exist_ok=True)
    write_text(saved, yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000))
    return recipe

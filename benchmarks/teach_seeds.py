"""Three seeds of a distillation: as they are, from a teacher asked once, and with a trimmed vocabulary too.

    python benchmarks/teach_seeds.py --runs RUNS [--tokens 100000]

Task, textbook and teacher are those of recipes/laptop/textbooks.yaml (SST-2), taken from RUNS where they are finished
and made there where not. The three ways take turns, seed by seed. Asking the teacher counts with the first seed;
trimming, done once for a task, is stated alone. The last line of the output is one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from distil_inputs import say

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RECIPE = ROOT / "recipes" / "laptop" / "textbooks.yaml"
BOOK, SEEDS = "contextualized", (0, 1, 2)


def read_recipe() -> Any:
    """Return the recipe with one textbook, its paths absolute."""
    from hornbook.recipe import Recipe, validate

    values = yaml.safe_load(RECIPE.read_text("utf-8"))
    values["textbooks"] = {BOOK: values["textbooks"][BOOK]}
    values["task"]["folder"] = str(DATA / "glue")
    values["corpus"]["sources"] = [str(DATA / "general")]
    values["teacher"]["model"] = str(Path(values["teacher"]["model"]).expanduser())
    return validate(Recipe, values, str(RECIPE))


def ways(recipe: Any, runs: Path, folder: Path) -> tuple[dict[str, tuple[Any, Any, str]], float]:
    """Return the teacher, the token ids and the cache of each way, and the seconds that trimming took."""
    from hornbook.pipeline.textbooks import build_textbooks
    from hornbook.store import Store
    from hornbook.training.finetune import finetune
    from hornbook.training.tokens import encode_textbook
    from hornbook.training.vocabulary import task_vocabulary, trimmed_model

    store, model = Store(runs / "artifacts"), recipe.teacher.model
    task, books = build_textbooks(recipe, store, [BOOK])
    teacher = finetune(model, task, store, recipe.teacher.finetune, seed=0)
    start = time.perf_counter()
    vocabulary = task_vocabulary(model, task, [books[BOOK]], folder / "vocabulary")
    small = trimmed_model(teacher, vocabulary, folder / "trimmed")
    trimming = time.perf_counter() - start
    length, pack = recipe.distil.max_length, recipe.distil.pack
    whole_ids = encode_textbook(books[BOOK], model, folder / "tokens", length, pack)
    small_ids = encode_textbook(books[BOOK], model, folder / "fewer", length, pack, vocabulary=vocabulary)
    say(f"trimmed to {vocabulary.counts['pieces']:,} pieces in {trimming:.1f} s")
    found = {
        "none": (teacher, whole_ids, "none"),
        "cache": (teacher, whole_ids, "float16"),
        "both": (small, small_ids, "float16"),
    }
    return found, trimming


def measure(recipe: Any, runs: Path, tokens: int, folder: Path) -> dict[str, Any]:
    """Return the seconds of each way, seed by seed, and their ratios to the first."""
    from hornbook.store import Store
    from hornbook.training.activations.choice import Sharing
    from hornbook.training.distil import distil

    found, trimming = ways(recipe, runs, folder)

    def learn(name: str, seed: int, budget: int, place: Path) -> tuple[float, Any]:
        teacher, ids, cache = found[name]
        config = recipe.distil.model_copy(update={"tokens": budget, "cache": cache})
        start = time.perf_counter()
        made = distil(
            *(teacher, ids, Store(place / name), recipe.student, config), seed=seed, sharing=Sharing(len(SEEDS))
        )
        return time.perf_counter() - start, made

    for name in found:  # imports, and the first use of each kernel
        learn(name, 0, 2_000, folder / "warm")
    seconds: dict[str, list[float]] = {name: [] for name in found}
    parameters = {}
    for seed in SEEDS:
        for name in found:
            spent, made = learn(name, seed, tokens, folder / "timed")
            seconds[name].append(round(spent, 2))
            parameters[name] = made.counts["parameters"]
            say(f"seed {seed}, {name}: {spent:.1f} s")
    total = {name: sum(of_seeds) for name, of_seeds in seconds.items()}
    return {
        "tokens": tokens,
        "seconds": seconds,
        "ratios": {name: round(total[name] / total["none"], 3) for name in ("cache", "both")},
        "later_speedup": round(sum(seconds["none"][1:]) / sum(seconds["cache"][1:]), 2),
        "trim_seconds": round(trimming, 1),
        "parameters": parameters,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of runs, for task, textbook and teacher")
    parser.add_argument("--tokens", type=int, default=100_000, help="budget of a seed (default 100000)")
    options = parser.parse_args()
    recipe = read_recipe()
    missing = [path for path in (DATA / "glue", DATA / "general", Path(recipe.teacher.model)) if not path.exists()]
    if missing:
        sys.exit(
            f"{missing[0]}: missing; the benchmark needs the real SST-2, its corpus and the quickstart's encoder"
        )
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(recipe, options.runs, options.tokens, Path(folder))))


if __name__ == "__main__":
    main()

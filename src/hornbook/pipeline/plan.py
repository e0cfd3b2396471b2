"""The plan of a run: which stages are finished, and how long the others will take."""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hornbook.errors import HornbookError, Unreachable
from hornbook.machine import disk, hub
from hornbook.pipeline.export import ship_student_of
from hornbook.pipeline.inspection import inspect
from hornbook.pipeline.stages import run_stages
from hornbook.recipe import AugmentedConfig, Recipe
from hornbook.results import PlannedStage, StageResult
from hornbook.store import RUN, Artifact, Store, load
from hornbook.training.activations.sampling import tokens_read

STORE = "artifacts"
"""The folder of shared artefacts within that of runs."""


def plan(recipe: Recipe, runs: Path | str = "runs") -> tuple[PlannedStage, ...]:
    """Plan a recipe without running it.

    Estimates come from the most similar finished artefact in the same store (for a distillation scaled by its budget,
    for a grid by the number of combinations). If there is none, they are rough figures for a small task and model on
    two cores.

    Args:
        recipe: the whole run.
        runs: the folder of runs, whose finished artefacts are reused.

    Returns:
        the stages in order, with whether each is finished, and the estimated seconds and megabytes (10⁶ bytes).

    Raises:
        Unreachable: sources of the recipe are on the hub, which is out of reach.
        HornbookError: a source of the recipe is missing.
    """
    store = Store(Path(runs) / STORE, dry=True)
    try:
        made = run_stages(recipe, store)
        inspect(made, store)
        ship_student_of(recipe, made, store)
    except Unreachable:
        if len(names := out_of_reach(recipe)) < 2:
            raise
        raise Unreachable(f"{', '.join(names)}: out of reach ({hub.why_not()}); the run needs them") from None
    return estimates(store)


def out_of_reach(recipe: Recipe) -> list[str]:
    """Return the sources of a recipe that are not on this machine while the hub is out of reach."""
    from hornbook.corpus.sources import find_sources
    from hornbook.models.source import model_key
    from hornbook.models.student import STARTS
    from hornbook.tasks.sources import locate

    student = recipe.student.init
    models = [
        recipe.teacher.model,
        recipe.released,
        None if student in STARTS else student,
    ]
    models += [config.model for config in recipe.textbooks.values() if isinstance(config, AugmentedConfig)]
    sources: list[tuple[str, Callable[[], object]]] = [(recipe.task.source, partial(locate, recipe.task))]
    sources += [(source, partial(find_sources, [source])) for source in recipe.corpus.sources if "hub:" in source]
    sources += [(model, partial(model_key, model)) for model in models if model is not None]
    missed: dict[str, None] = {}
    for name, look_up in sources:
        try:
            look_up()
        except Unreachable:
            missed[name] = None
        except HornbookError:
            pass  # another fault, reported elsewhere
    return list(missed)


def stage_results(store: Store) -> tuple[StageResult, ...]:
    """Return one row for each artefact that was requested from a store."""
    return tuple(_result(artifact) for artifact in _distinct(store))


def estimates(store: Store) -> tuple[PlannedStage, ...]:
    """Return one row for each artefact that was requested from a dry store, with estimates."""
    return tuple(_estimated(artifact, store) for artifact in _distinct(store))


def _distinct(store: Store) -> list[Artifact]:
    found: dict[str, Artifact] = {}
    for artifact in store.requested:
        found.setdefault(artifact.key, artifact)
    return list(found.values())


def _result(artifact: Artifact) -> StageResult:
    return StageResult(
        stage=artifact.stage,
        key=artifact.key,
        folder=str(artifact.path),
        seconds=None if artifact.planned else artifact.measured["seconds"],
        reused=artifact.reused,
    )


# Seconds and megabytes of a stage where nothing like it was run before: 10,000 short texts, 400,000 units,
# a teacher of 6x384 on two cores. Distillation is by a million tokens.
_ROUGH: dict[str, tuple[float, float]] = {
    "task": (1, 1),
    "model": (60, 90),
    "evaluation": (10, 0.1),
    "corpus": (20, 40),
    "textbook": (30, 10),
    "candidates": (600, 5),
    "statistics": (30, 0.1),
    "inspection": (20, 1),
    "export": (60, 90),
    "export-evaluation": (5, 0.1),
    "speeds": (60, 0.1),
    "tokens": (10, 10),
    "outputs": (60, 1),
    "answers": (5, 1),
    "vocabulary": (20, 1),
    "trimmed": (5, 60),
    "activations": (125, 2300),
    "student": (250, 40),
}
_STUDENT_ALONE = 0.5  # of the time of a step in which the teacher runs too
_TOKENS_OF_A_UNIT = 25
_UNITS_OF_A_TEXTBOOK = 50_000


def _estimated(artifact: Artifact, store: Store) -> PlannedStage:
    stage = vars(_result(artifact))
    if artifact.reused:
        return PlannedStage(**stage, estimated_seconds=0, estimated_megabytes=0, checkpoint_megabytes=0, rough=False)
    like = _most_like(artifact, store)
    if like is None:
        seconds, megabytes = _ROUGH[artifact.stage]
        if artifact.stage == "student":
            made = 0.1 if "texts" in artifact.manifest["inputs"] else 0.004  # projected, or random
            seconds *= _budget(artifact, _TOKENS_OF_A_UNIT) / 1e6 if _is_taught(artifact) else made
            seconds *= _STUDENT_ALONE if "cache" in artifact.manifest["config"] else 1
    else:
        seconds = like.measured["seconds"]
        megabytes = sum(file["bytes"] for file in like.manifest["files"].values()) / 1e6
        if _is_taught(artifact):
            per_unit = like.counts["tokens"] / (like.counts["steps"] * like.manifest["config"]["batch"])
            seconds *= _budget(artifact, per_unit) / like.counts["tokens"]
    seconds *= _cells(artifact) / (1 if like is None else _cells(like))
    saved = 0.0
    if artifact.stage == "activations":
        asked = _asked(artifact, store)
        seconds *= asked / (1e6 if like is None else like.counts["tokens"])
        megabytes = asked * artifact.manifest["config"].get("bytes_token", megabytes) / 1e6
        saved = seconds * (_read(artifact, store) / asked - 1)
    return PlannedStage(
        **stage,
        estimated_seconds=max(round(seconds), 1),
        estimated_megabytes=round(megabytes, 1),
        checkpoint_megabytes=round(_checkpoints(artifact) * (megabytes if like is None else _weights(like)), 1),
        rough=like is None,
        saved_seconds=max(round(saved), 0),
    )


def _tokens_of(artifact: Artifact, store: Store) -> Artifact:
    """Return the token ids that a teacher is asked for."""
    return next(one for one in store.requested if one.key == artifact.manifest["inputs"]["tokens"])


def _asked(artifact: Artifact, store: Store) -> float:
    """Return the tokens for which a teacher is asked once."""
    tokens, sample = _tokens_of(artifact, store), artifact.manifest["config"]["sample"]
    if not tokens.planned:
        return tokens_read(tokens.counts, sample)
    units = sample.get("sequences", _UNITS_OF_A_TEXTBOOK)
    return float(sample.get("tokens", units * _TOKENS_OF_A_UNIT))


def _read(artifact: Artifact, store: Store) -> float:
    """Return the tokens that the missing students read of a teacher's activations, passes and seeds counted."""
    textbook = _tokens_of(artifact, store).manifest["inputs"]["textbook"]
    return sum(
        _budget(one, _TOKENS_OF_A_UNIT)
        for one in _distinct(store)
        if _is_taught(one)
        and one.planned
        and "cache" in one.manifest["config"]
        and one.manifest["inputs"]["textbook"] == textbook
    )


def _most_like(artifact: Artifact, store: Store) -> Artifact | None:
    """Return the most similar finished artefact of the same stage, the newest one if several are equal."""
    found: list[tuple[int, float, Artifact]] = []
    for run_file in (store.root / artifact.stage).glob(f"*/{RUN}"):
        other = load(run_file.parent)
        if other.manifest["inputs"].keys() != artifact.manifest["inputs"].keys():
            continue
        same = sum(
            other.manifest[part].get(name) == value
            for part in ("inputs", "config")
            for name, value in artifact.manifest[part].items()
        )
        found.append((same, run_file.stat().st_mtime, other))
    return max(found, key=lambda one: one[:2])[2] if found else None


def _is_taught(artifact: Artifact) -> bool:
    return artifact.stage == "student" and "textbook" in artifact.manifest["inputs"]


def _checkpoints(artifact: Artifact) -> int:
    """Return how many times its weights a stage has on the disk at most while it trains: see `bytes_needed`."""
    if artifact.stage == "model":
        return 7
    return 6 + len(artifact.manifest["config"].get("snapshots", ())) if _is_taught(artifact) else 0


def _weights(artifact: Artifact) -> float:
    """Return the megabytes of a model's weights."""
    files = artifact.manifest["files"]
    weights = [name for name in files if name.endswith(".safetensors") and "/" not in name]
    return float(sum(files[name]["bytes"] for name in weights) / 1e6)


def _budget(artifact: Artifact, tokens_of_a_unit: float) -> float:
    """Return the tokens of a distillation, of one with a budget in steps by the mean length of a unit."""
    config = artifact.manifest["config"]
    if "tokens" in config:
        return float(config["tokens"])
    if config.get("epochs") is not None:
        return float(config["epochs"] * _UNITS_OF_A_TEXTBOOK * tokens_of_a_unit)
    return float(config["steps"] * config["batch"] * tokens_of_a_unit)


def _cells(artifact: Artifact) -> int:
    """Return how many trainings a fine-tuning is: its grid's combinations."""
    return math.prod(len(values) for values in artifact.manifest["config"].get("grid", {}).values())


def free_megabytes(folder: Path) -> int:
    """Return the free disk space where `folder` is or will be."""
    return disk.free(folder) // 1_000_000


def timed(started: float) -> str:
    """Return the time since `started` (from time.monotonic) as minutes and seconds."""
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

"""Recipe -> stages -> artefacts: the only place that knows the order."""

import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbook.artifact import RUN, Artifact, Store, load, write_json
from hornbook.errors import HornbookError, Unreachable
from hornbook.recipe import (
    AdaptConfig,
    BookOfOne,
    ChainConfig,
    ContextualizedConfig,
    Recipe,
    SampleConfig,
    TextbookConfig,
    UnionConfig,
)
from hornbook.report.summary import LOGITS, RELEASED, TEACHER, TF_IDF, UNDISTILLED, remarks, summarise
from hornbook.report.tables import markdown_table, title

logger = logging.getLogger("hornbook")

STORE = "artifacts"
REPORT = "report.json"
TABLE = "report.md"


@dataclass
class Outcome:
    """What a run gives.

    Attributes:
        rows: one for each model: name, textbook, parameters, dev, test, metric, speed, seconds, seed.
        stages: one for each artefact: stage, key, folder, seconds, reused.
        summary: one for each model's name: mean, median and spread over its seeds, share of the teacher's score.
        remarks: what the rows say, in plain words.
        folder: where the report and links to the artefacts stand.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    folder: Path = Path()

    def as_json(self) -> dict[str, Any]:
        """Return the report as it stands in `report.json`."""
        return {"rows": self.rows, "summary": self.summary, "remarks": self.remarks, "stages": self.stages}


def run(recipe: Recipe, runs: Path | str = "runs", *, cluster: str | None = None) -> Outcome:
    """Run a recipe; what is finished already is used again.

    Started by torchrun in several processes, all train together, and the first one writes the results.

    Args:
        recipe: the whole run.
        runs: the folder of runs; artefacts are shared in RUNS/artifacts, the results stand in RUNS/NAME.
        cluster: the address of a Ray cluster on which the corpus is searched; does not change the results.

    Returns:
        the rows of the report and the stages.

    Raises:
        HornbookError: something in the recipe or the data is wrong, or the teacher is at chance level.
    """
    plan(recipe, Path(os.devnull))  # what is missing shows now, not after an hour of training
    if cluster is not None:
        _reach(cluster)
    store = Store(Path(runs) / STORE)
    folder = Path(runs) / recipe.name
    outcome = Outcome(folder=folder)
    if not _is_first_process():
        outcome.rows = list(_rows(recipe, store, None, cluster))
        return outcome
    _own_run_folder(folder)
    for row in _rows(recipe, store, folder, cluster):
        outcome.rows.append(row)
        logger.info(
            "%s, seed %d: %s %.4f on dev%s", row["name"], row["seed"], row["metric"], row["dev"], _tested(row)
        )
    outcome.stages = _stages(store)
    outcome.summary, outcome.remarks = summarise(outcome.rows), remarks(outcome.rows)
    write_json(folder / REPORT, outcome.as_json())
    lines = [title(outcome.rows), markdown_table(outcome.rows), *(f"* {remark}" for remark in outcome.remarks)]
    (folder / TABLE).write_text("\n\n".join(lines) + "\n", "utf-8")
    return outcome


def plan(recipe: Recipe, runs: Path | str = "runs") -> list[dict[str, Any]]:
    """Return the stages a run of the recipe would ask for: stage, key, whether reused, an estimate of the rest.

    Seconds and bytes are those of the finished artefact in the same store that is most like it (a distillation's
    scaled by its budget, a grid's by its combinations), else rough figures for a small task and model on two cores.

    Raises:
        HornbookError: a source of the recipe is missing.
    """
    store = Store(Path(runs) / STORE, dry=True)
    for _ in _rows(recipe, store, None):
        pass
    return estimates(store)


def estimates(store: Store) -> list[dict[str, Any]]:
    """Return the stages that a dry store was asked for, as `plan` does."""
    by_key = {artifact.key: artifact for artifact in store.asked}
    return [_estimated(by_key[stage["key"]], stage, store) for stage in _stages(store)]


def check(recipe: Recipe) -> list[str]:
    """Check a recipe without running anything: the task is sound, sources are there, sizes and labels fit together.

    Returns:
        what could not be checked because the hub could not be asked, a line for each name.

    Raises:
        HornbookError: what is wrong first.
    """
    from hornbook import corpus, tasks
    from hornbook.models.loading import label_order, model_key, ready_config
    from hornbook.training.distil import check_sizes

    teacher, nowhere = recipe.teacher, Path(os.devnull)
    unchecked: dict[str, None] = {}  # in order; several checks may ask for one name
    labels = None
    with _noting(unchecked):
        found = tasks.check(recipe.task)
        labels = found.names
        _check_kind(recipe, found.kind)
    for source in recipe.corpus.sources:
        with _noting(unchecked):
            corpus.build(recipe.corpus.model_copy(update={"sources": (source,)}), Store(nowhere, dry=True))
    with _noting(unchecked):
        check_sizes(teacher.model, recipe.student, recipe.distil, teacher.family)
    if teacher.kind == "ready" and labels is not None:
        with _noting(unchecked):
            label_order(ready_config(teacher.model).id2label, labels, teacher.label_names, teacher.model)
    if recipe.released is not None:
        with _noting(unchecked):
            model_key(recipe.released)
    with _noting(unchecked):
        plan(recipe, nowhere)
    return list(unchecked)


@contextmanager
def _noting(unchecked: dict[str, None]) -> Iterator[None]:
    """Note what the hub could not be asked, and go on."""
    try:
        yield
    except Unreachable as error:
        unchecked[str(error)] = None


def _reach(cluster: str) -> None:
    """Refuse the address of a cluster that does not answer."""
    from hornbook.cluster import Cluster

    try:
        # Not more: a process in which Ray runs must not fork, and the corpus is built by forked ones.
        Cluster(cluster).knock()
    except (OSError, ValueError) as error:
        raise HornbookError(f"{cluster}: no Ray cluster answers here ({error}); start it first") from None


def cell(recipe: Recipe, store: Store, textbook: str | None) -> Iterator[dict[str, Any]]:
    """Ask for everything that one student needs, and yield its row, before it those of its teachers.

    What is last asked of the store is the student's evaluation.

    Args:
        recipe: with one seed and no baselines.
        store: where artefacts are found and put; a dry one is only asked, and no rows come.
        textbook: the student's, of the recipe's; None for a student that was never distilled.
    """
    baselines = () if textbook else (UNDISTILLED,)
    yield from _rows(recipe.model_copy(update={"baselines": baselines}), store, None, names=(textbook,))


def books(recipe: Recipe, store: Store, names: Sequence[str]) -> tuple[Artifact, dict[str, Artifact]]:
    """Ask for the task and for textbooks of a recipe, and for nothing that is trained.

    Returns:
        the task, and each textbook by its name.
    """
    from hornbook import tasks

    task = tasks.prepare(recipe.task, store)
    made = _textbooks(recipe, {name: recipe.textbooks[name] for name in names}, task, store, None, None)
    return task, {name: made[name] for name in names}


def _rows(
    recipe: Recipe,
    store: Store,
    folder: Path | None,
    cluster: str | None = None,
    names: Sequence[str | None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Ask the store for every artefact in order; yield a row for each model (none in a dry run).

    With `names`, only of these textbooks.
    """
    from hornbook import tasks
    from hornbook.training.chain import distil_chain
    from hornbook.training.distil import check_sizes, distil, snapshot
    from hornbook.training.tokens import encode_textbook

    family = recipe.teacher.family
    if not store.dry:
        check_sizes(recipe.teacher.model, recipe.student, recipe.distil, family)
        _use_threads(recipe.threads)
    task = _linked(tasks.prepare(recipe.task, store), folder, "task")
    if not store.dry:
        _check_kind(recipe, task.info["kind"])
    teacher, rows = _teacher(recipe, task, store, folder)
    yield from rows
    chosen = {name: config for name, config in recipe.textbooks.items() if names is None or name in names}
    books = _textbooks(recipe, chosen, task, store, folder, cluster)

    def tokens_of(book: str) -> Artifact:
        # a fine-tuned teacher reads with the tokenizer it came with
        config = recipe.distil
        return encode_textbook(books[book], recipe.teacher.model, store, config.max_length, config.pack)

    def start(seed: int) -> Artifact | None:
        if recipe.start is None:
            return None
        config = recipe.distil.changed(recipe.start.distil)
        tokens = tokens_of(recipe.start.textbook)
        return distil(recipe.teacher.model, tokens, store, recipe.student, config, seed=seed, family=family)

    students = _Students(recipe, task, teacher, store, folder, start)
    for name, config in chosen.items():
        chained, then = (config.books, config.then) if isinstance(config, ChainConfig) else ((name,), {})
        tokens = [tokens_of(book) for book in chained]
        for seed in recipe.seeds:
            made = distil_chain(
                *(teacher, tokens, store, recipe.student, recipe.distil, then),
                seed=seed,
                family=family,
                start=start(seed),
            )
            if recipe.snapshot is not None:
                made.append(snapshot(made[-1], recipe.snapshot, store))
            of_name = [books[book] for book in chained]
            yield from students.adapted(name, made[-1], [*of_name, *tokens, *made], seed, books=of_name)
    yield from _baselines(recipe, students)


def _textbooks(
    recipe: Recipe,
    chosen: dict[str, TextbookConfig],
    task: Artifact,
    store: Store,
    folder: Path | None,
    cluster: str | None,
) -> dict[str, Artifact]:
    """Ask for the chosen textbooks and those they need, these first."""
    from hornbook import corpus, textbook
    from hornbook.cluster import spread_over

    books: dict[str, Artifact] = {}
    like: Artifact | None = None
    units: Artifact | None = None
    for name, config in _in_order(recipe, chosen):
        if units is None and isinstance(config, textbook.FROM_CORPUS):
            units = _linked(corpus.build(recipe.corpus, store), folder, "corpus")
        parts = [books[part] for part in config.books] if isinstance(config, UnionConfig) else []
        # A cluster is left before anything is trained: Ray's threads and the processes of a training do not mix.
        with spread_over(cluster) as spread:
            books[name] = textbook.build(
                config, corpus=units, task=task, like=like, books=parts, out=store, spread=spread
            )
        _linked(books[name], folder, f"textbook-{name}")
        if like is None and _is_whole(config):
            like = books[name]
    return books


def _check_kind(recipe: Recipe, kind: str) -> None:
    """Refuse settings that do not go with the task's kind, before anything costly runs."""
    for name, config in (("teacher.finetune", recipe.teacher.finetune), ("adapt", recipe.adapt)):
        if kind == "regression" and any(cell.class_weights != "none" for cell in config.cells()):
            raise HornbookError(f"{name}.class_weights: a regression has no classes; set it to none")


def _teacher(
    recipe: Recipe, task: Artifact, store: Store, folder: Path | None
) -> tuple[Artifact | str, list[dict[str, Any]]]:
    """Return the teacher, of several the best on dev (in a dry run the first), and the rows of all of them."""
    from hornbook.evaluation.evaluate import evaluate
    from hornbook.training.finetune import finetune

    config = recipe.teacher
    if config.kind == "general":
        return config.model, []
    candidates: list[tuple[Artifact | str, Artifact]] = []
    rows = []
    for seed in config.seeds if config.kind == "task" else config.seeds[:1]:
        teacher: Artifact | str = config.model
        if config.kind == "task":
            teacher = finetune(teacher, task, store, config.finetune, seed=seed, family=config.family)
        scored = evaluate(teacher, task, store, recipe.evaluate, label_names=config.label_names)
        candidates.append((teacher, scored))
        if not scored.planned:
            rows.append(_row(TEACHER, [], scored, [teacher] if isinstance(teacher, Artifact) else [], seed))
    if len(rows) < len(candidates):
        return candidates[0][0], []
    best = max(range(len(rows)), key=lambda i: rows[i]["dev"])
    teacher, scored = candidates[best]
    _refuse_chance_level(scored, config.model)
    if isinstance(teacher, Artifact):
        _linked(teacher, folder, TEACHER)
    _linked(scored, folder, f"evaluation-{TEACHER}")
    return teacher, rows


@dataclass
class _Students:
    """How every student is adapted and scored, whatever it learned from."""

    recipe: Recipe
    task: Artifact
    teacher: Artifact | str
    store: Store
    folder: Path | None
    start: Callable[[int], Artifact | None]

    def adapted(
        self,
        name: str,
        student: Artifact | str,
        made: list[Artifact],
        seed: int,
        *,
        books: Sequence[Artifact] = (),
        labels: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Adapt a student, score it and yield its row (none in a dry run); `labels` overrides the recipe's."""
        from hornbook.evaluation.evaluate import evaluate
        from hornbook.training.finetune import adapt

        config, family = self.recipe.adapt, self.recipe.teacher.family
        if labels is not None:
            config = config.model_copy(update={"labels": labels})
        if not books:
            config = config.model_copy(update={"textbook_units": 0})
        outputs = None if config.labels == "gold" else self.outputs(books[-1] if books else None, config)
        adapted = adapt(student, self.task, self.store, config, outputs=outputs, seed=seed, family=family)
        classifier = self.teacher if self.recipe.teacher.kind != "general" else None
        scored = evaluate(adapted, self.task, self.store, self.recipe.evaluate, teacher=classifier)
        _linked(adapted, self.folder, f"student-{name}-seed{seed}")
        _linked(scored, self.folder, f"evaluation-{name}-seed{seed}")
        if not scored.planned:
            yield _row(name, books, scored, [*made, adapted], seed)

    def outputs(self, book: Artifact | None, config: AdaptConfig) -> Artifact:
        """Return what the teacher says of the task's texts, and of as many units of the textbook as are wanted."""
        from hornbook.training.outputs import teacher_outputs

        return teacher_outputs(
            self.teacher,
            self.task,
            self.store,
            textbook=book,
            units=config.textbook_units,
            max_length=config.max_length,
            label_names=self.recipe.teacher.label_names,
        )


def _baselines(recipe: Recipe, students: _Students) -> Iterator[dict[str, Any]]:
    """Yield the rows of what the distilled students are compared with."""
    from hornbook.evaluation.floor import floor
    from hornbook.training.distil import untaught_student

    for name in recipe.baselines:
        if name == TF_IDF:
            scored = floor(students.task, students.store, recipe.evaluate)
            _linked(scored, students.folder, f"evaluation-{name}")
            if not scored.planned:
                yield _row(name, [], scored, [scored], 0)
            continue
        for seed in recipe.seeds:
            if name == RELEASED:
                assert recipe.released is not None  # the recipe was checked
                yield from students.adapted(name, recipe.released, [], seed, labels="gold")
                continue
            student = students.start(seed) or untaught_student(
                students.teacher, students.store, recipe.student, seed=seed, family=recipe.teacher.family
            )
            labels = "teacher" if name == LOGITS else None
            yield from students.adapted(name, student, [student], seed, labels=labels)


def _is_first_process() -> bool:
    from hornbook.training.processes import process

    return process()[0] == 0


def _row(name: str, books: Sequence[Artifact], scored: Artifact, made: list[Artifact], seed: int) -> dict[str, Any]:
    metric = scored.info["metric"]
    return {
        "name": name,
        "textbook": ", then ".join(f"{book.counts['units']:,} units" for book in books) or None,
        "parameters": scored.counts["parameters"],
        "parameters_without_embeddings": scored.counts["parameters_without_embeddings"],
        "megabytes": round(scored.counts["weight_bytes"] / 1e6, 1),
        "dev": scored.info["scores"]["dev"][metric],
        "test": scored.info["scores"].get("test", {}).get(metric),
        "metric": metric,
        "scores": scored.info["scores"],
        "calibration_error": scored.info["calibration_error"],
        "share_cut": scored.info["share_cut"]["dev"],
        "grid": made[-1].info.get("grid") if made else None,
        "sentences_per_second": scored.measured["sentences_per_second"]["model"],
        "teacher_sentences_per_second": scored.measured["sentences_per_second"].get("teacher"),
        "seconds": round(sum(artifact.measured["seconds"] for artifact in made), 1),
        "seed": seed,
    }


def _tested(row: dict[str, Any]) -> str:
    return "" if row["test"] is None else f", {row['test']:.4f} on test"


def _refuse_chance_level(scored: Artifact, model: str) -> None:
    from hornbook.evaluation.evaluate import chance_check

    found = chance_check(scored)
    if not found.passed:
        below = found.high < found.chance
        raise HornbookError(
            f"{model}: the teacher is {'below' if below else 'at'} chance level on dev: {found.metric} "
            f"{found.score:.3f}, 95% interval {found.low:.3f} to {found.high:.3f}, which "
            f"{'lies below' if below else 'holds'} {found.chance:.3f}; a student would learn nothing from it: "
            f"{'are its labels swapped?' if below else 'check the labels, or fine-tune it longer or with more data'}"
        )


def _in_order(recipe: Recipe, chosen: dict[str, TextbookConfig]) -> list[tuple[str, BookOfOne]]:
    """Return the textbooks to be built: the chosen and those they need, each after those; chains are not built."""
    needed = dict.fromkeys(chosen)
    if recipe.start is not None:
        needed[recipe.start.textbook] = None
    for name in list(needed):
        config = recipe.textbooks[name]
        if isinstance(config, UnionConfig | ChainConfig):
            needed |= dict.fromkeys(config.books)
    if any(isinstance(c := recipe.textbooks[name], SampleConfig) and not c.sized for name in needed):
        whole = [name for name, config in recipe.textbooks.items() if _is_whole(config)]
        needed |= dict.fromkeys(whole[:1])
    # in the recipe's order, but for what is made of others or as large as another
    books = [(name, config) for name, config in recipe.textbooks.items() if name in needed]
    single = [(name, config) for name, config in books if not isinstance(config, ChainConfig)]
    return sorted(single, key=lambda item: (isinstance(item[1], UnionConfig), isinstance(item[1], SampleConfig)))


def _is_whole(config: TextbookConfig) -> bool:
    """Tell whether a textbook can say how large others are."""
    return isinstance(config, ContextualizedConfig) and config.proportion == 1


def _own_run_folder(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        own = {REPORT, TABLE, "recipe.yaml"}
        foreign = [p.name for p in folder.iterdir() if not (p.is_symlink() or p.name in own)]
        if foreign:
            raise HornbookError(f"{folder}: holds something else ({foreign[0]}); choose another name or remove it")
        for link in filter(Path.is_symlink, folder.iterdir()):
            link.unlink()  # of an earlier recipe, perhaps; this run makes its own
    folder.mkdir(parents=True, exist_ok=True)


def _linked(artifact: Artifact, folder: Path | None, name: str) -> Artifact:
    """Give an artefact a readable name in the run's folder."""
    if folder is not None:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(artifact.path, folder), target_is_directory=True)
    return artifact


def _stages(store: Store) -> list[dict[str, Any]]:
    by_key: dict[str, Artifact] = {}
    for artifact in store.asked:
        by_key.setdefault(artifact.key, artifact)
    return [
        {
            "stage": artifact.stage,
            "key": artifact.key,
            "folder": str(artifact.path),
            "seconds": None if artifact.planned else artifact.measured["seconds"],
            "reused": artifact.reused,
        }
        for artifact in by_key.values()
    ]


# Seconds and megabytes of a stage when nothing like it was run before: 10,000 short texts, 400,000 units,
# a teacher of 6x384 on two cores. Distillation is by a million tokens.
_ROUGH: dict[str, tuple[float, float]] = {
    "task": (1, 1),
    "model": (60, 90),
    "evaluation": (10, 0.1),
    "corpus": (20, 40),
    "textbook": (30, 10),
    "candidates": (600, 5),
    "tokens": (10, 10),
    "outputs": (60, 1),
    "student": (250, 40),
}
_TOKENS_OF_A_UNIT = 25
_UNITS_OF_A_TEXTBOOK = 50_000


def _estimated(artifact: Artifact, stage: dict[str, Any], store: Store) -> dict[str, Any]:
    """Return a stage with its estimated time and disk, and whether these are of a run like it or rough."""
    if stage["reused"]:
        return {**stage, "estimated_seconds": 0, "estimated_megabytes": 0, "rough": False}
    like = _most_like(artifact, store)
    if like is None:
        seconds, megabytes = _ROUGH[artifact.stage]
        if artifact.stage == "student":
            seconds *= _budget(artifact, _TOKENS_OF_A_UNIT) / 1e6 if _is_taught(artifact) else 0.004
    else:
        seconds = like.measured["seconds"]
        megabytes = sum(file["bytes"] for file in like.manifest["files"].values()) / 1e6
        if _is_taught(artifact):
            per_unit = like.counts["tokens"] / (like.counts["steps"] * like.manifest["config"]["batch"])
            seconds *= _budget(artifact, per_unit) / like.counts["tokens"]
    seconds *= _cells(artifact) / (1 if like is None else _cells(like))
    return {
        **stage,
        "estimated_seconds": max(round(seconds), 1),
        "estimated_megabytes": round(megabytes, 1),
        "rough": like is None,
    }


def _most_like(artifact: Artifact, store: Store) -> Artifact | None:
    """Return the finished artefact of the same stage and kinds of inputs that agrees most, the newest of equals."""
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


def _use_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def free_megabytes(folder: Path) -> int:
    """Return the free disk space where `folder` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 1_000_000


def timed(started: float) -> str:
    """Return the time since `started` (from time.monotonic) as minutes and seconds."""
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

"""Recipe -> stages -> artefacts: the only place that knows their order."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError, Unreachable
from hornbook.recipe import (
    AdaptConfig,
    ChainConfig,
    CombinedConfig,
    ContextualizedConfig,
    Recipe,
    SampleConfig,
    TextbookConfig,
)
from hornbook.report.summary import LOGITS, RELEASED, TEACHER, TF_IDF, UNDISTILLED
from hornbook.store import Artifact, Store

logger = logging.getLogger("hornbook")


def cell(recipe: Recipe, store: Store, textbook: str | None) -> Iterator[dict[str, Any]]:
    """Ask for everything that one student needs, and yield its row, before it those of its teachers.

    What is last asked of the store is the student's evaluation.

    Args:
        recipe: with one seed and no baselines.
        store: where artefacts are found and put; a dry one is only asked, and no rows come.
        textbook: the student's, of the recipe's; None for a student that was never distilled.
    """
    baselines = () if textbook else (UNDISTILLED,)
    yield from rows(recipe.model_copy(update={"baselines": baselines}), store, None, names=(textbook,))


def students(recipe: Recipe) -> list[tuple[str, int]]:
    """Return the students of a recipe, each by its textbook or baseline and its seed."""
    names = [*recipe.textbooks, *(name for name in recipe.baselines if name != TF_IDF)]
    return [(name, seed) for name in names for seed in recipe.seeds]


def student(recipe: Recipe, store: Store, name: str, seed: int) -> None:
    """Ask for one student of a recipe, distilled and adapted, and all that it needs; it is not evaluated."""
    baselines = () if name in recipe.textbooks else (name,)
    alone = recipe.model_copy(update={"baselines": baselines, "seeds": (seed,)})
    for _ in rows(alone, store, None, names=(name,), scored=False):
        pass


def books(recipe: Recipe, store: Store, names: Sequence[str]) -> tuple[Artifact, dict[str, Artifact]]:
    """Ask for the task and for textbooks of a recipe, and for nothing that is trained.

    Returns:
        the task, and each textbook by its name.
    """
    from hornbook import tasks

    task = tasks.prepare(recipe.task, store)
    made = _textbooks(recipe, {name: recipe.textbooks[name] for name in names}, task, store, None, None)
    return task, {name: made[name] for name in names}


def rows(
    recipe: Recipe,
    store: Store,
    folder: Path | None,
    cluster: str | None = None,
    names: Sequence[str | None] | None = None,
    *,
    scored: bool = True,
    ahead: Callable[[], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Ask the store for every artefact in order; yield a row for each model (none in a dry run).

    Args:
        recipe: the whole run.
        store: where artefacts are found and put.
        folder: where they get readable names.
        cluster: the address of a Ray cluster on which the corpus is searched.
        names: of these textbooks only.
        scored: evaluate the students, or stop when they are adapted; then they give no rows.
        ahead: called when all that students share is there, before the first of them is asked for.
    """
    from hornbook import tasks
    from hornbook.training.chain import distil_chain
    from hornbook.training.distil import distil, snapshot
    from hornbook.training.tokens import encode_textbook

    family = recipe.teacher.family
    check_trainings(recipe)
    if not store.dry:
        _use_threads(recipe.threads)
    task = _linked(tasks.prepare(recipe.task, store), folder, "task")
    if not store.dry:
        if task.reused and folder is not None:
            logger.info("%s: %s", task.info["name"], task.info.get("labels_read", task.info["kind"]))
        check_kind(recipe, task.info["kind"])
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

    learners = _Students(recipe, task, teacher, store, folder, start, scored)
    read = {name: [tokens_of(book) for book in _chained(name, config)] for name, config in chosen.items()}
    if ahead is not None:
        ahead()
    for name, config in chosen.items():
        chained, tokens = _chained(name, config), read[name]
        then = config.then if isinstance(config, ChainConfig) else {}
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
            yield from learners.adapted(name, made[-1], [*of_name, *tokens, *made], seed, books=of_name)
    yield from _baselines(recipe, learners)


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
    from hornbook.cluster import executor_on

    books: dict[str, Artifact] = {}
    like: Artifact | None = None
    units: Artifact | None = None
    for name, config in _in_order(recipe, chosen):
        if units is None and "corpus" in textbook.kind_of(config).needs:
            units = _linked(corpus.build(recipe.corpus, store), folder, "corpus")
        parts = [books[part] for part in config.books] if isinstance(config, CombinedConfig) else []
        # A cluster is left before anything is trained: Ray's threads and the processes of a training do not mix.
        with executor_on(cluster) as executor:
            books[name] = textbook.build(
                config, corpus=units, task=task, like=like, books=parts, out=store, executor=executor
            )
        _linked(books[name], folder, f"textbook-{name}")
        if like is None and _is_whole(config):
            like = books[name]
    return books


def check_trainings(recipe: Recipe) -> None:
    """Refuse what would stop a training later: sizes that do not fit together, trackers that are not installed."""
    from hornbook.training.callbacks import check_report_to
    from hornbook.training.distil import check_sizes

    for place, config in recipe.distillations().items():
        try:
            check_sizes(recipe.teacher.model, recipe.student, config, recipe.teacher.family)
        except Unreachable:
            raise
        except HornbookError as error:
            raise error if place == "distil" else HornbookError(f"{place}: {error}") from None
    for training in (*recipe.distillations().values(), recipe.adapt, recipe.teacher.finetune):
        check_report_to(training.report_to)


def check_kind(recipe: Recipe, kind: str) -> None:
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
    scored: bool

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
        if not self.scored:
            return
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
    from hornbook.evaluation.tfidf_baseline import tfidf_baseline
    from hornbook.training.distil import undistilled_student

    for name in recipe.baselines:
        if name == TF_IDF:
            scored = tfidf_baseline(students.task, students.store, recipe.evaluate)
            _linked(scored, students.folder, f"evaluation-{name}")
            if not scored.planned:
                yield _row(name, [], scored, [scored], 0)
            continue
        for seed in recipe.seeds:
            if name == RELEASED:
                assert recipe.released is not None  # the recipe was checked
                yield from students.adapted(name, recipe.released, [], seed, labels="gold")
                continue
            student = students.start(seed) or undistilled_student(
                students.teacher, students.store, recipe.student, seed=seed, family=recipe.teacher.family
            )
            labels = "teacher" if name == LOGITS else None
            yield from students.adapted(name, student, [student], seed, labels=labels)


def _row(name: str, books: Sequence[Artifact], scored: Artifact, made: list[Artifact], seed: int) -> dict[str, Any]:
    from hornbook.tasks.task import score_name

    metric = scored.info["metric"]
    return {
        "name": name,
        "textbook": ", then ".join(f"{book.counts['units']:,} units" for book in books) or None,
        "parameters": scored.counts["parameters"],
        "parameters_without_embeddings": scored.counts["parameters_without_embeddings"],
        "megabytes": round(scored.counts["weight_bytes"] / 1e6, 1),
        "dev": scored.info["scores"]["dev"][metric],
        "test": scored.info["scores"].get("test", {}).get(metric),
        "metric": score_name(metric, scored.info["labels"]) if metric == "f1" else metric,
        "scores": scored.info["scores"],
        "doubt": scored.info.get("doubt"),
        "calibration_error": scored.info["calibration_error"],
        "share_cut": scored.info["share_cut"]["dev"],
        "grid": made[-1].info.get("grid") if made else None,
        "sentences_per_second": scored.measured["sentences_per_second"]["model"],
        "teacher_sentences_per_second": scored.measured["sentences_per_second"].get("teacher"),
        "seconds": round(sum(artifact.measured["seconds"] for artifact in made), 1),
        "seed": seed,
    }


def _refuse_chance_level(scored: Artifact, model: str) -> None:
    from hornbook.evaluation.evaluate import chance_check

    found = chance_check(scored)
    if not found.passed:
        below = found.high < found.chance
        advice = "check the labels, or fine-tune it longer or with more data"
        if found.metric == "accuracy":
            advice += "; where a label is rare, set task.metric: macro_f1"
        raise HornbookError(
            f"{model}: the teacher is {'below' if below else 'at'} chance level on dev: {found.metric} "
            f"{found.score:.3f}, 95% interval {found.low:.3f} to {found.high:.3f}, which "
            f"{'lies below' if below else 'holds'} {found.chance:.3f}; a student would learn nothing from it: "
            f"{'are its labels swapped?' if below else advice}"
        )


def _chained(name: str, config: TextbookConfig) -> tuple[str, ...]:
    """Return the textbooks that a student learns from, one after another."""
    return config.books if isinstance(config, ChainConfig) else (name,)


def _in_order(recipe: Recipe, chosen: dict[str, TextbookConfig]) -> list[tuple[str, TextbookConfig]]:
    """Return the textbooks to be built: the chosen and those they need, each after those; chains are not built."""
    needed = dict.fromkeys(chosen)
    if recipe.start is not None:
        needed[recipe.start.textbook] = None
    for name in list(needed):
        config = recipe.textbooks[name]
        if isinstance(config, CombinedConfig):
            needed |= dict.fromkeys(config.books)
    if any(isinstance(c := recipe.textbooks[name], SampleConfig) and not c.sized for name in needed):
        whole = [name for name, config in recipe.textbooks.items() if _is_whole(config)]
        needed |= dict.fromkeys(whole[:1])
    # in the recipe's order, but for what is made of others or as large as another
    books = [(name, config) for name, config in recipe.textbooks.items() if name in needed]
    single = [(name, config) for name, config in books if not isinstance(config, ChainConfig)]
    return sorted(single, key=lambda item: (isinstance(item[1], CombinedConfig), isinstance(item[1], SampleConfig)))


def _is_whole(config: TextbookConfig) -> bool:
    """Tell whether a textbook can say how large others are."""
    return isinstance(config, ContextualizedConfig) and config.proportion == 1


def _linked(artifact: Artifact, folder: Path | None, name: str) -> Artifact:
    """Give an artefact a readable name in the run's folder."""
    if folder is not None:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(artifact.path, folder), target_is_directory=True)
    return artifact


def _use_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)

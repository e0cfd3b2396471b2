"""Recipe -> stages -> artefacts: the only place that knows their order."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hornbook.pipeline.models import ScoredModel
from hornbook.pipeline.preconditions import check_kind, check_trainings, refuse_chance_level
from hornbook.recipe import (
    AdaptConfig,
    ChainConfig,
    CombinedConfig,
    ContextualizedConfig,
    Recipe,
    SampleConfig,
    TextbookConfig,
)
from hornbook.results import LOGITS, RELEASED, TEACHER, TF_IDF, UNDISTILLED
from hornbook.store import Artifact, Store

logger = logging.getLogger("hornbook")

OnModel = Callable[[ScoredModel], None]


@dataclass
class RunArtifacts:
    """What the stages of a recipe made; with a dry store some of it is only planned.

    Attributes:
        task: the prepared task.
        corpus: the general corpus; None where no textbook needs it.
        textbooks: by name, also those that others are made from.
        teacher: the one that taught, with its scores; None for a general teacher.
        models: teachers, students and baselines in the order of the report.
    """

    task: Artifact
    corpus: Artifact | None = None
    textbooks: dict[str, Artifact] = field(default_factory=dict)
    teacher: ScoredModel | None = None
    models: list[ScoredModel] = field(default_factory=list)


def students(recipe: Recipe) -> list[tuple[str, int]]:
    """Return the students of a recipe, each by its textbook or baseline and its seed."""
    names = [*recipe.textbooks, *(name for name in recipe.baselines if name != TF_IDF)]
    return [(name, seed) for name in names for seed in recipe.seeds]


def run_student(recipe: Recipe, store: Store, name: str, seed: int) -> None:
    """Distil and adapt one student of a recipe, and make all that it needs; it is not evaluated."""
    baselines = () if name in recipe.textbooks else (name,)
    alone = recipe.model_copy(update={"baselines": baselines, "seeds": (seed,)})
    run_stages(alone, store, names=(name,), scored=False, seeds=len(recipe.seeds))


def run_cell(recipe: Recipe, store: Store, textbook: str | None) -> RunArtifacts:
    """Train and evaluate one student with everything it needs.

    Args:
        recipe: with one seed and no baselines.
        store: where artefacts are found and put; a dry store only plans them.
        textbook: the name of the student's textbook in the recipe; None for a student that is not distilled.

    Returns:
        the artefacts; the student is the last of `models`, after its teachers.
    """
    baselines = () if textbook else (UNDISTILLED,)
    return run_stages(recipe.model_copy(update={"baselines": baselines}), store, names=(textbook,))


def build_textbooks(recipe: Recipe, store: Store, names: Sequence[str]) -> tuple[Artifact, dict[str, Artifact]]:
    """Prepare the task and build textbooks of a recipe; train nothing.

    Args:
        recipe: the whole run.
        store: where artefacts are found and put; a dry store only plans them.
        names: the textbooks to build, as the recipe names them.

    Returns:
        the task, and each textbook by its name.
    """
    from hornbook import tasks

    made = RunArtifacts(tasks.prepare(recipe.task, store))
    _build_textbooks(recipe, {name: recipe.textbooks[name] for name in names}, made, store, None, None)
    return made.task, {name: made.textbooks[name] for name in names}


def run_stages(
    recipe: Recipe,
    store: Store,
    *,
    folder: Path | None = None,
    cluster: str | None = None,
    names: Sequence[str | None] | None = None,
    scored: bool = True,
    seeds: int | None = None,
    before_students: Callable[[], None] | None = None,
    on_model: OnModel | None = None,
) -> RunArtifacts:
    """Make every artefact of a recipe in order, or plan it where the store is dry.

    Args:
        recipe: the whole run.
        store: where artefacts are found and put.
        folder: the run's folder, in which links with readable names point to them.
        cluster: the address of a Ray cluster on which the corpus is searched.
        names: only the students of these textbooks.
        scored: evaluate the students, or stop when they are adapted.
        seeds: the seeds of the whole run, which read what a teacher computes; by default those of the recipe.
        before_students: called once all that students share is made, before the first of them.
        on_model: called with each model as soon as it is scored.

    Returns:
        the artefacts of all stages.
    """
    from hornbook import tasks

    check_trainings(recipe)
    if not store.dry:
        _use_threads(recipe.threads)
    made = RunArtifacts(link(tasks.prepare(recipe.task, store), folder, "task"))
    task = made.task
    if not store.dry:
        if task.reused and folder is not None:
            logger.info("%s: %s", task.info["name"], task.info.get("labels_read", task.info["kind"]))
        check_kind(recipe, task.info["kind"])
    teacher = _make_teacher(recipe, made, store, folder, on_model)
    chosen = {name: config for name, config in recipe.textbooks.items() if names is None or name in names}
    _build_textbooks(recipe, chosen, made, store, folder, cluster)
    learners = _Students(recipe, made, teacher, store, folder, scored, on_model, seeds or len(recipe.seeds))
    tokens = {name: [learners.tokens_of(book) for book in _chained(name, config)] for name, config in chosen.items()}
    if before_students is not None:
        before_students()
    for name, config in chosen.items():
        for seed in recipe.seeds:
            learners.distil_and_adapt(name, config, tokens[name], seed)
    _add_baselines(recipe, learners)
    return made


def _make_teacher(
    recipe: Recipe, made: RunArtifacts, store: Store, folder: Path | None, on_model: OnModel | None
) -> Artifact | str:
    """Return the teacher; of several the best on dev, in a dry run the first."""
    from hornbook.evaluation.evaluate import evaluate
    from hornbook.training.finetune import finetune

    config = recipe.teacher
    if config.kind == "general":
        return config.model
    teachers: list[Artifact | str] = []
    for seed in config.seeds if config.kind == "task" else config.seeds[:1]:
        teacher: Artifact | str = config.model
        if config.kind == "task":
            teacher = finetune(teacher, made.task, store, config.finetune, seed=seed, family=config.family)
        scored = evaluate(teacher, made.task, store, recipe.evaluate, label_names=config.label_names)
        model = teacher if isinstance(teacher, Artifact) else None
        teachers.append(teacher)
        made.models.append(ScoredModel(TEACHER, seed, scored, model=model, trained=() if model is None else (model,)))
    best = 0
    if not any(taught.planned for taught in made.models):
        for taught in made.models:
            if on_model is not None:
                on_model(taught)
        best = max(range(len(teachers)), key=lambda i: made.models[i].result().dev)
        refuse_chance_level(made.models[best].evaluation, config.model)
        _link_model(made.models[best], folder, TEACHER, f"evaluation-{TEACHER}")
    made.teacher = made.models[best]
    return teachers[best]


@dataclass
class _Students:
    """How every student is adapted and scored, whatever it learned from."""

    recipe: Recipe
    made: RunArtifacts
    teacher: Artifact | str
    store: Store
    folder: Path | None
    scored: bool
    on_model: OnModel | None
    seeds: int

    def tokens_of(self, book: str) -> Artifact:
        """Return a textbook as token ids; a fine-tuned teacher reads with the tokenizer it came with."""
        from hornbook.training.tokens import encode_textbook

        config = self.recipe.distil
        textbook = self.made.textbooks[book]
        return encode_textbook(textbook, self.recipe.teacher.model, self.store, config.max_length, config.pack)

    def start(self, seed: int) -> Artifact | None:
        """Return the student that all begin as; None where they begin with weights of their own."""
        from hornbook.training.activations.choice import Sharing
        from hornbook.training.distil import distil

        recipe = self.recipe
        if recipe.start is None:
            return self.projected(self.teacher)
        teacher = recipe.teacher.model
        config = recipe.distil.changed(recipe.start.distil)
        tokens, family = self.tokens_of(recipe.start.textbook), recipe.teacher.family
        begun = self.projected(teacher)
        places = teacher, tokens, self.store, recipe.student, config
        return distil(*places, seed=seed, family=family, start=begun, sharing=Sharing(self.seeds))

    def projected(self, teacher: Artifact | str) -> Artifact | None:
        """Return the projection of a teacher, on the task's texts; None where students begin otherwise."""
        from hornbook.models.student import PROJECTED
        from hornbook.training.projection import projected_student

        recipe = self.recipe
        if recipe.student.init != PROJECTED:
            return None
        return projected_student(teacher, self.made.task, self.store, recipe.student, family=recipe.teacher.family)

    def distil_and_adapt(self, name: str, config: TextbookConfig, tokens: Sequence[Artifact], seed: int) -> None:
        """Distil a student on a textbook, or on those of a chain one after another; adapt and score it."""
        from hornbook.training.activations.choice import Sharing
        from hornbook.training.chain import distil_chain
        from hornbook.training.distil import snapshot

        recipe = self.recipe
        distilled = distil_chain(
            *(self.teacher, tokens, self.store, recipe.student, recipe.distil),
            config.then if isinstance(config, ChainConfig) else {},
            seed=seed,
            family=recipe.teacher.family,
            start=self.start(seed),
            sharing=Sharing(self.seeds, architecture=recipe.teacher.model),
        )
        if recipe.snapshot is not None:
            distilled.append(snapshot(distilled[-1], recipe.snapshot, self.store))
        books = [self.made.textbooks[book] for book in _chained(name, config)]
        self.adapt_and_score(name, seed, distilled[-1], distilled, books=books, tokens=tokens)

    def adapt_and_score(
        self,
        name: str,
        seed: int,
        student: Artifact | str,
        distilled: Sequence[Artifact] = (),
        *,
        books: Sequence[Artifact] = (),
        tokens: Sequence[Artifact] = (),
        labels: str | None = None,
    ) -> None:
        """Adapt a student, score it and add it to the models; `labels` overrides the recipe's."""
        from hornbook.evaluation.evaluate import evaluate
        from hornbook.training.finetune import adapt

        config, family = self.recipe.adapt, self.recipe.teacher.family
        if labels is not None:
            config = config.model_copy(update={"labels": labels})
        if not books:
            config = config.model_copy(update={"textbook_units": 0})
        outputs = None if config.labels == "gold" else self.outputs(books[-1] if books else None, config)
        adapted = adapt(student, self.made.task, self.store, config, outputs=outputs, seed=seed, family=family)
        if not self.scored:
            return
        classifier = self.teacher if self.recipe.teacher.kind != "general" else None
        scored = evaluate(adapted, self.made.task, self.store, self.recipe.evaluate, teacher=classifier)
        model = ScoredModel(
            *(name, seed, scored),
            model=adapted,
            books=tuple(books),
            distilled=tuple(distilled),
            trained=(*books, *tokens, *distilled, adapted),
        )
        _link_model(model, self.folder, f"student-{name}-seed{seed}", f"evaluation-{name}-seed{seed}")
        self.add(model)

    def add(self, model: ScoredModel) -> None:
        """Add a model to those of the run."""
        self.made.models.append(model)
        if self.on_model is not None and not model.planned:
            self.on_model(model)

    def outputs(self, book: Artifact | None, config: AdaptConfig) -> Artifact:
        """Return the teacher's outputs on the task's texts, and on some units of the textbook where these count."""
        from hornbook.training.outputs import teacher_outputs

        return teacher_outputs(
            self.teacher,
            self.made.task,
            self.store,
            textbook=book,
            units=config.textbook_units,
            max_length=config.max_length,
            label_names=self.recipe.teacher.label_names,
        )


def _add_baselines(recipe: Recipe, students: _Students) -> None:
    """Make and score what the distilled students are compared with."""
    from hornbook.evaluation.tfidf_baseline import tfidf_baseline
    from hornbook.training.distil import undistilled_student

    for name in recipe.baselines:
        if name == TF_IDF:
            scored = tfidf_baseline(students.made.task, students.store, recipe.evaluate)
            link(scored, students.folder, f"evaluation-{name}")
            students.add(ScoredModel(name, 0, scored, trained=(scored,)))
            continue
        for seed in recipe.seeds:
            if name == RELEASED:
                assert recipe.released is not None  # the recipe was checked
                students.adapt_and_score(name, seed, recipe.released, labels="gold")
                continue
            student = students.start(seed) or undistilled_student(
                students.teacher, students.store, recipe.student, seed=seed, family=recipe.teacher.family
            )
            students.adapt_and_score(name, seed, student, [student], labels="teacher" if name == LOGITS else None)


def _build_textbooks(
    recipe: Recipe,
    chosen: dict[str, TextbookConfig],
    made: RunArtifacts,
    store: Store,
    folder: Path | None,
    cluster: str | None,
) -> None:
    """Add the chosen textbooks and those they need, these first."""
    from hornbook import corpus, textbook
    from hornbook.cluster import executor_on

    books = made.textbooks
    like: Artifact | None = None
    for name, config in _in_order(recipe, chosen):
        if made.corpus is None and "corpus" in textbook.kind_of(config).needs:
            made.corpus = link(corpus.build(recipe.corpus, store), folder, "corpus")
        parts = [books[part] for part in config.books] if isinstance(config, CombinedConfig) else []
        # A cluster is left before anything is trained: Ray's threads and the processes of a training do not mix.
        with executor_on(cluster) as executor:
            books[name] = textbook.build(
                config, corpus=made.corpus, task=made.task, like=like, books=parts, out=store, executor=executor
            )
        link(books[name], folder, f"textbook-{name}")
        if like is None and _is_whole(config):
            like = books[name]


def _chained(name: str, config: TextbookConfig) -> tuple[str, ...]:
    """Return the textbooks that a student learns from, one after another."""
    return config.books if isinstance(config, ChainConfig) else (name,)


def _in_order(recipe: Recipe, chosen: dict[str, TextbookConfig]) -> list[tuple[str, TextbookConfig]]:
    """Return the textbooks to build, chosen and needed, each after those it is made from; chains are not built."""
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
    # In the recipe's order; then the textbooks that are made from others or are as large as another.
    books = [(name, config) for name, config in recipe.textbooks.items() if name in needed]
    single = [(name, config) for name, config in books if not isinstance(config, ChainConfig)]
    return sorted(single, key=lambda item: (isinstance(item[1], CombinedConfig), isinstance(item[1], SampleConfig)))


def _is_whole(config: TextbookConfig) -> bool:
    """Return whether other textbooks can be built to the size of this one."""
    return isinstance(config, ContextualizedConfig) and config.proportion == 1


def link(artifact: Artifact, folder: Path | None, name: str) -> Artifact:
    """Give an artefact a readable name in the run's folder."""
    if folder is not None:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(artifact.path, folder), target_is_directory=True)
    return artifact


def _link_model(model: ScoredModel, folder: Path | None, name: str, evaluation: str) -> None:
    if model.model is not None:
        link(model.model, folder, name)
    link(model.evaluation, folder, evaluation)


def _use_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)

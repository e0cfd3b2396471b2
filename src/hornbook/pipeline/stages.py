"""Recipe -> stages -> artefacts: the only place that knows their order."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hornbook.pipeline.models import OnModel, RunArtifacts, ScoredModel, link, link_model
from hornbook.pipeline.preconditions import check_kind, check_trainings
from hornbook.pipeline.teachers import Teacher, file_labels, make_task, make_teacher, outputs_of, trimmed_teacher
from hornbook.pipeline.textbooks import add_textbooks, chained
from hornbook.recipe import WHOLE_VOCABULARY, ChainConfig, Recipe
from hornbook.results import LOGITS, RANDOM, RANDOM_UNDISTILLED, RELEASED, TF_IDF, UNDISTILLED
from hornbook.store import Artifact, Store

logger = logging.getLogger("hornbook")


def students(recipe: Recipe) -> list[tuple[str, int]]:
    """Return the students of a recipe, each by its textbook or baseline and its seed."""
    names = [*recipe.textbooks, *(name for name in recipe.baselines if name != TF_IDF)]
    return [(name, seed) for name in names for seed in recipe.seeds]


def run_student(recipe: Recipe, store: Store, name: str, seed: int) -> None:
    """Distil and adapt one student of a recipe, and make all that it needs; it is not evaluated."""
    baselines = () if name in recipe.textbooks else (name,)
    alone = recipe.model_copy(update={"baselines": baselines, "seeds": (seed,)})
    run_stages(alone, store, names=(name,), scored=False, whole=recipe)


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


def run_stages(
    recipe: Recipe,
    store: Store,
    *,
    folder: Path | None = None,
    cluster: str | None = None,
    names: Sequence[str | None] | None = None,
    scored: bool = True,
    whole: Recipe | None = None,
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
        whole: the recipe of the whole run, all students of which read what a teacher computes; by default the recipe.
        before_students: called once all that students share is made, before the first of them.
        on_model: called with each model as soon as it is scored.

    Returns:
        the artefacts of all stages.
    """
    check_trainings(recipe)
    if not store.dry:
        _use_threads(recipe.threads)
    made = make_task(recipe, store, folder)
    task = made.task
    if not store.dry:
        if task.reused and folder is not None:
            logger.info("%s: %s", task.info["name"], task.info.get("labels_read", task.info["kind"]))
        check_kind(recipe, task.info["kind"])
    teacher = make_teacher(recipe, made, store, folder, on_model)
    chosen = {name: config for name, config in recipe.textbooks.items() if names is None or name in names}
    first = {}
    if RANDOM in recipe.baselines:
        first = {recipe.first_textbook: recipe.textbooks[recipe.first_textbook]}
    add_textbooks(recipe, chosen | first, made, store, folder, cluster)
    taught = Teacher(teacher, recipe.teacher.model, teacher if made.teacher else None)
    if recipe.student.vocabulary != WHOLE_VOCABULARY:
        taught = trimmed_teacher(recipe, taught, made, store, folder, cluster, on_model)
        # Its students have all pieces of this teacher.
        student = recipe.student.model_copy(update={"vocabulary": WHOLE_VOCABULARY})
        recipe = recipe.model_copy(update={"student": student})
    learners = _Students(recipe, made, taught, store, folder, scored, on_model, whole or recipe)
    for name, config in (chosen | first).items():
        learners.tokens[name] = [learners.tokens_of(book) for book in chained(name, config)]
    if before_students is not None:
        learners.projected(taught.model if recipe.start is None else taught.before)
        before_students()
    for name in chosen:
        for seed in recipe.seeds:
            learners.distil_and_adapt(name, name, seed)
    _add_baselines(recipe, learners)
    return made


@dataclass
class _Students:
    """How every student is adapted and scored, whatever it learned from."""

    recipe: Recipe
    made: RunArtifacts
    teacher: Teacher
    store: Store
    folder: Path | None
    scored: bool
    on_model: OnModel | None
    whole: Recipe
    tokens: dict[str, list[Artifact]] = field(default_factory=dict)

    def tokens_of(self, book: str) -> Artifact:
        """Return a textbook as token ids; a fine-tuned teacher reads with the tokenizer it came with."""
        from hornbook.training.tokens import encode_textbook

        config, made = self.recipe.distil, self.made
        return encode_textbook(
            *(made.textbooks[book], self.recipe.teacher.model, self.store, config.max_length, config.pack),
            vocabulary=made.vocabulary,
        )

    def start(self, seed: int) -> Artifact | None:
        """Return the student that all begin as; None where they begin with weights of their own."""
        from hornbook.training.activations.choice import Sharing
        from hornbook.training.distil import distil

        recipe = self.recipe
        if recipe.start is None:
            return self.projected(self.teacher.model)
        teacher = self.teacher.before
        config = recipe.distil.changed(recipe.start.distil)
        tokens, family = self.tokens_of(recipe.start.textbook), recipe.teacher.family
        begun = self.projected(teacher)
        places = teacher, tokens, self.store, recipe.student, config
        return distil(*places, seed=seed, family=family, start=begun, sharing=Sharing(len(self.whole.seeds)))

    def projected(self, teacher: Artifact | str) -> Artifact | None:
        """Return the projection of a teacher, on the task's texts; None where students begin otherwise."""
        from hornbook.models.student import PROJECTED
        from hornbook.training.projection import projected_student

        recipe = self.recipe
        if recipe.student.init != PROJECTED:
            return None
        return projected_student(teacher, self.made.about, self.store, recipe.student, family=recipe.teacher.family)

    def distil_and_adapt(self, name: str, book: str, seed: int) -> None:
        """Distil a student on a textbook, or on those of a chain one after another; adapt and score it as `name`."""
        from hornbook.training.activations.choice import Sharing
        from hornbook.training.chain import distil_chain
        from hornbook.training.distil import snapshot

        recipe, config, tokens = self.recipe, self.recipe.textbooks[book], self.tokens[book]
        books = [self.made.textbooks[one] for one in chained(book, config)]
        distilled = distil_chain(
            *(self.teacher.model, tokens, self.store, recipe.student, recipe.distil),
            config.then if isinstance(config, ChainConfig) else {},
            seed=seed,
            family=recipe.teacher.family,
            start=self.start(seed),
            sharing=Sharing(self._readers(book), architecture=recipe.teacher.model),
            labels=file_labels(recipe, self.made, self.store, books),
        )
        if recipe.snapshot is not None:
            distilled.append(snapshot(distilled[-1], recipe.snapshot, self.store))
        self.adapt_and_score(name, seed, distilled[-1], distilled, books=books, tokens=tokens)

    def _readers(self, book: str) -> int:
        """Return how many students of the whole run learn from a textbook."""
        also_random = RANDOM in self.whole.baselines and book == self.whole.first_textbook
        return len(self.whole.seeds) * (2 if also_random else 1)

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
        book = books[-1] if books else None
        outputs = None
        if config.labels != "gold":
            outputs = outputs_of(self.recipe, self.made, self.teacher.model, self.store, book, config)
        adapted = adapt(student, self.made.task, self.store, config, outputs=outputs, seed=seed, family=family)
        if not self.scored:
            return
        beside = self.teacher.classifier
        scored = evaluate(adapted, self.made.task, self.store, self.recipe.evaluate, teacher=beside)
        model = ScoredModel(
            *(name, seed, scored),
            model=adapted,
            books=tuple(books),
            distilled=tuple(distilled),
            trained=(*books, *tokens, *distilled, adapted),
        )
        link_model(model, self.folder, f"student-{name}-seed{seed}", f"evaluation-{name}-seed{seed}")
        self.add(model)

    def adapt_undistilled(self, name: str, seed: int, labels: str | None = None) -> None:
        """Adapt and score a student as it begins."""
        from hornbook.training.distil import undistilled_student

        recipe = self.recipe
        student = self.start(seed) or undistilled_student(
            self.teacher.model, self.store, recipe.student, seed=seed, family=recipe.teacher.family
        )
        self.adapt_and_score(name, seed, student, [student], labels=labels)

    def from_random(self) -> "_Students":
        """Return the same for students that begin from random weights."""
        student = self.recipe.student.model_copy(update={"init": "random"})
        return replace(self, recipe=self.recipe.model_copy(update={"student": student, "start": None}))

    def add(self, model: ScoredModel) -> None:
        """Add a model to those of the run."""
        self.made.models.append(model)
        if self.on_model is not None and not model.planned:
            self.on_model(model)


def _add_baselines(recipe: Recipe, students: _Students) -> None:
    """Make and score what the distilled students are compared with."""
    from hornbook.evaluation.tfidf_baseline import tfidf_baseline

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
            elif name == RANDOM:
                students.from_random().distil_and_adapt(name, recipe.first_textbook, seed)
            elif name == RANDOM_UNDISTILLED:
                students.from_random().adapt_undistilled(name, seed)
            else:
                students.adapt_undistilled(name, seed, labels="teacher" if name == LOGITS else None)


def _use_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)

"""The teachers of a recipe: fine-tuned, ready, general, or a file; and what they say about texts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hornbook.pipeline.models import OnModel, RunArtifacts, ScoredModel, link, link_model
from hornbook.pipeline.preconditions import refuse_chance_level, refuse_lost_score, refuse_unlabelled
from hornbook.pipeline.textbooks import whole_textbooks
from hornbook.recipe import WHOLE_VOCABULARY, AdaptConfig, Recipe
from hornbook.results import TEACHER, TRIMMED_TEACHER
from hornbook.results.differences import difference
from hornbook.results.predictions import resampled
from hornbook.store import Artifact, Store


def make_task(recipe: Recipe, store: Store, folder: Path | None) -> RunArtifacts:
    """Return the task of a run, labelled by its teacher if it has no labels, and what its teacher's file says."""
    from hornbook import tasks
    from hornbook.tasks.answers import answers, open_answers
    from hornbook.training.taught import taught_task

    teacher, texts = recipe.teacher, tasks.prepare(recipe.task, store)
    file = None
    if teacher.file is not None:
        file = link(answers(teacher.file, texts, store, kind=recipe.task.kind), folder, "answers")
    if recipe.task.is_labelled:
        if file is not None and not file.planned:
            train = tasks.open_task(texts).split("train").select(["text", "text_pair"])
            refuse_unlabelled(recipe, "train", int(np.isfinite(open_answers(file).of(train)).all(axis=1).sum()))
        return RunArtifacts(link(texts, folder, "task"), answers=file)
    task = taught_task(
        *(texts, file or teacher.model, store),
        max_length=recipe.evaluate.max_length,
        label_names=teacher.label_names,
    )
    return RunArtifacts(link(task, folder, "task"), texts=link(texts, folder, "texts"), answers=file)


def make_teacher(
    recipe: Recipe, made: RunArtifacts, store: Store, folder: Path | None, on_model: OnModel | None
) -> Artifact | str:
    """Return the teacher; of several the best on dev, in a dry run the first."""
    from hornbook.evaluation.evaluate import evaluate
    from hornbook.training.finetune import finetune

    config = recipe.teacher
    if config.kind in ("general", "file"):
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
        if recipe.task.is_labelled:  # else it was checked that it names several classes
            refuse_chance_level(made.models[best].evaluation, config.model)
        link_model(made.models[best], folder, TEACHER, f"evaluation-{TEACHER}")
    made.teacher = made.models[best]
    return teachers[best]


@dataclass(frozen=True)
class Teacher:
    """A recipe's teacher, in every form that its students meet.

    Attributes:
        model: the one they learn from.
        before: the same before it was fine-tuned: the teacher of `start`.
        classifier: the one whose speed theirs is compared with; None for a general teacher.
    """

    model: Artifact | str
    before: Artifact | str
    classifier: Artifact | str | None


def trimmed_teacher(
    recipe: Recipe,
    teacher: Teacher,
    made: RunArtifacts,
    store: Store,
    folder: Path | None,
    cluster: str | None,
    on_model: OnModel | None,
) -> Teacher:
    """Return a teacher that reads through the vocabulary of the task and all textbooks; score it if it has a head."""
    from hornbook.evaluation.evaluate import evaluate
    from hornbook.training.vocabulary import task_vocabulary, trimmed_model

    config, size = recipe.teacher, recipe.student.vocabulary
    assert size != WHOLE_VOCABULARY
    books = whole_textbooks(recipe, made, store, cluster)
    vocabulary = link(task_vocabulary(config.model, made.about, books, store, size), folder, "vocabulary")
    made.vocabulary = vocabulary
    model = trimmed_model(teacher.model, vocabulary, store)
    before = model if recipe.start is None else trimmed_model(teacher.before, vocabulary, store)
    if made.teacher is not None:
        scored = evaluate(model, made.task, store, recipe.evaluate, label_names=config.label_names)
        row = ScoredModel(TRIMMED_TEACHER, made.teacher.seed, scored, model=model, trained=(vocabulary, model))
        made.models.append(row)
        if not row.planned and not made.teacher.planned:
            link_model(row, folder, "teacher-trimmed", "evaluation-teacher-trimmed")
            if on_model is not None:
                on_model(row)
            _check_score(made.teacher.evaluation, scored, made)
    return Teacher(model, before, teacher.classifier)


def _check_score(whole: Artifact, trimmed: Artifact, made: RunArtifacts) -> None:
    """Refuse a vocabulary with which the teacher loses too much."""
    from hornbook.pipeline.predictions import gold_of, predicted
    from hornbook.tasks import open_task

    assert made.vocabulary is not None
    task = open_task(made.task)
    gold = gold_of(task)
    before, after = (resampled(predicted(scored, task), gold) for scored in (whole, trimmed))
    refuse_lost_score(whole, trimmed, made.vocabulary, difference({0: before}, {0: after}))


def outputs_of(
    recipe: Recipe,
    made: RunArtifacts,
    teacher: Artifact | str,
    store: Store,
    book: Artifact | None,
    config: AdaptConfig,
) -> Artifact:
    """Return a teacher's outputs on the task's texts, and on some units of a textbook where these count."""
    from hornbook.training.outputs import file_outputs, teacher_outputs

    if made.answers is not None:
        return file_outputs(made.answers, made.task, store, textbook=book, units=config.textbook_units)
    return teacher_outputs(
        *(teacher, made.task, store),
        textbook=book,
        units=config.textbook_units,
        max_length=config.max_length,
        label_names=recipe.teacher.label_names,
    )


def file_labels(recipe: Recipe, made: RunArtifacts, store: Store, books: list[Artifact]) -> list[Artifact]:
    """Return what the teacher's file says about all units of textbooks; none where no distillation asks for it."""
    from hornbook.training.outputs import file_outputs

    if made.answers is None or not any("logits" in one.objectives for one in recipe.distillations().values()):
        return []
    return [file_outputs(made.answers, made.task, store, textbook=book, units=None) for book in books]

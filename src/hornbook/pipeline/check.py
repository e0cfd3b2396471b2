"""Check a recipe without running anything."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hornbook.errors import Unreachable
from hornbook.machine import hub
from hornbook.pipeline.preconditions import check_kind, check_trainings, refuse_unlabelled
from hornbook.pipeline.stages import run_stages
from hornbook.recipe import Recipe
from hornbook.store import Store
from hornbook.tasks.labels import Labels

logger = logging.getLogger("hornbook")


@hub.briefly()
def check(recipe: Recipe) -> list[str]:
    """Check a recipe without running anything: the task is valid, sources exist, sizes and labels fit together.

    Args:
        recipe: the recipe to check.

    Returns:
        what could not be checked because the hub is out of reach: one line for each source.

    Raises:
        HornbookError: the first fault.
    """
    from hornbook import corpus, tasks
    from hornbook.models.loading import label_order, ready_config
    from hornbook.models.probe import check_padding
    from hornbook.models.source import load_config
    from hornbook.models.tokenizers import load_tokenizer, warn_of_length

    teacher, nowhere = recipe.teacher, Path(os.devnull)
    unchecked: dict[str, None] = {}  # in order; several checks may need the same name
    labels = None
    with _noting(unchecked):
        found = tasks.check(recipe.task)
        labels = found.names
        if recipe.task.is_labelled:
            check_kind(recipe, found.kind)
        if teacher.file is not None:
            _check_file(recipe, teacher.file, found)
    for source in recipe.corpus.sources:
        with _noting(unchecked):
            alone = recipe.corpus.model_copy(update={"sources": (source,), "stem": "none"})
            corpus.build(alone, Store(nowhere, dry=True))
    with _noting(unchecked):
        check_trainings(recipe)
        for name in ("teacher.finetune", "distil", "adapt", "evaluate"):
            longest = attrgetter(f"{name}.max_length")(recipe)
            warn_of_length(f"{name}.max_length", longest, teacher.model)
    if teacher.kind == "ready" and labels is not None:
        with _noting(unchecked):
            own = ready_config(teacher.model).id2label
            if recipe.task.is_labelled:
                label_order(own, labels, teacher.label_names, teacher.model)
    if recipe.released is not None:
        with _noting(unchecked):
            load_tokenizer(recipe.released)
            check_padding(load_config(recipe.released))
    with _noting(unchecked):
        run_stages(recipe, Store(nowhere, dry=True))
    return list(unchecked)


def _check_file(recipe: Recipe, file: str, labels: Labels) -> None:
    """Read the teacher's file, and say what is in it and which of the task's texts it leaves out."""
    from hornbook import tasks
    from hornbook.tasks.answers import read_answers

    named = recipe.task.is_labelled
    known = labels.names if named else recipe.task.label_names or ()
    found = read_answers(file, labels.kind if named else recipe.task.kind, known)
    logger.info("%s: %s", file, found)
    with TemporaryDirectory() as folder:
        task = tasks.open_task(tasks.prepare(recipe.task, Path(folder) / "task"))
        for split in task.splits:
            said = found.of(task.split(split).select(["text", "text_pair"]))
            missing = int(np.isnan(said).any(axis=1).sum())
            logger.info("%s: %s of the %s texts of %s have no label in it", file, missing, len(said), split)
            refuse_unlabelled(recipe, split, len(said) - missing)


@contextmanager
def _noting(unchecked: dict[str, None]) -> Iterator[None]:
    """Note what needs the hub while it is out of reach, and go on."""
    try:
        yield
    except Unreachable as error:
        unchecked[str(error)] = None

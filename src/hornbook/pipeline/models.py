"""What a run made: its artefacts, and each model with its row of results."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hornbook.results import ModelArtifacts, ModelResult
from hornbook.store import Artifact


@dataclass(frozen=True)
class ScoredModel:
    """A teacher, student or baseline, scored; with a dry store it may be only planned.

    Attributes:
        name: of its textbook, of a baseline, or `teacher`.
        seed: of its training.
        evaluation: its scores and predictions.
        model: the classifier; None where it is not in the store.
        books: the textbooks it learned from, in order.
        distilled: the students of each distillation, in order; of a snapshot the snapshot last.
        trained: everything that had to be made for it alone, in order.
    """

    name: str
    seed: int
    evaluation: Artifact
    model: Artifact | None = None
    books: tuple[Artifact, ...] = ()
    distilled: tuple[Artifact, ...] = ()
    trained: tuple[Artifact, ...] = ()

    @property
    def planned(self) -> bool:
        """Whether it is not scored yet."""
        return self.evaluation.planned

    def artifacts(self) -> ModelArtifacts:
        """Return the keys of what was made."""
        return ModelArtifacts(
            name=self.name,
            seed=self.seed,
            distilled=tuple(student.key for student in self.distilled),
            model=None if self.model is None else self.model.key,
            evaluation=self.evaluation.key,
        )

    def result(self) -> ModelResult:
        """Return its row of results."""
        from hornbook.tasks.task import score_name

        counts, info, measured = self.evaluation.counts, self.evaluation.info, self.evaluation.measured
        metric = info["metric"]
        return ModelResult(
            name=self.name,
            seed=self.seed,
            textbook=", then ".join(f"{book.counts['units']:,} units" for book in self.books) or None,
            parameters=counts["parameters"],
            parameters_without_embeddings=counts["parameters_without_embeddings"],
            megabytes=round(counts["weight_bytes"] / 1e6, 1),
            dev=info["scores"]["dev"][metric],
            test=info["scores"].get("test", {}).get(metric),
            metric=score_name(metric, info["labels"]) if metric == "f1" else metric,
            scores=info["scores"],
            doubt=info.get("doubt"),
            calibration_error=info["calibration_error"],
            by_class=info.get("by_class", {}).get("dev", {}),
            share_cut=info["share_cut"]["dev"],
            grid=self.trained[-1].info.get("grid") if self.trained else None,
            sentences_per_second=measured["sentences_per_second"]["model"],
            teacher_sentences_per_second=measured["sentences_per_second"].get("teacher"),
            # A student that reads what the teacher computed once would have waited for it as well.
            seconds=round(
                sum(one.measured["seconds"] + one.measured.get("teacher_seconds", 0) for one in self.trained), 1
            ),
        )


OnModel = Callable[[ScoredModel], None]
"""Called with each model as soon as it is scored."""


@dataclass
class RunArtifacts:
    """What the stages of a recipe made; with a dry store some of it is only planned.

    Attributes:
        task: the prepared task.
        corpus: the general corpus; None where no textbook needs it.
        textbooks: by name, also those that others are made from.
        teacher: the one that taught, with its scores; None for a general teacher.
        models: teachers, students and baselines in the order of the report.
        vocabulary: the word pieces that teacher and students read through; None where these are all.
        texts: the task before its teacher labelled it; None where it has labels of its own.
        answers: what the teacher's file says about texts; None where the teacher is a model.
    """

    task: Artifact
    corpus: Artifact | None = None
    textbooks: dict[str, Artifact] = field(default_factory=dict)
    teacher: ScoredModel | None = None
    models: list[ScoredModel] = field(default_factory=list)
    vocabulary: Artifact | None = None
    texts: Artifact | None = None
    answers: Artifact | None = None

    @property
    def about(self) -> Artifact:
        """The task that textbooks are about: it does not change with the teacher that labels it."""
        return self.texts or self.task


def link(artifact: Artifact, folder: Path | None, name: str) -> Artifact:
    """Give an artefact a readable name in the run's folder."""
    if folder is not None:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(artifact.path, folder), target_is_directory=True)
    return artifact


def link_model(model: ScoredModel, folder: Path | None, name: str, evaluation: str) -> None:
    """Give a scored model and its evaluation readable names in the run's folder."""
    if model.model is not None:
        link(model.model, folder, name)
    link(model.evaluation, folder, evaluation)

"""The recipe: everything a whole run needs."""

import difflib
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from hornbook.recipe.data import CorpusConfig, TaskConfig
from hornbook.recipe.settings import NOT_IN_KEY, Count, Name, PathText, Seeds, Settings
from hornbook.recipe.textbooks import AnyTextbook, ChainConfig, CombinedConfig, ContextualizedConfig
from hornbook.recipe.training import AdaptConfig, DistilConfig, EvaluateConfig, StudentConfig, TeacherConfig

Baseline = Literal["undistilled", "logits", "released", "tf-idf"]
BASELINES: tuple[str, ...] = get_args(Baseline)


class StartConfig(Settings):
    """What students learn before they meet the task's teacher: a general teacher's relations through a textbook."""

    textbook: Name
    """A textbook of the recipe; a general one, as a rule."""
    distil: dict[str, Any] = Field(default={})
    """Settings of this distillation where they differ from the recipe's `distil`."""


class Recipe(Settings):
    """A whole run: task, corpus, textbooks, teacher, student, and how each stage goes."""

    name: Name
    """The run's name: its results stand in RUNS/NAME."""
    task: TaskConfig
    """What to learn."""
    corpus: CorpusConfig
    """The general corpus."""
    textbooks: dict[Name, AnyTextbook] = Field(default={"contextualized": ContextualizedConfig()}, min_length=1)
    """From what to learn, by name; a student is distilled from each."""
    teacher: TeacherConfig
    """Who teaches."""
    student: StudentConfig = StudentConfig()
    """Who learns."""
    start: StartConfig | None = None
    """General initialisation: every student is first distilled from `teacher.model` as it is, not fine-tuned."""
    distil: DistilConfig = DistilConfig()
    """How the student is distilled."""
    snapshot: Count | None = Field(default=None, ge=1)
    """Not the distilled student is adapted, but as it was after this step, one of `distil.snapshots`."""
    adapt: AdaptConfig = AdaptConfig()
    """How the student is adapted to the task."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """How models are measured."""
    baselines: tuple[Baseline, ...] = ()
    """What else is adapted and scored, to compare: `undistilled`, the student never distilled; `logits`, the same
    fitted to the teacher's outputs on the task alone; `released`, a model distilled by others, only adapted;
    `tf-idf`, logistic regression on word counts."""
    released: PathText | None = None
    """For the baseline `released`: a folder or hub name."""
    seeds: Seeds = (0,)
    """One student a textbook and seed; corpus, textbooks and teacher are shared."""
    threads: Count | None = Field(default=None, ge=1, json_schema_extra=NOT_IN_KEY)
    """CPU threads for training; by default as many as PyTorch finds cores."""

    @model_validator(mode="after")
    def _check_names(self) -> "Recipe":
        for name in {"teacher", *BASELINES} & self.textbooks.keys():
            raise ValueError(f"a textbook cannot be named {name!r}, which the report needs for another row")
        if ("released" in self.baselines) != (self.released is not None):
            raise ValueError("released: name a model there and put `released` among the baselines, or neither")
        needs_teacher = "logits" in self.baselines or self.adapt.labels != "gold"
        if self.teacher.kind == "general" and needs_teacher:
            raise ValueError(
                "a general teacher has no outputs to fit a student to: leave out the baseline logits and set "
                "adapt.labels to gold, or take a teacher of kind task or ready"
            )
        if self.teacher.label_names is not None and self.teacher.kind != "ready":
            raise ValueError("teacher.label_names: only a teacher of kind ready comes with labels of its own")
        self._check_books()
        for place, config in self.distillations().items():
            self._check_distillation(place, config)
        if self.snapshot is not None and self.snapshot not in self.distil.snapshots:
            raise ValueError(f"snapshot: {self.snapshot} is none of distil.snapshots")
        longest = max(cell.max_length for config in (self.adapt, self.teacher.finetune) for cell in config.cells())
        if self.evaluate.max_length < longest:
            raise ValueError(
                f"evaluate.max_length ({self.evaluate.max_length}) is less than the {longest} of training"
            )
        return self

    def distillations(self) -> dict[str, DistilConfig]:
        """Return the settings of every distillation of the recipe, by where they stand in it."""
        found = {"distil": self.distil}
        if self.start is not None:
            found["start.distil"] = self.distil.changed(self.start.distil)
        for name, config in self.textbooks.items():
            if isinstance(config, ChainConfig):
                found[f"textbooks.{name}.then"] = self.distil.changed(config.then)
        return found

    def _check_distillation(self, place: str, config: DistilConfig) -> None:
        # A start is taught by `teacher.model` as it is, a classifier only if it is a ready one.
        kinds = ("ready",) if place == "start.distil" else ("task", "ready")
        if "logits" in config.objectives and self.teacher.kind not in kinds:
            who = "a general teacher" if self.teacher.kind == "general" else "teacher.model, before it is fine-tuned,"
            raise ValueError(f"{place}.objectives: {who} has no logits; teacher.kind must be {' or '.join(kinds)}")
        for name in ("max_length", "pack"):
            if getattr(config, name) != getattr(self.distil, name):
                raise ValueError(f"{place}.{name}: all textbooks are read alike; set distil.{name}")

    def _check_books(self) -> None:
        if self.start is not None:
            self._check_distil("start.distil", self.start.distil)
            if isinstance(self.textbooks.get(self.start.textbook, ChainConfig), ChainConfig | type):
                raise ValueError(f"start.textbook: {self.start.textbook} is no single textbook of this recipe")
        for name, config in self.textbooks.items():
            for book in config.books if isinstance(config, CombinedConfig) else ():
                if book not in self.textbooks:
                    near = difflib.get_close_matches(book, self.textbooks, n=1, cutoff=0.0)
                    raise ValueError(f"textbooks.{name}.books: no textbook {book!r}; the nearest is {near[0]!r}")
                if isinstance(self.textbooks[book], CombinedConfig):
                    raise ValueError(f"textbooks.{name}.books: {book} is itself made of textbooks; name those")
            if isinstance(config, ChainConfig):
                self._check_distil(f"textbooks.{name}.then", config.then)

    def _check_distil(self, place: str, settings: dict[str, Any]) -> None:
        try:
            self.distil.changed(settings)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, (place, *first["loc"])))
            raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None

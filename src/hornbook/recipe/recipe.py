"""The recipe: the settings of a whole run."""

from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from hornbook.errors import nearest
from hornbook.languages import AUTO
from hornbook.recipe.data import NO_LABEL, CorpusConfig, TaskConfig, TermsConfig
from hornbook.recipe.settings import NOT_IN_KEY, Count, Name, PathText, Seeds, Settings
from hornbook.recipe.ship import ShipConfig
from hornbook.recipe.textbooks import AnyTextbook, ChainConfig, CombinedConfig, ContextualizedConfig
from hornbook.recipe.training import AdaptConfig, DistilConfig, EvaluateConfig, StudentConfig, TeacherConfig

__all__ = [
    "BASELINES",
    "Recipe",
]

Baseline = Literal["undistilled", "logits", "released", "tf-idf", "random", "random-undistilled"]
BASELINES: tuple[str, ...] = get_args(Baseline)


class StartConfig(Settings):
    """General initialisation: students are first distilled from a teacher that was not fine-tuned."""

    textbook: Name
    """Name of a textbook of this recipe, usually a general one."""
    distil: dict[str, Any] = Field(default={})
    """Settings of this distillation that differ from the recipe's `distil`."""


class Recipe(Settings):
    """A whole run: task, corpus, textbooks, teacher, student, and the settings of each stage."""

    name: Name
    """Name of the run. Its results are written to RUNS/NAME."""
    task: TaskConfig
    """The task: labelled text."""
    terms: TermsConfig = TermsConfig()
    """The language."""
    corpus: CorpusConfig
    """The general corpus."""
    textbooks: dict[Name, AnyTextbook] = Field(default={"contextualized": ContextualizedConfig()}, min_length=1)
    """Textbooks by name. One student is distilled on each."""
    teacher: TeacherConfig
    """The teacher model."""
    student: StudentConfig = StudentConfig()
    """The student model."""
    start: StartConfig | None = None
    """General initialisation: distil every student first from `teacher.model` before it is fine-tuned."""
    distil: DistilConfig = DistilConfig()
    """Settings of distillation."""
    snapshot: Count | None = Field(default=None, ge=1)
    """Adapt the snapshot taken at this step (one of `distil.snapshots`) instead of the final student."""
    adapt: AdaptConfig = AdaptConfig()
    """Settings of fine-tuning the student on the task."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Settings of evaluation."""
    baselines: tuple[Baseline, ...] = ()
    """Baselines to adapt and score for comparison: `undistilled`, a student that was never distilled; `logits`, the
    same student fitted to the teacher's outputs on the task; `released`, a model distilled by others, only adapted;
    `tf-idf`, logistic regression on word counts. Where students begin otherwise: `random` and `random-undistilled`,
    the same student from random weights, distilled on the first textbook, and not distilled."""
    released: PathText | None = None
    """Model of the baseline `released`: a folder or hub name."""
    export: ShipConfig | None = None
    """Export a student at the end: `{}`, or settings."""
    seeds: Seeds = (0,)
    """Seeds. One student per textbook and seed; corpus, textbooks and teacher are shared."""
    threads: Count | None = Field(default=None, ge=1, json_schema_extra=NOT_IN_KEY)
    """CPU threads for training. Default: one per core."""

    @model_validator(mode="after")
    def _check_names(self) -> "Recipe":
        for name in {"teacher", *BASELINES} & self.textbooks.keys():
            raise ValueError(f"a textbook cannot be named {name!r}: the report uses this name for another row")
        if ("released" in self.baselines) != (self.released is not None):
            raise ValueError("released: set both a model here and `released` in `baselines`, or neither")
        begins_random = self.student.init == "random" and self.start is None
        if begins_random and (named := [name for name in self.baselines if name.startswith("random")]):
            raise ValueError(
                f"baselines: all students begin from random weights (student.init), so {named[0]!r} would be one of "
                "them again; remove it"
            )
        needs_teacher = "logits" in self.baselines or self.adapt.labels != "gold"
        if self.teacher.kind == "general" and needs_teacher:
            raise ValueError(
                "a general teacher has no classifier outputs: remove the baseline `logits` and set adapt.labels to "
                "gold, or set teacher.kind to task or ready"
            )
        self._check_labels()
        if self.teacher.label_names is not None and self.teacher.kind != "ready":
            raise ValueError("teacher.label_names: only for teacher.kind ready, whose labels may have other names")
        self._check_language()
        self._check_books()
        for place, config in self.distillations().items():
            self._check_distillation(place, config)
        if self.snapshot is not None and self.snapshot not in self.distil.snapshots:
            raise ValueError(f"snapshot: {self.snapshot} is not in distil.snapshots")
        longest = max(cell.max_length for config in (self.adapt, self.teacher.finetune) for cell in config.cells())
        if self.evaluate.max_length < longest:
            raise ValueError(
                f"evaluate.max_length ({self.evaluate.max_length}) is less than max_length in training ({longest})"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _fit_the_teacher(cls, values: Any) -> Any:
        """Adapt to the teacher's outputs by default where the task has no labels of its own."""
        if not isinstance(values, dict) or not isinstance(values.get("adapt", {}), dict):
            return values
        task = values.get("task")
        label = task.get("label") if isinstance(task, dict) else getattr(task, "label", None)
        return {**values, "adapt": {"labels": "teacher", **values.get("adapt", {})}} if label == NO_LABEL else values

    def _check_labels(self) -> None:
        """Check that what is learned has labels, and that a file's labels can be told apart."""
        if not self.task.is_labelled:
            if self.teacher.kind not in ("ready", "file"):
                raise ValueError(
                    f"task.label is {NO_LABEL}, but a teacher of kind {self.teacher.kind} has no labels either; set "
                    "teacher.kind to ready (a classifier) or file"
                )
            if any(cell.labels != "teacher" for cell in self.adapt.cells()):
                raise ValueError(f"adapt.labels: task.label is {NO_LABEL}: set adapt.labels to teacher")
            if "released" in self.baselines:
                raise ValueError(f"baselines: released is adapted to gold labels, but task.label is {NO_LABEL}")
        if self.teacher.kind == "file":
            for place, config in self.distillations().items():
                if "logits" in config.objectives and (config.pack != "none" or config.cache not in ("none", "auto")):
                    raise ValueError(f"{place}: labels of a file are of single units: set pack and cache to none")

    @property
    def first_textbook(self) -> str:
        """The name of the textbook that the baseline `random` is distilled on."""
        return next(iter(self.textbooks))

    def distillations(self) -> dict[str, DistilConfig]:
        """Return the settings of every distillation in the recipe, by their dotted path."""
        found = {"distil": self.distil}
        if self.start is not None:
            found["start.distil"] = self.distil.changed(self.start.distil)
        for name, config in self.textbooks.items():
            if isinstance(config, ChainConfig):
                found[f"textbooks.{name}.then"] = self.distil.changed(config.then)
        return found

    def _check_distillation(self, place: str, config: DistilConfig) -> None:
        # The teacher of `start` is not fine-tuned: it is a classifier only if its kind is `ready`.
        kinds = ("ready",) if place == "start.distil" else ("task", "ready", "file")
        if "logits" in config.objectives and self.teacher.kind not in kinds:
            who = "a general teacher" if self.teacher.kind == "general" else "teacher.model (before fine-tuning)"
            raise ValueError(f"{place}.objectives: {who} has no logits; teacher.kind must be {' or '.join(kinds)}")
        for name in ("max_length", "pack"):
            if getattr(config, name) != getattr(self.distil, name):
                raise ValueError(f"{place}.{name}: must be the same for all textbooks; set distil.{name}")

    def _check_language(self) -> None:
        language = self.terms.language
        settings = {"corpus.stem": self.corpus.stem, "corpus.language": self.corpus.language}
        settings |= {f"textbooks.{name}.language": config.language for name, config in self.textbooks.items()}
        for place, named in settings.items():
            if language != AUTO and named not in (None, "none", AUTO, language):
                raise ValueError(f"{place} is {named}, but terms.language is {language}; set terms.language alone")

    def _check_books(self) -> None:
        exported = self.export.student if self.export is not None else None
        if exported is not None and exported not in self.textbooks:
            near = nearest(exported, self.textbooks)
            raise ValueError(f"export.student: no textbook {exported!r}; the nearest is {near!r}")
        if self.start is not None:
            self._check_distil("start.distil", self.start.distil)
            if isinstance(self.textbooks.get(self.start.textbook, ChainConfig), ChainConfig | type):
                raise ValueError(
                    f"start.textbook: {self.start.textbook} is not a textbook of this recipe, or is a chain"
                )
        for name, config in self.textbooks.items():
            for book in config.books if isinstance(config, CombinedConfig) else ():
                if book not in self.textbooks:
                    near = nearest(book, self.textbooks)
                    raise ValueError(f"textbooks.{name}.books: no textbook {book!r}; the nearest is {near!r}")
                if isinstance(self.textbooks[book], CombinedConfig):
                    raise ValueError(
                        f"textbooks.{name}.books: {book} is itself a union or chain; name its textbooks instead"
                    )
            if isinstance(config, ChainConfig):
                self._check_distil(f"textbooks.{name}.then", config.then)

    def _check_distil(self, place: str, settings: dict[str, Any]) -> None:
        try:
            self.distil.changed(settings)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, (place, *first["loc"])))
            raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None

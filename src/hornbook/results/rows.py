"""Parts of the results of runs and experiments: rows, summaries, stages. Each is written to JSON and read back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from hornbook.results.inspection import TextbookComparison

AxisValue = str | int | float | bool
Compact = str | list[Any]
"""Labels or scores as `predictions.compact` shortens them."""


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """The scores, size and speed of one model: a row of the table of results.

    Attributes:
        name: of its textbook, of a baseline, or `teacher`.
        seed: of its training.
        dev: the headline score on dev, 0 to 1.
        metric: the name of the headline score.
        textbook: the size of its textbook as text, such as `9 units`; None for a model that was not distilled.
        parameters: the number of parameters, embeddings included.
        parameters_without_embeddings: the same without token and position embeddings.
        megabytes: size of its weights, 10⁶ bytes.
        test: the headline score on test; None without test labels.
        scores: all scores, by split and name.
        doubt: a warning about all predictions of a regression; None if they look sound.
        by_class: agreement with the teacher on dev by the class that it names, where it labelled the task.
        calibration_error: on dev, 0 to 1; None for a regression.
        share_cut: share of the dev inputs that were truncated, 0 to 1.
        grid: the settings that were tried, each with its dev score; None without a grid.
        sentences_per_second: inference speed.
        teacher_sentences_per_second: speed of the teacher, measured alternately with it.
        seconds: time of all its training.
    """

    name: str
    seed: int
    dev: float
    metric: str
    textbook: str | None
    parameters: int
    parameters_without_embeddings: int = 0
    megabytes: float = 0.0
    test: float | None
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    doubt: str | None = None
    calibration_error: float | None
    by_class: Mapping[str, float | None] = field(default_factory=dict)
    share_cut: float
    grid: tuple[Mapping[str, Any], ...] | None = None
    sentences_per_second: float
    teacher_sentences_per_second: float | None = None
    seconds: float


@dataclass(frozen=True)
class TeacherScore:
    """The dev score of one of a cell's teachers."""

    seed: int
    dev: float


@dataclass(frozen=True, kw_only=True)
class CellResult(ModelResult):
    """A finished cell of an experiment: one student, where it stands in the grid, and what it predicted on dev.

    Attributes:
        key: of the cell: the same settings and data give the same key.
        at: the value of each axis.
        task: the key of the task.
        minutes: how long the cell took.
        predicted: its predictions on dev, as `GoldLabels.dev` holds the labels.
        teachers: the dev scores of its teachers.
    """

    key: str = ""
    at: dict[str, AxisValue]
    task: str
    minutes: float
    predicted: Compact
    teachers: tuple[TeacherScore, ...] = ()
    # Defaults for rows of earlier versions; no table of an experiment shows these fields.
    name: str = ""
    textbook: str | None = None
    parameters: int = 0
    test: float | None = None
    calibration_error: float | None = None
    share_cut: float = 0.0
    sentences_per_second: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TextbookCellResult:
    """A finished cell of an experiment that measures textbooks; `statistics` contains none of their text."""

    key: str = ""
    at: dict[str, AxisValue]
    task: str
    minutes: float
    statistics: TextbookComparison


def _cell_kind(cell: Any) -> str:
    if isinstance(cell, Mapping):
        return "textbooks" if "statistics" in cell else "scores"
    return "textbooks" if isinstance(cell, TextbookCellResult) else "scores"


FinishedCell = CellResult | TextbookCellResult
AnyCell = Annotated[
    Annotated[CellResult, Tag("scores")] | Annotated[TextbookCellResult, Tag("textbooks")], Discriminator(_cell_kind)
]
"""A `FinishedCell` as it stands in JSON: one with `statistics` measured textbooks."""


@dataclass(frozen=True)
class GoldLabels:
    """The gold labels of a task's dev split, and how predictions are scored against them."""

    kind: str
    metric: str
    dev: Compact
    labels: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """A stage of a run: its name, key and folder, how long it took, and whether it was reused.

    `seconds` is None while it is only planned.
    """

    stage: str
    key: str
    folder: str = ""
    seconds: float | None
    reused: bool


@dataclass(frozen=True, kw_only=True)
class PlannedStage(StageResult):
    """A stage of a plan, with what it will take.

    Attributes:
        estimated_seconds: 0 where it is finished.
        estimated_megabytes: of disk, when it is finished.
        checkpoint_megabytes: additional disk space during training.
        rough: whether no similar stage was run, so that the estimates are those of a small task.
        saved_seconds: the seconds that it saves other stages, 0 for most.
    """

    estimated_seconds: int
    estimated_megabytes: float
    checkpoint_megabytes: float
    rough: bool
    saved_seconds: int = 0


@dataclass(frozen=True)
class Spread:
    """Mean, median and standard deviation of some values; `spread` is None for a single one."""

    mean: float
    median: float
    spread: float | None


@dataclass(frozen=True)
class ModelSummary:
    """The seeds of one model together.

    Attributes:
        name, textbook, parameters: as in `ModelResult`.
        seeds: in their order.
        dev: the headline score on dev.
        test: the same on test; None without test labels.
        share_of_teacher: mean dev score over that of the teacher; None without a teacher's score.
        errors: of a regression, in the unit of its scores, by split and name; else empty.
        calibration_error, share_cut, sentences_per_second, seconds: means.
    """

    name: str
    textbook: str | None
    parameters: int
    seeds: tuple[int, ...]
    dev: Spread
    test: Spread | None
    share_of_teacher: float | None
    errors: dict[str, dict[str, Spread]]
    calibration_error: float | None
    share_cut: float
    sentences_per_second: float
    seconds: float


@dataclass(frozen=True)
class TaskResult:
    """The task of a run: key, name, kind, name of its headline score, and the number of examples by split."""

    key: str
    name: str
    kind: str
    metric: str
    examples: dict[str, int]


@dataclass(frozen=True)
class VocabularyResult:
    """The word pieces that teacher and students of a run read through, where these are not all.

    Attributes:
        pieces: how many are kept.
        pieces_before: how many the teacher's tokenizer has.
        tokens_per_text: mean over the train split, without special tokens.
        tokens_per_text_before: the same with all pieces.
    """

    pieces: int
    pieces_before: int
    tokens_per_text: float
    tokens_per_text_before: float


@dataclass(frozen=True)
class Speed:
    """How fast a model answers in one format, at one size of batches. A call includes the tokenizer.

    Attributes:
        model: the folder or hub name; in a run `teacher` or `student`.
        format: `int8`, `onnx` (float32) or `pytorch`.
        batch: texts in a call.
        sentences_per_second: texts a second.
        p50_ms: the median time of a call (milliseconds).
        p95_ms: the time within which 95% of the calls are done (milliseconds).
        mb: the graph or the weights on disk (megabytes).
        peak_mb: the most memory of a process that classifies with it (megabytes).
    """

    model: str
    format: str
    batch: int
    sentences_per_second: float
    p50_ms: float
    p95_ms: float
    mb: float
    peak_mb: float


@dataclass(frozen=True)
class FormatResult:
    """Scores, size and speed of one graph of an export.

    Attributes:
        format: `float32` or `int8`.
        megabytes: the graph, 10⁶ bytes.
        dev, test: the headline score, 0 to 1; None without test labels.
        sentences_per_second: inference speed, measured as that of models.
    """

    format: str
    megabytes: float
    dev: float
    test: float | None
    sentences_per_second: float


@dataclass(frozen=True, kw_only=True)
class AskedOnceResult:
    """What the students of a run read of their teachers' activations on the disk (`distil.cache`).

    Attributes:
        students: how many distillations read.
        tokens_read: by all of them together, each pass counted.
        tokens_asked: for how many tokens teachers were asked.
        seconds: how long the teachers took.
        saved_seconds: how much longer they would have taken, at the same speed, for all tokens that were read.
    """

    students: int
    tokens_read: int
    tokens_asked: int
    seconds: float
    saved_seconds: float


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """The export of a student of a run.

    Attributes:
        name, seed: the student's.
        key: of the export.
        folder: where it is.
        megabytes: its float32 graph, 10⁶ bytes.
        largest_difference: of its logits from PyTorch's.
        int8: the kind of int8 graph that passed the gate; None if there is none.
        int8_megabytes: its size.
        int8_why_not: why no int8 graph was published, if it was tried.
        agreement: the share of texts to which the int8 graph gives the student's label, by what was compared.
        formats: its graphs.
        speeds: of teacher and student in each format, if the recipe asks for them.
    """

    name: str
    seed: int
    key: str
    folder: str
    megabytes: float
    largest_difference: float
    int8: str | None = None
    int8_megabytes: float | None = None
    int8_why_not: str | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)
    formats: tuple[FormatResult, ...] = ()
    speeds: tuple[Speed, ...] = ()


@dataclass(frozen=True)
class ModelArtifacts:
    """What was made for one model of a run, by content keys.

    Attributes:
        name, seed: of its row.
        distilled: one for each distillation, in order: several for a chain, none for a model that was not distilled.
        model: the classifier; None if it is not in the store.
        evaluation: its predictions and scores.
    """

    name: str
    seed: int
    distilled: tuple[str, ...]
    model: str | None
    evaluation: str

"""What the page of a run shows beyond scores: curves, textbooks, anchors, mistakes, calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class CurvePoint:
    """A point of a training curve.

    Attributes:
        model, seed: of the row in the table of results.
        stage: distillation, or fine-tuning on the task.
        link: which distillation of a chain, from 1.
        step: optimizer steps since the stage began.
        loss: mean training loss since the point before; None where only the score was measured.
        score: the headline score on dev, 0 to 1; None where it was not measured.
    """

    model: str
    seed: int
    stage: Literal["distil", "adapt"]
    step: int
    loss: float | None = None
    score: float | None = None
    link: int = 1


@dataclass(frozen=True)
class Mistake:
    """A dev example that the best student gets wrong and its teacher right.

    Attributes:
        text, text_pair: the example.
        gold, teacher, student: the label, or the score of a regression.
        sure: the student's probability of its answer; for a regression its absolute error minus the teacher's.
    """

    text: str
    gold: str | float
    teacher: str | float
    student: str | float
    sure: float
    text_pair: str | None = None


@dataclass(frozen=True)
class CalibrationBin:
    """Accuracy of a model on the dev examples with similar confidence; all seeds together.

    Attributes:
        model: its name.
        confidence: mean probability of its answers in this bin.
        accuracy: share of them that are right.
        share: of all dev examples.
    """

    model: str
    confidence: float
    accuracy: float
    share: float


@dataclass(frozen=True)
class DrawnUnit:
    """A unit that an anchor retrieves; `matches` are the character ranges of the anchor's terms in it.

    `anchors` is the number of the task's anchors that retrieve it; None if the textbook does not contain it.
    """

    unit: int
    rank: int
    score: float
    source: str
    text: str
    matches: tuple[tuple[int, int], ...]
    in_textbook: bool
    anchors: int | None


@dataclass(frozen=True)
class Anchor:
    """An anchor of the task, its keywords, how many units it retrieves, and the best of them."""

    text: str
    keywords: tuple[str, ...]
    hits: int
    units: tuple[DrawnUnit, ...]


@dataclass(frozen=True)
class MostDrawn:
    """A unit that many anchors retrieve, with its best rank and score among them."""

    unit: int
    rank: int
    score: float
    anchors: int
    source: str | None = None
    text: str = ""


@dataclass(frozen=True)
class Contamination:
    """Number of units that contain a dev or test text, number of texts found, number of texts looked for."""

    units: int
    found: int
    texts: int


@dataclass(frozen=True)
class TextbookContents:
    """The contents of a textbook.

    Attributes:
        name, kind: of the textbook; `task` for the task's own text.
        cases: how many units.
        bytes, words: their size.
        lengths: how many units have 0, 1, 2 … words.
        sources: units by source.
        most_drawn: units that most anchors retrieved.
        counts, info: what its manifest says.
        contamination: dev and test texts in it; None where they were not looked for.
    """

    name: str
    kind: str
    cases: int
    bytes: int
    words: int
    lengths: tuple[int, ...]
    sources: dict[str, int]
    most_drawn: tuple[MostDrawn, ...] = ()
    counts: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    contamination: Contamination | None = None


@dataclass(frozen=True)
class Percent:
    """A mean over samples and its standard deviation, percent."""

    mean: float
    spread: float


@dataclass(frozen=True)
class DistinctGroup:
    """Distinct-1 and Distinct-2 of texts (`of`, by name) in samples as large as the smallest text (`like`)."""

    like: str
    unigrams: int
    of: dict[str, tuple[Percent, Percent]]


@dataclass(frozen=True)
class Overlap:
    """Words in common among the most frequent of each text, percent."""

    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class TextbookComparison:
    """Textbooks side by side: contents, lexical diversity, vocabulary overlap (the paper's Tables 1, 3, Figure 3)."""

    books: tuple[TextbookContents, ...]
    distinct: tuple[DistinctGroup, ...]
    overlap: Overlap


@dataclass(frozen=True)
class Inspection:
    """What the page of a run shows beyond its scores.

    Attributes:
        curves: of every distillation and fine-tuning.
        statistics: of the textbooks; None where no textbook was built.
        anchors: some anchors and what they retrieve, by the name of the contextualized textbook.
        mistakes: of the best student, the most confident first.
        calibration: of every classifier.
    """

    curves: tuple[CurvePoint, ...] = ()
    statistics: TextbookComparison | None = None
    anchors: dict[str, tuple[Anchor, ...]] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()

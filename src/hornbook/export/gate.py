"""The gate that an int8 graph passes before it is published: it answers as the student does.

Accuracy on a thousand examples cannot tell graphs apart; agreement with the student can, and needs no labels. So both
are measured: agreement on dev and on a textbook, and the loss of the score with its interval.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.export.session import OnnxClassifier, Pairs
from hornbook.export.verify import compositions, texts_of_task, texts_of_textbook
from hornbook.machine.progress import progress
from hornbook.metrics import score_of
from hornbook.models.loading import label_order
from hornbook.recipe import ExportConfig
from hornbook.results.differences import Difference, difference
from hornbook.results.predictions import resampled
from hornbook.results.rows import GoldLabels
from hornbook.store import Artifact
from hornbook.tasks import open_task
from hornbook.tasks.kinds import TaskKind

_MOST_MOVED = 1e-3  # a probability, by batch mates or padding
_MOST_SHIFTED = 0.05  # scores on average, in standard deviations of the student's
_PART = 1024


@dataclass(frozen=True)
class Sample:
    """Texts and what the student answers to them.

    Attributes:
        name: `dev` or `textbook`.
        texts: the texts.
        outputs: the student's logits, shape (texts, labels), with labels in the student's order.
        gold: gold labels, if there are any.
        columns: the student's column of each label of the task.
        metric: the task's metric.
        by_teacher: whether the gold labels are a teacher's.
    """

    name: str
    texts: Pairs
    outputs: NDArray[Any]
    gold: NDArray[Any] | None = None
    columns: Sequence[int] = ()
    metric: str = ""
    by_teacher: bool = False


@dataclass(frozen=True)
class Comparison:
    """How a graph compares with the student on one sample.

    Attributes:
        agreement: the share of texts with the same labels; for scores the correlation.
        mean_difference: the mean absolute difference of probabilities; for scores in standard deviations.
        gain: of the score over the student's, with its 95% interval, in points; None without gold labels.
    """

    agreement: float
    mean_difference: float
    gain: Difference | None = None


def samples(
    student: OnnxClassifier, names: Mapping[int, str], task: Artifact | None, textbook: Artifact | None, most: int
) -> list[Sample]:
    """Return the texts that a graph is judged on, with the student's own answers.

    Args:
        student: the student's graph in float32, which is PyTorch's to 1e-4 and faster.
        names: the names of its labels, `id2label`.
        task: a prepared task, for its dev split.
        textbook: a finished textbook, for its first units.
        most: the most units.

    Returns:
        a sample of each that is given.
    """
    units = list(itertools.islice(texts_of_textbook(textbook), most))
    named = {name: texts for name, texts in (("dev", list(texts_of_task(task))), ("textbook", units)) if texts}
    found = [Sample(name, texts, answers(student, texts, f"float32 on {name}")) for name, texts in named.items()]
    return [_with_gold(one, names, task) if one.name == "dev" and task else one for one in found]


def _with_gold(sample: Sample, names: Mapping[int, str], task: Artifact) -> Sample:
    opened = open_task(task)
    columns = label_order(names, opened.labels, None, "the student")
    labels = (opened.gold("dev"), columns, opened.metric, opened.by_teacher)
    return Sample(sample.name, sample.texts, sample.outputs, *labels)


def compare_outputs(kind: TaskKind, sample: Sample, found: NDArray[np.float32]) -> Comparison:
    """Compare a graph's outputs with the student's.

    Args:
        kind: what the outputs mean.
        sample: the texts and the student's outputs.
        found: the graph's outputs, shape (texts, labels).

    Returns:
        agreement, distance and the gain of the score.
    """
    apart = float(np.abs(kind.probabilities(found) - kind.probabilities(sample.outputs)).mean())
    if kind.has_classes:
        same = kind.predicted(found) == kind.predicted(sample.outputs)
        agreement = float((same if same.ndim == 1 else same.all(axis=1)).mean())
    else:
        spread = float(sample.outputs.std()) or 1.0
        agreement = score_of(kind.name, "pearson", sample.outputs[:, 0], found[:, 0].astype(np.float64))
        apart /= spread
    if sample.gold is None:
        return Comparison(agreement, apart)
    gold = GoldLabels(kind.name, sample.metric, sample.gold.tolist())
    scores = [
        {0: 100 * resampled(kind.predicted(outputs[:, sample.columns]).tolist(), gold)}
        for outputs in (found, sample.outputs)
    ]
    return Comparison(agreement, apart, difference(*scores))


def moved(kind: TaskKind, classify: OnnxClassifier, texts: Pairs, length: int) -> float:
    """Return by how much a probability moves with batch mates and padding; infinite if a label does.

    For scores: in standard deviations.
    """
    alone, *others = compositions(classify, classify.encode(*_columns(texts)), length)
    if not kind.has_classes:
        return max(float(np.abs(other - alone).max()) for other in others) / (float(alone.std()) or 1.0)
    if any((kind.predicted(other) != kind.predicted(alone)).any() for other in others):
        return float("inf")
    return max(float(np.abs(kind.probabilities(o) - kind.probabilities(alone)).max()) for o in others)


def faults(kind: TaskKind, compared: Mapping[str, Comparison], config: ExportConfig) -> list[str]:
    """Return in which ways a graph falls short; none if it passes.

    Args:
        kind: what the outputs mean.
        compared: comparisons by the name of their sample.
        config: the limits.

    Returns:
        a phrase for each limit that is not met.
    """
    found = [] if compared else ["neither a task nor a textbook was given to compare it on"]
    what = "agreement" if kind.has_classes else "correlation"
    for name, one in compared.items():
        if not one.agreement >= config.agreement:
            found.append(f"its {what} with the student on {name} is {one.agreement:.2%}")
        if not kind.has_classes and not one.mean_difference <= _MOST_SHIFTED:
            found.append(f"its scores on {name} differ by {one.mean_difference:.2g} standard deviations")
        if one.gain is not None and not -one.gain.low <= config.most_loss:
            found.append(
                f"it may lose {-one.gain.low:.2f} points on {name} (95% interval {one.gain.low:+.2f} to "
                f"{one.gain.high:+.2f})"
            )
    return found


def depends_on_batch(difference: float) -> bool:
    """Return whether answers move with their batch more than is allowed."""
    return not difference <= _MOST_MOVED


def answers(classify: OnnxClassifier, texts: Pairs, about: str) -> NDArray[np.float32]:
    """Return a graph's outputs for texts, with progress on what is named."""
    parts = []
    with progress(about, len(texts), "texts") as done:
        for start in range(0, len(texts), _PART):
            parts.append(classify.logits(*_columns(texts[start : start + _PART])))
            done.advance(len(parts[-1]))
    return np.concatenate(parts)


def _columns(texts: Pairs) -> tuple[list[str], list[str | None]]:
    return [first for first, _ in texts], [second for _, second in texts]

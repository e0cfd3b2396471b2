"""The eight GLUE tasks (Wang et al. 2019); their metrics are inferred from the paper's table 2."""

from collections.abc import Mapping
from dataclasses import dataclass

from hornbook.errors import HornbookError

HUB_NAME = "nyu-mll/glue"
NO_TEST = "none (GLUE's test labels are not public)"


@dataclass(frozen=True)
class GlueTask:
    """One GLUE task, with the column names and label numbers of the hub dataset `nyu-mll/glue`.

    Attributes:
        text: the column with the first text.
        text_pair: the column with the second text, or None.
        labels: the names of the labels 0, 1, 2, …; empty for regression.
        metric: the headline metric on dev: accuracy, matthews or spearman.
        dev: the stored split that serves as dev.
        range: the lowest and the highest legal score, for regression.
    """

    text: str
    text_pair: str | None
    labels: tuple[str, ...]
    metric: str = "accuracy"
    dev: str = "validation"
    range: tuple[float, float] | None = None

    @property
    def kind(self) -> str:
        """The kind of the task, a key of `KINDS`."""
        return "classification" if self.labels else "regression"

    @property
    def splits(self) -> dict[str, str]:
        """The hub's name for each of our splits."""
        given = {"train": "train", "dev": self.dev}
        return given | ({"dev_mismatched": "validation_mismatched"} if self.dev == "validation_matched" else {})


def glue_average(scores: Mapping[str, float]) -> float:
    """Return AVG: the mean of the headline scores of the eight tasks (paper, table 2).

    Args:
        scores: the headline score of each task, by name.

    Returns:
        the mean, on the scale of the scores.

    Raises:
        HornbookError: a task is missing or unknown.
    """
    if missing := [name for name in GLUE if name not in scores]:
        raise HornbookError(f"GLUE's average needs all eight tasks; {', '.join(missing)} missing")
    if strange := [name for name in scores if name not in GLUE]:
        raise HornbookError(f"{strange[0]}: not a GLUE task; the tasks are {', '.join(GLUE)}")
    return sum(scores.values()) / len(scores)


_ENTAILMENT = ("entailment", "not_entailment")

GLUE = {
    "mnli": GlueTask("premise", "hypothesis", ("entailment", "neutral", "contradiction"), dev="validation_matched"),
    "sst2": GlueTask("sentence", None, ("negative", "positive")),
    "rte": GlueTask("sentence1", "sentence2", _ENTAILMENT),
    "mrpc": GlueTask("sentence1", "sentence2", ("not_equivalent", "equivalent")),
    "cola": GlueTask("sentence", None, ("unacceptable", "acceptable"), metric="matthews"),
    "stsb": GlueTask("sentence1", "sentence2", (), metric="spearman", range=(0, 5)),
    "qqp": GlueTask("question1", "question2", ("not_duplicate", "duplicate")),
    "qnli": GlueTask("question", "sentence", _ENTAILMENT),
}

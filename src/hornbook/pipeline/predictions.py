"""Gold labels and predictions on dev of what was evaluated, as results keep them."""

import pyarrow.parquet as pq

from hornbook.results import GoldLabels
from hornbook.results.predictions import compact
from hornbook.results.rows import Compact
from hornbook.store import Artifact
from hornbook.tasks import Task
from hornbook.tasks.kinds import KINDS


def gold_of(task: Task) -> GoldLabels:
    """Return the gold labels of a task's dev split."""
    return GoldLabels(
        name=task.name,
        kind=task.kind,
        metric=task.metric,
        labels=tuple(task.labels),
        dev=compact(task.gold("dev").tolist()),
    )


def predicted(scored: Artifact, task: Task) -> Compact:
    """Return predictions on dev as `Task.gold` has labels: class indices, 0 or 1 for every label, or scores.

    Args:
        scored: an evaluation.
        task: of which it is.

    Returns:
        one value for each example.
    """
    answers = pq.read_table(scored.file("predictions-dev.parquet"), columns=["predicted"])["predicted"].to_pylist()
    return compact(KINDS[task.kind].unnamed(answers, task.labels))

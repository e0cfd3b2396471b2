"""The task's own texts as a textbook: what a student learns from where there is nothing else."""

from collections.abc import Iterator

import pyarrow as pa

from hornbook.tasks import Task
from hornbook.tasks.kinds import KINDS
from hornbook.textbook.store import SCHEMA


def units(task: Task) -> Iterator[pa.Table]:
    """Yield the texts of train in their order, with pairs and labels; of equal rows each.

    Labels are the names of classes (of several: joined by commas), or the score.
    """
    yield table_of_rows(task, task.split("train"))


def table_of_rows(task: Task, rows: pa.Table) -> pa.Table:
    """Return rows of a task's split as units of a textbook."""
    names = KINDS[task.kind].texts(rows.column("label"), task.labels)
    nothing = {field.name: pa.nulls(len(rows), field.type) for field in SCHEMA}
    given = {"text": rows.column("text"), "text_pair": rows.column("text_pair"), "label": names}
    return pa.table({name: given.get(name, nothing[name]) for name in SCHEMA.names}).cast(SCHEMA)

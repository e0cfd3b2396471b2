"""The task's own texts as a textbook: what a student learns from where there is nothing else."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from hornbook.tasks import Task
from hornbook.textbook.store import SCHEMA


def units(task: Task) -> Iterator[pa.Table]:
    """Yield the texts of train in their order, with pairs and labels; of equal rows each.

    Labels are the names of classes (of several: joined by commas), or the score.
    """
    yield table_of_rows(task, task.split("train"))


def table_of_rows(task: Task, rows: pa.Table) -> pa.Table:
    """Return rows of a task's split as units of a textbook."""
    labels = rows.column("label")
    if task.kind == "classification":
        names = pa.array(task.labels).take(labels.combine_chunks())
    elif task.kind == "multilabel":
        chosen = (
            ",".join(name for name, has in zip(task.labels, row, strict=True) if has) for row in labels.to_pylist()
        )
        names = pa.array(list(chosen), pa.string())
    else:
        names = pc.cast(labels, pa.string()).combine_chunks()
    nothing = {field.name: pa.nulls(len(rows), field.type) for field in SCHEMA}
    given = {"text": rows.column("text"), "text_pair": rows.column("text_pair"), "label": names}
    return pa.table({name: given.get(name, nothing[name]) for name in SCHEMA.names}).cast(SCHEMA)

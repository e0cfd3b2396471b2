"""The task's own training texts as a textbook."""

from collections.abc import Iterator

import pyarrow as pa

from hornbook.recipe import TaskTextConfig
from hornbook.store import StageContext
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.store import table_of_task


def build(config: TaskTextConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Yield the rows of train in their order, duplicates included.

    Args:
        config: no settings.
        materials: the task.
        context: the stage, not used.

    Yields:
        One table of `store.SCHEMA`.
    """
    yield table_of_task(materials.task, materials.task.split("train"))


KIND = TextbookKind(TaskTextConfig, build, needs=("task",))

"""Importance resampling: units whose n-grams are likelier in the task than in the corpus (Xie et al. 2023, DSIR)."""

from collections.abc import Iterator

import pyarrow as pa

from hornbook.artifact import Work
from hornbook.corpus import Corpus
from hornbook.recipe import ImportanceConfig
from hornbook.tasks import Task


def units(config: ImportanceConfig, corpus: Corpus, task: Task, size: int | None, work: Work) -> Iterator[pa.Table]:
    """Yield the units drawn, by rising id."""
    raise NotImplementedError

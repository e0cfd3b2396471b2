"""Augmented text: the task's own texts with words replaced by likely ones (TinyBERT, Jiao et al. 2020)."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from hornbook.artifact import Work
from hornbook.recipe import AugmentedConfig
from hornbook.tasks import Task


def inputs(config: AugmentedConfig) -> Mapping[str, str]:
    """Return the keys of the model and the vectors."""
    raise NotImplementedError


def units(config: AugmentedConfig, task: Task, work: Work) -> Iterator[pa.Table]:
    """Yield every text of train and its variants."""
    raise NotImplementedError

"""Tasks: labelled text with its splits, anchors and metric."""

from hornbook.tasks.build import check, prepare, train_texts
from hornbook.tasks.task import Task, kind_version, open_task

__all__ = ["Task", "check", "kind_version", "open_task", "prepare", "train_texts"]

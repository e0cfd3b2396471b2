"""What to learn: labelled data with its splits, anchors and metric."""

from hornbook.tasks.task import Task, open_task, prepare

__all__ = ["Task", "open_task", "prepare"]

"""What to learn: labelled data with its splits, anchors and metric."""

from hornbook.tasks.task import Task, check, open_task, prepare

__all__ = ["Task", "check", "open_task", "prepare"]

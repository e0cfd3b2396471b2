"""What to learn: labelled data with its splits, anchors and metric."""

from hornbook.tasks.task import REGRESSION, Task, check, kind_version, open_task, prepare

__all__ = ["REGRESSION", "Task", "check", "kind_version", "open_task", "prepare"]

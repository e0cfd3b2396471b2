"""From a recipe to its results: the order of stages, whole runs, plans."""

from hornbook.pipeline.estimate import estimates, free_megabytes, timed
from hornbook.pipeline.order import books, cell
from hornbook.pipeline.runs import STORE, TABLE, Outcome, check, plan, run
from hornbook.report import REPORT

__all__ = [
    "REPORT",
    "STORE",
    "TABLE",
    "Outcome",
    "books",
    "cell",
    "check",
    "estimates",
    "free_megabytes",
    "plan",
    "run",
    "timed",
]

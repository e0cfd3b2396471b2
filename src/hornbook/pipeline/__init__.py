"""From a recipe to its results: the order of stages, whole runs, plans."""

from hornbook.pipeline.estimate import estimates, free_megabytes, timed
from hornbook.pipeline.runs import STORE, TABLE, Outcome, check, out_of_reach, plan, run
from hornbook.pipeline.stages import books, cell
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
    "out_of_reach",
    "plan",
    "run",
    "timed",
]

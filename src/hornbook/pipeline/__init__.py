"""From a recipe to its results: the order of stages, whole runs, plans."""

from hornbook.pipeline.check import check
from hornbook.pipeline.plan import STORE, estimates, free_megabytes, out_of_reach, plan, timed
from hornbook.pipeline.run import TABLE, run
from hornbook.pipeline.stages import run_cell
from hornbook.pipeline.textbooks import build_textbooks

__all__ = [
    "STORE",
    "TABLE",
    "build_textbooks",
    "check",
    "estimates",
    "free_megabytes",
    "out_of_reach",
    "plan",
    "run",
    "run_cell",
    "timed",
]

"""Experiments: many runs that differ in some settings and share what they can."""

from hornbook.experiment.grid import Cell, cells
from hornbook.experiment.results import Results
from hornbook.experiment.run import plan, run

__all__ = ["Cell", "Results", "cells", "plan", "run"]

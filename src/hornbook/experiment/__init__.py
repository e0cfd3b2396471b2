"""Experiments: many runs that differ in some settings and share what they can."""

from hornbook.experiment.execute import plan, run
from hornbook.experiment.grid import Cell, cells
from hornbook.experiment.results import Results

__all__ = ["Cell", "Results", "cells", "plan", "run"]

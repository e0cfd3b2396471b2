"""Experiments: many runs that differ in some settings and share what they can."""

from hornbook.experiment.execute import TABLE, run_cells, run_experiment
from hornbook.experiment.finished import FinishedCells
from hornbook.experiment.grid import Cell, cells
from hornbook.experiment.plan import ExperimentPlan, plan

__all__ = ["TABLE", "Cell", "ExperimentPlan", "FinishedCells", "cells", "plan", "run_cells", "run_experiment"]

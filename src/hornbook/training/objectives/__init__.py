"""What a student learns from its teacher: one file for each objective; the table is `recipe/objectives.py`."""

from hornbook.recipe.objectives import OBJECTIVES
from hornbook.training.objectives.base import Objective, Pair

register = OBJECTIVES.register

__all__ = ["Objective", "Pair", "register"]

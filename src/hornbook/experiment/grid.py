"""From the axes of an experiment to its cells, each a recipe of its own."""

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError, nearest
from hornbook.recipe import ChainConfig, Experiment, Recipe, read_values, set_value, validate

NONE = "none"
"""The value of the axis `textbook` for a student that was never distilled."""
# The paths of axes with short names.
_PATHS = {
    "init": "student.init",
    "teacher": "teacher.kind",
    "steps": "distil.steps",
    "pack": "distil.pack",
}


@dataclass(frozen=True)
class Cell:
    """One run of an experiment.

    Attributes:
        at: the value of each axis; of named values the name.
        recipe: all its settings; one seed.
        textbook: the name of the student's textbook, None for a student that was never distilled.
        compared: the names of the textbooks to measure; none for a cell with a student.
    """

    at: Mapping[str, Any]
    recipe: Recipe
    textbook: str | None
    compared: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its coordinates in words: `textbook general, seed 0`."""
        return ", ".join(f"{axis} {value}" for axis, value in self.at.items())


def cells(experiment: Experiment, where: Path) -> list[Cell]:
    """Return the cells of an experiment.

    Args:
        experiment: its settings.
        where: its file; the path of the base recipe is relative to its folder.

    Returns:
        one cell for each combination of the axes that is not excluded; the last axis changes fastest.

    Raises:
        HornbookError: the base recipe is missing, an axis is not a setting (the message names the nearest
            setting), or a value is invalid.
    """
    base = read_values(where.parent / experiment.recipe)
    for path, value in experiment.change.items():
        set_value(base, path, value, f"{where}: change")
    found = []
    for at in _combinations(experiment):
        values = copy.deepcopy(base)
        textbook = _change(values, experiment, at, where)
        recipe = validate(Recipe, values, f"{where}: {', '.join(f'{axis} {value}' for axis, value in at.items())}")
        if experiment.measure == "textbooks":
            found.append(Cell(at, recipe, None, _compared(experiment, recipe, where)))
            continue
        if textbook is None and len(recipe.textbooks) > 1 and "textbook" not in at:
            many = len(recipe.textbooks)
            raise HornbookError(f"{where}: the recipe has {many} textbooks; add an axis `textbook`")
        if textbook not in {None, NONE, *recipe.textbooks}:
            known = ", ".join([*recipe.textbooks, NONE])
            raise HornbookError(f"{where}: axes.textbook: no textbook {textbook!r} in the recipe; it has {known}")
        chosen = textbook or next(iter(recipe.textbooks))
        recipe = recipe.model_copy(update={"baselines": (), "seeds": recipe.seeds[:1]})
        found.append(Cell(at, recipe, None if chosen == NONE else chosen))
    if not found:
        raise HornbookError(f"{where}: exclude leaves no cell")
    return found


def _compared(experiment: Experiment, recipe: Recipe, where: Path) -> tuple[str, ...]:
    """Return the names of the textbooks to measure."""
    known = [name for name, config in recipe.textbooks.items() if not isinstance(config, ChainConfig)]
    if unknown := [name for name in experiment.textbooks if name not in known]:
        raise HornbookError(
            f"{where}: textbooks: no textbook {unknown[0]!r} in the recipe that can be measured; "
            f"it has {', '.join(known)}"
        )
    return experiment.textbooks or tuple(known)


def _combinations(experiment: Experiment) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*(list(axis) for axis in experiment.axes.values())):
        at = dict(zip(experiment.axes, values, strict=True))
        if not any(_matches(at, left_out) for left_out in experiment.exclude):
            yield at


def _matches(at: Mapping[str, Any], left_out: Mapping[str, Any]) -> bool:
    return all(at[axis] in (value if isinstance(value, tuple) else (value,)) for axis, value in left_out.items())


def _change(values: dict[str, Any], experiment: Experiment, at: Mapping[str, Any], where: Path) -> str | None:
    """Apply a combination of the axes to the values of a recipe; return the textbook that it chooses."""
    textbook = str(at["textbook"]) if "textbook" in at else None
    known = list(values.get("textbooks", {}))
    # Named values first: another axis may change a part of what they set.
    for axis in sorted(at, key=lambda axis: not isinstance(experiment.axes[axis], dict)):
        place = f"{where}: axes.{axis}"
        for path, setting in _settings_of(experiment, axis, at[axis], values, textbook, place).items():
            set_value(values, path, setting, place)
    for rule in experiment.rules:
        if _matches(at, rule.at):
            for path, setting in rule.set.items():
                set_value(values, path, setting, f"{where}: rules")
    for name, settings in values.get("textbooks", {}).items():
        if name not in known and "kind" not in settings:
            near = nearest(name, known)
            hint = f"; the nearest is {near!r}" if near else ""
            raise HornbookError(f"{where}: the recipe has no textbook {name!r}{hint}")
    return textbook


def _settings_of(
    experiment: Experiment, axis: str, value: Any, values: Mapping[str, Any], textbook: str | None, place: str
) -> Mapping[str, Any]:
    """Return the settings that a value of an axis stands for, by path."""
    named = experiment.axes[axis]
    if isinstance(named, dict):
        return named[value]
    if axis == "textbook":
        return {}
    if axis == "seed":
        return {"seeds": [value]}
    if axis != "proportion":
        return {_PATHS.get(axis, axis): value}
    chosen = textbook or next(iter(values.get("textbooks", {})), None)
    if chosen is None:
        raise HornbookError(f"{place}: the recipe names no textbook")
    return {} if chosen == NONE else {f"textbooks.{chosen}.proportion": value}

"""Settings of an experiment: a base recipe and the axes along which it varies."""

from typing import Any, Literal

from pydantic import Field, model_validator

from hornbook.recipe.settings import Count, Name, PathText, Settings

__all__ = [
    "Experiment",
]

AxisValue = str | int | float | bool


class Rule(Settings):
    """Settings that apply to some cells only."""

    at: dict[str, AxisValue | tuple[AxisValue, ...]] = Field(min_length=1)
    """Cells this rule applies to: each axis with its value or list of values."""
    set: dict[str, Any] = Field(min_length=1)
    """Settings to override, by dotted path."""


class Experiment(Settings):
    """A grid of runs: a base recipe, axes along which it varies, and combinations to skip."""

    name: Name
    """Name of the experiment. Its results are written to RUNS/NAME."""
    recipe: PathText
    """File of the base recipe, relative to the experiment's file."""
    change: dict[str, Any] = Field(default={})
    """Settings to override in every cell, by dotted path (`distil.tokens`)."""
    measure: Literal["scores", "textbooks"] = "scores"
    """What to measure: `scores` of students, or the `textbooks` themselves (no student is trained)."""
    textbooks: tuple[Name, ...] = ()
    """For `measure: textbooks`: names of the textbooks to compare. Default: all but chains."""
    axes: dict[str, tuple[AxisValue, ...] | dict[Name, dict[str, Any]]] = Field(min_length=1)
    """What varies. An axis is a setting's dotted path with a list of values, or any name with named values, each a
    mapping from paths to values. Abbreviated paths: `seed`, `init`, `teacher`, `steps`, `pack`. Values of `textbook`
    are names of the recipe's textbooks (`none`: a student that was never distilled); `proportion` is the share of
    that textbook to use."""
    exclude: tuple[dict[str, AxisValue | tuple[AxisValue, ...]], ...] = ()
    """Combinations to skip: each axis with its value or list of values."""
    rules: tuple[Rule, ...] = ()
    """Settings for some cells only; a later rule wins."""
    results: PathText | None = None
    """JSON file for the rows of finished cells, relative to the experiment's file. Each row is written as soon as its
    cell finishes; cells already in it are not computed again."""
    most_cells: Count = Field(default=100, ge=1)
    """Maximum number of cells to run without --yes."""

    @model_validator(mode="after")
    def _check_axes(self) -> "Experiment":
        if self.measure == "textbooks" and "textbook" in self.axes:
            raise ValueError("axes.textbook: all textbooks are compared within one cell; list them under `textbooks`")
        if self.measure == "textbooks" and "proportion" in self.axes:
            raise ValueError("axes.proportion: name the textbook: textbooks.NAME.proportion")
        if isinstance(self.axes.get("textbook"), dict):
            raise ValueError("axes.textbook: give a list of names of the recipe's textbooks, or rename the axis")
        if self.measure == "scores" and self.textbooks:
            raise ValueError("textbooks: only for `measure: textbooks`; to compare scores add an axis `textbook`")
        for name, values in self.axes.items():
            if not values:
                raise ValueError(f"axes.{name}: give at least one value")
            if len(set(values)) < len(values):
                raise ValueError(f"axes.{name}: contains a value twice")
        for where, combination in [*(("exclude", c) for c in self.exclude), *(("rules", r.at) for r in self.rules)]:
            for axis, given in combination.items():
                self._check_place(where, axis, given if isinstance(given, tuple) else (given,))
        return self

    def _check_place(self, where: str, axis: str, wanted: tuple[AxisValue, ...]) -> None:
        if axis not in self.axes:
            raise ValueError(f"{where}: unknown axis {axis!r}; the axes are {', '.join(self.axes)}")
        values = list(self.axes[axis])
        for value in wanted:
            if value not in values:
                raise ValueError(f"{where}: axes.{axis} has no value {value!r}; it has {', '.join(map(str, values))}")

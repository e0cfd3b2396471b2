"""Settings of an experiment: one recipe, and what varies."""

from typing import Any, Literal

from pydantic import Field, model_validator

from hornbook.recipe.settings import Count, Name, PathText, Settings

AxisValue = str | int | float | bool


class Rule(Settings):
    """Settings that hold in some cells."""

    at: dict[str, AxisValue | tuple[AxisValue, ...]] = Field(min_length=1)
    """Where: every axis named has the value named, or one of them."""
    set: dict[str, Any] = Field(min_length=1)
    """What, by path."""


class Experiment(Settings):
    """A grid of runs: a base recipe, axes along which it varies, and combinations left out."""

    name: Name
    """The experiment's name: its results stand in RUNS/NAME."""
    recipe: PathText
    """The base recipe's file, relative to the experiment's own."""
    change: dict[str, Any] = Field(default={})
    """Settings of the base recipe that are others in every cell, by path (`distil.tokens`)."""
    measure: Literal["scores", "textbooks"] = "scores"
    """What: the scores of students, or the textbooks themselves, of which then nothing is learned."""
    textbooks: tuple[Name, ...] = ()
    """The recipe's textbooks that are compared where textbooks are measured; all but chains where none is named."""
    axes: dict[str, tuple[AxisValue, ...] | dict[Name, dict[str, Any]]] = Field(min_length=1)
    """What varies. An axis is a setting's path with a list of values, or any name with named values, each a mapping
    from paths to values. Short for paths: `seed`, `init`, `teacher`, `steps`, `pack`; the values of `textbook` are
    names of the recipe's textbooks (`none`: a student that was never distilled), `proportion` is that of the
    textbook."""
    exclude: tuple[dict[str, AxisValue | tuple[AxisValue, ...]], ...] = ()
    """Combinations that are left out: those in which every axis named has the value named, or one of them."""
    rules: tuple[Rule, ...] = ()
    """Settings that hold in some cells; a later rule wins."""
    results: PathText | None = None
    """A JSON file, relative to the experiment's own, into which every finished cell's row goes at once; cells that
    stand there already are not computed again."""
    most_cells: Count = Field(default=100, ge=1)
    """More cells than this run only with --yes."""

    @model_validator(mode="after")
    def _check_axes(self) -> "Experiment":
        if self.measure == "textbooks" and "textbook" in self.axes:
            raise ValueError("axes.textbook: textbooks are compared in one cell; name them under `textbooks`")
        if self.measure == "textbooks" and "proportion" in self.axes:
            raise ValueError("axes.proportion: of which textbook? Give its path, textbooks.NAME.proportion")
        if isinstance(self.axes.get("textbook"), dict):
            raise ValueError(
                "axes.textbook: give a list of names of the recipe's textbooks; name another axis otherwise"
            )
        if self.measure == "scores" and self.textbooks:
            raise ValueError("textbooks: scores are of one textbook a cell; give an axis `textbook`")
        for name, values in self.axes.items():
            if not values:
                raise ValueError(f"axes.{name}: give at least one value")
            if len(set(values)) < len(values):
                raise ValueError(f"axes.{name}: holds a value twice")
        for where, combination in [*(("exclude", c) for c in self.exclude), *(("rules", r.at) for r in self.rules)]:
            for axis, given in combination.items():
                self._check_place(where, axis, given if isinstance(given, tuple) else (given,))
        return self

    def _check_place(self, where: str, axis: str, wanted: tuple[AxisValue, ...]) -> None:
        if axis not in self.axes:
            raise ValueError(f"{where}: no axis {axis!r}; the axes are {', '.join(self.axes)}")
        values = list(self.axes[axis])
        for value in wanted:
            if value not in values:
                raise ValueError(f"{where}: axes.{axis} has no value {value!r}; it has {', '.join(map(str, values))}")

"""The results of an experiment."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hornbook.results.notebook import scores_html, textbooks_html
from hornbook.results.plain import as_json as plain_data
from hornbook.results.rows import AnyCell, CellResult, GoldLabels, TextbookCellResult


@dataclass(frozen=True, kw_only=True)
class ExperimentResult:
    """The results of an experiment, as far as it is finished.

    Attributes:
        name: of the experiment.
        axes: their names, in order.
        rows: one for each finished cell.
        gold: the gold labels of each task, by the key of the task.
        failed: what went wrong, by the names of cells.
        folder: where the results stand.
    """

    name: str = ""
    axes: tuple[str, ...] = ()
    rows: tuple[AnyCell, ...]
    gold: dict[str, GoldLabels] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    folder: Annotated[Path, Field(exclude=True)] = Path()

    @property
    def scored(self) -> tuple[CellResult, ...]:
        """The cells with a student's score."""
        return tuple(row for row in self.rows if isinstance(row, CellResult))

    @property
    def measured(self) -> tuple[TextbookCellResult, ...]:
        """The cells with statistics of textbooks."""
        return tuple(row for row in self.rows if isinstance(row, TextbookCellResult))

    def as_json(self) -> dict[str, Any]:
        """Return the content of `experiment.json`."""
        content: dict[str, Any] = plain_data(self)
        return content

    def _repr_html_(self) -> str:
        if self.scored:
            return scores_html(self.scored, self.axes, self.gold, self.failed)
        return textbooks_html(self.measured, self.axes)

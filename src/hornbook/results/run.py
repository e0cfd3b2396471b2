"""The results of a finished run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hornbook.results.inspection import Inspection
from hornbook.results.notebook import run_html
from hornbook.results.plain import as_json as plain_data
from hornbook.results.rows import (
    AskedOnceResult,
    ExportResult,
    ModelArtifacts,
    ModelResult,
    ModelSummary,
    StageResult,
    TaskResult,
    VocabularyResult,
)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The results of a finished run.

    Attributes:
        rows: one for each model and seed.
        summary: one for each model, its seeds together.
        remarks: what a reader must not overlook.
        stages: one for each artefact of the run.
        recipe: all settings.
        task: what was learned.
        models: what was made for each of the rows.
        vocabulary: the word pieces that are kept; None where these are all.
        asked_once: what students read of their teachers' activations on the disk; None where nothing.
        export: the exported student; None where the recipe asks for none.
        inspection: curves, textbooks, anchors, mistakes and calibration, for the page; None while they are not read.
        folder: where the results and links to the artefacts stand.
    """

    rows: tuple[ModelResult, ...]
    summary: tuple[ModelSummary, ...]
    remarks: tuple[str, ...]
    stages: tuple[StageResult, ...]
    recipe: dict[str, Any]
    task: TaskResult
    models: tuple[ModelArtifacts, ...]
    vocabulary: VocabularyResult | None = None
    asked_once: AskedOnceResult | None = None
    export: ExportResult | None = None
    inspection: Annotated[Inspection | None, Field(exclude=True)] = None
    folder: Annotated[Path, Field(exclude=True)] = Path()

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.folder.name

    def as_json(self) -> dict[str, Any]:
        """Return the content of `report.json`."""
        content: dict[str, Any] = plain_data(self)
        return content

    def _repr_html_(self) -> str:
        return run_html(self.rows, self.task.metric, self.remarks)

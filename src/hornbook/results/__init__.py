"""Results of runs and experiments: typed rows, summaries, differences, verdicts, and the files that hold them.

`pipeline` and `experiment` make them; `report` and `cli` draw them.
"""

from hornbook.results.differences import Difference, PairedDifference
from hornbook.results.experiment import ExperimentResult
from hornbook.results.files import read_results
from hornbook.results.inspection import Inspection
from hornbook.results.names import (
    EXPERIMENT,
    INSPECTION,
    LOGITS,
    RANDOM,
    RANDOM_UNDISTILLED,
    RELEASED,
    REPORT,
    TEACHER,
    TF_IDF,
    TRIMMED_TEACHER,
    UNDISTILLED,
)
from hornbook.results.rows import (
    AskedOnceResult,
    CellResult,
    ExportResult,
    FormatResult,
    GoldLabels,
    ModelArtifacts,
    ModelResult,
    ModelSummary,
    PlannedStage,
    Speed,
    Spread,
    StageResult,
    TaskResult,
    TextbookCellResult,
    VocabularyResult,
)
from hornbook.results.run import RunResult

__all__ = [
    "EXPERIMENT",
    "INSPECTION",
    "LOGITS",
    "RANDOM",
    "RANDOM_UNDISTILLED",
    "RELEASED",
    "REPORT",
    "TEACHER",
    "TF_IDF",
    "TRIMMED_TEACHER",
    "UNDISTILLED",
    "AskedOnceResult",
    "CellResult",
    "Difference",
    "ExperimentResult",
    "ExportResult",
    "FormatResult",
    "GoldLabels",
    "Inspection",
    "ModelArtifacts",
    "ModelResult",
    "ModelSummary",
    "PairedDifference",
    "PlannedStage",
    "RunResult",
    "Speed",
    "Spread",
    "StageResult",
    "TaskResult",
    "TextbookCellResult",
    "VocabularyResult",
    "read_results",
]

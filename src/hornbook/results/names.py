"""Names that the models of a run go by when they are no textbook's student, and the files that hold results."""

from hornbook.recipe import BASELINES

TEACHER = "teacher"
UNDISTILLED, LOGITS, RELEASED, TF_IDF = BASELINES

REPORT = "report.json"
"""The results of a run: a `RunResult`."""
INSPECTION = "inspection"
"""What the page of a run shows beyond its scores: the name of the stage, and of its link in the run's folder."""
EXPERIMENT = "experiment.json"
"""The results of an experiment: an `ExperimentResult`."""

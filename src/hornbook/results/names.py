"""Names of the models of a run that have no textbook, and of the files of results."""

from hornbook.recipe import BASELINES

TEACHER = "teacher"
TRIMMED_TEACHER = "teacher, trimmed vocabulary"
UNDISTILLED, LOGITS, RELEASED, TF_IDF, RANDOM, RANDOM_UNDISTILLED = BASELINES

REPORT = "report.json"
"""The results of a run: a `RunResult`."""
INSPECTION = "inspection"
"""What the page of a run shows beyond its scores: the name of the stage, and of its link in the run's folder."""
EXPERIMENT = "experiment.json"
"""The results of an experiment: an `ExperimentResult`."""

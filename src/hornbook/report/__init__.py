"""Results for people: tables, charts, remarks; and what the files are called that hold them."""

REPORT = "report.json"
"""Of a run: rows, summary, remarks, stages, recipe."""
EXPERIMENT = "experiment.json"
"""Of an experiment: name, axes, rows, gold labels, failed cells."""

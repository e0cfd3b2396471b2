"""The report of runs or of an experiment: one page that needs no network, and the same as Markdown."""

from hornbook.report.page.write import write_report

__all__ = ["write_report"]

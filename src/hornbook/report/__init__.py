"""Results for people: tables, charts and pages of `results`; nothing is computed here.

The imported package can be called: `hornbook.report(places, out)` is `write_report`.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def write_report(places: Any, out: Path | str | None = None) -> tuple[Path, Path]:
    """Write the report of runs of one task, or of an experiment, see `hornbook.report.page.write_report`."""
    from hornbook.report import page

    return page.write_report(places, out)


class _Callable(ModuleType):
    def __call__(self, places: Any, out: Path | str | None = None) -> tuple[Path, Path]:
        return write_report(places, out)


sys.modules[__name__].__class__ = _Callable

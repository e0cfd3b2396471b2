"""Progress on stderr: a bar on a terminal, a line every 30 seconds elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

logger = logging.getLogger("hornbook")

SECONDS_BETWEEN_LINES = 30.0


class Counter:
    """Counts the units of one piece of work; made by `progress`.

    Args:
        description: what is done.
        total: how many units there are, if known.
        unit: their name, in the plural.
        bar: the bar on a terminal; without one, lines are logged.
    """

    def __init__(self, description: str, total: int | None, unit: str, bar: Progress | None) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.done = self._before = 0
        self.note = ""
        self._bar = bar
        self._started = self._logged = time.monotonic()
        self._task = bar.add_task(description, total=total, unit=unit, note="") if bar else None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count more units as done.

        Args:
            amount: how many.
            note: text to show beside the rate, such as a loss; "" keeps the last one.
        """
        self.done += amount
        self.note = note or self.note
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=amount, note=self.note)
        elif (now := time.monotonic()) - self._logged > SECONDS_BETWEEN_LINES:
            self._logged = now
            logger.info("%s", self.line())

    def skip(self, amount: int) -> None:
        """Count units as done by an earlier run: they shorten the time left and do not change the rate.

        Args:
            amount: how many.
        """
        self.done += amount
        self._before += amount
        if self._bar is not None and self._task is not None:
            # The bar computes its rate from `advance`, so this must not be one.
            self._bar.reset(self._task, completed=self.done)

    def say(self, text: str) -> None:
        """Print a line above the bar.

        Args:
            text: the line.
        """
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            logger.info("%s", text)

    def line(self) -> str:
        """Return the state as text: units done, rate, time left."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = (self.done - self._before) / seconds
        of_total = f" of {self.total:,}" if self.total else ""
        left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
        note = f", {self.note}" if self.note else ""
        return f"{self.description}: {self.done:,}{of_total} {self.unit}, {rate:,.0f}/s{left}{note}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show units per second and the note."""
        rate = f"{task.speed:,.0f} {task.fields['unit']}/s" if task.speed else ""
        return Text(f"{rate}  {task.fields['note']}".strip(), style="cyan")


@contextmanager
def progress(description: str, total: int | None = None, unit: str = "units") -> Iterator[Counter]:
    """Show the progress of one piece of work: fraction done, rate and time left.

    On a terminal this is a bar on stderr; elsewhere a log line every 30 seconds.

    Args:
        description: what is done.
        total: how many units there are, if known.
        unit: their name, in the plural.

    Yields:
        the counter to advance.
    """
    if not sys.stderr.isatty():
        counter = Counter(description, total, unit, None)
        yield counter
        logger.debug("%s", counter.line())
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Counter(description, total, unit, bar)

"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

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
    """What a piece of work calls as it goes on; made by `progress`."""

    def __init__(self, description: str, total: int | None, unit: str, bar: Progress | None) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.done = self._before = 0
        self.note = ""
        self._bar = bar
        self._started = self._said = time.monotonic()
        self._task = bar.add_task(description, total=total, unit=unit, note="") if bar else None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` more as done; `note` (a loss, say) stands beside the rate."""
        self.done += amount
        self.note = note or self.note
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=amount, note=self.note)
        elif (now := time.monotonic()) - self._said > SECONDS_BETWEEN_LINES:
            self._said = now
            logger.info("%s", self.line())

    def skip(self, amount: int) -> None:
        """Count `amount` as done by an earlier run: it counts for what is left, not for the rate."""
        self.done += amount
        self._before += amount
        if self._bar is not None and self._task is not None:
            # A bar takes its speed from what it is told, so it is told of no progress but of less to do.
            self._bar.reset(self._task, completed=self.done)

    def say(self, text: str) -> None:
        """Say a line while the bar stands."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            logger.info("%s", text)

    def line(self) -> str:
        """Return the state in words: done, rate, time left."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = (self.done - self._before) / seconds
        of_total = f" of {self.total:,}" if self.total else ""
        left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
        note = f", {self.note}" if self.note else ""
        return f"{self.description}: {self.done:,}{of_total} {self.unit}, {rate:,.0f}/s{left}{note}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show units a second and the note."""
        rate = f"{task.speed:,.0f} {task.fields['unit']}/s" if task.speed else ""
        return Text(f"{rate}  {task.fields['note']}".strip(), style="cyan")


@contextmanager
def progress(description: str, total: int | None = None, unit: str = "units") -> Iterator[Counter]:
    """Show the progress of one piece of work: share done, rate and time left.

    On a terminal this is a bar on stderr; elsewhere a log line every half minute.
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

"""The finished cells of an experiment: one JSON file, a line for each, rewritten after every cell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock

from hornbook.errors import HornbookError
from hornbook.machine.parsing import read_json
from hornbook.results import ExperimentResult, GoldLabels
from hornbook.results.plain import as_json, from_json
from hornbook.results.rows import AxisValue, FinishedCell
from hornbook.store import write_text


@dataclass
class FinishedCells:
    """Finished cells.

    Attributes:
        path: the file; None where they are kept in memory alone.
        rows: one for each.
        gold: the gold labels of each task, by its key.
        failed: what went wrong in cells that did not finish, by their names; not in the file.
    """

    path: Path | None = None
    rows: list[FinishedCell] = field(default_factory=list)
    gold: dict[str, GoldLabels] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None) -> "FinishedCells":
        """Read finished cells.

        Args:
            path: the file; None keeps the cells in memory only.

        Returns:
            its cells; none if the file does not exist.

        Raises:
            HornbookError: the file is not a file of results.
        """
        if path is None or not path.exists():
            return cls(path)
        try:
            found = from_json(ExperimentResult, read_json(path))
            return cls(path, list(found.rows), dict(found.gold))
        except (HornbookError, ValueError):
            raise HornbookError(
                f"{path}: is not a file of an experiment's results; name another file or remove it"
            ) from None

    def of(self, key: str, at: Mapping[str, AxisValue]) -> FinishedCell | None:
        """Return the row with this key, at the coordinates that its cell has now."""
        same = sorted((row for row in self.rows if row.key == key), key=lambda row: row.at != at)
        return replace(same[0], at=dict(at)) if same else None

    def move(self, row: FinishedCell) -> None:
        """Record the row's new coordinates in the file: the experiment may have another axis than before."""
        if row not in self.rows:
            self.add(row)

    def add(self, row: FinishedCell, gold: Mapping[str, GoldLabels] = MappingProxyType({})) -> None:
        """Add a finished cell with its task's gold labels, or put it in an older one's place, and write the file.

        Cells that differ in no setting that changes their result share a key, but not a row.
        Another process may have added rows to the file since: they stay.
        """
        if self.path is None:
            self._put(row, gold)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        with FileLock(lock):
            if self.path.exists():
                there = FinishedCells.read(self.path)
                self.rows, self.gold = there.rows, there.gold
            self._put(row, gold)
            write_text(
                self.path, f'{{"rows": [\n{_lines(self.rows)}\n],\n"gold": {json.dumps(as_json(self.gold))}}}\n'
            )
            lock.unlink(missing_ok=True)

    def _put(self, row: FinishedCell, gold: Mapping[str, GoldLabels]) -> None:
        def replaced(old: FinishedCell) -> bool:
            return old.key == row.key and (old.at == row.at or old.at.keys() != row.at.keys())

        self.gold |= gold
        self.rows = [*(old for old in self.rows if not replaced(old)), row]


def _lines(rows: list[FinishedCell]) -> str:
    # So that a cell adds one line to the differences between two versions of the file.
    return ",\n".join(json.dumps(as_json(row)) for row in rows)

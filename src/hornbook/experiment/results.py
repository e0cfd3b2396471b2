"""The rows of an experiment as they come: one JSON file, a line for each, written anew after every cell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock

from hornbook.errors import HornbookError
from hornbook.store import write_text

Row = dict[str, Any]


@dataclass
class Results:
    """Finished cells.

    Attributes:
        rows: one for each: `key` (of its evaluation), `at` (the values of the axes), what `report.json` says of the
            model, `minutes`, and `predicted` (what it said of dev).
        gold: for each task, by its key, the gold labels of dev and how they are scored: `kind`, `metric`, `labels`.
        failed: what went wrong in cells that did not finish, by their names; not kept in the file.
        path: the file.
    """

    path: Path | None = None
    rows: list[Row] = field(default_factory=list)
    gold: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None) -> "Results":
        """Return what a file holds, nothing where there is none.

        Raises:
            HornbookError: the file holds something else.
        """
        if path is None or not path.exists():
            return cls(path)
        try:
            found = json.loads(path.read_text("utf-8"))
            return cls(path, list(found["rows"]), dict(found["gold"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise HornbookError(
                f"{path}: holds no results of an experiment; name another file, or remove it"
            ) from None

    def of(self, key: str, at: Mapping[str, Any]) -> Row | None:
        """Return the row of the cell whose evaluation has this key, said to be where it is now asked for."""
        same = sorted((row for row in self.rows if row["key"] == key), key=lambda row: row["at"] != at)
        return {**same[0], "at": dict(at)} if same else None

    def place(self, row: Row) -> None:
        """Say in the file too where a finished row is now asked for; an experiment may have got another axis."""
        if row not in self.rows:
            self.add(row)

    def add(self, row: Row, gold: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Add a finished cell with its task's gold labels, or put it in an older one's place, and write the file.

        Cells that differ in nothing that counts (none of a textbook, with more steps) share a key, but not a row.
        Another process may have added rows to the file since: they stay.
        """
        if self.path is None:
            self._put(row, gold)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        with FileLock(lock):
            if self.path.exists():
                there = Results.read(self.path)
                self.rows, self.gold = there.rows, there.gold
            self._put(row, gold)
            write_text(self.path, f'{{"rows": [\n{_lines(self.rows)}\n],\n"gold": {json.dumps(self.gold)}}}\n')
            lock.unlink(missing_ok=True)

    def _put(self, row: Row, gold: Mapping[str, Any]) -> None:
        def replaced(old: Row) -> bool:
            same_place = old["at"] == row["at"] or old["at"].keys() != row["at"].keys()
            return bool(old["key"] == row["key"]) and same_place

        self.gold |= gold
        self.rows = [*(old for old in self.rows if not replaced(old)), row]


def _lines(rows: list[Row]) -> str:
    # So that what a cell adds is one line of a comparison of versions.
    return ",\n".join(json.dumps(row) for row in rows)

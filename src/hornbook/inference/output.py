"""A file of predictions while it is written: what a killed run has finished, the next run continues."""

import sys
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.inference.formats import Writer
from hornbook.machine.parsing import read_json
from hornbook.store import write_json


@dataclass(frozen=True)
class Done:
    """What is finished of a file.

    Attributes:
        windows: the windows that were read.
        rows: the rows with predictions.
        skipped: the rows that could not be classified.
        cut: the rows whose text was longer than the model reads.
        unlabelled: the rows without a label because of `abstain_below`.
        first_fault: the first row that could not be classified, and why.
    """

    windows: int = 0
    rows: int = 0
    skipped: int = 0
    cut: int = 0
    unlabelled: int = 0
    first_fault: str | None = None


class Output(ABC):
    """Where rows go."""

    def begin(self) -> Done:
        """Return what an earlier run has finished."""
        return Done()

    @abstractmethod
    def append(self, data: bytes, done: Done) -> None:
        """Write what a window adds; `done` includes it."""

    @abstractmethod
    def publish(self) -> None:
        """Finish the output after the last window."""


class Stdout(Output):
    """The standard output."""

    def append(self, data: bytes, done: Done) -> None:
        """Write what a window adds."""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def publish(self) -> None:
        """Do nothing: all is written."""


class PartFile(Output):
    """A file under a temporary name, with a small file beside it that says how far it is finished.

    Args:
        out: the file to make.
        writer: its format.
        key: what it is made from. None if that is not known: then nothing is continued.
    """

    def __init__(self, out: Path, writer: Writer, key: str | None) -> None:
        self._out, self._writer, self._key = out, writer, key
        self._part = out.with_name(f".{out.name}.part")
        self._state = out.with_name(f".{out.name}.part.json")

    def begin(self) -> Done:
        """Return what an earlier run has finished; what it was writing when it ended is cut off."""
        self._out.parent.mkdir(parents=True, exist_ok=True)
        done, size = self._finished()
        if size:
            with self._part.open("r+b") as file:
                file.truncate(size)
            self._writer.resume(self._part)
        else:
            self._part.write_bytes(b"")
        return done

    def append(self, data: bytes, done: Done) -> None:
        """Write what a window adds."""
        try:
            with self._part.open("ab") as file:
                file.write(data)
                size = file.tell()
        except OSError as error:
            error.filename = str(self._part)  # the system does not name the file of a write
            raise
        write_json(self._state, {"key": self._key, "bytes": size, "done": asdict(done)})

    def publish(self) -> None:
        """Give the file its name."""
        self._writer.finish(self._part, self._out)
        self._state.unlink(missing_ok=True)

    def _finished(self) -> tuple[Done, int]:
        """Return what the part file has of the same result, and how many bytes that is."""
        try:
            state = read_json(self._state)
            done, size = Done(**state["done"]), int(state["bytes"])
            same = self._key is not None and state["key"] == self._key and self._part.stat().st_size >= size
        except (HornbookError, OSError, ValueError, KeyError, TypeError):
            same = False
        return (done, size) if same else (Done(), 0)


def refuse_existing(out: Path, force: bool) -> None:
    """Refuse to replace a file.

    Args:
        out: the file to make.
        force: whether it may be replaced.

    Raises:
        HornbookError: it is there, or a folder.
    """
    if out.is_dir():
        raise HornbookError(f"{out}: is a folder; name a file")
    if out.exists() and not force:
        raise HornbookError(f"{out}: is there already; name another file, or replace it with --force")

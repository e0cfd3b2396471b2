"""A finished folder and its manifest; a store of many."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.machine.parsing import parse_json, read_json
from hornbook.machine.places import is_address, read_from
from hornbook.store.keys import known_checksum
from hornbook.store.manifest import check

MANIFEST = "manifest.json"
RUN = "run.json"
RESUME = "resume"


@dataclass(frozen=True)
class Artifact:
    """A finished folder and its manifest.

    Attributes:
        path: the folder.
        manifest: the content of `manifest.json`.
        reused: whether it was already finished when it was requested.
        address: its address if it is not a folder on this machine (such as s3://bucket/corpus).
    """

    path: Path
    manifest: Mapping[str, Any]
    reused: bool = False
    address: str | None = None

    @property
    def planned(self) -> bool:
        """Whether it is only planned: it has a key, but no folder yet."""
        return "files" not in self.manifest

    @property
    def key(self) -> str:
        """The content key: 32 hexadecimal digits."""
        return str(self.manifest["key"])

    @property
    def stage(self) -> str:
        """The name of its stage."""
        return str(self.manifest["stage"])

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts from its stage, by name; the same in every run."""
        counts: Mapping[str, int] = self.manifest["counts"]
        return counts

    @property
    def info(self) -> Mapping[str, Any]:
        """Further facts from its stage; the same in every run."""
        info: Mapping[str, Any] = self.manifest["info"]
        return info

    @property
    def measured(self) -> Mapping[str, Any]:
        """Measurements of the run that made it: seconds, memory and the stage's own.

        Raises:
            HornbookError: `run.json` is missing or damaged.
        """
        try:
            measured: Mapping[str, Any] = dict(read_json(self.path / RUN))
            measured["seconds"]  # every run has measured it
        except (HornbookError, ValueError, TypeError, KeyError):
            raise self._changed(RUN) from None
        return measured

    def file(self, name: str) -> Path:
        """Return the path of one of its files, after comparing its checksum (once in a process).

        Args:
            name: relative to the artefact's folder.

        Returns:
            the path on this machine.

        Raises:
            HornbookError: the manifest does not list the file, or it is missing or changed.
        """
        path = self._existing(name)
        if known_checksum(path) != self.manifest["files"][name]["xxh3_128"]:
            raise self._changed(name)
        return path

    def location(self, name: str) -> str:
        """Return the path or address of one of its files, for a reader that checks its content itself.

        Args:
            name: relative to the artefact's folder.

        Returns:
            a path on this machine, whose size was compared, or an address.

        Raises:
            HornbookError: the manifest does not list the file, or it is missing or has another size.
        """
        if self.address is None:
            return str(self._existing(name))
        if name not in self.manifest["files"]:
            raise HornbookError(f"{self.address}: its {MANIFEST} lists no {name}")
        return f"{self.address}/{name}"

    def _repr_html_(self) -> str:
        """Return a small table for notebooks: stage, key, counts and folder."""
        rows = {"stage": self.stage, "key": self.key}
        if self.planned:
            rows["state"] = "planned: not built yet"
        else:
            rows |= {name.replace("_", " "): f"{count:,}" for name, count in self.counts.items()}
        rows["folder"] = self.address or str(self.path)
        return _html_table(rows)

    def _existing(self, name: str) -> Path:
        listed, path = self.manifest["files"].get(name), self.path / name
        if listed is None or not path.is_file() or path.stat().st_size != listed["bytes"]:
            raise self._changed(name)
        return path

    def _changed(self, name: str) -> HornbookError:
        path = self.path / name
        return HornbookError(f"{path}: missing or changed since it was made; remove {self.path} and run again")


@dataclass
class Store:
    """A folder of artefacts, by stage and key, that many runs share.

    Attributes:
        root: the folder.
        dry: plan only: build nothing.
        requested: every artefact requested so far, in order.
    """

    root: Path
    dry: bool = False
    requested: list[Artifact] = field(default_factory=list)

    def folder(self, stage: str, key: str) -> Path:
        """Return the folder of an artefact.

        Args:
            stage: the name of its stage.
            key: its content key.

        Returns:
            the folder, which need not exist.
        """
        return self.root / stage / key[:16]


Destination = Path | str | Store


def _html_table(rows: Mapping[str, object]) -> str:
    """Return a plain HTML table with a name and a value in each row, both escaped."""
    lines = (f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(lines)}</table>"


@dataclass
class StageContext:
    """The folder that a stage fills, and what it records about its result.

    Attributes:
        path: the folder to write to; everything in it but `resume/` becomes the artefact.
        counts: counts for the manifest; the same in every run.
        info: further facts for the manifest; the same in every run.
        measured: measurements for `run.json`, which vary between runs.
        needed: the most space the folder takes while it is filled (bytes), 0 if unknown.
    """

    path: Path
    counts: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    needed: int = 0

    @property
    def resume(self) -> Path:
        """A folder that survives a run that dies, and is not part of the finished artefact."""
        path = self.path / RESUME
        path.mkdir(exist_ok=True)
        return path

    def discard_resume_state(self) -> None:
        """Discard resume state: a retry would fail the same way."""
        for kept in self.resume.iterdir():
            if kept.is_dir():
                shutil.rmtree(kept, ignore_errors=True)
            else:
                kept.unlink(missing_ok=True)


def load(path: Path | str, stage: str | None = None) -> Artifact:
    """Open a finished artefact.

    Args:
        path: its folder, or an address (such as s3://bucket/corpus).
        stage: the stage it must come from, if any.

    Returns:
        the artefact.

    Raises:
        HornbookError: there is no finished artefact, or it comes from another stage.
    """
    address = str(path).rstrip("/") if is_address(path) else None
    where = f"{address or path}/{MANIFEST}"
    try:
        found = parse_json(read_from(where), where) if address else read_json(Path(where))
        if "stage" not in found:
            raise TypeError
    except (HornbookError, TypeError):
        made = f"a finished {stage}" if stage else "a finished artefact"
        raise HornbookError(f"{path}: not {made} (no readable {MANIFEST} in it)") from None
    artifact = Artifact(Path(path), check(found, where), address=address)
    if stage is not None and artifact.stage != stage:
        raise HornbookError(f"{path}: holds a {artifact.stage}, but a {stage} is needed here")
    return artifact

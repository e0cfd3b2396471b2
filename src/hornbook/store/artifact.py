"""A finished folder and what its manifest says; a store of many."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.machine.places import is_address, read_from
from hornbook.store.keys import known_checksum

MANIFEST = "manifest.json"
RUN = "run.json"
RESUME = "resume"


@dataclass(frozen=True)
class Artifact:
    """A finished folder and what its manifest says.

    Attributes:
        path: the folder.
        manifest: the content of `manifest.json`.
        reused: whether it was finished before it was asked for.
        address: where it lies, if that is not a folder of this machine (such as s3://bucket/corpus).
    """

    path: Path
    manifest: Mapping[str, Any]
    reused: bool = False
    address: str | None = None

    @property
    def planned(self) -> bool:
        """Whether it is only planned: its key is known, its folder is not there."""
        return "files" not in self.manifest

    @property
    def key(self) -> str:
        """The content key: 32 hexadecimal digits."""
        return str(self.manifest["key"])

    @property
    def stage(self) -> str:
        """The name of the stage that made it."""
        return str(self.manifest["stage"])

    @property
    def counts(self) -> Mapping[str, int]:
        """What was counted while it was made, by name."""
        counts: Mapping[str, int] = self.manifest["counts"]
        return counts

    @property
    def info(self) -> Mapping[str, Any]:
        """What the stage says about its result beyond counts."""
        info: Mapping[str, Any] = self.manifest["info"]
        return info

    @property
    def measured(self) -> Mapping[str, Any]:
        """What varied in the run that made it: seconds, memory and the stage's own measurements."""
        try:
            measured: Mapping[str, Any] = json.loads((self.path / RUN).read_text("utf-8"))
        except (OSError, ValueError):
            raise self._changed(RUN) from None
        return measured

    def file(self, name: str) -> Path:
        """Return the path of one of its files, which is as it was made: its checksum is compared once in a process.

        Args:
            name: relative to the artefact's folder.

        Raises:
            HornbookError: the manifest does not name that file, or it is gone or changed.
        """
        path = self._there(name)
        if known_checksum(path) != self.manifest["files"][name]["xxh3_128"]:
            raise self._changed(name)
        return path

    def place(self, name: str) -> str:
        """Return the path or the address of one of its files, for whoever compares what is in it when it is opened.

        Raises:
            HornbookError: the manifest does not name that file, or it should be here and is gone or of another size.
        """
        if self.address is None:
            return str(self._there(name))
        if name not in self.manifest["files"]:
            raise HornbookError(f"{self.address}: its {MANIFEST} names no {name}")
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

    def _there(self, name: str) -> Path:
        listed, path = self.manifest["files"].get(name), self.path / name
        if listed is None or not path.is_file() or path.stat().st_size != listed["bytes"]:
            raise self._changed(name)
        return path

    def _changed(self, name: str) -> HornbookError:
        path = self.path / name
        return HornbookError(f"{path}: missing or changed since it was made; remove {self.path} and run again")


@dataclass
class Store:
    """A folder of artefacts that many runs share, each under its stage and key.

    Attributes:
        root: the folder.
        dry: plan only: what is not finished is not built.
        requested: every artefact asked for, in order.
    """

    root: Path
    dry: bool = False
    requested: list[Artifact] = field(default_factory=list)

    def folder(self, stage: str, key: str) -> Path:
        """Return the folder of the artefact with this key."""
        return self.root / stage / key[:16]


Destination = Path | str | Store


def _html_table(rows: Mapping[str, object]) -> str:
    """Return a plain HTML table with a name and a value in each row, both escaped."""
    lines = (f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(lines)}</table>"


@dataclass
class StageContext:
    """What a stage fills while it works.

    Attributes:
        path: the folder to write into; everything in it but `resume/` becomes the artefact.
        counts: numbers for the manifest; the same in every run.
        info: further facts for the manifest; the same in every run.
        measured: what varies from run to run, for `run.json`.
        needed: how many bytes the folder takes at most while it is filled, 0 where the stage does not know.
    """

    path: Path
    counts: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    needed: int = 0

    @property
    def resume(self) -> Path:
        """A folder that survives a run that dies and is gone from the finished artefact."""
        path = self.path / RESUME
        path.mkdir(exist_ok=True)
        return path

    def discard_resume_state(self) -> None:
        """Drop what is kept for a later run, where that would end as this one does."""
        for kept in self.resume.iterdir():
            if kept.is_dir():
                shutil.rmtree(kept, ignore_errors=True)
            else:
                kept.unlink(missing_ok=True)


def load(path: Path | str, stage: str | None = None) -> Artifact:
    """Open a finished artefact.

    Args:
        path: its folder, or the address of one (such as s3://bucket/corpus).
        stage: the stage it must come from, if that matters.

    Raises:
        HornbookError: there is no finished artefact, or it is of another stage.
    """
    address = str(path).rstrip("/") if is_address(path) else None
    try:
        manifest = json.loads(read_from(f"{address}/{MANIFEST}") if address else (Path(path) / MANIFEST).read_bytes())
        found = manifest["stage"]
    except (OSError, ValueError, KeyError, TypeError):
        made = f"a finished {stage}" if stage else "a finished artefact"
        raise HornbookError(f"{path}: not {made} (no readable {MANIFEST} in it)") from None
    if stage is not None and found != stage:
        raise HornbookError(f"{path}: holds a {found}, but a {stage} is needed here")
    return Artifact(Path(path), manifest, address=address)

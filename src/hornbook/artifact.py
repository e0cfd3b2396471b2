"""A finished folder: manifest, content key, atomic publish, resume.

Every stage hands on one artefact: a folder with `manifest.json` (what it is, what it was made from, checksums
of its files) and `run.json` (what varies from run to run: seconds, memory, host). A stage works in a sibling
folder `.NAME.partial`, which one rename turns into the finished artefact; a run that died leaves nothing that
looks finished, and what it kept under `resume/` is found again by a run with the same key.
"""

import json
import logging
import os
import platform
import resource
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import xxhash
from filelock import FileLock, Timeout
from pydantic import BaseModel

from hornbook.disk import full_disk, is_full, megabytes, size_of
from hornbook.errors import HornbookError
from hornbook.machine import own_seconds
from hornbook.places import is_address, read_from

logger = logging.getLogger("hornbook")

MANIFEST = "manifest.json"
RUN = "run.json"
RESUME = "resume"
_BUILDING = "building.json"
_OF_THE_WORK = (_BUILDING, RESUME)
_SAMPLED_ABOVE = 1 << 30
_SAMPLED_BLOCK = 1 << 20
_SILENT_SECONDS = 1.0
_KNOWN: dict[tuple[int, ...], str] = {}
_VERSIONED = ("hornbook", "numpy", "pyarrow", "tokenizers", "torch", "transformers")


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
        asked: every artefact asked for, in order.
    """

    root: Path
    dry: bool = False
    asked: list[Artifact] = field(default_factory=list)

    def folder(self, stage: str, key: str) -> Path:
        """Return the folder of the artefact with this key."""
        return self.root / stage / key[:16]


Place = Path | str | Store


@dataclass
class Work:
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

    def forget(self) -> None:
        """Drop what is kept for a later run, where that would end as this one does."""
        for kept in self.resume.iterdir():
            if kept.is_dir():
                shutil.rmtree(kept, ignore_errors=True)
            else:
                kept.unlink(missing_ok=True)


def result_config(config: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `config` that can change a result, ready for JSON.

    Fields declared with `json_schema_extra={"changes_result": False}` (threads, logging) are left out.
    """
    if not isinstance(config, BaseModel):
        return dict(config)
    kept: dict[str, Any] = {}
    for name, about in type(config).model_fields.items():
        extra = about.json_schema_extra
        if isinstance(extra, dict) and extra.get("changes_result") is False:
            continue
        value = getattr(config, name)
        kept[name] = result_config(value) if isinstance(value, BaseModel) else value
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return plain


def content_key(stage: str, version: int, config: BaseModel | Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the key of the artefact that `stage` makes from `config` and inputs with these keys."""
    identity = {"stage": stage, "version": version, "config": result_config(config), "inputs": dict(inputs)}
    return xxhash.xxh3_128_hexdigest(json.dumps(identity, sort_keys=True).encode())


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a key for the content of files and folders; beyond 1 GB a file counts by size, time and samples.

    Names count relative to the path that was given, so a folder keeps its key when it is moved.

    Raises:
        HornbookError: a path does not exist.
    """
    digest = xxhash.xxh3_128()
    for path in paths:
        if not path.exists():
            raise HornbookError(f"{path}: no such file or folder")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(path) if path.is_dir() else Path(_suffix(file))
            found = known_checksum(file, sampled=True)
            digest.update(f"{name.as_posix()}\0{found}\0".encode())
    return digest.hexdigest()


def _suffix(file: Path) -> str:
    """Return what of a file's name says how it is read: of a packed file also what is inside, if not text."""
    inside = Path(file.stem).suffix if file.suffix in (".gz", ".zst") else ""
    return ("" if inside == ".txt" else inside) + file.suffix


def known_checksum(path: Path, *, sampled: bool = False) -> str:
    """Return what `checksum` does, computed once in a process while the file stays as it is.

    Whatever its name: one that was published by a rename, or got a second name, is known already.
    """
    stat = path.stat()
    sampled = sampled and stat.st_size > _SAMPLED_ABOVE
    file = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, sampled)
    if file not in _KNOWN:
        _KNOWN[file] = checksum(path, sampled=sampled)
    return _KNOWN[file]


def checksum(path: Path, *, sampled: bool = False) -> str:
    """Return the checksum of a file; `sampled`: beyond 1 GB of its size, time and samples, for sources."""
    digest = xxhash.xxh3_128()
    stat = path.stat()
    with path.open("rb") as file:
        if not sampled or stat.st_size <= _SAMPLED_ABOVE:
            while block := file.read(_SAMPLED_BLOCK):
                digest.update(block)
        else:
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            for i in range(64):
                file.seek(i * (stat.st_size - _SAMPLED_BLOCK) // 63)
                digest.update(file.read(_SAMPLED_BLOCK))
    return digest.hexdigest()


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


def finished(out: Path, key: str) -> Artifact | None:
    """Return the artefact in `out` if it is finished and has this key, else None."""
    try:
        artifact = load(out)
    except HornbookError:
        return None
    return Artifact(out, artifact.manifest, reused=True) if artifact.key == key else None


def make(
    out: Place,
    *,
    stage: str,
    version: int,
    config: BaseModel | Mapping[str, Any],
    inputs: Mapping[str, str],
    build: Callable[[Work], None],
    seed: int | None = None,
) -> Artifact:
    """Return the artefact of a stage: found finished, else built and published by one rename.

    Args:
        out: the artefact's folder, which may not hold anything else; or the store that has a place for it.
        stage: the stage's name.
        version: raised by hand whenever the stage's code changes its results.
        config: the stage's settings; what cannot change a result does not count.
        inputs: the keys of what it is made from, by role.
        build: fills the folder it is handed; may leave state under `resume/` for a later run.
        seed: recorded in the manifest.

    Returns:
        the artefact; with a dry store one that may be planned only.

    Raises:
        HornbookError: `out` holds something else, or `build` finds the input wrong.
    """
    key = content_key(stage, version, config, inputs)
    folder = out.folder(stage, key) if isinstance(out, Store) else Path(out)
    identity = {
        "stage": stage,
        "stage_version": version,
        "key": key,
        "config": result_config(config),
        "inputs": dict(inputs),
        "seed": seed,
    }
    lock = folder.parent / f".{folder.name}.lock"
    artifact = finished(folder, key)
    if artifact is None and isinstance(out, Store) and out.dry:
        artifact = Artifact(folder, identity)
    elif artifact is not None:
        with suppress(OSError):  # of a run that was killed just when it had published the folder
            lock.unlink()
    if artifact is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Of two runs that want the same artefact, the second waits and finds it finished.
        with _locked(lock, folder):
            artifact = finished(folder, key)
            if artifact is None:
                _refuse_other_content(folder, stage)
                logger.info("%s: %s", stage, folder)
                artifact = _build(folder, identity, build)
    if isinstance(out, Store):
        out.asked.append(artifact)
    return artifact


@contextmanager
def _locked(path: Path, folder: Path) -> Iterator[None]:
    """Hold a lock, the right to make a folder; who waits for more than a second says for whom."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_SILENT_SECONDS)
    except Timeout:
        logger.info("%s: waiting for %s, which makes it now; Ctrl-C stops the waiting", folder, _maker(folder))
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _maker(folder: Path) -> str:
    """Say who makes a folder, and since when."""
    try:
        made = json.loads((partial_path(folder) / _BUILDING).read_text("utf-8"))
        return f"process {made['process']} on {made['host']} (since {made['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _build(out: Path, identity: dict[str, Any], build: Callable[[Work], None]) -> Artifact:
    partial = _partial_folder(out, identity["key"])
    work = Work(partial)
    started, cpu = time.monotonic(), own_seconds()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        build(work)
        manifest = _describe(work, identity, began, started, cpu)
    except BaseException as error:
        full = isinstance(error, Exception) and is_full(error)
        written = size_of(partial) if full else 0
        _drop_unresumable(partial)
        if full:
            needs = f"about {megabytes(work.needed)}" if work.needed > written else f"more than {megabytes(written)}"
            raise full_disk(error, out.parent, f"{needs} needed") from None
        raise
    # Not before all is written: a run that is killed meanwhile still goes on from there.
    shutil.rmtree(partial / RESUME, ignore_errors=True)
    (partial / _BUILDING).unlink()
    if out.is_dir():
        out.rmdir()
    partial.rename(out)
    return Artifact(out, manifest)


def _describe(work: Work, identity: dict[str, Any], began: str, started: float, cpu: float) -> dict[str, Any]:
    """Write the manifest and what was measured beside what the stage wrote; return the manifest."""
    partial = work.path
    made = (p for p in sorted(partial.rglob("*")) if p.is_file())
    files = {
        p.relative_to(partial).as_posix(): p for p in made if p.relative_to(partial).parts[0] not in _OF_THE_WORK
    }
    manifest = {
        **identity,
        "versions": {name: _version(name) for name in _VERSIONED},
        "counts": work.counts,
        "info": work.info,
        "files": {
            name: {"bytes": path.stat().st_size, "xxh3_128": known_checksum(path)} for name, path in files.items()
        },
    }
    run = {
        "started": began,
        "seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(own_seconds() - cpu, 3),
        "peak_memory_mb": peak_memory() // 1024,
        "host": platform.node(),
        "machine": platform.machine(),
        **work.measured,
    }
    write_json(partial / RUN, run)
    write_json(partial / MANIFEST, manifest)
    return manifest


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, see `write_text`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text under a temporary name, then rename: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # of a write, the system names no file
        temporary.unlink(missing_ok=True)
        raise


def partial_path(out: Path) -> Path:
    """Return the folder in which the artefact `out` is built."""
    return out.parent / f".{out.name}.partial"


def _refuse_other_content(out: Path, stage: str) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        what = f"a {load(out).stage} made from other settings or inputs"
    except HornbookError:
        what = "something else"
    raise HornbookError(f"{out}: holds {what}; choose another folder for this {stage} or remove it first")


def _partial_folder(out: Path, key: str) -> Path:
    partial = partial_path(out)
    try:
        same = json.loads((partial / _BUILDING).read_text("utf-8"))["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        if _can_be_resumed(partial):
            raise HornbookError(
                f"{partial}: holds what an unfinished run with other settings or inputs left; go on with those, "
                "remove it, or choose another folder"
            )
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"key": key, "process": os.getpid(), "host": platform.node(), "since": since}
    write_json(partial / _BUILDING, about)
    for path in partial.iterdir():
        if path.name not in _OF_THE_WORK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return partial


def _drop_unresumable(partial: Path) -> None:
    if not _can_be_resumed(partial):
        shutil.rmtree(partial, ignore_errors=True)


def _can_be_resumed(partial: Path) -> bool:
    kept = partial / RESUME
    return kept.is_dir() and any(kept.iterdir())


def peak_memory() -> int:
    """Return the most memory that this process has held (kilobytes).

    Linux says it of the program; `ru_maxrss`, which is all that others have, starts there with the peak of whoever
    started the program.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

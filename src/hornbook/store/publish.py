"""Make an artefact: found finished, else built in a partial folder and published by one rename."""

import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from hornbook.errors import HornbookError
from hornbook.machine.disk import full_disk, is_full, megabytes, size_of
from hornbook.machine.load import own_seconds
from hornbook.machine.memory import peak_memory
from hornbook.store.artifact import MANIFEST, RESUME, RUN, Artifact, Destination, StageContext, Store, load
from hornbook.store.files import write_json
from hornbook.store.keys import content_key, known_checksum, result_config

logger = logging.getLogger("hornbook")

_BUILDING = "building.json"
_OF_THE_WORK = (_BUILDING, RESUME)
_SILENT_SECONDS = 1.0
_VERSIONED = ("hornbook", "numpy", "pyarrow", "tokenizers", "torch", "transformers")


def make(
    out: Destination,
    *,
    stage: str,
    version: int,
    config: BaseModel | Mapping[str, Any],
    inputs: Mapping[str, str],
    build: Callable[[StageContext], None],
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
        out.requested.append(artifact)
    return artifact


def finished(out: Path, key: str) -> Artifact | None:
    """Return the artefact in `out` if it is finished and has this key, else None."""
    try:
        artifact = load(out)
    except HornbookError:
        return None
    return Artifact(out, artifact.manifest, reused=True) if artifact.key == key else None


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


def _build(out: Path, identity: dict[str, Any], build: Callable[[StageContext], None]) -> Artifact:
    partial = _partial_folder(out, identity["key"])
    context = StageContext(partial)
    started, cpu = time.monotonic(), own_seconds()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        build(context)
        manifest = _describe(context, identity, began, started, cpu)
    except BaseException as error:
        full = isinstance(error, Exception) and is_full(error)
        written = size_of(partial) if full else 0
        _drop_unresumable(partial)
        if full:
            needs = (
                f"about {megabytes(context.needed)}"
                if context.needed > written
                else f"more than {megabytes(written)}"
            )
            raise full_disk(error, out.parent, f"{needs} needed") from None
        raise
    # Not before all is written: a run that is killed meanwhile still goes on from there.
    shutil.rmtree(partial / RESUME, ignore_errors=True)
    (partial / _BUILDING).unlink()
    if out.is_dir():
        out.rmdir()
    partial.rename(out)
    return Artifact(out, manifest)


def _describe(
    context: StageContext, identity: dict[str, Any], began: str, started: float, cpu: float
) -> dict[str, Any]:
    """Write the manifest and what was measured beside what the stage wrote; return the manifest."""
    partial = context.path
    made = (p for p in sorted(partial.rglob("*")) if p.is_file())
    files = {
        p.relative_to(partial).as_posix(): p for p in made if p.relative_to(partial).parts[0] not in _OF_THE_WORK
    }
    manifest = {
        **identity,
        "versions": {name: _version(name) for name in _VERSIONED},
        "counts": context.counts,
        "info": context.info,
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
        **context.measured,
    }
    write_json(partial / RUN, run)
    write_json(partial / MANIFEST, manifest)
    return manifest


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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

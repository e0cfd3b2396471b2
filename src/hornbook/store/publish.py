"""Make an artefact: reuse a finished one, or build it in a partial folder and publish it by one rename."""

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
from hornbook.machine.parsing import read_json
from hornbook.machine.places import refuse_unspeakable
from hornbook.store.artifact import MANIFEST, RESUME, RUN, Artifact, Destination, StageContext, Store, load
from hornbook.store.files import write_json
from hornbook.store.keys import content_key, known_checksum, result_config
from hornbook.store.manifest import sealed

logger = logging.getLogger("hornbook")

_BUILDING = "building.json"
_UNPUBLISHED = (_BUILDING, RESUME)
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
    """Return the artefact of a stage: a finished one, or a new one that is published by one rename.

    Args:
        out: the artefact's folder, which must not hold anything else, or a store.
        stage: the name of the stage.
        version: the version of the stage's code; raise it whenever the code changes the results.
        config: the stage's settings.
        inputs: the content keys of the inputs, by role.
        build: fills the given folder; may leave state under `resume/` for a later run.
        seed: recorded in the manifest.

    Returns:
        the artefact; from a dry store it may only be planned.

    Raises:
        HornbookError: `out` holds something else, or `build` refuses the input.
    """
    key = content_key(stage, version, config, inputs)
    folder = place(out, stage, key)
    refuse_unspeakable(folder)
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
        with suppress(OSError):  # left by a run that was killed just after it published the folder
            lock.unlink()
    if artifact is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # If two runs want the same artefact, the second waits and then reuses it.
        with _locked(lock, folder):
            artifact = finished(folder, key)
            if artifact is None:
                _refuse_other_content(folder, stage)
                logger.info("%s: %s", stage, folder)
                artifact = _build(folder, identity, build)
    if isinstance(out, Store):
        out.requested.append(artifact)
    return artifact


def place(out: Destination, stage: str, key: str) -> Path:
    """Return the folder of an artefact: its own place in a store, or `out` itself."""
    return out.folder(stage, key) if isinstance(out, Store) else Path(out)


def is_finished(
    out: Destination, *, stage: str, version: int, config: BaseModel | Mapping[str, Any], inputs: Mapping[str, str]
) -> bool:
    """Return whether `make` would find this artefact finished."""
    key = content_key(stage, version, config, inputs)
    return finished(place(out, stage, key), key) is not None


def finished(out: Path, key: str) -> Artifact | None:
    """Return a finished artefact, or None.

    Args:
        out: its folder.
        key: the content key it must have.

    Returns:
        the artefact, marked as reused.
    """
    try:
        artifact = load(out)
    except HornbookError:
        return None
    return Artifact(out, artifact.manifest, reused=True) if artifact.key == key else None


@contextmanager
def _locked(path: Path, folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; after waiting for a second, log which process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_SILENT_SECONDS)
    except Timeout:
        logger.info("%s: waiting for %s, which is making it; press Ctrl-C to stop waiting", folder, _maker(folder))
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file; there release() does
            path.unlink()
        lock.release()


def _maker(folder: Path) -> str:
    """Return which process makes a folder, and since when."""
    try:
        made = read_json(partial_path(folder) / _BUILDING)
        return f"process {made['process']} on {made['host']} (since {made['since']})"
    except (HornbookError, KeyError, TypeError):
        return "another process"


def _build(out: Path, identity: dict[str, Any], build: Callable[[StageContext], None]) -> Artifact:
    partial = _partial_folder(out, identity)
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
    # Only now that everything is written: a run that is killed before this can still go on from there.
    shutil.rmtree(partial / RESUME, ignore_errors=True)
    (partial / _BUILDING).unlink()
    if out.is_dir():
        out.rmdir()
    partial.rename(out)
    return Artifact(out, manifest)


def _describe(
    context: StageContext, identity: dict[str, Any], began: str, started: float, cpu: float
) -> dict[str, Any]:
    """Write `manifest.json` and `run.json` beside the stage's files; return the manifest."""
    partial = context.path
    made = (p for p in sorted(partial.rglob("*")) if p.is_file())
    files = {
        p.relative_to(partial).as_posix(): p for p in made if p.relative_to(partial).parts[0] not in _UNPUBLISHED
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
    write_json(partial / MANIFEST, sealed(manifest))
    return manifest


def beside(out: Destination, name: str) -> Destination:
    """Return where to put what a stage needs first: in the same store, or in a folder beside its own."""
    return out if isinstance(out, Store) else Path(out).with_name(f"{Path(out).name}-{name}")


def partial_path(out: Path) -> Path:
    """Return the folder in which an artefact is built.

    Args:
        out: the artefact's folder.

    Returns:
        its sibling `.NAME.partial`.
    """
    return out.parent / f".{out.name}.partial"


def _refuse_other_content(out: Path, stage: str) -> None:
    if not (out.exists() or out.is_symlink()) or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        content = f"a {load(out).stage} made from other settings or inputs"
    except HornbookError:
        content = "something else"
    raise HornbookError(f"{out}: holds {content}; choose another folder for this {stage} or remove it first")


def _partial_folder(out: Path, identity: Mapping[str, Any]) -> Path:
    partial = partial_path(out)
    try:
        same = read_json(partial / _BUILDING)["key"] == identity["key"]
    except (HornbookError, KeyError, TypeError):
        same = False
    if not same:
        if _can_be_resumed(partial):
            raise HornbookError(
                f"{partial}: holds the state of an unfinished run with other settings or inputs; use those again, "
                "remove it, or choose another folder"
            )
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"process": os.getpid(), "host": platform.node(), "since": since}
    write_json(partial / _BUILDING, {name: identity[name] for name in ("stage", "key", "inputs")} | about)
    for path in partial.iterdir():
        if path.name not in _UNPUBLISHED:
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

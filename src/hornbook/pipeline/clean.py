"""Artefacts that no run needs any more."""

import re
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hornbook.errors import HornbookError
from hornbook.machine.disk import size_of
from hornbook.machine.parsing import read_json
from hornbook.pipeline.plan import STORE
from hornbook.store import MANIFEST, Artifact, load
from hornbook.store.verify import readable

_KEY = re.compile(rb"[0-9a-f]{32}")
_REMOVED = ".removed"
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Unused:
    """An artefact that no run needs.

    Attributes:
        folder: its folder.
        stage: its stage.
        size: of its files (bytes).
    """

    folder: Path
    stage: str
    size: int


def unused(runs: Path | str, days: float = 1.0) -> list[Unused]:
    """Return the artefacts in a folder of runs that no run needs.

    A run needs what its links and its files of results name, and whatever that was made from; an unfinished stage
    needs its inputs. An experiment's results name no artefacts, as they need none.

    Args:
        runs: the folder of runs.
        days: leave out those that were made in the last days.

    Returns:
        the artefacts, largest first.

    Raises:
        HornbookError: there is no store in the folder.
    """
    store = Path(runs) / STORE
    if not store.is_dir():
        raise HornbookError(f"{runs}: no folder of runs (no {STORE} in it)")
    # Damaged ones stay: `verify` says so, and who made them may want to see them.
    there = {artifact.key: artifact for artifact in readable(store.glob("*/*"))}
    needed = _with_inputs(_named(Path(runs), store), there)
    latest = time.time() - days * _SECONDS_A_DAY
    found = [
        Unused(artifact.path, artifact.stage, size_of(artifact.path))
        for key, artifact in there.items()
        if key not in needed and (artifact.path / MANIFEST).stat().st_mtime < latest
    ]
    return sorted(found, key=lambda one: (-one.size, one.folder))


def remove(runs: Path | str, artifacts: Iterable[Unused]) -> None:
    """Remove artefacts: each is renamed first, so none is ever there in part.

    Args:
        runs: the folder of runs.
        artifacts: what `unused` returned.

    Raises:
        HornbookError: a run is making something in this store now.
    """
    store = Path(runs) / STORE
    for path in store.glob("*/.*.lock"):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise HornbookError(f"{path.parent}: a run is at work here; clean when it has ended") from None
        lock.release()
    for one in artifacts:
        one.folder.rename(one.folder.with_name(f".{one.folder.name}{_REMOVED}"))
    for path in store.glob(f"*/.*{_REMOVED}"):
        shutil.rmtree(path)


def _named(runs: Path, store: Path) -> set[str]:
    """Return every key that runs name: in links, in files of results, and in what is unfinished."""
    named: set[str] = set()
    for path in runs.glob("*/*"):
        if path.is_symlink():
            try:
                named.add(load(path).key)
            except HornbookError:
                continue
        elif path.suffix == ".json" and store not in path.parents:
            named |= {key.decode() for key in _KEY.findall(path.read_bytes())}
    for path in store.glob("*/.*.partial/building.json"):
        try:
            named |= set(read_json(path)["inputs"].values())
        except (HornbookError, KeyError, TypeError, AttributeError):
            continue
    return named


def _with_inputs(keys: Iterable[str], there: Mapping[str, Artifact]) -> set[str]:
    """Return keys and those of everything that they were made from."""
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += there[key].manifest["inputs"].values() if key in there else ()
    return found

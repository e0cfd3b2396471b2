"""Compare an artefact, and all it was made from, with the checksums in their manifests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.store.artifact import MANIFEST, Artifact, load
from hornbook.store.keys import checksum


@dataclass(frozen=True)
class Verification:
    """What was compared, and what was found.

    Attributes:
        artifacts: the folders whose files were compared.
        files: how many files these are.
        faults: what is missing or changed, one line each.
        elsewhere: inputs that are no artefact here, as `FOLDER: ROLE`: files, models and data sets, whose content
            only enters the key, and artefacts of other stores.
    """

    artifacts: tuple[Path, ...]
    files: int
    faults: tuple[str, ...]
    elsewhere: tuple[str, ...]


def verify(place: Path) -> Verification:
    """Compare every file of an artefact, or of all artefacts of a run, and of all they were made from.

    Inputs are looked for in the same store and beside the folder.

    Args:
        place: the folder of an artefact or of a run.

    Returns:
        what was found.

    Raises:
        HornbookError: the folder is neither.
    """
    waiting = [place] if (place / MANIFEST).is_file() else _links(place)
    if not waiting:
        raise HornbookError(f"{place}: neither an artefact nor a run (no {MANIFEST}, no links to artefacts)")
    known = neighbours(waiting[0].resolve())
    seen: dict[Path, int] = {}
    faults: list[str] = []
    elsewhere: list[str] = []
    with progress("checking", None, "files") as counter:
        while waiting:
            folder = waiting.pop().resolve()
            if folder in seen:
                continue
            seen[folder] = 0
            try:
                artifact = load(folder)
            except HornbookError as error:
                faults.append(str(error))
                continue
            for name in artifact.manifest["files"]:
                faults += _faults(artifact, name)
                seen[folder] += 1
                counter.advance()
            for role, key in artifact.manifest["inputs"].items():
                if key in known:
                    waiting.append(known[key])
                else:
                    elsewhere.append(f"{folder}: {role}")
    return Verification(tuple(seen), sum(seen.values()), tuple(faults), tuple(elsewhere))


def neighbours(folder: Path) -> dict[str, Path]:
    """Return the artefacts of the same store and beside a folder, by key.

    Args:
        folder: the folder of an artefact.

    Returns:
        their folders; those that cannot be read are left out.
    """
    places = [*folder.parent.glob("*"), *folder.parent.glob("artifacts/*/*"), *folder.parent.parent.glob("*/*")]
    return {artifact.key: artifact.path for artifact in readable(places)}


def readable(places: Iterable[Path]) -> Iterator[Artifact]:
    """Yield the finished artefacts among some folders.

    Args:
        places: folders; those that hold no artefact, or one whose manifest is damaged, are left out.

    Yields:
        the artefacts.
    """
    for path in places:
        if (path / MANIFEST).is_file() and not path.name.startswith("."):
            try:
                yield load(path)
            except HornbookError:
                continue


def _links(folder: Path) -> list[Path]:
    """Return the links of a run's folder to its artefacts, also those whose artefact is missing."""
    return [path for path in sorted(folder.iterdir()) if path.is_symlink()] if folder.is_dir() else []


def _faults(artifact: Artifact, name: str) -> list[str]:
    path, listed = artifact.path / name, artifact.manifest["files"][name]
    if not path.is_file():
        return [f"{path}: missing"]
    try:
        same = path.stat().st_size == listed["bytes"] and checksum(path) == listed["xxh3_128"]
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    return [] if same else [f"{path}: changed"]

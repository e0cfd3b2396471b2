"""A disk that is full, whatever the library that found out calls it."""

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hornbook.errors import DiskFull

_NEARLY_FULL = 100_000_000

# Rust's I/O errors (safetensors); NumPy's and torch's writers, which do not say why they wrote too little.
_SAID = re.compile(
    rf"os error ({errno.ENOSPC}|{errno.EDQUOT})\b|No space left on device|Disk quota exceeded"
    r"|\d+ requested and \d+ written|inline_container.*unexpected pos|PytorchStreamWriter failed writing",
    re.DOTALL,
)


def is_full(error: BaseException) -> bool:
    """Return whether an error means that a disk, or somebody's share of it, is full."""
    return any(
        (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)) or _SAID.search(str(cause))
        for cause in _causes(error)
    )


def full_disk(error: BaseException, folder: Path, needs: str = "") -> DiskFull:
    """Return what to tell of an error for which `is_full`.

    Args:
        error: what was raised; the file that it names, if any, tells the disk.
        folder: where was written, as far as is known.
        needs: what is known of the room that is needed there, such as "about 12 MB needed".
    """
    named = (cause.filename for cause in _causes(error) if isinstance(cause, OSError))
    files = [Path(name).parent for name in named if isinstance(name, str)]
    places = (place for place in (*files, folder, Path(tempfile.gettempdir())) if free(place) < _NEARLY_FULL)
    place = next(places, folder)
    said = [f"{megabytes(free(place))} free", *([needs] if needs and free(place) == free(folder) else [])]
    return DiskFull(
        f"{place}: the disk is full ({', '.join(said)}); make room there, then the same command goes on from what is "
        "finished"
    )


def size_of(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free(folder: Path) -> int:
    """Return how many bytes are free where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def megabytes(count: int) -> str:
    """Return bytes in words."""
    return f"{count / 1e6:,.1f} MB" if count < 10_000_000 else f"{count / 1e6:,.0f} MB"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__

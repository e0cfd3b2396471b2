"""A disk that is full, whatever the library that found out calls it."""

import errno
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hornbook.errors import DiskFull

_NEARLY_FULL = 100_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Rust's I/O errors (safetensors); NumPy's and torch's writers, which do not say why they wrote too little.
_SAID = re.compile(
    rf"os error ({'|'.join(map(str, _FULL))})\b|No space left on device|Disk quota exceeded|File too large"
    r"|\d+ requested and \d+ written|inline_container.*unexpected pos|PytorchStreamWriter failed writing",
    re.DOTALL,
)


def is_full(error: BaseException) -> bool:
    """Return whether an error means that no more could be written: a disk, or somebody's share of it, is full."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _FULL) or _SAID.search(str(cause)) for cause in _causes(error)
    )


def full_disk(error: BaseException, folder: Path, needs: str = "") -> DiskFull:
    """Return what to tell of an error for which `is_full`.

    Args:
        error: what was raised; the file that it names, if any, tells the disk.
        folder: where was written, as far as is known.
        needs: what is known of the room that is needed there, such as "about 12 MB needed".
    """
    named = (cause.filename for cause in _causes(error) if isinstance(cause, OSError))
    elsewhere = [Path(name).parent for name in named if isinstance(name, str) and folder not in Path(name).parents]
    places = [*elsewhere, folder, Path(tempfile.gettempdir())]
    place = next((place for place in places if free(place) < _NEARLY_FULL), places[0])
    said = [f"{megabytes(free(place))} free", *([needs] if needs and free(place) == free(folder) else [])]
    why, remedy = _limit(error, place) or ("the disk is full", "make room there")
    return DiskFull(
        f"{place}: {why} ({', '.join(said)}); {remedy}, then the same command goes on from what is finished"
    )


def _limit(error: BaseException, place: Path) -> tuple[str, str] | None:
    """Return what else than room is used up, and what to do, where a disk has some left."""
    if _says(error, errno.EDQUOT):
        return "your share (quota) of the disk is used up", "make room there"
    longest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    # Writers that do not say why they wrote too little: where there is room, it was the limit.
    limited = longest != resource.RLIM_INFINITY and free(place) > _NEARLY_FULL and not _says(error, errno.ENOSPC)
    if limited:
        return f"no file may be larger than {megabytes(longest)} (ulimit -f)", "raise that limit"
    if _says(error, errno.EFBIG):
        return "its file system takes no file so large", "choose another place"
    return None if _more_files(place) else ("its file system takes no more files", "remove some")


def _says(error: BaseException, number: int) -> bool:
    """Return whether an error has this number, or Rust's or the C library's words for it."""
    words = (f"os error {number})", os.strerror(number))
    causes = list(_causes(error))
    return any(isinstance(cause, OSError) and cause.errno == number for cause in causes) or any(
        word in str(cause) for cause in causes for word in words
    )


def _more_files(place: Path) -> bool:
    """Return whether a file system has room for the names of more files; some have no limit, and say 0 of 0."""
    found = os.statvfs(_existing(place))
    return found.f_files == 0 or found.f_favail > 0


def size_of(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free(folder: Path) -> int:
    """Return how many bytes are free where a folder is, or will be."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def megabytes(count: int) -> str:
    """Return bytes in words."""
    return f"{count / 1e6:,.1f} MB" if count < 10_000_000 else f"{count / 1e6:,.0f} MB"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__

"""Free space, and errors of any library that mean a full disk."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hornbook.errors import DiskFull

_NEARLY_FULL = 100_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Messages of Rust's I/O errors (safetensors), and of NumPy's and torch's writers, which give no reason.
_MESSAGES = re.compile(
    rf"os error ({'|'.join(map(str, _FULL))})\b|No space left on device|Disk quota exceeded|File too large"
    r"|\d+ requested and \d+ written|inline_container.*unexpected pos|PytorchStreamWriter failed writing",
    re.DOTALL,
)


def is_full(error: BaseException) -> bool:
    """Return whether an error means that nothing more could be written: a full disk, quota or file size limit."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _FULL) or _MESSAGES.search(str(cause))
        for cause in _causes(error)
    )


def full_disk(error: BaseException, folder: Path, needs: str = "") -> DiskFull:
    """Return the message for an error for which `is_full` is true.

    Args:
        error: the original error; if it names a file, that file's disk is reported.
        folder: the folder that was written to, as far as is known.
        needs: the space needed there, such as "about 12 MB needed".

    Returns:
        the error to raise: which disk, the reason, and what to do.
    """
    files = (cause.filename for cause in _causes(error) if isinstance(cause, OSError))
    elsewhere = [Path(name).parent for name in files if isinstance(name, str) and folder not in Path(name).parents]
    places = [*elsewhere, folder, Path(tempfile.gettempdir())]
    place = next((place for place in places if free(place) < _NEARLY_FULL), places[0])
    details = [f"{megabytes(free(place))} free", *([needs] if needs and free(place) == free(folder) else [])]
    reason, remedy = _limit(error, place) or ("the disk is full", "make room there")
    return DiskFull(
        f"{place}: {reason} ({', '.join(details)}); {remedy}, then the same command goes on from what is finished"
    )


def _limit(error: BaseException, place: Path) -> tuple[str, str] | None:
    """Return the limit that was reached and the remedy, or None if the disk itself is full."""
    if _has_number(error, errno.EDQUOT):
        return "your share (quota) of the disk is used up", "make room there"
    largest = _largest_file()
    # Some writers give no reason: if there is free space, it was the limit.
    if largest is not None and free(place) > _NEARLY_FULL and not _has_number(error, errno.ENOSPC):
        return f"no file may be larger than {megabytes(largest)} (ulimit -f)", "raise that limit"
    if _has_number(error, errno.EFBIG):
        return "its file system takes no file so large", "choose another place"
    return None if _takes_more_files(place) else ("its file system takes no more files", "remove some")


def _largest_file() -> int | None:
    """Return the size limit of a file for this process (bytes), None without one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if largest == resource.RLIM_INFINITY else largest


def _has_number(error: BaseException, number: int) -> bool:
    """Return whether an error has this errno, or Rust's or the C library's message for it."""
    words = (f"os error {number})", os.strerror(number))
    causes = list(_causes(error))
    return any(isinstance(cause, OSError) and cause.errno == number for cause in causes) or any(
        word in str(cause) for cause in causes for word in words
    )


def _takes_more_files(place: Path) -> bool:
    """Return whether a file system has free inodes; one without a limit reports 0 of 0, Windows reports nothing."""
    if not hasattr(os, "statvfs"):
        return True
    system = os.statvfs(_existing(place))
    return system.f_files == 0 or system.f_favail > 0


def size_of(folder: Path) -> int:
    """Return the total size of a folder's files (bytes)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free(folder: Path) -> int:
    """Return the free space (bytes) on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def megabytes(count: int) -> str:
    """Return a number of bytes as text in megabytes."""
    return f"{count / 1e6:,.1f} MB" if count < 10_000_000 else f"{count / 1e6:,.0f} MB"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__

"""Files at an address such as s3://bucket/corpus: whatever fsspec can read."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hornbook.errors import HornbookError


def is_address(place: Path | str) -> bool:
    """Return whether `place` is an address, not a path on this machine."""
    return "://" in str(place)


def expanded(path: str) -> Path:
    """Return a path with `~` or `~USER` at its beginning replaced by a home folder.

    Args:
        path: the path as it is written.

    Returns:
        the path.

    Raises:
        HornbookError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise HornbookError(f"{path}: no such user, or one without a home folder") from None


def refuse_unspeakable(path: Path) -> None:
    """Check that the name of a file is text, which libraries and manifests need.

    Args:
        path: the file or folder.

    Raises:
        HornbookError: its bytes are not text in the encoding of file names, which is UTF-8 in most places.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise HornbookError(
            f"{path}: its name is not {sys.getfilesystemencoding().upper()} text; rename it, or if it is UTF-8, "
            "set PYTHONUTF8=1"
        ) from None


@contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """Open the file at an address for reading; it is seekable.

    Args:
        address: the file, such as s3://bucket/corpus/manifest.json.

    Yields:
        the open file.

    Raises:
        HornbookError: it cannot be read.
    """
    with _readable(address):
        import fsspec

        file: Any = fsspec.open(address, "rb").open()
    with file:
        yield file


def read_from(address: str) -> bytes:
    """Return the content of the file at an address.

    Args:
        address: the file.

    Returns:
        its bytes.

    Raises:
        HornbookError: it cannot be read.
    """
    with opened(address) as file, _readable(address):
        return file.read()


def copy_from(address: str, path: Path) -> None:
    """Copy the file at an address to this machine.

    Args:
        address: the file.
        path: the file to write.

    Raises:
        HornbookError: it cannot be read.
    """
    with opened(address) as source, path.open("wb") as copy, _readable(address):
        shutil.copyfileobj(source, copy, 1 << 22)


@contextmanager
def _readable(address: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each store has its own: no such file, no such bucket, no rights, no package for it
        raise HornbookError(f"{address}: cannot be read ({type(error).__name__}: {error})") from None

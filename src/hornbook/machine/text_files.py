"""Text files, possibly compressed, as text or line by line."""

import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError, one_line

BLOCK_BYTES = 1 << 22
LONGEST_LINE = 1 << 28
"""The most bytes of a line (268 MB)."""
MOST_UNPACKED = 100
"""How many times its own size a compressed file may unpack to."""
_ALWAYS_UNPACKED = 1 << 26  # any file may, whatever its size


def _open_zstd(path: Path) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="zstd")


COMPRESSIONS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    ".gz": ("gzip", gzip.open),
    ".zst": ("zstd", _open_zstd),
}
"""By suffix: the name of a compression, and how to open a file for reading."""


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Args:
        path: the file; a suffix of `COMPRESSIONS` says that it is compressed.

    Returns:
        the text, with its line ends unchanged.

    Raises:
        HornbookError: the file cannot be read, is not complete, unpacks to more than `MOST_UNPACKED` times its size
            and 67 MB, or is not UTF-8 (the message names the line).
    """
    return _decode(b"".join(_blocks(path)), path, 0, 0)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their ends, reading it in blocks.

    Args:
        path: as `read_text`.

    Yields:
        each line without its newline; a carriage return stays.

    Raises:
        HornbookError: as `read_text`, or a line is longer than `LONGEST_LINE`.
    """
    offset = number = 0
    held: list[bytes] = []  # of a line that goes on
    for block in _blocks(path):
        end = block.rfind(b"\n")
        if end < 0:
            held.append(block)
            if sum(map(len, held)) > LONGEST_LINE:
                raise HornbookError(
                    f"{path}: line {number + 1} (from byte {offset}) is longer than {LONGEST_LINE / 1e6:,.0f} MB; "
                    "break it into lines"
                )
            continue
        whole = b"".join([*held, block[:end]])
        yield from _decode(whole, path, offset, number).split("\n")
        offset += len(whole) + 1
        number += whole.count(b"\n") + 1
        held = [block[end + 1 :]]
    if rest := b"".join(held):
        yield _decode(rest, path, offset, number)


def count_lines(path: Path) -> int:
    """Return the number of line ends of a file, see `read_text`."""
    return sum(block.count(b"\n") for block in _blocks(path))


def suffixes(path: Path) -> tuple[str, str]:
    """Return the suffix that states the format and that of the compression ("" if there is none), in lower case."""
    name = path.name.lower()
    compression = next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
    return Path(name.removesuffix(compression)).suffix, compression


def _blocks(path: Path) -> Iterator[bytes]:
    name, opened = COMPRESSIONS.get(path.suffix.lower(), ("", lambda file: file.open("rb")))
    try:
        with opened(path) as stream:
            most = max(MOST_UNPACKED * path.stat().st_size, _ALWAYS_UNPACKED) if name else math.inf
            unpacked = 0
            while block := stream.read(BLOCK_BYTES):
                unpacked += len(block)
                if unpacked > most:
                    raise HornbookError(
                        f"{path}: unpacks to more than {MOST_UNPACKED} times its size; if that is right, unpack it"
                    )
                yield block
    except (OSError, EOFError, zlib.error) as error:
        damaged = name and getattr(error, "errno", None) is None
        why = f"not a complete {name} file" if damaged else one_line(error)
        raise HornbookError(f"{path}: cannot be read: {why}") from None


def _decode(data: bytes, path: Path, offset: int, number: int) -> str:
    """Decode a block that begins at byte `offset`, after `number` lines."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start) + 1
        raise HornbookError(
            f"{path}: line {line} (byte {offset + error.start}) is not UTF-8; convert the file to UTF-8"
        ) from None
    return text.removeprefix("\ufeff") if offset == 0 else text

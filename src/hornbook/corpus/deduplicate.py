"""Exact de-duplication of any number of texts, out of core.

A text is identified by its 128-bit hash (xxh3_128: at 10⁹ texts the chance of one false match is about 10⁻²¹).
Hashes are spilled to partitions on disk by value, so that equal texts share a partition, and only one partition at a
time is in memory (as in the Grace hash join: Kitsuregawa, Tanaka and Moto-Oka 1983).
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("unit", "<i8")])


def hash_texts(texts: pa.StringArray) -> npt.NDArray[np.uint64]:
    """Return the xxh3_128 hashes of normalised texts: high and low 64 bits, [texts, 2]."""
    digests = b"".join(map(xxhash.xxh3_128_digest, texts.cast(pa.binary()).to_pylist()))
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


class HashPartitions:
    """The hashes of all units, spilled to files by value.

    Args:
        folder: an empty folder for the files; the caller removes it.
        partitions: number of files; the result does not depend on it. Memory must hold one partition about four
            times (24 bytes per unit).
    """

    def __init__(self, folder: Path, partitions: int = 64) -> None:
        self._paths = [folder / f"hashes-{number:03d}" for number in range(partitions)]
        self._files = ExitStack()
        self._writers = [self._files.enter_context(path.open("wb")) for path in self._paths]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, hashes: npt.NDArray[np.uint64], first_unit: int) -> None:
        """Add the hashes of consecutive units, [units, 2]; call with rising `first_unit`."""
        records = np.empty(len(hashes), dtype=_RECORD)
        records["high"], records["low"] = hashes[:, 0], hashes[:, 1]
        records["unit"] = np.arange(first_unit, first_unit + len(hashes))
        partition = (hashes[:, 0] % np.uint64(len(self._writers))).astype(np.int64)
        # Stable, so that units rise within a partition.
        records = records[np.argsort(partition, kind="stable")]
        ends = np.cumsum(np.bincount(partition, minlength=len(self._writers)))
        for writer, part in zip(self._writers, np.split(records, ends[:-1]), strict=True):
            writer.write(part.tobytes())

    def survivors(self, units: int) -> npt.NDArray[np.bool_]:
        """Return whether each unit is the first with its text, [units]."""
        keep = np.zeros(units, dtype=np.bool_)
        for path, writer in zip(self._paths, self._writers, strict=True):
            writer.flush()
            records = np.fromfile(path, dtype=_RECORD)
            # lexsort is stable: among equal hashes the lowest unit comes first.
            records = records[np.lexsort((records["low"], records["high"]))]
            first = np.ones(len(records), dtype=np.bool_)
            first[1:] = (np.diff(records["high"]) != 0) | (np.diff(records["low"]) != 0)
            keep[records["unit"][first]] = True
        return keep

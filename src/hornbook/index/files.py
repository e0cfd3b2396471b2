"""The two Arrow files of a shard's inverted index, written once and memory-mapped from then on.

* `terms-NNNNN.arrow`: every term of the shard in the order of its bytes, and its document frequency.
* `blocks-NNNNN.arrow`: one record batch of a single row per `Block`.
"""

import platform
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.index.layout import Block, InvertedIndex
from hornbook.machine.places import copy_from, is_address
from hornbook.store import known_checksum

_TERMS = pa.schema([("term", pa.string()), ("units", pa.int64())])
# For each field of `Block`, in order: the name of its column in finished corpora, and its type.
_COLUMNS = {
    "units": ("units", "i8"),
    "lengths": ("lengths", "u4"),
    "length_ends": ("length_ends", "u4"),
    "sparse_ends": ("rare_ends", "u4"),
    "sparse_windows": ("rare_windows", "u2"),
    "sparse_rows": ("rare_rows", "u1"),
    "dense_terms": ("frequent_terms", "u4"),
    "dense_ends": ("frequent_ends", "u4"),
    "window_bits": ("windows", "u8"),
    "dense_rows": ("frequent_rows", "u1"),
    "repeat_terms": ("repeat_terms", "u4"),
    "repeat_ends": ("repeat_ends", "u4"),
    "repeat_rows": ("repeat_rows", "u4"),
    "repeat_counts": ("repeat_counts", "u4"),
}
_BLOCKS = pa.schema([(column, pa.list_(pa.from_numpy_dtype(np.dtype(kind)))) for column, kind in _COLUMNS.values()])


def write(index: InvertedIndex, terms_path: Path, blocks_path: Path) -> None:
    """Write the two files of a shard."""
    table = pa.table([index.dictionary, index.frequency], schema=_TERMS)
    with pa.OSFile(str(terms_path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(blocks_path), "wb") as file, pa.ipc.new_file(file, _BLOCKS) as writer:
        for block in index.blocks:
            columns = [_single_row(getattr(block, field), kind) for field, (_, kind) in _COLUMNS.items()]
            writer.write_batch(pa.record_batch(columns, schema=_BLOCKS))


def read(terms_path: Path, blocks_path: Path) -> InvertedIndex:
    """Map the two files of a shard into memory.

    Args:
        terms_path: `terms-NNNNN.arrow`.
        blocks_path: `blocks-NNNNN.arrow` of the same shard.

    Returns:
        the index; its arrays are views of the mapped files.

    Raises:
        HornbookError: a file was not made by `write`.
    """
    table = _map(terms_path, _TERMS).read_all().combine_chunks()
    dictionary = table.column("term").chunk(0) if len(table) else pa.array([], pa.string())
    file = _map(blocks_path, _BLOCKS)
    batches = [file.get_batch(number) for number in range(file.num_record_batches)]
    blocks = [Block(*(column.values.to_numpy() for column in batch.columns)) for batch in batches]
    return InvertedIndex(dictionary, table.column("units").to_numpy(), blocks)


def _single_row(values: NDArray[np.generic], kind: str) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values.astype(kind, copy=False)))


def _map(path: Path, schema: pa.Schema) -> pa.ipc.RecordBatchFileReader:
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
    except (OSError, pa.ArrowException) as error:
        raise HornbookError(f"{path}: cannot be read ({error}); build the corpus again") from None
    if not file.schema.equals(schema):
        raise HornbookError(f"{path}: made by another version of hornbook; remove the corpus and build it again")
    return file


@dataclass(frozen=True)
class OpenShard:
    """A shard whose index is mapped into memory.

    Attributes:
        name: name of the shard in its corpus.
        index: its inverted index.
    """

    name: str
    index: InvertedIndex

    def open(self) -> InvertedIndex:
        """Return the index."""
        return self.index


class ShardFile(NamedTuple):
    """A file of a shard: its path or address (such as s3://…), size in bytes and checksum."""

    place: str
    size: int
    checksum: str


@dataclass(frozen=True)
class ShardFiles:
    """Where the files of a shard's index are, for any process that opens it, here or on another machine.

    Attributes:
        name: name of the shard in its corpus.
        corpus: content key of the corpus.
        files: its dictionary and its blocks.
    """

    name: str
    corpus: str
    files: tuple[ShardFile, ShardFile]

    def open(self) -> InvertedIndex:
        """Map the index into memory; files at an address are first copied to a temporary folder.

        Returns:
            the index; its arrays are views of the mapped files.

        Raises:
            HornbookError: a file is missing, belongs to another corpus, or was not made by `write`.
        """
        if not any(is_address(file.place) for file in self.files):
            return read(*(self._checked(Path(file.place), file) for file in self.files))
        # A mapped file stays readable after it is removed; its space is freed with the mapping.
        with TemporaryDirectory(prefix="hornbook-") as folder:
            copies = [Path(folder) / file.place.rpartition("/")[2] for file in self.files]
            for copy, file in zip(copies, self.files, strict=True):
                copy_from(file.place, copy)
                self._checked(copy, file)
            return read(*copies)

    def _checked(self, path: Path, file: ShardFile) -> Path:
        """Refuse a file that changed since it was made; its checksum is compared once per process."""
        size = path.stat().st_size if path.is_file() else None
        if size != file.size:
            found = "is not there" if size is None else f"has {size:,} bytes"
            raise HornbookError(
                f"{file.place}: {found} on {platform.node()}, but has {file.size:,} bytes in corpus "
                f"{self.corpus[:16]}; give every machine this corpus under this path"
            )
        if known_checksum(path) != file.checksum:
            raise HornbookError(
                f"{file.place}: changed since it was made, as {platform.node()} has it; remove the corpus "
                f"{self.corpus[:16]} there and build it again, or copy it again"
            )
        return path

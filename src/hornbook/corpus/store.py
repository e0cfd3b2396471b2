"""A finished corpus: stream its shards, open their indexes, or fetch the text of some units."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.errors import HornbookError
from hornbook.index.files import OpenShard, ShardFile, ShardFiles
from hornbook.languages import ENGLISH
from hornbook.machine.places import opened
from hornbook.store import Artifact, load
from hornbook.terms import Analysis

STAGE = "corpus"
SCHEMA = pa.schema([("unit", pa.int64()), ("text", pa.string()), ("source", pa.string())])
ROW_GROUP_UNITS = 16_384


def shard_name(number: int) -> str:
    """Return the file name of a shard's text, counted from 0."""
    return f"units-{number:05d}.parquet"


def term_names(number: int) -> tuple[str, str]:
    """Return the file names of a shard's dictionary and of its blocks."""
    return f"terms-{number:05d}.arrow", f"blocks-{number:05d}.arrow"


def hash_name(number: int) -> str:
    """Return the file name of the hashes of a shard's texts."""
    return f"hashes-{number:05d}.npy"


@dataclass(frozen=True)
class _RowGroups:
    """The location of units: the shard of each row group, its number there, and its last unit id."""

    shards: Sequence[str]
    numbers: Sequence[int]
    last: npt.NDArray[np.int64]


class Corpus:
    """A finished corpus: de-duplicated units in the order of their ids.

    The rows have the columns `unit` (id, int64), `text` and `source` (strings). Ids follow the order of the
    sources and do not depend on the shard size. Ids of duplicates are missing.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self._open: list[OpenShard] = []

    @property
    def key(self) -> str:
        """The artefact's content key."""
        return self.artifact.key

    @property
    def units(self) -> int:
        """The number of units."""
        return self.artifact.counts["units"]

    @property
    def words(self) -> int:
        """The number of words, separated by spaces, in all units."""
        return self.artifact.counts["words"]

    @property
    def sources(self) -> dict[str, int]:
        """The number of units of each source, in source order."""
        return dict(self.artifact.info["sources"])

    def shards(self) -> list[Path]:
        """Return the files of the shards, in the order of unit ids.

        Returns:
            Parquet files, [shards].

        Raises:
            HornbookError: a shard is missing or changed.
        """
        return [self.artifact.file(name) for name in self._names]

    @property
    def _names(self) -> list[str]:
        files: Mapping[str, Any] = self.artifact.manifest["files"]
        return [name for name in sorted(files) if name.startswith("units-")]

    def shard_files(self) -> list[tuple[str, ...]]:
        """Return the names of each shard's files."""
        return [(shard_name(n), *term_names(n), hash_name(n)) for n in range(len(self._names))]

    @property
    def analysis(self) -> Analysis:
        """The analysis that turned words into terms."""
        config = self.artifact.manifest["config"]
        return Analysis(config.get("stem", "none"), config.get("stop_words", "keep"), self.language)

    @property
    def language(self) -> str:
        """The language that it was built for."""
        return str(self.artifact.manifest["config"].get("language", ENGLISH))

    def inverted(self, keep_open: int = 0) -> list[ShardFiles | OpenShard]:
        """Return the inverted index of each shard, in the order of unit ids.

        Args:
            keep_open: open this many of the first shards, and keep them open as long as this corpus exists.

        Returns:
            the shards: the first `keep_open` open, the others closed.

        Raises:
            HornbookError: a file is missing or changed.
        """
        shards = self._shard_files()
        for shard in shards[len(self._open) : keep_open]:
            self._open.append(OpenShard(shard.name, shard.open()))
        return [*self._open[:keep_open], *shards[keep_open:]]

    def _shard_files(self) -> list[ShardFiles]:
        found, files = [], self.artifact.manifest["files"]
        for number, name in enumerate(self._names):
            if term_names(number)[0] not in files:
                raise HornbookError(
                    f"{self.artifact.path}: made by another version of hornbook; build the corpus again"
                )
            dictionary, blocks = (
                ShardFile(self.artifact.location(one), files[one]["bytes"], files[one]["xxh3_128"])
                for one in term_names(number)
            )
            found.append(ShardFiles(Path(name).stem, self.key, (dictionary, blocks)))
        return found

    def batches(self, columns: Sequence[str] | None = None, batch_units: int = 65_536) -> Iterator[pa.RecordBatch]:
        """Stream the units in the order of their ids.

        Args:
            columns: some of `unit`, `text`, `source`; default: all.
            batch_units: the maximum number of units in a batch; no batch spans two shards.

        Yields:
            Arrow record batches of at most `batch_units` rows.

        Raises:
            HornbookError: a shard is missing or changed.
        """
        for name in self._names:
            with self._opened(name) as shard:
                yield from shard.iter_batches(batch_units, columns=None if columns is None else list(columns))

    def texts(self, unit_ids: npt.NDArray[np.int64]) -> pa.Table:
        """Fetch units by id; read only the row groups that hold one of them.

        Args:
            unit_ids: ascending unit ids, shape (ids,); an id may repeat.

        Returns:
            a table with `unit`, `text`, `source` and a row for each id, in the same order.

        Raises:
            HornbookError: an id has no unit, or a shard is missing or changed.
            ValueError: the ids are not ascending.
        """
        ids = np.asarray(unit_ids, dtype=np.int64)
        if np.any(np.diff(ids) < 0):
            raise ValueError("unit ids must ascend")
        groups = self._row_groups
        group_of = np.searchsorted(groups.last, ids)
        bounds = np.searchsorted(group_of, np.arange(len(groups.last) + 1))
        self._refuse(ids[bounds[-1] :])
        tables = [SCHEMA.empty_table()]
        for group in np.unique(group_of):
            wanted = ids[bounds[group] : bounds[group + 1]]
            with self._opened(groups.shards[group]) as shard:
                table = shard.read_row_group(groups.numbers[group], columns=SCHEMA.names)
            held = table.column("unit").to_numpy()
            rows = np.searchsorted(held, wanted)
            self._refuse(wanted[held[rows] != wanted])
            tables.append(table.take(pa.array(rows)))
        return pa.concat_tables(tables)

    def _refuse(self, missing: npt.NDArray[np.int64]) -> None:
        if len(missing):
            raise HornbookError(f"{self.artifact.path}: no unit {missing[0]} in this corpus; was it built again?")

    @cached_property
    def _row_groups(self) -> _RowGroups:
        shards, numbers, last = [], [], []
        for name in self._names:
            with self._opened(name) as shard:
                metadata = shard.metadata
            for number in range(metadata.num_row_groups):
                shards.append(name)
                numbers.append(number)
                last.append(metadata.row_group(number).column(0).statistics.max)
        return _RowGroups(shards, numbers, np.array(last, np.int64))

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        """Open the text of a shard; of a remote one read only what is needed, and do not verify its checksum."""
        if self.artifact.address:
            with opened(self.artifact.location(name)) as file, pq.ParquetFile(file) as shard:
                yield shard
        else:
            with pq.ParquetFile(self.artifact.file(name)) as shard:
                yield shard


def open_corpus(corpus: Artifact | Path | str) -> Corpus:
    """Open a finished corpus.

    Args:
        corpus: the artefact, its folder, or its address (such as s3://bucket/corpus).

    Returns:
        the corpus; its files are opened when needed.

    Raises:
        HornbookError: there is no finished corpus.
    """
    return Corpus(load(corpus.address or corpus.path if isinstance(corpus, Artifact) else corpus, STAGE))

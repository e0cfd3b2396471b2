"""Where text comes from: files, folders, globs and hub datasets, read as a stream of documents.

A document is a string whose paragraphs are parted by blank lines. In a text file each line is a paragraph, and
a blank line ends the document (the layout of BERT's pretraining data, Devlin et al. 2019); in JSONL, Parquet
and hub datasets a row is a document.
"""

import glob
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hornbook.errors import HornbookError, Unreachable
from hornbook.machine import hub
from hornbook.store import fingerprint

TEXT = (".txt", ".text", ".md")
JSON = (".jsonl", ".json")
PARQUET = (".parquet",)
COMPRESSED = (".gz", ".zst")
LEGAL = f"{' '.join(TEXT + JSON)} (also with {' or '.join(COMPRESSED)}), {' '.join(PARQUET)}"
BATCH_CHARACTERS = 1 << 22
# A text file without a blank line is not held in memory as one document.
DOCUMENT_CHARACTERS = 1 << 18
_NUMBER = re.compile(r"-\d+(-of-\d+)?$")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class HubDataset:
    """A dataset on the hub: its name, configuration, and the revision that is read."""

    name: str
    config: str | None
    revision: str


@dataclass(frozen=True)
class Source:
    """One file or hub dataset.

    Attributes:
        name: the source's name.
        named: whether the user gave the name; if not, a column `source` in the file wins over it.
        place: where the text is.
    """

    name: str
    named: bool
    place: Path | HubDataset


@dataclass(frozen=True)
class Documents:
    """Some neighbouring documents of a source.

    Attributes:
        texts: Arrow strings, shape (documents,), possibly null.
        sources: the name of all, or of each (Arrow strings, shape (documents,), not null).
    """

    texts: Any
    sources: Any


def find_sources(given: Iterable[str]) -> list[Source]:
    """Return the files and datasets that are meant, in the order given, folders and globs sorted by path.

    Args:
        given: paths of files or folders, globs, `hub:NAME[:CONFIG]`, each possibly as `NAME=…`.

    Raises:
        HornbookError: missing or empty file or folder, a type that cannot be read, a dataset out of reach.
    """
    return [source for text in given for source in _find(text)]


def source_key(sources: Iterable[Source]) -> str:
    """Return a key for the content of sources: of files by `fingerprint`, of datasets by name and revision."""
    keys = [
        fingerprint([source.place])
        if isinstance(source.place, Path)
        else f"{source.place.name}:{source.place.config}:{source.place.revision}"
        for source in sources
    ]
    return xxhash.xxh3_128_hexdigest("\0".join(keys).encode())


def read_documents(source: Source, text_column: str) -> Iterator[Documents]:
    """Yield a source's documents in order, some 4 million characters at a time.

    Args:
        source: what to read.
        text_column: the column with the text, for all but text files.

    Raises:
        HornbookError: unknown column, text that is not UTF-8, a broken file, or no document at all.
    """
    kind = file_kind(source.place) if isinstance(source.place, Path) else ()
    if not isinstance(source.place, Path):
        batches = _gather((text, source.name) for text in _hub_texts(source.place, text_column))
    elif kind == PARQUET:
        batches = _read_parquet(source, source.place, text_column)
    elif kind == JSON:
        batches = _gather(_read_json(source, source.place, text_column))
    else:
        batches = _gather((text, source.name) for text in _join_lines(read_lines(source.place)))
    empty = True
    for batch in batches:
        if len(batch.texts):
            empty = False
            yield batch
    if empty:
        raise HornbookError(f"{_where(source)}: holds no text; fill it or leave it out of the sources")


def file_kind(path: Path) -> tuple[str, ...] | None:
    """Return which of `TEXT`, `JSON`, `PARQUET` a file is by its name; None if it is none of them."""
    *_, before, last = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    if last in COMPRESSED:
        return next((kind for kind in (TEXT, JSON) if before in kind), None)
    return next((kind for kind in (TEXT, JSON, PARQUET) if last in kind), None)


def default_name(path: Path) -> str:
    """Return a file's name without its types and a trailing number (`-000`, `-00000-of-00010`)."""
    stem = path.name
    while Path(stem).suffix.lower() in TEXT + JSON + PARQUET + COMPRESSED:
        stem = Path(stem).stem
    return _NUMBER.sub("", stem) or stem


def _find(text: str) -> list[Source]:
    named = None if Path(text).exists() else _NAMED.fullmatch(text)
    name, place = (named[1], named[2]) if named else (None, text)
    if place.startswith("hub:"):
        dataset = _hub_dataset(place)
        return [Source(name or dataset.name.rpartition("/")[2], name is not None, dataset)]
    return [Source(name or default_name(path), name is not None, path) for path in _files(place)]


def _files(place: str) -> list[Path]:
    path = Path(place).expanduser()
    if path.exists():
        found = [path]
    elif glob.has_magic(place):
        # Path.glob takes no absolute pattern.
        found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        if not found:
            raise HornbookError(f"{place}: no file matches")
    else:
        raise HornbookError(f"{place}: no such file or folder")
    files = [file for one in found for file in (_folder_files(one) if one.is_dir() else [one])]
    for file in files:
        if file_kind(file) is None:
            raise HornbookError(f"{file}: cannot be read as text; the types are {LEGAL}")
        if file.stat().st_size == 0:
            raise HornbookError(f"{file}: is empty; fill it or leave it out of the sources")
    return files


def _folder_files(folder: Path) -> list[Path]:
    """Return a folder's files of legal types, sorted, but for hidden ones and its README."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and file_kind(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.name.startswith("README.")
    ]
    if not files:
        raise HornbookError(f"{folder}: no file with text in this folder; the types are {LEGAL}")
    return files


def _where(source: Source) -> str:
    return str(source.place) if isinstance(source.place, Path) else f"hub:{source.place.name}"


def _gather(documents: Iterable[tuple[str | None, str]]) -> Iterator[Documents]:
    """Gather (text, source) pairs to batches."""
    texts: list[str | None] = []
    names: list[str] = []
    characters = 0
    for text, name in documents:
        texts.append(_without_surrogates(text))
        names.append(name)
        characters += len(text or "") + 1
        if characters >= BATCH_CHARACTERS:
            yield Documents(pa.array(texts, pa.string()), pa.array(names, pa.string()))
            texts, names, characters = [], [], 0
    if texts:
        yield Documents(pa.array(texts, pa.string()), pa.array(names, pa.string()))


def _without_surrogates(text: str | None) -> str | None:
    """Drop halves of surrogate pairs: JSON can spell them, UTF-8 cannot."""
    return text if text is None or text.isascii() else text.encode("utf-8", "ignore").decode("utf-8")


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a possibly compressed UTF-8 file, without their ends."""
    offset = number = 0
    rest = b""
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            while block := stream.read(BATCH_CHARACTERS):
                whole, newline, rest = (rest + block).rpartition(b"\n")
                if newline:
                    yield from _decode(whole, path, offset, number).split("\n")
                    offset += len(whole) + 1
                    number += whole.count(b"\n") + 1
    except (OSError, pa.ArrowException) as error:
        raise HornbookError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if rest:
        yield _decode(rest, path, offset, number)


def _decode(data: bytes, path: Path, offset: int, number: int) -> str:
    """Decode a block that begins at byte `offset`, after `number` lines."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start) + 1
        raise HornbookError(
            f"{path}, line {line} (byte {offset + error.start}): not UTF-8 text; convert the file to UTF-8"
        ) from None
    return text.removeprefix("\ufeff") if offset == 0 else text


def _join_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield documents: runs of lines without a blank one, each line a paragraph."""
    held: list[str] = []
    characters = 0
    for line in lines:
        if line and not line.isspace():
            held.append(line)
            characters += len(line)
            if characters < DOCUMENT_CHARACTERS:
                continue
        if held:
            yield "\n\n".join(held)
            held, characters = [], 0
    if held:
        yield "\n\n".join(held)


def _read_json(source: Source, path: Path, text_column: str) -> Iterator[tuple[str | None, str]]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise HornbookError(f"{path}, line {number}: not a JSON object; the file must hold one object a line")
        if text_column not in row:
            raise HornbookError(f"{path}, line {number}: {_unknown(text_column, row)}")
        text = row[text_column]
        if not isinstance(text, str | None):
            raise HornbookError(f"{path}, line {number}: {_no_text(text_column, text)}")
        name = row.get("source")
        yield text, name if isinstance(name, str) and name and not source.named else source.name


def _unknown(column: str, columns: Iterable[str]) -> str:
    return f"no column {column!r}; there are {', '.join(map(repr, columns)) or 'none'} (set text_column)"


def _no_text(column: str, value: object) -> str:
    return f"column {column!r} holds no text but {value!r:.60}; name the column with the text (text_column)"


def _read_parquet(source: Source, path: Path, text_column: str) -> Iterator[Documents]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            if text_column not in schema.names:
                raise HornbookError(f"{path}: {_unknown(text_column, schema.names)}")
            if not _is_text(schema.field(text_column).type):
                kind = schema.field(text_column).type
                raise HornbookError(f"{path}: column {text_column!r} holds no text but {kind}")
            own = "source" in schema.names and not source.named and _is_text(schema.field("source").type)
            columns = [text_column, "source"] if own and text_column != "source" else [text_column]
            row = 0
            for batch in file.iter_batches(_rows_of_a_batch(file.metadata), columns=columns, use_threads=False):
                texts = batch.column(text_column).cast(pa.string())
                _check_utf8(texts, path, row)
                names = batch.column("source").cast(pa.string()).fill_null(source.name) if own else source.name
                row += len(texts)
                yield Documents(texts, names)
    except (OSError, pa.ArrowException) as error:
        raise HornbookError(f"{path}: not a readable Parquet file: {' '.join(str(error).split())}") from None


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _rows_of_a_batch(metadata: Any) -> int:
    """Return how many rows hold some 4 million characters: long documents take no more memory than short ones."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    row_bytes = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    return int(min(max(BATCH_CHARACTERS / max(row_bytes, 1), 1), 1 << 16))


def _check_utf8(texts: Any, path: Path, first_row: int) -> None:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        for number, text in enumerate(texts.cast(pa.binary()).to_pylist()):
            try:
                (text or b"").decode("utf-8")
            except UnicodeDecodeError as error:
                where = f"{path}, row {first_row + number} (byte {error.start} of its text)"
                raise HornbookError(f"{where}: not UTF-8 text; convert the file to UTF-8") from None
        raise


def _hub_dataset(place: str) -> HubDataset:
    """Find the newest revision of `hub:NAME[:CONFIG]`."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    name, _, config = place.removeprefix("hub:").partition(":")
    with hub.asking("datasets", name, place):
        try:
            revision = HfApi().dataset_info(name).sha
        except OfflineModeIsEnabled:
            advice = f"name files or folders, or {hub.remedy()}"
            raise Unreachable(f"{place}: a corpus is read from the hub, not from its cache; {advice}") from None
        except Exception as error:  # the hub's client raises many kinds: no such name, no access
            kind = Unreachable if hub.is_out_of_reach(error) else HornbookError
            raise kind(f"{place}: the hub dataset cannot be reached: {_one_line(error)}") from None
    return HubDataset(name, config or None, str(revision))


def _hub_texts(dataset: HubDataset, text_column: str) -> Iterator[str | None]:
    """Stream the train split of a hub dataset."""
    from datasets import load_dataset

    try:
        rows = load_dataset(dataset.name, dataset.config, split="train", streaming=True, revision=dataset.revision)
        # Of rows of mixed kinds, too, which are read as JSON a second time: the text null would be lost.
        kind = (rows.features or {}).get(text_column)
        if kind is not None and getattr(kind, "dtype", None) not in ("string", "large_string", "string_view"):
            raise HornbookError(f"hub:{dataset.name}: {_no_text(text_column, kind)}")
        for batch in rows.iter(batch_size=1000):
            if text_column not in batch:
                raise HornbookError(f"hub:{dataset.name}: {_unknown(text_column, batch)}")
            for text in batch[text_column]:
                if not isinstance(text, str | None):
                    raise HornbookError(f"hub:{dataset.name}: {_no_text(text_column, text)}")
                yield text
    except HornbookError:
        raise
    except Exception as error:  # whatever its readers raise
        raise HornbookError(f"hub:{dataset.name}: cannot be read: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

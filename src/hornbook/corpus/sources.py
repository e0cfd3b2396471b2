"""The sources of a corpus: files, folders, globs, hub datasets and texts in memory, as a stream of documents.

A document is a string whose paragraphs are separated by blank lines. In a text file each line is a paragraph, and a
blank line ends the document (the layout of BERT's pretraining data, Devlin et al. 2019). In a table (JSONL, Parquet,
Arrow) and in a hub dataset each row is a document.
"""

import glob
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import xxhash

from hornbook.errors import HornbookError, Unreachable, one_line
from hornbook.machine import hub
from hornbook.machine.arrow import text_buffers
from hornbook.machine.places import expanded, refuse_unspeakable
from hornbook.machine.tables import FORMATS, TextBatch, format_of, stream_texts
from hornbook.machine.tables.rows import batched, no_such_column, no_text
from hornbook.machine.text_files import COMPRESSIONS, read_lines, suffixes
from hornbook.recipe import CorpusConfig
from hornbook.recipe.load import validate
from hornbook.store import fingerprint

PROSE = (".txt", ".text", ".md")
TABLES = tuple(suffix for suffix, one in FORMATS.items() if one.stream is not None)
LEGAL = (
    f"{' '.join((*PROSE, *(suffix for suffix in TABLES if FORMATS[suffix].compressible)))} (also with "
    f"{' or '.join(COMPRESSIONS)}), {' '.join(suffix for suffix in TABLES if not FORMATS[suffix].compressible)}"
)
# A text file without a blank line is not held in memory as one document.
DOCUMENT_CHARACTERS = 1 << 18
_NUMBER = re.compile(r"-\d+(-of-\d+)?$")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class HubDataset:
    """A hub dataset: its name, its configuration, and the revision to read."""

    name: str
    config: str | None
    revision: str


@dataclass(frozen=True)
class Texts:
    """Documents in memory, in batches of Arrow strings."""

    batches: list[Any]


CorpusData: TypeAlias = Any
"""Texts, a table of texts, or a mapping from source names to these, see `config_of`."""


@dataclass(frozen=True)
class Source:
    """One file, hub dataset, or group of texts in memory.

    Attributes:
        name: the source's name.
        named: whether the user gave the name; if not, a column `source` in the file overrides it.
        place: the location of the text.
    """

    name: str
    named: bool
    place: Path | HubDataset | Texts


@dataclass(frozen=True)
class Documents:
    """A batch of documents of a source.

    Attributes:
        texts: Arrow strings, shape (documents,), possibly null.
        sources: one source name for all, or one for each (Arrow strings, shape (documents,), not null).
    """

    texts: Any
    sources: Any


def find_sources(given: Iterable[str]) -> list[Source]:
    """Return files and datasets in the order given; folders and globs are sorted by path.

    Args:
        given: paths of files or folders, globs, `hub:NAME[:CONFIG]`; `NAME=…` names a source.

    Returns:
        the sources; none is opened yet.

    Raises:
        HornbookError: a file or folder is missing or empty, a format is unknown, or a dataset cannot be reached.
    """
    return [source for text in given for source in _find(text)]


def config_of(source: CorpusConfig | CorpusData, settings: Mapping[str, Any]) -> CorpusConfig:
    """Return the settings of a corpus.

    Args:
        source: the settings; or texts: an iterable of strings, or a pandas DataFrame, an Arrow table or a
            `datasets.Dataset` with a column of texts; or a mapping from source names to these.
        settings: the fields of `CorpusConfig` but `sources`, for texts.

    Returns:
        the validated settings.

    Raises:
        HornbookError: a setting is wrong, or they are given twice.
    """
    if not isinstance(source, CorpusConfig):
        return validate(CorpusConfig, {"sources": list(_named(source)), **settings}, "corpus")
    if settings:
        raise HornbookError("corpus: the settings are given already; change them with model_copy(update=…)")
    return source


def sources_of(source: CorpusConfig | CorpusData, config: CorpusConfig) -> list[Source]:
    """Return the sources of a corpus: those that its settings name, or texts in memory.

    Args:
        source: settings or texts, as for `config_of`.
        config: the settings, from `config_of`.

    Returns:
        the sources in order.

    Raises:
        HornbookError: as `find_sources`; or a text is not a string, or texts are paths.
    """
    if isinstance(source, CorpusConfig):
        return find_sources(source.sources)
    return [Source(name, True, _in_memory(name, data, config.text_column)) for name, data in _named(source).items()]


def _named(data: CorpusData) -> dict[str, CorpusData]:
    return {str(name): one for name, one in data.items()} if isinstance(data, Mapping) else {"texts": data}


def _in_memory(name: str, data: CorpusData, column: str) -> Texts:
    datasets, pandas = sys.modules.get("datasets"), sys.modules.get("pandas")
    if isinstance(data, str | Path):
        raise HornbookError(f"corpus: {name} is one text or path; give texts, or CorpusConfig(sources=[…]) for files")
    columns: Any = None
    if pandas is not None and isinstance(data, pandas.DataFrame):
        columns = list(data.columns)
    elif datasets is not None and isinstance(data, datasets.Dataset):
        columns, data = data.column_names, data.with_format(None)
    elif not isinstance(data, pa.Array | pa.ChunkedArray) and hasattr(data, "__arrow_c_stream__"):
        data = pa.table(data)
        columns = data.column_names
    if columns is not None and column not in columns:
        raise HornbookError(f"{name}: {no_such_column(column, map(str, columns))}")
    texts = data if columns is None else data[column]
    plain = (text.as_py() if isinstance(text, pa.Scalar) else text for text in texts)
    return Texts([batch.texts for batch in batched((_checked(name, text), None) for text in plain)])


def _checked(name: str, text: Any) -> str | None:
    if text is None or type(text).__name__ == "NAType" or text != text:
        return None
    if not isinstance(text, str):
        raise HornbookError(f"{name}: {text!r:.60} is not a text")
    return text


def source_key(sources: Iterable[Source]) -> str:
    """Return a key for the content of sources; that of a dataset is its name and revision."""
    return xxhash.xxh3_128_hexdigest("\0".join(_place_key(source.place) for source in sources).encode())


def _place_key(place: Path | HubDataset | Texts) -> str:
    if isinstance(place, Path):
        return fingerprint([place])
    if isinstance(place, HubDataset):
        return f"{place.name}:{place.config}:{place.revision}"
    digest = xxhash.xxh3_128()
    for batch in place.batches:
        for values in (*text_buffers(batch), batch.is_null().to_numpy(zero_copy_only=False)):
            digest.update(values.tobytes())
    return digest.hexdigest()


def read_documents(source: Source, text_column: str) -> Iterator[Documents]:
    """Yield a source's documents in order, in batches of about 4 million characters.

    Args:
        source: what to read.
        text_column: the column with the text; text files have none.

    Yields:
        batches of documents with the names of their sources.

    Raises:
        HornbookError: unknown column, text that is not UTF-8, a damaged file, or no document at all.
    """
    empty = True
    for batch in _batches(source, text_column):
        if len(batch.texts):
            empty = False
            names = source.name if batch.names is None else batch.names.fill_null(source.name)
            yield Documents(batch.texts, names)
    if empty:
        raise HornbookError(f"{_where(source)}: holds no text; fill it or leave it out of the sources")


def _batches(source: Source, text_column: str) -> Iterator[TextBatch]:
    if isinstance(source.place, Texts):
        return map(TextBatch, source.place.batches)
    if isinstance(source.place, HubDataset):
        return batched((text, None) for text in _hub_texts(source.place, text_column))
    if suffixes(source.place)[0] in PROSE:
        return batched((text, None) for text in _join_lines(read_lines(source.place)))
    return stream_texts(source.place, text_column, None if source.named else "source")


def is_source(path: Path) -> bool:
    """Return whether a file can be read, judging by its name."""
    one = format_of(path)
    return suffixes(path)[0] in PROSE or (one is not None and one.stream is not None)


def default_name(path: Path) -> str:
    """Return a file's name without its suffixes and a trailing number (`-000`, `-00000-of-00010`)."""
    stem = path.name
    while Path(stem).suffix.lower() in (*PROSE, *TABLES, *COMPRESSIONS):
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
    path = expanded(place)
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
        refuse_unspeakable(file)
        if not is_source(file):
            raise HornbookError(f"{file}: cannot be read as text; the types are {LEGAL}")
        if file.stat().st_size == 0:
            raise HornbookError(f"{file}: is empty; fill it or leave it out of the sources")
    return files


def _folder_files(folder: Path) -> list[Path]:
    """Return the readable files of a folder, sorted, without hidden files and READMEs."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and is_source(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.name.startswith("README.")
    ]
    if not files:
        raise HornbookError(f"{folder}: no file with text in this folder; the types are {LEGAL}")
    return files


def _where(source: Source) -> str:
    if isinstance(source.place, Texts):
        return source.name
    return str(source.place) if isinstance(source.place, Path) else f"hub:{source.place.name}"


def _join_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield documents: runs of lines that are not blank, each line a paragraph."""
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
            raise kind(f"{place}: the hub dataset cannot be reached: {one_line(error, 200)}") from None
    return HubDataset(name, config or None, str(revision))


def _hub_texts(dataset: HubDataset, text_column: str) -> Iterator[str | None]:
    """Stream the train split of a hub dataset."""
    from datasets import load_dataset

    try:
        rows = load_dataset(dataset.name, dataset.config, split="train", streaming=True, revision=dataset.revision)
        # Also a column of mixed types, which the library reads as JSON a second time: the text "null" would be lost.
        kind = (rows.features or {}).get(text_column)
        if kind is not None and getattr(kind, "dtype", None) not in ("string", "large_string", "string_view"):
            raise HornbookError(f"hub:{dataset.name}: {no_text(text_column, kind)}")
        for batch in rows.iter(batch_size=1000):
            if text_column not in batch:
                raise HornbookError(f"hub:{dataset.name}: {no_such_column(text_column, batch)}")
            for text in batch[text_column]:
                if not isinstance(text, str | None):
                    raise HornbookError(f"hub:{dataset.name}: {no_text(text_column, text)}")
                yield text
    except HornbookError:
        raise
    except Exception as error:  # the readers raise many types
        raise HornbookError(f"hub:{dataset.name}: cannot be read: {one_line(error, 200)}") from None

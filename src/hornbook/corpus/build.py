"""The stage `corpus`: sources cut to units, de-duplicated, written as shards of a fixed number of units.

Two streaming passes. The first cuts documents to units, drops those too short or too long, numbers the rest and
puts their text and hashes aside on disk; the second writes the units that are the first with their text.
Batches of documents and shards go to one process a core; the result does not depend on how many there are.
"""

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hornbook.corpus.cutting import Limits, cut_documents
from hornbook.corpus.deduplicate import HashPartitions, hash_texts
from hornbook.corpus.sources import CorpusData, Documents, Source, config_of, read_documents, source_key, sources_of
from hornbook.corpus.store import (
    ROW_GROUP_UNITS,
    SCHEMA,
    STAGE,
    Corpus,
    hash_name,
    open_corpus,
    shard_name,
    term_names,
)
from hornbook.errors import HornbookError
from hornbook.index.inverted import invert, write
from hornbook.machine.memory import peak_memory
from hornbook.machine.parallel import Workers
from hornbook.machine.progress import progress
from hornbook.recipe import CorpusConfig
from hornbook.store import Artifact, Destination, StageContext, make, result_config
from hornbook.terms import Analysis
from hornbook.terms.plain import has_tags

logger = logging.getLogger("hornbook")

VERSION = 3
# Of what only some settings ask for: the keys of other corpora stay as they were.
_SENTENCES_VERSION = 2
_STEMS_VERSION = 2
HISTOGRAM_BINS = 32
# Shares of a corpus that are worth a warning: words that were dropped, units with tags of HTML.
_MOST_DROPPED = _MOST_TAGGED = 0.01


@dataclass(frozen=True)
class _Part:
    """Units put aside in a file: `units` of them, with ids from `first` on."""

    path: Path
    first: int
    units: int


@dataclass(frozen=True)
class _Cut:
    """What a worker says about one batch of documents; the units are in its part's file."""

    counts: Counter[str]
    hashes: npt.NDArray[np.uint64]
    peak: tuple[int, int]


@dataclass(frozen=True)
class _Written:
    """What a worker says about a shard: units by source, units by number of words."""

    sources: dict[str, int]
    lengths: npt.NDArray[np.int64]
    peak: tuple[int, int]


# For one shard: parts, and which of their rows to take.
_Rows = Sequence[tuple[_Part, npt.NDArray[np.int64]]]


def build(source: CorpusConfig | CorpusData, out: Destination, **settings: Any) -> Artifact:
    """Build a corpus from its sources: normalised, cut to units, exactly de-duplicated, in fixed-size shards.

    A unit's id is its number among the units of legal length, in the order of the sources, counted before
    de-duplication: ids do not depend on the shard size, and an id that is missing was a duplicate. Of equal
    texts the one with the lowest id is kept.

    With a `base`, the shards of that finished corpus are taken over as they are, and the units of the sources follow
    as shards of their own, without those whose text is in the base: the same units as of one build over all sources,
    cut into other shards. Of the base only the manifest and the hashes of its texts are used.

    Args:
        source: the sources and how they are cut; or texts in memory, see `corpus.sources.config_of`.
        out: the artefact's folder; holds shards `units-NNNNN.parquet` with columns `unit` (id), `text`, `source`, and
            beside each its terms, see `corpus.inverted`, and the hashes of its texts, `hashes-NNNNN.npy`.
        settings: the fields of `CorpusConfig` but `sources`, for texts in memory.

    Returns:
        The artefact. Its counts: documents, units, duplicates, too_short (units dropped), too_long (units cut or
        dropped), dropped_words (of both), tagged (units with tags of HTML), words. Its info: `sources`
        (units by name), `units_by_words` (by number of words) and `length_histogram`: `units[i]` have `i * bin_words`
        words or more, and less than `(i + 1) * bin_words`.

    Raises:
        HornbookError: a source is missing, empty or cannot be read, no unit is left, or the base has other settings.
    """
    config = config_of(source, settings)
    if config.unit == "chunk" and config.chunk_words > config.max_words:
        raise HornbookError(
            f"corpus: chunk_words ({config.chunk_words}) is more than max_words ({config.max_words}), "
            "which would drop the chunks; raise max_words"
        )
    base, sources = _open_base(config), sources_of(source, config)
    # Where the base and the sources lie does not count, only their names and their content.
    names = [f"{source.name}=" if source.named else source.name for source in sources]
    return make(
        out,
        stage=STAGE,
        version=VERSION,
        config={**_settings(config), "sources": names, "base": None},
        inputs={"sources": source_key(sources)} | ({"base": base.key} if base else {}),
        build=partial(_fill, config, base, sources),
    )


def _settings(config: CorpusConfig) -> dict[str, Any]:
    """Return the settings that a corpus is known by."""
    settings = result_config(config)
    if config.long_units == "drop":
        del settings["long_units"]
    if config.unit != "line":
        settings["sentences"] = _SENTENCES_VERSION
    if config.stem != "none":
        settings["stems"] = _STEMS_VERSION
    return settings


def _open_base(config: CorpusConfig) -> Corpus | None:
    """Open the corpus that is built onto, if there is one, and refuse it where it was made by other settings."""
    if config.base is None:
        return None
    base, ours = open_corpus(config.base), {"long_units": "drop", **_settings(config)}
    theirs = {"long_units": "drop", **base.artifact.manifest["config"]}
    different = [name for name in sorted(ours.keys() | theirs.keys()) if theirs.get(name) != ours.get(name)]
    for name in different:
        if name in CorpusConfig.model_fields and name not in ("sources", "text_column", "shard_units", "base"):
            raise HornbookError(
                f"{config.base}: was built with {name} = {theirs[name]}, not {ours[name]}; "
                "build onto it with the settings it has"
            )
    if base.artifact.manifest["stage_version"] != VERSION or {"sentences", "stems"} & set(different):
        raise HornbookError(f"{config.base}: made by another version of hornbook; build the corpus again")
    return base


def _fill(config: CorpusConfig, base: Corpus | None, sources: Sequence[Source], context: StageContext) -> None:
    started = time.monotonic()
    staging = context.path / "staging"
    staging.mkdir()
    peaks: dict[int, int] = {}
    totals: Counter[str] = Counter()
    with Workers() as workers:
        with HashPartitions(staging) as hashes:
            known = _take_over(base, context.path, hashes)
            parts = _cut_all(config, sources, staging, workers, hashes, known, totals, peaks)
            if not totals["units"]:
                raise HornbookError(_nothing_left(config, totals))
            keep = hashes.survivors(known + totals["units"])[known:]
        by_source, lengths = _write_all(config, base, parts, keep, context.path, workers, peaks)
    shutil.rmtree(staging)
    _warn(config, totals)
    kept = int(keep.sum())
    context.counts.update(
        documents=totals["documents"],
        units=kept,
        duplicates=totals["units"] - kept,
        too_short=totals["too_short"],
        too_long=totals["too_long"],
        dropped_words=totals["words_too_short"] + totals["words_too_long"],
        tagged=totals["tagged"],
        words=int(np.arange(len(lengths)) @ lengths),
    )
    if base is not None:
        # An older base did not count all of it.
        context.counts.update(
            {name: count + base.artifact.counts.get(name, 0) for name, count in context.counts.items()}
        )
        lengths = _add(lengths, np.array(base.artifact.info["units_by_words"], np.int64))
        by_source = dict(Counter(base.sources) + Counter(by_source))
    context.info.update(sources=by_source, units_by_words=lengths.tolist(), length_histogram=histogram(lengths))
    seconds = time.monotonic() - started
    peaks.update([_peak()])
    context.measured.update(
        units_per_second=round(totals["units"] / seconds),
        text_megabytes_per_second=round(totals["bytes"] / 1e6 / seconds, 1),
        # Of all processes together; an upper bound, for pages that they share count for each.
        peak_memory_mb=sum(peaks.values()) // 1024,
    )


def _take_over(base: Corpus | None, folder: Path, hashes: HashPartitions) -> int:
    """Link the shards of the base into the folder, take in the hashes of its texts, and return how many these are."""
    if base is None:
        return 0
    known = 0
    for number, names in enumerate(base.shard_files()):
        for name in names:
            _link(base.artifact.file(name), folder / name)
        texts = np.load(base.artifact.file(hash_name(number)))
        hashes.add(texts, known)
        known += len(texts)
    return known


def _link(file: Path, link: Path) -> None:
    """Give a file a second name, or copy it where the file system has one name for a file."""
    try:
        link.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, link)


def _cut_all(
    config: CorpusConfig,
    sources: Sequence[Source],
    staging: Path,
    workers: Workers,
    hashes: HashPartitions,
    known: int,
    totals: Counter[str],
    peaks: dict[int, int],
) -> list[_Part]:
    """Put the units of all sources aside as numbered parts, and their hashes; count."""
    parts: list[_Part] = []
    batches = (batch for source in sources for batch in read_documents(source, config.text_column))
    jobs = ((staging / f"part-{number:06d}.arrow", batch) for number, batch in enumerate(batches))
    with progress("corpus: cutting to units") as counter:
        for number, done in enumerate(workers.map(partial(_cut_batch, config), jobs)):
            first = totals["units"]
            parts.append(_Part(staging / f"part-{number:06d}.arrow", first, done.counts["units"]))
            hashes.add(done.hashes, known + first)
            totals.update(done.counts)
            peaks.update([done.peak])
            counter.advance(done.counts["units"])
    return parts


def _cut_batch(config: CorpusConfig, job: tuple[Path, Documents]) -> _Cut:
    """Cut a batch of documents to units and write those of legal length to the part's file."""
    path, batch = job
    limits = Limits(
        config.unit, config.chunk_words, config.min_words, config.max_words, cut_long=config.long_units == "cut"
    )
    units = cut_documents(batch.texts, limits)
    counts = Counter(
        documents=len(batch.texts),
        bytes=pc.sum(pc.binary_length(batch.texts)).as_py() or 0,
        units=len(units.texts),
        too_short=units.too_short,
        too_long=units.too_long,
        words=int(units.words.sum()),
        words_too_short=units.words_too_short,
        words_too_long=units.words_too_long,
        tagged=sum(map(has_tags, units.texts.filter(pc.match_substring(units.texts, "<")).to_pylist())),
    )
    source = (
        pa.repeat(batch.sources, len(units.texts))
        if isinstance(batch.sources, str)
        else batch.sources.take(pa.array(units.documents))
    )
    table = pa.table({"text": units.texts, "source": source, "words": units.words})
    # One thread: the process may have been forked, and there is one process a core.
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)
    return _Cut(counts, hash_texts(units.texts), _peak())


def _write_all(
    config: CorpusConfig,
    base: Corpus | None,
    parts: Sequence[_Part],
    keep: npt.NDArray[np.bool_],
    folder: Path,
    workers: Workers,
    peaks: dict[int, int],
) -> tuple[dict[str, int], npt.NDArray[np.int64]]:
    """Write the kept units as shards; return units by source and units by number of words."""
    sources: Counter[str] = Counter()
    lengths = np.zeros(0, dtype=np.int64)
    plan = plan_shards(parts, keep, config.shard_units)
    # Ids count the units before de-duplication.
    first = base.artifact.counts["units"] + base.artifact.counts["duplicates"] if base else 0
    numbered = enumerate(plan, len(base.shard_files()) if base else 0)
    write_shard = partial(_write_shard, folder, Analysis(config.stem, config.stop_words), first)
    with progress("corpus: writing shards", total=int(keep.sum())) as counter:
        for done in workers.map(write_shard, numbered):
            sources.update(done.sources)
            lengths = _add(lengths, done.lengths)
            peaks.update([done.peak])
            counter.advance(int(done.lengths.sum()))
    return dict(sources), lengths


def plan_shards(parts: Iterable[_Part], keep: npt.NDArray[np.bool_], shard_units: int) -> Iterator[_Rows]:
    """Yield for each shard which rows of which parts make it: `shard_units` kept units, fewer in the last."""
    shard: list[tuple[_Part, npt.NDArray[np.int64]]] = []
    room = shard_units
    for part in parts:
        rows = np.flatnonzero(keep[part.first : part.first + part.units])
        while len(rows):
            shard.append((part, rows[:room]))
            room -= len(shard[-1][1])
            rows = rows[len(shard[-1][1]) :]
            if not room:
                yield shard
                shard, room = [], shard_units
    if shard:
        yield shard


def _write_shard(folder: Path, analysis: Analysis, first: int, job: tuple[int, _Rows]) -> _Written:
    """Write a shard's text, its dictionary, its blocks and the hashes of its texts; unit ids count from `first`."""
    number, rows = job
    units: list[pa.RecordBatch] = []
    sources: Counter[str] = Counter()
    lengths = np.zeros(0, dtype=np.int64)
    held = SCHEMA.empty_table()
    options = {"compression": "zstd", "use_dictionary": ["source"], "write_statistics": ["unit"]}
    with pq.ParquetWriter(folder / shard_name(number), SCHEMA, **options) as writer:
        for part, positions in rows:
            table = _take(part, positions, first)
            lengths = _add(lengths, np.bincount(table.column("words").to_numpy()))
            for entry in table.column("source").value_counts().to_pylist():
                sources[entry["values"]] += entry["counts"]
            units += table.select(["unit", "text"]).to_batches()
            held = pa.concat_tables([held, table.select(SCHEMA.names)])
            whole = len(held) // ROW_GROUP_UNITS * ROW_GROUP_UNITS
            if whole:
                writer.write_table(held.slice(0, whole), row_group_size=ROW_GROUP_UNITS)
                held = held.slice(whole)
        if len(held):
            writer.write_table(held)
    write(invert(units, analysis), *(folder / name for name in term_names(number)))
    np.save(folder / hash_name(number), np.concatenate([hash_texts(batch.column("text")) for batch in units]))
    return _Written(dict(sources), lengths, _peak())


def _take(part: _Part, rows: npt.NDArray[np.int64], first: int) -> pa.Table:
    """Read rows of a part, with their unit ids, which count from `first`."""
    options = pa.ipc.IpcReadOptions(use_threads=False)
    with pa.OSFile(str(part.path)) as file:
        table = pa.ipc.open_file(file, options=options).read_all()
    if len(rows) < part.units:
        table = table.take(pa.array(rows))
    return table.append_column("unit", pa.array(first + part.first + rows))


def histogram(lengths: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the units by number of words, `lengths[words]`, gathered to at most `HISTOGRAM_BINS` bins."""
    width = -(-len(lengths) // HISTOGRAM_BINS)
    padded = np.zeros(-(-len(lengths) // width) * width, dtype=np.int64)
    padded[: len(lengths)] = lengths
    return {"bin_words": width, "units": padded.reshape(-1, width).sum(axis=1).tolist()}


def _add(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Add two arrays of counts of different lengths."""
    total = np.zeros(max(len(one), len(other)), dtype=np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total


def _peak() -> tuple[int, int]:
    """Return this process and its peak memory (kilobytes)."""
    return os.getpid(), peak_memory()


def _warn(config: CorpusConfig, totals: Counter[str]) -> None:
    """Say so where many words were dropped, or many units hold markup."""
    short, long = totals["words_too_short"], totals["words_too_long"]
    share = (short + long) / max(short + long + totals["words"], 1)
    if share > _MOST_DROPPED:
        causes = []
        if short:
            causes.append(f"{totals['too_short']:,} units under min_words ({config.min_words}); lower min_words")
        if long:
            causes.append(
                f"{totals['too_long']:,} units over max_words ({config.max_words}); set long_units to cut, or raise "
                "max_words"
            )
        logger.warning("corpus: %.1f%% of the words were dropped: %s", 100 * share, "; ".join(causes))
    if totals["tagged"] > _MOST_TAGGED * totals["units"]:
        logger.warning(
            "corpus: %s of %s units hold HTML tags; strip the markup from the sources",
            f"{totals['tagged']:,}",
            f"{totals['units']:,}",
        )


def _nothing_left(config: CorpusConfig, totals: Counter[str]) -> str:
    dropped = [
        f"{totals[name]} were {how} ({most})"
        for name, how, most in (
            ("too_short", "shorter than min_words", f"{config.min_words}, as separated by spaces"),
            ("too_long", "longer than max_words", f"{config.max_words}"),
        )
        if totals[name]
    ]
    return f"corpus: no {config.unit} is left: {' and '.join(dropped) or 'the sources hold no text'}"

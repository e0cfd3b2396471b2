"""The stage `corpus`: sources cut to units, de-duplicated, and written as shards of a fixed number of units.

Two streaming passes. The first cuts documents to units, drops those that are too short or too long, numbers the rest
and sets their text and hashes aside on disk. The second writes the first unit of each text. Batches of documents and
shards go to one process per core; the result does not depend on the number of processes.
"""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.corpus.cutting import Limits
from hornbook.corpus.deduplicate import HashPartitions
from hornbook.corpus.parts import Part, cut_batch, process_peak
from hornbook.corpus.shards import add_counts, plan_shards, write_shard
from hornbook.corpus.sources import CorpusData, Source, config_of, read_documents, source_key, sources_of
from hornbook.corpus.store import STAGE, Corpus, hash_name, open_corpus
from hornbook.errors import HornbookError
from hornbook.machine.parallel import Workers
from hornbook.machine.parsing import read_array
from hornbook.machine.progress import progress
from hornbook.recipe import CorpusConfig
from hornbook.store import Artifact, Destination, StageContext, make, result_config
from hornbook.terms import Analysis

logger = logging.getLogger("hornbook")

VERSION = 3
# Versions of what only some settings use: a new one leaves the keys of other corpora unchanged.
_SENTENCES_VERSION = 2
_STEMS_VERSION = 2
HISTOGRAM_BINS = 32
# Warn above these shares of the corpus: words that were dropped, units with HTML tags.
_MAX_DROPPED = _MAX_TAGGED = 0.01


def build(source: CorpusConfig | CorpusData, out: Destination, **settings: Any) -> Artifact:
    """Build a corpus: normalise the text of its sources, cut it to units, de-duplicate these, and write shards.

    A unit's id is its number among the units of legal length, in the order of the sources and before de-duplication.
    So ids do not depend on the size of shards, and a missing id belongs to a duplicate. Of equal texts the unit with
    the lowest id is kept.

    With a `base`, the shards of that finished corpus are reused, and the units of the new sources follow in shards of
    their own, without those whose text is in the base: the same units as one build over all sources, in other shards.
    Only the manifest of the base and the hashes of its texts are read.

    Args:
        source: the sources and how they are cut; or texts in memory, see `corpus.sources.config_of`.
        out: the artefact's folder. A shard has four files: `units-NNNNN.parquet` with columns `unit` (id), `text` and
            `source`, the two of its inverted index (see `hornbook.index`), and `hashes-NNNNN.npy` of its texts.
        settings: the fields of `CorpusConfig` but `sources`, for texts in memory.

    Returns:
        The artefact. Its counts: documents, units, duplicates, too_short (units dropped), too_long (units cut or
        dropped), dropped_words (of both), tagged (units with HTML tags), words. Its info: `sources` (units by name),
        `units_by_words` (by number of words) and `length_histogram`, see `histogram`.

    Raises:
        HornbookError: a source is missing, empty or unreadable, no unit is left, the base has other settings, or
            settings contradict each other.
    """
    config = config_of(source, settings)
    if config.unit == "chunk" and config.chunk_words > config.max_words:
        raise HornbookError(
            f"corpus: chunk_words ({config.chunk_words}) is more than max_words ({config.max_words}), "
            "which would drop the chunks; raise max_words"
        )
    base, sources = _open_base(config), sources_of(source, config)
    # The key depends on the names and the content of the sources and the base, not on their paths.
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
    """Return the settings that enter the content key."""
    settings = result_config(config)
    if config.long_units == "drop":
        del settings["long_units"]
    if config.unit != "line":
        settings["sentences"] = _SENTENCES_VERSION
    if config.stem != "none":
        settings["stems"] = _STEMS_VERSION
    return settings


def _open_base(config: CorpusConfig) -> Corpus | None:
    """Open the base, if any.

    Raises:
        HornbookError: it was built with other settings or by another version.
    """
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
        # A base of an older version may lack some of the counts.
        context.counts.update(
            {name: count + base.artifact.counts.get(name, 0) for name, count in context.counts.items()}
        )
        lengths = add_counts(lengths, np.array(base.artifact.info["units_by_words"], np.int64))
        by_source = dict(Counter(base.sources) + Counter(by_source))
    context.info.update(sources=by_source, units_by_words=lengths.tolist(), length_histogram=histogram(lengths))
    seconds = time.monotonic() - started
    peaks.update([process_peak()])
    context.measured.update(
        units_per_second=round(totals["units"] / seconds),
        text_megabytes_per_second=round(totals["bytes"] / 1e6 / seconds, 1),
        # The sum over all processes: an upper bound, as shared pages count in each.
        peak_memory_mb=sum(peaks.values()) // 1024,
    )


def _take_over(base: Corpus | None, folder: Path, hashes: HashPartitions) -> int:
    """Link the shards of the base into the folder, add the hashes of its texts, and return their number."""
    if base is None:
        return 0
    known = 0
    for number, names in enumerate(base.shard_files()):
        for name in names:
            _link(base.artifact.file(name), folder / name)
        texts = read_array(base.artifact.file(hash_name(number)))
        hashes.add(texts, known)
        known += len(texts)
    return known


def _link(file: Path, link: Path) -> None:
    """Hard-link a file, or copy it where the file system has no hard links."""
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
) -> list[Part]:
    """Cut all sources: write the parts, add the hashes, and update totals and peaks.

    Returns:
        The parts, in the order of the sources.
    """
    parts: list[Part] = []
    batches = (batch for source in sources for batch in read_documents(source, config.text_column))
    limits = Limits(
        config.unit, config.chunk_words, config.min_words, config.max_words, cut_long=config.long_units == "cut"
    )
    jobs = ((staging / f"part-{number:06d}.arrow", batch) for number, batch in enumerate(batches))
    with progress("corpus: cutting to units") as counter:
        for number, done in enumerate(workers.map(partial(cut_batch, limits), jobs)):
            first = totals["units"]
            parts.append(Part(staging / f"part-{number:06d}.arrow", first, done.counts["units"]))
            hashes.add(done.hashes, known + first)
            totals.update(done.counts)
            peaks.update([done.peak])
            counter.advance(done.counts["units"])
    return parts


def _write_all(
    config: CorpusConfig,
    base: Corpus | None,
    parts: Sequence[Part],
    keep: npt.NDArray[np.bool_],
    folder: Path,
    workers: Workers,
    peaks: dict[int, int],
) -> tuple[dict[str, int], npt.NDArray[np.int64]]:
    """Write the kept units as shards.

    Returns:
        Units by source, and units by number of words.
    """
    sources: Counter[str] = Counter()
    lengths = np.zeros(0, dtype=np.int64)
    plan = plan_shards(parts, keep, config.shard_units)
    first = base.artifact.counts["units"] + base.artifact.counts["duplicates"] if base else 0
    numbered = enumerate(plan, len(base.shard_files()) if base else 0)
    work = partial(write_shard, folder, Analysis(config.stem, config.stop_words), first)
    with progress("corpus: writing shards", total=int(keep.sum())) as counter:
        for done in workers.map(work, numbered):
            sources.update(done.sources)
            lengths = add_counts(lengths, done.lengths)
            peaks.update([done.peak])
            counter.advance(int(done.lengths.sum()))
    return dict(sources), lengths


def histogram(lengths: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return a histogram of unit lengths with at most `HISTOGRAM_BINS` bins.

    Args:
        lengths: units by number of words, [longest + 1].

    Returns:
        `bin_words` and `units`: bin i counts the units of `i * bin_words` up to `(i + 1) * bin_words - 1` words.
    """
    width = -(-len(lengths) // HISTOGRAM_BINS)
    padded = np.zeros(-(-len(lengths) // width) * width, dtype=np.int64)
    padded[: len(lengths)] = lengths
    return {"bin_words": width, "units": padded.reshape(-1, width).sum(axis=1).tolist()}


def _warn(config: CorpusConfig, totals: Counter[str]) -> None:
    """Warn if many words were dropped or many units hold markup."""
    short, long = totals["words_too_short"], totals["words_too_long"]
    share = (short + long) / max(short + long + totals["words"], 1)
    if share > _MAX_DROPPED:
        causes = []
        if short:
            causes.append(f"{totals['too_short']:,} units under min_words ({config.min_words}); lower min_words")
        if long:
            causes.append(
                f"{totals['too_long']:,} units over max_words ({config.max_words}); set long_units to cut, or raise "
                "max_words"
            )
        logger.warning("corpus: %.1f%% of the words were dropped: %s", 100 * share, "; ".join(causes))
    if totals["tagged"] > _MAX_TAGGED * totals["units"]:
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

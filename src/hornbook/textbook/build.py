"""The stage that builds a textbook of any kind."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from hornbook.corpus import Corpus, open_corpus
from hornbook.errors import HornbookError
from hornbook.languages import ENGLISH
from hornbook.recipe import ContextualizedConfig, SampleConfig, TextbookConfig
from hornbook.retrieval import LOCAL, Executor
from hornbook.store import Artifact, Destination, StageContext, beside, fingerprint, make
from hornbook.tasks import open_task
from hornbook.textbook.contamination import Finder, held_out, screened
from hornbook.textbook.kind import Materials, TextbookKind, kind_of
from hornbook.textbook.languages import Sample
from hornbook.textbook.store import STAGE, VERSION, NothingLeftError, write
from hornbook.textbook.top import build_top

logger = logging.getLogger("hornbook")

_VERSION_WITHOUT_TASK = 3  # of textbooks that no task's texts change


def build(
    config: TextbookConfig,
    *,
    corpus: Artifact | None = None,
    task: Artifact | None = None,
    like: Artifact | None = None,
    books: Sequence[Artifact] = (),
    out: Destination,
    executor: Executor = LOCAL,
) -> Artifact:
    """Build a textbook.

    Args:
        config: the kind and its settings.
        corpus: the corpus, for kinds that need one.
        task: the task, for kinds that need one. For all kinds, units that contain a dev or test text of it are
            removed; if the settings keep them, they are counted in textbooks that need the task.
        like: a textbook whose size a sample of the corpus gets, if the settings set no size.
        books: the textbooks of a union.
        out: the artefact's folder, or a store. The candidates of an augmented textbook, and the whole textbook of
            which `proportion` takes a part, are put beside it.
        executor: runs searches of the corpus; does not change the textbook.

    Returns:
        The artefact, one row per unit with the columns of `store.SCHEMA`. Counts: units, contaminated (units that
        contain such texts), for kinds that need a corpus corpus_units, and what the kind counts (see its module).
        Info: kind, contamination (`removed`, `kept`, `not checked`), task (the key of the task it is about, or None),
        for kinds that need a corpus share (units over units of the corpus; for pairs: of the units in one).

    Raises:
        HornbookError: an input is missing, or the settings do not fit the corpus or the task; or `out` has other
            content.
    """
    given = {"corpus": corpus, "task": task, "like": like}
    present = {role: artifact for role, artifact in given.items() if artifact is not None}
    if isinstance(config, ContextualizedConfig) and config.proportion < 1:
        whole = config.model_copy(update={"proportion": 1.0})
        return build_top(config, _build_whole(whole, present, books, beside(out, "whole"), executor), out)
    return _build_whole(config, present, books, out, executor)


def _build_whole(
    config: TextbookConfig,
    given: Mapping[str, Artifact],
    books: Sequence[Artifact],
    out: Destination,
    executor: Executor,
) -> Artifact:
    kind = kind_of(config)
    _check_given(kind, config, given, books)
    corpus = None if "corpus" not in kind.needs or given["corpus"].planned else open_corpus(given["corpus"])
    if corpus is not None:
        _check_language(config, corpus)
    used: dict[str, Artifact] = {role: artifact for role, artifact in given.items() if role in kind.needs}
    used |= kind.prepare(config, used, out)
    if isinstance(config, SampleConfig) and not config.sized:
        used["like"] = given["like"]
    screens = "task" in given and ("task" in kind.needs or config.contamination == "remove")
    inputs = {role: artifact.key for role, artifact in used.items()} | _other_keys(kind, config, books)
    if screens:
        inputs["task"] = given["task"].key

    def fill(context: StageContext) -> None:
        finder = Finder(held_out(open_task(given["task"]))) if screens else None
        context.info |= {"kind": config.kind, "task": used["task"].key if "task" in used else _task_of(books)}
        made_from = {role: given[role] for role in ("corpus", "task") if role in inputs}
        context.measured["made_from"] = {role: _location(artifact) for role, artifact in made_from.items()}
        removes = config.contamination == "remove"
        context.info["contamination"] = "not checked" if finder is None else "removed" if removes else "kept"
        materials = Materials(used, books, executor)
        tables = kind.build(config, materials, context)
        sample = Sample()
        units = _write(context, sample.watch(tables) if corpus else tables, finder, removes)
        if language := corpus.language if corpus else config.language:
            context.info |= {} if language == ENGLISH else {"language": language}
        if corpus is not None:
            context.measured["languages"] = sample.languages(corpus.language)
        context.counts["units"] = units
        if "corpus" in used:
            context.counts["corpus_units"] = used["corpus"].counts["units"]
            context.info.setdefault("share", units / used["corpus"].counts["units"])
        kind.finish(context)

    version = VERSION if screens else _VERSION_WITHOUT_TASK
    seed = getattr(config, "seed", None)
    return make(out, stage=STAGE, version=version, config=config, inputs=inputs, build=fill, seed=seed)


def _check_language(config: TextbookConfig, corpus: Corpus) -> None:
    """Refuse a corpus that was indexed for another language than the task's."""
    if config.language not in (None, corpus.language):
        raise HornbookError(
            f"{corpus.artifact.path}: was built for {corpus.language}, but the textbook's language is "
            f"{config.language}; build a corpus with language {config.language}, or set the language to "
            f"{corpus.language}"
        )


def _check_given(
    kind: TextbookKind[Any], config: TextbookConfig, given: Mapping[str, Artifact], books: Sequence[Artifact]
) -> None:
    name = f"{'an' if config.kind[0] in 'aei' else 'a'} {config.kind} textbook"
    if "corpus" in kind.needs and "corpus" not in given:
        raise HornbookError(f"{name} needs a corpus to take units from")
    if "task" in kind.needs and "task" not in given:
        raise HornbookError(f"{name} needs a task")
    if "books" in kind.needs and len(books) < 2:
        raise HornbookError(f"{name} needs two or more textbooks")
    if isinstance(config, SampleConfig) and not config.sized and "like" not in given:
        raise HornbookError(f"{name} needs a size: give units, tokens or bytes, or a textbook to match (like)")


def _other_keys(kind: TextbookKind[Any], config: TextbookConfig, books: Sequence[Artifact]) -> dict[str, str]:
    """Return the keys of everything but artefacts with a role: files, other textbooks, the kind's own version."""
    keys = {role: fingerprint([path]) for role, path in kind.files(config).items()}
    keys |= {f"book-{number}": book.key for number, book in enumerate(books, 1)}
    return keys if kind.version is None else keys | {"kind_version": str(kind.version)}


def _write(context: StageContext, tables: Iterator[pa.Table], finder: Finder | None, removes: bool) -> int:
    """Write the units, except those to be removed, and return their number."""
    screened_tables: Iterable[pa.Table] = tables
    if finder is not None:
        screened_tables = screened(tables, finder, context.counts, removes)
    try:
        units = write(context.path, screened_tables)
    except NothingLeftError:
        if not (removes and context.counts.get("contaminated")):
            raise
        raise HornbookError(
            f"all {context.counts['contaminated']:,} units contain dev or test texts of the task; set "
            "contamination to keep, or use other text"
        ) from None
    if found := context.counts.get("contaminated"):
        done = context.info["contamination"]
        logger.info("%s units contain a dev or test text of the task and were %s", f"{found:,}", done)
    return units


def _location(artifact: Artifact) -> str:
    """Return the location of an artefact, so that `inspect` can find it again."""
    return artifact.address or str(artifact.path.resolve())


def _task_of(books: Sequence[Artifact]) -> str | None:
    """Return the key of the task that textbooks are about, or None if they are about several or none."""
    about = {book.info["task"] for book in books} - {None}
    return str(about.pop()) if len(about) == 1 else None

"""The stage that makes a textbook of any kind."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from hornbook.artifact import Artifact, Place, Store, Work, make
from hornbook.corpus import open_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import (
    AugmentedConfig,
    BookOfOne,
    ContextualizedConfig,
    GeneralConfig,
    ImportanceConfig,
    RelatedConfig,
    RetrievedConfig,
    TaskTextConfig,
    UnionConfig,
)
from hornbook.retrieval import HERE, Spread
from hornbook.tasks import open_task
from hornbook.textbook import augmented, candidates, contextualized, general, importance, related, task_text, union
from hornbook.textbook.contamination import Finder, held_out, screened
from hornbook.textbook.store import STAGE, NothingLeftError, open_textbook, write

logger = logging.getLogger("hornbook")

VERSION = 4
_WITHOUT_TASK_VERSION = 3  # of what no task's texts change
FROM_CORPUS = (RetrievedConfig, GeneralConfig, ImportanceConfig)
_FROM_TASK = (RetrievedConfig, ImportanceConfig, AugmentedConfig, TaskTextConfig)


def build(
    config: BookOfOne,
    *,
    corpus: Artifact | None = None,
    task: Artifact | None = None,
    like: Artifact | None = None,
    books: Sequence[Artifact] = (),
    out: Place,
    spread: Spread = HERE,
) -> Artifact:
    """Make a textbook.

    Args:
        config: its kind and settings.
        corpus: what contextualized, related, general and importance textbooks are drawn from; others do not need it.
        task: what all but general textbooks and unions are about. Where it is given, units that hold a dev or test
            text of it are removed; where the settings keep them, they are counted in textbooks about the task.
        like: a textbook as large as which a sample of the corpus is made, where its settings name no size.
        books: the textbooks of a union.
        out: the artefact's folder. The whole textbook, of which `proportion` takes a part, stands beside it, and so
            do the candidates of an augmented one.
        spread: where the corpus's shards are searched; does not change the textbook.

    Returns:
        The artefact, one row a unit with the columns of `store.SCHEMA`. Its counts: units, contaminated (units
        that hold such texts), from a corpus also corpus_units, and what the kind counts (see its module). Its info:
        kind, contamination (`removed`, `kept`, `not checked`), task (the key of the task it is about, or None), from
        a corpus share (of its units; of pairs: those that stand in one).

    Raises:
        HornbookError: something in the settings does not fit the corpus or the task; or `out` holds
            something else.
    """
    if isinstance(config, ContextualizedConfig) and config.proportion < 1:
        whole = config.model_copy(update={"proportion": 1.0})
        beside = out if isinstance(out, Store) else Path(out).with_name(f"{Path(out).name}-whole")
        return _top(config, build(whole, corpus=corpus, task=task, out=beside, spread=spread), out)
    given = _Given(corpus, task, like, books)
    _check_given(config, given)
    if isinstance(config, AugmentedConfig):
        assert task is not None  # checked
        given = replace(given, proposed=candidates.propose(config, task, out))
    inputs = _inputs(config, given)

    def fill(work: Work) -> None:
        about = inputs.get("task") if isinstance(config, _FROM_TASK) else _task_of(books)
        finder = Finder(held_out(open_task(task))) if task is not None and "task" in inputs else None
        remove = config.contamination == "remove"
        work.info |= {"kind": config.kind, "task": about}
        found_at = {"corpus": corpus, "task": task}
        work.measured["made_from"] = {role: _place(found_at[role]) for role in found_at if role in inputs}
        work.info["contamination"] = "not checked" if finder is None else "removed" if remove else "kept"
        put = partial(_write, work, finder, remove)
        units = _fill(config, given, work, put, spread)
        work.counts["units"] = units
        if corpus is not None and isinstance(config, FROM_CORPUS):
            work.counts["corpus_units"] = corpus.counts["units"]
            work.info.setdefault("share", units / corpus.counts["units"])
        if found := work.counts.get("contaminated"):
            logger.info(
                "%s units held a dev or test text of the task and were %s", f"{found:,}", work.info["contamination"]
            )

    seed = getattr(config, "seed", None)
    version = VERSION if "task" in inputs else _WITHOUT_TASK_VERSION
    return make(out, stage=STAGE, version=version, config=config, inputs=inputs, build=fill, seed=seed)


@dataclass(frozen=True)
class _Given:
    """What a textbook may be made from; `proposed`: the candidates of an augmented one."""

    corpus: Artifact | None
    task: Artifact | None
    like: Artifact | None
    books: Sequence[Artifact]
    proposed: Artifact | None = None

    @property
    def size(self) -> int | None:
        """How many units the textbook has that this one is to be like."""
        return None if self.like is None else self.like.counts["units"]


def _fill(
    config: BookOfOne, given: _Given, work: Work, write: Callable[[Iterable[pa.Table]], int], spread: Spread
) -> int:
    """Write the units and return how many there are."""
    corpus, task = given.corpus, given.task
    match config:
        case ContextualizedConfig():
            assert corpus is not None  # what is needed was checked, here and below
            assert task is not None
            return contextualized.build(config, open_corpus(corpus), open_task(task), work, write, spread)
        case RelatedConfig():
            assert corpus is not None
            assert task is not None
            return write(related.pairs(config, open_corpus(corpus), open_task(task), work, spread))
        case GeneralConfig():
            assert corpus is not None
            return write(general.units(config, open_corpus(corpus), given.size, work))
        case ImportanceConfig():
            assert corpus is not None
            assert task is not None
            return write(importance.units(config, open_corpus(corpus), open_task(task), given.size, work))
        case AugmentedConfig():
            assert task is not None
            assert given.proposed is not None
            return write(augmented.units(config, open_task(task), given.proposed, work))
        case TaskTextConfig():
            assert task is not None
            return write(task_text.units(open_task(task)))
        case UnionConfig():
            return write(union.units(config, [open_textbook(book) for book in given.books], work))


def _write(work: Work, finder: Finder | None, remove: bool, tables: Iterable[pa.Table]) -> int:
    if finder is None:
        return write(work.path, tables)
    try:
        return write(work.path, screened(tables, finder, work.counts, remove))
    except NothingLeftError:
        if not (remove and work.counts["contaminated"]):
            raise
        raise HornbookError(
            f"all {work.counts['contaminated']:,} units hold dev or test texts of the task; set "
            "contamination to keep, or take other text"
        ) from None


def _check_given(config: BookOfOne, given: _Given) -> None:
    named = _named(config)
    if isinstance(config, FROM_CORPUS) and given.corpus is None:
        raise HornbookError(f"{named} needs a corpus, from which it is drawn")
    if isinstance(config, _FROM_TASK) and given.task is None:
        raise HornbookError(f"{named} needs a task, which it is about")
    if isinstance(config, UnionConfig) and len(given.books) < 2:
        raise HornbookError(f"{named} needs two textbooks or more")


def _named(config: BookOfOne) -> str:
    return f"{'an' if config.kind[0] in 'aei' else 'a'} {config.kind} textbook"


def _inputs(config: BookOfOne, given: _Given) -> Mapping[str, str]:
    """Return the keys of what the textbook is made from."""
    inputs = {}
    corpus, task = given.corpus, given.task
    if corpus is not None and isinstance(config, FROM_CORPUS):
        inputs["corpus"] = corpus.key
    if task is not None and (isinstance(config, _FROM_TASK) or config.contamination == "remove"):
        inputs["task"] = task.key
    if isinstance(config, GeneralConfig | ImportanceConfig) and not config.sized:
        if given.like is None:
            raise HornbookError(
                f"{_named(config)} needs a size: give units, tokens or bytes, or a textbook to be like"
            )
        inputs["like"] = given.like.key
    if isinstance(config, AugmentedConfig) and given.proposed is not None:
        inputs |= augmented.inputs(config, given.proposed)
    return inputs | {f"book-{number}": book.key for number, book in enumerate(given.books, 1)}


def _top(config: ContextualizedConfig, whole: Artifact, out: Place) -> Artifact:
    def fill(work: Work) -> None:
        work.info |= {name: whole.info[name] for name in ("kind", "task", "contamination")}
        work.measured["made_from"] = whole.measured.get("made_from", {})
        units = write(work.path, contextualized.top(open_textbook(whole), config.proportion))
        work.counts |= {"units": units, "whole_units": whole.counts["units"]}
        work.counts |= {name: whole.counts[name] for name in ("k", "corpus_units")}
        work.info["share"] = units / whole.counts["corpus_units"]

    inputs = {**whole.manifest["inputs"], "whole": whole.key}
    return make(out, stage=STAGE, version=VERSION, config=config, inputs=inputs, build=fill)


def _task_of(books: Sequence[Artifact]) -> str | None:
    """Return the key of the task that textbooks are about, None where no one task is."""
    about = {book.info["task"] for book in books} - {None}
    return str(about.pop()) if len(about) == 1 else None


def _place(artifact: Artifact | None) -> str:
    """Return where an artefact lies, for those who look for it later."""
    assert artifact is not None  # its key is among the inputs
    return artifact.address or str(artifact.path.resolve())

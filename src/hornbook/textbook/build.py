"""The stage that makes a textbook of any kind."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from hornbook.corpus import open_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import (
    AugmentedConfig,
    ContextualizedConfig,
    GeneralConfig,
    ImportanceConfig,
    RelatedConfig,
    RetrievedConfig,
    SingleTextbookConfig,
    TaskTextConfig,
    UnionConfig,
)
from hornbook.retrieval import LOCAL, Executor
from hornbook.store import Artifact, Destination, StageContext, Store, make
from hornbook.tasks import open_task
from hornbook.textbook.augmentation import candidates
from hornbook.textbook.contamination import Finder, held_out, screened
from hornbook.textbook.kinds import augmented, contextualized, general, importance, related, task_text, union
from hornbook.textbook.store import STAGE, NothingLeftError, open_textbook, write

logger = logging.getLogger("hornbook")

VERSION = 4
_WITHOUT_TASK_VERSION = 3  # of what no task's texts change
FROM_CORPUS = (RetrievedConfig, GeneralConfig, ImportanceConfig)
_FROM_TASK = (RetrievedConfig, ImportanceConfig, AugmentedConfig, TaskTextConfig)


def build(
    config: SingleTextbookConfig,
    *,
    corpus: Artifact | None = None,
    task: Artifact | None = None,
    like: Artifact | None = None,
    books: Sequence[Artifact] = (),
    out: Destination,
    executor: Executor = LOCAL,
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
        executor: where the corpus's shards are searched; does not change the textbook.

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
        return _top(config, build(whole, corpus=corpus, task=task, out=beside, executor=executor), out)
    given = _Given(corpus, task, like, books)
    _check_given(config, given)
    if isinstance(config, AugmentedConfig):
        assert task is not None  # checked
        given = replace(given, proposed=candidates.propose(config, task, out))
    inputs = _inputs(config, given)

    def fill(context: StageContext) -> None:
        about = inputs.get("task") if isinstance(config, _FROM_TASK) else _task_of(books)
        finder = Finder(held_out(open_task(task))) if task is not None and "task" in inputs else None
        remove = config.contamination == "remove"
        context.info |= {"kind": config.kind, "task": about}
        found_at = {"corpus": corpus, "task": task}
        context.measured["made_from"] = {role: _place(found_at[role]) for role in found_at if role in inputs}
        context.info["contamination"] = "not checked" if finder is None else "removed" if remove else "kept"
        put = partial(_write, context, finder, remove)
        units = _fill(config, given, context, put, executor)
        context.counts["units"] = units
        if corpus is not None and isinstance(config, FROM_CORPUS):
            context.counts["corpus_units"] = corpus.counts["units"]
            context.info.setdefault("share", units / corpus.counts["units"])
        if found := context.counts.get("contaminated"):
            logger.info(
                "%s units held a dev or test text of the task and were %s",
                f"{found:,}",
                context.info["contamination"],
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
    config: SingleTextbookConfig,
    given: _Given,
    context: StageContext,
    write: Callable[[Iterable[pa.Table]], int],
    executor: Executor,
) -> int:
    """Write the units and return how many there are."""
    corpus, task = given.corpus, given.task
    match config:
        case ContextualizedConfig():
            assert corpus is not None  # what is needed was checked, here and below
            assert task is not None
            return contextualized.build(config, open_corpus(corpus), open_task(task), context, write, executor)
        case RelatedConfig():
            assert corpus is not None
            assert task is not None
            return write(related.pairs(config, open_corpus(corpus), open_task(task), context, executor))
        case GeneralConfig():
            assert corpus is not None
            return write(general.units(config, open_corpus(corpus), given.size, context))
        case ImportanceConfig():
            assert corpus is not None
            assert task is not None
            return write(importance.units(config, open_corpus(corpus), open_task(task), given.size, context))
        case AugmentedConfig():
            assert task is not None
            assert given.proposed is not None
            return write(augmented.units(config, open_task(task), given.proposed, context))
        case TaskTextConfig():
            assert task is not None
            return write(task_text.units(open_task(task)))
        case UnionConfig():
            return write(union.units(config, [open_textbook(book) for book in given.books], context))


def _write(context: StageContext, finder: Finder | None, remove: bool, tables: Iterable[pa.Table]) -> int:
    if finder is None:
        return write(context.path, tables)
    try:
        return write(context.path, screened(tables, finder, context.counts, remove))
    except NothingLeftError:
        if not (remove and context.counts["contaminated"]):
            raise
        raise HornbookError(
            f"all {context.counts['contaminated']:,} units hold dev or test texts of the task; set "
            "contamination to keep, or take other text"
        ) from None


def _check_given(config: SingleTextbookConfig, given: _Given) -> None:
    named = _named(config)
    if isinstance(config, FROM_CORPUS) and given.corpus is None:
        raise HornbookError(f"{named} needs a corpus, from which it is drawn")
    if isinstance(config, _FROM_TASK) and given.task is None:
        raise HornbookError(f"{named} needs a task, which it is about")
    if isinstance(config, UnionConfig) and len(given.books) < 2:
        raise HornbookError(f"{named} needs two textbooks or more")


def _named(config: SingleTextbookConfig) -> str:
    return f"{'an' if config.kind[0] in 'aei' else 'a'} {config.kind} textbook"


def _inputs(config: SingleTextbookConfig, given: _Given) -> Mapping[str, str]:
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


def _top(config: ContextualizedConfig, whole: Artifact, out: Destination) -> Artifact:
    def fill(context: StageContext) -> None:
        context.info |= {name: whole.info[name] for name in ("kind", "task", "contamination")}
        context.measured["made_from"] = whole.measured.get("made_from", {})
        units = write(context.path, contextualized.top(open_textbook(whole), config.proportion))
        context.counts |= {"units": units, "whole_units": whole.counts["units"]}
        context.counts |= {name: whole.counts[name] for name in ("k", "corpus_units")}
        context.info["share"] = units / whole.counts["corpus_units"]

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

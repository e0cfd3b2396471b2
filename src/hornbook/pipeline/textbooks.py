"""The textbooks of a recipe: which are built, in which order, and from what."""

import logging
from collections.abc import Sequence
from pathlib import Path

from hornbook.languages import AUTO
from hornbook.pipeline.models import RunArtifacts, link
from hornbook.recipe import (
    ChainConfig,
    CombinedConfig,
    ContextualizedConfig,
    Recipe,
    SampleConfig,
    TextbookConfig,
)
from hornbook.store import Artifact, Store

logger = logging.getLogger("hornbook")


def build_textbooks(recipe: Recipe, store: Store, names: Sequence[str]) -> tuple[Artifact, dict[str, Artifact]]:
    """Prepare the task and build textbooks of a recipe; train nothing.

    Args:
        recipe: the whole run.
        store: where artefacts are found and put; a dry store only plans them.
        names: the textbooks to build, as the recipe names them.

    Returns:
        the task, and each textbook by its name.
    """
    from hornbook import tasks

    made = RunArtifacts(tasks.prepare(recipe.task, store))
    add_textbooks(recipe, {name: recipe.textbooks[name] for name in names}, made, store, None, None)
    return made.task, {name: made.textbooks[name] for name in names}


def add_textbooks(
    recipe: Recipe,
    chosen: dict[str, TextbookConfig],
    made: RunArtifacts,
    store: Store,
    folder: Path | None,
    cluster: str | None,
) -> None:
    """Add the chosen textbooks and those they need, these first."""
    from hornbook import corpus, textbook
    from hornbook.cluster import executor_on

    language = spoken(recipe, made.task)
    books = made.textbooks
    like: Artifact | None = None
    for name, config in _in_order(recipe, chosen):
        if made.corpus is None and "corpus" in textbook.kind_of(config).needs:
            made.corpus = link(corpus.build(recipe.corpus.spoken(language), store), folder, "corpus")
        if config.language is None:
            config = config.model_copy(update={"language": language})
        parts = [books[part] for part in config.books] if isinstance(config, CombinedConfig) else []
        # A cluster is left before anything is trained: Ray's threads and the processes of a training do not mix.
        with executor_on(cluster) as executor:
            books[name] = textbook.build(
                config, corpus=made.corpus, task=made.about, like=like, books=parts, out=store, executor=executor
            )
        link(books[name], folder, f"textbook-{name}")
        if like is None and _is_whole(config):
            like = books[name]


def spoken(recipe: Recipe, task: Artifact) -> str:
    """Return the language of a recipe; if it is `auto`, that of the task, which may be only planned."""
    from hornbook import tasks
    from hornbook.terms.detection import SAMPLE, detect

    language = recipe.terms.language
    if language != AUTO:
        return language
    texts = tasks.train_texts(recipe.task) if task.planned else tasks.open_task(task).anchors()
    language, why = detect(texts[:SAMPLE], "terms.language: auto")
    logger.info("terms.language: auto: the task is in %s: %s", language, why)
    return language


def whole_textbooks(recipe: Recipe, made: RunArtifacts, store: Store, cluster: str | None) -> list[Artifact]:
    """Return all textbooks of a recipe, also those that are not chosen, and all of those of which a part is used.

    What is made from them is the same in all cells of an experiment with several textbooks or parts of one.
    """
    books = {
        name: config.model_copy(update={"proportion": 1.0}) if isinstance(config, ContextualizedConfig) else config
        for name, config in recipe.textbooks.items()
    }
    every = RunArtifacts(made.about, made.corpus)
    add_textbooks(recipe.model_copy(update={"textbooks": books}), books, every, store, None, cluster)
    return list(every.textbooks.values())


def chained(name: str, config: TextbookConfig) -> tuple[str, ...]:
    """Return the textbooks that a student learns from, one after another."""
    return config.books if isinstance(config, ChainConfig) else (name,)


def _in_order(recipe: Recipe, chosen: dict[str, TextbookConfig]) -> list[tuple[str, TextbookConfig]]:
    """Return the textbooks to build, chosen and needed, each after those it is made from; chains are not built."""
    needed = dict.fromkeys(chosen)
    if recipe.start is not None:
        needed[recipe.start.textbook] = None
    for name in list(needed):
        config = recipe.textbooks[name]
        if isinstance(config, CombinedConfig):
            needed |= dict.fromkeys(config.books)
    if any(isinstance(c := recipe.textbooks[name], SampleConfig) and not c.sized for name in needed):
        whole = [name for name, config in recipe.textbooks.items() if _is_whole(config)]
        needed |= dict.fromkeys(whole[:1])
    # In the recipe's order; then the textbooks that are made from others or are as large as another.
    books = [(name, config) for name, config in recipe.textbooks.items() if name in needed]
    single = [(name, config) for name, config in books if not isinstance(config, ChainConfig)]
    return sorted(single, key=lambda item: (isinstance(item[1], CombinedConfig), isinstance(item[1], SampleConfig)))


def _is_whole(config: TextbookConfig) -> bool:
    """Return whether other textbooks can be built to the size of this one."""
    return isinstance(config, ContextualizedConfig) and config.proportion == 1

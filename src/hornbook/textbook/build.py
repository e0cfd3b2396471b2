"""The stage that makes a textbook of any kind."""

from hornbook.artifact import Artifact, Place, Work, make
from hornbook.corpus import open_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import ContextualizedConfig, GeneralConfig
from hornbook.retrieval import HERE, Spread
from hornbook.tasks import open_task
from hornbook.textbook import contextualized, general
from hornbook.textbook.store import STAGE, open_textbook

VERSION = 2


def build(
    config: ContextualizedConfig | GeneralConfig,
    *,
    corpus: Artifact,
    task: Artifact | None = None,
    like: Artifact | None = None,
    out: Place,
    spread: Spread = HERE,
) -> Artifact:
    """Make a textbook.

    Args:
        config: its kind and settings.
        corpus: what it is drawn from.
        task: whose anchors draw a contextualized textbook; others do not need it.
        like: a textbook as large as which a general one is made, where its settings name no size.
        out: the artefact's folder.
        spread: where the corpus's shards are searched; does not change the textbook.

    Returns:
        The artefact, one row a unit with the columns of `store.SCHEMA`, by rising unit id. Its counts: units,
        corpus_units and, contextualized: k, anchors, anchors_without_keywords, anchors_with_unseen_keywords (no
        hit), anchors_with_fewer_hits (than k, those without a hit among them), retrieved, duplicates (distinct
        units dropped for their text); general, by tokens: tokens. Its info: kind, share (of the corpus) and,
        contextualized, unique_over_retrieved.

    Raises:
        HornbookError: something in the settings does not fit the corpus or the task; or `out` holds
            something else.
    """
    if isinstance(config, GeneralConfig):
        return _general(config, corpus, like, out)
    return _contextualized(config, corpus, task, out, spread)


def _contextualized(
    config: ContextualizedConfig, corpus: Artifact, task: Artifact | None, out: Place, spread: Spread
) -> Artifact:
    if task is None:
        raise HornbookError("a contextualized textbook needs a task, whose anchors draw it")

    def fill(work: Work) -> None:
        anchors = open_task(task).anchors()
        if not anchors:
            raise HornbookError(f"{task.path}: has no training text, so no anchors to retrieve for")
        contextualized.build(config, open_corpus(corpus), anchors, work, spread)

    inputs = {"corpus": corpus.key, "task": task.key}
    return make(out, stage=STAGE, version=VERSION, config=config, inputs=inputs, build=fill)


def _general(config: GeneralConfig, corpus: Artifact, like: Artifact | None, out: Place) -> Artifact:
    inputs = {"corpus": corpus.key}
    sized = config.units is not None or config.tokens is not None
    if not sized:
        if like is None:
            raise HornbookError("a general textbook needs a size: give units or tokens, or a textbook to be like")
        inputs["like"] = like.key

    def fill(work: Work) -> None:
        size = open_textbook(like).units if like is not None and not sized else None
        general.build(config, open_corpus(corpus), size, work)

    return make(out, stage=STAGE, version=VERSION, config=config, inputs=inputs, build=fill, seed=config.seed)
